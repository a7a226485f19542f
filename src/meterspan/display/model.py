"""The in-home display's state: telegrams in, a view out; no way upstream (TR 50572, H1 is one way).

Strategy: registers are the truth. Each register difference is cut at local hours and tariff bands, by elapsed time, and
what lies in the local day is added up, so today's total is register now minus register at midnight. Where nothing was
heard around midnight, the total says since when it counts; a register that falls is a reset, a rollover or an exchange.
"""

import json
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise
from typing import Any, Final
from zoneinfo import ZoneInfo

from meterspan.analytics.calendar import day_bounds, day_start, local_day
from meterspan.analytics.tariff import BandSpan, Tariff, bands_of_day, exact_decimal
from meterspan.quantities import CATALOGUE, HOUR_S, Commodity, Direction, Scaled, known_sum
from meterspan.readings.rows import HeardTelegram, Row

__all__ = ["BandNow", "Connection", "DisplayModel", "DisplayView", "HourBar", "SupplyToday"]

BRIDGE_S: Final = 2 * HOUR_S
"""A gap up to this long over midnight is shared out by time (gas is sent hourly); a longer one loses the midnight."""
MINUTES_KEPT: Final = 60
"""The power curve shows one hour."""
MESSAGES_MAX: Final = 5
ROLLOVER_SHARE: Final = Fraction(1, 100)
"""A register rolled over if it went from its last to its first hundredth; anything else that falls is a reset."""


class Connection(StrEnum):
    """How fresh the display's knowledge is."""

    WAITING = "waiting"
    """Nothing heard yet."""
    LIVE = "live"
    STALE = "stale"
    """Late: the shown values are old."""
    LOST = "lost"
    """So late that power is not shown any more."""


@dataclass(frozen=True, slots=True)
class BandNow:
    """The tariff band that applies.

    Attributes:
        name: as the tariff calls it.
        price: currency per unit, tax included; None where no tariff is known.
        until: when the band changes, None where it does not within a day.
        next_name: the band after it, "" where none.
        next_price: its price.

    """

    name: str
    price: Decimal | None = None
    until: datetime | None = None
    next_name: str = ""
    next_price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class SupplyToday:
    """One supply since local midnight.

    Attributes:
        commodity: the supply.
        unit: kWh or m3.
        consumed: None where nothing of today is known yet.
        exported: of electricity, where there is export.
        cost: of consumption so far with tax, without standing charge; None without a tariff.
        since: where the midnight register is missing, since when it counts.
        last: the instant of the newest register.
        note: in words, what happened to the register today.

    """

    commodity: Commodity
    unit: str
    consumed: Decimal | None
    exported: Decimal | None
    cost: Decimal | None
    since: datetime | None
    last: datetime
    note: str = ""


@dataclass(frozen=True, slots=True)
class HourBar:
    """One hour of the local day; ``value`` is None where nothing is known (yet)."""

    start: datetime
    value: Decimal | None
    band: str


@dataclass(frozen=True, slots=True)
class DisplayView:
    """The screen at one instant; all times in the home's zone.

    Attributes:
        at: local time.
        connection: how fresh it is.
        age_s: seconds since the last telegram, None before the first.
        power_w: import minus export; None where unknown or lost.
        power_share: power as a share of the contract power, None where either is unknown.
        contract_w: the power of the connection.
        minutes_w: mean power of the last minutes, oldest first; None where nothing was heard.
        band: the tariff band of electricity, None where unknown.
        today: the supplies of the home.
        hours: electricity by hour of the local day (23, 24 or 25 of them).
        cost_today: sum of all known costs, None where no cost is known.
        currency: ISO 4217 code.
        messages: from the supplier, newest first.
        damaged: telegrams that could not be read.
        bands: all bands of the electricity tariff, cheapest first: one order for all days.
        tax: share of tax that is in every price and cost.
        has_standing: whether a tariff has a standing charge, which no cost here has.

    """

    at: datetime
    connection: Connection
    age_s: int | None
    power_w: int | None
    power_share: float | None
    contract_w: int | None
    minutes_w: tuple[int | None, ...]
    band: BandNow | None
    today: tuple[SupplyToday, ...]
    hours: tuple[HourBar, ...]
    cost_today: Decimal | None
    currency: str
    messages: tuple[str, ...]
    damaged: int
    bands: tuple[str, ...] = ()
    tax: Decimal = Decimal(0)
    has_standing: bool = False


