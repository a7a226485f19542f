"""Access by role: the one place of the role check.

Today everybody who reaches the portal is admitted, which is why servers bind to loopback by default. The host check
keeps a foreign web page from reading a loopback portal through a rebound DNS name, and the origin check keeps it from
changing anything by a request that the reader's browser sends for it.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from meterspan.portal.problems import ProblemError, problem_response

__all__ = ["LOOPBACK_HOSTS", "HostCheck", "OriginCheck", "ReaderRole", "admit_consumer", "admit_operator", "author_of"]

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
"""Methods that change nothing (RFC 9110, 9.2.1); the portal keeps to that."""
_OWN_SITES: Final = frozenset({"same-origin", "none"})
"""Sec-Fetch-Site of a request of the portal's own pages, or of the reader's address line (Fetch Metadata, 2.3)."""


class ReaderRole(StrEnum):
    """The roles of a reader."""

    CONSUMER = "consumer"
    OPERATOR = "operator"


def admit_consumer(request: Request) -> ReaderRole:
    """Admit the reader of one home's pages (``home_id`` is in the path parameters) or raise a ``ProblemError``."""
    return _admit(request, ReaderRole.CONSUMER)


def admit_operator(request: Request) -> ReaderRole:
    """Admit the reader of the operator's pages or raise a ``ProblemError``."""
    return _admit(request, ReaderRole.OPERATOR)


def author_of(request: Request, given: str = "") -> str:
    """Return who makes a request, for a meter's story and the list of changes: as given, and from where."""
    peer = "" if request.client is None else f" at {request.client.host}"
    name = "".join(letter for letter in given if letter.isprintable()).strip()
    return f"{name or ReaderRole.OPERATOR}{peer}"


def _admit(request: Request, role: ReaderRole) -> ReaderRole:
    request.state.role = role
    return role


class HostCheck:
    """Middleware: answers only requests that name one of ``hosts``; ``*`` admits every name."""

    def __init__(self, app: ASGIApp, hosts: Sequence[str]) -> None:
        self.app = app
        self.hosts = frozenset(hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 421 (Misdirected Request)."""
        if scope["type"] == "http" and "*" not in self.hosts and _host(scope) not in self.hosts:
            refusal = PlainTextResponse(
                "This portal does not answer to this host name. Start it with the name among its allowed hosts.\n", 421
            )
            await refusal(scope, receive, send)
            return
        await self.app(scope, receive, send)


class OriginCheck:
    """Middleware: a request that may change something must not be sent by the page of another origin.

    Browsers say where a request comes from in ``Origin`` and ``Sec-Fetch-Site``; programs that are no browser send
    neither, and no foreign page can make them send a request.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer 403 (Forbidden)."""
        if scope["type"] == "http" and scope["method"] not in _SAFE_METHODS and _is_foreign(Headers(scope=scope)):
            await problem_response(Request(scope), _foreign_origin())(scope, receive, send)
            return
        await self.app(scope, receive, send)


def _is_foreign(headers: Headers) -> bool:
    if headers.get("sec-fetch-site", "none") not in _OWN_SITES:
        return True
    origins = headers.getlist("origin")
    return any(_place(origin) != headers.get("host", "").lower() for origin in origins)


def _place(origin: str) -> str:
    """Return host and port of an origin as the Host header has them; "null" has none, and equals no host."""
    scheme, _, place = origin.partition("://")
    return place.lower() if scheme in ("http", "https") and place else "null"


def _foreign_origin() -> ProblemError:
    return ProblemError(
        403,
        "foreign-origin",
        title="This request comes from another site",
        detail="A page of another origin may not change anything here.",
        remedy="Use the portal's own pages, or a program that sends neither Origin nor Sec-Fetch-Site.",
    )


def _host(scope: Scope) -> str:
    try:
        return urlsplit(f"//{Headers(scope=scope).get('host', '')}").hostname or ""
    except ValueError:
        return ""
