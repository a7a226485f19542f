"""Local calendars over UTC intervals: days of 23, 24 or 25 hours, months, totals that add up.

A local day is ``[midnight, next midnight)`` in its zone; where midnight does not exist (Beirut, Cairo), the day
begins with its first instant.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from meterspan.analytics.conserve import share

__all__ = ["cut_at", "day_bounds", "day_start", "days_of_month", "grid", "local_day", "month_bounds", "sums_between"]

CACHED_DAYS = 8_192
"""Bounds kept: about eleven years of one zone's days."""


@lru_cache(maxsize=CACHED_DAYS)
def day_start(day: date, zone: str) -> int:
    """Return the UTC seconds of the first instant of a local day."""
    # Where midnight is in the spring gap, fold=0 counts with the offset before it: that is the change itself.
    return int(datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)).astimezone(UTC).timestamp())


def day_bounds(day: date, zone: str) -> tuple[int, int]:
    """Return the UTC seconds of the begin and the end of a local day."""
    return day_start(day, zone), day_start(day + timedelta(days=1), zone)


def days_of_month(month: date) -> list[date]:
    """List the days of the month that contains ``month``."""
    first = month.replace(day=1)
    following = (first + timedelta(days=31)).replace(day=1)
    return [first + timedelta(days=offset) for offset in range((following - first).days)]


def month_bounds(month: date, zone: str) -> tuple[int, int]:
    """Return the UTC seconds of the begin and the end of the local month that contains ``month``."""
    days = days_of_month(month)
    return day_start(days[0], zone), day_start(days[-1] + timedelta(days=1), zone)


def local_day(time: int, zone: str) -> date:
    """Return the local day of an instant in UTC seconds."""
    return datetime.fromtimestamp(time, ZoneInfo(zone)).date()


def grid(start: int, end: int, period_s: int) -> NDArray[np.int64]:
    """Return the bounds of the periods from ``start`` to ``end``: both, and the UTC grid between them.

    A day that a zone skipped (Samoa, 2011-12-30) has one bound and no period.
    """
    if start >= end:
        return np.array([start], np.int64)
    inner = np.arange((start // period_s + 1) * period_s, end, period_s, dtype=np.int64)
    return np.concatenate((np.array([start], np.int64), inner, np.array([end], np.int64)))


def cut_at(
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    value: NDArray[np.int64],
    bounds: Sequence[int] | NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.intp]]:
    """Cut intervals at instants, by elapsed time, so that the pieces of each add up to it exactly.

    Args:
        start: UTC seconds at which each interval starts.
        end: UTC seconds at which each interval ends.
        value: integer steps of each interval.
        bounds: sorted instants of the cuts, UTC seconds.

    Returns:
        start, end and value of the pieces in order, and for each piece the index of its interval.

    """
    cuts = np.unique(np.asarray(bounds, np.int64))
    low = np.searchsorted(cuts, start, side="right")
    high = np.searchsorted(cuts, end, side="left")
    pieces = np.maximum(high - low, 0) + 1
    owner = np.repeat(np.arange(len(start)), pieces)
    if len(owner) == len(start):
        return start, end, value, owner
    ordinal = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    is_first, is_last = ordinal == 0, ordinal == pieces[owner] - 1
    last_cut = len(cuts) - 1
    piece_start = np.where(is_first, start[owner], cuts[np.clip(low[owner] + ordinal - 1, 0, last_cut)])
    piece_end = np.where(is_last, end[owner], cuts[np.clip(low[owner] + ordinal, 0, last_cut)])
    length = (end - start)[owner]
    piece_value = share(value[owner], piece_start - start[owner], piece_end - start[owner], length)
    return piece_start, piece_end, piece_value, owner


def sums_between(
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    value: NDArray[np.int64],
    bounds: Sequence[int] | NDArray[np.int64],
) -> NDArray[np.int64]:
    """Sum intervals into the spans between sorted bounds; parts outside are not counted.

    Args:
        start: UTC seconds at which each interval starts.
        end: UTC seconds at which each interval ends.
        value: integer steps of each interval.
        bounds: sorted UTC seconds; span ``i`` is from ``bounds[i]`` to ``bounds[i + 1]``.

    """
    edges = np.asarray(bounds, np.int64)
    piece_start, piece_end, piece_value, _owner = cut_at(start, end, value, edges)
    span = np.searchsorted(edges, piece_start, side="right") - 1
    inside = (piece_start >= edges[0]) & (piece_end <= edges[-1])
    sums = np.zeros(len(edges) - 1, np.int64)
    np.add.at(sums, span[inside], piece_value[inside])
    return sums
