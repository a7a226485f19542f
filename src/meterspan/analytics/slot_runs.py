"""Sets of slot numbers kept as runs: a year of complete slots is one run, so a history costs what its holes cost.

A run ``[first, stop)`` holds the numbers ``first`` to ``stop - 1``; runs rise, and do not touch each other.
"""

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

__all__ = ["SlotRuns"]


class SlotRuns:
    """A set of integers as runs."""

    __slots__ = ("_edges", "_size")

    def __init__(self) -> None:
        self._edges = array("q")
        self._size = 0

    def __len__(self) -> int:
        """Count the numbers."""
        return self._size

    def __iter__(self) -> Iterator[tuple[int, int]]:
        """Walk the runs as (first, stop), rising."""
        return zip(self._edges[::2], self._edges[1::2], strict=True)

    def add(self, first: int, stop: int) -> list[tuple[int, int]]:
        """Add the numbers ``first`` to ``stop - 1``; return the runs of those that were not in the set."""
        if first >= stop:
            return []
        new = self.gaps(first, stop)
        if new:
            edges = self._edges
            low, high = bisect_left(edges, first), bisect_right(edges, stop)
            low, high = low - low % 2, high + high % 2  # a run that is touched becomes part of the new one
            joined = edges[low:high]
            merged = (min(first, joined[0]), max(stop, joined[-1])) if joined else (first, stop)
            edges[low:high] = array("q", merged)
            self._size += sum(end - begin for begin, end in new)
        return new

    def gaps(self, first: int, stop: int) -> list[tuple[int, int]]:
        """Return the runs of the numbers ``first`` to ``stop - 1`` that are not in the set."""
        found: list[tuple[int, int]] = []
        at = first
        for begin, end in self._within(first, stop):
            if begin > at:
                found.append((at, begin))
            at = end
        if at < stop:
            found.append((at, stop))
        return found

    def count(self, first: int, stop: int) -> int:
        """Count the numbers of the set from ``first`` to ``stop - 1``; costs the runs there, or those outside."""
        edges = self._edges
        low, high = bisect_right(edges, first), bisect_left(edges, stop)
        if high - low <= len(edges) // 2:
            return sum(end - begin for begin, end in self._within(first, stop))
        before = self._within(edges[0], first) if low else ()
        after = self._within(stop, edges[-1]) if high < len(edges) else ()
        outside = sum(end - begin for begin, end in before) + sum(end - begin for begin, end in after)
        return self._size - outside

    def _within(self, first: int, stop: int) -> Iterator[tuple[int, int]]:
        """Walk the parts of the runs that lie in ``[first, stop)``."""
        edges = self._edges
        at = bisect_right(edges, first)
        at -= at % 2
        while at < len(edges) and edges[at] < stop:
            begin, end = max(edges[at], first), min(edges[at + 1], stop)
            if begin < end:
                yield begin, end
            at += 2
