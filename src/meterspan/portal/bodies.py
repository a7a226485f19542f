"""The bound on request bodies: what a client may make the portal keep, whatever route it names.

A body is read here, before any route: by its announced length where it has one, by the octets counted where it is
chunked, and within a time. The portal's own requests hold one small JSON object.
"""

import asyncio
from typing import Final

from fastapi import Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from meterspan.portal.problems import ProblemError, problem_response

__all__ = ["BODY_OCTETS_MAX", "BODY_TIMEOUT_S", "BodyLimit"]

BODY_OCTETS_MAX: Final = 64 * 1024
"""A thousand times the longest request that the portal has."""
BODY_TIMEOUT_S: Final = 10.0
"""The time within which a body must be complete: even 64 KiB take a second over a bad line."""


class _BodyTooLongError(Exception):
    """More octets came than a body may have."""


class BodyLimit:
    """Middleware: passes on requests whose body is complete and within the bound.

    Args:
        app: the application below.
        octets_max: octets of the longest body.
        timeout_s: seconds within which a body must be complete.

    """

    def __init__(self, app: ASGIApp, octets_max: int = BODY_OCTETS_MAX, timeout_s: float = BODY_TIMEOUT_S) -> None:
        self.app = app
        self.octets_max = octets_max
        self.timeout_s = timeout_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its body, or answer 413 (Content Too Large) or 408 (Request Timeout)."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self.timeout_s):
                body = await self._body(scope, receive)
        except _BodyTooLongError:
            await self._refuse(scope, receive, send, _too_long(self.octets_max))
        except TimeoutError:
            await self._refuse(scope, receive, send, _too_slow(self.timeout_s))
        else:
            await self.app(scope, _replayed(body, receive), send)

    async def _body(self, scope: Scope, receive: Receive) -> list[Message]:
        """Return the messages of the whole body, or of a client that has gone."""
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced[:12]) > self.octets_max:
            raise _BodyTooLongError
        messages: list[Message] = []
        size = 0
        while True:
            message = await receive()
            messages.append(message)
            size += len(message.get("body", b""))
            if size > self.octets_max:
                raise _BodyTooLongError
            if message["type"] != "http.request" or not message.get("more_body", False):
                return messages

    @staticmethod
    async def _refuse(scope: Scope, receive: Receive, send: Send, problem: ProblemError) -> None:
        response = problem_response(Request(scope), problem)
        response.headers["Connection"] = "close"  # the rest of the body is not read
        await response(scope, receive, send)


def _replayed(messages: list[Message], receive: Receive) -> Receive:
    """Return a callable that gives the messages read already, then those to come."""
    left = iter(messages)

    async def next_message() -> Message:
        message = next(left, None)
        return await receive() if message is None else message

    return next_message


def _too_long(octets_max: int) -> ProblemError:
    return ProblemError(
        413,
        "body-too-long",
        title="This request is too long",
        detail=f"A request may have a body of {octets_max} octets.",
        remedy="Send the JSON object that /api/v1/openapi.json describes, and nothing else.",
    )


def _too_slow(timeout_s: float) -> ProblemError:
    return ProblemError(
        408,
        "body-too-slow",
        title="This request was not completed in time",
        detail=f"Its body was not complete after {timeout_s:g} s.",
        remedy="Send the whole request at once.",
    )
