"""Errors as RFC 9457 problem documents that say what to do.

Strategy: ``_PROBLEMS`` is the one table from a type of exception to its problem; the portal raises and passes on plain
exceptions, and nothing reads their words. An exception outside the table is a fault of the program and answers 500.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from meterspan.model.lookup_errors import UnknownHomeError, UnknownMeterError, UnknownOrderError, UnknownSupplyError
from meterspan.model.meter_changes import ChangeRefusedError
from meterspan.model.order_errors import NotAskedError, TooManyOrdersError
from meterspan.model.storage.errors import DamagedSupplyError, StorageError
from meterspan.portal.feeds import FeedsFullError, PeerFeedsFullError

__all__ = ["HANDLED", "Problem", "ProblemError", "problem_of", "problem_response"]


class Problem(BaseModel):
    """An error and its remedy (RFC 9457, 3)."""

    type: str = Field(
        description="A stable name of the kind of problem.", examples=["urn:meterspan:problem:unknown-home"]
    )
    title: str = Field(description="The kind of problem in words.")
    status: int = Field(description="The HTTP status code.")
    detail: str = Field(description="What is wrong with this request.")
    instance: str = Field(description="The path that was asked for.")
    remedy: str = Field(description="What to do about it.")


class ProblemError(Exception):
    """A request that cannot be answered.

    Attributes:
        status: the HTTP status code.
        kind: the problem's short name; the type is ``urn:meterspan:problem:KIND``.
        title: the kind in words.
        detail: the error of this request.
        remedy: what to do about it.
        retry_s: seconds after which trying again makes sense, where it does.

    """

    def __init__(
        self, status: int, kind: str, *, title: str, detail: str, remedy: str, retry_s: int | None = None
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.kind = kind
        self.title = title
        self.detail = detail
        self.remedy = remedy
        self.retry_s = retry_s


def problem_response(request: Request, error: ProblemError) -> JSONResponse:
    """Write a problem as ``application/problem+json``."""
    problem = Problem(
        type=f"urn:meterspan:problem:{error.kind}",
        title=error.title,
        status=error.status,
        detail=error.detail,
        instance=request.url.path,
        remedy=error.remedy,
    )
    headers = {"Cache-Control": "no-store"}
    if error.retry_s is not None:
        headers["Retry-After"] = str(error.retry_s)
    return JSONResponse(
        problem.model_dump(), status_code=error.status, media_type="application/problem+json", headers=headers
    )


def problem_of(error: Exception) -> ProblemError:
    """Return the problem of an exception by its type: the nearest of its classes that the table has."""
    known = next((kind for kind in type(error).__mro__ if kind in _PROBLEMS), None)
    return _FAULT if known is None else _PROBLEMS[known](error)


def _storage(error: StorageError) -> ProblemError:
    detail, remedy = _STORAGE_WORDS.get(error.code, _STORAGE_WORDS[StorageError.code])
    return ProblemError(
        503,
        "storage",
        title="The stored readings cannot be used now",
        detail=detail,
        remedy=remedy,
        retry_s=30 if error.is_transient else None,
    )


def _kind(
    status: int, kind: str, *, title: str, detail: Callable[[Any], str], remedy: str, retry_s: int | None = None
) -> Callable[[Any], ProblemError]:
    """Return the maker of one kind of problem; ``detail`` writes the fields of the exception."""
    return lambda error: ProblemError(status, kind, title=title, detail=detail(error), remedy=remedy, retry_s=retry_s)


_STORAGE_WORDS: Final = {
    "full": ("The disk is full.", "Make room on the disk of the data folder; the portal then recovers by itself."),
    "locked": (
        "Another program holds the data folder.",
        "End that program, or wait for it; the portal then recovers by itself.",
    ),
    "unavailable": (
        "The disk of the data folder fails or is read-only.",
        "Look at the disk, its mount and its permissions; the portal then recovers by itself.",
    ),
    "damaged": (
        "What is stored is not what was written.",
        "Run meterspan doctor on the data folder: it names the damaged files; restore those from a backup.",
    ),
    "unknown-format": ("A newer version of meterspan wrote this data folder.", "Update meterspan."),
    "failed": ("The data folder cannot be used.", "The log of the portal says why."),
}
"""Detail and remedy by the code of a storage error; nothing that was confirmed is lost by any of them."""

_FAULT: Final = ProblemError(
    500,
    "fault",
    title="Something went wrong here",
    detail="The portal could not answer; the fault is in the log.",
    remedy="Try again in a moment. If it stays, tell the operator the time and the address of this page.",
)
_PROBLEMS: Final[dict[type, Callable[[Any], ProblemError]]] = {
    ProblemError: lambda error: error,
    UnknownHomeError: _kind(
        404,
        "unknown-home",
        title="This home is not known here",
        detail=lambda error: f"No home is called {error.home_id!r}.",
        remedy="Take the name from the list of homes; it is case-sensitive.",
    ),
    UnknownSupplyError: _kind(
        404,
        "no-such-supply",
        title="This home has no such supply",
        detail=lambda error: f"No {error.commodity} is measured in this home.",
        remedy="Choose one of the home's usage points; they are listed with the home.",
    ),
    UnknownMeterError: _kind(
        404,
        "unknown-meter",
        title="This meter is not in the inventory",
        detail=lambda error: f"No meter is called {error.device!r}.",
        remedy="Take the identification from the meter list of the operator view; it is case-sensitive.",
    ),
    UnknownOrderError: _kind(
        404,
        "unknown-order",
        title="This order is not known",
        detail=lambda error: f"No order has number {error.order_id}, or it is so old that it was forgotten.",
        remedy="Ask for the meter again; the answer names the new order.",
    ),
    FeedsFullError: _kind(
        503,
        "too-many-listeners",
        title="All places for listeners are taken",
        detail=lambda error: f"{error.listeners} event streams are open, and no more are admitted.",
        remedy="Close other views, or ask the plain JSON resource every few seconds instead.",
        retry_s=30,
    ),
    PeerFeedsFullError: _kind(
        429,
        "too-many-listeners-of-one-address",
        title="This address has too many event streams open",
        detail=lambda error: f"{error.listeners} event streams of this address are open, and no more are admitted.",
        remedy="Close other views, or ask the plain JSON resource every few seconds instead.",
        retry_s=30,
    ),
    ChangeRefusedError: _kind(
        409,
        "change-refused",
        title="This change of a meter cannot be made",
        detail=lambda error: ". ".join(error.reasons),
        remedy="Nothing was changed. Correct what the detail names, and order it again.",
    ),
    NotAskedError: _kind(
        409,
        "not-asked",
        title="This meter cannot be asked",
        detail=lambda error: f"No session is held with {error.device}: it sends by itself, or it was removed.",
        remedy="Wait for its next push, or give it an endpoint in the configuration.",
    ),
    TooManyOrdersError: _kind(
        429,
        "too-many-orders",
        title="Too many orders wait already",
        detail=lambda error: f"{error.waiting} orders wait {f'for {error.device}' if error.device else 'in all'}.",
        remedy="Wait until earlier orders are answered or timed out, then ask again.",
        retry_s=10,
    ),
    DamagedSupplyError: _kind(
        503,
        "damaged-supply",
        title="The readings of this supply cannot be used",
        detail=lambda error: f"They are kept, and nothing can be derived from them ({error.detail}).",
        remedy="The operator's page of damage names the usage point and what to do; other supplies are shown.",
    ),
    StorageError: _storage,
    TimeoutError: _kind(
        503,
        "busy",
        title="The head end is busy",
        detail=lambda _error: "It did not answer the portal in time.",
        remedy="Try again in a moment. If it stays, the network may be too large for this machine.",
        retry_s=10,
    ),
}
HANDLED: Final[Sequence[type[Exception]]] = (*_PROBLEMS, Exception)
"""The types for which the application needs a handler."""
