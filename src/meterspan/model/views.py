"""Views: what people are shown, as records; ``mdm`` and ``head_end`` answer, ``portal``, ``display`` and ``cli`` show.

The JSON interface derives from these records (``portal.payloads``): a docstring here is a description there.

Amounts are exact (``Decimal``) in display units (kWh, m3, W, EUR); times are aware UTC datetimes; a local calendar
day is a ``date`` in the home's zone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Protocol, Self

from meterspan.model.damage import Damage
from meterspan.model.failures import FailureKind
from meterspan.model.readings import EventSeverity
from meterspan.model.remedies import NO_REASON, Phrase, Reason
from meterspan.model.storage.readings import DamageKind
from meterspan.quantities import Commodity, Quality, utc

__all__ = [
    "BandWindow",
    "CompletenessCell",
    "DamageView",
    "FrameView",
    "GroupCompleteness",
    "Home",
    "HomeViews",
    "IntervalPoint",
    "LiveView",
    "MeterState",
    "MeterStatus",
    "MeterStory",
    "NetworkSummary",
    "NetworkViews",
    "OrderDesk",
    "OrderState",
    "OrderValue",
    "OrderView",
    "PeriodPoint",
    "PeriodView",
    "PowerPoint",
    "PowerView",
    "QuarantineView",
    "SpanView",
    "StoryEntry",
    "TariffView",
    "TodayView",
    "UsagePointView",
]


@dataclass(frozen=True, slots=True)
class UsagePointView:
    """One supply of a home."""

    usage_point: str
    commodity: Commodity
    meter: str
    unit: str
    """Display unit: kWh for electricity, heat; m3 for gas and water."""


@dataclass(frozen=True, slots=True)
class Home:
    """One consumer's premises."""

    home_id: str
    name: str
    zone: str
    """IANA name, e.g. Europe/Berlin."""
    usage_points: tuple[UsagePointView, ...] = ()
    currency: str = "EUR"


@dataclass(frozen=True, slots=True)
class BandWindow:
    """One stretch of a local day under one tariff band."""

    start: datetime
    end: datetime
    band: str
    price: Decimal
    """Currency per display unit, tax included."""


@dataclass(frozen=True, slots=True)
class TariffView:
    """The tariff of one commodity on one local day; every price and charge of it has the tax in it."""

    name: str
    currency: str
    unit: str
    standing_charge_per_day: Decimal
    """Tax included."""
    windows: tuple[BandWindow, ...]
    tax: Decimal = Decimal(0)
    """Share of tax that was added to the declared prices: 0.19 is 19 %; 0 where none was."""


@dataclass(frozen=True, slots=True)
class TodayView:
    """One commodity since local midnight."""

    commodity: Commodity
    consumed: Decimal | None
    """Null where nothing of today is known yet."""
    unit: str
    cost: Decimal | None
    """Null where nothing of today is known yet, or no price."""
    yesterday_same_time: Decimal | None
    """Consumed yesterday up to the local time of ``last_reading``, where all of both spans is known."""
    last_reading: datetime | None
    """Up to when ``consumed`` and ``cost`` count."""
    known_share: Decimal | None = None
    """Share of the time from midnight to ``last_reading`` whose consumption is known, 0..1, rounded down."""


@dataclass(frozen=True, slots=True)
class LiveView:
    """What a display shows now; ``power_w`` is import minus export."""

    home_id: str
    at: datetime
    power_w: int | None
    """Import minus export; None where no live source is heard."""
    power_at: datetime | None
    band: str
    price: Decimal | None
    """Of the band, per kWh, tax included."""
    band_until: datetime | None
    today: tuple[TodayView, ...]
    cost_today: Decimal | None
    """Sum of the costs that are known, null where none is; ``without_cost`` names what it lacks."""
    currency: str
    left_out: tuple[Commodity, ...] = ()
    """Supplies whose data are damaged: they are not in ``today``."""

    @property
    def without_cost(self) -> tuple[Commodity, ...]:
        """Supplies whose cost of today is not known and not in ``cost_today``."""
        return (*(today.commodity for today in self.today if today.cost is None), *self.left_out)

    @property
    def incomplete(self) -> tuple[Commodity, ...]:
        """Supplies of whose day so far a part is not known: their consumption and cost lack it."""
        return tuple(today.commodity for today in self.today if today.known_share not in {None, 1})


@dataclass(frozen=True, slots=True)
class PowerPoint:
    """The mean power of a stretch of time, import minus export, in W."""

    start: datetime
    end: datetime
    power_w: int


