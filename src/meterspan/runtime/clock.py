"""The only clock of the runtime: UTC seconds that never jump while the process lives.

Engines measure time-outs with the same ``now`` that stamps readings, so the clock is anchored once to the system's
wall clock and then follows the monotonic one; ``step_s`` is the difference of the wall clock since then.
"""

import time
from datetime import UTC, datetime

__all__ = ["SystemClock"]


class SystemClock:
    """UTC seconds since 1970, monotone."""

    def __init__(self) -> None:
        self._anchor = time.time() - time.monotonic()

    def __call__(self) -> float:
        """Return the time now."""
        return self._anchor + time.monotonic()

    def utc(self) -> datetime:
        """Return the time now as an aware datetime."""
        return datetime.fromtimestamp(self(), UTC)

    @property
    def step_s(self) -> float:
        """Seconds by which the wall clock was stepped since this clock was made."""
        return time.time() - time.monotonic() - self._anchor
