"""A small deterministic district in memory, for the portal's tests: what data management and head end will answer.

Four commodities with a photovoltaic roof, a three-band tariff, the day of 100 quarters (25 October 2026), estimated and
missing quarters, an unexplained span and a meter exchange; thirty meters in every state.
"""

import math
from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache
from random import Random
from zoneinfo import ZoneInfo

from meterspan.model.failures import FailureKind
from meterspan.model.lookup_errors import UnknownHomeError, UnknownMeterError, UnknownOrderError, UnknownSupplyError
from meterspan.model.order_errors import NotAskedError
from meterspan.model.readings import EventSeverity
from meterspan.model.remedies import NO_REASON, Phrase, Reason, Situation
from meterspan.model.storage.readings import DamageKind
from meterspan.model.views import (
    BandWindow,
    CompletenessCell,
    CompletenessView,
    DamageView,
    FrameView,
    GroupCompleteness,
    Home,
    IntervalPoint,
    LiveView,
    MeterState,
    MeterStatus,
    MeterStory,
    NetworkSummary,
    OrderState,
    OrderValue,
    OrderView,
    PeriodPoint,
    PeriodView,
    PowerPoint,
    PowerView,
    QuarantineView,
    SpanView,
    StoryEntry,
    TariffView,
    TodayView,
    UsagePointView,
)
from meterspan.quantities import Commodity, Quality

NOW = datetime(2026, 11, 21, 17, 42, 10, tzinfo=UTC)
ZONE = ZoneInfo("Europe/Berlin")
EPOCH = date(2026, 10, 1)
QUARTER = timedelta(minutes=15)
STEP = {
    Commodity.ELECTRICITY: QUARTER,
    Commodity.GAS: timedelta(hours=1),
    Commodity.WATER: timedelta(hours=1),
    Commodity.HEAT: timedelta(hours=1),
}
UNIT = {Commodity.ELECTRICITY: "kWh", Commodity.GAS: "m3", Commodity.WATER: "m3", Commodity.HEAT: "kWh"}
BANDS = {
    Commodity.ELECTRICITY: ((0, "night"), (6, "standard"), (17, "peak"), (20, "standard"), (22, "night")),
    Commodity.GAS: ((0, "flat"),),
    Commodity.WATER: ((0, "flat"),),
    Commodity.HEAT: ((0, "flat"),),
}
PRICES = {
    (Commodity.ELECTRICITY, "night"): Decimal("0.2240"),
    (Commodity.ELECTRICITY, "standard"): Decimal("0.3120"),
    (Commodity.ELECTRICITY, "peak"): Decimal("0.3890"),
    (Commodity.GAS, "flat"): Decimal("0.9800"),
    (Commodity.WATER, "flat"): Decimal("4.1200"),
    (Commodity.HEAT, "flat"): Decimal("0.1240"),
}
OPENING = {
    Commodity.ELECTRICITY: 12_345_678,
    Commodity.GAS: 4_211_407,
    Commodity.WATER: 318_250,
    Commodity.HEAT: 28_904_000,
}

ESTIMATED = {(date(2026, 11, 21), hour, minute) for hour, minute in ((10, 15), (10, 30), (10, 45))} | {
    (date(2026, 11, 12), 3, minute) for minute in (0, 15, 30, 45)
}
MISSING = {(date(2026, 11, 18), 14, minute) for minute in (0, 15, 30, 45)} | {(date(2026, 11, 18), 15, 0)}
NOTES = {
    date(2026, 11, 21): (Phrase("note.estimated", (("count", 3),)),),
    date(2026, 11, 18): (Phrase("note.missing", (("count", 5),)),),
    date(2026, 11, 9): (
        Phrase(
            "note.exchanged",
            (("before", "LGZ1"), ("after", "LGZ2"), ("at", datetime(2026, 11, 9, 10, 40, tzinfo=ZONE))),
        ),
    ),
    date(2026, 10, 25): (Phrase("note.long_day", (("hours", 25),)),),
}

_ALL = tuple(Commodity)


