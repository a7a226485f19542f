"""Instants as numbers."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.quantities.instants import DAY_S, HOUR_S, utc, utc_seconds


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


def test_a_naive_datetime_has_no_instant():
    with pytest.raises(ValueError, match="naive"):
        utc_seconds(datetime(2026, 1, 1))  # noqa: DTZ001 - the naive value is the test
