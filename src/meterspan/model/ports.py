"""Ports: what an entity needs from the world, handed to it so that entities do no I/O (law 3).

``runtime`` implements them on disk, ``sim`` on its virtual machines; every write is durable when the call returns.
Each method raises ``StorageError`` where the medium fails: disk full, file locked or damaged.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from meterspan.model.readings import CaptureBlock, MeterEvent

__all__ = ["TRIED", "CounterStore", "Entropy", "OutboxStore", "ReadingSink", "StateStore"]

Entropy = Callable[[int], bytes]
"""Gives that many octets of cryptographic randomness."""

TRIED = "tried/"
"""Begins the names under which a ``CounterStore`` notes counters that we sent out of our own run."""


class CounterStore(Protocol):
    """Invocation counters, persisted before use (law 8)."""

    def reserve(self, name: str, count: int) -> int:
        """Reserve the next ``count`` values of counter ``name`` durably and give the first."""
        ...

    def accept(self, name: str, value: int) -> bool:
        """Accept a received counter value if it is above all accepted before, durably; False is a replay."""
        ...

    def accepted(self, name: str) -> int:
        """Return the highest value accepted so far under this name, 0 where there is none."""
        ...


class StateStore(Protocol):
    """Small named states that survive power loss (a clock offset, a breaker position, learnt layouts)."""

    def load(self, name: str) -> bytes | None:
        """Return what was saved last, or None."""
        ...

    def save(self, name: str, octets: bytes) -> None:
        """Replace the named state durably and atomically."""
        ...


class OutboxStore(Protocol):
    """A durable first-in-first-out queue: store and forward."""

    def append(self, octets: bytes) -> int:
        """Append an item durably and give its sequence number."""
        ...

    def peek(self, count: int) -> Sequence[tuple[int, bytes]]:
        """Return up to ``count`` oldest items with their numbers, without removing them."""
        ...

    def discard(self, through: int) -> None:
        """Remove all items up to and including the number ``through``."""
        ...


class ReadingSink(Protocol):
    """Where collected readings and events go; what was taken is never lost."""

    def take(self, blocks: Sequence[CaptureBlock], events: Sequence[MeterEvent] = ()) -> None:
        """Store a batch durably: when the call returns, it survives ``kill -9``."""
        ...
