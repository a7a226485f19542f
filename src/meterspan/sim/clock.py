"""The virtual clock: one heap of actions by time, then by order of scheduling, so that every run repeats exactly.

A simulation runs it to the end at once; a shell that shows a running district calls ``run_until(now)`` with
the real time again and again. Nothing here sleeps.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field

__all__ = ["RunawayError", "Ticket", "VirtualClock"]

Action = Callable[[], object]

ACTIONS_PER_INSTANT_MAX = 1_000_000
"""More actions than this at one instant are a loop (two machines that answer each other without delay)."""


class RunawayError(Exception):
    """Virtual time stands still while actions keep scheduling actions."""


@dataclass(order=True, slots=True)
class Ticket:
    """A scheduled action, which can be taken back."""

    at: float
    order: int
    action: Action | None = field(compare=False)

    def cancel(self) -> None:
        """Cancel the action; without effect once it ran."""
        self.action = None


class VirtualClock:
    """Virtual UTC seconds and the planned actions.

    Args:
        start: the first instant, UTC seconds since 1970.

    """

    __slots__ = ("_heap", "_now", "_order")

    def __init__(self, start: float) -> None:
        self._now = start
        self._order = 0
        self._heap: list[Ticket] = []

    @property
    def now(self) -> float:
        """The virtual instant."""
        return self._now

    def schedule(self, at: float, action: Action) -> Ticket:
        """Run ``action`` at ``at``, or at once (after what is already due) where that is past."""
        self._order += 1
        ticket = Ticket(max(at, self._now), self._order, action)
        heapq.heappush(self._heap, ticket)
        return ticket

    def every(self, period_s: float, action: Action, *, start: float) -> Ticket:
        """Run ``action`` at ``start`` and each ``period_s`` seconds after it; cancel the ticket to end it.

        Raises:
            ValueError: the period is not positive.

        """
        if period_s <= 0:
            raise ValueError("a period is positive")
        handle = Ticket(start, 0, action)

        def beat(count: int) -> None:
            if handle.action is not None:
                handle.action()
                # multiples of the period, not a running sum: floats would drift off the grid
                self.schedule(start + (count + 1) * period_s, lambda: beat(count + 1))

        self.schedule(start, lambda: beat(0))
        return handle

    def run_until(self, until: float) -> int:
        """Run all actions due up to and including ``until``, leave the clock there, and give how many ran.

        Raises:
            RunawayError: too many actions at one instant.

        """
        ran, at_instant = 0, 0
        heap = self._heap
        while heap and heap[0].at <= until:
            ticket = heapq.heappop(heap)
            if ticket.action is None:
                continue
            at_instant = at_instant + 1 if ticket.at == self._now else 0
            if at_instant > ACTIONS_PER_INSTANT_MAX:
                raise RunawayError(f"{at_instant} actions at virtual time {self._now}")
            self._now = ticket.at
            action, ticket.action = ticket.action, None
            action()
            ran += 1
        self._now = max(self._now, until)
        return ran
