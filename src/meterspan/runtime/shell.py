"""Asyncio shells around machines: feed octets, arm one timer, write what is ready, hand events on; they decide nothing.

``StreamShell`` runs a ``Machine`` that talks to one peer, over any medium of ``runtime.media``; ``DatagramShell``
receives from every peer. The given callable handles the events.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar, cast

from meterspan.engine.frame_trace import FrameDirection
from meterspan.engine.machine import Machine
from meterspan.model.storage.errors import StorageError
from meterspan.runtime.defects import note_defect

__all__ = ["UNANSWERED_OCTETS_MAX", "DatagramShell", "OnOctets", "StreamMachine", "StreamShell", "Ticker"]

EventT = TypeVar("EventT")
EventT_co = TypeVar("EventT_co", covariant=True)

OnOctets = Callable[[FrameDirection, bytes, float], None]
"""Is called with octets that pass, before they are acted upon, and the time."""
FEED_OCTETS_MAX = 1 << 14
"""An answer is shorter; a peer that sends more at once has several turns."""
UNANSWERED_OCTETS_MAX = 1 << 17
"""The longest APDU in segments, and notifications beside it: a peer that sends more to one question says nothing."""
_log = logging.getLogger("meterspan.runtime")

OCTETS_UNSENT_MAX = 1 << 20
"""A peer that reads nothing is cut off at this much unsent output: no session's answer is near a megabyte."""


class StreamMachine(Machine[EventT_co], Protocol[EventT_co]):
    """A machine that accepts the report that its connection is closed."""

    def medium_lost(self, now: float) -> None:
        """Note that the medium below is gone."""
        ...


