"""The unit table is consistent, and conversions are exact."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.quantities import UNITS, Scaled, in_thousands, parse_unit, unit_of_code


def test_no_symbol_and_no_dlms_code_stands_twice() -> None:
    codes = [unit.dlms_code for unit in UNITS.values() if unit.dlms_code is not None]
    assert len(codes) == len(set(codes))
    assert all(symbol == unit.symbol for symbol, unit in UNITS.items())


def test_the_codes_of_the_field_mean_what_the_blue_book_says() -> None:
    assert [str(unit_of_code(code)) for code in (13, 27, 30, 32, 33, 35, 44, 52, 255)] == [
        "m3",
        "W",
        "Wh",
        "varh",
        "A",
        "V",
        "Hz",
        "K",
        "1",
    ]


def test_an_unlisted_code_survives_as_a_unit_of_its_own() -> None:
    unit = unit_of_code(200)
    assert unit.dlms_code == 200
    assert unit.dimension not in {known.dimension for known in UNITS.values()}


@pytest.mark.parametrize(
    ("text", "symbol", "exponent"),
    [("kWh", "Wh", 3), ("GJ", "J", 9), ("mA", "A", -3), ("m³", "m3", 0), ("min", "min", 0)],
)
def test_prefixed_symbols_parse(text: str, symbol: str, exponent: int) -> None:
    assert parse_unit(text) == (UNITS[symbol], exponent)


def test_an_unknown_symbol_is_refused() -> None:
    with pytest.raises(ValueError, match="furlong"):
        parse_unit("furlong")


@given(st.integers(-(2**63), 2**63), st.integers(-9, 9))
def test_a_scaled_value_is_exact(value: int, exponent: int) -> None:
    scaled = Scaled(value, exponent, UNITS["Wh"])
    assert Fraction(scaled.decimal) == Fraction(value) * Fraction(10) ** exponent
    assert scaled.to(UNITS["J"]) == Fraction(scaled.decimal) * 3600


def test_a_scaled_value_reads_as_people_write_it() -> None:
    assert str(Scaled(12345, -3, UNITS["m3"])) == "12.345 m3"
    assert Scaled(5, 3, UNITS["Wh"]).decimal == Decimal(5000)


def test_volumes_do_not_become_energies() -> None:
    with pytest.raises(ValueError, match="does not convert"):
        Scaled(1, 0, UNITS["m3"]).to(UNITS["Wh"])


@pytest.mark.parametrize("symbol", ["Wh", "varh", "VAh"])
def test_energies_are_read_in_thousands_and_a_unit_with_its_prefix_means_the_same(symbol: str) -> None:
    number, shown = in_thousands(Decimal(1_234_500), symbol)
    assert (number, shown) == (Decimal("1234.5"), f"k{symbol}")
    unit, exponent = parse_unit(shown)
    assert (unit, number.scaleb(exponent)) == (UNITS[symbol], Decimal(1_234_500))


@pytest.mark.parametrize("symbol", ["W", "V", "m3", "1"])
def test_what_is_no_energy_is_read_as_it_is(symbol: str) -> None:
    assert in_thousands(Decimal(1_500), symbol) == (Decimal(1_500), symbol)
