"""From view records to what a template draws: band colours by price, quality in one word, map cells, octet runs.

Everything here is a function from records to records; no request, no clock, no words.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import groupby

from meterspan.model.views import (
    BandWindow,
    CompletenessCell,
    CompletenessView,
    FrameView,
    GroupCompleteness,
    IntervalPoint,
    LiveView,
    MeterStatus,
    PeriodPoint,
    PeriodView,
    SpanView,
)
from meterspan.portal.paging import PAGE_ROWS, Listing, listing_of, natural
from meterspan.quantities import Commodity, Quality, known_sum

__all__ = [
    "Holes",
    "MapGroup",
    "MapPlan",
    "OctetRun",
    "Proof",
    "band_slots",
    "bands_shown",
    "cell_level",
    "day_state",
    "days_states",
    "holes_of",
    "is_stale",
    "month_after",
    "month_before",
    "octet_runs",
    "percent",
    "place_of",
    "plan_map",
    "prove",
    "share_of_day",
    "states_of",
]

_DOUBTFUL = (
    Quality.CLOCK_INVALID
    | Quality.METER_RESET
    | Quality.CONFLICT
    | Quality.SPIKE
    | Quality.SUM_CHECK
    | Quality.NEGATIVE
    | Quality.CRITICAL_ERROR
)
_SLOTS = {1: ("flat",), 2: ("low", "high"), 3: ("low", "mid", "high")}
_SLOTS_MANY = ("low", "mid", "high", "peak")
_CELL_STEPS = ((1.0, "full"), (0.98, "most"), (0.9, "some"), (0.5, "half"))
MAP_ROWS_MAX = 145
"""A map of more rows is not read but scrolled past, and the page stays under 300 KB."""


def band_slots(view: PeriodView) -> dict[str, str]:
    """Return the colour slot of each tariff band, from cheapest to dearest; a single band is ``flat``.

    A band has one colour on all days and months of its supply; time without a tariff is ``flat``.
    """
    slots = _SLOTS.get(len(view.bands), _SLOTS_MANY)
    ranked = {band: slots[min(rank, len(slots) - 1)] for rank, band in enumerate(view.bands)}
    others = {point.band for point in view.intervals} | {band for point in view.points for band, _ in point.by_band}
    return ranked | dict.fromkeys(sorted(others - ranked.keys()), "flat")


def bands_shown(view: PeriodView) -> tuple[str, ...]:
    """Return the bands that a period has, in the order of their colours; () where the supply has but one."""
    if len(view.bands) < 2:
        return ()
    present = {window.band for window in view.tariff.windows} if view.tariff else set()
    present |= {point.band for point in view.intervals} | {band for point in view.points for band, _ in point.by_band}
    return tuple(band for band in view.bands if band in present)


STALE_S = 120
"""A power value older than this is shown with its time and not as the present power (``STALE_MS`` in live.js)."""


def is_stale(live: LiveView) -> bool:
    """Whether the power is too old to be shown as now."""
    return live.power_at is not None and (live.at - live.power_at).total_seconds() > STALE_S


def states_of(view: PeriodView, now: datetime) -> tuple[str, ...]:
    """Return one word per interval: how far its value can be trusted.

    An unknown interval after the last known one of the running day has not arrived yet: ``awaited``, not ``missing``.
    """
    last = max((point.end for point in view.intervals if point.value is not None), default=view.start)
    awaited_from = last if view.start <= now < view.end else now
    return tuple(_state(point, now, awaited_from) for point in view.intervals)


def _state(point: IntervalPoint, now: datetime, awaited_from: datetime) -> str:
    if point.value is None:
        if point.end > now:
            return "future"
        return "missing" if point.end <= awaited_from else "awaited"
    if point.quality & Quality.EDITED:
        return "edited"
    if point.quality & (Quality.ESTIMATED | Quality.SPREAD):
        return "estimated"
    if point.quality & _DOUBTFUL:
        return "doubtful"
    return "measured"


@dataclass(frozen=True, slots=True)
class Proof:
    """The conservation law for one period: ``intervals + unexplained == difference``.

    Attributes:
        opening: register at the start.
        closing: register at the end.
        difference: closing minus opening.
        intervals: the sum of the chart, None where nothing in it is known.
        unexplained: the part of the difference that no interval explains.
        holds: whether the sums agree to the last digit that a meter can show.

    """

    opening: Decimal
    closing: Decimal
    difference: Decimal
    intervals: Decimal | None
    unexplained: Decimal
    holds: bool


ROUNDED = Decimal("0.5E-12")
"""Heat counted in joules has no end in kWh: each amount is rounded at its twelfth place (``analytics.tariff``)."""


def prove(view: PeriodView) -> Proof | None:
    """Add up the chart and compare it with the registers; None where a register reading is missing."""
    if view.opening is None or view.closing is None or view.unexplained is None:
        return None
    values = [point.value for point in view.intervals] or [point.value for point in view.points]
    difference = view.closing - view.opening
    known = [value for value in values if value is not None]
    holds = abs(sum(known, view.unexplained - difference)) <= ROUNDED * (len(values) + 3)
    return Proof(view.opening, view.closing, difference, known_sum(values), view.unexplained, holds)


def share_of_day(window: BandWindow, start: datetime, end: datetime) -> tuple[float, float]:
    """Return the place of a window in the span, as start and width in percent."""
    span = (end - start).total_seconds()
    first = max(0.0, (window.start - start).total_seconds() / span)
    last = min(1.0, (window.end - start).total_seconds() / span)
    return round(100 * first, 2), round(100 * max(0.0, last - first), 2)


def place_of(moment: datetime, start: datetime, end: datetime) -> float:
    """Return the place of a moment in a span, in percent, 0 to 100."""
    share = (moment - start).total_seconds() / (end - start).total_seconds()
    return round(100 * min(1.0, max(0.0, share)), 2)


def percent(part: Decimal | None, whole: Decimal | None) -> float | None:
    """Return a part of a whole in percent for drawing, 0 to 100; None where it is not known, or of nothing."""
    if part is None or whole is None or whole <= 0:
        return None
    return round(float(max(Decimal(0), min(part / whole, Decimal(1)))) * 100, 2)


@dataclass(frozen=True, slots=True)
class Holes:
    """The parts of a period that its total lacks: ``missing`` altogether, ``partial`` in part."""

    missing: int
    partial: int


def days_states(view: PeriodView, today: date) -> tuple[str, ...]:
    """Return one word for each day of a month."""
    return tuple(day_state(point, today) for point in view.points)


def holes_of(view: PeriodView, now: datetime, today: date) -> Holes:
    """Count what a total lacks of what should be there by now; what is still to come is not missing."""
    states = states_of(view, now) if view.intervals else days_states(view, today)
    return Holes(states.count("missing"), states.count("partial"))


def day_state(point: PeriodPoint, today: date) -> str:
    """Return one word for a day of a month: how much of it is known."""
    if point.start > today:
        return "future"
    if point.value is None:
        return "missing"
    return "complete" if point.complete or point.start == today else "partial"


def cell_level(cell: CompletenessCell) -> str:
    """Return a map cell's step, from ``full`` to ``none``; ``idle`` where nothing was expected."""
    if not cell.expected:
        return "idle"
    share = cell.received / cell.expected
    if not cell.received:
        return "none"
    return next((name for floor, name in _CELL_STEPS if share >= floor), "few")


