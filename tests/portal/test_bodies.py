"""A body is bounded, whatever route it names, whether it announces its length or not, and within a time."""

import asyncio
import json
from collections.abc import AsyncIterator

import httpx
import pytest

from meterspan.portal.bodies import BODY_OCTETS_MAX, BodyLimit


class Echo:
    """An application that answers with the body, and counts what it was asked."""

    def __init__(self) -> None:
        self.asked = 0

    async def __call__(self, scope, receive, send) -> None:
        self.asked += 1
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body})


def post(app, content) -> httpx.Response:
    async def run() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.post("/anything", content=content)

    return asyncio.run(run())


async def chunks(count: int, size: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"x" * size


@pytest.mark.parametrize("size", [0, 1, BODY_OCTETS_MAX])
def test_a_body_within_the_bound_passes_unchanged(size: int) -> None:
    assert post(BodyLimit(Echo()), b"x" * size).content == b"x" * size
    assert post(BodyLimit(Echo()), chunks(size // 1024, 1024)).content == b"x" * (size // 1024 * 1024)


@pytest.mark.attack(2)
@pytest.mark.finding("security H4")
def test_an_announced_body_beyond_the_bound_is_refused_before_it_is_read() -> None:
    echo = Echo()
    response = post(BodyLimit(echo), b"x" * (BODY_OCTETS_MAX + 1))
    assert (response.status_code, echo.asked) == (413, 0)
    assert response.headers["connection"] == "close"
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(response.content)["type"] == "urn:meterspan:problem:body-too-long"


@pytest.mark.attack(2)
@pytest.mark.finding("security H4")
def test_a_chunked_body_without_end_is_refused_at_the_bound() -> None:
    read = 0

    async def receive():
        nonlocal read
        read += 1024
        return {"type": "http.request", "body": b"x" * 1024, "more_body": True}

    sent = []

    async def send(message) -> None:
        sent.append(message)

    echo = Echo()
    scope = {"type": "http", "method": "POST", "path": "/", "headers": [], "query_string": b"", "server": ("a", 80)}
    asyncio.run(BodyLimit(echo)(scope, receive, send))
    assert (sent[0]["status"], echo.asked) == (413, 0)
    assert read == BODY_OCTETS_MAX + 1024


@pytest.mark.parametrize("length", ["9" * 5_000, "99999999999999"])
def test_no_announced_length_costs_more_than_its_digits(length: str) -> None:
    async def run():
        sent = []

        async def send(message) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "POST", "path": "/", "query_string": b"", "server": ("a", 80)}
        scope["headers"] = [(b"content-length", length.encode())]
        await BodyLimit(Echo())(scope, None, send)
        return sent[0]["status"]

    assert asyncio.run(run()) == 413


def test_a_body_that_does_not_end_in_time_is_answered_408() -> None:
    async def slow() -> AsyncIterator[bytes]:
        yield b"x"
        await asyncio.sleep(30)

    echo = Echo()
    assert post(BodyLimit(echo, timeout_s=0.02), slow()).status_code == 408
    assert echo.asked == 0


def test_what_is_not_http_passes() -> None:
    passed = []

    async def application(scope, receive, send) -> None:
        passed.append(scope["type"])

    asyncio.run(BodyLimit(application)({"type": "lifespan"}, None, None))
    assert passed == ["lifespan"]
