"""Two machines joined by a wire that can delay, cut, lose and change octets; virtual time, no clock."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

MAX_STEPS = 200_000
"""A pair that is not quiet after so many deliveries talks in circles."""

Fault = Callable[[int, bytes], bytes | None]
"""Given the running number of a transmission and its octets: what arrives (None: lost)."""


def untouched(_number: int, octets: bytes) -> bytes | None:
    return octets


@dataclass
class Pair:
    """``left`` and ``right`` with a wire between; ``cut`` delivers in pieces of that many octets.

    ``to_left`` and ``to_right`` are fault functions; ``log`` keeps (direction, octets) of all that was sent.
    """

    left: Any
    right: Any
    now: float = 1_700_000_000.0
    latency_s: float = 0.0
    cut: int | None = None
    to_left: Fault = untouched
    to_right: Fault = untouched
    log: list[tuple[str, bytes]] = field(default_factory=list)
    left_events: list[Any] = field(default_factory=list)
    right_events: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._flying: list[tuple[float, int, Any, bytes]] = []
        self._order = count()
        self._sent = {">": count(), "<": count()}

    def run(self, until: float | None = None) -> None:
        """Deliver until nothing moves; with ``until`` let timers run up to that time as well."""
        for _ in range(MAX_STEPS):
            self._collect()
            if self._flying:
                self._flying.sort(key=lambda entry: entry[:2])
                due, _order, machine, octets = self._flying.pop(0)
                self._advance_to(due)
                self._deliver(machine, octets)
                continue
            deadline = self._deadline()
            if until is None or deadline is None or deadline > until:
                if until is not None:
                    self._advance_to(until)
                    self._collect()
                    if self._flying:
                        continue
                return
            self._advance_to(max(deadline, self.now))
            for machine in (self.left, self.right):
                machine.advance(self.now)
        raise AssertionError("the pair never comes to rest")

    def wait(self, seconds: float) -> None:
        self.run(self.now + seconds)

    def _advance_to(self, moment: float) -> None:
        while (deadline := self._deadline()) is not None and self.now < deadline < moment:
            self.now = deadline
            for machine in (self.left, self.right):
                machine.advance(self.now)
        self.now = max(self.now, moment)

    def _deadline(self) -> float | None:
        deadlines = [machine.deadline() for machine in (self.left, self.right)]
        return min((deadline for deadline in deadlines if deadline is not None), default=None)

    def _collect(self) -> None:
        for machine, other, mark, fault in (
            (self.left, self.right, ">", self.to_right),
            (self.right, self.left, "<", self.to_left),
        ):
            octets = machine.octets_to_send()
            if octets:
                self.log.append((mark, octets))
                arriving = fault(next(self._sent[mark]), octets)
                if arriving is not None:
                    self._flying.append((self.now + self.latency_s, next(self._order), other, arriving))
        for machine, events in ((self.left, self.left_events), (self.right, self.right_events)):
            while (event := machine.next_event()) is not None:
                events.append(event)

    def _deliver(self, machine: Any, octets: bytes) -> None:
        size = self.cut or len(octets)
        for start in range(0, len(octets), size):
            machine.receive(octets[start : start + size], self.now)
