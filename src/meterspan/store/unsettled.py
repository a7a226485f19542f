"""Days to settle as columns: which days of which series a batch touches, sums of them, and differences."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from meterspan.model.storage.readings import Readings, UnsettledDays
from meterspan.quantities import DAY_S

__all__ = ["merged_days", "remaining_days", "touched_days"]

_DAY_LIMITS = np.iinfo(np.int32)


def touched_days(batches: Sequence[Readings]) -> UnsettledDays:
    """Return the days that the readings of batches lie in, each noted once, sorted by series and day."""
    if not any(len(batch) for batch in batches):
        return UnsettledDays.empty()
    series = np.concatenate([batch.series for batch in batches])
    days = np.concatenate([batch.time for batch in batches]) // DAY_S
    heads = np.flatnonzero(np.concatenate(([True], (np.diff(series) != 0) | (np.diff(days) != 0))))
    counts = np.diff(np.append(heads, len(series))).astype(np.int32)
    found_days = np.clip(days[heads], _DAY_LIMITS.min, _DAY_LIMITS.max).astype(np.int32)
    found = UnsettledDays(series[heads], found_days, counts, counts)
    if not _is_sorted(found.series, found.day):  # else each run is another day already
        found = merged_days([found])
    return UnsettledDays(found.series, found.day, found.readings, np.ones(len(found), np.int32))


def merged_days(parts: Sequence[UnsettledDays]) -> UnsettledDays:
    """Sum up entries of the same series and day, sorted by both."""
    if not any(len(part) for part in parts):
        return UnsettledDays.empty()
    series, day, readings, notes = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("series", "day", "readings", "notes")
    )
    if not _is_sorted(series, day):
        order = np.lexsort((day, series))
        series, day, readings, notes = series[order], day[order], readings[order], notes[order]
    heads = np.flatnonzero(np.concatenate(([True], (np.diff(series) != 0) | (np.diff(day) != 0))))
    return UnsettledDays(
        series[heads],
        day[heads],
        np.add.reduceat(readings, heads).astype(np.int32),
        np.add.reduceat(notes, heads).astype(np.int32),
    )


def remaining_days(known: UnsettledDays, settled: UnsettledDays) -> UnsettledDays:
    """Return what is left of ``known`` after ``settled``; an entry noted again meanwhile stays with what was new."""
    less = UnsettledDays(settled.series, settled.day, -settled.readings, -settled.notes)
    left = merged_days([known, less])
    left = left[left.notes > 0]
    return UnsettledDays(left.series, left.day, np.maximum(left.readings, 0), left.notes)


def _is_sorted(series: NDArray[np.int32], day: NDArray[np.int32]) -> bool:
    steps = np.diff(series)
    return bool(np.all((steps > 0) | ((steps == 0) & (np.diff(day) >= 0))))