@dataclass(frozen=True, slots=True)
class MapGroup:
    """The meters of one network and commodity in the completeness map.

    Attributes:
        whole: all of its meters added up.
        rows: the meters shown.

    """

    whole: GroupCompleteness
    rows: tuple[CompletenessView, ...] = ()


@dataclass(frozen=True, slots=True)
class MapPlan:
    """Which part of the completeness map a page shows.

    Attributes:
        groups: the groups shown.
        devices: the meters shown, in this order.
        parts: pages of the groups, or of the meters of a network that has more of them than a page shows.
        is_overview: whether there are more meters than a page shows, in several networks: it shows networks only.

    """

    groups: tuple[GroupCompleteness, ...]
    devices: tuple[str, ...]
    parts: Listing[GroupCompleteness] | Listing[MeterStatus]
    is_overview: bool = False

    def drawn(self, rows: Sequence[CompletenessView]) -> tuple[MapGroup, ...]:
        """Return the groups with the rows of the meters shown."""
        found: dict[tuple[str, Commodity], list[CompletenessView]] = {}
        for row in rows:
            found.setdefault((row.network, row.commodity), []).append(row)
        return tuple(MapGroup(group, tuple(found.get((group.network, group.commodity), ()))) for group in self.groups)


def plan_map(groups: Sequence[GroupCompleteness], meters: Sequence[MeterStatus], page: int = 1) -> MapPlan:
    """Choose the part of the map for a page of bounded size.

    All meters by network, where they are few; the meters of one network page by page, those with most gaps first; else
    the networks page by page, those with most gaps first.
    """
    order = list(Commodity)
    by_name = tuple(sorted(groups, key=lambda group: (natural(group.network), order.index(group.commodity))))
    if len(meters) + len(groups) <= MAP_ROWS_MAX:
        known = sorted(meters, key=lambda meter: natural(meter.device))
        return MapPlan(by_name, tuple(meter.device for meter in known), listing_of(known[:PAGE_ROWS]))
    if len({group.network for group in groups}) <= 1:
        gappy_first = sorted(meters, key=lambda meter: (-meter.missing_lately, natural(meter.device)))
        found = listing_of(gappy_first, page=page)
        return MapPlan(by_name, tuple(meter.device for meter in found.rows), found)
    worst = listing_of(sorted(by_name, key=lambda group: -group.missing), page=page)
    return MapPlan(tuple(worst.rows), (), worst, is_overview=True)


@dataclass(frozen=True, slots=True)
class OctetRun:
    """Consecutive octets of a frame that one span explains; ``span`` is its index, or None where none does."""

    octets: str
    span: int | None


def octet_runs(frame: FrameView) -> tuple[OctetRun, ...]:
    """Cut a frame's octets into runs by the narrowest span over each octet; spans may nest or overlap."""
    size = len(frame.octets) // 2
    owner: list[int | None] = [None] * size
    widest_first = sorted(range(len(frame.spans)), key=lambda index: -_width(frame.spans[index]))
    for index in widest_first:
        span = frame.spans[index]
        for offset in range(max(0, span.offset), min(size, span.offset + _width(span))):
            owner[offset] = index
    runs = []
    for index_of, offsets_iterator in groupby(range(size), key=owner.__getitem__):
        offsets = list(offsets_iterator)
        octets = " ".join(frame.octets[2 * offset : 2 * offset + 2] for offset in offsets)
        runs.append(OctetRun(octets, index_of))
    return tuple(runs)


def _width(span: SpanView) -> int:
    return len(span.octets.replace(" ", "")) // 2


def month_before(month: date) -> date:
    """Return the first day of the month before."""
    return (month.replace(day=1) - timedelta(days=1)).replace(day=1)


def month_after(month: date) -> date:
    """Return the first day of the month after."""
    return (month.replace(day=1) + timedelta(days=31)).replace(day=1)
