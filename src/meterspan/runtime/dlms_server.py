"""The DLMS ports of a device on this machine: a few associations per connection, bounded, silent peers closed.

Strategy: contexts of one system title draw from one run of counters (``engine.counter_blocks``), so that the counters
of sessions and pushes ascend. The device is requested again at each connection, as its objects may change.
"""

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from meterspan.engine.association.agreement import Agreement
from meterspan.engine.association.attempts import AttemptLedger
from meterspan.engine.association.records import (
    ApduRefused,
    Associated,
    AssociationEvent,
    AssociationRefused,
    LinkLost,
    Released,
)
from meterspan.engine.association.server import ASSOCIATIONS_MAX, ServerAssociation, ServerLimits
from meterspan.engine.counter_blocks import CounterBlocks
from meterspan.engine.links import LinkAddresses, Transport
from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.model.cosem.device import MANAGEMENT_CLIENT, AssociationDefinition, LogicalDevice
from meterspan.runtime.limits import ANSWERED_SHARE, ConnectionGate, ConnectionPlace, NoteLimiter, connections_within
from meterspan.runtime.media import OpenPort, listen_stream
from meterspan.runtime.shell import StreamShell
from meterspan.runtime.state import StateFile
from meterspan.wire.acse import AuthenticationMechanism
from meterspan.wire.axdr import Data, double_long_unsigned, octet_string

__all__ = ["DeviceSecurity", "DlmsServer", "HostLimits"]

_ADDRESSES: Final = LinkAddresses(MANAGEMENT_CLIENT, 1, 17)
"""Logical device 1; a client may leave the lower HDLC address, 17, out."""
TICK_S: Final = 1.0
REFUSAL_OCTETS: Final = 64
"""What a refused APDU counts for beside its octets: it is answered and noted."""
_FILES_SHARE: Final = 0.25
"""Of the open files, what the ports of one device may hold."""
_CLIENT_KEPT: Final = "management client"
_CHANGES: Final = (Associated, AssociationRefused, Released, LinkLost)
"""Events after which other clients are associated than before."""


@dataclass(frozen=True, slots=True)
class HostLimits:
    """Limits of a device's ports.

    Attributes:
        connections_max: connections at a time; each has associations of its own.
        associations_max: associations of one connection, each of another client.
        connections_per_peer_max: of them, those of one address.
        inactivity_timeout_s: a link on which nothing arrives for so long is taken down.
        silence_s: a connection without an association is closed after so long.

    """

    connections_max: int = 16
    connections_per_peer_max: int = 12
    associations_max: int = ASSOCIATIONS_MAX
    inactivity_timeout_s: float = 180.0
    silence_s: float = 30.0


class DeviceSecurity:
    """The security of one device towards clients that hold its keys.

    Args:
        system_title: its own, eight octets.
        keys: of its management association.
        state: keeps counters, and who associated last.

    """

    def __init__(self, system_title: bytes, keys: SecurityKeys, state: StateFile) -> None:
        self._system_title = system_title
        self._keys = keys
        self._state = state
        self._counters = CounterBlocks(state)

    def context(self) -> SecurityContext:
        """Make a context, for an association or for pushes."""
        return SecurityContext(self._system_title, self._keys, counters=self._counters, counter_block=1)

    def of(self, definition: AssociationDefinition) -> SecurityContext | None:
        """Make the context of a new association; None where it is not ciphered."""
        return self.context() if definition.ciphered else None

    def note_client(self, title: bytes) -> None:
        """Remember the management client that associated last."""
        if title and title != self._state.load(_CLIENT_KEPT):
            self._state.save(_CLIENT_KEPT, title)

    def client_title(self, _now: float) -> Data:
        """Return the system title of the management client that associated last; b"" before the first."""
        return octet_string(self._state.load(_CLIENT_KEPT) or b"")

    def invocation_counter(self, _now: float) -> Data:
        """Return the highest counter accepted from the management client that associated last."""
        title = self._state.load(_CLIENT_KEPT)
        if title is None:
            return double_long_unsigned(0)
        known = SecurityContext(self._system_title, self._keys, counters=self._state, peer_title=title)
        return double_long_unsigned(max(0, known.last_received))


