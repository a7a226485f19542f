"""The pages: home list, consumer page, operator page, one meter's story; HTML by Jinja with escaping always on."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse, Response
from jinja2 import Environment, PackageLoader, StrictUndefined

from meterspan.model.views import Home, MeterState, TodayView
from meterspan.portal import shapes
from meterspan.portal.access import admit_consumer, admit_operator
from meterspan.portal.problems import ProblemError
from meterspan.portal.sources import Sources, parse_month
from meterspan.portal.words import words_for
from meterspan.quantities import Commodity

__all__ = ["Pages", "build_pages"]

MAP_DAYS = 28
"""Four weeks: a weekly pattern shows, and the map still fits a desk."""

TROUBLED_ROWS = 60
"""Worst first; the JSON interface gives all."""

QUARANTINE_ROWS = 50
"""What the operator page lists; the JSON interface gives more."""


class Pages:
    """Renders every page.

    Args:
        sources: the views.
        static: path prefix of the static files.
        version: shown in the footer.

    """

    def __init__(self, sources: Sources, static: str, version: str) -> None:
        self.sources = sources
        self._environment = Environment(
            loader=PackageLoader("meterspan.portal"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {"exact": _exact, "rounded": _rounded, "iso": _iso, "unit": _unit, "local": _local}
        self._environment.globals |= {"static": static, "version": version, "shapes": shapes, "Commodity": Commodity}

    def render(self, request: Request, template: str, *, status: int = 200, **values: object) -> HTMLResponse:
        """Render one page in the reader's language."""
        words = words_for(request.headers.get("accept-language", ""))
        html = self._environment.get_template(template).render(t=words, path=request.url.path, **values)
        headers = {"Vary": "Accept-Language", "Content-Language": words.language}
        return HTMLResponse(html, status_code=status, headers=headers)

    def error(self, request: Request, problem: ProblemError) -> HTMLResponse:
        """Render the error page."""
        return self.render(request, "error.html", status=problem.status, problem=problem)


def build_pages(pages: Pages) -> APIRouter:
    """Build the routes of the pages."""
    router = APIRouter(include_in_schema=False)
    _add_consumer(router, pages)
    _add_operator(router, pages)

    @router.get("/api")
    def show_api(request: Request) -> Response:
        return pages.render(request, "api.html", paths=request.app.openapi()["paths"])

    return router


def _add_consumer(router: APIRouter, pages: Pages) -> None:
    consumer = [Depends(admit_consumer)]

    @router.get("/", dependencies=consumer)
    def list_homes(request: Request) -> Response:
        return pages.render(request, "homes.html", homes=pages.sources.homes.homes())

    @router.get("/homes/{home_id}", dependencies=consumer)
    def show_home(request: Request, home_id: str) -> Response:
        home = pages.sources.home(home_id)
        commodities = _commodities(home)
        if not commodities:
            return pages.render(request, "empty.html", home=home)
        return _consumer_page(request, pages, home, _Choice(commodities[0], "day", pages.sources.local_today(home)))

    @router.get("/homes/{home_id}/{commodity}/{when}", dependencies=consumer)
    def show_period(request: Request, home_id: str, commodity: Commodity, when: str) -> Response:
        return _consumer_page(request, pages, pages.sources.home(home_id), _parse_choice(commodity, when))


@dataclass(frozen=True, slots=True)
class _Choice:
    """What of a home's history is shown: a day, or the month that ``on`` is the first day of."""

    commodity: Commodity
    span: str
    on: date

    @property
    def when(self) -> str:
        return self.on.isoformat() if self.span == "day" else self.on.isoformat()[:7]

    def moved(self, steps: int) -> "_Choice":
        if self.span == "day":
            return _Choice(self.commodity, self.span, self.on + timedelta(days=steps))
        on = shapes.month_after(self.on) if steps > 0 else shapes.month_before(self.on)
        return _Choice(self.commodity, self.span, on)


def _parse_choice(commodity: Commodity, when: str) -> _Choice:
    try:
        if len(when) == len("2026-11"):
            return _Choice(commodity, "month", parse_month(when))
        return _Choice(commodity, "day", date.fromisoformat(when))
    except ValueError as error:
        raise ProblemError(
            404,
            "unknown-path",
            title="There is nothing at this address",
            detail=f"{when!r} is neither a day nor a month.",
            remedy="Days are written 2026-11-21 and months 2026-11.",
        ) from error


