"""Completeness: which capture periods have a value, and how many of a UTC day are due and received.

One rule for every count: time is cut into periods on the UTC grid, numbered from 1970. The period ``start < t <= end``
is filled by any value stamped in it, because a register at 14:00 closes the hour before. A period is due when its end
is past. It belongs to the UTC day in which it begins, so the register of midnight completes the day before.
"""

from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal
from typing import Final

import numpy as np
from numpy.typing import NDArray

from meterspan.quantities import DAY_S

__all__ = ["DayCount", "count_days", "periods_due", "periods_filled", "share_received"]

_SHARE_STEP: Final = Decimal("0.0001")


@dataclass(frozen=True, slots=True)
class DayCount:
    """How many periods of one UTC day (days since 1970-01-01) were due and received."""

    day: int
    expected: int
    received: int

    @property
    def missing(self) -> int:
        """Periods that were due and have no value."""
        return self.expected - self.received


def share_received(received: int, expected: int) -> Decimal | None:
    """Return the received share of the expected values, 0..1 in steps of 0.0001; None where nothing was due.

    The share is rounded down: it is 1 only where every value arrived. More values than were due count as all.
    """
    if expected <= 0:
        return None
    return (Decimal(min(received, expected)) / expected).quantize(_SHARE_STEP, rounding=ROUND_FLOOR)


def periods_filled(times: NDArray[np.int64], period_s: int) -> NDArray[np.int64]:
    """Return the numbers of the periods that values fill, in rising order, each once.

    Args:
        times: UTC seconds of the values, in any order.
        period_s: capture period in seconds.

    """
    numbers: NDArray[np.int64] = -(-times // period_s) - 1
    steps = np.diff(numbers)
    if (steps < 0).any():
        return np.unique(numbers)
    return numbers[np.concatenate(([True], steps > 0))] if len(numbers) else numbers  # sorted, as readings are stored


def periods_due(start: int, end: int, period_s: int) -> range:
    """Return the numbers of the periods that lie in ``start..end`` (UTC seconds) as a whole."""
    return range(-(-start // period_s), end // period_s)


def count_days(
    time: NDArray[np.int64],
    *,
    period_s: int,
    first_day: int,
    last_day: int,
    since: int | None = None,
    until: int | None = None,
) -> list[DayCount]:
    """Count, for each day, the periods that were due and those of them that are filled.

    Args:
        time: UTC seconds of the readings, in any order.
        period_s: capture period in seconds.
        first_day: first day counted, days since 1970.
        last_day: last day counted.
        since: UTC seconds before which nothing was due (installation); None is open.
        until: UTC seconds after which nothing is due (removal, or now); None is open.

    """
    low, high = first_day * DAY_S, (last_day + 1) * DAY_S
    days = last_day - first_day + 1
    due = periods_due(max(low, low if since is None else since), high if until is None else until, period_s)
    first, stop = due.start, max(due.start, min(due.stop, -(-high // period_s)))
    numbers = np.arange(first, stop, dtype=np.int64)
    filled = periods_filled(time, period_s)
    filled = filled[(filled >= first) & (filled < stop)]
    expected = np.bincount(numbers * period_s // DAY_S - first_day, minlength=days)
    received = np.bincount(filled * period_s // DAY_S - first_day, minlength=days)
    return [DayCount(first_day + at, int(expected[at]), int(received[at])) for at in range(days)]
