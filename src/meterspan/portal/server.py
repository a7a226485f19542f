"""Serve the portal under uvicorn so that it stops at once, also while browsers listen to event streams.

Uvicorn waits for open responses before it tells the application to shut down; an event stream never ends by itself.
So the feeds are closed first. The caller chooses the address; loopback is the default. Connections are bounded in total
and by address; one that waits for no answer goes first.
"""

import asyncio
import logging
import socket
from functools import partial
from typing import Any, Final, cast

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from meterspan.portal.feeds import Feeds
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.endpoints import is_loopback
from meterspan.runtime.limits import ConnectionGate, ConnectionPlace, connections_within

__all__ = ["CONNECTIONS_MAX", "CONNECTIONS_PER_PEER_MAX", "PortalServer"]

CONNECTIONS_MAX: Final = 1_000
"""Twice the event streams: pages, scripts and numbers beside them."""
CONNECTIONS_PER_PEER_MAX: Final = 64
"""Connections of one address: some browsers behind one router, each with the streams and requests of a few pages."""
_FILES_SHARE: Final = 0.2
"""Of the open files, what the portal may hold beside the head end."""


class PortalServer(uvicorn.Server):
    """A uvicorn server for the application of ``create_app``.

    Args:
        app: the portal.
        host: the address to bind to.
        port: the port; 0 takes a free one.
        log_level: uvicorn's log level.

    """

    def __init__(self, app: FastAPI, *, host: str = "127.0.0.1", port: int = 8080, log_level: str = "warning") -> None:
        self._feeds: Feeds = app.state.feeds
        total = connections_within(CONNECTIONS_MAX, _FILES_SHARE)
        self.gate = ConnectionGate(total, CONNECTIONS_PER_PEER_MAX, SystemClock())
        """The places of its connections."""
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                log_level=log_level,
                http=cast("type[asyncio.Protocol]", partial(_PortalConnection, gate=self.gate)),
                server_header=False,
                timeout_graceful_shutdown=5,
                lifespan="on",
            )
        )

        logging.getLogger("uvicorn.error").addFilter(_is_no_failed_bind)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the event streams, then shut down as uvicorn does."""
        self._feeds.close()
        await super().shutdown(sockets)


def _is_no_failed_bind(record: logging.LogRecord) -> bool:
    """Whether a line of uvicorn's log is to be shown: that it cannot listen is told by the program, in words."""
    return not isinstance(record.msg, OSError)


class _PortalConnection(H11Protocol):
    """A connection that has a place; one that waits for an answer is not closed for another."""

    def __init__(self, *arguments: Any, gate: ConnectionGate, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._gate = gate
        self._place: ConnectionPlace | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn has it
        super().connection_made(transport)
        address = transport.get_extra_info("peername")
        host = str(address[0]) if isinstance(address, tuple) else ""
        proxy = f"{host}:{address[1]}" if is_loopback(host) else host  # all readers of a proxy have its address
        self._place = self._gate.admit(proxy, transport.abort)
        if self._place is None:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._place is not None:
            self._gate.leave(self._place)
        super().connection_lost(exc)

    def handle_events(self) -> None:
        super().handle_events()
        self._note_answer()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._note_answer()

    def _note_answer(self) -> None:
        """Keep the place while an answer is under way."""
        cycle: RequestResponseCycle | None = self.cycle
        is_answering = cycle is not None and not cycle.response_complete
        if self._place is not None and is_answering != self._place.is_proved:
            (self._gate.prove if is_answering else self._gate.unprove)(self._place)