def _consumer_page(request: Request, pages: Pages, home: Home, choice: _Choice) -> Response:
    sources = pages.sources
    now = sources.clock()
    today = sources.local_today(home)
    fetch = sources.day if choice.span == "day" else sources.month
    view = fetch(home.home_id, choice.commodity, choice.on)
    commodities = _commodities(home)
    measured_now = Commodity.ELECTRICITY if Commodity.ELECTRICITY in commodities else None
    electricity = sources.day(home.home_id, measured_now, today) if measured_now else None
    last = today if choice.span == "day" else today.replace(day=1)
    return pages.render(
        request,
        "home.html",
        home=home,
        zone=ZoneInfo(home.zone),
        now=now,
        today=today,
        live=sources.live(home.home_id),
        commodities=commodities,
        choice=choice,
        previous=choice.moved(-1),
        following=choice.moved(1) if choice.on < last else None,
        day_choice=_Choice(choice.commodity, "day", _day_to_open(choice, today)),
        month_choice=_Choice(choice.commodity, "month", choice.on.replace(day=1)),
        view=view,
        slots=shapes.band_slots(view),
        proof=shapes.prove(view),
        electricity=electricity,
        electricity_slots=shapes.band_slots(electricity) if electricity else {},
        change=_change,
    )


def _day_to_open(choice: _Choice, today: date) -> date:
    """Give the day to open from a month: today, or the last day of a past month."""
    if choice.span == "day":
        return choice.on
    return max(choice.on, min(today, shapes.month_after(choice.on) - timedelta(days=1)))


def _commodities(home: Home) -> tuple[Commodity, ...]:
    present = {point.commodity for point in home.usage_points}
    return tuple(commodity for commodity in Commodity if commodity in present)


def _change(today: TodayView) -> int | None:
    """Give the change against yesterday at the same time in whole percent, where there is something to compare."""
    if not today.yesterday_same_time:
        return None
    return int(((today.consumed / today.yesterday_same_time - 1) * 100).to_integral_value())


def _add_operator(router: APIRouter, pages: Pages) -> None:
    operator = [Depends(admit_operator)]

    @router.get("/operator", dependencies=operator)
    def show_network(
        request: Request, only: Annotated[str | None, Query(alias="network", max_length=200)] = None
    ) -> Response:
        now = pages.sources.clock()
        network = pages.sources.network
        meters = network.meters(now)
        troubled = [meter for meter in meters if meter.state not in (MeterState.OK, MeterState.REMOVED)]
        last = now.date()
        first = last - timedelta(days=MAP_DAYS - 1)
        return pages.render(
            request,
            "operator.html",
            now=now,
            summary=network.summary(now),
            troubled=troubled[:TROUBLED_ROWS],
            troubled_more=max(0, len(troubled) - TROUBLED_ROWS),
            states={meter.device: meter.state for meter in meters},
            days=[first + timedelta(days=offset) for offset in range(MAP_DAYS)],
            only=only,
            drawn=shapes.group_map(
                [row for row in network.completeness(first, last) if only is None or row.network == only]
            ),
            quarantine=network.quarantine(QUARANTINE_ROWS),
        )

    @router.get("/operator/meters/{device}", dependencies=operator)
    def show_meter(request: Request, device: str) -> Response:
        sources = pages.sources
        return pages.render(
            request,
            "meter.html",
            now=sources.clock(),
            story=sources.story(device),
            can_order=sources.orders is not None,
        )


_DIGITS = {"kWh": 2, "m3": 2, "W": 0, "Wh": 0}


def _exact(amount: Decimal | int) -> str:
    return format(amount, "f") if isinstance(amount, Decimal) else str(amount)


def _rounded(amount: Decimal | int, unit: str = "") -> str:
    """Round for readers whose browser runs no scripts."""
    return f"{amount:.{_DIGITS.get(unit, 2)}f}"


def _iso(moment: datetime | date) -> str:
    if isinstance(moment, datetime):
        return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return moment.isoformat()


def _local(moment: datetime, zone: ZoneInfo, pattern: str = "%H:%M") -> str:
    return moment.astimezone(zone).strftime(pattern)


def _unit(symbol: str) -> str:
    return symbol.replace("m3", "m³")
