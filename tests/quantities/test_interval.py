"""Intervals are half open, aware and never empty."""

from datetime import UTC, datetime, timedelta

import pytest

from meterspan.quantities import Interval

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_the_start_belongs_and_the_end_does_not() -> None:
    span = Interval(NOON, NOON + HOUR)
    assert NOON in span
    assert NOON + HOUR not in span


def test_neighbours_do_not_overlap() -> None:
    first, second = Interval(NOON, NOON + HOUR), Interval(NOON + HOUR, NOON + 2 * HOUR)
    assert first.overlap(second) is None
    assert first.overlap(Interval(NOON + HOUR / 2, NOON + 2 * HOUR)) == Interval(NOON + HOUR / 2, NOON + HOUR)


def test_the_last_piece_of_a_split_may_be_shorter() -> None:
    pieces = list(Interval(NOON, NOON + timedelta(minutes=40)).split(timedelta(minutes=15)))
    assert [piece.duration for piece in pieces] == [timedelta(minutes=15), timedelta(minutes=15), timedelta(minutes=10)]
    assert pieces[0].start == NOON
    assert pieces[-1].end == NOON + timedelta(minutes=40)


@pytest.mark.parametrize("end", [NOON, NOON - HOUR])
def test_an_empty_or_backward_span_is_refused(end: datetime) -> None:
    with pytest.raises(ValueError, match="ends"):
        Interval(NOON, end)
    with pytest.raises(ValueError, match="positive"):
        list(Interval(NOON, NOON + HOUR).split(timedelta(0)))
