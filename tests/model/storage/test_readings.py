"""The columns that are stored."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.storage.readings import COLUMNS, Readings, SettledIntervals, UnsettledDays

rows = st.lists(st.tuples(st.integers(1, 4), st.integers(0, 50), st.integers(0, 3)), max_size=20)


def readings(rows):
    columns = [np.array(column, np.int64) for column in zip(*rows, strict=True)] or [np.zeros(0, np.int64)] * 3
    nothing = np.zeros(len(rows), np.int32)
    return Readings(
        columns[0].astype(np.int32), columns[1], columns[2], nothing, nothing, nothing.astype(np.int8), columns[1]
    )


@given(rows, rows)
def test_joined_and_sorted_readings_are_the_same_rows_in_order(first, second):
    found = Readings.concatenate([readings(first), readings(second)]).sorted()
    assert list(zip(found.series, found.time, found.value, strict=True)) == sorted([*first, *second])
    assert all(getattr(found, name).dtype == dtype for name, dtype in COLUMNS.items())


def test_nothing_has_all_columns_and_no_rows():
    assert len(Readings.empty()) == len(Readings.concatenate([])) == len(SettledIntervals.empty()) == 0
    assert len(UnsettledDays.empty()) == 0


def test_a_day_that_is_noted_has_no_readings_and_one_note():
    days = UnsettledDays.of([1, 2], [20_000, 20_001])
    assert (days.readings.tolist(), days.notes.tolist()) == ([0, 0], [1, 1])
    assert days[[1]].series.tolist() == [2]
