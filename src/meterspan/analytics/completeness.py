"""Completeness: how many readings of a register were due and came, per UTC day."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meterspan.quantities import DAY_S

__all__ = ["DayCount", "count_days"]


@dataclass(frozen=True, slots=True)
class DayCount:
    """One register on one UTC day (days since 1970-01-01)."""

    day: int
    expected: int
    received: int


def count_days(
    time: NDArray[np.int64], *, period_s: int, first_day: int, last_day: int,
    since: int | None = None, until: int | None = None,
) -> list[DayCount]:  # fmt: skip
    """Count, for each day, the periods that were due and those with at least one reading.

    A reading belongs to the bound that it is nearest to; the bound at a day's begin belongs to that day.

    Args:
        time: UTC seconds of the readings, in any order.
        period_s: capture period in seconds.
        first_day: first day counted, days since 1970.
        last_day: last day counted.
        since: UTC seconds before which nothing was due (installation); None is open.
        until: UTC seconds from which on nothing is due (removal, or now); None is open.

    """
    low = max(first_day * DAY_S, since if since is not None else first_day * DAY_S)
    high = min((last_day + 1) * DAY_S, until if until is not None else (last_day + 1) * DAY_S)
    days = last_day - first_day + 1
    due = np.arange(-(-low // period_s), -(-high // period_s), dtype=np.int64) * period_s
    number = np.unique((2 * time + period_s - 1) // (2 * period_s)) * period_s
    came = number[(number >= low) & (number < high)]
    expected = np.bincount(due // DAY_S - first_day, minlength=days)
    received = np.bincount(came // DAY_S - first_day, minlength=days)
    return [DayCount(first_day + at, int(expected[at]), int(received[at])) for at in range(days)]
