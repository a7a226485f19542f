"""Times of a compact profile: one step each from the base, forwards or backwards, and none where something is open."""

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.readings.profiles import profile_times
from meterspan.wire.mbus import Profile

bases = st.dates(date(2000, 1, 1), date(2080, 12, 31))
SECONDS = {"s": 1, "min": 60, "h": 3_600}


def profile(count, *, spacing=1, unit="d", is_inverse=False):
    made = Profile.__new__(Profile)
    for name, value in {"spacing": spacing, "unit": unit, "is_inverse": is_inverse, "records": (None,) * count}.items():
        object.__setattr__(made, name, value)
    return made


@given(bases, st.integers(0, 40), st.integers(1, 31), st.booleans())
def test_days_are_one_spacing_apart_from_the_base(base, count, spacing, is_inverse):
    sign = -1 if is_inverse else 1
    times = profile_times(profile(count, spacing=spacing, is_inverse=is_inverse), base)
    assert times == [(base + timedelta(days=sign * spacing * step)).isoformat() for step in range(1, count + 1)]


@given(st.datetimes(datetime(2000, 1, 1), datetime(2080, 1, 1)), st.sampled_from(["s", "min", "h"]), st.integers(1, 60))  # noqa: DTZ001 (local times of a meter)
def test_seconds_minutes_and_hours_count_from_a_date_with_a_time_only(base, unit, spacing):
    steps = profile(3, spacing=spacing, unit=unit)
    shift = timedelta(seconds=spacing * SECONDS[unit])
    assert profile_times(steps, base) == [(base + shift * step).isoformat() for step in (1, 2, 3)]
    assert profile_times(steps, base.date()) == [None] * 3


@given(bases, st.integers(1, 40), st.booleans())
def test_months_step_one_by_one_and_the_last_day_of_a_month_stays_the_last(base, count, is_inverse):
    times = [
        date.fromisoformat(time) for time in profile_times(profile(count, unit="month", is_inverse=is_inverse), base)
    ]
    sign = -1 if is_inverse else 1
    months = [time.year * 12 + time.month for time in (base, *times)]
    assert [month - months[0] for month in months[1:]] == [sign * step for step in range(1, count + 1)]
    is_last = (base + timedelta(days=1)).day == 1
    for time in times:
        ends = (time + timedelta(days=1)).day == 1
        assert ends if is_last else time.day == base.day or (ends and time.day < base.day)


@pytest.mark.parametrize(
    ("spacing", "unit", "base"),
    [(0, "d", date(2026, 1, 1)), (1, "d", None), (1, "?", datetime(2026, 1, 1))],  # noqa: DTZ001 (local)
)
def test_where_the_base_or_the_spacing_is_open_no_time_is_made_up(spacing, unit, base):
    assert profile_times(profile(2, spacing=spacing, unit=unit), base) == [None, None]
