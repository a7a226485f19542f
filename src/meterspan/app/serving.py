"""What ``serve`` and ``home`` share: the portal inside a running loop, an orderly end by signal."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import date, datetime
from typing import Any, Final, TypeVar

from fastapi import FastAPI

from meterspan.mdm import MeterDataManagement
from meterspan.model.views import (
    Completeness,
    HomeViews,
    MeterStatus,
    MeterStory,
    NetworkSummary,
    NetworkViews,
    OrderDesk,
    OrderView,
    QuarantineView,
)
from meterspan.portal import PortalServer, create_app
from meterspan.portal.access import LOOPBACK_HOSTS

__all__ = [
    "DeskOnLoop",
    "OnLoop",
    "PortalFailedError",
    "StoredNumbers",
    "maintain",
    "portal",
    "reasons_of",
    "until_signal",
]

STARTUP_S: Final = 10.0
ANSWER_S: Final = 30.0
"""How long a page waits for the loop: a network of a hundred thousand meters is summed up in seconds."""
MAINTAIN_EVERY_S: Final = 900.0
ResultT = TypeVar("ResultT")


class PortalFailedError(Exception):
    """The portal did not start; the words say why."""


class OnLoop:
    """``NetworkViews`` asked from the portal's threads, answered on the loop that changes what they show."""

    def __init__(self, views: NetworkViews, loop: asyncio.AbstractEventLoop) -> None:
        self._views = views
        self._loop = loop

    def summary(self, now: datetime) -> NetworkSummary:
        """Give the headline numbers."""
        return self._ask(lambda: self._views.summary(now))

    def meters(self, now: datetime) -> Sequence[MeterStatus]:
        """List all meters, worst first."""
        return self._ask(lambda: self._views.meters(now))

    def completeness(self, first: date, last: date) -> Sequence[Completeness]:
        """Give the completeness map of these days."""
        return self._ask(lambda: self._views.completeness(first, last))

    def story(self, device: str, now: datetime) -> MeterStory:
        """Tell one meter's story; raises ``UnknownMeterError`` for an unknown meter."""
        return self._ask(lambda: self._views.story(device, now))

    def quarantine(self, limit: int = 100) -> Sequence[QuarantineView]:
        """List frames kept aside, newest first."""
        return self._ask(lambda: self._views.quarantine(limit))

    def _ask(self, question: Callable[[], ResultT]) -> ResultT:
        return answered_on(self._loop, question)


class DeskOnLoop:
    """``OrderDesk`` asked from the portal's threads, answered on the head end's loop, which is woken by an order."""

    def __init__(self, desk: OrderDesk, loop: asyncio.AbstractEventLoop, wake: Callable[[], None]) -> None:
        self._desk = desk
        self._loop = loop
        self._wake = wake

    def order(self, device: str, now: datetime, deadline_s: float) -> OrderView:
        """Place an order; raises ``UnknownMeterError`` for a meter that is not in the inventory."""

        def place() -> OrderView:
            view = self._desk.order(device, now, deadline_s)
            self._wake()
            return view

        return answered_on(self._loop, place)

    def order_view(self, order_id: int) -> OrderView:
        """Say how an order stands; raises ``UnknownOrderError`` for one that is not known."""
        return answered_on(self._loop, lambda: self._desk.order_view(order_id))


def answered_on(loop: asyncio.AbstractEventLoop, question: Callable[[], ResultT]) -> ResultT:
    """Ask ``question`` on the loop from another thread, and wait for the answer.

    Raises:
        TimeoutError: the loop was busy for longer than ``ANSWER_S``.

    """

    async def answer() -> ResultT:
        return question()

    return asyncio.run_coroutine_threadsafe(answer(), loop).result(ANSWER_S)


class StoredNumbers:
    """The data management's part of the operator's headline, summed up anew only after a change."""

    def __init__(self, data: MeterDataManagement) -> None:
        self._data = data
        self._revision = -1
        self._readings = self._unexplained_wh = 0

    def readings_stored(self) -> int:
        """How many readings are stored."""
        self._sum_up()
        return self._readings

    def unexplained_wh(self) -> int:
        """Energy that no interval explains, Wh."""
        self._sum_up()
        return self._unexplained_wh

    def _sum_up(self) -> None:
        revision = self._data.revision
        if revision != self._revision:
            totals = self._data.totals()
            self._readings, self._unexplained_wh, self._revision = totals.readings, totals.unexplained_wh, revision


@asynccontextmanager
async def portal(
    homes: HomeViews, network: NetworkViews, *, clock: Callable[[], datetime], host: str, port: int,
    names: Sequence[str] = (), orders: OrderDesk | None = None, health: Callable[[], dict[str, Any]],
) -> AsyncIterator[str]:  # fmt: skip
    """Run the portal while the context lasts; gives its address.

    Args:
        homes: the consumer's views.
        network: the operator's views.
        clock: aware UTC time.
        host: where to listen.
        port: 0 takes a free one.
        names: host names to answer to, beside this machine's own; the address listened at is one of them.
        orders: takes on-demand reads, where there is a head end.
        health: what ``/healthz`` says; raising means that it is not well.

    Raises:
        PortalFailedError: the port is taken, or the address is not of this machine.

    """
    own = [host] if host not in ("0.0.0.0", "::") else []  # noqa: S104 - compared, not bound
    app = create_app(homes, network, clock=clock, orders=orders, allowed_hosts=(*LOOPBACK_HOSTS, *own, *names))
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


async def until_signal(*jobs: Coroutine[Any, Any, Any]) -> None:
    """Run jobs until SIGINT or SIGTERM comes, then cancel them; a job that fails ends all, and raises."""
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(job) for job in jobs]
            await stopped.wait()
            for task in tasks:
                task.cancel()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def reasons_of(group: BaseExceptionGroup[BaseException]) -> list[str]:
    """Give what went wrong, in words, out of all groups."""
    found: list[str] = []
    for error in group.exceptions:
        found += reasons_of(error) if isinstance(error, BaseExceptionGroup) else [str(error)]
    return found


async def maintain(data: MeterDataManagement, clock: Callable[[], datetime]) -> None:
    """Settle and compact closed days from time to time, off the loop."""
    while True:
        await asyncio.sleep(MAINTAIN_EVERY_S)
        await asyncio.to_thread(data.maintain, clock())


class _Server(PortalServer):
    """A portal whose owner takes the signals and waits until it is up."""

    def __init__(self, app: FastAPI, *, host: str, port: int) -> None:
        super().__init__(app, host=host, port=port)
        self.up = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and tell the owner."""
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
