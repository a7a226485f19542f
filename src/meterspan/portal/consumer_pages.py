"""The consumer's pages: the list of homes, and one home with its live numbers and its history."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from meterspan.model.storage.errors import DamagedSupplyError
from meterspan.model.views import Home, PeriodView, TodayView
from meterspan.portal import shapes
from meterspan.portal.access import admit_consumer
from meterspan.portal.pages import Pages
from meterspan.portal.paging import PageNumber, Search, listing_of, natural, text_of_home
from meterspan.portal.problems import ProblemError
from meterspan.portal.sources import parse_month
from meterspan.quantities import Commodity

__all__ = ["add_consumer_pages"]


def add_consumer_pages(router: APIRouter, pages: Pages) -> None:
    """Add the routes of the consumer's pages."""
    consumer = [Depends(admit_consumer)]

    @router.get("/", dependencies=consumer)
    def list_homes(request: Request, query: Search = "", page: PageNumber = 1) -> Response:
        homes = pages.sources.homes.homes()
        by_name = sorted(homes, key=lambda home: (natural(home.name), natural(home.home_id)))
        listing = listing_of(by_name, text=text_of_home, query=query, page=page)
        names = Counter(home.name for home in homes)
        doubled = {home.name for home in listing.rows if names[home.name] > 1}
        return pages.render(request, "homes.html", listing=listing, doubled=doubled)

    @router.get("/homes/{home_id:name}", dependencies=consumer)
    def show_home(request: Request, home_id: str) -> Response:
        home = pages.sources.home(home_id)
        commodities = _commodities(home)
        if not commodities:
            return pages.render(request, "empty.html", home=home)
        return _consumer_page(request, pages, home, _Choice(commodities[0], "day", pages.sources.local_today(home)))

    @router.get("/homes/{home_id:name}/{commodity}/{when}", dependencies=consumer)
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
    view = _unless_damaged(lambda: fetch(home.home_id, choice.commodity, choice.on))
    commodities = _commodities(home)
    measured_now = Commodity.ELECTRICITY if Commodity.ELECTRICITY in commodities else None
    electricity = _unless_damaged(lambda: sources.day(home.home_id, measured_now, today)) if measured_now else None
    last = today if choice.span == "day" else today.replace(day=1)
    return pages.render(
        request,
        "home.html",
        home=home,
        zone=ZoneInfo(home.zone),
        now=now,
        today=today,
        live=sources.live(home.home_id),
        power=sources.power(home.home_id),
        commodities=commodities,
        choice=choice,
        previous=choice.moved(-1),
        following=choice.moved(1) if choice.on < last else None,
        day_choice=_Choice(choice.commodity, "day", _day_to_open(choice, today)),
        month_choice=_Choice(choice.commodity, "month", choice.on.replace(day=1)),
        view=view,
        slots=shapes.band_slots(view) if view else {},
        proof=shapes.prove(view) if view else None,
        electricity=electricity,
        electricity_slots=shapes.band_slots(electricity) if electricity else {},
        change=_change,
    )


def _unless_damaged(fetch: Callable[[], PeriodView]) -> PeriodView | None:
    """Return a period, None where its supply is damaged: the page says so and shows the others."""
    try:
        return fetch()
    except DamagedSupplyError:
        return None


def _day_to_open(choice: _Choice, today: date) -> date:
    """Return the day to open from a month: today, or the last day of a past month."""
    if choice.span == "day":
        return choice.on
    return max(choice.on, min(today, shapes.month_after(choice.on) - timedelta(days=1)))


def _commodities(home: Home) -> tuple[Commodity, ...]:
    present = {point.commodity for point in home.usage_points}
    return tuple(commodity for commodity in Commodity if commodity in present)


def _change(today: TodayView) -> int | None:
    """Return the change against yesterday at the same time in whole percent, where there is something to compare."""
    if not today.yesterday_same_time or today.consumed is None:
        return None
    return int(((today.consumed / today.yesterday_same_time - 1) * 100).to_integral_value())
