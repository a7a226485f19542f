"""Declarations of interface classes: kinds encode and check values, attributes and methods know their address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.cosem.declaration import Attribute, DataKind, InterfaceClass, Method
from meterspan.quantities import Obis
from meterspan.wire.axdr import Data, DataType, double_long_unsigned, integer, null, octet_string, visible_string
from tests.strategies import obis_codes

INTEGERS = {
    DataKind.INTEGER: (-(2**7), 2**7 - 1),
    DataKind.LONG: (-(2**15), 2**15 - 1),
    DataKind.DOUBLE_LONG: (-(2**31), 2**31 - 1),
    DataKind.LONG64: (-(2**63), 2**63 - 1),
    DataKind.UNSIGNED: (0, 2**8 - 1),
    DataKind.LONG_UNSIGNED: (0, 2**16 - 1),
    DataKind.DOUBLE_LONG_UNSIGNED: (0, 2**32 - 1),
    DataKind.LONG64_UNSIGNED: (0, 2**64 - 1),
    DataKind.ENUM: (0, 255),
}


class Tank(InterfaceClass, class_id=9_001, version=0):
    """A class of our own, first version."""

    level = Attribute(2, DataKind.DOUBLE_LONG_UNSIGNED)
    label = Attribute(3, DataKind.VISIBLE_STRING)
    empty = Method(1)


class TankWithTime(Tank, version=1):
    """Its next version: one attribute more, one of another kind."""

    label = Attribute(3, DataKind.OCTET_STRING)
    filled_at = Attribute(4, DataKind.OCTET_STRING, shape="date-time")
    fill = Method(2, DataKind.DOUBLE_LONG_UNSIGNED)


@given(st.sampled_from(sorted(INTEGERS)), st.integers(-(2**65), 2**65))
def test_an_integer_kind_encodes_what_it_holds_and_refuses_the_rest(kind, number):
    low, high = INTEGERS[kind]
    if low <= number <= high:
        encoded = kind.to_data(number)
        assert (encoded.value, encoded.type.text) == (number, str(kind))
        assert kind.accepts(encoded)
    else:
        with pytest.raises(ValueError, match=str(number)):
            kind.to_data(number)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (DataKind.INTEGER, True),
        (DataKind.BOOLEAN, 1),
        (DataKind.OCTET_STRING, "text"),
        (DataKind.VISIBLE_STRING, b"octets"),
        (DataKind.CHOICE, 1),
        (DataKind.ARRAY, 1),
        (DataKind.NULL_DATA, 0),
    ],
)
def test_a_value_of_another_type_or_without_one_is_refused(kind, value):
    with pytest.raises(ValueError, match=f"is not a value of {kind}"):
        kind.to_data(value)


@given(obis_codes)
def test_a_logical_name_is_encoded_as_its_octets(obis):
    assert DataKind.OCTET_STRING.to_data(obis) == octet_string(bytes(obis))


@pytest.mark.parametrize("kind", DataKind)
@pytest.mark.parametrize("data", [null(), integer(1), double_long_unsigned(1), octet_string(b"x"), visible_string("x")])
def test_a_kind_accepts_its_own_type_and_choice_accepts_all(kind, data):
    own = {"null-data": DataType.NULL}.get(kind)
    assert kind.accepts(data) == (kind is DataKind.CHOICE or data.type is own or data.type.text == kind)


@pytest.mark.parametrize(
    ("shape", "type_"), [("date-time", DataType.DATE_TIME), ("date", DataType.DATE), ("time", DataType.TIME)]
)
def test_a_time_stamp_may_come_under_its_own_tag_where_the_shape_says_that_it_is_one(shape, type_):
    stamp = Data(type_, None)
    assert DataKind.OCTET_STRING.accepts(stamp, shape)
    assert not DataKind.OCTET_STRING.accepts(stamp)


def test_a_class_body_becomes_tables_in_the_order_of_the_numbers():
    assert [(number, entry.name) for number, entry in Tank.attributes.items()] == [
        (1, "logical_name"),
        (2, "level"),
        (3, "label"),
    ]
    assert [(number, entry.name) for number, entry in Tank.methods.items()] == [(1, "empty")]
    assert Tank.level is Tank.attributes[2]


def test_a_later_version_inherits_the_earlier_and_changes_only_itself():
    assert (TankWithTime.class_id, TankWithTime.version) == (9_001, 1)
    assert [entry.name for entry in TankWithTime.attributes.values()] == ["logical_name", "level", "label", "filled_at"]
    assert [entry.name for entry in TankWithTime.methods.values()] == ["empty", "fill"]
    assert (Tank.label.kind, TankWithTime.label.kind) == (DataKind.VISIBLE_STRING, DataKind.OCTET_STRING)
    assert Tank.version == 0


def test_attributes_and_methods_know_their_address_in_an_object():
    name = Obis(0, 0, 96, 1, 0)
    attribute, method = Tank.level.at(name), TankWithTime.fill.at(name)
    assert (attribute.class_id, attribute.instance, attribute.attribute) == (9_001, name, 2)
    assert (method.class_id, method.instance, method.method) == (9_001, name, 2)


def test_an_attribute_encodes_plain_values_and_refuses_data_of_another_kind():
    assert Tank.level.encode(7) == double_long_unsigned(7)
    assert Tank.level.encode(double_long_unsigned(7)) == double_long_unsigned(7)
    with pytest.raises(ValueError, match="level is double-long-unsigned"):
        Tank.level.encode(integer(7))


def test_a_method_with_an_integer_may_be_called_without_it():
    assert Tank.empty.accepts(integer(0))
    assert Tank.empty.accepts(null())
    assert not Tank.empty.accepts(octet_string(b""))
    assert not TankWithTime.fill.accepts(null())


def test_a_declaration_has_no_instances():
    with pytest.raises(TypeError, match="Tank is a declaration"):
        Tank()
