"""Who may ask: only requests that name one of the allowed hosts reach the application."""

import asyncio

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from meterspan.portal.access import (
    LOOPBACK_HOSTS,
    HostCheck,
    OriginCheck,
    ReaderRole,
    admit_consumer,
    admit_operator,
)


def status_for(hosts, host):
    """The status of a request that names ``host``."""

    async def run():
        application = Starlette(routes=[Route("/", lambda _request: PlainTextResponse("inside"))])
        transport = httpx.ASGITransport(HostCheck(application, hosts))
        async with httpx.AsyncClient(transport=transport, base_url="http://portal") as client:
            return (await client.get("/", headers={"Host": host})).status_code

    return asyncio.run(run())


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "localhost:8080", "LOCALHOST", "[::1]:8080"])
def test_this_machine_answers_under_each_of_its_own_names(host):
    assert status_for(LOOPBACK_HOSTS, host) == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "", "[::1", "user@evil.example", "*"]
)
def test_a_rebound_name_or_a_broken_one_is_answered_421_and_nothing_else(host):
    assert status_for(LOOPBACK_HOSTS, host) == 421


def test_a_star_admits_every_name_and_a_list_only_its_own():
    assert status_for(("*",), "meters.example") == 200
    assert status_for(("meters.example",), "meters.example:443") == 200
    assert status_for(("meters.example",), "localhost") == 421


def test_what_is_not_http_passes_so_that_the_application_starts():
    passed = []

    async def application(scope, receive, send):
        passed.append(scope["type"])

    asyncio.run(HostCheck(application, LOOPBACK_HOSTS)({"type": "lifespan"}, None, None))
    assert passed == ["lifespan"]


@pytest.mark.parametrize(
    ("admit", "role"), [(admit_consumer, ReaderRole.CONSUMER), (admit_operator, ReaderRole.OPERATOR)]
)
def test_a_request_carries_the_role_it_was_admitted_in(admit, role):
    request = Request({"type": "http", "state": {}})
    assert admit(request) is role
    assert request.state.role is role


def status_of(method, headers):
    """The status of a request to http://localhost:8080 behind the origin check."""

    async def run():
        route = Route("/", lambda _request: PlainTextResponse("inside"), methods=["GET", "POST", "DELETE"])
        transport = httpx.ASGITransport(OriginCheck(Starlette(routes=[route])))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8080") as client:
            return (await client.request(method, "/", headers=headers)).status_code

    return asyncio.run(run())


FOREIGN = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": ""},
    {"Origin": "http://localhost:9090"},
    {"Origin": "http://localhost"},
    {"Origin": "file://localhost:8080"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Sec-Fetch-Site": "cross-site", "Origin": "http://localhost:8080"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_page_of_another_origin_changes_nothing(headers):
    assert status_of("POST", headers) == status_of("DELETE", headers) == 403
    assert status_of("GET", headers) == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost:8080"},
        {"Origin": "http://LOCALHOST:8080", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ],
)
def test_a_program_and_the_portals_own_pages_may(headers):
    assert status_of("POST", headers) == 200


@pytest.mark.parametrize("headers", FOREIGN)
def test_the_portal_takes_no_order_of_a_foreign_page(app, headers):
    async def run():
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8080") as client:
            return await client.post("/api/v1/operator/meters/MSP10000000042/orders", json={}, headers=headers)

    response = asyncio.run(run())
    assert (response.status_code, response.json()["type"]) == (403, "urn:meterspan:problem:foreign-origin")