@dataclass(frozen=True, slots=True)
class PowerView:
    """The power of the last hours; at a time that no point covers, nothing is known."""

    home_id: str
    start: datetime
    end: datetime
    heard: tuple[PowerPoint, ...] = ()
    """By the minute, from momentary values; a point that begins where another ends goes on from it."""
    means: tuple[PowerPoint, ...] = ()
    """Of measured intervals, from registers."""


@dataclass(frozen=True, slots=True)
class IntervalPoint:
    """One interval; ``value`` is null where nothing is known."""

    start: datetime
    end: datetime
    value: Decimal | None
    band: str
    cost: Decimal | None
    quality: Quality
    version: int = 1


@dataclass(frozen=True, slots=True)
class PeriodPoint:
    """One local day of a month."""

    start: date
    value: Decimal | None
    cost: Decimal | None
    by_band: tuple[tuple[str, Decimal], ...]
    """Only bands of which anything is known."""
    complete: bool
    expected: int
    received: int


@dataclass(frozen=True, slots=True)
class PeriodView:
    """A day (``intervals``) or a month (``points``) of one commodity with its registers and totals.

    The sum of the intervals plus ``unexplained`` is ``closing`` minus ``opening``, where no meter was exchanged and no
    register began anew in the period.
    """

    commodity: Commodity
    unit: str
    currency: str
    start: datetime
    end: datetime
    total: Decimal | None
    """Sum of what is known, null where nothing is; ``known`` of ``parts`` are in it."""
    cost: Decimal | None
    """Cost of what is known, tax included; null where nothing is, or no price. ``priced`` of ``parts`` are in it."""
    unexplained: Decimal | None
    """Register difference that no interval explains; null where no register of the period is known."""
    opening: Decimal | None
    """Register at the start of the period, in ``unit``, times the transformer ratio; null where none was read there."""
    closing: Decimal | None
    """Register at the end of the period; null while the period lasts, and where none was read at its end."""
    intervals: tuple[IntervalPoint, ...] = ()
    points: tuple[PeriodPoint, ...] = ()
    tariff: TariffView | None = None
    notes: tuple[Phrase, ...] = ()
    """In the reader's language: what happened to the data of this period (exchange, reset, gap filled, late data)."""
    bands: tuple[str, ...] = ()
    """The bands of all tariffs that the supply had, cheapest first: one order for all its days and months."""

    @property
    def parts(self) -> int:
        """How many intervals (of a day) or days (of a month) the period has, those to come too."""
        return len(self.intervals) or len(self.points)

    @property
    def known(self) -> int:
        """Of how many of its parts something is known, and is in the total."""
        values = [interval.value for interval in self.intervals] + [point.value for point in self.points]
        return sum(value is not None for value in values)

    @property
    def priced(self) -> int:
        """Of how many of its parts the cost is known, and is in the cost."""
        costs = [interval.cost for interval in self.intervals] + [point.cost for point in self.points]
        return sum(cost is not None for cost in costs)


class HomeViews(Protocol):
    """What a consumer may ask; answered by the data management.

    An unknown home raises ``UnknownHomeError``; a commodity that the home does not have raises ``UnknownSupplyError``.
    """

    def homes(self) -> Sequence[Home]:
        """List all homes."""
        ...

    def home(self, home_id: str) -> Home:
        """Return one home."""
        ...

    def live(self, home_id: str, now: datetime) -> LiveView:
        """Return power now, today's consumption and cost."""
        ...

    def power(self, home_id: str, now: datetime) -> PowerView:
        """Return the power of the last two hours."""
        ...

    def day(self, home_id: str, commodity: Commodity, day: date) -> PeriodView:
        """Return one local day's intervals (92, 96 or 100 quarters, or the meter's own period)."""
        ...

    def month(self, home_id: str, commodity: Commodity, month: date) -> PeriodView:
        """Return the days of the month that contains ``month``."""
        ...


class MeterState(StrEnum):
    """How a meter is doing, for the operator."""

    OK = "ok"
    LATE = "late"
    """Something expected is missing, and retries go on."""
    FAILING = "failing"
    """Not reached for longer than its policy allows."""
    UNKNOWN = "unknown"
    """Registered, tried, never heard."""
    UNTRIED = "untried"
    """Registered, and nobody has tried to read it yet: its first session is to come."""
    REMOVED = "removed"
    """Exchanged or decommissioned."""