def _home(home_id: str, name: str, commodities: Sequence[Commodity], number: int) -> Home:
    makers = {
        Commodity.ELECTRICITY: "LGZ1030655",
        Commodity.GAS: "ELS-4711",
        Commodity.WATER: "KAM-6630",
        Commodity.HEAT: "DME-2208",
    }
    points = tuple(
        UsagePointView(
            f"DE000{number}-{commodity.value}", commodity, f"{makers[commodity]}{number:03}", UNIT[commodity]
        )
        for commodity in commodities
    )
    return Home(home_id, name, "Europe/Berlin", points)


HOMES = (
    _home("lindenhof-3", "Lindenhof 3", _ALL, 1),
    _home("lindenhof-5", "Lindenhof 5 <2nd floor>", (Commodity.ELECTRICITY, Commodity.WATER), 2),
    _home("muehlweg-12", "Mühlweg 12", (Commodity.ELECTRICITY, Commodity.GAS, Commodity.WATER), 3),
)


@cache
def amounts(home_id: str, commodity: Commodity, day: date) -> tuple[int, ...]:
    """Wh or litres of each interval of a local day, whole numbers."""
    noise = Random(f"{home_id} {commodity} {day}")  # noqa: S311 - a seeded household, not a secret
    weekend = day.weekday() >= 5
    values = []
    for start, _ in bounds(commodity, day):
        local = start.astimezone(ZONE)
        hour = local.hour + local.minute / 60
        morning = math.exp(-(((hour - (9 if weekend else 7.2)) / 1.3) ** 2))
        evening = math.exp(-(((hour - 18.8) / 2.2) ** 2))
        cold = 1.15 - 0.25 * math.sin(hour / 24 * math.tau - 1.2)
        if commodity is Commodity.ELECTRICITY:
            sun = max(0.0, math.cos((hour - 12.6) / 4.4 * math.pi / 2)) * noise.uniform(0.3, 1.0)
            load = (
                38
                + 150 * morning
                + 260 * evening
                + (90 if weekend and 11 < hour < 14 else 0)
                + noise.expovariate(1 / 28)
            )
            if noise.random() < 0.025:
                load += noise.uniform(150, 420)
            values.append(max(0, round(load - 150 * sun)) if hour < 9 or hour > 16 else max(4, round(load - 150 * sun)))
        elif commodity is Commodity.GAS:
            values.append(round(260 * cold * (0.35 if hour < 5 else 1) * noise.uniform(0.7, 1.2)))
        elif commodity is Commodity.WATER:
            use = 34 * morning + 26 * evening + (8 if 9 < hour < 22 else 0)
            values.append(round(use * noise.uniform(0.2, 1.5)) if noise.random() < 0.75 else 0)
        else:
            values.append(round(950 * cold * noise.uniform(0.75, 1.2)))
    return tuple(values)


@cache
def bounds(commodity: Commodity, day: date) -> tuple[tuple[datetime, datetime], ...]:
    start, end = midnight(day), midnight(day + timedelta(days=1))
    step = STEP[commodity]
    count = int((end - start) / step)
    return tuple((start + index * step, start + (index + 1) * step) for index in range(count))


def midnight(day: date) -> datetime:
    return datetime.combine(day, time(), ZONE).astimezone(UTC)


@cache
def register(home_id: str, commodity: Commodity, day: date) -> int:
    """The register at local midnight in Wh or litres."""
    if day <= EPOCH:
        return OPENING[commodity]
    before = day - timedelta(days=1)
    return register(home_id, commodity, before) + sum(amounts(home_id, commodity, before))


def band_at(commodity: Commodity, moment: datetime) -> str:
    hours = [hour for hour, _ in BANDS[commodity]]
    return BANDS[commodity][bisect_right(hours, moment.astimezone(ZONE).hour) - 1][1]


def bands(commodity: Commodity) -> tuple[str, ...]:
    """The bands of a commodity, cheapest first."""
    prices = {band: price for (supply, band), price in PRICES.items() if supply is commodity}
    return tuple(sorted(prices, key=prices.__getitem__))


