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


@pytest.mark.parametrize("end", [NOON, NOON - HOUR])
def test_an_empty_or_backward_span_is_refused(end: datetime) -> None:
    with pytest.raises(ValueError, match="ends"):
        Interval(NOON, end)
