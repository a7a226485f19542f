"""Half-open UTC intervals; every load profile is a sequence of them."""

from dataclasses import dataclass
from datetime import datetime

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
        """Return whether the instant is in the span."""
        return self.start <= moment < self.end
