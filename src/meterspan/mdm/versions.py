"""Versions of intervals: settled intervals stay readable; a change adds a version that holds the changed spans only."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Self

import numpy as np

from meterspan.mdm.curves import Curve
from meterspan.model.storage.readings import SettledIntervals
from meterspan.model.storage.registry import VersionRow
from meterspan.quantities import UNITS, Quality, Scaled, utc

__all__ = ["AUTHOR", "RULE", "IntervalVersion", "changed_intervals", "compose"]

AUTHOR = "meterspan"
RULE = "conservation law; gaps spread to meet their registers"

Settled = dict[int, tuple[int, Fraction, int]]
"""Intervals by start: end, value in the shown unit, quality."""


@dataclass(frozen=True, slots=True)
class IntervalVersion:
    """One version of one interval."""

    version: int
    start: datetime
    end: datetime
    value: Scaled | None
    """None where the span was known to be without data."""
    quality: Quality
    created_at: datetime
    reason: str
    rule: str
    author: str

    @classmethod
    def of(cls, row: VersionRow, low: int, high: int, shown: str) -> list[Self]:
        """Unpack the intervals of a version inside ``low <= t < high``; ``shown`` is the unit of its step.

        Args:
            row: the stored version.
            low: UTC seconds.
            high: UTC seconds, not included.
            shown: the unit of the version's step.

        """
        found = []
        step = Fraction(row.step)
        for start, end, value, quality in _columns(row):
            if start >= low and end <= high:
                scaled = None if quality & Quality.MISSING else _scaled(value * step, shown)
                found.append(
                    cls(
                        row.version,
                        utc(start),
                        utc(end),
                        scaled,
                        Quality(quality),
                        utc(row.created_at),
                        row.reason,
                        row.rule,
                        row.author,
                    )
                )
        return found


def _columns(row: VersionRow) -> Iterator[tuple[int, int, int, int]]:
    """Walk a version's intervals: start, end, value in steps, quality."""
    held = row.intervals
    return zip(held.start.tolist(), held.end.tolist(), held.value.tolist(), held.quality.tolist(), strict=True)


def compose(rows: Sequence[VersionRow]) -> Settled:
    """Merge the versions of a day, oldest first, into the present one."""
    standing: Settled = {}
    for row in rows:
        step = Fraction(row.step)
        changes = [(start, end, value * step, quality) for start, end, value, quality in _columns(row)]
        for start, end, _value, _quality in changes:
            if (
                start not in standing or standing[start][0] != end
            ):  # another cut of time: the covered intervals are removed
                for old in [old for old, (old_end, *_rest) in standing.items() if old < end and old_end > start]:
                    del standing[old]
        for start, end, value, quality in changes:
            standing[start] = end, value, quality
    return standing


def changed_intervals(standing: Settled, curve: Curve) -> SettledIntervals:
    """Return the intervals of the curve that differ from those settled; one that is gone becomes ``MISSING``."""
    now = {
        start: (end, value * curve.step, quality, value)
        for start, end, value, quality in zip(
            curve.start.tolist(), curve.end.tolist(), curve.value.tolist(), curve.quality.tolist(), strict=True
        )
    }
    changed = [
        (start, end, steps, quality)
        for start, (end, value, quality, steps) in now.items()
        if standing.get(start) != (end, value, quality)
    ]
    covered = [(start, entry[0]) for start, entry in now.items()]
    missing = int(Quality.MISSING)
    changed.extend(
        (start, end, 0, missing)
        for start, (end, value, quality) in standing.items()
        if not any(low < end and high > start for low, high in covered) and (value != 0 or quality != missing)
    )
    changed.sort()
    columns = list(zip(*changed, strict=True)) or [(), (), (), ()]
    start, end, steps = (np.array(column, np.int64) for column in columns[:3])
    return SettledIntervals(start, end, steps, np.array(columns[3], np.int32))


def _scaled(value: Fraction, shown: str) -> Scaled | None:
    """Write a value in the shown unit exactly, in Wh, J or m3."""
    for symbol, per_shown in (("Wh", 1_000), ("J", 3_600_000)) if shown == "kWh" else ((shown, 1),):
        amount = value * per_shown
        for places in range(13):
            if (amount * 10**places).denominator == 1:
                return Scaled(int(amount * 10**places), -places, UNITS[symbol])
    return None
