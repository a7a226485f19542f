"""New readings, duplicates and conflicts, separated as columns."""

import numpy as np
from numpy.typing import NDArray

from meterspan.model.storage.readings import Readings, Receipt
from meterspan.quantities import Quality
from meterspan.store.layers import OF_IMPORT, with_quality, without_voids

__all__ = ["marked_late", "sift"]


def marked_late(readings: Readings, closed_through: int) -> tuple[Readings, int]:
    """Mark readings of closed days with ``LATE``; return them all, and how many were marked."""
    late = readings.time < closed_through
    count = int(late.sum())
    if not count:
        return readings, 0
    quality = np.where(late, readings.quality | int(Quality.LATE), readings.quality).astype(np.int32)
    return with_quality(readings, quality), count


def sift(known: Readings, readings: Readings) -> tuple[Receipt, Readings]:
    """Compare readings with those known of the same series and span; return what became of them, and what to store.

    The same (series, time, value), known or earlier in the batch, is a duplicate; another value at the same instant is
    kept and marked with ``CONFLICT``. A duplicate of what only imports hold is stored too: they may be undone.
    """
    known = without_voids(known.sorted())
    both = Readings.concatenate([known, readings])
    is_new = np.arange(len(both)) >= len(known)
    of_import = ~is_new & ((both.quality & OF_IMPORT) != 0)
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
    stored = fresh
    if of_import.any():
        echo = _first_beside_imports(duplicate, is_new, of_import, order)
        conflict[echo] = _has_several_values(both, duplicate, order)[echo]
        stored = fresh | echo
    quality = np.where(conflict, both.quality | int(Quality.CONFLICT), both.quality).astype(np.int32)
    kept = with_quality(both, quality)
    new = kept[fresh]
    receipt = Receipt(
        new,
        int((is_new & duplicate).sum()),
        int((conflict & fresh).sum()),
        int(((new.quality & int(Quality.LATE)) != 0).sum()),
    )
    return receipt, new if stored is fresh else kept[stored]


def _first_beside_imports(
    duplicate: NDArray[np.bool_], is_new: NDArray[np.bool_], of_import: NDArray[np.bool_], order: NDArray[np.intp]
) -> NDArray[np.bool_]:
    """Find the first new row of each reading that is known from imports alone.

    Args:
        duplicate: rows whose reading a row before them in ``order`` has.
        is_new: rows of the batch.
        of_import: known rows of imports.
        order: positions sorted by series, time, value; the known first.

    """
    reading = np.cumsum(~duplicate[order]) - 1
    heads = np.flatnonzero(~duplicate[order])
    known_only_there = np.logical_and.reduceat((is_new | of_import)[order], heads) & ~is_new[order][heads]
    new_at = is_new[order]
    first_new = new_at & ~np.concatenate(([False], new_at[:-1] & (np.diff(reading) == 0)))
    found = np.zeros(len(order), bool)
    found[order[first_new & known_only_there[reading]]] = True
    return found


def _has_several_values(both: Readings, duplicate: NDArray[np.bool_], order: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Whether another value is known at the instant of each row."""
    instant = np.zeros(len(order), np.int64)
    instant[1:] = np.cumsum((np.diff(both.series[order]) != 0) | (np.diff(both.time[order]) != 0))
    values = np.bincount(instant, weights=~duplicate[order])
    found = np.zeros(len(order), bool)
    found[order] = values[instant] > 1
    return found
