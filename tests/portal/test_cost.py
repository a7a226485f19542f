"""What any request costs the portal: the worst query and the longest body, to every route that there is."""

import asyncio
import re

import pytest
from fastapi import FastAPI
from starlette.routing import Route
from starlette.types import Message

from meterspan.portal.bodies import BODY_OCTETS_MAX
from tests.worst import CALLS_MAX, MEMORY_MAX, MIB, cost_of

QUERY_OCTETS = 60_000
"""Uvicorn refuses a longer line of a request (64 KiB)."""
QUERIES = [
    b"a=1&" * (QUERY_OCTETS // 4),
    b"date=" + b"9" * QUERY_OCTETS,
    b"%41" * (QUERY_OCTETS // 3),
    b"&" * QUERY_OCTETS,
]
BODIES = [b"[" * BODY_OCTETS_MAX, b'{"a":' * (BODY_OCTETS_MAX // 5), b"9" * BODY_OCTETS_MAX, bytes(MIB)]
SAMPLE = {"home_id": "h1", "device": "MSP1", "name": "x", "language": "en"}


def routes_of(app: FastAPI) -> list[tuple[str, str]]:
    """Every route's method and path, with sample values."""
    routers = [router for route in app.routes if (router := getattr(route, "original_router", None)) is not None]
    found = []
    for route in [*app.routes, *(route for router in routers for route in router.routes)]:
        if isinstance(route, Route):
            path = re.sub(r"{(\w+)(:\w+)?}", lambda match: SAMPLE.get(match[1], "1"), route.path)
            found += [(method, path) for method in sorted(route.methods or ())]
    return found


def request(app: FastAPI, method: str, path: str, query: bytes, body: bytes) -> int:
    """Send a request to the application itself, in this thread; return the status of the answer."""
    status = []

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: Message) -> None:
        status.extend([message["status"]] if message["type"] == "http.response.start" else [])

    headers = [(b"host", b"localhost"), (b"content-type", b"application/json")]
    scope = {"type": "http", "http_version": "1.1", "method": method, "scheme": "http", "headers": headers}
    scope |= {"path": path, "raw_path": path.encode(), "root_path": "", "query_string": query}
    scope |= {"server": ("localhost", 80), "client": ("127.0.0.1", 9)}

    async def run() -> None:
        async with asyncio.timeout(5):
            await app(scope, receive, send)

    asyncio.run(run())
    return status[0]


@pytest.mark.attack(2)
@pytest.mark.finding("security H4")
def test_no_request_of_any_route_costs_more_than_its_answer(app: FastAPI) -> None:
    routes = [route for route in routes_of(app) if not route[1].endswith(("/live", "/events"))]
    assert len(routes) > 10
    for number, (method, path) in enumerate(routes):
        query = QUERIES[number % len(QUERIES)]
        cost = cost_of(lambda route=(method, path), query=query: request(app, *route, query, b""), counts_memory=False)
        assert cost.calls <= CALLS_MAX, (method, path, query[:20])
    for method, path in routes:
        if method in {"POST", "PUT", "PATCH", "DELETE"}:
            for body in BODIES:
                cost = cost_of(lambda route=(method, path), body=body: request(app, *route, b"", body))
                assert cost.calls <= CALLS_MAX, (method, path, body[:20])
                assert cost.octets <= MEMORY_MAX, (method, path, body[:20])