def tariff(commodity: Commodity, day: date) -> TariffView:
    edges = [datetime.combine(day, time(hour), ZONE).astimezone(UTC) for hour, _ in BANDS[commodity]]
    edges.append(midnight(day + timedelta(days=1)))
    windows = tuple(
        BandWindow(edges[index], edges[index + 1], band, PRICES[commodity, band])
        for index, (_, band) in enumerate(BANDS[commodity])
    )
    return TariffView("Green 3", "EUR", UNIT[commodity], Decimal("0.2600"), windows)


class SampleHomes:
    """``HomeViews`` in memory at a fixed present, ``now``."""

    def __init__(self, now: datetime = NOW) -> None:
        self.now = now

    def homes(self) -> Sequence[Home]:
        return HOMES

    def home(self, home_id: str) -> Home:
        known = {home.home_id: home for home in HOMES}
        if home_id not in known:
            raise UnknownHomeError(home_id)
        return known[home_id]

    def live(self, home_id: str, now: datetime) -> LiveView:
        home = self.home(home_id)
        today = now.astimezone(ZONE).date()
        rows = tuple(self._today(home_id, point.commodity, today, now) for point in home.usage_points)
        band = band_at(Commodity.ELECTRICITY, now)
        until = next(window.end for window in tariff(Commodity.ELECTRICITY, today).windows if now < window.end)
        seconds = now.timestamp()
        index = int((now - midnight(today)) / QUARTER)
        mean = 4 * amounts(home_id, Commodity.ELECTRICITY, today)[index]
        power = round(mean + 90 * math.sin(seconds / 47) + 40 * math.sin(seconds / 5.3))
        if 11 <= now.astimezone(ZONE).hour < 14:
            power -= 2400
        cost = sum((row.cost for row in rows), Decimal(0))
        price = PRICES[Commodity.ELECTRICITY, band]
        return LiveView(home_id, now, power, now, band, price, until, rows, cost, "EUR")

    def power(self, home_id: str, now: datetime) -> PowerView:
        """The power of two hours by the minute, with a hole from 40 to 30 minutes ago."""
        self.home(home_id)
        end = now.replace(second=0, microsecond=0)
        minutes = [number for number in range(120, 0, -1) if not 30 <= number < 40]
        heard = tuple(
            PowerPoint(
                end - timedelta(minutes=number),
                end - timedelta(minutes=number - 1),
                round(600 + 400 * math.sin(number / 9) - (900 if 80 < number < 100 else 0)),
            )
            for number in minutes
        )
        quarters = self.day(home_id, Commodity.ELECTRICITY, now.astimezone(ZONE).date()).intervals
        means = tuple(
            PowerPoint(point.start, point.end, round(point.value * 4000))
            for point in quarters
            if point.value is not None and now - timedelta(hours=2) < point.end <= now
        )
        return PowerView(home_id, now - timedelta(hours=2), now, heard, means)

    def _today(self, home_id: str, commodity: Commodity, today: date, now: datetime) -> TodayView:
        view = self.day(home_id, commodity, today)
        done = [point for point in view.intervals if point.end <= now and point.value is not None]
        count = sum(1 for point in view.intervals if point.end <= now)
        yesterday = sum(amounts(home_id, commodity, today - timedelta(days=1))[:count])
        consumed = sum((point.value for point in done if point.value is not None), Decimal(0))
        cost = sum((point.cost for point in done if point.cost is not None), Decimal(0))
        last = done[-1].end if done else None
        return TodayView(commodity, consumed, view.unit, cost, Decimal(yesterday) / 1000, last, Decimal(1))

    def _supply(self, home_id: str, commodity: Commodity) -> None:
        if commodity not in {point.commodity for point in self.home(home_id).usage_points}:
            raise UnknownSupplyError(home_id, commodity)

    def day(self, home_id: str, commodity: Commodity, day: date) -> PeriodView:
        self._supply(home_id, commodity)
        points, unexplained, read = [], Decimal(0), 0
        is_electricity = commodity is Commodity.ELECTRICITY
        for (start, end), amount in zip(bounds(commodity, day), amounts(home_id, commodity, day), strict=True):
            local = start.astimezone(ZONE)
            key = (day, local.hour, local.minute)
            band = band_at(commodity, start)
            value: Decimal | None = Decimal(amount) / 1000
            quality = Quality(0)
            if end > self.now or day < EPOCH:
                value = None
            elif is_electricity and key in MISSING:
                unexplained += Decimal(amount) / 1000
                value, quality = None, Quality.MISSING
                read += amount
            else:
                read += amount
                quality = Quality.ESTIMATED | Quality.SPREAD if is_electricity and key in ESTIMATED else quality
            cost = None if value is None else value * PRICES[commodity, band]
            points.append(IntervalPoint(start, end, value, band, cost, quality))
        opening = Decimal(register(home_id, commodity, day)) / 1000 if EPOCH <= day <= self.now.date() else None
        return PeriodView(
            commodity,
            UNIT[commodity],
            "EUR",
            midnight(day),
            midnight(day + timedelta(days=1)),
            sum((point.value for point in points if point.value is not None), Decimal(0)),
            sum((point.cost for point in points if point.cost is not None), Decimal(0)),
            unexplained,
            opening,
            None if opening is None else opening + Decimal(read) / 1000,
            tuple(points),
            tariff=tariff(commodity, day),
            notes=NOTES.get(day, ()) if is_electricity else (),
            bands=bands(commodity),
        )

    def month(self, home_id: str, commodity: Commodity, month: date) -> PeriodView:
        self._supply(home_id, commodity)
        first = month.replace(day=1)
        after = (first + timedelta(days=31)).replace(day=1)
        days = [self.day(home_id, commodity, first + timedelta(days=n)) for n in range((after - first).days)]
        points = tuple(_point(view) for view in days)
        known = [view for view in days if view.opening is not None]
        return PeriodView(
            commodity,
            UNIT[commodity],
            "EUR",
            midnight(first),
            midnight(after),
            sum((view.total for view in days), Decimal(0)),
            sum((view.cost for view in days), Decimal(0)),
            sum((view.unexplained for view in days), Decimal(0)),
            known[0].opening if known else None,
            known[-1].closing if known else None,
            points=points,
            tariff=tariff(commodity, first),
            notes=tuple(note for view in days for note in view.notes),
            bands=bands(commodity),
        )