class DisplayModel:
    """Counts telegrams and returns the values to show.

    Args:
        zone: IANA name of the home's time zone.
        tariffs: what each supply costs.
        contract_w: power of the connection; where it is None, the limiter's threshold, if sent.
        stale_s: without a telegram for this long, the view is stale.
        lost_s: and for this long, lost.

    """

    def __init__(
        self,
        zone: str,
        *,
        tariffs: dict[Commodity, Tariff] | None = None,
        contract_w: int | None = None,
        stale_s: float = 30.0,
        lost_s: float = 300.0,
    ) -> None:
        self.zone = zone
        self.damaged_count = 0
        self._info = ZoneInfo(zone)
        self._tariffs = dict(tariffs or {})
        self._contract_w = contract_w
        self._stale_s, self._lost_s = stale_s, lost_s
        self._received_at: float | None = None
        self._power_w: int | None = None
        self._tariff_number: int | None = None
        self._limit_w: int | None = None
        self._counters: dict[tuple[Commodity, Direction, int], _Counter] = {}
        self._minutes: deque[_Minute] = deque(maxlen=MINUTES_KEPT)
        self._messages: deque[str] = deque(maxlen=MESSAGES_MAX)

    def heard(self, telegram: HeardTelegram, now: float) -> None:
        """Process a telegram that was received at ``now`` (UTC seconds)."""
        self._received_at = now
        self._power_w = telegram.power_w
        self._tariff_number = telegram.tariff
        self._limit_w = telegram.limit_w
        if telegram.power_w is not None:
            self._note_power(telegram.power_w, now)
        if telegram.message and (not self._messages or self._messages[0] != telegram.message):
            self._messages.appendleft(telegram.message)
        for device in telegram.devices:
            for direction, row in device.registers():
                key = (device.commodity, direction, device.channel)
                counter = self._counters.get(key)
                if counter is None:
                    counter = self._counters[key] = _Counter(self.zone, self._tariffs.get(device.commodity))
                counter.take(_ShownRegister.of(device.device, device.commodity, row))

    def damaged(self) -> None:
        """Count a telegram that could not be read."""
        self.damaged_count += 1

    def saved_state(self) -> bytes:
        """Return today's counting as JSON, to be kept over a restart of the display; it holds no secret, but habits."""
        return json.dumps([counter.to_json(key) for key, counter in self._counters.items()]).encode()

    def restore(self, octets: bytes) -> None:
        """Restore what ``saved_state`` returned; the next register decides what still counts.

        Raises:
            ValueError: these are not octets of ``saved_state``; nothing was changed.

        """
        try:
            rows = [_Counter.from_json(row, self.zone, self._tariffs) for row in json.loads(octets)]
        except (KeyError, TypeError, AttributeError, ZeroDivisionError) as error:
            raise ValueError(f"not a display's saved state: {error}") from error
        self._counters = dict(rows)

    def view(self, now: float) -> DisplayView:
        """Return what to show at ``now`` (UTC seconds)."""
        age = None if self._received_at is None else max(0.0, now - self._received_at)
        connection = self._connection(age)
        power = None if connection is Connection.LOST else self._power_w
        contract = self._contract_w or self._limit_w
        today = local_day(int(now), self.zone)
        heard = {commodity for commodity, direction, _ in self._counters if direction is Direction.IMPORT}
        supplies = tuple(self._supply(commodity, today) for commodity in Commodity if commodity in heard)
        tariff = self._tariffs.get(Commodity.ELECTRICITY) or next(iter(self._tariffs.values()), None)
        return DisplayView(
            at=datetime.fromtimestamp(now, self._info),
            connection=connection,
            age_s=None if age is None else int(age),
            power_w=power,
            power_share=None if power is None or not contract else power / contract,
            contract_w=contract,
            minutes_w=self._minute_means(now),
            band=self._band(int(now), today),
            today=supplies,
            hours=self._hours(today),
            cost_today=known_sum(supply.cost for supply in supplies),
            currency=tariff.currency if tariff is not None else "",
            messages=tuple(self._messages),
            damaged=self.damaged_count,
            bands=_bands(self._tariffs.get(Commodity.ELECTRICITY)),
            tax=Decimal(0) if tariff is None else tariff.tax,
            has_standing=any(tariff.standing_charge_per_day for tariff in self._tariffs.values()),
        )

    def _connection(self, age: float | None) -> Connection:
        if age is None:
            return Connection.WAITING
        if age >= self._lost_s:
            return Connection.LOST
        return Connection.STALE if age >= self._stale_s else Connection.LIVE

    def _note_power(self, power_w: int, now: float) -> None:
        minute = int(now // 60)
        if not self._minutes or self._minutes[-1].number != minute:
            self._minutes.append(_Minute(minute))
        self._minutes[-1].add(power_w)

    def _minute_means(self, now: float) -> tuple[int | None, ...]:
        means = {minute.number: minute.mean_w for minute in self._minutes}
        last = int(now // 60)
        return tuple(means.get(number) for number in range(last - MINUTES_KEPT + 1, last + 1))

    def _of(self, commodity: Commodity, direction: Direction) -> list["_Counter"]:
        return [counter for key, counter in self._counters.items() if key[:2] == (commodity, direction)]

    def _supply(self, commodity: Commodity, today: date) -> SupplyToday:
        counters = self._of(commodity, Direction.IMPORT)
        current = [counter for counter in counters if counter.day == today]
        export = [
            counter for counter in self._of(commodity, Direction.EXPORT) if counter.value and counter.day == today
        ]
        costs = [counter.cost() for counter in current]
        since = max((counter.since for counter in current if counter.since is not None), default=None)
        return SupplyToday(
            commodity,
            CATALOGUE[commodity].display_unit,
            exact_decimal(_total(current)) if current else None,
            exact_decimal(_total(export)) if export else None,
            None if None in costs else known_sum(costs),
            None if since is None else datetime.fromtimestamp(since, self._info),
            datetime.fromtimestamp(max(counter.at for counter in counters), self._info),
            "; ".join(counter.note for counter in current if counter.note),
        )

    def _hours(self, today: date) -> tuple[HourBar, ...]:
        start, end = day_bounds(today, self.zone)
        counter = self._counters.get((Commodity.ELECTRICITY, Direction.IMPORT, 0))
        by_hour = {} if counter is None or counter.day != today else counter.by_hour
        tariff = self._tariffs.get(Commodity.ELECTRICITY)
        spans = () if tariff is None else bands_of_day(tariff, today, self.zone)
        return tuple(
            HourBar(
                datetime.fromtimestamp(hour, UTC).astimezone(self._info),
                exact_decimal(by_hour[hour]) if hour in by_hour else None,
                _span_at(spans, hour).band if spans else "",
            )
            for hour in range(start, end, HOUR_S)
        )

    def _band(self, now: int, today: date) -> BandNow | None:
        tariff = self._tariffs.get(Commodity.ELECTRICITY)
        if tariff is None:
            return None if self._tariff_number is None else BandNow(f"tariff {self._tariff_number}")
        spans = (
            *bands_of_day(tariff, today, self.zone),
            *bands_of_day(tariff, today + timedelta(days=1), self.zone),
        )
        current = _span_at(spans, now)
        following = next((span for span in spans if span.start >= current.end and span.band != current.band), None)
        price = _gross(tariff, current.band)
        if following is None:
            return BandNow(current.band, price)
        until = datetime.fromtimestamp(following.start, self._info)
        return BandNow(current.band, price, until, following.band, _gross(tariff, following.band))


@dataclass(slots=True)
class _Minute:
    number: int
    total_w: int = 0
    count: int = 0

    def add(self, power_w: int) -> None:
        self.total_w += power_w
        self.count += 1

    @property
    def mean_w(self) -> int:
        return round(self.total_w / self.count)


@dataclass(frozen=True, slots=True)
class _ShownRegister:
    """A register in the unit that people read, exact; ``width`` None where unknown."""

    meter: str
    value: Fraction
    at: int
    width: Fraction | None

    @classmethod
    def of(cls, meter: str, commodity: Commodity, row: Row) -> "_ShownRegister":
        """Convert a row."""
        shown = CATALOGUE[commodity].in_display_unit
        value = shown(row.value)
        width = shown(Scaled(row.width, row.value.exponent, row.value.unit)) if row.width else None
        return cls(meter, value, row.time, width)


@dataclass(slots=True)
class _Counter:
    """One register and what it counted on the local day of its newest value."""

    zone: str
    tariff: Tariff | None
    meter: str = ""
    value: Fraction = Fraction(0)
    at: int = 0
    day: date | None = None
    since: int | None = None
    note: str = ""
    consumed: Fraction = Fraction(0)
    by_hour: dict[int, Fraction] = field(default_factory=dict)
    by_band: dict[str, Fraction] = field(default_factory=dict)

    def take(self, register: _ShownRegister) -> None:
        """Process a register value; one that is not newer is ignored (gas is repeated for an hour)."""
        if self.day is not None and register.at <= self.at:
            return
        day = local_day(register.at, self.zone)
        midnight = day_start(day, self.zone)
        start, used = self.at, self._difference(register)
        known = self.day is not None
        if day != self.day:
            lost = not known or (start < midnight and register.at - start > BRIDGE_S)
            self._begin(day, register.at if lost and register.at != midnight else None)
            if lost:
                start, used = register.at, Fraction(0)
        if used is None:
            self.note = f"meter changed at {datetime.fromtimestamp(register.at, ZoneInfo(self.zone)):%H:%M}"
        elif register.at > start:
            self._share_out(start, register.at, used, midnight)
        self.value, self.at, self.meter = register.value, register.at, register.meter

    def to_json(self, key: tuple[Commodity, Direction, int]) -> dict[str, Any]:
        """Return the state as JSON values; fractions are text."""
        return {
            "commodity": key[0],
            "direction": key[1],
            "channel": key[2],
            "meter": self.meter,
            "value": str(self.value),
            "at": self.at,
            "day": None if self.day is None else self.day.isoformat(),
            "since": self.since,
            "note": self.note,
            "consumed": str(self.consumed),
            "by_hour": [[hour, str(used)] for hour, used in self.by_hour.items()],
            "by_band": [[band, str(used)] for band, used in self.by_band.items()],
        }

    @classmethod
    def from_json(
        cls, row: dict[str, Any], zone: str, tariffs: dict[Commodity, Tariff]
    ) -> "tuple[tuple[Commodity, Direction, int], _Counter]":
        """Build key and counter from what ``to_json`` gave."""
        key = (Commodity(row["commodity"]), Direction(row["direction"]), int(row["channel"]))
        counter = cls(
            zone,
            tariffs.get(key[0]),
            str(row["meter"]),
            Fraction(row["value"]),
            int(row["at"]),
            None if row["day"] is None else date.fromisoformat(row["day"]),
            None if row["since"] is None else int(row["since"]),
            str(row["note"]),
            Fraction(row["consumed"]),
            {int(hour): Fraction(used) for hour, used in row["by_hour"]},
            {str(band): Fraction(used) for band, used in row["by_band"]},
        )
        return key, counter

    def cost(self) -> Decimal | None:
        """Return the cost of the counted consumption, tax included; None without a price for all of it."""
        if self.tariff is None:
            return None
        prices = {band.name: Fraction(band.price) for band in self.tariff.bands}
        if not self.by_band.keys() <= prices.keys():
            return None  # a restored band may be gone from the tariff since
        net = sum((used * prices[band] for band, used in self.by_band.items()), Fraction(0))
        return exact_decimal(net * self.tariff.units_per_metered * (1 + Fraction(self.tariff.tax)))

    def _difference(self, register: _ShownRegister) -> Fraction | None:
        """Return the consumption since the last value, None where it is unknown."""
        if self.meter != register.meter:
            return None
        used = register.value - self.value
        if used >= 0:
            return used
        width = register.width
        if width and self.value > width * (1 - ROLLOVER_SHARE) and register.value < width * ROLLOVER_SHARE:
            return used + width
        return None

    def _begin(self, day: date, since: int | None) -> None:
        self.day, self.since, self.note = day, since, ""
        self.consumed = Fraction(0)
        self.by_hour, self.by_band = {}, {}

    def _share_out(self, start: int, end: int, used: Fraction, midnight: int) -> None:
        spans = () if self.tariff is None or self.day is None else bands_of_day(self.tariff, self.day, self.zone)
        first_hour = midnight + (max(start, midnight) - midnight) // HOUR_S * HOUR_S
        edges = {max(start, midnight), end, *range(first_hour + HOUR_S, end, HOUR_S)}
        edges |= {span.start for span in spans if max(start, midnight) < span.start < end}
        ordered = sorted(edges)
        is_hole = end - start > BRIDGE_S  # what was used in it is known, and when is not
        if is_hole and any(max(start, midnight) < span.start < end for span in spans):
            heard, again = (datetime.fromtimestamp(at, ZoneInfo(self.zone)) for at in (start, end))
            self.note = f"not heard {heard:%H:%M} to {again:%H:%M}: its cost is shared out by time"
        for low, high in pairwise(ordered):
            part = used * Fraction(high - low, end - start)
            hour = midnight + (low - midnight) // HOUR_S * HOUR_S
            self.consumed += part
            if not is_hole:
                self.by_hour[hour] = self.by_hour.get(hour, Fraction(0)) + part
            if spans:
                band = _span_at(spans, low).band
                self.by_band[band] = self.by_band.get(band, Fraction(0)) + part


def _total(counters: list[_Counter]) -> Fraction:
    return sum((counter.consumed for counter in counters), Fraction(0))


def _span_at(spans: tuple[BandSpan, ...], time: int) -> BandSpan:
    return next((span for span in spans if span.start <= time < span.end), spans[-1])


def _bands(tariff: Tariff | None) -> tuple[str, ...]:
    """Return the bands of a tariff from the cheapest to the dearest."""
    bands = () if tariff is None else tariff.bands
    return tuple(band.name for band in sorted(bands, key=lambda band: (band.price, band.name)))


def _gross(tariff: Tariff, band: str) -> Decimal:
    return tariff.price(band) * (1 + tariff.tax)
