"""The ledger knows what is missing, and only that."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.head_end.ledger import Channel, Ledger
from meterspan.quantities import DAY_S, Obis

METER = Channel("MSP0000001", Obis(1, 0, 1, 8, 0))
QUARTER_S = 900
MIDNIGHT = 20_000 * DAY_S
SLOT = st.integers(0, 400)


def times(*slots: int) -> "np.typing.NDArray[np.int64]":
    return np.array([MIDNIGHT + slot * QUARTER_S for slot in slots], np.int64)


@pytest.fixture
def ledger() -> Ledger:
    ledger = Ledger()
    ledger.expect(METER, period_s=QUARTER_S, start=MIDNIGHT)
    return ledger


def test_a_day_of_quarters_expects_ninety_six(ledger: Ledger) -> None:
    assert ledger.count(METER, MIDNIGHT + DAY_S) == (96, 0)
    assert ledger.missing(METER, MIDNIGHT + DAY_S) == [(MIDNIGHT, MIDNIGHT + DAY_S)]


def test_the_midnight_stamp_closes_the_day_it_ends(ledger: Ledger) -> None:
    assert ledger.record(METER, times(*range(1, 97))) == 96
    assert ledger.count(METER, MIDNIGHT + DAY_S) == (96, 96)
    (day,) = ledger.days(METER, MIDNIGHT + DAY_S)
    assert (day.day, day.expected, day.missing) == (20_000, 96, 0)


def test_holes_are_spans_that_a_range_read_can_fill(ledger: Ledger) -> None:
    ledger.record(METER, times(1, 2, 5, 6, 10))
    assert ledger.missing(METER, MIDNIGHT + 12 * QUARTER_S) == [
        (MIDNIGHT + a * QUARTER_S, MIDNIGHT + b * QUARTER_S) for a, b in [(2, 4), (6, 9), (10, 12)]
    ]


def test_a_hole_over_midnight_is_one_span(ledger: Ledger) -> None:
    ledger.record(METER, times(*range(1, 91), *range(100, 193)))
    assert ledger.missing(METER, MIDNIGHT + 2 * DAY_S) == [(MIDNIGHT + 90 * QUARTER_S, MIDNIGHT + 99 * QUARTER_S)]


def test_the_same_value_twice_counts_once(ledger: Ledger) -> None:
    assert ledger.record(METER, times(1, 1, 2)) == 2
    assert ledger.record(METER, times(1, 2)) == 0


def test_a_value_between_the_marks_fills_the_slot_it_falls_in(ledger: Ledger) -> None:
    assert ledger.record(METER, np.array([MIDNIGHT + QUARTER_S + 1], np.int64)) == 1
    assert ledger.missing(METER, MIDNIGHT + 2 * QUARTER_S) == [(MIDNIGHT, MIDNIGHT + QUARTER_S)]


def test_a_retired_channel_owes_nothing_more(ledger: Ledger) -> None:
    ledger.retire(METER, MIDNIGHT + 4 * QUARTER_S)
    assert ledger.count(METER, MIDNIGHT + 10 * DAY_S) == (4, 0)


def test_an_unexpected_channel_is_not_counted(ledger: Ledger) -> None:
    unknown = Channel("MSP9999999", METER.obis)
    assert ledger.record(unknown, times(1)) == 0
    assert ledger.count(unknown, MIDNIGHT + DAY_S) == (0, 0)
    assert ledger.missing(unknown, MIDNIGHT + DAY_S) == []


def test_a_period_that_does_not_divide_the_day_is_refused() -> None:
    with pytest.raises(ValueError, match="divide"):
        Ledger().expect(METER, period_s=7_000, start=0)


@given(st.sets(st.integers(1, 300)), st.integers(1, 300), st.randoms(use_true_random=False))
def test_received_and_missing_make_up_the_expected_in_any_order(slots: set[int], until: int, order: object) -> None:
    ledger = Ledger()
    ledger.expect(METER, period_s=QUARTER_S, start=MIDNIGHT)
    shuffled = sorted(slots)
    order.shuffle(shuffled)
    for slot in shuffled:
        ledger.record(METER, times(slot))
    end = MIDNIGHT + until * QUARTER_S
    expected, received = ledger.count(METER, end)
    holes = {slot for start, stop in ledger.missing(METER, end) for slot in range(start, stop, QUARTER_S)}
    assert expected == until
    assert received == len({slot for slot in slots if slot <= until})
    assert holes == {MIDNIGHT + (slot - 1) * QUARTER_S for slot in range(1, until + 1) if slot not in slots}


@given(
    st.sets(st.integers(0, 400)),
    st.integers(0, 300),
    st.integers(0, 400),
    st.none() | st.integers(0, 400),
    st.integers(0, 5),
)
def test_the_count_of_a_life_is_the_sum_of_its_days_whatever_came_before_or_is_ahead(slots, start, until, end, first):
    ledger, base = Ledger(), 20_000
    ledger.expect(METER, period_s=900, start=base * DAY_S + 900 * start)
    ledger.record(METER, np.array([base * DAY_S + 900 * slot for slot in slots], np.int64))
    if end is not None:
        ledger.retire(METER, base * DAY_S + 900 * end)
    limit = base * DAY_S + 900 * until
    days = list(ledger.days(METER, limit))
    assert ledger.count(METER, limit) == (sum(day.expected for day in days), sum(day.received for day in days))
    assert list(ledger.days(METER, limit, first=base + first)) == [day for day in days if day.day >= base + first]
