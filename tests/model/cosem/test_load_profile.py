"""The ring of captured rows: bounded, in the order of capture, and kept through power loss."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.cosem.load_profile import NOT_CAPTURED, LoadProfile

ROWS = st.lists(
    st.tuples(st.integers(0, 2**40), st.integers(0, 255), st.tuples(*[st.integers(0, 2**64 - 1)] * 2)), max_size=20
)


def profile(rows, capacity=8):
    made = LoadProfile(2, capacity, lambda time, status, values: (time, status, *values))
    for time, status, values in rows:
        made.capture(time, status, values)
    return made


@given(ROWS, st.integers(1, 25), st.integers(1, 25))
def test_the_newest_rows_are_kept_in_the_order_of_capture(rows, first, last):
    made = profile(rows)
    kept = [(time, status, *values) for time, status, values in rows][-8:]
    assert (len(made), made.capacity, list(made.numbers())) == (len(kept), 8, kept)
    assert list(made.entries(first, last)) == kept[first - 1 : last]


@given(ROWS, st.integers(0, 2**40), st.integers(0, 2**40))
def test_a_range_finds_every_row_within_also_after_the_clock_was_set_back(rows, start, end):
    made = profile(rows, capacity=100)
    assert list(made.between(start, end)) == [(t, s, *v) for t, s, v in rows if start <= t <= end]


@given(ROWS, st.integers(0, 24))
def test_kept_rows_come_back_and_a_torn_last_row_is_left_out(rows, torn):
    made, again = profile(rows), profile([])
    octets = made.pack()
    again.unpack(octets[: max(0, len(octets) - torn)])
    kept = list(made.numbers())
    assert list(again.numbers()) == (kept if not torn or not kept else kept[:-1])


def test_a_finer_scale_multiplies_every_value_but_one_that_was_not_captured():
    made = profile([(1, 0, (5, 7)), (2, 0, (NOT_CAPTURED, 8))])
    made.rescale(0, 1_000)
    assert list(made.numbers()) == [(1, 0, 5_000, 7), (2, 0, NOT_CAPTURED, 8)]


def test_a_scale_that_does_not_fit_changes_nothing():
    made = profile([(1, 0, (2**63, 7))])
    with pytest.raises(OverflowError):
        made.rescale(0, 10)
    assert list(made.numbers()) == [(1, 0, 2**63, 7)]


def test_a_reset_leaves_no_row():
    made = profile([(1, 0, (5, 7))])
    made.reset()
    assert (len(made), made.pack()) == (0, b"")


@pytest.mark.finding("dlms D5")
def test_a_profile_without_rows_has_no_newest_one_and_gives_none_by_number():
    made = profile([])
    assert made.newest() is None
    assert list(made.entries(0, 0)) == []
    made.capture(5, 1, (2, 3))
    assert made.newest() == (5, 1, 2, 3)
    assert list(made.entries(-3, 0)) == []
    assert list(made.entries(0, 9)) == [(5, 1, 2, 3)]
