"""Local days and months over UTC seconds; totals add up through every change of the clock."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.analytics.calendar import (
    cut_at,
    day_bounds,
    days_of_month,
    grid,
    local_day,
    month_bounds,
    sums_between,
)

ZONES = (
    "Europe/Berlin",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Asia/Beirut",
    "Pacific/Auckland",
)


@pytest.mark.parametrize(
    ("day", "zone", "quarters"),
    [
        (date(2026, 3, 29), "Europe/Berlin", 92),
        (date(2026, 10, 25), "Europe/Berlin", 100),
        (date(2026, 6, 1), "Europe/Berlin", 96),
        (date(2026, 10, 4), "Australia/Lord_Howe", 94),
        (date(2023, 3, 26), "Asia/Beirut", 92),  # midnight itself is skipped
    ],
)
def test_a_local_day_has_its_quarters(day, zone, quarters):
    start, end = day_bounds(day, zone)
    assert (end - start) / 900 == quarters
    assert local_day(start, zone) == local_day(end - 1, zone) == day
    assert local_day(start - 1, zone) == day - timedelta(days=1)


@given(st.dates(date(2000, 1, 1), date(2037, 12, 31)), st.sampled_from(ZONES))
def test_days_touch_and_fill_their_month(day, zone):
    days = days_of_month(day)
    bounds = [day_bounds(item, zone) for item in days]
    assert all(one[1] == two[0] for one, two in pairwise(bounds))
    assert (bounds[0][0], bounds[-1][1]) == month_bounds(day, zone)
    assert datetime.fromtimestamp(bounds[0][0], ZoneInfo(zone)).day == 1


@given(st.dates(date(2024, 1, 1), date(2027, 12, 1)), st.sampled_from(ZONES), st.integers(0, 10**9))
def test_day_totals_add_up_to_the_month_total(month, zone, seed):
    start, end = month_bounds(month, zone)
    lows = np.arange(start // 3_600 * 3_600 + 3_600, end - 3_600, 3_600, dtype=np.int64)
    values = np.random.default_rng(seed).integers(0, 10**6, len(lows))
    edges = [day_bounds(day, zone)[0] for day in days_of_month(month)] + [end]
    days = sums_between(lows, lows + 3_600, values, edges)
    assert int(days.sum()) == int(values.sum()) == int(sums_between(lows, lows + 3_600, values, (start, end))[0])


@given(st.lists(st.integers(1, 10_000), min_size=1, max_size=10), st.lists(st.integers(-100, 100_000), max_size=10))
def test_the_pieces_of_a_cut_add_up_and_touch(lengths, cuts):
    edges = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    values = (edges[1:] * 7_919) % 1_009 - 300
    low, high, value, owner = cut_at(edges[:-1], edges[1:], values, cuts)
    assert np.array_equal(low[1:], high[:-1])
    assert (low[0], high[-1]) == (0, edges[-1])
    for index in range(len(lengths)):
        assert int(value[owner == index].sum()) == values[index]
    for cut in cuts:
        assert not np.any((low < cut) & (high > cut))


def test_a_grid_holds_both_ends_and_the_utc_bounds_between():
    start = int(datetime(2026, 6, 1, 18, 15, tzinfo=UTC).timestamp())  # Kathmandu midnight
    assert ((grid(start, start + 7_200, 3_600) - start) // 60).tolist() == [0, 45, 105, 120]
    assert grid(0, 1_800, 900).tolist() == [0, 900, 1_800]
