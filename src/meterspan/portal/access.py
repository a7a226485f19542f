"""Access by role: the one place of the role check.

Today everybody who reaches the portal is admitted, which is why servers bind to loopback by default. The host check
keeps a foreign web page from reading a loopback portal through a rebound DNS name.
"""

from collections.abc import Sequence
from enum import StrEnum
from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["LOOPBACK_HOSTS", "HostCheck", "ReaderRole", "admit_consumer", "admit_operator"]

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "::1")


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


def _host(scope: Scope) -> str:
    try:
        return urlsplit(f"//{Headers(scope=scope).get('host', '')}").hostname or ""
    except ValueError:
        return ""