@dataclass(frozen=True, slots=True)
class MeterStatus:
    """One meter as the operator sees it."""

    device: str
    commodity: Commodity
    protocol: str
    interface: str
    """G1, M, H1, …"""
    network: str
    """Access point or segment it hangs on."""
    usage_point: str
    state: MeterState
    reason: Reason
    """Why it is in this state and what to do, in the reader's language; "" where all is well."""
    last_heard: datetime | None
    expected: int
    received: int
    missing: int
    next_attempt: datetime | None = None
    """When its next session may start; null while one is open, and for a meter that only sends by itself."""
    missing_lately: int = 0
    """Of the missing values, those of the last 28 UTC days."""

    @property
    def failure(self) -> FailureKind | None:
        """Kind of the failure behind the state, None where there is none."""
        return self.reason.failure


@dataclass(frozen=True, slots=True)
class CompletenessCell:
    """What was expected and received of one meter on one day: a UTC day, or a local day of the network's zone."""

    day: date
    expected: int
    received: int

    @property
    def missing(self) -> int:
        """How many are missing."""
        return max(0, self.expected - self.received)


@dataclass(frozen=True, slots=True)
class CompletenessView:
    """One row of the completeness map."""

    device: str
    commodity: Commodity
    network: str
    cells: tuple[CompletenessCell, ...]


@dataclass(frozen=True, slots=True)
class GroupCompleteness:
    """The completeness of all meters of one network and commodity, added up."""

    network: str
    commodity: Commodity
    meters: int
    cells: tuple[CompletenessCell, ...]

    @property
    def missing(self) -> int:
        """How many values are missing."""
        return sum(cell.missing for cell in self.cells)

    @classmethod
    def of(cls, rows: Sequence[CompletenessView]) -> list[Self]:
        """Add up rows of the same days by network and commodity."""
        members: dict[tuple[str, Commodity], list[CompletenessView]] = {}
        for row in rows:
            members.setdefault((row.network, row.commodity), []).append(row)
        return [cls(*key, len(found), _added_up(found)) for key, found in members.items()]


def _added_up(rows: Sequence[CompletenessView]) -> tuple[CompletenessCell, ...]:
    sums: dict[date, tuple[int, int]] = {}
    for row in rows:
        for cell in row.cells:
            expected, received = sums.get(cell.day, (0, 0))
            sums[cell.day] = expected + cell.expected, received + cell.received
    return tuple(CompletenessCell(day, *sums[day]) for day in sorted(sums))


@dataclass(frozen=True, slots=True)
class SpanView:
    """One explained octet range of a frame."""

    offset: int
    octets: str
    field: str
    meaning: str


@dataclass(frozen=True, slots=True)
class FrameView:
    """One recent frame of a meter."""

    at: datetime
    direction: str
    """``received`` or ``sent``."""
    protocol: str
    octets: str
    """Hex, upper case; never a key."""
    summary: str
    spans: tuple[SpanView, ...] = ()


@dataclass(frozen=True, slots=True)
class StoryEntry:
    """One line of a meter's story: installed, heard, read, missed, exchanged, recovered, reset, quarantined."""

    at: datetime
    kind: str
    title: str
    detail: str = ""
    severity: EventSeverity = EventSeverity.INFO


@dataclass(frozen=True, slots=True)
class MeterStory:
    """All about one meter."""

    status: MeterStatus
    entries: tuple[StoryEntry, ...]
    frames: tuple[FrameView, ...]
    cells: tuple[CompletenessCell, ...]


@dataclass(frozen=True, slots=True)
class QuarantineView:
    """One quarantined frame, with the reason."""

    at: datetime
    source: str
    """Where it was heard: listener or access point."""
    kind: str
    """``damaged``, ``replayed``, ``wrong key``, ``missing key``, ``not protected``,
    ``implausible``, ``unknown device``, ``unreadable``."""
    reason: str
    octets: str
    device: str = ""


@dataclass(frozen=True, slots=True)
class DamageView:
    """One damaged or impossible item at rest; it is named here and left out of every other answer."""

    item: str
    """Its name: ``batch 17``, a file, table and key of a row, ``usage point MP1``."""
    kind: DamageKind
    reason: str
    """The damage, for an expert."""
    found_at: datetime | None
    """When it was found; null where an earlier release found it."""
    kept_at: str
    """File or table that holds its octets; "" where nothing had to be moved."""
    readings: int | None
    """Readings that are missing with it; null where that is not known."""
    first: datetime | None
    """Start of the span in which its readings lie; null where that is not known."""
    last: datetime | None

    @property
    def loss(self) -> Phrase:
        """What is lost with it, and what is not, in the reader's language."""
        return Phrase(f"damage_loss.{self.kind}")

    @property
    def remedy(self) -> Phrase:
        """What to do about it, in the reader's language."""
        return Phrase(f"damage_remedy.{self.kind}")

    @classmethod
    def of(cls, item: Damage) -> Self:
        """Return a damaged item as it is shown."""
        found, first, last = (
            None if time is None else utc(time) for time in (item.found_at, item.first_time, item.last_time)
        )
        return cls(item.item, item.kind, item.reason, found, item.kept_at, item.readings, first, last)


