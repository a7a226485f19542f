"""A register shows units of its code, of its meter's commodity, and never less than 0."""

import pytest

from meterspan.quantities import UNITS, Commodity, Obis, Scaled
from meterspan.quantities.registers import register_fault, unit_fault

ENERGY, WATER, HEAT = Obis(1, 0, 1, 8, 0), Obis(8, 0, 1, 0, 0), Obis(6, 0, 1, 0, 0)
OF_CHANNEL = Obis(0, 1, 24, 2, 1)


@pytest.mark.parametrize(
    ("obis", "value", "unit", "commodity", "words"),
    [
        (ENERGY, 5, "Wh", None, ""),
        (ENERGY, 0, "Wh", Commodity.ELECTRICITY, ""),
        (OF_CHANNEL, 5, "m3", Commodity.WATER, ""),
        (ENERGY, -1, "Wh", None, "less than 0"),
        (HEAT, -5, "Wh", Commodity.HEAT, "less than 0"),
        (ENERGY, 5, "m3", Commodity.ELECTRICITY, "counted in units of energy, m3 is one of volume"),
        (ENERGY, 5, "Wh", Commodity.WATER, "is a register of electricity, and the meter measures water"),
        (WATER, 5, "Wh", None, "counted in units of volume"),
    ],
)
def test_a_value_that_a_register_cannot_show_is_named(
    obis: Obis, value: int, unit: str, commodity: Commodity | None, words: str
) -> None:
    fault = register_fault(obis, Scaled(value, 0, UNITS[unit]), commodity)
    assert words in fault
    assert bool(fault) == bool(words)


def test_a_code_that_fixes_no_dimension_takes_any_unit() -> None:
    assert unit_fault(Obis(1, 0, 32, 7, 0), UNITS["V"]) == unit_fault(OF_CHANNEL, UNITS["Wh"]) == ""
