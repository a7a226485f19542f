"""A meter's clock time becomes an instant only where it says enough."""

from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.quantities import ClockStatus, ClockTime

BERLIN = ZoneInfo("Europe/Berlin")


def test_deviation_is_added_to_local_time_to_get_utc() -> None:
    time = ClockTime(2026, 1, 15, 4, 12, 0, 0, 0, -60, ClockStatus(0))
    assert time.to_utc() == datetime(2026, 1, 15, 11, tzinfo=UTC)
    assert str(time) == "2026-01-15 12:00:00+01:00"


def test_without_a_deviation_the_zone_decides_and_the_flag_chooses_the_repeated_hour() -> None:
    summer = ClockTime(2026, 10, 25, 7, 2, 30, 0, 0, None, ClockStatus.DAYLIGHT_SAVING_ACTIVE)
    winter = ClockTime(2026, 10, 25, 7, 2, 30, 0, 0, None, ClockStatus(0))
    assert summer.to_utc() is None
    assert summer.to_utc(BERLIN) == datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    assert winter.to_utc(BERLIN) == datetime(2026, 10, 25, 1, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "time",
    [ClockTime(), ClockTime(2026, 2, 30, None, 1), ClockTime(2026, 0xFE, 1, None, 1), ClockTime(0, 1, 1, None, 1)],
)
def test_a_day_that_does_not_exist_gives_no_instant(time: ClockTime) -> None:
    assert time.to_utc(UTC) is None


def test_a_date_without_an_hour_is_a_date() -> None:
    time = ClockTime(2026, 3, 1)
    assert time.to_utc(UTC) is None
    assert time.to_date() == date(2026, 3, 1)


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2150, 1, 1)).map(lambda t: t.replace(microsecond=0)),  # noqa: DTZ001 (zoned below)
    st.integers(-12 * 60, 14 * 60),
)
def test_an_instant_survives_the_meter_clock(moment: datetime, offset_min: int) -> None:
    zoned = moment.replace(tzinfo=timezone(timedelta(minutes=offset_min)))
    assert ClockTime.of(zoned).to_utc() == zoned


def test_a_naive_datetime_is_refused() -> None:
    with pytest.raises(ValueError, match="naive"):
        ClockTime.of(datetime(2026, 1, 1))  # noqa: DTZ001 (that is the point)


def test_a_doubtful_clock_is_not_valid() -> None:
    assert ClockTime(status=None).is_valid
    assert not ClockTime(status=ClockStatus.DOUBTFUL_VALUE).is_valid
