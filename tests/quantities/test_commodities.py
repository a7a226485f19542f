from fractions import Fraction

import pytest

from meterspan.quantities import (
    CATALOGUE,
    UNITS,
    Commodity,
    Direction,
    Medium,
    Obis,
    Scaled,
    commodity_of_mbus_medium,
    commodity_of_obis,
)


def test_every_commodity_has_one_row_and_no_code_belongs_to_two() -> None:
    assert set(CATALOGUE) == set(Commodity)
    for of in (lambda s: s.obis_media, lambda s: s.mbus_media, lambda s: (s.letter,)):
        codes = [code for supply in CATALOGUE.values() for code in of(supply)]
        assert len(codes) == len(set(codes))


def test_a_register_and_a_profile_are_of_the_commodity_that_lists_them() -> None:
    for commodity, supply in CATALOGUE.items():
        for obis in (*supply.registers.values(), supply.profile):
            assert commodity_of_obis(obis) is commodity
        assert supply.register == supply.registers[Direction.IMPORT]


def test_abstract_codes_and_sensors_have_no_commodity() -> None:
    assert commodity_of_obis(Obis(Medium.ABSTRACT, 0, 96, 1, 0)) is None
    assert commodity_of_obis(Obis(77, 0, 1, 0, 0)) is None
    assert commodity_of_mbus_medium(0x1B) is None
    assert commodity_of_mbus_medium(0x16) is Commodity.WATER


def test_a_register_is_shown_exactly_in_the_unit_that_people_read() -> None:
    energy, gas = CATALOGUE[Commodity.ELECTRICITY], CATALOGUE[Commodity.GAS]
    assert energy.in_display_unit(Scaled(2_234_568, -1, UNITS["Wh"])) == Fraction(2_234_568, 10_000)
    assert energy.in_display_unit(Scaled(1, 0, UNITS["J"])) == Fraction(1, 3_600_000)
    assert gas.in_display_unit(Scaled(1_500, 0, UNITS["L"])) == Fraction(3, 2)
    with pytest.raises(ValueError, match="does not convert"):
        gas.in_display_unit(Scaled(1, 0, UNITS["Wh"]))