def _point(view: PeriodView) -> PeriodPoint:
    by_band: dict[str, Decimal] = {}
    received = 0
    for point in view.intervals:
        if point.value is not None:
            by_band[point.band] = by_band.get(point.band, Decimal(0)) + point.value
            received += 1
    expected = len(view.intervals)
    return PeriodPoint(
        view.start.astimezone(ZONE).date(),
        view.total if received else None,
        view.cost if received else None,
        tuple(by_band.items()),
        received == expected,
        expected,
        received,
    )


_REASONS = {
    MeterState.LATE: Reason(Situation.VALUES_DUE, count=12),
    MeterState.FAILING: Reason(Situation.NOT_REACHED, FailureKind.KEY_WRONG, "the tags of 14 frames differ"),
    MeterState.UNKNOWN: Reason(Situation.NEVER_HEARD),
    MeterState.REMOVED: Reason(Situation.REMOVED),
    MeterState.OK: NO_REASON,
}
_PROTOCOL = {
    Commodity.ELECTRICITY: ("DLMS/COSEM, wrapper", "G1"),
    Commodity.GAS: ("wM-Bus C1, mode 5", "M"),
    Commodity.WATER: ("wM-Bus T1, mode 5", "M"),
    Commodity.HEAT: ("wM-Bus C1, mode 7", "M"),
}
_FRAME = "2E44A511785634120407" + "7A2A002025" + "3B0A9C11D70E5F4C8A2277E19B3304F6D1C25A9980EE4417B3AA5B0C6D7E8F90"
_SPANS = (
    SpanView(0, "2E", "L", "46 octets follow"),
    SpanView(1, "44", "C", "SND-NR: send, no reply"),
    SpanView(2, "A511", "manufacturer", "DME"),
    SpanView(4, "78563412", "identification", "12345678"),
    SpanView(8, "04", "version", "4"),
    SpanView(9, "07", "medium", "water"),
    SpanView(10, "7A", "CI", "short transport header, response from the device"),
    SpanView(11, "2A", "access number", "42"),
    SpanView(12, "00", "status", "no error"),
    SpanView(13, "2025", "configuration field", "mode 5, AES-128 CBC, 2 blocks"),
    SpanView(15, _FRAME[30:62], "encrypted block 1", "volume 318.250 m³"),
    SpanView(31, _FRAME[62:], "encrypted block 2", "volume at the month's end 311.870 m³, 1 November 2026"),
)


