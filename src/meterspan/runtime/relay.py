"""A one-way outlet on TCP: every connection receives the sent octets, and its own are not read."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final, cast

from meterspan.runtime.clock import SystemClock
from meterspan.runtime.limits import ConnectionGate, ConnectionPlace
from meterspan.runtime.media import OpenPort, listen_stream

__all__ = ["Relay"]

UNSENT_OCTETS_MAX: Final = 1 << 16
"""A reader that is a minute behind is cut off."""
READERS_MAX: Final = 16
READERS_PER_PEER_MAX: Final = 8
"""Of them, those of one address: the displays of a home behind one router."""


class Relay:
    """One outlet (interface H1 or H2).

    Args:
        readers_max: connections at once; for one more, the oldest of the address with most of them is closed.
        clock: UTC seconds.

    """

    def __init__(self, readers_max: int = READERS_MAX, *, clock: Callable[[], float] | None = None) -> None:
        self._readers: set[asyncio.Transport] = set()
        self._gate = ConnectionGate(readers_max, min(readers_max, READERS_PER_PEER_MAX), clock or SystemClock())
        self._listeners: list[OpenPort] = []

    @property
    def reader_count(self) -> int:
        """Connections that are open."""
        return len(self._readers)

    async def listen(self, host: str, port: int) -> int:
        """Accept readers; return the port (0 picks a free one)."""
        make = partial(_RelayConnection, self._readers, self._gate)
        listener = await listen_stream("tcp", host, port, make)
        self._listeners.append(listener)
        return listener.port

    def send(self, octets: bytes) -> None:
        """Send octets to every reader."""
        for transport in tuple(self._readers):
            transport.write(octets)
            if transport.get_write_buffer_size() > UNSENT_OCTETS_MAX:
                transport.abort()

    def close(self) -> None:
        """Close all ports and connections."""
        for listener in self._listeners:
            listener.close()
        for transport in tuple(self._readers):
            transport.close()


class _RelayConnection(asyncio.Protocol):
    """One connection."""

    def __init__(self, readers: set[asyncio.Transport], gate: ConnectionGate) -> None:
        self._readers = readers
        self._gate = gate
        self._place: ConnectionPlace | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        line = cast("asyncio.Transport", transport)
        peer = line.get_extra_info("peername")
        self._place = self._gate.admit(str(peer[0]) if isinstance(peer, tuple) else "", line.abort)
        if self._place is None:
            line.abort()
            return
        self._transport = line
        self._readers.add(line)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self._place is not None:
            self._gate.leave(self._place)
        if self._transport is not None:
            self._readers.discard(self._transport)