class Ticker:
    """One timer that calls ``advance`` at a machine's deadline."""

    def __init__(self, clock: Callable[[], float], wake: Callable[[], None]) -> None:
        self._clock = clock
        self._wake = wake
        self._handle: asyncio.TimerHandle | None = None
        self._deadline: float | None = None

    def arm(self, deadline: float | None) -> None:
        """Wake at ``deadline``, or not at all."""
        if deadline == self._deadline:
            return
        self.cancel()
        self._deadline = deadline
        if deadline is not None:
            self._handle = asyncio.get_running_loop().call_later(max(0.0, deadline - self._clock()), self._fire)

    def cancel(self) -> None:
        """Wake no more."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = self._deadline = None

    def _fire(self) -> None:
        self._handle = self._deadline = None
        self._wake()


class StreamShell(asyncio.Protocol, Generic[EventT]):
    """Runs one machine on one connection.

    What is fed at once is bounded, so that other connections have their turn in between. A class may bound what a peer
    sends without an answer (``unanswered_octets_max``), or say itself when it has had enough (``may_feed``).

    Args:
        machine: the state machine.
        clock: returns UTC seconds.
        on_event: takes every event of the machine, in order.
        on_closed: called once when the connection is gone, after the last event.
        on_octets: called with all octets sent and received, for traces; None without a trace.
        on_failed: called with what ended the connection from within: a counter or row that could not be stored, or a
            defect of this program.

    """

    feed_octets_max: int = FEED_OCTETS_MAX
    """Octets of a stream fed before other connections have their turn."""
    unanswered_octets_max: int | None = None
    """Octets taken since this side last sent any, for protocols of questions and answers; None: any number."""

    def __init__(
        self,
        machine: StreamMachine[EventT],
        clock: Callable[[], float],
        on_event: Callable[[EventT], None],
        on_closed: Callable[[], None] = lambda: None,
        on_octets: OnOctets | None = None,
        *,
        on_failed: Callable[[Exception], None] = lambda _error: None,
    ) -> None:
        self.machine = machine
        self._on_failed = on_failed
        self._on_octets = on_octets
        self._clock = clock
        self._on_event = on_event
        self._on_closed = on_closed
        self._transport: asyncio.Transport | None = None
        self._ticker = Ticker(clock, self._advance)
        self._unfed = bytearray()
        self._unanswered = 0
        self._sent = 0

    @property
    def sent_octets(self) -> int:
        """How many octets were sent since the connection was made."""
        return self._sent

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start; a connection that meets a failure here ends."""
        self._transport = cast("asyncio.Transport", transport)
        self._step(lambda: self.opened(cast("asyncio.Transport", transport)))

    def opened(self, transport: asyncio.Transport) -> None:  # noqa: ARG002 - for classes that look at the peer
        """Begin: a machine may have something to send at once."""
        self.pump()

    def data_received(self, data: bytes) -> None:
        """Feed the machine, in turns where they are bounded."""
        if self._is_datagram() or (not self._unfed and len(data) <= self.feed_octets_max and self.has_room()):
            self._feed(data)
            return
        is_feeding = bool(self._unfed)
        self._unfed += data
        if not is_feeding:
            self._feed_turn()

    def may_feed(self, size: int) -> bool:
        """Return whether so many octets more may be fed; False ends the connection."""
        self._unanswered += size
        return self.unanswered_octets_max is None or self._unanswered <= self.unanswered_octets_max

    def has_room(self) -> bool:
        """Return whether more may be fed now; where not, ``feed_on`` is called once there is."""
        return True

    def feed_on(self) -> None:
        """Go on with what has waited for room."""
        if self._unfed:
            self._feed_turn()
        elif self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _is_datagram(self) -> bool:
        return self._transport is not None and bool(self._transport.get_extra_info("is_datagram"))

    def _feed_turn(self) -> None:
        """Feed one turn; read nothing more from the connection until all turns are over."""
        transport = self._transport
        if transport is None or transport.is_closing():
            self._unfed.clear()
            return
        if not self.has_room():
            transport.pause_reading()
            return
        turn = bytes(self._unfed[: self.feed_octets_max])
        self._feed(turn)
        del self._unfed[: len(turn)]
        if self._unfed:
            transport.pause_reading()
            asyncio.get_running_loop().call_soon(self._feed_turn)
        elif not transport.is_closing() and self.has_room():
            transport.resume_reading()

    def _feed(self, data: bytes) -> None:
        if not self.may_feed(len(data)):
            self.abort()
            return
        now = self._clock()
        if self._on_octets is not None:
            self._on_octets(FrameDirection.RECEIVED, data, now)
        self._step(lambda: self.machine.receive(data, now))
        self.pump()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (asyncio's signature; the machine gives the reason)
        """Report the loss to the machine, and to its owner after the last event."""
        self._transport = None
        self._step(lambda: self.machine.medium_lost(self._clock()))
        self.pump()
        self._ticker.cancel()
        self._on_closed()

    def pump(self) -> None:
        """Hand all events on, write all octets, arm the timer; call it after every request to the machine."""
        self._step(self._pump)

    def _pump(self) -> None:
        while (event := self.machine.next_event()) is not None:
            self._on_event(event)
        while octets := self.machine.octets_to_send():  # of a stream all at once, else a datagram at a time
            if self._on_octets is not None:
                self._on_octets(FrameDirection.SENT, octets, self._clock())
            self._unanswered = 0
            self._sent += len(octets)
            if self._transport is not None:
                self._transport.write(octets)
        if self._transport is not None:
            if self._transport.get_write_buffer_size() > OCTETS_UNSENT_MAX:
                self._transport.abort()
            self._ticker.arm(self.machine.deadline())

    def close(self) -> None:
        """Close the connection once everything is written."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Close the connection at once; what is unsent is lost."""
        if self._transport is not None:
            self._transport.abort()

    def _advance(self) -> None:
        self._step(lambda: self.machine.advance(self._clock()))
        self.pump()

    def _step(self, step: Callable[[], None]) -> None:
        """Run a step; where it fails, this connection ends, and nothing beside it."""
        try:
            step()
        except StorageError as error:  # a counter or row that the protocol needs could not be stored
            _log.error("a connection was ended: its state cannot be stored", extra={"reason": str(error)})
            self._stop(error)
        except Exception as error:  # noqa: BLE001 - one connection fails alone; it is logged with its trace
            note_defect("a defect ended a connection", error)
            self._stop(error)

    def _stop(self, error: Exception) -> None:
        self._ticker.cancel()
        if self._transport is not None:
            self._transport.abort()
        self._on_failed(error)


class DatagramShell(asyncio.DatagramProtocol):
    """Receives datagrams and passes them on with time and peer; sends to a fixed peer, where one is given.

    Args:
        clock: returns UTC seconds.
        on_datagram: takes octets, the sender's ``host:port`` and the time.

    """

    def __init__(self, clock: Callable[[], float], on_datagram: Callable[[bytes, str, float], None]) -> None:
        self._clock = clock
        self._on_datagram = on_datagram
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start hearing."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Hand one datagram on; one that meets a defect is lost, and the next one is heard."""
        peer = f"{addr[0]}:{addr[1]}"
        try:
            self._on_datagram(data, peer, self._clock())
        except Exception as error:  # noqa: BLE001 - one datagram fails alone; it is logged with its trace
            note_defect("a datagram met a defect", error, peer=peer)

    def send(self, octets: bytes) -> None:
        """Send one datagram to the connected peer; without effect while not connected."""
        if self._transport is not None:
            self._transport.sendto(octets)

    def close(self) -> None:
        """Stop hearing."""
        if self._transport is not None:
            self._transport.close()
