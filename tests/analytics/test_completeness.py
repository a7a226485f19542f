"""Completeness counts periods, not readings, and by one rule for the ledger and for the data management."""

from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.analytics.completeness import DayCount, count_days, periods_due, periods_filled, share_received
from meterspan.head_end.ledger import Channel, Ledger
from meterspan.quantities import DAY_S, parse_obis

PERIOD_S = 900
START = 10 * DAY_S


def counted(times, **given):
    return count_days(np.array(times, np.int64), period_s=PERIOD_S, first_day=10, last_day=11, **given)


def test_a_value_fills_the_period_that_it_closes():
    assert periods_filled(np.array([900, 1_800, 901, 1_799], np.int64), PERIOD_S).tolist() == [0, 1]
    assert list(periods_due(901, 2_700, PERIOD_S)) == [2]


def test_the_register_of_midnight_completes_the_day_before():
    assert counted([START, START + DAY_S, START + 2 * DAY_S]) == [DayCount(10, 96, 1), DayCount(11, 96, 1)]


def test_each_period_counts_once():
    found = counted([START + 3, START + 890, START + 900, START + DAY_S - 1, START + 2 * DAY_S])
    assert found == [DayCount(10, 96, 2), DayCount(11, 96, 1)]
    assert found[0].missing == 94


def test_without_readings_all_is_missing():
    assert counted([]) == [DayCount(10, 96, 0), DayCount(11, 96, 0)]


def test_nothing_is_expected_before_installation_and_after_now():
    found = counted([START + 1_800, START], since=START + 900, until=START + DAY_S + 3_600)
    assert found == [DayCount(10, 95, 1), DayCount(11, 4, 0)]


@pytest.mark.parametrize("period_s", [900, 3_600, DAY_S])
@given(times=st.lists(st.integers(START - 1_000, START + 2 * DAY_S + 1_000)), until=st.integers(0, 2 * DAY_S))
def test_the_ledger_of_the_head_end_counts_the_same(period_s, times, until):
    stamps = np.array(times, np.int64)
    channel = Channel("M1", parse_obis("1-0:1.8.0"))
    ledger = Ledger()
    ledger.expect(channel, period_s=period_s, start=START)
    ledger.record(channel, stamps)
    own = count_days(stamps, period_s=period_s, first_day=10, last_day=11, since=START, until=START + until)
    assert list(ledger.days(channel, START + until)) == [count for count in own if count.expected]


@pytest.mark.finding("users A7")
@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_the_share_is_whole_only_where_nothing_is_missing_and_unknown_where_nothing_was_due(received, expected):
    share = share_received(received, expected)
    if expected == 0:
        assert share is None
    else:
        assert share is not None
        assert (share == 1) == (received >= expected)
        assert Decimal(0) <= Decimal(min(received, expected)) / expected - share < Decimal("0.0001")
