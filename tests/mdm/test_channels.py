"""Which registers bill a supply, whatever the meter calls them."""

from dataclasses import dataclass
from fractions import Fraction

import pytest

from meterspan.mdm.channels import billing_registers, canonical, direction_of, kind_of, unit_step
from meterspan.model.readings import SeriesKind
from meterspan.quantities import UNITS, Commodity, Direction, parse_obis


@dataclass(frozen=True)
class Channel:
    obis: str
    unit: str


def chosen(commodity, *channels, direction=Direction.IMPORT):
    found = billing_registers([Channel(*channel) for channel in channels], commodity, direction)
    return [[channel.obis for channel in register] for register in found]


def test_the_total_is_chosen_before_tariff_registers():
    rows = [("1-0:1.8.1", "Wh"), ("1-0:1.8.0", "Wh"), ("1-0:2.8.0", "Wh"), ("1-0:1.7.0", "W"), ("1-0:1.8.0*1", "Wh")]
    assert chosen(Commodity.ELECTRICITY, *rows) == [["1-0:1.8.0"]]
    assert chosen(Commodity.ELECTRICITY, *rows, direction=Direction.EXPORT) == [["1-0:2.8.0"]]


def test_tariff_registers_are_all_chosen_where_there_is_no_total():
    rows = [("1-0:1.8.2", "Wh"), ("1-0:1.8.1", "Wh"), ("1-0:3.8.0", "varh"), ("1-0:1.29.0", "Wh")]
    assert chosen(Commodity.ELECTRICITY, *rows) == [["1-0:1.8.1"], ["1-0:1.8.2"]]


def test_mbus_values_behind_an_electricity_meter_count():
    assert chosen(Commodity.GAS, ("0-1:24.2.1", "m3"), ("7-0:0.2.0", "1")) == [["0-1:24.2.1"]]
    assert chosen(Commodity.HEAT, ("6-0:1.0.0", "J"), ("6-0:2.0.0", "m3")) == [["6-0:1.0.0"]]
    assert chosen(Commodity.WATER, ("8-0:1.0.0", "m3"), ("8-0:2.0.0", "m3/h")) == [["8-0:1.0.0"]]
    assert chosen(Commodity.WATER, ("8-0:1.0.0", "m3"), direction=Direction.EXPORT) == []
    assert chosen(Commodity.GAS, ("7-0:3.0.0", "nonsense")) == []


def test_units_and_kinds():
    assert unit_step("Wh", 3, "kWh") == 1
    assert unit_step("J", 6, "kWh") == Fraction(10, 36)
    assert unit_step("m3", -3, "m3") == Fraction(1, 1_000)
    assert unit_step("Nm3", -2, "m3") == Fraction(1, 100)
    for unit, shown in (("m3", "kWh"), ("parsec", "m3")):
        with pytest.raises(ValueError, match="is not"):
            unit_step(unit, 0, shown)
    assert canonical(UNITS["L"], 0) == (UNITS["m3"], -3)
    assert canonical(UNITS["L/h"], 1) == (UNITS["m3/h"], -2)
    assert kind_of(parse_obis("1-0:1.29.0"), UNITS["Wh"]) is SeriesKind.INTERVAL
    assert kind_of(parse_obis("1-0:32.7.0"), UNITS["V"]) is SeriesKind.INSTANT
    assert direction_of(parse_obis("1-0:2.8.0")) is Direction.EXPORT
