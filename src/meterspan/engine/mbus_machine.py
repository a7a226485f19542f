"""What every machine over a ``MbusMaster`` does: one readout of a slave, or one search of a segment."""

from abc import ABC, abstractmethod
from collections import deque
from typing import Generic, TypeVar

from meterspan.engine.mbus_link import LineSettings, MasterEvent, MbusMaster
from meterspan.model.failures import Failure, FailureKind

__all__ = ["MasterMachine"]

EventT = TypeVar("EventT")


class MasterMachine(ABC, Generic[EventT]):
    """A machine over a master: octets and time go to the master, and its events to ``_take`` until the end."""

    def __init__(self, settings: LineSettings | None) -> None:
        self._master = MbusMaster(settings)
        self._events: deque[EventT] = deque()
        self._is_over = False

    def receive(self, octets: bytes, now: float) -> None:
        """Process octets from the segment, in any cut."""
        self._master.receive(octets, now)
        self._pump(now)

    def advance(self, now: float) -> None:
        """Let time pass."""
        self._master.advance(now)
        self._pump(now)

    def deadline(self) -> float | None:
        """When ``advance`` must be called next, or None."""
        return None if self._is_over else self._master.deadline()

    def octets_to_send(self) -> bytes:
        """Return all octets that are ready for the segment, and remove them."""
        return self._master.octets_to_send()

    def next_event(self) -> EventT | None:
        """Return the next event in order and remove it, or None."""
        return self._events.popleft() if self._events else None

    def medium_lost(self, now: float) -> None:  # noqa: ARG002 - one signature for all machines
        """Note that the connection is gone."""
        self._end(self._failed(Failure(FailureKind.LINK_LOST, "the connection was closed")))

    @abstractmethod
    def _take(self, event: MasterEvent, now: float) -> None:
        """Go on after an event of the master."""

    @abstractmethod
    def _failed(self, failure: Failure) -> EventT:
        """Return the event that ends the machine with a failure."""

    def _pump(self, now: float) -> None:
        while not self._is_over and (event := self._master.next_event()) is not None:
            self._take(event, now)

    def _end(self, event: EventT) -> None:
        if not self._is_over:
            self._is_over = True
            self._events.append(event)
