"""The meaning of OBIS codes: the tables of IEC 62056-6-1 by samples, and laws that hold for every code."""

import pytest
from hypothesis import given

from meterspan.quantities import CATALOGUE, UNITS, Commodity, parse_obis, parse_unit
from meterspan.readings.names import meaning_of
from tests.strategies import obis_codes


@pytest.mark.parametrize(
    ("code", "quantity", "unit", "function"),
    [
        ("1-0:1.8.0", "active energy import", "Wh", "instantaneous"),
        ("1-0:2.8.1", "active energy export", "Wh", "instantaneous"),
        ("1-0:21.7.0", "active power import L1", "W", "instantaneous"),
        ("1-0:62.7.0", "active power export L3", "W", "instantaneous"),
        ("1-0:1.6.0", "active power import demand", "W", "maximum"),
        ("1-0:5.8.0", "reactive energy quadrant 1", "varh", "instantaneous"),
        ("1-0:9.8.0", "apparent energy import", "VAh", "instantaneous"),
        ("1-0:32.7.0", "voltage L1", "V", "instantaneous"),
        ("1-0:71.7.0", "current L3", "A", "instantaneous"),
        ("1-0:13.7.0", "power factor", "1", "instantaneous"),
        ("1-0:14.7.0", "frequency", "Hz", "instantaneous"),
        ("1-0:52.32.0", "voltage sag count L2", "1", "instantaneous"),
        ("1-0:72.36.0", "voltage swell count L3", "1", "instantaneous"),
        ("1-0:81.7.0", "phase angle", "°", "instantaneous"),
        ("1-0:99.97.0", "power failure log", "", "instantaneous"),
        ("7-0:3.0.0", "gas volume", "m3", "instantaneous"),
        ("8-0:1.0.0", "cold water volume", "m3", "instantaneous"),
        ("6-0:1.0.0", "heat energy", "Wh", "instantaneous"),
        ("4-0:1.0.0", "heat cost allocation", "hca", "instantaneous"),
        ("0-0:96.1.0", "identification", "", "instantaneous"),
        ("0-0:96.14.0", "active tariff", "", "instantaneous"),
        ("0-1:24.2.1", "M-Bus value", "", "instantaneous"),
        ("1-0:250.7.0", "value", "", "instantaneous"),
    ],
)
def test_a_code_has_the_words_and_the_unit_of_the_standard(code, quantity, unit, function):
    meaning = meaning_of(parse_obis(code))
    assert (meaning.quantity, meaning.unit, meaning.function) == (quantity, unit, function)


@given(obis_codes)
def test_every_code_has_a_word_and_a_unit_that_the_table_of_units_knows(obis):
    meaning = meaning_of(obis)
    assert meaning.quantity
    assert meaning.unit in {"", "1"} or parse_unit(meaning.unit) is not None
    assert meaning.function in {"instantaneous", "maximum"}


@pytest.mark.parametrize("commodity", Commodity)
def test_a_billing_register_is_named_in_the_unit_in_which_it_is_stored(commodity):
    supply = CATALOGUE[commodity]
    for obis in supply.registers.values():
        assert UNITS[meaning_of(obis).unit] == UNITS[supply.base_unit]
