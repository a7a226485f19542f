"""Decoded batches are kept up to a number of readings; those that nobody asks for go first."""

from hypothesis import given
from hypothesis import strategies as st

from meterspan.store.batch_cache import BatchCache
from tests.store.test_reading_store import readings


def batch(count):
    return readings([(1, 900 * index, index) for index in range(count)])


def test_the_batch_that_was_not_asked_for_longest_is_forgotten_first():
    cache = BatchCache(readings_max=30)
    for seq in (1, 2, 3):
        cache.keep(seq, batch(10))
    assert cache.get(1) is not None
    cache.keep(4, batch(10))
    assert [cache.get(seq) is None for seq in (1, 2, 3, 4)] == [False, True, False, False]
    cache.clear()
    assert [cache.get(seq) for seq in (1, 2, 3, 4)] == [None] * 4


def test_a_batch_larger_than_all_is_kept_alone():
    cache = BatchCache(readings_max=30)
    cache.keep(1, batch(10))
    cache.keep(2, batch(31))
    assert (cache.get(1), len(cache.get(2))) == (None, 31)


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(0, 20))))
def test_the_kept_readings_stay_within_the_bound(kept):
    cache, sizes = BatchCache(readings_max=30), {}
    for seq, count in kept:
        if cache.get(seq) is None:
            sizes[seq] = count
        cache.keep(seq, batch(count))
        held = {seq for seq in sizes if cache.get(seq) is not None}
        assert seq in held
        assert len(held) == 1 or sum(sizes[seq] for seq in held) <= 30
