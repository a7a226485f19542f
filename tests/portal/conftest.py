"""The portal over the sample district: in process for the interface, on a loopback port for the browser."""

import asyncio
import threading
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest
from fastapi import FastAPI

from meterspan.portal import PortalServer, create_app
from meterspan.portal.feeds import Feeds
from tests.portal.sample_views import NOW, SampleDesk, SampleHomes, SampleNetwork


@pytest.fixture
def app() -> FastAPI:
    feeds = Feeds(period_s=0.02, heartbeat_s=0.1)
    return create_app(SampleHomes(), SampleNetwork(), clock=lambda: NOW, orders=SampleDesk(), feeds=feeds)


@pytest.fixture
def ask(app: FastAPI):
    """Ask the application in process: ``ask("/path", headers=...)`` gives the response."""

    def get(path: str, **options: object) -> httpx.Response:
        async def run() -> httpx.Response:
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return await client.get(path, **options)

        return asyncio.run(run())

    return get


class Running:
    """A portal that serves on a loopback port in a thread of its own."""

    def __init__(self, app: FastAPI) -> None:
        self.server = PortalServer(app, port=0)
        self.thread = threading.Thread(target=self.server.run, daemon=True)
        self.thread.start()
        started = threading.Event()
        for _ in range(400):
            if self.server.started or not self.thread.is_alive():
                break
            started.wait(0.025)
        port = self.server.servers[0].sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"

    def stop(self, timeout_s: float = 10.0) -> bool:
        """Ask the server to stop; True if it did within the time."""
        self.server.should_exit = True
        self.thread.join(timeout_s)
        return not self.thread.is_alive()


@pytest.fixture(scope="session")
def portal() -> Iterator[str]:
    """Yield the address of a portal whose clock goes on from the sample's present."""
    started = datetime.now(UTC)
    app = create_app(
        SampleHomes(),
        SampleNetwork(),
        clock=lambda: NOW + (datetime.now(UTC) - started),
        orders=SampleDesk(),
        feeds=Feeds(period_s=0.3),
    )
    running = Running(app)
    yield running.url
    assert running.stop()


@pytest.fixture
def streaming() -> Iterator[tuple[Running, Feeds]]:
    """A portal for tests that open event streams and stop it; four listeners at most."""
    feeds = Feeds(period_s=0.05, heartbeat_s=0.3, listeners_max=4)
    ticks = iter(range(10**9))
    app = create_app(
        SampleHomes(),
        SampleNetwork(),
        clock=lambda: datetime.fromtimestamp(NOW.timestamp() + next(ticks), UTC),
        feeds=feeds,
    )
    running = Running(app)
    yield running, feeds
    running.stop()
