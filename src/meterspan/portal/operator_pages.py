"""The operator's pages: the network, one meter's story, and the order book.

A page is a row of ``TABS`` (or a link from another page), a route here, and a template of its own.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import Response

from meterspan.model.views import MeterState, MeterStatus
from meterspan.portal import shapes
from meterspan.portal.access import admit_operator
from meterspan.portal.pages import Pages, Tab
from meterspan.portal.paging import PageNumber, Search, listing_of, natural, text_of_meter

__all__ = ["TABS", "add_operator_pages"]

TABS: Final = (
    Tab("/operator", "operator.title"),
    Tab("/operator/meters", "meters.title"),
    Tab("/operator/orders", "orders.title", lambda sources: sources.orders is not None),
    Tab("/operator/damage", "damage.title"),
)
"""The operator's menu; it is shown once it has two entries."""

MAP_DAYS: Final = 28
"""Four weeks: a weekly pattern shows, and the map still fits a desk."""
_NO_TROUBLE: Final = (MeterState.OK, MeterState.UNTRIED, MeterState.REMOVED)
TROUBLED_ROWS: Final = 20
"""Worst first; the list of meters has all."""
QUARANTINE_ROWS: Final = 20
"""The rows of the operator page; the JSON interface returns more."""
ORDERS_OF_METER: Final = 5
"""Orders on a meter's page; the order book has all."""
ORDERS_MAX: Final = 10_000
"""More orders than a head end remembers; a page shows a part of them."""


LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
"""Before any meter was heard: those never heard come first among the silent ones."""


class MeterSort(StrEnum):
    """How the list of meters is sorted."""

    WORST = "worst"
    """By state and missing values."""
    NAME = "name"
    USAGE_POINT = "usage-point"
    HEARD = "heard"
    """Those not heard for longest first."""


def add_operator_pages(router: APIRouter, pages: Pages) -> None:
    """Add the routes of the operator's pages."""
    _add_network(router, pages)
    _add_meters(router, pages)
    _add_lists(router, pages)


_OPERATOR: Final = [Depends(admit_operator)]


def _add_network(router: APIRouter, pages: Pages) -> None:
    @router.get("/operator", dependencies=_OPERATOR)
    def show_network(
        request: Request,
        only: Annotated[str, Query(alias="network", max_length=200)] = "",
        page: PageNumber = 1,
    ) -> Response:
        now = pages.sources.clock()
        network = pages.sources.network
        meters = [meter for meter in network.meters(now) if only in {"", meter.network}]
        troubled = [meter for meter in meters if meter.state not in _NO_TROUBLE]
        last = now.date()
        first = last - timedelta(days=MAP_DAYS - 1)
        groups = [group for group in network.groups(first, last) if only in {"", group.network}]
        plan = shapes.plan_map(groups, meters, page)
        rows = network.completeness(first, last, plan.devices) if plan.devices else ()
        return pages.render(
            request,
            "operator.html",
            now=now,
            summary=network.summary(now, only),
            troubled=troubled[:TROUBLED_ROWS],
            troubled_more=max(0, len(troubled) - TROUBLED_ROWS),
            states={meter.device: meter.state for meter in meters},
            days=[first + timedelta(days=offset) for offset in range(MAP_DAYS)],
            only=only,
            plan=plan,
            drawn=plan.drawn(rows),
            quarantine=network.quarantine(QUARANTINE_ROWS),
        )


def _add_meters(router: APIRouter, pages: Pages) -> None:
    @router.get("/operator/meters", dependencies=_OPERATOR)
    def list_meters(
        request: Request,
        query: Search = "",
        page: PageNumber = 1,
        state: MeterState | Literal[""] = "",
        sort: MeterSort = MeterSort.WORST,
    ) -> Response:
        meters = pages.sources.network.meters(pages.sources.clock())
        chosen = [meter for meter in meters if not state or meter.state is state]
        listing = listing_of(_sorted(chosen, sort), text=text_of_meter, query=query, page=page)
        return pages.render(
            request,
            "meters.html",
            listing=listing,
            state=state,
            states=tuple(MeterState),
            sort=sort,
            sorts=tuple(MeterSort),
        )

    @router.get("/operator/meters/{device:name}", dependencies=_OPERATOR)
    def show_meter(request: Request, device: str) -> Response:
        sources = pages.sources
        return pages.render(
            request,
            "meter.html",
            now=sources.clock(),
            story=sources.story(device),
            can_order=sources.orders is not None,
            orders=sources.orders_of(device, ORDERS_OF_METER),
            installations=sources.installations(device),
        )


def _add_lists(router: APIRouter, pages: Pages) -> None:
    @router.get("/operator/orders", dependencies=_OPERATOR)
    def list_orders(request: Request, query: Search = "", page: PageNumber = 1) -> Response:
        orders = pages.sources.desk.orders(ORDERS_MAX)
        listing = listing_of(
            orders, text=lambda order: f"{order.device} {order.state} {order.author}", query=query, page=page
        )
        return pages.render(request, "orders.html", listing=listing)

    @router.get("/operator/damage", dependencies=_OPERATOR)
    def list_damage(request: Request, query: Search = "", page: PageNumber = 1) -> Response:
        found = pages.sources.network.damage()
        listing = listing_of(found, text=lambda item: f"{item.item} {item.kind} {item.reason}", query=query, page=page)
        return pages.render(request, "damage.html", listing=listing)


def _sorted(meters: Sequence[MeterStatus], sort: MeterSort) -> Sequence[MeterStatus]:
    """Sort meters that are sorted with the worst first."""
    match sort:
        case MeterSort.WORST:
            return meters
        case MeterSort.NAME:
            return sorted(meters, key=lambda meter: natural(meter.device))
        case MeterSort.USAGE_POINT:
            return sorted(meters, key=lambda meter: natural(meter.usage_point))
        case MeterSort.HEARD:
            return sorted(meters, key=lambda meter: meter.last_heard or LONG_AGO)
