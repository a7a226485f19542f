"""Security headers: on every answer, and never in place of what the answer itself says."""

import asyncio

import httpx
import pytest
from starlette.responses import Response

from meterspan.portal import create_app
from meterspan.portal.headers import SECURITY_HEADERS, SecurityHeaders
from tests.portal.sample_views import NOW, SampleHomes, SampleNetwork


class Broken(SampleNetwork):
    """A network whose every summary is a defect."""

    def summary(self, now, network=""):
        raise RuntimeError("a defect")


def answer(response):
    """What reaches the browser of ``response``."""

    async def run():
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(SecurityHeaders(response)), base_url="http://portal"
        ) as client:
            return await client.get("/")

    return asyncio.run(run())


@pytest.mark.parametrize("status", [200, 304, 404, 500])
def test_every_answer_has_every_header_once_whatever_its_status(status):
    headers = answer(Response("text", status)).headers
    for name, value in SECURITY_HEADERS.items():
        assert headers.get_list(name) == [value]
    assert headers["Cache-Control"] == "private, no-cache"


def test_an_answer_keeps_what_it_says_itself():
    own = {"Cache-Control": "public, max-age=31536000, immutable", "Referrer-Policy": "same-origin"}
    headers = answer(Response("text", headers=own)).headers
    assert [headers.get_list(name) for name in own] == [[value] for value in own.values()]


def test_the_policy_allows_no_code_and_no_frame_that_the_portal_does_not_serve_itself():
    rules = dict(rule.split(" ", 1) for rule in SECURITY_HEADERS["Content-Security-Policy"].split("; "))
    assert rules["default-src"] == rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert set(rules.values()) == {"'none'", "'self'"}


def test_what_is_not_http_is_passed_on_as_it_is():
    passed = []

    async def application(scope, receive, send):
        passed.append((scope, receive, send))

    scope, receive, send = {"type": "lifespan"}, object(), object()
    asyncio.run(SecurityHeaders(application)(scope, receive, send))
    assert passed == [(scope, receive, send)]


@pytest.mark.finding("security low-5")
@pytest.mark.parametrize(
    ("status", "path", "asked"),
    [
        (421, "/", {"headers": {"Host": "evil.example"}}),
        (403, "/", {"method": "POST", "headers": {"Origin": "http://evil.example"}}),
        (413, "/", {"method": "POST", "content": b"x" * 70_000}),
        (404, "/nowhere", {}),
        (405, "/", {"method": "POST"}),
        (422, "/api/v1/operator/completeness?first=never", {}),
        (500, "/api/v1/operator/summary", {}),
        (500, "/operator", {}),
        (200, "/api", {}),
    ],
)
def test_the_portal_sends_every_header_with_refusals_and_faults_too(status, path, asked):
    app = create_app(SampleHomes(), Broken(), clock=lambda: NOW)

    async def run():
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(**{"method": "GET", "url": path} | asked)

    response = asyncio.run(run())
    assert response.status_code == status
    for name, value in SECURITY_HEADERS.items():
        assert response.headers.get_list(name) == [value]