@dataclass(frozen=True, slots=True)
class NetworkSummary:
    """The operator's headline numbers."""

    at: datetime
    meters: int
    by_state: tuple[tuple[MeterState, int], ...]
    by_commodity: tuple[tuple[Commodity, int], ...]
    expected_today: int
    received_today: int
    completeness_today: Decimal | None
    """0..1, rounded down; None while nothing is due."""
    completeness_yesterday: Decimal | None
    """0..1, rounded down; None where nothing was due."""
    unexplained_wh: int | None
    """Energy that no interval explains; null where nothing is stored that could be compared."""
    quarantined: int
    readings_stored: int
    sessions_open: int | None
    """Null where meters send by themselves, and no session is held."""
    damaged: int = 0
    """Items at rest that are damaged or impossible, and left out of every number here."""
    left_out: tuple[str, ...] = ()
    """Names of the first of them."""


class NetworkViews(Protocol):
    """What an operator may ask; answered by the head end with the data management."""

    def summary(self, now: datetime, network: str = "") -> NetworkSummary:
        """Return the headline numbers; meters and completeness are those of one network where it is named."""
        ...

    def meters(self, now: datetime) -> Sequence[MeterStatus]:
        """List all meters, worst first."""
        ...

    def completeness(self, first: date, last: date, devices: Sequence[str] | None = None) -> Sequence[CompletenessView]:
        """Return the completeness of these days, a row per meter: of these devices in their order, or of all."""
        ...

    def groups(self, first: date, last: date) -> Sequence[GroupCompleteness]:
        """Return the completeness of these days, added up by network and commodity."""
        ...

    def story(self, device: str, now: datetime) -> MeterStory:
        """Return one meter's story; raises ``UnknownMeterError`` for an unknown meter."""
        ...

    def quarantine(self, limit: int = 100) -> Sequence[QuarantineView]:
        """List quarantined frames, newest first."""
        ...

    def damage(self) -> Sequence[DamageView]:
        """List damaged or impossible items at rest, stored items first."""
        ...


class OrderState(StrEnum):
    """How an on-demand read stands."""

    WAITING = "waiting"
    ANSWERED = "answered"
    TIMED_OUT = "timed out"
    FAILED = "failed"
    """Its session failed; the reason says why."""


@dataclass(frozen=True, slots=True)
class OrderValue:
    """One register of an answered order."""

    obis: str
    value: Decimal
    unit: str
    """Unit in which people read it: kWh, m3."""
    name: str = ""
    """What the register counts, in English."""


@dataclass(frozen=True, slots=True)
class OrderView:
    """An on-demand read: waiting, answered, failed or timed out, never silent."""

    order_id: int
    device: str
    state: OrderState
    asked_at: datetime
    deadline: datetime
    values: tuple[OrderValue, ...] = ()
    reason: Reason = NO_REASON
    """Why the last session for it failed and what to do, in the reader's language; "" where none did."""
    ended_at: datetime | None = None
    """When it was answered, failed or timed out; None while it waits."""
    author: str = ""
    """Who ordered it; "" where that is not known."""

    @property
    def failure(self) -> FailureKind | None:
        """Kind of the failure of its last session, None where none failed."""
        return self.reason.failure


class OrderDesk(Protocol):
    """Where an operator asks for a meter to be read now; answered by the head end."""

    def order(self, device: str, now: datetime, deadline_s: float, author: str = "") -> OrderView:
        """Ask for a meter's registers; raises ``UnknownMeterError``, ``NotAskedError`` or ``TooManyOrdersError``.

        Args:
            device: the meter.
            now: the time, aware.
            deadline_s: seconds until the order has timed out.
            author: who orders it.

        """
        ...

    def orders(self, limit: int = 100, device: str = "") -> Sequence[OrderView]:
        """List the newest orders, newest first; only those of one meter where it is named."""
        ...

    def order_view(self, order_id: int) -> OrderView:
        """Return the state of an order; raises ``UnknownOrderError`` for one that is not known (any more)."""
        ...
