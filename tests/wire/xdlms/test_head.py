"""The head of a SET or ACTION request is what its whole says of its targets, and no value is read for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.quantities import Obis
from meterspan.wire.axdr import null, octet_string
from meterspan.wire.errors import WireError
from meterspan.wire.xdlms import (
    ActionHead,
    ActionRequestNextPblock,
    ActionRequestNormal,
    ActionRequestWithList,
    AttributeSelection,
    CosemAttributeDescriptor,
    CosemMethodDescriptor,
    GetHead,
    GetRequestNormal,
    InvokeIdAndPriority,
    OtherAccess,
    SetHead,
    SetRequestNormal,
    SetRequestWithList,
    read_apdu,
    read_request_head,
    write_apdu,
)

INVOKE = InvokeIdAndPriority(3)
SWITCH = Obis(0, 0, 96, 3, 10)
ATTRIBUTE = CosemAttributeDescriptor(70, SWITCH, 4)
METHOD = CosemMethodDescriptor(70, SWITCH, 1)
VALUE = octet_string(bytes(40))
SELECTIONS = (AttributeSelection(ATTRIBUTE), AttributeSelection(CosemAttributeDescriptor(3, SWITCH, -1)))

REQUESTS = [
    (SetRequestNormal(INVOKE, ATTRIBUTE, VALUE), SetHead(INVOKE, (ATTRIBUTE,), is_list=False)),
    (
        SetRequestWithList(INVOKE, SELECTIONS, (VALUE, VALUE)),
        SetHead(INVOKE, tuple(selection.attribute for selection in SELECTIONS), is_list=True),
    ),
    (ActionRequestNormal(INVOKE, METHOD, VALUE), ActionHead(INVOKE, (METHOD,), is_list=False)),
    (ActionRequestNormal(INVOKE, METHOD), ActionHead(INVOKE, (METHOD,), is_list=False)),
    (ActionRequestWithList(INVOKE, (METHOD,), (VALUE,)), ActionHead(INVOKE, (METHOD,), is_list=True)),
]


@pytest.mark.parametrize(("request_", "head"), REQUESTS)
def test_the_head_names_the_targets_of_the_request(request_, head):
    assert read_request_head(write_apdu(request_)) == head


@pytest.mark.parametrize(("request_", "head"), REQUESTS)
def test_a_head_without_its_values_is_the_same_request_of_null_data(request_, head):
    bare = read_apdu(write_apdu(head.without_values()))
    assert type(bare) is type(request_)
    assert read_request_head(write_apdu(bare)) == head
    values = bare.values if isinstance(bare, SetRequestWithList) else getattr(bare, "parameters", None)
    assert values is None or null() in (values, *(values if isinstance(values, tuple) else ()))


def test_what_follows_the_head_is_not_read():
    octets = write_apdu(SetRequestNormal(INVOKE, ATTRIBUTE, VALUE))[:-41]
    assert read_request_head(octets + b"\xde\xad") == SetHead(INVOKE, (ATTRIBUTE,), is_list=False)


def test_the_head_of_a_get_with_selection_names_the_selector():
    request = GetRequestNormal(INVOKE, ATTRIBUTE, OtherAccess(7, VALUE))
    head = read_request_head(write_apdu(request)[:-20])
    assert head == GetHead(INVOKE, ATTRIBUTE, 7)
    assert head.without_values() == GetRequestNormal(INVOKE, ATTRIBUTE, OtherAccess(7, null()))


@pytest.mark.parametrize("other", [GetRequestNormal(INVOKE, ATTRIBUTE), ActionRequestNextPblock(INVOKE, 1)])
def test_other_requests_have_no_such_head(other):
    assert read_request_head(write_apdu(other)) is None


@given(
    st.sampled_from([b"", b"\xc0\x01", b"\xc1", b"\xc1\x01", b"\xc1\x04", b"\xc3\x01", b"\xc3\x03"]),
    st.binary(max_size=60),
)
def test_any_octets_make_a_head_or_none_or_a_wire_error(start, octets):
    try:
        head = read_request_head(start + octets)
    except WireError:
        return
    assert head is None or head.without_values() is not None
