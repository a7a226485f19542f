"""Times as stretches: none is lost, none made up, whatever the distances; even ones are one row."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.readings import Source
from meterspan.model.storage.readings import Readings
from meterspan.model.storage.stretches import Stretch, Stretches

ROWS = st.lists(
    st.tuples(
        st.integers(1, 3),
        st.one_of(st.integers(0, 30), st.integers(0, 9).map(lambda n: 900 * n), st.integers(-(2**40), 2**40)),
    ),
    max_size=60,
)


def readings(rows):
    rows = sorted(rows)
    zero = np.zeros(len(rows), np.int32)
    times = np.array([time for _, time in rows], np.int64)
    series = np.array([number for number, _ in rows], np.int32)
    return Readings(series, times, times, zero, zero, zero.astype(np.int8), times + 7)


def told(stretches):
    return sorted(
        (number, time) for number, rows, _ in stretches.by_series() for row in rows for time in row.times.tolist()
    )


@given(ROWS)
def test_no_time_is_lost_or_made_up(rows):
    found = Stretches.of(readings(rows))
    assert told(found) == sorted(set(rows))
    assert {number: newest for number, _, newest in found.by_series()} == {
        number: max(time for other, time in rows if other == number) + 7 for number, _ in rows
    }


@given(st.lists(ROWS, max_size=5))
def test_parts_are_joined_without_losing_or_making_up_a_time(parts):
    apart = [{(number, time + index * 2**44) for number, time in rows} for index, rows in enumerate(parts)]
    found = Stretches.concatenated([Stretches.of(readings(rows)) for rows in apart])
    assert told(found) == sorted(set().union(*apart))
    assert len(Stretches.concatenated([found])) == len(found)


def test_even_times_are_one_stretch_also_over_parts_and_alone():
    days = [Stretches.of(readings([(1, 86_400 * day + 900 * slot) for slot in range(96)])) for day in range(400)]
    assert [rows for _, rows, _ in Stretches.concatenated(days).by_series()] == [[Stretch(0, 900, 400 * 96)]]
    lone = [Stretches.of(readings([(2, 86_400 * day)])) for day in range(400)]
    assert [rows for _, rows, _ in Stretches.concatenated(lone).by_series()] == [[Stretch(0, 86_400, 400)]]
    holed = Stretches.of(readings([(3, 900 * slot) for slot in range(96) if slot not in {5, 40, 41}]))
    assert len(Stretches.concatenated([holed])) == 3


def test_a_register_that_people_gave_at_an_exchange_was_not_heard():
    given = readings([(1, 900), (1, 1_800), (2, 900)])
    given = replace(given, source=np.array([Source.EXCHANGE, Source.PUSH, Source.EXCHANGE], np.int8))
    assert [newest for _, _, newest in Stretches.of(given).by_series()] == [1_807, 0]
    late = replace(given, received_at=np.array([9_999, 1_807, 9_999]))
    assert [newest for _, _, newest in Stretches.of(late).by_series()] == [1_807, 0]
