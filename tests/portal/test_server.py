"""The portal's server: it stops at once, also while browsers listen, and does not say what it runs on."""

import asyncio
import socket
import threading
from urllib.parse import urlsplit

import httpx
import pytest
from fastapi import FastAPI

from meterspan.portal import server
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


@pytest.fixture
def narrow(monkeypatch):
    """A portal with four places, and one answer that waits."""
    monkeypatch.setattr(server, "CONNECTIONS_MAX", 4)
    app = FastAPI()
    app.state.feeds = Feeds()
    waiting, go_on = threading.Event(), threading.Event()

    @app.get("/")
    def _root():
        return "ok"

    @app.get("/slow")
    def _slow():
        waiting.set()
        go_on.wait(10)
        return "late"

    running = Running(app)
    yield running, waiting, go_on
    go_on.set()
    assert running.stop()


def test_connections_that_ask_nothing_keep_nobody_out(narrow):
    running, _, _ = narrow
    place = urlsplit(running.url)
    idle = [socket.create_connection((place.hostname, place.port)) for _ in range(20)]
    for line in idle[::2]:
        line.sendall(b"POST / HTTP/1.1\r\nHost: localhost\r\nX-Slow: ")
    assert httpx.get(running.url, timeout=5).json() == "ok"
    assert len(running.server.gate) <= 4
    for line in idle:
        line.close()


def test_a_connection_that_waits_for_its_answer_is_not_closed_for_another(narrow):
    running, waiting, go_on = narrow
    answers = []
    asking = threading.Thread(target=lambda: answers.append(httpx.get(f"{running.url}/slow", timeout=10).json()))
    asking.start()
    assert waiting.wait(5)
    place = urlsplit(running.url)
    idle = [socket.create_connection((place.hostname, place.port)) for _ in range(20)]
    assert httpx.get(running.url, timeout=5).json() == "ok"
    go_on.set()
    asking.join(10)
    for line in idle:
        line.close()
    assert answers == ["late"]
