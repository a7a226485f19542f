"""What a transaction changes in memory is taken back with it, in whole or to a mark."""

from hypothesis import given
from hypothesis import strategies as st

from meterspan.store.batch_cache import BatchCache
from meterspan.store.changes import Changes
from meterspan.store.series_bounds import SeriesBounds
from meterspan.store.unsettled import touched_days
from tests.store.test_reading_store import DAY_S, readings

rows = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 4 * DAY_S), st.just(1)), min_size=1, max_size=5)


def days_of(changes):
    days = changes.days()
    return (
        {} if days is None else dict(zip(zip(days.series, days.day, strict=True), days.readings.tolist(), strict=True))
    )


def bounds_of(bounds):
    return [bounds.of(series) for series in (1, 2, 3)]


@given(rows, rows, st.booleans())
def test_what_follows_a_mark_is_taken_back_and_what_is_before_it_stays(first, second, is_part):
    bounds = SeriesBounds()
    changes = Changes(bounds, BatchCache())
    changes.begin()
    assert changes.days() is None
    changes.note(readings(first))
    before, days, mark = bounds_of(bounds), days_of(changes), changes.mark()
    (changes.note_part if is_part else changes.note)(readings(second))
    assert sum(days_of(changes).values()) == len(first) + len(second)
    changes.back_to(mark)
    assert (bounds_of(bounds), days_of(changes)) == (before, days)
    changes.back_to(0)
    assert (bounds_of(bounds), changes.days()) == ([None, None, None], None)


def test_a_transaction_that_follows_takes_back_its_own_changes_alone():
    bounds = SeriesBounds()
    changes = Changes(bounds, BatchCache())
    changes.note(readings([(1, 900, 5)]))
    changes.begin()
    changes.set_bounds({1: None}, touched_days([readings([(1, 900, 5)])]))
    assert (bounds.of(1), days_of(changes)) == (None, {(1, 0): 1})
    changes.back_to(0)
    assert bounds.of(1) == (900, 900)


def test_batches_of_a_transaction_that_is_taken_back_are_not_kept():
    cache = BatchCache()
    cache.keep(7, readings([(1, 900, 5)]))
    Changes(SeriesBounds(), cache).back_to(0)
    assert cache.get(7) is None, "its number is given again"
