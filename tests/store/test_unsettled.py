"""Days to settle: nothing noted is lost, and nothing settled comes back."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.storage.readings import Readings, UnsettledDays
from meterspan.store.unsettled import merged_days, remaining_days, touched_days

entries = st.lists(st.tuples(st.integers(1, 3), st.integers(-2, 3), st.integers(0, 9), st.integers(1, 3)), max_size=12)


def days(rows):
    columns = zip(*rows, strict=True) if rows else [()] * 4
    return UnsettledDays(*(np.array(column, np.int32) for column in columns))


def sums(found):
    columns = (found.series, found.day, found.readings, found.notes)
    return {(s, d): (r, n) for s, d, r, n in zip(*(column.tolist() for column in columns), strict=True)}


@given(st.lists(entries, max_size=4))
def test_merged_entries_are_sums_by_series_and_day(parts):
    expected = {}
    for series, day, readings, notes in (row for part in parts for row in part):
        known = expected.get((series, day), (0, 0))
        expected[series, day] = known[0] + readings, known[1] + notes
    found = merged_days([days(part) for part in parts])
    assert sums(found) == expected
    assert list(sums(found)) == sorted(expected)


@given(entries, entries)
def test_what_is_noted_after_it_was_listed_stays_when_the_list_is_settled(before, meanwhile):
    listed = merged_days([days(before)])
    now = merged_days([listed, days(meanwhile)])
    assert sums(remaining_days(now, listed)) == sums(merged_days([days(meanwhile)]))


@given(entries)
def test_what_was_settled_twice_is_no_trouble(before):
    listed = merged_days([days(before)])
    assert len(remaining_days(UnsettledDays.empty(), listed)) == 0


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(-(1 << 62), 1 << 62)), max_size=20))
def test_every_day_of_every_reading_is_touched_once(rows):
    series, times = (np.array([row[index] for row in rows], np.int64) for index in (0, 1))
    zero = np.zeros(len(rows), np.int32)
    whole = Readings(series.astype(np.int32), times, times, zero, zero, zero.astype(np.int8), times)
    cut = len(rows) // 2
    found = touched_days([whole[:cut], whole[cut:]])
    assert int(found.readings.sum()) == len(rows)
    assert set(found.notes.tolist()) <= {1}
    limits = np.iinfo(np.int32)
    expected = {(number, min(max(time // 86_400, limits.min), limits.max)) for number, time in rows}
    assert set(sums(found)) == expected
