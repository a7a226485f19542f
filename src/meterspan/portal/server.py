"""Serve the portal under uvicorn so that it stops at once, also while browsers listen to event streams.

Uvicorn waits for open responses before it tells the application to shut down; an event stream never ends by itself.
So the feeds are closed first. The caller chooses the address; loopback is the default.
"""

import socket

import uvicorn
from fastapi import FastAPI

from meterspan.portal.feeds import Feeds

__all__ = ["PortalServer"]


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
        super().__init__(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                log_level=log_level,
                server_header=False,
                timeout_graceful_shutdown=5,
                lifespan="on",
            )
        )

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End the event streams, then shut down as uvicorn does."""
        self._feeds.close()
        await super().shutdown(sockets)
