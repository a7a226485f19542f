import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.cosem.access import AttributeAccess, MethodAccess
from meterspan.model.cosem.view import (
    AttributeRight,
    MethodRight,
    ObjectListElement,
    read_logical_name,
    read_object_list,
    write_object_list,
)
from meterspan.quantities import Obis
from meterspan.wire.axdr import array, boolean, enum, integer, long_unsigned, octet_string, structure, unsigned
from meterspan.wire.axdr.data import read_data, write_data
from meterspan.wire.errors import WireError

octets = st.integers(0, 255)
elements = st.builds(
    ObjectListElement,
    st.integers(0, 0xFFFF),
    octets,
    st.builds(Obis, octets, octets, octets, octets, octets, octets),
    st.lists(
        st.builds(
            AttributeRight,
            st.integers(-128, 127),
            st.sampled_from([*AttributeAccess, 9, 200]),
            st.lists(st.integers(0, 127), max_size=3).map(tuple),
        ),
        max_size=4,
    ).map(tuple),
    st.lists(st.builds(MethodRight, st.integers(-128, 127), st.sampled_from([*MethodAccess, 77])), max_size=3).map(
        tuple
    ),
)

# one Register, readable value and scaler, one method; laid out by hand from the class description in 4.4.4
REGISTER_ELEMENT = bytes.fromhex(
    "0101 0204 120003 1100 09060100010800FF 0202 0103 0203 0F01 1601 00 0203 0F02 1601 00 0203 0F03 1604 00"
    "0101 0202 0F01 1601"
)


def test_an_object_list_reads_from_its_octets_and_writes_back_to_them():
    (element,) = read_object_list(read_data(REGISTER_ELEMENT))
    assert element == ObjectListElement(
        3,
        0,
        Obis(1, 0, 1, 8, 0),
        (
            AttributeRight(1, AttributeAccess.READ_ONLY),
            AttributeRight(2, AttributeAccess.READ_ONLY),
            AttributeRight(3, AttributeAccess.AUTHENTICATED_READ_ONLY),
        ),
        (MethodRight(1, MethodAccess.ACCESS),),
    )
    assert str(element) == "Register 1-0:1.8.0"
    assert write_data(write_object_list((element,))) == REGISTER_ELEMENT


@given(st.lists(elements, max_size=4).map(tuple))
def test_every_view_survives_the_wire(view):
    assert read_object_list(read_data(write_data(write_object_list(view)))) == view


def test_boolean_method_access_of_version_0_reads():
    right = structure(integer(1), boolean(value=True))
    rights = structure(array(), array(right))
    data = array(structure(long_unsigned(15), unsigned(0), octet_string(Obis(0, 0, 40, 0, 0)), rights))
    assert read_object_list(data)[0].methods == (MethodRight(1, MethodAccess.ACCESS),)


def test_an_unknown_class_is_named_by_its_number():
    assert str(ObjectListElement(8_192, 0, Obis(0, 0, 96, 1, 0))) == "class 8192 0-0:96.1.0"


@pytest.mark.parametrize(
    "data",
    [
        enum(1),
        array(structure(long_unsigned(3))),
        array(structure(long_unsigned(3), unsigned(0), octet_string(b"\1\2"), structure(array(), array()))),
        array(structure(long_unsigned(3), unsigned(0), octet_string(bytes(6)), structure(array(enum(1)), array()))),
    ],
)
def test_another_shape_is_a_wire_error(data):
    with pytest.raises(WireError):
        read_object_list(data)


def test_a_logical_name_has_six_octets():
    assert read_logical_name(octet_string(Obis(1, 0, 1, 8, 0))) == Obis(1, 0, 1, 8, 0)
    with pytest.raises(WireError, match="6 octets"):
        read_logical_name(octet_string(b"12345"))
