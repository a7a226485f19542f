"""``create_app``: the portal as one ASGI application over the view protocols; it knows no store and no socket.

Strategy: pages are rendered on the server and work without scripts; small ES modules add live numbers, charts and the
reader's locale. Static files live under a path with their digest, so that browsers keep them for ever.
"""

import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from hashlib import blake2b
from mimetypes import add_type
from pathlib import Path

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import ASGIApp, Scope

from meterspan import __version__
from meterspan.model.meter_changes import MeterDesk
from meterspan.model.views import HomeViews, NetworkViews, OrderDesk
from meterspan.portal.access import LOOPBACK_HOSTS, HostCheck, OriginCheck
from meterspan.portal.api import build_api
from meterspan.portal.bodies import BodyLimit
from meterspan.portal.consumer_pages import add_consumer_pages
from meterspan.portal.feeds import Feeds
from meterspan.portal.headers import SecurityHeaders
from meterspan.portal.links import WholeNames
from meterspan.portal.operator_pages import TABS, add_operator_pages
from meterspan.portal.pages import Pages
from meterspan.portal.problems import HANDLED, ProblemError, problem_of, problem_response
from meterspan.portal.sources import Sources

__all__ = ["create_app"]

_log = logging.getLogger(__name__)

_STATIC = Path(__file__).parent / "static"
add_type("font/woff2", ".woff2")  # Python's own table has it from 3.13 on
_API_DESCRIPTION = """\
Amounts are decimal strings, exact to the last digit. Instants are ISO 8601 in UTC; a day is a local day of the home.
Every answer has an `ETag`; every error is a problem document (RFC 9457) with a `remedy`.
"""


def create_app(
    homes: HomeViews,
    network: NetworkViews,
    *,
    clock: Callable[[], datetime],
    orders: OrderDesk | None = None,
    meter_desk: MeterDesk | None = None,
    version: str = __version__,
    feeds: Feeds | None = None,
    allowed_hosts: Sequence[str] = LOOPBACK_HOSTS,
    is_time_lapse: Callable[[], bool] = lambda: False,
) -> FastAPI:
    """Build the portal.

    Args:
        homes: answers the consumer's questions; called in a thread pool.
        network: answers the operator's questions; called in a thread pool.
        clock: returns the time as an aware UTC datetime.
        orders: takes on-demand reads; called in a thread pool. None where no head end can ask a meter.
        meter_desk: changes meters; called in a thread pool. None where there is no head end.
        version: shown in the footer and in the OpenAPI document.
        feeds: the event streams, with their period and bounds.
        allowed_hosts: names under which the portal answers; ``*`` admits every name.
        is_time_lapse: returns whether the clock runs faster than time; pages say so.

    """
    feeds = feeds or Feeds()
    sources = Sources(homes, network, clock, orders, meter_desk, is_time_lapse)
    digest = _static_digest()
    pages = Pages(sources, f"/static/{digest}", version, TABS)
    app = _Portal(
        title="meterspan portal",
        summary="Consumption and cost for the consumer, completeness and meters for the operator.",
        description=_API_DESCRIPTION,
        version=version,
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=_lifespan,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    app.state.feeds = feeds
    app.include_router(build_api(sources, feeds))
    app.include_router(_page_routes(pages))
    app.mount(f"/static/{digest}", _Immutable(directory=_STATIC), name="static")
    _add_problems(app, pages)
    app.add_middleware(WholeNames)
    app.add_middleware(GZipMiddleware, minimum_size=1_000, compresslevel=6)
    app.add_middleware(BodyLimit)
    app.add_middleware(OriginCheck)
    app.add_middleware(HostCheck, hosts=tuple(allowed_hosts))
    return app


class _Portal(FastAPI):
    """An application whose every answer has the security headers: refusals and faults too."""

    def build_middleware_stack(self) -> ASGIApp:
        return SecurityHeaders(super().build_middleware_stack())


def _page_routes(pages: Pages) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    add_consumer_pages(router, pages)
    add_operator_pages(router, pages)

    @router.get("/api")
    def show_api(request: Request) -> Response:
        return pages.render(request, "api.html", paths=request.app.openapi()["paths"])

    return router


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.feeds.close()


class _Immutable(StaticFiles):
    """Static files whose path changes with their content."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        response = await super().get_response(path, scope)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return response


def _static_digest() -> str:
    digest = blake2b(digest_size=6)
    for path in sorted(_STATIC.rglob("*")):
        if path.is_file():
            digest.update(path.relative_to(_STATIC).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _add_problems(app: FastAPI, pages: Pages) -> None:
    def respond(request: Request, error: ProblemError) -> Response:
        if request.url.path.startswith("/api/"):
            return problem_response(request, error)
        return pages.error(request, error)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        return respond(request, _invalid(error))

    @app.exception_handler(HTTPException)
    async def on_http(request: Request, error: HTTPException) -> Response:
        return respond(request, _plain(error))

    async def on_error(request: Request, error: Exception) -> Response:
        problem = problem_of(error)
        if problem.status == 503:  # a fault of the program is logged by the server, with its traceback
            _log.warning("answered 503", extra={"path": request.url.path, "kind": problem.kind, "reason": str(error)})
        return respond(request, problem)

    for kind in HANDLED:
        app.add_exception_handler(kind, on_error)


def _invalid(error: RequestValidationError) -> ProblemError:
    faults = "; ".join(
        f"{'.'.join(str(part) for part in fault['loc'][1:]) or 'request'}: {fault['msg']}" for fault in error.errors()
    )
    is_body = all(fault["loc"][:1] == ("body",) for fault in error.errors())
    written = "" if is_body else "Days are written 2026-11-21 and months 2026-11. "
    return ProblemError(
        422,
        "invalid-request",
        title="This request is not valid",
        detail=faults,
        remedy=f"{written}See /api/v1/openapi.json for every field and parameter.",
    )


def _plain(error: HTTPException) -> ProblemError:
    if error.status_code == 404:
        return ProblemError(
            404,
            "unknown-path",
            title="There is nothing at this address",
            detail="No page or resource has this path.",
            remedy="Start from the list of homes at /, or from /api/v1/openapi.json.",
        )
    return ProblemError(
        error.status_code,
        "refused",
        title=error.detail,
        detail=error.detail,
        remedy="See /api/v1/openapi.json for the paths of this address.",
    )
