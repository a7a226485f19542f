"""Completeness: how many readings of a series were due and came, per UTC day."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["DayCount", "count_days"]

DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class DayCount:
    """One series on one UTC day (days since 1970-01-01)."""

    series: int
    day: int
    expected: int
    received: int


def count_days(
    series: NDArray[np.int32], time: NDArray[np.int64], *, period_s: int, first_day: int, last_day: int,
    since: int | None = None, until: int | None = None,
) -> list[DayCount]:  # fmt: skip
    """Count, for each series and day, the periods that were due and those with at least one reading.

    A reading belongs to the bound that it is nearest to; the bound at a day's begin belongs to that day. Days
    without any reading of a series that occurs are counted with ``received`` 0.

    Args:
        series: number of each reading's series.
        time: UTC seconds of each reading.
        period_s: capture period in seconds.
        first_day: first day counted, days since 1970.
        last_day: last day counted.
        since: UTC seconds before which nothing was due (installation); None is open.
        until: UTC seconds from which on nothing is due (removal, or now); None is open.

    """
    low = max(first_day * DAY_S, since if since is not None else first_day * DAY_S)
    high = min((last_day + 1) * DAY_S, until if until is not None else (last_day + 1) * DAY_S)
    due = np.arange(-(-low // period_s), -(-high // period_s), dtype=np.int64)
    expected = np.bincount(due * period_s // DAY_S - first_day, minlength=last_day - first_day + 1)
    number = (2 * time + period_s - 1) // (2 * period_s)
    within = (number * period_s >= low) & (number * period_s < high)
    counts: list[DayCount] = []
    for one in np.unique(series):
        bounds = np.unique(number[within & (series == one)])
        received = np.bincount(bounds * period_s // DAY_S - first_day, minlength=len(expected))
        counts.extend(
            DayCount(int(one), first_day + offset, int(expected[offset]), int(received[offset]))
            for offset in range(len(expected))
        )
    return counts
