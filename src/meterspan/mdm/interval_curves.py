"""The consumption curve of a supply that has no registers, only the consumption of intervals (1-0:1.29.0).

The law of registers cannot be asked here: nothing measured says whether an interval is missing or wrong. So the sum of
the known intervals is the total, no register and no unexplained difference is named, and a hole stays a hole.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from meterspan.analytics.calendar import cut_at
from meterspan.analytics.conserve import LeftOutReading
from meterspan.mdm.chains import MAX_STEPS, Chain, ChainRegister
from meterspan.mdm.curves import MAX_AHEAD_S, Curve
from meterspan.mdm.series_table import SeriesTable
from meterspan.model.storage.ports import ReadingSource
from meterspan.model.storage.readings import Readings
from meterspan.quantities import DAY_S, Quality

__all__ = ["INTERVAL_MAX_S", "curve_of_intervals"]

INTERVAL_MAX_S: Final = 400 * DAY_S
"""The longest interval that is looked for beyond the end of a span."""
_LENGTH_UNIT: Final = "s"

Intervals = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]
"""Start, end, value and quality."""


def curve_of_intervals(source: ReadingSource, series: SeriesTable, chain: Chain, bounds: Sequence[int]) -> Curve:
    """Derive the curve from the first to the last of the rising ``bounds``, cut at all of them.

    Of two values for one interval the smaller counts, and the interval has the flag ``CONFLICT``; an interval over
    the end of the one before it is left out.

    Args:
        source: the readings.
        series: the series of each device: one in seconds holds the lengths of intervals that are not of the grid.
        chain: the supply; its ``intervals`` are read.
        bounds: UTC seconds.

    """
    start, end = bounds[0], bounds[-1]
    parts, left_out = [], []
    for register in chain.intervals:
        found = _intervals(source, chain, register, _lengths_of(series, register), (start, end))
        kept = _without_overlaps(found)
        parts.append(tuple(column[kept] for column in found))
        left_out += [
            LeftOutReading(int(at), int(value), Quality.CONFLICT)
            for at, value in zip(found[1][~kept].tolist(), found[2][~kept].tolist(), strict=True)
            if start <= at < end
        ]
    low, high, value, quality = _cut(parts, bounds)
    last = int(high.max()) if len(high) else None
    ahead = [_ahead(chain, _lengths_of(series, register)) for register in chain.intervals]
    return Curve(
        *(low, high, value, quality, chain.step),
        left_out=tuple(left_out),
        last=last,
        depends=(start, end + max(ahead)),
        refused=chain.refused,
        of_intervals=True,
    )


def _cut(parts: Sequence[Sequence[NDArray[np.signedinteger]]], bounds: Sequence[int]) -> Intervals:
    """Cut the intervals of all tariffs at the bounds, and put them in order of time."""
    pieces = []
    for low, high, value, quality in parts:
        begins, ends, amounts, owner = cut_at(low, high, value, bounds)
        inside = (begins >= bounds[0]) & (ends <= bounds[-1])
        spread = np.where((begins > low[owner]) | (ends < high[owner]), int(Quality.SPREAD), 0)
        flags = (quality[owner] | spread).astype(np.int32)
        pieces.append((begins[inside], ends[inside], amounts[inside], flags[inside]))
    starts, ends, values, qualities = (np.concatenate(column) for column in zip(*pieces, strict=True))
    order = np.lexsort((ends, starts))
    return starts[order], ends[order], values[order], qualities[order]


def _intervals(
    source: ReadingSource, chain: Chain, register: ChainRegister, length_series: Sequence[int], span: tuple[int, int]
) -> Intervals:
    """Read the intervals of one register that touch a span, each end once."""
    low, high = span[0] + 1, span[1] + _ahead(chain, length_series)
    lengths = _lengths(source, length_series, (low, high))
    row = register.installation
    columns = []
    for channel, step in register.channels:
        found = source.read([channel.series_id], low, high)
        factor = int(step / chain.step)
        usable = (found.time > row.start) & (found.time <= found.received_at + MAX_AHEAD_S)
        usable &= np.abs(found.value) <= MAX_STEPS // (factor * row.multiplier)
        if row.end is not None:
            usable &= found.time <= row.end
        found = found[usable]
        columns.append((found.time, found.value * factor * row.multiplier, found.quality))
    ends, values, quality = (np.concatenate(column) for column in zip(*columns, strict=True))
    ends, values, quality = _each_end_once(ends, values, quality)
    begins = ends - _lengths_at(lengths, ends, chain.period_s)
    touching = (ends > span[0]) & (begins < span[1])
    return begins[touching], ends[touching], values[touching], quality[touching]


def _lengths_of(series: SeriesTable, register: ChainRegister) -> list[int]:
    """Return the numbers of the series that hold lengths of the intervals of a register."""
    rows = series.of_device(register.installation.device)
    return [row.series_id for row in rows if row.obis == register.obis and row.unit == _LENGTH_UNIT]


def _ahead(chain: Chain, length_series: Sequence[int]) -> int:
    """Return how long after the end of a span an interval may end that begins in it."""
    return INTERVAL_MAX_S if length_series else chain.period_s


def _lengths(source: ReadingSource, numbers: Sequence[int], span: tuple[int, int]) -> Readings:
    found = source.read(numbers, *span) if numbers else Readings.empty()
    return found[(found.value > 0) & (found.value <= INTERVAL_MAX_S)]


def _lengths_at(lengths: Readings, ends: NDArray[np.int64], period_s: int) -> NDArray[np.int64]:
    """Return the length of the interval that ends at each instant: as it is stored, or that of the grid."""
    found = np.full(len(ends), period_s, np.int64)
    if len(lengths):
        order = np.lexsort((-lengths.value, lengths.time))  # of two lengths the shorter is written last
        at = np.minimum(np.searchsorted(ends, lengths.time[order]), max(len(ends) - 1, 0))
        fits = ends[at] == lengths.time[order] if len(ends) else np.zeros(len(at), bool)
        found[at[fits]] = lengths.value[order][fits]
    return found


def _each_end_once(
    ends: NDArray[np.int64], values: NDArray[np.int64], quality: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    order = np.lexsort((values, ends))
    ends, values, quality = ends[order], values[order], quality[order]
    is_first = np.diff(ends, prepend=-1 << 62) != 0
    differs = ~is_first & (np.diff(values, prepend=0) != 0)
    flags = quality[is_first]
    flags[(np.cumsum(is_first) - 1)[differs]] |= int(Quality.CONFLICT)
    return ends[is_first], values[is_first], flags


def _without_overlaps(found: Intervals) -> NDArray[np.bool_]:
    """Return which intervals begin after the one before them that counts."""
    begins, ends = found[0], found[1]
    kept = np.ones(len(begins), bool)
    if np.all(begins[1:] >= ends[:-1]):
        return kept
    reached = -1 << 62
    for at, (begin, end) in enumerate(zip(begins.tolist(), ends.tolist(), strict=True)):
        kept[at] = begin >= reached
        reached = end if kept[at] else reached
    return kept
