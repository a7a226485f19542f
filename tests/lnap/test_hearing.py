"""What an access point captures of a telegram's rows."""

import pytest

from meterspan.lnap.channel import LocalMeter
from meterspan.lnap.hearing import instants_of, observations_of
from meterspan.model.failures import Failure, FailureKind
from meterspan.quantities import CATALOGUE, UNITS, Commodity, Obis, Scaled
from meterspan.readings.p1 import P1_REGISTERS
from meterspan.readings.rows import DeviceRows, HeardTelegram, Row
from meterspan.wire.errors import KeyMissingError, WireError

NOW = 1_000_000
WATER = LocalMeter("W", Commodity.WATER, "home", (CATALOGUE[Commodity.WATER].register,))
ELECTRICITY = LocalMeter("E", Commodity.ELECTRICITY, "home", P1_REGISTERS)


def water(*times: int) -> HeardTelegram:
    """Write rows of a water meter at these times, the litres being the seconds."""
    rows = tuple(Row(WATER.registers[0], Scaled(time, -3, UNITS["m3"]), time) for time in times)
    return HeardTelegram("wmbus", b"", NOW, (DeviceRows("W", Commodity.WATER, rows),))


def times(meter: LocalMeter, telegram: HeardTelegram) -> list[int]:
    return [observation.time for observation in observations_of(meter, telegram)]


def test_a_meter_that_tells_its_marks_is_captured_at_them_alone() -> None:
    assert times(WATER, water(NOW, NOW - 900)) == [NOW - 900]
    assert times(WATER, water(NOW, NOW + 5)) == [NOW + 5], "its clock may be ahead"


def test_a_due_date_long_past_does_not_hide_what_is_counted_now() -> None:
    assert times(WATER, water(NOW, NOW - 86_400 * 60)) == [NOW - 86_400 * 60, NOW]


def test_a_meter_without_marks_is_captured_when_it_is_heard() -> None:
    assert times(WATER, water(NOW)) == [NOW]


def test_an_export_register_that_is_missing_is_none_and_not_zero() -> None:
    row = Row(P1_REGISTERS[0], Scaled(2_234_568, -1, UNITS["Wh"]), NOW)
    telegram = HeardTelegram("p1", b"", NOW, (DeviceRows("E", Commodity.ELECTRICITY, (row,)),))
    (observation,) = observations_of(ELECTRICITY, telegram)
    assert observation.values == (row.value, None)


def test_a_telegram_without_the_register_says_why_by_type() -> None:
    with pytest.raises(WireError, match=r"without 8-0:1\.0\.0"):
        observations_of(WATER, HeardTelegram("wmbus", b"", NOW))
    failed = HeardTelegram("wmbus", b"", NOW, (), (Failure.of_error(KeyMissingError("no key")),))
    with pytest.raises(KeyMissingError):
        observations_of(WATER, failed)
    told = HeardTelegram("wmbus", b"", NOW, (), (Failure(FailureKind.UNREADABLE, "no volume"),))
    with pytest.raises(WireError, match="no volume"):
        observations_of(WATER, told)


def test_instants_are_those_of_value_group_7() -> None:
    power = Row(Obis(1, 0, 1, 7, 0), Scaled(5, 0, UNITS["W"]), NOW)
    energy = Row(P1_REGISTERS[0], Scaled(5, 0, UNITS["Wh"]), NOW)
    assert instants_of(DeviceRows("E", Commodity.ELECTRICITY, (power, energy))) == {"1-0:1.7.0": power.value}
