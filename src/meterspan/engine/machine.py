"""The one shape of every engine: octets and time in; octets, events and a deadline out.

``now`` is UTC seconds since 1970 as a float, given by the owner of the clock: the asyncio shell in production, the
virtual clock in a simulation. A machine never reads a clock, opens a socket or draws randomness by itself.
"""

from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

__all__ = ["EVENTS_MAX", "ConnectingMachine", "Machine", "WantsConnection"]

EVENTS_MAX: Final = 4_096
"""Events kept for an owner that does not collect them; further damage and unsolicited APDUs are then dropped."""

EventT_co = TypeVar("EventT_co", covariant=True)


class Machine(Protocol[EventT_co]):
    """Receive octets, advance time, take octets to send and events, until both are empty."""

    def receive(self, octets: bytes, now: float) -> None:
        """Process octets from the medium, in any cut; b"" is not an end of stream."""
        ...

    def advance(self, now: float) -> None:
        """Let time pass: run every timer that is due."""
        ...

    def deadline(self) -> float | None:
        """When ``advance`` must be called next, or None."""
        ...

    def octets_to_send(self) -> bytes:
        """Return all octets that are ready for the medium, and remove them; b"" if none."""
        ...

    def next_event(self) -> EventT_co | None:
        """Return the next event in order and remove it, or None."""
        ...


@dataclass(frozen=True, slots=True)
class WantsConnection:
    """The machine needs a connection: its owner makes one and calls ``connect``, or ``medium_lost``."""


class ConnectingMachine(Machine[EventT_co], Protocol[EventT_co]):
    """A machine that asks for connections (``WantsConnection`` is one of its events) and gives them back."""

    @property
    def has_medium(self) -> bool:
        """Whether a connection is in use; False once the machine has given it up: close it."""
        ...

    def connect(self, now: float) -> None:
        """Use the connection that the owner has made."""
        ...

    def medium_lost(self, now: float) -> None:
        """Note that the connection is gone, or could not be made."""
        ...
