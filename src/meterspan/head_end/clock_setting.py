"""When a head end may set a meter's clock: by a bounded amount a day, and only while its own clock looks right.

A wrong clock of the head end must not make the clocks of all meters wrong.
"""

from collections import deque
from collections.abc import Callable
from typing import Final

from meterspan.quantities import DAY_S

__all__ = ["ClockSetting"]

RELEASED: Final = 1_767_225_600
"""1 January 2026, UTC seconds: this program is younger, so a clock that shows less is wrong."""
OWN_STEP_MAX_S: Final = 5.0
"""The clock of the machine may differ by so much from ours, which goes on evenly from the start of the program."""
CORRECTIONS_KEPT: Final = 64
"""Corrections remembered of one meter; a clock is checked some times a day at most."""


class ClockSetting:
    """Decides whether the clocks of meters may be set.

    Args:
        a_day_max_s: seconds by which one clock may be moved within 24 hours, all corrections together.
        own_step_s: returns the seconds by which the machine's clock was stepped since the start.

    """

    def __init__(self, a_day_max_s: float, own_step_s: Callable[[], float]) -> None:
        self._a_day_max_s = a_day_max_s
        self._own_step_s = own_step_s
        self._moved: dict[str, deque[tuple[float, float]]] = {}

    def refusal(self, device: str, error_s: float | None, now: float) -> str:
        """Return why a clock must not be set now, "" where it may be.

        Args:
            device: whose clock it is.
            error_s: seconds that it is ahead; None where it shows no date, so that there is nothing to move.
            now: our time, UTC seconds.

        """
        if now < RELEASED:
            return "our own clock is before the release of this program"
        step_s = self._own_step_s()
        if abs(step_s) > OWN_STEP_MAX_S:
            return f"our own clock was stepped by {step_s:.0f} s since the start; see that it is right and start again"
        moved_s = sum(by for at, by in self._moved.get(device, ()) if now - at < DAY_S) + abs(error_s or 0.0)
        if moved_s > self._a_day_max_s:
            return f"clocks are set by {self._a_day_max_s:g} s a day at most, and this makes {moved_s:.0f} s"
        return ""

    def note(self, device: str, error_s: float | None, now: float) -> None:
        """Remember that a clock was corrected; arguments as ``refusal``."""
        self._moved.setdefault(device, deque(maxlen=CORRECTIONS_KEPT)).append((now, abs(error_s or 0.0)))
