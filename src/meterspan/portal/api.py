"""The JSON interface ``/api/v1``: homes for the consumer, the network for the operator, and two event streams.

Every answer carries an ``ETag``; every error is a problem document with its remedy. Sentences for people are in the
language of ``Accept-Language``, English by default. ``/homes/{id}/live`` has two
representations: ``application/json`` is now, ``text/event-stream`` is now and on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from hashlib import blake2b
from typing import Annotated, Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Depends, Path, Query, Request
from fastapi.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from meterspan.model.meter_changes import ChangeKind, ChangeView, ChangeWish, InstallationView
from meterspan.model.remedies import ENGLISH
from meterspan.model.views import (
    CompletenessView,
    DamageView,
    Home,
    LiveView,
    MeterState,
    MeterStatus,
    MeterStory,
    NetworkSummary,
    OrderView,
    PeriodView,
    PowerView,
    QuarantineView,
)
from meterspan.portal.access import admit_consumer, admit_operator, author_of
from meterspan.portal.feeds import Event, Feeds, Subscription
from meterspan.portal.paging import Search, found_rows, text_of_home, text_of_meter
from meterspan.portal.payloads import (
    ANSWER_OCTETS_MAX,
    AdditionRequest,
    ExchangeRequest,
    MoveRequest,
    OrderRequest,
    RemovalRequest,
    json_list,
    json_of,
    list_of,
    payload_of,
)
from meterspan.portal.problems import Problem, ProblemError
from meterspan.portal.sources import Sources, parse_month
from meterspan.portal.words import words_for
from meterspan.quantities import Commodity

__all__ = ["COMPLETENESS_DAYS_MAX", "build_api"]

COMPLETENESS_DAYS_MAX = 366
"""A year of days is the widest map; more is a job for an export."""

_PROBLEM: dict[str, Any] = {
    "model": Problem,
    "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    404: {**_PROBLEM, "description": "Not known here"},
    422: {**_PROBLEM, "description": "Not a valid request"},
}
ROWS_MAX = 10_000
CELLS_MAX = 6_000
"""Meter-days of one answer of the completeness map: 214 meters of four weeks, 16 of a year."""
Limit = Annotated[
    int,
    Query(
        ge=1,
        le=ROWS_MAX,
        description=f"Most rows of one answer, which also ends at {ANSWER_OCTETS_MAX // 1024} KiB; Link leads to the"
        " next rows.",
    ),
]
Network = Annotated[str, Query(max_length=200, description="Meters and completeness of this network only.")]
Offset = Annotated[int, Query(ge=0, le=100_000_000, description="Rows to pass over.")]

_STREAM: dict[int | str, dict[str, Any]] = {
    200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}},
    429: {**_PROBLEM, "description": "Too many listeners of this address; close some first"},
    503: {**_PROBLEM, "description": "Too many listeners; try again later"},
}

MonthName = Annotated[str, Path(pattern=r"^\d{4}-(0[1-9]|1[0-2])$", examples=["2026-11"])]


def build_api(sources: Sources, feeds: Feeds) -> APIRouter:
    """Build the routes of ``/api/v1``."""
    homes = APIRouter(prefix="/homes", dependencies=[Depends(admit_consumer)], tags=["homes"])
    operator = APIRouter(prefix="/operator", dependencies=[Depends(admit_operator)], tags=["operator"])
    _add_homes(homes, sources)
    _add_live(homes, sources, feeds)
    _add_power(homes, sources)
    _add_network(operator, sources)
    _add_damage(operator, sources)
    _add_orders(operator, sources)
    _add_changes(operator, sources)
    _add_change_lists(operator, sources)
    _add_operator_events(operator, sources, feeds)
    router = APIRouter(prefix="/api/v1", responses=_PROBLEMS)
    router.include_router(homes)
    router.include_router(operator)
    return router


def _add_homes(router: APIRouter, sources: Sources) -> None:
    @router.get("", response_model=list_of(Home), summary="List all homes")
    def list_homes(request: Request, query: Search = "", limit: Limit = 1_000, offset: Offset = 0) -> Response:
        found = found_rows(sources.homes.homes(), text_of_home, query)
        return _listed(request, Home, found, limit, offset)

    @router.get("/{home_id:name}", response_model=payload_of(Home), summary="One home and its supplies")
    def show_home(request: Request, home_id: str) -> Response:
        return _answer(request, json_of(sources.home(home_id)))

    @router.get(
        "/{home_id:name}/{commodity}/days/{day}",
        response_model=payload_of(PeriodView),
        summary="One local day in intervals: 92, 96 or 100 quarter-hours",
    )
    def show_day(request: Request, home_id: str, commodity: Commodity, day: date) -> Response:
        view = sources.day(home_id, commodity, day)
        return _spoken(request, lambda texts: json_of(view, texts=texts))

    @router.get(
        "/{home_id:name}/{commodity}/months/{month}",
        response_model=payload_of(PeriodView),
        summary="One month in local days",
    )
    def show_month(request: Request, home_id: str, commodity: Commodity, month: MonthName) -> Response:
        view = sources.month(home_id, commodity, parse_month(month))
        return _spoken(request, lambda texts: json_of(view, texts=texts))


def _add_live(router: APIRouter, sources: Sources, feeds: Feeds) -> None:
    @router.get(
        "/{home_id:name}/live",
        response_model=payload_of(LiveView),
        summary="Power, band and cost now; as text/event-stream now and on",
        responses=_STREAM,
    )
    async def show_live(request: Request, home_id: str) -> Response:
        live = await run_sync(sources.live, home_id)
        if "text/event-stream" not in request.headers.get("accept", ""):
            return _answer(request, json_of(live), vary="Accept")

        def produce() -> Event:
            return _event("live", sources.live(home_id))

        return _stream(request, feeds, f"home {home_id}", produce)


def _add_power(router: APIRouter, sources: Sources) -> None:
    @router.get(
        "/{home_id:name}/power",
        response_model=payload_of(PowerView),
        summary="The power of the last two hours, without a point where nothing was heard",
    )
    def show_power(request: Request, home_id: str) -> Response:
        return _answer(request, json_of(sources.power(home_id)))


def _add_network(router: APIRouter, sources: Sources) -> None:
    @router.get("/summary", response_model=payload_of(NetworkSummary), summary="The headline numbers")
    def show_summary(request: Request, network: Network = "") -> Response:
        return _answer(request, json_of(sources.network.summary(sources.clock(), network)))

    @router.get("/meters", response_model=list_of(MeterStatus), summary="All meters, worst first")
    def list_meters(
        request: Request,
        state: Annotated[list[MeterState] | None, Query(description="Only meters in one of these states.")] = None,
        query: Search = "",
        limit: Limit = 1_000,
        offset: Offset = 0,
    ) -> Response:
        meters = sources.network.meters(sources.clock())
        chosen = [meter for meter in meters if not state or meter.state in state]
        found = found_rows(chosen, text_of_meter, query)
        return _listed(request, MeterStatus, found, limit, offset, is_spoken=True)

    @router.get("/meters/{device:name}", response_model=payload_of(MeterStory), summary="One meter's story")
    def show_story(request: Request, device: str) -> Response:
        story = sources.story(device)
        return _spoken(request, lambda texts: json_of(story, texts=texts))

    @router.get(
        "/completeness",
        response_model=list_of(CompletenessView),
        summary="The completeness map: expected and received per meter and day",
    )
    def show_completeness(
        request: Request,
        first: Annotated[date | None, Query(description="First day; 27 days before the last by default.")] = None,
        last: Annotated[date | None, Query(description="Last day; today by default.")] = None,
        limit: Limit = 1_000,
        offset: Offset = 0,
    ) -> Response:
        last = last or sources.clock().date()
        first = first or last - timedelta(days=min(27, last.toordinal() - 1))
        _check_span(first, last)
        names = sorted(meter.device for meter in sources.network.meters(sources.clock()))
        limit = min(limit, max(1, CELLS_MAX // ((last - first).days + 1)))
        rows = sources.network.completeness(first, last, names[offset : offset + limit])
        return _listed(request, CompletenessView, rows, limit, offset, more=len(names) > offset + limit)

    @router.get(
        "/quarantine",
        response_model=list_of(QuarantineView),
        summary="Quarantined frames with the reason, newest first",
    )
    def list_quarantine(request: Request, limit: Limit = 100, offset: Offset = 0) -> Response:
        found = sources.network.quarantine(offset + limit + 1)
        return _listed(request, QuarantineView, found, limit, offset)


def _add_damage(router: APIRouter, sources: Sources) -> None:
    @router.get(
        "/damage",
        response_model=list_of(DamageView),
        summary="Damaged or impossible items at rest, with what is lost and what to do",
    )
    def list_damage(request: Request, limit: Limit = 1_000, offset: Offset = 0) -> Response:
        return _listed(request, DamageView, sources.network.damage(), limit, offset, is_spoken=True)


def _add_orders(router: APIRouter, sources: Sources) -> None:
    @router.post(
        "/meters/{device:name}/orders",
        status_code=202,
        response_model=payload_of(OrderView),
        summary="Read a meter now: accepted at once; answered, failed or timed out by the deadline",
        responses={
            409: {**_PROBLEM, "description": "No session is held with this meter: it sends by itself, or was removed"},
            429: {**_PROBLEM, "description": "Too many orders wait already; Retry-After says when to ask again"},
            501: {**_PROBLEM, "description": "No head end that could ask"},
        },
    )
    def place_order(request: Request, device: str, body: OrderRequest | None = None) -> Response:
        wish = body or OrderRequest()
        order = sources.order(device, wish.deadline_s, author_of(request, wish.by))
        headers = {"Location": f"/api/v1/operator/orders/{order.order_id}"}
        return Response(json_of(order), 202, headers, media_type="application/json")

    @router.get(
        "/orders",
        response_model=list_of(OrderView),
        summary="The on-demand reads, newest first",
        responses={501: {**_PROBLEM, "description": "No head end that could ask"}},
    )
    def list_orders(
        request: Request,
        device: Annotated[str, Query(max_length=200, description="Only those of this meter.")] = "",
        limit: Limit = 100,
        offset: Offset = 0,
    ) -> Response:
        orders = sources.desk.orders(offset + limit + 1, device)
        return _listed(request, OrderView, orders, limit, offset, is_spoken=True)

    @router.get(
        "/orders/{order_id}",
        response_model=payload_of(OrderView),
        summary="The state of an on-demand read",
        responses={501: {**_PROBLEM, "description": "No head end that could ask"}},
    )
    def show_order(request: Request, order_id: int) -> Response:
        order = sources.desk.order_view(order_id)
        return _spoken(request, lambda texts: json_of(order, texts=texts))


_CHANGED: dict[int | str, dict[str, Any]] = {
    409: {**_PROBLEM, "description": "It cannot be made; the detail says why, and nothing was changed"},
    501: {**_PROBLEM, "description": "No head end that keeps an inventory"},
}


def _add_changes(router: APIRouter, sources: Sources) -> None:
    view = payload_of(ChangeView)

    def changed(request: Request, wish: ChangeWish, by: str) -> Response:
        change = sources.changes.change(replace(wish, author=author_of(request, by)))
        return Response(json_of(change), 200, media_type="application/json")

    @router.post("/meters", response_model=view, responses=_CHANGED, summary="Add a meter")
    def add_meter(request: Request, body: AdditionRequest) -> Response:
        device = str(body.entry.get("device", ""))
        wish = ChangeWish(ChangeKind.ADD, device, body.entry, at=body.at, opening=body.opening)
        return changed(request, wish, body.by)

    @router.post(
        "/meters/{device:name}/exchange",
        response_model=view,
        responses=_CHANGED,
        summary="Put another meter in the place of this one, with last and first registers",
    )
    def exchange_meter(request: Request, device: str, body: ExchangeRequest) -> Response:
        wish = ChangeWish(
            ChangeKind.EXCHANGE, device, body.entry, at=body.at, closing=body.closing, opening=body.opening
        )
        return changed(request, wish, body.by)

    @router.post(
        "/meters/{device:name}/move", response_model=view, responses=_CHANGED, summary="Move a meter to another home"
    )
    def move_meter(request: Request, device: str, body: MoveRequest) -> Response:
        wish = ChangeWish(ChangeKind.MOVE, device, None, body.home, body.usage_point, at=body.at, closing=body.closing)
        return changed(request, wish, body.by)

    @router.post(
        "/meters/{device:name}/removal",
        response_model=view,
        responses=_CHANGED,
        summary="Remove a meter; its readings stay",
    )
    def remove_meter(request: Request, device: str, body: RemovalRequest | None = None) -> Response:
        wanted = body or RemovalRequest()
        wish = ChangeWish(ChangeKind.REMOVE, device, at=wanted.at, closing=wanted.closing)
        return changed(request, wish, wanted.by)

    @router.delete(
        "/meters/{device:name}",
        response_model=view,
        responses=_CHANGED,
        summary="Delete a meter that has never given a reading",
    )
    def delete_meter(
        request: Request, device: str, by: Annotated[str, Query(max_length=80, description="Who orders it.")] = ""
    ) -> Response:
        return changed(request, ChangeWish(ChangeKind.DELETE, device), by)


def _add_change_lists(router: APIRouter, sources: Sources) -> None:
    @router.get(
        "/meters/{device:name}/installations",
        response_model=list_of(InstallationView),
        responses=_CHANGED,
        summary="The meters at the usage points that a meter measures or measured",
    )
    def list_installations(request: Request, device: str) -> Response:
        return _answer(request, json_list(InstallationView, sources.changes.installations(device))[0])

    @router.get(
        "/changes",
        response_model=list_of(ChangeView),
        responses=_CHANGED,
        summary="The changes of meters by command, newest first",
    )
    def list_changes(request: Request, limit: Limit = 100) -> Response:
        return _answer(request, json_list(ChangeView, sources.changes.changes(limit))[0])


def _add_operator_events(router: APIRouter, sources: Sources, feeds: Feeds) -> None:
    @router.get(
        "/events",
        response_class=StreamingResponse,
        summary="The headline numbers as server-sent events",
        responses=_STREAM,
    )
    async def stream_summary(request: Request, network: Network = "") -> Response:
        def produce() -> Event:
            return _event("summary", sources.network.summary(sources.clock(), network))

        return _stream(request, feeds, f"operator {network}", produce)


def _event(name: str, view: object) -> Event:
    """Return a view as an event, which is sent when anything but its time has changed."""
    return Event(name, json_of(view).decode(), json_of(view, exclude=frozenset({"at"})).decode())


def _listed(
    request: Request,
    view: type,
    rows: Sequence[object],
    limit: int,
    offset: int,
    *,
    is_spoken: bool = False,
    more: bool | None = None,
) -> Response:
    """Answer with the rows asked for, as many as an answer holds, and with the link to the next ones (RFC 8288).

    Args:
        request: the request.
        view: the type of the rows.
        rows: all rows; with ``more`` those asked for.
        limit: the most rows.
        offset: rows to pass over.
        is_spoken: whether rows hold sentences in the reader's language.
        more: whether there are rows after those given; None: ``rows`` are all.

    """
    part = rows[offset : offset + limit] if more is None else rows
    count = 0

    def write(texts: Mapping[str, str]) -> bytes:
        nonlocal count
        body, count = json_list(view, part, texts)
        return body

    response = _spoken(request, write) if is_spoken else _answer(request, write(ENGLISH))
    if count < len(part) or (len(rows) > offset + count if more is None else more):
        address = request.url.include_query_params(limit=limit, offset=offset + count)
        response.headers["Link"] = f'<{address.path}?{address.query}>; rel="next"'
    return response


def _spoken(request: Request, write: Callable[[Mapping[str, str]], bytes]) -> Response:
    """Answer with a body that holds sentences, in the reader's language."""
    words = words_for(request.headers.get("accept-language", ""))
    response = _answer(request, write(words.entries), vary="Accept-Language")
    response.headers["Content-Language"] = words.language
    return response