class DlmsServer:
    """Serves the logical devices of one meter.

    Args:
        device: returns the management logical device as it is now.
        others: returns the further logical devices.
        security: its own.
        clock: true time, for the links.
        limits: of its ports.
        on_note: called with a sentence for each event at its ports.

    """

    def __init__(
        self,
        device: Callable[[], LogicalDevice],
        security: DeviceSecurity,
        *,
        clock: Callable[[], float],
        others: Callable[[], Sequence[LogicalDevice]] = tuple,
        limits: HostLimits | None = None,
        on_note: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._device = device
        self._others = others
        self._security = security
        self._clock = clock
        self._limits = HostLimits() if limits is None else limits
        self._on_note = NoteLimiter(on_note, clock)
        self._attempts = AttemptLedger()
        self._listeners: list[OpenPort] = []
        total = connections_within(self._limits.connections_max, _FILES_SHARE)
        self._gate = ConnectionGate(total, self._limits.connections_per_peer_max, clock)
        self._connections: dict[_ClientConnection, ConnectionPlace] = {}

    @property
    def connections(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    async def listen(self, transport: Transport, host: str, port: int) -> int:
        """Serve DLMS over a transport and return the port (0 takes a free one).

        Raises:
            CannotConnectError: its medium cannot be listened at.
            OSError: the port is taken.

        """
        listener = await listen_stream(transport.medium, host, port, lambda: self._admit(transport))
        self._listeners.append(listener)
        return listener.port

    async def run(self) -> None:
        """Close silent connections until cancelled, and then all."""
        try:
            while True:
                await asyncio.sleep(TICK_S)
                self.close_silent()
        except asyncio.CancelledError:
            self.close()
            raise

    def close_silent(self) -> None:
        """Close connections that have no association after too long, whatever else they send."""
        overdue = set(self._gate.silent(self._limits.silence_s))
        for connection, place in list(self._connections.items()):
            if place in overdue and not connection.is_associated:
                self._on_note("a silent connection was closed")
                connection.close()

    def close(self) -> None:
        """Close all ports and connections."""
        for listener in self._listeners:
            listener.close()
        for connection in list(self._connections):
            connection.close()

    def _admit(self, transport: Transport) -> asyncio.Protocol:
        others = self._others()
        addresses = replace(_ADDRESSES, devices=frozenset(item.sap for item in others))
        link = transport.server(addresses, inactivity_timeout_s=self._limits.inactivity_timeout_s)
        association = ServerAssociation(
            link,
            self._device(),
            others=others,
            security=self._security.of,
            entropy=secrets.token_bytes,
            attempts=self._attempts,
            limits=ServerLimits(max_pdu=transport.apdu_max, associations_max=self._limits.associations_max),
        )

        def opened(peer: str) -> bool:
            place = self._gate.admit(peer, connection.abort)
            if place is None:
                self._on_note("connection limit reached, refused")
                return False
            self._connections[connection] = place
            return True

        def closed() -> None:
            place = self._connections.pop(connection, None)
            if place is not None:
                self._gate.leave(place)

        def take(event: AssociationEvent) -> None:
            place = self._connections.get(connection)
            if place is not None:
                if isinstance(event, _CHANGES):
                    self._note_proof(place, association.agreements)
                if isinstance(event, ApduRefused) and not self._gate.spend(place, REFUSAL_OCTETS):
                    connection.abort()
            self._take(event)

        def may_feed(size: int) -> bool:
            place = self._connections.get(connection)
            return place is None or place.is_proved or self._gate.spend(place, size)

        def is_proved() -> bool:
            place = self._connections.get(connection)
            return place is not None and place.is_proved

        connection = _ClientConnection(association, self._clock, _PortCalls(take, closed, opened, may_feed, is_proved))
        return connection

    def _note_proof(self, place: ConnectionPlace, agreements: Sequence[Agreement]) -> None:
        """Keep the place of a client that has proved to hold a key or password, as long as its association lasts."""
        is_proved = any(agreement.mechanism is not AuthenticationMechanism.LOWEST for agreement in agreements)
        if is_proved:
            self._gate.prove(place)
        else:
            self._gate.unprove(place)

    def _take(self, event: AssociationEvent) -> None:
        match event:
            case Associated(agreement):
                self._security.note_client(agreement.peer_title)
                ciphered = ", ciphered" if agreement.ciphered else ""
                self._on_note(f"client {agreement.peer} associated ({agreement.mechanism.text}{ciphered})")
            case AssociationRefused():
                self._on_note(f"association refused: {event.failure}")
            case Released():
                self._on_note(f"association of client {event.peer} ended: {event.failure or 'released'}")
            case LinkLost():
                self._on_note(f"association ended: {event.failure}")
            case ApduRefused():
                self._on_note(f"APDU refused: {event.error}")
            case _:
                pass


@dataclass(frozen=True, slots=True)
class _PortCalls:
    """What a connection asks of its port, and reports to it."""

    on_event: Callable[[AssociationEvent], None]
    on_closed: Callable[[], None]
    on_opened: Callable[[str], bool]
    may_feed: Callable[[int], bool]
    is_proved: Callable[[], bool]


class _ClientConnection(StreamShell[AssociationEvent]):
    """A client's connection: its machine listens from the first moment, so that a silent client times out."""

    feed_octets_max = 64
    """A request or two: a client that sends many at once waits for its own, and the others do not."""

    def __init__(
        self,
        association: ServerAssociation,
        clock: Callable[[], float],
        port: _PortCalls,
    ) -> None:
        super().__init__(association, clock, port.on_event, port.on_closed)
        self._answered = 0
        self._may_feed = port.may_feed
        self._is_proved = port.is_proved
        self._association = association
        self._on_opened = port.on_opened

    def may_feed(self, size: int) -> bool:
        """Return whether the client may send so much more: one that has proved nothing, little in all."""
        answered, self._answered = self.sent_octets - self._answered, self.sent_octets
        return self._may_feed(size + answered // ANSWERED_SHARE)

    @property
    def is_proved(self) -> bool:
        """Whether the client has proved to hold a key or password, and its association lasts."""
        return self._is_proved()

    @property
    def is_associated(self) -> bool:
        """Whether a client is associated."""
        return bool(self._association.agreements)

    def pump(self) -> None:
        """Hand events and octets on; close a connection on which nothing more can come."""
        super().pump()
        if self._association.is_over:
            self.close()

    def opened(self, transport: asyncio.Transport) -> None:
        """Listen, where a place is free."""
        peer = transport.get_extra_info("peername")
        self._association.peer = str(peer[0]) if isinstance(peer, tuple) else ""
        if not self._on_opened(self._association.peer):
            transport.abort()
            return
        self._association.connect(self._clock())
        super().opened(transport)