def _meters() -> tuple[tuple[str, Commodity, str, MeterState], ...]:
    rows = []
    for number in range(30):
        commodity = _ALL[(0, 0, 1, 2, 3)[number % 5]]
        network = f"LNAP {'ABC'[number // 10]}-{('Lindenhof', 'Mühlweg', 'Bahnhof')[number // 10]}"
        state = {
            4: MeterState.FAILING,
            11: MeterState.LATE,
            17: MeterState.LATE,
            22: MeterState.UNKNOWN,
            28: MeterState.REMOVED,
        }.get(number, MeterState.OK)
        maker = {"electricity": "LGZ1030655", "gas": "ELS471100", "water": "KAM663020", "heat": "DME220817"}[commodity]
        rows.append((f"{maker}{number:03}", commodity, network, state))
    return tuple(rows)


METERS = _meters()
_WORST = (MeterState.FAILING, MeterState.LATE, MeterState.UNKNOWN, MeterState.OK, MeterState.REMOVED)


_JOURNAL = "/var/lib/meterspan/data/readings/journal.sqlite (table quarantined)"
_NIGHT = datetime(2026, 11, 20, tzinfo=UTC)
DAMAGE = (
    DamageView(
        "batch 4711",
        DamageKind.BATCH,
        "the checksum is wrong: 1 octet <b>",
        NOW - timedelta(hours=5),
        _JOURNAL,
        1_536,
        _NIGHT,
        _NIGHT + timedelta(hours=3),
    ),
    DamageView(
        "2026-03-01-00000017.parquet",
        DamageKind.SEGMENT,
        "is gone; restore it from a backup",
        None,
        "",
        61_440,
        _NIGHT - timedelta(days=264),
        _NIGHT - timedelta(days=263),
    ),
    DamageView(
        "days to settle 12",
        DamageKind.DAYS,
        "it has no octets",
        NOW - timedelta(days=2),
        _JOURNAL,
        None,
        None,
        None,
    ),
    DamageView(
        "tariff DE0003-gas 2026-01-01",
        DamageKind.ROW,
        "declaration is no table of values",
        NOW - timedelta(minutes=9),
        "/var/lib/meterspan/data/registry.sqlite (table tariff)",
        None,
        None,
        None,
    ),
    DamageView(
        "usage point DE0002-water",
        DamageKind.SUPPLY,
        "readings span more than 4,000,000 periods",
        NOW - timedelta(minutes=3),
        "",
        None,
        None,
        None,
    ),
)


