"""The one shape of every engine: octets and time in; octets, events and a deadline out.

``now`` is UTC seconds since 1970 as a float, given by the owner of the clock: the asyncio shell in production, the
virtual clock in a simulation. A machine never reads a clock, opens a socket or draws randomness by itself.
"""

from typing import Final, Protocol, TypeVar

__all__ = ["EVENTS_MAX", "Machine"]

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