def _answer(request: Request, body: bytes, *, vary: str = "") -> Response:
    """Answer with an entity tag, or with 304 where the reader has this very body already (RFC 9110, 13.1.2)."""
    tag = f'W/"{blake2b(body, digest_size=12).hexdigest()}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    if vary:
        headers["Vary"] = vary
    known = {candidate.strip() for candidate in request.headers.get("if-none-match", "").split(",")}
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type="application/json", headers=headers)


class _EventStream(StreamingResponse):
    """An event stream that ends its subscription however the connection ends."""

    def __init__(self, subscription: Subscription) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Accept"}
        super().__init__(subscription.events(), media_type="text/event-stream", headers=headers)
        self._subscription = subscription

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Stream until the reader or the portal leaves."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._subscription.leave()


def _stream(request: Request, feeds: Feeds, name: str, produce: Callable[[], Event]) -> StreamingResponse:
    peer = "" if request.client is None else request.client.host
    return _EventStream(feeds.listen(name, produce, peer))


def _check_span(first: date, last: date) -> None:
    if not 0 <= (last - first).days < COMPLETENESS_DAYS_MAX:
        raise ProblemError(
            422,
            "span-out-of-range",
            title="These days are not a span that can be shown",
            detail=f"From {first.isoformat()} to {last.isoformat()} is not 1 to {COMPLETENESS_DAYS_MAX} days.",
            remedy=f"Ask for a first day that is not after the last, and for at most {COMPLETENESS_DAYS_MAX} days.",
        )
