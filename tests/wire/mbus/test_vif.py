"""What a value information field means: the tables of EN 13757-3, and any chain of octets."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.wire.mbus.vif import Quantity, ValueKind, read_quantity


@pytest.mark.parametrize(
    ("vif", "name", "unit", "exponent"),
    [
        ("03", "energy", "Wh", 0),
        ("06", "energy", "Wh", 3),
        ("0B", "energy", "J", 3),
        ("13", "volume", "m3", -3),
        ("2B", "power", "W", 0),
        ("3B", "volume flow", "m3/h", -3),
        ("5B", "flow temperature", "°C", 0),
        ("5F", "return temperature", "°C", 0),
        ("6E", "heat cost allocation", "hca", 0),
        ("FB00", "energy", "Wh", 5),
        ("FD48", "voltage", "V", -1),
    ],
)
def test_a_code_of_the_tables_has_its_quantity_unit_and_power_of_ten(vif, name, unit, exponent):
    quantity = read_quantity(bytes.fromhex(vif))
    assert (quantity.name, quantity.unit.symbol, quantity.exponent) == (name, unit, exponent)


@pytest.mark.parametrize(
    ("vif", "kind"), [("6C", ValueKind.DATE), ("6D", ValueKind.MOMENT), ("78", ValueKind.UNSIGNED)]
)
def test_dates_and_identifications_say_how_their_octets_are_read(vif, kind):
    assert read_quantity(bytes.fromhex(vif)).kind is kind


def test_a_correction_moves_the_exponent_and_an_addend_is_kept_exact():
    plain = read_quantity(b"\x13")
    assert read_quantity(b"\x93\x70").exponent == plain.exponent - 6
    assert read_quantity(b"\x93\x7d").exponent == plain.exponent + 3
    assert read_quantity(b"\x93\x78").addend == Decimal("0.001")


def test_a_modifier_is_kept_in_words():
    assert read_quantity(b"\x93\x3c").modifiers != ()
    assert read_quantity(b"\x93\x3c").unit == read_quantity(b"\x13").unit


def test_a_plain_text_unit_of_the_table_is_that_unit_and_another_is_its_own():
    assert read_quantity(b"\x7c", "kWh").unit.symbol in {"kWh", "Wh"}
    assert read_quantity(b"\x7c", "furlong").unit.symbol == "furlong"


@given(st.binary(min_size=1, max_size=12), st.none() | st.text(max_size=8))
def test_any_chain_gives_a_quantity_with_a_name(vif, text):
    quantity = read_quantity(vif, text)
    assert isinstance(quantity, Quantity)
    assert quantity.name
    assert -40 <= quantity.exponent <= 60
