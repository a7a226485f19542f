"""Bounds of series in memory."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.storage.readings import Readings
from meterspan.store.series_bounds import SeriesBounds

rows = st.lists(st.tuples(st.integers(0, 600), st.integers(-50, 50)), max_size=90)


def readings(rows):
    series, times = (np.array([row[index] for row in rows], np.int64) for index in (0, 1))
    zero = np.zeros(len(rows), np.int32)
    return Readings(series.astype(np.int32), times, times, zero, zero, zero.astype(np.int8), times)


def extents(batches):
    found = {}
    for series, time in (row for batch in batches for row in batch):
        low, high = found.get(series, (time, time))
        found[series] = min(low, time), max(high, time)
    return found


@given(st.lists(rows, max_size=4), rows)
def test_bounds_are_the_extents_and_a_batch_taken_back_leaves_no_trace(batches, last):
    bounds = SeriesBounds()
    for batch in batches:
        bounds.note(readings(batch))
    before = bounds.note(readings(last))
    assert {s: bounds.of(s) for s in range(700) if bounds.of(s)} == extents([*batches, last])
    bounds.restore(before)
    assert {s: bounds.of(s) for s in range(700) if bounds.of(s)} == extents(batches)


def test_news_are_later_than_their_series_in_rising_time_each_series_once():
    bounds = SeriesBounds()
    bounds.load(1, 0, 10)
    bounds.reserve(9)
    assert bounds.is_news(readings([(1, 11), (1, 12), (2, 0)]))
    assert not bounds.is_news(readings([(1, 10)]))
    assert not bounds.is_news(readings([(1, 12), (1, 11)]))
    assert not bounds.is_news(readings([(1, 11), (2, 0), (1, 12)]))
