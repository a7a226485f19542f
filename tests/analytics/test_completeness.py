"""Completeness counts periods, not readings."""

import numpy as np

from meterspan.analytics.completeness import DayCount, count_days

DAY_S = 86_400


def counted(times, **given):
    return count_days(np.array(times, np.int64), period_s=900, first_day=10, last_day=11, **given)


def test_each_period_counts_once_and_off_grid_readings_count_for_their_bound():
    start = 10 * DAY_S
    found = counted([start, start + 3, start + 890, start + 900, start + DAY_S - 1, start + 2 * DAY_S])
    assert found == [DayCount(10, 96, 2), DayCount(11, 96, 1)]


def test_without_readings_all_is_missing():
    assert counted([]) == [DayCount(10, 96, 0), DayCount(11, 96, 0)]


def test_nothing_is_expected_before_installation_and_after_now():
    start = 10 * DAY_S
    found = counted([start + 1_800, start], since=start + 900, until=start + DAY_S + 3_600)
    assert found == [DayCount(10, 95, 1), DayCount(11, 4, 0)]
