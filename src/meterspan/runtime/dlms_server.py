"""The DLMS ports of a device on this machine: one association per connection, bounded, silent peers closed.

Strategy: contexts of one system title draw from one run of counters (``engine.counter_blocks``), so that the counters
of sessions and pushes ascend. The device is requested again at each connection, as its objects may change.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, cast

from meterspan.engine.association.attempts import AttemptLedger
from meterspan.engine.association.records import (
    ApduRefused,
    Associated,
    AssociationEvent,
    AssociationRefused,
    LinkLost,
    Released,
)
from meterspan.engine.association.server import ServerAssociation, ServerLimits
from meterspan.engine.counter_blocks import CounterBlocks
from meterspan.engine.links import LinkAddresses, Transport
from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.model.cosem.device import MANAGEMENT_CLIENT, AssociationDefinition, LogicalDevice
from meterspan.runtime.media import OpenPort, listen_stream
from meterspan.runtime.shell import StreamShell
from meterspan.runtime.state import StateFile
from meterspan.wire.axdr import Data, double_long_unsigned

__all__ = ["DeviceSecurity", "DlmsServer", "HostLimits"]

_ADDRESSES: Final = LinkAddresses(MANAGEMENT_CLIENT, 1, 17)
"""Logical device 1; a client may leave the lower HDLC address, 17, out."""
TICK_S: Final = 1.0
_CLIENT_KEPT: Final = "management client"


@dataclass(frozen=True, slots=True)
class HostLimits:
    """Limits of a device's ports.

    Attributes:
        connections_max: connections at a time; each has an association of its own.
        inactivity_timeout_s: a link on which nothing arrives for so long is taken down.
        silence_s: a connection without a link is closed after so long.

    """

    connections_max: int = 16
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

    def invocation_counter(self, _now: float) -> Data:
        """Return the highest counter accepted from the management client that associated last."""
        title = self._state.load(_CLIENT_KEPT)
        if title is None:
            return double_long_unsigned(0)
        known = SecurityContext(self._system_title, self._keys, counters=self._state, peer_title=title)
        return double_long_unsigned(max(0, known.last_received))


class DlmsServer:
    """Serves one logical device.

    Args:
        device: returns it as it is now.
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
        limits: HostLimits | None = None,
        on_note: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._device = device
        self._security = security
        self._clock = clock
        self._limits = HostLimits() if limits is None else limits
        self._on_note = on_note
        self._attempts = AttemptLedger()
        self._listeners: list[OpenPort] = []
        self._connections: dict[_ClientConnection, float] = {}

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
        finally:
            self.close()

    def close_silent(self) -> None:
        """Close connections whose link is not up after too long."""
        now = self._clock()
        for connection, up_at in list(self._connections.items()):
            if connection.is_up:
                self._connections[connection] = now
            elif now - up_at >= self._limits.silence_s:
                self._on_note("a silent connection was closed")
                connection.close()

    def close(self) -> None:
        """Close all ports and connections."""
        for listener in self._listeners:
            listener.close()
        for connection in list(self._connections):
            connection.close()

    def _admit(self, transport: Transport) -> asyncio.Protocol:
        if len(self._connections) >= self._limits.connections_max:
            self._on_note("connection limit reached, refused")
            return _Refused()
        link = transport.server(_ADDRESSES, inactivity_timeout_s=self._limits.inactivity_timeout_s)
        association = ServerAssociation(
            link,
            self._device(),
            security=self._security.of,
            entropy=secrets.token_bytes,
            attempts=self._attempts,
            limits=ServerLimits(max_pdu=transport.apdu_max),
        )

        def closed() -> None:
            self._connections.pop(connection, None)

        connection = _ClientConnection(association, self._clock, self._take, closed)
        self._connections[connection] = self._clock()
        return connection

    def _take(self, event: AssociationEvent) -> None:
        match event:
            case Associated(agreement):
                self._security.note_client(agreement.peer_title)
                ciphered = ", ciphered" if agreement.ciphered else ""
                self._on_note(f"client {agreement.peer} associated ({agreement.mechanism.text}{ciphered})")
            case AssociationRefused():
                self._on_note(f"association refused: {event.failure}")
            case Released() | LinkLost():
                self._on_note(f"association ended: {event.failure or 'released'}")
            case ApduRefused():
                self._on_note(f"APDU refused: {event.error}")
            case _:
                pass


class _ClientConnection(StreamShell[AssociationEvent]):
    """A client's connection: its machine listens from the first moment, so that a silent client times out."""

    def __init__(
        self,
        association: ServerAssociation,
        clock: Callable[[], float],
        on_event: Callable[[AssociationEvent], None],
        on_closed: Callable[[], None],
    ) -> None:
        super().__init__(association, clock, on_event, on_closed)
        self._association = association

    @property
    def is_up(self) -> bool:
        """Whether the link is up."""
        return self._association.link.is_up

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Listen."""
        self._association.connect(self._clock())
        super().connection_made(transport)


class _Refused(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()
