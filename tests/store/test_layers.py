"""Which rows count: as if an undone import had never been, whatever else is at its instants."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from meterspan.quantities import Quality
from meterspan.store.layers import OF_IMPORT, VOID, is_marked, live, marked, without_marks, without_voids
from tests.store.contract import readings, rows_of

ROWS = st.lists(st.tuples(st.integers(1, 2), st.integers(0, 3), st.integers(0, 2)), max_size=6, unique=True)


def join(*parts):
    return type(parts[0]).concatenate(parts).sorted()


@given(ROWS, ROWS)
def test_rows_and_their_voids_leave_what_was_there_before(rows, imported):
    own, taken = readings(rows, 5), marked(readings(imported, 9), OF_IMPORT)
    left = live(join(own, taken, marked(taken, VOID)))
    assert rows_of(left) == sorted(rows)
    assert not is_marked(left)
    assert rows_of(without_voids(join(own, taken, marked(taken, VOID)))) == sorted(rows)


@given(ROWS, ROWS)
def test_every_reading_counts_once_however_often_it_is_stored(rows, imported):
    taken = marked(readings(imported, 9), OF_IMPORT)
    found = live(join(readings(rows, 5), taken, marked(taken, VOID), taken))
    assert rows_of(found) == sorted({*rows, *imported})
    assert set(found.received_at.tolist()) <= {5, 9}


def test_a_value_that_is_left_alone_at_its_instant_contradicts_nothing_any_more():
    first, second = readings([(1, 0, 5)], 1), readings([(1, 0, 6)], 2)
    second.quality[:] |= int(Quality.CONFLICT)
    taken = marked(first, OF_IMPORT)
    assert live(join(taken, second)).quality.tolist() == [0, int(Quality.CONFLICT)]
    assert live(join(taken, second, marked(taken, VOID))).quality.tolist() == [0]


def test_rows_without_marks_stay_the_very_same():
    plain = readings([(1, 0, 5), (1, 9, 6)])
    assert live(plain) is plain
    assert without_marks(plain) is plain
    assert np.all(without_marks(marked(plain, OF_IMPORT)).quality == plain.quality)
