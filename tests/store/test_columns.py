"""The journal's batch: every reading survives, and damaged octets are said to be damaged."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.storage.errors import DamagedBatchError
from meterspan.model.storage.readings import COLUMNS, Readings, SettledIntervals, UnsettledDays
from meterspan.store.columns import (
    HEADER,
    read_batch,
    read_intervals,
    read_unsettled,
    write_batch,
    write_intervals,
    write_unsettled,
)


@st.composite
def some_readings(draw):
    count = draw(st.integers(0, 30))

    def column(dtype):
        info = np.iinfo(dtype)
        items = draw(st.lists(st.integers(int(info.min), int(info.max)), min_size=count, max_size=count))
        return np.array(items, dtype)

    return Readings(*(column(dtype) for dtype in COLUMNS.values()))


@given(some_readings())
def test_a_batch_reads_back(readings):
    found = read_batch(write_batch(readings))
    for name in COLUMNS:
        assert np.array_equal(getattr(found, name), getattr(readings, name))


def day_of_a_meter():
    count = 96
    time = np.arange(count, dtype=np.int64) * 900 + 1_700_000_000
    value = np.cumsum(np.arange(count, dtype=np.int64) % 7 * 31) + 5_000_000
    nothing = np.zeros(count, np.int32)
    return Readings(
        np.full(count, 7, np.int32), time, value, nothing, nothing, np.full(count, 1, np.int8), np.full(count, time[-1])
    )


def test_every_truncation_and_bit_flip_is_damage():
    octets = write_batch(day_of_a_meter()[:5])
    for length in range(len(octets)):
        with pytest.raises(DamagedBatchError):
            read_batch(octets[:length])
    for position in range(len(octets) * 8):
        damaged = bytearray(octets)
        damaged[position // 8] ^= 1 << position % 8
        if position // 8 in {5, 6, 7}:  # reserved octets say nothing
            continue
        with pytest.raises(DamagedBatchError):
            read_batch(bytes(damaged))


def test_a_batch_that_claims_too_much_is_damage_and_not_allocated():
    octets = HEADER.pack(b"MSB\n", 1, 0xFFFF_FFFF, 0)
    with pytest.raises(DamagedBatchError):
        read_batch(octets)


def test_a_day_of_one_meter_takes_less_than_three_octets_per_reading():
    assert len(write_batch(day_of_a_meter())) / 96 < 3


def test_intervals_are_not_taken_for_readings():
    start = np.array([0, 900], np.int64)
    octets = write_intervals(SettledIntervals(start, start + 900, start, np.zeros(2, np.int32)))
    found = read_intervals(octets)
    assert [found.start.tolist(), found.end.tolist()] == [[0, 900], [900, 1800]]
    assert [found.value.tolist(), found.quality.tolist()] == [[0, 900], [0, 0]]
    with pytest.raises(DamagedBatchError):
        read_batch(octets)


def test_days_to_settle_read_back_and_are_not_taken_for_readings():
    days = UnsettledDays.of([3, 3, 7], [20_000, 20_001, 20_000])
    octets = write_unsettled(days)
    found = read_unsettled(octets)
    assert (found.series.tolist(), found.day.tolist()) == ([3, 3, 7], [20_000, 20_001, 20_000])
    assert (found.readings.tolist(), found.notes.tolist()) == ([0, 0, 0], [1, 1, 1])
    with pytest.raises(DamagedBatchError):
        read_batch(octets)


def test_a_sorted_answer_is_in_series_time_value_order():
    one = day_of_a_meter()
    shuffled = one[np.random.default_rng(3).permutation(96)]
    assert np.array_equal(shuffled.sorted().time, one.time)
    assert one.sorted() is one