class SampleNetwork:
    """``NetworkViews`` in memory."""

    def __init__(self, meters: Sequence[tuple[str, Commodity, str, MeterState]] = METERS) -> None:
        self.rows = tuple(sorted(meters, key=lambda row: _WORST.index(row[3])))

    def summary(self, now: datetime, network: str = "") -> NetworkSummary:
        rows = [row for row in self.rows if network in {"", row[2]}]
        states = [row[3] for row in rows]
        commodities = [row[1] for row in rows]
        minute = int(now.timestamp() // 5)
        return NetworkSummary(
            now,
            len(rows),
            tuple((state, states.count(state)) for state in MeterState),
            tuple((commodity, commodities.count(commodity)) for commodity in Commodity),
            1_742,
            1_719,
            Decimal("0.9867"),
            Decimal("0.9987"),
            0,
            len(self.quarantine()),
            4_182_000 + minute % 100_000,
            11,
            len(self.damage()),
            tuple(item.item for item in self.damage()[:2]),
        )

    def meters(self, now: datetime) -> Sequence[MeterStatus]:
        return [self._status(row, now) for row in self.rows]

    def _status(self, row: tuple[str, Commodity, str, MeterState], now: datetime) -> MeterStatus:
        device, commodity, network, state = row
        cells = self._cells(row, now.date() - timedelta(days=6), now.date())
        expected, received = sum(cell.expected for cell in cells), sum(cell.received for cell in cells)
        protocol, interface = _PROTOCOL[commodity]
        ago = {MeterState.OK: 4, MeterState.LATE: 190, MeterState.FAILING: 3 * 1440, MeterState.REMOVED: 12 * 1440}
        heard = now - timedelta(minutes=ago[state]) if state in ago else None
        return MeterStatus(
            device,
            commodity,
            protocol,
            interface,
            network,
            f"DE0001-{device[-3:]}",
            state,
            _REASONS[state],
            heard,
            expected,
            received,
            expected - received,
            missing_lately=expected - received,
        )

    def _cells(
        self, row: tuple[str, Commodity, str, MeterState], first: date, last: date
    ) -> tuple[CompletenessCell, ...]:
        device, commodity, network, state = row
        expected = 96 if commodity is Commodity.ELECTRICITY else 24
        cells = []
        for offset in range((last - first).days + 1):
            day = first + timedelta(days=offset)
            noise = Random(f"{device} {day}")  # noqa: S311 - seeded sample data
            due = 0 if state is MeterState.REMOVED and day >= date(2026, 11, 9) else expected
            if state is MeterState.UNKNOWN and day < date(2026, 11, 18):
                due = 0
            share = 1.0
            if state is MeterState.UNKNOWN or (state is MeterState.FAILING and day >= date(2026, 11, 18)):
                share = 0.0
            elif state is MeterState.FAILING and day == date(2026, 11, 17):
                share = 0.4
            elif state is MeterState.LATE and day >= date(2026, 11, 20):
                share = 0.86
            elif "Mühlweg" in network and day == date(2026, 11, 5):
                share = noise.uniform(0.4, 0.6)
            elif noise.random() < 0.03:
                share = noise.uniform(0.9, 0.99)
            cells.append(CompletenessCell(day, due, int(due * share)))
        return tuple(cells)

    def completeness(self, first: date, last: date, devices: Sequence[str] | None = None) -> Sequence[CompletenessView]:
        known = {row[0]: row for row in self.rows}
        rows = self.rows if devices is None else [known[device] for device in devices if device in known]
        return [CompletenessView(row[0], row[1], row[2], self._cells(row, first, last)) for row in rows]

    def groups(self, first: date, last: date) -> Sequence[GroupCompleteness]:
        return GroupCompleteness.of(self.completeness(first, last))

    def story(self, device: str, now: datetime) -> MeterStory:
        known = {row[0]: row for row in self.rows}
        if device not in known:
            raise UnknownMeterError(device)
        row = known[device]
        minutes = timedelta(minutes=1)
        entries = (
            StoryEntry(now - 4 * minutes, "read", "Read the load profile", "4 rows, 0 missing"),
            StoryEntry(
                now - 200 * minutes, "recovered", "Closed a gap", "12 rows of 14:00 to 17:00 were fetched again"
            ),
            StoryEntry(
                now - 380 * minutes,
                "missed",
                "Did not answer",
                "no answer within 30 s, third try",
                EventSeverity.WARNING,
            ),
            StoryEntry(
                now - 3000 * minutes,
                "quarantined",
                "A frame could not be opened",
                "wrong key: the authentication tag differs; counter 4711 is unused",
                EventSeverity.ALARM,
            ),
            StoryEntry(now - 60 * 1440 * minutes, "installed", "Installed", "register 0.000, seal 4471 <b>"),
        )
        frames = tuple(
            FrameView(
                now - timedelta(minutes=4 + 15 * index),
                "received",
                "wM-Bus C1",
                _FRAME,
                "volume 318.250 m³, no error" if index == 0 else f"volume 318.{249 - index} m³, no error",
                _SPANS,
            )
            for index in range(3)
        )
        return MeterStory(
            self._status(row, now), entries, frames, self._cells(row, now.date() - timedelta(days=89), now.date())
        )

    def quarantine(self, limit: int = 100) -> Sequence[QuarantineView]:
        kinds = (
            ("wrong key", "the authentication tag differs: the frame was made with another key than the inventory's"),
            ("replayed", "invocation counter 4711 is not above the last accepted, 4790"),
            ("damaged", "octet 14, CRC of block 2: computed 3A1F, received 3A5F (EN 13757-4, 11.5)"),
            ("unknown device", "no meter KAM66309999 in the inventory; add it or take it off the allow list"),
            ("damaged", "announces 70,000 octets; at most 65,535 are taken"),
        )
        return [
            QuarantineView(
                NOW - timedelta(minutes=17 * index),
                f"LNAP {'ABC'[index % 3]}",
                kind,
                reason,
                _FRAME,
                METERS[index][0] if kind != "unknown device" else "",
            )
            for index, (kind, reason) in enumerate(kinds)
        ][:limit]

    def damage(self) -> Sequence[DamageView]:
        return DAMAGE


class SampleDesk:
    """Answers the first look at an order."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, float, str]] = []

    def order(self, device: str, now: datetime, deadline_s: float, author: str = "") -> OrderView:
        if device == METERS[1][0]:
            raise NotAskedError(device)
        if device != "DME220817004":
            raise UnknownMeterError(device)
        self.asked.append((device, deadline_s, author))
        return OrderView(7, device, OrderState.WAITING, now, now + timedelta(seconds=deadline_s), author=author)

    def orders(self, limit: int = 100, device: str = "") -> Sequence[OrderView]:
        wrong_key = Reason(Situation.FAILED, FailureKind.DECIPHERING_ERROR)
        away = Reason(Situation.FAILED, FailureKind.UNREACHABLE, "connection refused <b>")
        registers = (
            OrderValue("1-0:1.8.0", Decimal("6504.555"), "kWh", "active energy import"),
            OrderValue("1-0:2.8.0", Decimal("120.000"), "kWh", "active energy export"),
        )
        volume = (OrderValue("8-0:1.0.0", Decimal("318.250"), "m3", "volume"),)
        ends: tuple[tuple[OrderState, tuple[OrderValue, ...], Reason, float | None], ...] = (
            (OrderState.WAITING, (), NO_REASON, None),
            (OrderState.WAITING, (), away, None),
            (OrderState.ANSWERED, registers, NO_REASON, 1.8),
            (OrderState.FAILED, (), wrong_key, 9.2),
            (OrderState.ANSWERED, volume, NO_REASON, 6.4),
            (OrderState.TIMED_OUT, (), away, 60),
            (OrderState.TIMED_OUT, (), NO_REASON, 60),
            (OrderState.ANSWERED, (), NO_REASON, 2.1),
        )
        found = [self.order_view(7)] if self.asked and device == "DME220817004" else []
        for index, (state, values, reason, took_s) in enumerate(ends):
            asked_at = NOW - timedelta(minutes=7 * index)
            ended_at = None if took_s is None else asked_at + timedelta(seconds=took_s)
            order_id, name = len(ends) - index, METERS[index][0]
            deadline = asked_at + timedelta(seconds=60)
            author = "operator at 127.0.0.1" if index % 2 else "anna at 127.0.0.1"
            found.append(OrderView(order_id, name, state, asked_at, deadline, values, reason, ended_at, author))
        return [order for order in found if device in ("", order.device)][:limit]

    def order_view(self, order_id: int) -> OrderView:
        if order_id != 7:
            raise UnknownOrderError(order_id)
        value = OrderValue("1-0:1.8.0", Decimal("12345.678"), "kWh", "active energy import")
        return OrderView(7, "DME220817004", OrderState.ANSWERED, NOW, NOW + timedelta(seconds=30), (value,))
