"""The readout of all slaves of a wired M-Bus in rounds, on the marks of the clock (EN 13757-3:2018, clause 12).

Strategy: a round asks its owner for a connection, reads one slave after the other with an ``MbusReadout`` each, and
gives the connection back, as gateways serve one program at a time. Every slave has exactly one outcome in a round. A
slave that is silent, damaged or endless costs its own time alone; where the connection breaks, the slave that was being
read has failed, and another connection is asked for on behalf of the rest.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from meterspan.engine.machine import WantsConnection
from meterspan.engine.mbus_link import BITS_PER_OCTET, MAX_PAGES, LineSettings
from meterspan.engine.mbus_readout import MbusReadout, ReadoutDone, ReadoutEvent, SlaveAddress
from meterspan.model.failures import Failure, FailureKind
from meterspan.wire.mbus.link import MAX_FRAME

__all__ = ["MbusPoller", "PollEvent", "PolledSlave", "RoundEnded", "SlaveNotRead", "SlaveRead"]

SLACK_S: Final = 60.0
"""A slave may take so much longer than the octets of the longest readout: pauses, and all its retries."""


@dataclass(frozen=True, slots=True)
class PolledSlave:
    """A slave that is polled; ``name`` says where it is, for logs and for the memory of what was read there."""

    name: str
    address: SlaveAddress


@dataclass(frozen=True, slots=True)
class SlaveRead:
    """A slave was read.

    Attributes:
        slave: its name.
        octets: its long frames as they were received, one after the other.
        is_complete: False where the slave repeated a telegram and never ended the readout.

    """

    slave: str
    octets: bytes
    is_complete: bool


@dataclass(frozen=True, slots=True)
class SlaveNotRead:
    """A slave could not be read in this round.

    Attributes:
        slave: its name.
        failure: why.
        octets: a damaged answer as it was received, as far as it is kept.

    """

    slave: str
    failure: Failure
    octets: bytes = b""


@dataclass(frozen=True, slots=True)
class RoundEnded:
    """All slaves were asked."""


PollEvent = WantsConnection | SlaveRead | SlaveNotRead | RoundEnded


class _PollState(Enum):
    WAITING = "until the next mark"
    ASKED = "for a connection"
    READING = "a slave"


class MbusPoller:
    """Polls the slaves of one bus; a ``Machine`` of ``PollEvent``.

    Args:
        slaves: in the order in which they are read.
        every_s: seconds between rounds, which begin on multiples of it; the first begins at once.
        settings: timing of the bus.

    Raises:
        ValueError: there is no slave, or two have one name.

    """

    def __init__(self, slaves: Sequence[PolledSlave], *, every_s: float, settings: LineSettings | None = None) -> None:
        if not slaves or len({slave.name for slave in slaves}) < len(slaves):
            raise ValueError("a bus is polled for at least one slave, and each has a name of its own")
        self._slaves = tuple(slaves)
        self._every_s = every_s
        self._settings = LineSettings() if settings is None else settings
        self._state = _PollState.WAITING
        self._due = 0.0
        self._left: deque[PolledSlave] = deque()
        """The slaves of this round without an outcome; the first is being read."""
        self._readout: MbusReadout | None = None
        self._limit = 0.0
        self._events: deque[PollEvent] = deque()

    @property
    def has_medium(self) -> bool:
        """Whether a connection is in use; False once the round is over: close it."""
        return self._state is _PollState.READING

    def connect(self, now: float) -> None:
        """Use the connection that the owner has made."""
        if self._state is _PollState.ASKED:
            self._state = _PollState.READING
            self._read_next(now)

    def medium_lost(self, now: float) -> None:
        """Note that the connection is gone, or could not be made."""
        if self._state is _PollState.ASKED:
            failure = Failure(FailureKind.UNREACHABLE, "there is no connection to the bus")
            while self._left:
                self._fail(failure)
            self._end_round(now)
        elif self._state is _PollState.READING:
            self._fail(Failure(FailureKind.LINK_LOST, "the connection to the bus was closed"))
            self._ask_again() if self._left else self._end_round(now)

    def receive(self, octets: bytes, now: float) -> None:
        """Process octets from the bus, in any cut."""
        if self._readout is not None:
            self._readout.receive(octets, now)
            self._pump(now)

    def advance(self, now: float) -> None:
        """Let time pass: begin a round that is due, repeat what was not answered, leave a slave that never ends."""
        if self._state is _PollState.WAITING and now >= self._due:
            self._left = deque(self._slaves)
            self._ask_again()
        if self._readout is None:
            return
        if now >= self._limit:
            self._fail(Failure(FailureKind.DEADLINE, "the readout did not end in its time"))
            self._read_next(now)
            return
        self._readout.advance(now)
        self._pump(now)

    def deadline(self) -> float | None:
        """When ``advance`` must be called next, or None."""
        if self._state is _PollState.WAITING:
            return self._due
        if self._readout is None:
            return None
        due = self._readout.deadline()
        return self._limit if due is None else min(due, self._limit)

    def octets_to_send(self) -> bytes:
        """Return all octets that are ready for the bus, and remove them."""
        return b"" if self._readout is None else self._readout.octets_to_send()

    def next_event(self) -> PollEvent | None:
        """Return the next event in order and remove it, or None."""
        return self._events.popleft() if self._events else None

    def _pump(self, now: float) -> None:
        if self._readout is not None and (event := self._readout.next_event()) is not None:
            self._note(event)
            self._read_next(now)

    def _note(self, event: ReadoutEvent) -> None:
        if not isinstance(event, ReadoutDone):
            self._fail(event.failure, event.octets)
            return
        slave = self._left.popleft()
        self._events.append(SlaveRead(slave.name, b"".join(event.frames), event.is_complete))

    def _fail(self, failure: Failure, octets: bytes = b"") -> None:
        self._events.append(SlaveNotRead(self._left.popleft().name, failure, octets))

    def _read_next(self, now: float) -> None:
        if not self._left:
            self._end_round(now)
            return
        line = self._settings
        self._limit = now + line.bits(BITS_PER_OCTET * MAX_FRAME * MAX_PAGES) + MAX_PAGES * line.latency_s + SLACK_S
        self._readout = MbusReadout(self._left[0].address, line)
        self._readout.start(now)

    def _ask_again(self) -> None:
        self._readout = None
        self._state = _PollState.ASKED
        self._events.append(WantsConnection())

    def _end_round(self, now: float) -> None:
        self._readout = None
        self._state = _PollState.WAITING
        self._due = (now // self._every_s + 1) * self._every_s
        self._events.append(RoundEnded())
