"""Faults as data: kind, time and target in a district; written by hand or by a scenario.

A plan does nothing by itself: the world asks ``active`` while it runs, or lets ``schedule`` call it when a fault begins
and ends. The same plan gives the same run, and a failing run can be reported as a few lines of JSON.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from typing import Any, Self

from meterspan.sim.channel import MediumEffects
from meterspan.sim.clock import VirtualClock

__all__ = ["Fault", "FaultKind", "FaultPlan"]


class FaultKind(StrEnum):
    """The kinds of fault, each with the meaning of ``amount``."""

    LOST_FRAMES = "lost frames"
    """The target's channel loses this share of frames (0..1)."""
    DAMAGED_FRAMES = "damaged frames"
    """Bits flip in this share of frames (0..1)."""
    OUTAGE = "outage"
    """The target (an access point, a network) has no way upstream."""
    WRONG_KEY = "wrong key"
    """The target uses a key that is not in the inventory."""
    REPLAY = "replay"
    """Old frames of the target are sent again, this many."""
    EXCHANGE = "meter exchange"
    """The meter is replaced by a new one."""
    CLOCK_DRIFT = "clock drift"
    """The meter's clock gains this many parts per million."""
    REGISTER_RESET = "register reset"
    """The meter is broken, and its registers start from zero."""
    POWER_OUTAGE = "power outage"
    """The meter has no power."""


INSTANT_KINDS = frozenset({FaultKind.REPLAY, FaultKind.EXCHANGE, FaultKind.REGISTER_RESET})
"""These happen at ``start``; ``end`` is the same instant."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        kind: the kind of fault.
        target: device, access point or network it happens to.
        start: UTC seconds.
        end: UTC seconds; the fault is active while start <= t < end, or happens at start where both are equal.
        amount: share, ppm or count; see ``FaultKind``.

    """

    kind: FaultKind
    target: str
    start: float
    end: float
    amount: float = 0.0

    def __post_init__(self) -> None:
        if self.end < self.start:
            raise ValueError(f"{self.kind} of {self.target} ends before it starts")
        if (self.end == self.start) != (self.kind in INSTANT_KINDS):
            raise ValueError(f"{self.kind} of {self.target}: an instant, or a span of time?")

    def __str__(self) -> str:
        """Write kind and target."""
        return f"{self.kind} at {self.target}"


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """All faults of a run, by start."""

    faults: tuple[Fault, ...] = ()

    @classmethod
    def of(cls, faults: Sequence[Fault]) -> Self:
        """Sort faults into a plan."""
        return cls(tuple(sorted(faults, key=lambda fault: (fault.start, fault.kind, fault.target))))

    @classmethod
    def from_json(cls, rows: Sequence[dict[str, Any]]) -> Self:
        """Build from what ``to_json`` gave.

        Raises:
            ValueError: an unknown kind, a missing or unknown field, or a span that cannot be.

        """
        try:
            return cls.of([Fault(**{**row, "kind": FaultKind(row["kind"])}) for row in rows])
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a fault: {error}") from error

    def to_json(self) -> list[dict[str, Any]]:
        """Return rows that JSON can hold."""
        return [
            {
                "kind": str(fault.kind),
                "target": fault.target,
                "start": fault.start,
                "end": fault.end,
                "amount": fault.amount,
            }
            for fault in self.faults
        ]

    def active(self, kind: FaultKind, target: str, at: float) -> Fault | None:
        """Return the fault of that kind that the target suffers at ``at``, or None."""
        return next(
            (
                fault
                for fault in self.faults
                if fault.kind is kind and fault.target == target and fault.start <= at < fault.end
            ),
            None,
        )

    def of_target(self, target: str) -> tuple[Fault, ...]:
        """Return all faults of one target."""
        return tuple(fault for fault in self.faults if fault.target == target)

    def medium(self, target: str, base: MediumEffects, at: float) -> MediumEffects:
        """Return the target's medium at ``at``: the base with the loss, damage and outages of the plan."""
        lost = self.active(FaultKind.LOST_FRAMES, target, at)
        damaged = self.active(FaultKind.DAMAGED_FRAMES, target, at)
        outages = tuple((fault.start, fault.end) for fault in self.of_target(target) if fault.kind is FaultKind.OUTAGE)
        return replace(
            base,
            loss=base.loss if lost is None else max(base.loss, lost.amount),
            damage=base.damage if damaged is None else max(base.damage, damaged.amount),
            outages=base.outages + outages,
        )

    def schedule(
        self,
        clock: VirtualClock,
        begin: Callable[[Fault], object],
        end: Callable[[Fault], object] = lambda _fault: None,
    ) -> None:
        """Have ``begin`` and ``end`` called as the clock passes; instants have no end."""
        for fault in self.faults:
            clock.schedule(fault.start, partial(begin, fault))
            if fault.end > fault.start:
                clock.schedule(fault.end, partial(end, fault))
