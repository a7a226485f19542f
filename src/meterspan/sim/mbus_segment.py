"""A simulated segment of wired M-Bus: several slaves on one pair of wires, behind one gateway.

Slaves that answer at the same time disturb each other, as their currents add up: equal octets arrive as one, different
ones not at all. So E5 of many slaves arrives as one E5, and of two different telegrams nothing arrives.
"""

from collections.abc import Sequence
from itertools import zip_longest

from meterspan.engine.mbus_link import MbusSlave, SlaveEvent

__all__ = ["MbusSegment"]


class MbusSegment:
    """Slaves on one pair of wires; a ``Machine`` of their events, for one master.

    Args:
        slaves: on the segment.

    """

    def __init__(self, slaves: Sequence[MbusSlave]) -> None:
        self.slaves = list(slaves)

    def receive(self, octets: bytes, now: float) -> None:
        """Bring octets of the master to every slave."""
        for slave in self.slaves:
            slave.receive(octets, now)

    def advance(self, now: float) -> None:
        """Let time pass."""
        for slave in self.slaves:
            slave.advance(now)

    def deadline(self) -> float | None:
        """When ``advance`` must be called next, or None."""
        return min((due for slave in self.slaves if (due := slave.deadline()) is not None), default=None)

    def octets_to_send(self) -> bytes:
        """Return what the wires carry to the master, and remove it."""
        answers = [octets for slave in self.slaves if (octets := slave.octets_to_send())]
        return b"".join(map(_on_the_wires, zip_longest(*answers)))

    def next_event(self) -> SlaveEvent | None:
        """Return the next event of any slave and remove it, or None."""
        return next((event for slave in self.slaves if (event := slave.next_event()) is not None), None)

    def medium_lost(self, now: float) -> None:
        """Drop what is under way: the master has closed its connection."""
        for slave in self.slaves:
            slave.medium_lost(now)


def _on_the_wires(octets: tuple[int | None, ...]) -> bytes:
    """Return what the receiver makes of octets sent at once: one octet, or nothing."""
    sent = {octet for octet in octets if octet is not None}
    return bytes(sent) if len(sent) == 1 else b""
