"""Tallies: due and received values of many channels, added up as they arrive.

Strategy: one counter per capture period of the grid, over all channels of a group. A day's sum costs the periods of a
day, however many channels there are, and the running day can be cut at any instant.
"""

from collections import Counter
from typing import Final

import numpy as np
from numpy.typing import NDArray

from meterspan.analytics.completeness import DayCount
from meterspan.quantities import DAY_S

__all__ = ["Tally"]

CHUNK_DAYS: Final = 32
"""Days whose counters are made together."""
DAYS_COUNTED: Final = 40_000
"""Days from 1970 that have counters (until 2079): a meter with a wrong clock cannot fill the memory."""
FEW_LIVES: Final = 16
"""Up to so many spans are added up faster one by one than as columns."""


class Tally:
    """Counts the values of channels with one capture period.

    Args:
        period_s: of the channels; it divides a day.

    """

    def __init__(self, period_s: int) -> None:
        self._per_day = DAY_S // period_s
        self._lives: Counter[tuple[int, int]] = Counter()
        self._chunks: dict[int, NDArray[np.int32]] = {}

    def enter(self, first: int, stop: int) -> None:
        """Add a channel that owes the periods ``first`` to ``stop - 1``."""
        self._lives[first, stop] += 1

    def leave(self, first: int, stop: int) -> None:
        """Remove a channel that was added with the same periods."""
        self._lives[first, stop] -= 1
        if not self._lives[first, stop]:
            del self._lives[first, stop]

    def fill(self, first: int, stop: int, *, times: int = 1) -> None:
        """Count a value in each of the periods ``first`` to ``stop - 1``; ``times=-1`` takes it back."""
        size = CHUNK_DAYS * self._per_day
        at, stop = max(first, 0), min(stop, DAYS_COUNTED * self._per_day)
        while at < stop:
            number, offset = divmod(at, size)
            chunk = self._chunks.get(number)
            if chunk is None:
                chunk = self._chunks[number] = np.zeros(size, np.int32)
            end = min(size, offset + stop - at)
            chunk[offset:end] += times
            at += end - offset

    def days(self, first: int, last: int, due: int) -> list[DayCount]:
        """Count the UTC days ``first`` to ``last`` (since 1970), up to the period ``due``, which is not included."""
        days = np.arange(first, last + 1, dtype=np.int64)
        low = days * self._per_day
        high = np.minimum(low + self._per_day, max(due, 0))
        counts = zip(days.tolist(), self._expected(low, high), self._received(low, high), strict=True)
        return [DayCount(*count) for count in counts]

    def _expected(self, low: NDArray[np.int64], high: NDArray[np.int64]) -> list[int]:
        if len(self._lives) <= FEW_LIVES:
            return [
                sum(max(0, min(stop, end) - max(first, begin)) * count for (first, stop), count in self._lives.items())
                for begin, end in zip(low.tolist(), high.tolist(), strict=True)
            ]
        lives = np.array(list(self._lives), np.int64)
        counts = np.array(list(self._lives.values()), np.int64)
        return [
            int(np.maximum(np.minimum(lives[:, 1], end) - np.maximum(lives[:, 0], begin), 0) @ counts)
            for begin, end in zip(low, high, strict=True)
        ]

    def _received(self, low: NDArray[np.int64], high: NDArray[np.int64]) -> list[int]:
        """Sum up the periods ``low`` to ``high - 1`` of each day; days cut short by the present are summed up alone."""
        found: list[int] = []
        sums: dict[int, list[int]] = {}
        for begin, end in zip(low.tolist(), high.tolist(), strict=True):
            number, offset = divmod(begin, CHUNK_DAYS * self._per_day)
            chunk = self._chunks.get(number)
            if chunk is None or end <= begin:
                found.append(0)
            elif end - begin < self._per_day:
                found.append(int(chunk[offset : offset + end - begin].sum()))
            else:
                if number not in sums:
                    sums[number] = chunk.reshape(CHUNK_DAYS, self._per_day).sum(1).tolist()
                found.append(sums[number][offset // self._per_day])
        return found
