"""Half-open spans of UTC time, the bones of every load profile."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

__all__ = ["Interval"]


@dataclass(frozen=True, slots=True, order=True)
class Interval:
    """The span ``start <= t < end``, both aware datetimes.

    Raises:
        ValueError: a bound is naive, or the span is empty or runs backwards.

    """

    start: datetime
    end: datetime

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("an interval needs aware bounds")
        if self.start >= self.end:
            raise ValueError(f"interval ends at {self.end} before it starts at {self.start}")

    def __contains__(self, moment: datetime) -> bool:
        """Say whether the instant lies in the span."""
        return self.start <= moment < self.end

    @property
    def duration(self) -> timedelta:
        """The length of the span in elapsed time."""
        return self.end - self.start

    def overlap(self, other: "Interval") -> "Interval | None":
        """Give the common span, or None."""
        start, end = max(self.start, other.start), min(self.end, other.end)
        return Interval(start, end) if start < end else None

    def split(self, period: timedelta) -> "Iterator[Interval]":
        """Cut into pieces of ``period`` from the start; the last piece may be shorter.

        Raises:
            ValueError: the period is not positive.

        """
        if period <= timedelta(0):
            raise ValueError("a capture period is positive")
        start = self.start
        while start < self.end:
            end = min(start + period, self.end)
            yield Interval(start, end)
            start = end
