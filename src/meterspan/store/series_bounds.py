"""First and last stored time of every series, in memory: readings after their series' last time need no comparison."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meterspan.model.storage.readings import Readings

__all__ = ["FIRST_TIME", "LAST_TIME", "BoundsBefore", "SeriesBounds"]

FIRST_TIME, LAST_TIME = -(1 << 62), 1 << 62
"""Bounds of a series that has no reading: last is ``FIRST_TIME``, first is ``LAST_TIME``."""
_SERIES_FIRST = 256
_WORTH_RUNS = 64


@dataclass(frozen=True, slots=True, eq=False)
class BoundsBefore:
    """The bounds before readings were noted."""

    series: NDArray[np.int32]
    first: NDArray[np.int64]
    last: NDArray[np.int64]


class SeriesBounds:
    """First and last time by series number; grows with the highest number noted."""

    def __init__(self) -> None:
        self.first: NDArray[np.int64] = np.full(_SERIES_FIRST, LAST_TIME, np.int64)
        self.last: NDArray[np.int64] = np.full(_SERIES_FIRST, FIRST_TIME, np.int64)

    def of(self, series: int) -> tuple[int, int] | None:
        """Return the first and last time of a series, or None where it has no reading."""
        first, last = self.first, self.last
        if series >= min(len(first), len(last)) or last[series] == FIRST_TIME:
            return None
        return int(first[series]), int(last[series])

    def highest(self) -> int:
        """Return the highest number of a series that has a reading, 0 where none has."""
        found = np.flatnonzero(self.last != FIRST_TIME)
        return int(found[-1]) if len(found) else 0

    def reserve(self, series: int) -> None:
        """Make room for series up to this number."""
        while series >= len(self.first):
            self.first = np.concatenate((self.first, np.full_like(self.first, LAST_TIME)))
            self.last = np.concatenate((self.last, np.full_like(self.last, FIRST_TIME)))

    def load(self, series: int, first: int, last: int) -> None:
        """Widen the bounds of one series to include these times."""
        self.reserve(series)
        self.first[series] = min(int(self.first[series]), first)
        self.last[series] = max(int(self.last[series]), last)

    def note(self, readings: Readings) -> BoundsBefore:
        """Widen the bounds to include readings; return what ``restore`` needs to take it back."""
        series, lowest, highest = readings.series, readings.time, readings.time
        if len(readings):
            self.reserve(int(series.max()))
        if len(readings) > _WORTH_RUNS:  # a profile has a hundred rows of one series after each other
            heads = np.flatnonzero(np.concatenate(([True], np.diff(series) != 0)))
            if 2 * len(heads) < len(readings):
                series = series[heads]
                lowest, highest = np.minimum.reduceat(lowest, heads), np.maximum.reduceat(highest, heads)
        before = BoundsBefore(series, self.first[series], self.last[series])
        np.minimum.at(self.first, series, lowest)
        np.maximum.at(self.last, series, highest)
        return before

    def restore(self, before: BoundsBefore) -> None:
        """Undo one ``note``; several are undone newest first."""
        self.first[before.series] = before.first
        self.last[before.series] = before.last

    def set(self, bounds: Mapping[int, tuple[int, int] | None]) -> BoundsBefore:
        """Replace the bounds of series, None where one has no reading left; return what ``restore`` needs."""
        numbers = np.array(list(bounds), np.int32)
        before = BoundsBefore(numbers, self.first[numbers], self.last[numbers])
        for number, known in bounds.items():
            self.first[number], self.last[number] = (LAST_TIME, FIRST_TIME) if known is None else known
        return before

    def is_news(self, readings: Readings) -> bool:
        """Whether all readings are after those of their series, each series once and in rising time: the usual case.

        The readings are not empty, and their series have room (``reserve``).
        """
        if not np.all(readings.time > self.last[readings.series]):
            return False
        changes = np.diff(readings.series) != 0
        if not np.all(changes | (np.diff(readings.time) > 0)):
            return False
        heads = readings.series[np.concatenate(([True], changes))]
        return len(np.unique(heads)) == len(heads)
