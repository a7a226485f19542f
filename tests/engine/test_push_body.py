"""What each value of a push body is of: by descriptor, by the list in the body, by a known list, by codes, by shape."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.engine.push_body import PushValue, read_body, read_values, text_of, write_listed
from meterspan.model.cosem.profile import write_capture_objects
from meterspan.model.cosem.scaler_unit import ScalerUnit
from meterspan.quantities import UNITS, Obis
from meterspan.wire.axdr import (
    Data,
    array,
    double_long_unsigned,
    enum,
    integer,
    null,
    octet_string,
    structure,
    unsigned,
    visible_string,
)
from meterspan.wire.errors import WireError
from meterspan.wire.xdlms import CaptureObjectDefinition
from tests.helpers_push import write_described

ENERGY, EXPORT, SETUP = Obis(1, 0, 1, 8, 0), Obis(1, 0, 2, 8, 0), Obis(0, 0, 25, 9, 0)
OBJECTS = (CaptureObjectDefinition(3, ENERGY, 2), CaptureObjectDefinition(3, EXPORT, 2))
LISTED = (CaptureObjectDefinition(40, SETUP, 2), *OBJECTS)
KWH = structure(integer(3), enum(30))


def test_a_body_that_brings_its_object_list_is_read_by_it_whatever_list_is_known():
    body = structure(write_capture_objects(LISTED), unsigned(1), unsigned(2))
    read = read_body(body, [OBJECTS[::-1]])
    assert read.objects == LISTED
    assert read.values == tuple(map(PushValue, OBJECTS, (unsigned(1), unsigned(2))))


def test_a_list_that_leaves_itself_out_stands_in_front_of_its_values():
    read = read_body(structure(write_capture_objects(OBJECTS), unsigned(1), unsigned(2)))
    assert [value.definition for value in read.values] == list(OBJECTS)


def test_a_list_of_another_length_names_nothing():
    read = read_body(structure(write_capture_objects(LISTED), unsigned(1)))
    assert [value.obis for value in read.values] == [None, None]
    assert read.objects == ()


def test_plain_values_are_named_by_the_known_list_of_their_number_and_by_no_other():
    body = structure(unsigned(1), null())
    assert [value.definition for value in read_body(body, [LISTED, OBJECTS]).values] == list(OBJECTS)
    assert [value.obis for value in read_body(body, [LISTED]).values] == [None, None]
    assert read_body(structure(array(unsigned(1)), unsigned(2))).values[1].definition is None


@given(st.lists(st.tuples(st.sampled_from(LISTED), st.integers(0, 255)), min_size=1, max_size=6))
def test_described_values_are_read_as_they_were_written(some):
    values = [PushValue(of, unsigned(number)) for of, number in some]
    assert list(read_body(write_described(values)).values) == values


@given(st.lists(st.tuples(st.sampled_from(LISTED), st.integers(0, 255)), min_size=1, max_size=6))
def test_a_body_behind_its_own_list_is_read_as_it_was_written(some):
    values = [PushValue(of, unsigned(number)) for of, number in some]
    read = read_body(write_listed(values), [OBJECTS])
    assert list(read.values) == values
    assert read.objects == (LISTED[0], *(of for of, _ in some))


def test_a_value_of_no_attribute_is_not_listed():
    with pytest.raises(ValueError, match="only attributes"):
        write_listed([PushValue(None, unsigned(1), ENERGY)])


@pytest.mark.parametrize(
    "named",
    [
        (octet_string(bytes(ENERGY)), unsigned(7), KWH),
        (structure(octet_string(bytes(ENERGY)), unsigned(7), KWH),),
        (octet_string(bytes(ENERGY)), structure(unsigned(7), KWH)),
    ],
)
def test_a_code_names_the_value_behind_it_and_a_pair_scales_it(named):
    (value,) = read_body(structure(*named)).values
    assert value == PushValue(None, unsigned(7), ENERGY, ScalerUnit(3, UNITS["Wh"]))
    assert value.obis == ENERGY


def test_a_list_without_names_is_matched_by_its_shape_only_where_it_is_asked_for():
    body = structure(double_long_unsigned(1_500))
    (shown,) = read_body(body, by_shape=True).values
    assert (shown.name, shown.exponent) == (Obis(1, 0, 1, 7, 0), 0)
    (kept,) = read_body(body).values
    assert (kept.name, kept.definition) == (None, None)


def test_text_is_a_string_or_printable_octets():
    assert text_of(visible_string("MSP")) == text_of(octet_string(b"MSP")) == "MSP"
    assert text_of(octet_string(b"\x00")) is None
    assert text_of(unsigned(65)) is None


leaves = (
    st.builds(unsigned, st.integers(0, 255))
    | st.builds(octet_string, st.binary(max_size=14))
    | st.just(null())
    | st.sampled_from([KWH, octet_string(bytes(ENERGY)), write_capture_objects(OBJECTS)])
)
trees = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=5).flatmap(
        lambda items: st.sampled_from([structure(*items), array(*items)])
    ),
    max_leaves=25,
)


@given(trees, st.booleans())
def test_any_body_has_values_or_is_a_wire_error(body: Data, by_shape: bool):
    with contextlib.suppress(WireError):
        read = read_body(body, [OBJECTS], by_shape=by_shape)
        assert len(read.values) <= 1 + sum(1 for _ in _leaves(body))
        assert all(value.obis is not None for value in read_values(body, by_shape=by_shape))


def _leaves(data: Data):
    for item in data.items if data.is_composite else ():
        yield item
        yield from _leaves(item)
