"""New readings, duplicates and conflicts, separated as columns."""

import numpy as np
from numpy.typing import NDArray

from meterspan.model.storage.readings import Readings, Receipt
from meterspan.quantities import Quality

__all__ = ["marked_late", "sift"]


def marked_late(readings: Readings, closed_through: int) -> tuple[Readings, int]:
    """Mark readings of closed days with ``LATE``; return them all, and how many were marked."""
    late = readings.time < closed_through
    count = int(late.sum())
    if not count:
        return readings, 0
    quality = np.where(late, readings.quality | int(Quality.LATE), readings.quality).astype(np.int32)
    return _with_quality(readings, quality), count


def sift(known: Readings, readings: Readings) -> Receipt:
    """Compare readings with those known of the same series and span.

    The same (series, time, value), known or earlier in the batch, is a duplicate; another value at the same instant is
    kept and marked with ``CONFLICT``.
    """
    both = Readings.concatenate([known, readings])
    is_new = np.arange(len(both)) >= len(known)
    # the known before the new, the earlier in the batch before the later: lexsort is stable
    order = np.lexsort((is_new, both.value, both.time, both.series))
    same_instant = (np.diff(both.series[order]) == 0) & (np.diff(both.time[order]) == 0)
    duplicate = np.zeros(len(both), bool)
    duplicate[order[1:]] = same_instant & (np.diff(both.value[order]) == 0)
    fresh = is_new & ~duplicate
    # a conflict: another value at the instant, already known or earlier in this batch
    by_age = np.lexsort((np.arange(len(both)), both.time, both.series))
    by_age = by_age[~duplicate[by_age]]
    conflict = np.zeros(len(both), bool)
    conflict[by_age[1:]] = (np.diff(both.series[by_age]) == 0) & (np.diff(both.time[by_age]) == 0)
    quality = np.where(conflict, both.quality | int(Quality.CONFLICT), both.quality).astype(np.int32)
    kept = _with_quality(both, quality)[fresh]
    return Receipt(
        kept,
        int((is_new & duplicate).sum()),
        int((conflict & fresh).sum()),
        int(((kept.quality & int(Quality.LATE)) != 0).sum()),
    )


def _with_quality(readings: Readings, quality: NDArray[np.int32]) -> Readings:
    return Readings(
        readings.series, readings.time, readings.value, readings.status, quality, readings.source, readings.received_at
    )
