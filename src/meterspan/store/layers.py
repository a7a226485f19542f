"""Readings of imports among all others: which stored rows count, so that an import can be undone.

Nothing is deleted. A row of an import carries the mark ``OF_IMPORT``; the same reading from elsewhere is stored beside
it, because the import may be undone. An undone import is a second copy of each of its rows with the mark ``VOID``,
which takes the first one back. The marks are bits of the stored quality that no reader sees.
"""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from meterspan.model.storage.readings import Readings
from meterspan.quantities import Quality
from meterspan.store.columns import read_batch, write_batch

__all__ = [
    "OF_IMPORT",
    "VOID",
    "is_marked",
    "live",
    "live_batches",
    "marked",
    "with_quality",
    "without_marks",
    "without_voids",
]

VOID: Final = 1 << 29
OF_IMPORT: Final = 1 << 30
_MARKS: Final = VOID | OF_IMPORT


def is_marked(readings: Readings) -> bool:
    """Whether any row belongs to an import."""
    return bool((readings.quality >= VOID).any())


def marked(readings: Readings, mark: int) -> Readings:
    """Return the readings with a mark."""
    return with_quality(readings, (readings.quality | mark).astype(np.int32))


def without_marks(readings: Readings) -> Readings:
    """Return the readings as everybody but the store sees them."""
    return with_quality(readings, readings.quality & ~np.int32(_MARKS)) if is_marked(readings) else readings


def live(readings: Readings) -> Readings:
    """Return the rows that count, each (series, time, value) once, without marks.

    The rows are sorted by series, time and value, and hold every row of their instants. Where a row was taken back,
    one value left at its instant is no conflict any more; of several the earliest is not.
    """
    if not is_marked(readings):
        return readings
    left, touched = _cancelled(readings)
    left = _without_conflicts_of_voids(_first_of_each_value(left), touched)
    return without_marks(left)


def live_batches(batches: Iterator[Readings]) -> Iterator[Readings]:
    """Yield the rows of batches that count; those of series that have voids are joined into one batch."""
    held: list[Readings] = []
    series: set[int] = set()
    octets = [(write_batch(batch), np.unique(batch.series[(batch.quality & VOID) != 0])) for batch in batches]
    for _octets, voided in octets:
        series.update(voided.tolist())
    voided_series = np.array(sorted(series), np.int32)
    for packed, _voided in octets:
        batch = read_batch(packed)
        has_voids = np.isin(batch.series, voided_series)
        held.append(batch[has_voids])
        yield without_marks(batch[~has_voids])
    yield live(Readings.concatenate(held).sorted())


def without_voids(readings: Readings) -> Readings:
    """Return sorted rows without those that were taken back, marks and copies included."""
    return _cancelled(readings)[0] if is_marked(readings) else readings


def with_quality(readings: Readings, quality: NDArray[np.int32]) -> Readings:
    """Return the readings with other quality bits."""
    return Readings(
        readings.series, readings.time, readings.value, readings.status, quality, readings.source, readings.received_at
    )


def _cancelled(readings: Readings) -> tuple[Readings, Readings]:
    """Cancel one equal row for each void; return the rows that are left, and the voids."""
    is_void = (readings.quality & VOID) != 0
    if not is_void.any():
        return readings, readings[is_void]
    instant = _runs(readings.series, readings.time)
    at_void = np.bitwise_or.reduceat(is_void, np.flatnonzero(np.diff(instant, prepend=-1)))[instant]
    at = np.flatnonzero(at_void)
    part = readings[at]
    quality = part.quality & ~np.int32(VOID)
    facts = (part.series, part.time, part.value, part.status, quality, part.source, part.received_at)
    order = np.lexsort((~is_void[at], *reversed(facts)))  # in each group of equal rows the voids first
    group = _runs(*(fact[order] for fact in facts))
    voids = np.bincount(group[is_void[at][order]], minlength=int(group[-1]) + 1)
    heads = np.flatnonzero(np.diff(group, prepend=-1))
    keeps = np.arange(len(order)) - heads[group] >= 2 * voids[group]
    kept = ~at_void
    kept[at[order[keeps]]] = True
    return readings[kept], readings[is_void]


def _first_of_each_value(readings: Readings) -> Readings:
    """Keep the row that arrived first of each (series, time, value)."""
    if not len(readings):
        return readings
    order = np.lexsort((readings.received_at, readings.value, readings.time, readings.series))
    kept = np.diff(_runs(readings.series[order], readings.time[order], readings.value[order]), prepend=-1) != 0
    return readings[order[kept]]


def _without_conflicts_of_voids(readings: Readings, voids: Readings) -> Readings:
    if not len(voids) or not len(readings):
        return readings
    instant = _runs(readings.series, readings.time)
    order = np.lexsort((readings.received_at, instant))
    first = order[np.diff(instant[order], prepend=-1) != 0]
    conflict = int(Quality.CONFLICT)
    heads = np.flatnonzero(np.diff(instant, prepend=-1))
    all_flagged = np.bitwise_and.reduceat(readings.quality, heads) & conflict != 0
    touched = _holds(voids, readings[first])
    quality = readings.quality.copy()
    quality[first[all_flagged & touched]] &= ~np.int32(conflict)
    return with_quality(readings, quality)


def _holds(voids: Readings, readings: Readings) -> NDArray[np.bool_]:
    """Whether a reading has an instant of one of the voids."""
    count = len(voids)
    series = np.concatenate((voids.series, readings.series))
    time = np.concatenate((voids.time, readings.time))
    order = np.lexsort((time, series))
    instant = np.empty(len(order), np.int64)
    instant[order] = _runs(series[order], time[order])
    return np.isin(instant[count:], instant[:count])


def _runs(*columns: NDArray[np.signedinteger]) -> NDArray[np.int64]:
    """Return the number of the run of equal rows that each row is in, from 0 on."""
    changes = np.zeros(len(columns[0]), bool)
    for column in columns:
        changes[1:] |= np.diff(column) != 0
    return np.cumsum(changes)
