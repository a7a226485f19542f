"""Instants as numbers."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.quantities.instants import (
    DAY_S,
    DAY_ZERO,
    FIRST_SECOND,
    HOUR_S,
    LAST_SECOND,
    saving_changes,
    standard_offset_s,
    utc,
    utc_seconds,
    utc_text,
)


@given(st.integers(-(1 << 35), 1 << 35))
def test_seconds_survive_the_way_through_a_datetime(seconds):
    assert utc_seconds(utc(seconds)) == seconds


@given(st.integers(0, 1 << 33), st.integers(-14 * 60, 14 * 60))
def test_an_instant_has_the_same_seconds_in_every_zone(seconds, minutes):
    elsewhere = utc(seconds).astimezone(timezone(timedelta(minutes=minutes)))
    assert utc_seconds(elsewhere) == seconds


def test_the_epoch_and_the_day_after_it():
    assert utc(0) == datetime(1970, 1, 1, tzinfo=UTC)
    assert utc(DAY_S) == datetime(1970, 1, 2, tzinfo=UTC)
    assert utc(1.5).microsecond == 500_000
    assert DAY_S == 24 * HOUR_S
    assert utc(0).date() == DAY_ZERO


@pytest.mark.parametrize(("zone", "hours"), [("Europe/Berlin", 1), ("Australia/Sydney", 10), ("UTC", 0)])
def test_standard_time_is_the_same_in_every_month_on_both_hemispheres(zone, hours):
    assert {standard_offset_s(ZoneInfo(zone), 1_767_225_600 + month * 2_600_000) for month in range(12)} == {
        hours * HOUR_S
    }


def test_an_instant_is_written_in_utc_whatever_its_zone():
    berlin = datetime(2026, 10, 25, 2, 15, 0, 250_900, tzinfo=ZoneInfo("Europe/Berlin"))
    assert utc_text(berlin) == "2026-10-25T00:15:00Z"
    assert utc_text(berlin, "milliseconds") == "2026-10-25T00:15:00.250Z"


def test_a_naive_datetime_has_no_instant():
    with pytest.raises(ValueError, match="naive"):
        utc_seconds(datetime(2026, 1, 1))  # noqa: DTZ001 - the naive value is the test


def test_the_first_and_the_last_second_are_those_of_the_calendar() -> None:
    assert utc(FIRST_SECOND) == datetime.min.replace(tzinfo=UTC)
    assert utc(LAST_SECOND) == datetime.max.replace(microsecond=0, tzinfo=UTC)
    with pytest.raises(OverflowError):
        utc(LAST_SECOND + 1)


@pytest.mark.parametrize(
    ("name", "begin", "end"),
    [
        ("Europe/Berlin", "2026-03-29T01:00:00Z", "2026-10-25T01:00:00Z"),
        ("America/New_York", "2026-03-08T07:00:00Z", "2026-11-01T06:00:00Z"),
        ("Australia/Sydney", "2026-10-03T16:00:00Z", "2026-04-04T16:00:00Z"),
    ],
)
def test_daylight_saving_begins_and_ends_at_the_second_that_the_zone_says(name, begin, end):
    changes = saving_changes(ZoneInfo(name), 2026)
    assert changes is not None
    assert [utc_text(moment) for moment in changes] == [begin, end]


@pytest.mark.parametrize("zone", [UTC, ZoneInfo("Asia/Kolkata"), timezone(timedelta(hours=5))])
def test_a_zone_without_daylight_saving_has_no_changes(zone):
    assert saving_changes(zone, 2026) is None
