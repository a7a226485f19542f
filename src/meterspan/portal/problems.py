"""Errors as RFC 9457 problem documents that say what to do, and the few problems the portal knows."""

from fastapi import Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

__all__ = ["Problem", "ProblemError", "problem_response"]


class Problem(BaseModel):
    """What went wrong and what to do about it (RFC 9457, 3)."""

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
        detail: what is wrong with this request.
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
