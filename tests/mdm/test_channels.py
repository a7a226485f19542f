"""Which registers bill a supply, whatever the meter calls them."""

from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.mdm.channels import StepError, billing_registers, canonical, direction_of, kind_of, step_fault, unit_step
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


@given(st.sampled_from(["Wh", "J", "m3", "Nm3", "L"]), st.integers(-128, 127))
def test_a_step_is_between_a_billionth_and_a_million_of_the_shown_unit_or_no_step(unit, exponent):
    shown = "kWh" if UNITS[unit].dimension == "energy" else "m3"
    per_shown = {"Wh": Fraction(1, 1_000), "J": Fraction(1, 3_600_000), "L": Fraction(1, 1_000)}.get(unit, Fraction(1))
    size = Fraction(10) ** exponent * per_shown
    if Fraction(1, 10**9) <= size <= 10**6:
        assert unit_step(unit, exponent, shown) == size
        assert step_fault(unit, exponent) is None
    else:
        with pytest.raises(StepError) as caught:
            unit_step(unit, exponent, shown)
        assert (caught.value.unit, caught.value.exponent, caught.value.shown) == (unit, exponent, shown)
        assert str(step_fault(unit, exponent)) == str(caught.value)


def test_steps_of_what_is_never_billed_are_not_judged():
    assert [step_fault(unit, 127) for unit in ("W", "varh", "parsec", "°C")] == [None] * 4


def test_a_power_of_ten_without_end_costs_nothing():
    for exponent in (10**12, -(10**12)):
        with pytest.raises(StepError):
            unit_step("Wh", exponent, "kWh")
