"""What ``serve`` and ``home`` share: the portal inside a running loop, and the upkeep of their data."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any, Final

from fastapi import FastAPI

from meterspan.app.programs import PortalFailedError
from meterspan.mdm import MeterDataManagement
from meterspan.model.meter_changes import MeterDesk
from meterspan.model.storage.errors import StorageError
from meterspan.model.views import HomeViews, NetworkViews, OrderDesk
from meterspan.portal import PortalServer, create_app
from meterspan.portal.access import LOOPBACK_HOSTS
from meterspan.runtime.defects import note_defect
from meterspan.runtime.endpoints import is_loopback
from meterspan.runtime.troubles import Troubles

__all__ = ["DAMAGE_SHOWN_MAX", "maintain", "portal"]

_DAYS: Final = "closing of days"
STARTUP_S: Final = 10.0
MAINTAIN_EVERY_S: Final = 900.0
DAMAGE_SHOWN_MAX: Final = 100
"""Damaged items that ``/healthz`` names: the first tell an operator where to look."""


@asynccontextmanager
async def portal(
    homes: HomeViews,
    network: NetworkViews,
    *,
    clock: Callable[[], datetime],
    host: str,
    port: int,
    names: Sequence[str] = (),
    insecure_without_login: bool = False,
    orders: OrderDesk | None = None,
    health: Callable[[], dict[str, Any]],
    meter_desk: MeterDesk | None = None,
) -> AsyncIterator[str]:
    """Run the portal while the context lasts; yields its address.

    Args:
        homes: the consumer's views.
        network: the operator's views.
        clock: aware UTC time.
        host: where to listen.
        port: 0 takes a free one.
        names: host names to answer to, beside this machine's own; the address listened at is one of them.
        insecure_without_login: listen where other machines reach it, although it asks nobody for a password.
        orders: takes on-demand reads, where there is a head end.
        health: returns the answer of ``/healthz``; an exception means that the program is not well.
        meter_desk: changes meters, where there is a head end.

    Raises:
        PortalFailedError: the port is taken, or the address is not of this machine, or is one that others reach.

    """
    if not (insecure_without_login or is_loopback(host)):
        raise PortalFailedError(f"the portal has no log-in, and {host} lets other machines in")
    own = [host] if host not in ("0.0.0.0", "::") else []  # noqa: S104 - compared, not bound
    hosts = (*LOOPBACK_HOSTS, *own, *names)
    app = create_app(homes, network, clock=clock, orders=orders, meter_desk=meter_desk, allowed_hosts=hosts)
    _add_health(app, health)
    server = _Server(app, host=host, port=port)
    task = asyncio.create_task(_served(server), name="portal")
    try:
        up = asyncio.create_task(server.up.wait())
        await asyncio.wait((up, task), timeout=STARTUP_S, return_when=asyncio.FIRST_COMPLETED)
        up.cancel()
        if not server.started:
            raise PortalFailedError(f"the portal cannot listen at {host}:{port}: is the port taken? choose --port")
        bound: int = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://{'127.0.0.1' if not own else host}:{bound}"
    finally:
        server.should_exit = True
        await asyncio.gather(task, return_exceptions=True)


async def maintain(data: MeterDataManagement, clock: Callable[[], datetime], troubles: Troubles) -> None:
    """Settle and compact closed days from time to time, off the loop.

    Args:
        data: whose days are closed.
        clock: aware UTC time.
        troubles: of the program: days that could not be closed are one until they are.

    """
    while True:
        await asyncio.sleep(MAINTAIN_EVERY_S)
        try:
            await asyncio.to_thread(data.maintain, clock())
        except StorageError as error:
            troubles.note(_DAYS, "days were not closed, and are tried again", error)
        except Exception as error:  # noqa: BLE001 - an odd reading must not end the program; logged with its trace
            troubles.keep(_DAYS, error)
            note_defect("a defect kept days from being closed; they are tried again", error)
        else:
            troubles.end(_DAYS)


class _Server(PortalServer):
    """A portal whose owner takes the signals and waits until it is up."""

    def __init__(self, app: FastAPI, *, host: str, port: int) -> None:
        super().__init__(app, host=host, port=port)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and report to the owner."""
        await super().startup(sockets)
        self.up.set()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to the owner."""
        yield


async def _served(server: PortalServer) -> None:
    try:
        await server.serve()
    except SystemExit:  # uvicorn's way to say that it could not bind
        return


def _add_health(app: FastAPI, health: Callable[[], dict[str, Any]]) -> None:
    @app.get("/healthz", include_in_schema=False)
    async def show_health() -> dict[str, Any]:
        return {"status": "ok", **health()}
