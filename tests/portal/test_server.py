"""The portal's server: it stops at once, also while browsers listen, and does not say what it runs on."""

import asyncio

import httpx
import pytest
from fastapi import FastAPI

from meterspan.portal.feeds import Feeds
from meterspan.portal.server import PortalServer
from tests.portal.conftest import Running


@pytest.fixture
def running():
    app = FastAPI()
    app.state.feeds = Feeds()

    @app.get("/")
    def _root():
        return "ok"

    running = Running(app)
    yield running
    assert running.stop()


def test_a_server_listens_at_loopback_unless_it_is_told_and_hides_its_make(running):
    assert running.server.servers[0].sockets[0].getsockname()[0] == "127.0.0.1"
    response = httpx.get(running.url)
    assert response.json() == "ok"
    assert "server" not in response.headers


def test_the_feeds_are_closed_before_the_server_waits_for_open_responses(running, monkeypatch):
    order = []
    feeds = running.server.config.app.state.feeds
    monkeypatch.setattr(feeds, "close", lambda: order.append("feeds"))

    async def wait(_self, _sockets=None):
        order.append("responses")

    monkeypatch.setattr("uvicorn.Server.shutdown", wait)
    asyncio.run(PortalServer.shutdown(running.server))
    assert order == ["feeds", "responses"]
