"""Time-of-use tariffs as declarations: bands by local wall time, exact prices, cost per band.

Rounding: none while counting (exact fractions); an amount becomes a ``Decimal`` once per line (band, standing
charge, tax), exact where it terminates within 12 places, else rounded half up at the 12th; money is rounded to the
currency's cent only by ``rounded``, per line, and a bill's total is the sum of its rounded lines.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from meterspan.analytics.calendar import cut_at, day_bounds, local_day

__all__ = [
    "Band",
    "BandCost",
    "BandSpan",
    "Cost",
    "GasConversion",
    "Tariff",
    "TariffWindow",
    "bands_at",
    "bands_of_day",
    "cost",
    "exact_decimal",
    "rounded",
]

ALL_WEEK = frozenset(range(1, 8))
PLACES = 12
"""Decimal places of an amount that does not terminate earlier (heat billed in kWh but counted in MJ)."""
CACHED_DAYS = 4_096


@dataclass(frozen=True, slots=True)
class Band:
    """One price level.

    Attributes:
        name: as shown: ``day``, ``night``, ``peak``.
        price: currency per unit of the tariff.

    """

    name: str
    price: Decimal


@dataclass(frozen=True, slots=True)
class TariffWindow:
    """When a band applies, in local wall time; the first window that holds wins.

    Attributes:
        band: name of the band.
        start: wall time of the begin.
        end: wall time of the end; not after ``start`` means over midnight (the weekday is that of the begin).
        weekdays: ISO weekdays 1 Monday .. 7 Sunday.
        season: first and last (month, day), both included; may pass the year's end; None is all year.
        holidays: True only on holidays, False never on holidays, None regardless.

    """

    band: str
    start: time = time(0)
    end: time = time(0)
    weekdays: frozenset[int] = ALL_WEEK
    season: tuple[tuple[int, int], tuple[int, int]] | None = None
    holidays: bool | None = None


@dataclass(frozen=True, slots=True)
class GasConversion:
    """From metered volume to billed energy: kWh = m3 x calorific value x state number.

    Attributes:
        calorific_value: kWh per m3 at base conditions.
        state_number: m3 at base conditions per metered m3.

    """

    calorific_value: Decimal
    state_number: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a unit costs when.

    Attributes:
        name: as shown.
        currency: ISO 4217 code.
        unit: ``kWh`` or ``m3``: what the prices are per.
        bands: the price levels; the first is the one where no window holds.
        windows: when the others hold.
        standing_charge_per_day: per local calendar day.
        tax: share added to the net amount: 0.19 is 19 %; 0 where prices are gross.
        holidays: local dates.
        conversion: for gas billed in kWh.

    """

    name: str
    currency: str
    unit: str
    bands: tuple[Band, ...]
    windows: tuple[TariffWindow, ...] = ()
    standing_charge_per_day: Decimal = Decimal(0)
    tax: Decimal = Decimal(0)
    holidays: frozenset[date] = frozenset()
    conversion: GasConversion | None = None

    def __post_init__(self) -> None:
        names = [band.name for band in self.bands]
        if not names or len(set(names)) != len(names):
            raise ValueError(f"tariff {self.name!r} needs bands of different names")
        for window in self.windows:
            if window.band not in names:
                raise ValueError(f"tariff {self.name!r} has a window for {window.band!r}, which is no band of it")

    @property
    def units_per_metered(self) -> Fraction:
        """Units billed per unit metered: kWh per m3 of gas, else 1."""
        conversion = self.conversion
        if conversion is None:
            return Fraction(1)
        return Fraction(conversion.calorific_value) * Fraction(conversion.state_number)

    def price(self, band: str) -> Decimal:
        """Return the price of a band; raises ``KeyError`` where it has none of that name."""
        return {item.name: item.price for item in self.bands}[band]


@dataclass(frozen=True, slots=True)
class BandSpan:
    """One stretch of UTC time under one band."""

    start: int
    end: int
    band: str


@dataclass(frozen=True, slots=True)
class BandCost:
    """What was used in one band."""

    band: str
    quantity: Decimal
    """In the tariff's unit."""
    price: Decimal
    amount: Decimal


@dataclass(frozen=True, slots=True)
class Cost:
    """An exact bill of a span, not rounded to money yet."""

    currency: str
    bands: tuple[BandCost, ...]
    days: int
    standing: Decimal
    tax: Decimal

    @property
    def usage(self) -> Decimal:
        """Sum of the bands, net."""
        return _sum([item.amount for item in self.bands])

    @property
    def total(self) -> Decimal:
        """Usage, standing charge and tax."""
        return _sum([self.usage, self.standing, self.tax])


def cost(
    start: NDArray[np.int64],
    end: NDArray[np.int64],
    value: NDArray[np.int64],
    tariff: Tariff,
    *,
    zone: str,
    unit_per_step: Fraction,
    days: int = 0,
) -> Cost:
    """Price intervals by local wall time.

    An interval over a change of bands is cut by elapsed time so that its parts add up exactly.

    Args:
        start: UTC seconds of each interval.
        end: UTC seconds.
        value: steps of consumption.
        tariff: the declaration; with a ``conversion`` the steps are volumes in m3 and the unit is kWh.
        zone: IANA name of the local time zone.
        unit_per_step: units (kWh or m3) of one step: 1/1000 for Wh and kWh.
        days: local days to charge the standing charge for.

    """
    used = dict.fromkeys((band.name for band in tariff.bands), 0)
    if len(start):
        spans = bands_of_days(tariff, int(start[0]), int(end[-1]), zone)
        edges = np.array([span.start for span in spans], np.int64)
        piece_start, _piece_end, piece_value, _owner = cut_at(start, end, value, edges)
        index = np.searchsorted(edges, piece_start, side="right") - 1
        for position in np.unique(index):
            used[spans[position].band] += int(piece_value[index == position].sum())
    unit_per_step *= tariff.units_per_metered
    lines = []
    net = Fraction(0)
    for band in tariff.bands:
        quantity = used[band.name] * unit_per_step
        amount = quantity * Fraction(band.price)
        net += amount
        lines.append(BandCost(band.name, exact_decimal(quantity), band.price, exact_decimal(amount)))
    standing = days * Fraction(tariff.standing_charge_per_day)
    tax = (net + standing) * Fraction(tariff.tax)
    return Cost(tariff.currency, tuple(lines), days, exact_decimal(standing), exact_decimal(tax))


def bands_at(time: NDArray[np.int64], tariff: Tariff, *, zone: str) -> list[str]:
    """Return the band at each instant of a rising array of UTC seconds."""
    if not len(time):
        return []
    spans = bands_of_days(tariff, int(time[0]), int(time[-1]) + 1, zone)
    index = np.searchsorted(np.array([span.start for span in spans], np.int64), time, side="right") - 1
    return [spans[position].band for position in index]


def bands_of_days(tariff: Tariff, start: int, end: int, zone: str) -> Sequence[BandSpan]:
    """Return the band spans of all local days that ``start <= t < end`` touches.

    Args:
        tariff: the tariff with its bands.
        start: UTC seconds.
        end: UTC seconds, not included.
        zone: IANA time zone of the local days.

    """
    spans: list[BandSpan] = []
    day, last = local_day(start, zone), local_day(end - 1, zone)
    while day <= last:
        spans.extend(bands_of_day(tariff, day, zone))
        day += timedelta(days=1)
    return spans


@lru_cache(maxsize=CACHED_DAYS)
def bands_of_day(tariff: Tariff, day: date, zone: str) -> tuple[BandSpan, ...]:
    """Cut a local day into its band spans; a window holds by the wall clock, in both passes of a repeated hour."""
    start, end = day_bounds(day, zone)
    if start == end:  # the zone skipped this day
        return ()
    edges = {start, *_clock_changes(start, end, zone)}
    for window in tariff.windows:
        for wall in (window.start, window.end):
            edges |= _instants(day, wall, zone)
    spans: list[BandSpan] = []
    ordered = sorted(edge for edge in edges if start <= edge < end)
    for low, high in zip(ordered, [*ordered[1:], end], strict=True):
        band = _band_at(tariff, datetime.fromtimestamp(low, ZoneInfo(zone)))
        if spans and spans[-1].band == band:
            spans[-1] = BandSpan(spans[-1].start, high, band)
        else:
            spans.append(BandSpan(low, high, band))
    return tuple(spans)


def rounded(amount: Decimal, places: int = 2) -> Decimal:
    """Round money half up, away from zero, to the currency's places."""
    return amount.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)


def exact_decimal(number: Fraction) -> Decimal:
    """Write a fraction as a decimal: exact where it terminates within ``PLACES`` places, else rounded half up there."""
    scaled = abs(number) * 10**PLACES
    whole, rest = divmod(scaled.numerator, scaled.denominator)
    whole += 2 * rest >= scaled.denominator
    with localcontext() as context:
        context.prec = max(len(str(whole)), 28)
        result = Decimal(whole if number >= 0 else -whole).scaleb(-PLACES)
        places = PLACES
        while places > 0 and whole % 10 == 0:
            whole //= 10
            places -= 1
        return result.quantize(Decimal(1).scaleb(-places))


def _sum(amounts: Sequence[Decimal]) -> Decimal:
    with localcontext() as context:
        context.prec = 60  # exact: 12 places and 48 digits before the point
        return sum(amounts, Decimal(0))


def _band_at(tariff: Tariff, wall: datetime) -> str:
    return next((window.band for window in tariff.windows if _holds(window, tariff, wall)), tariff.bands[0].name)


def _holds(window: TariffWindow, tariff: Tariff, wall: datetime) -> bool:
    clock, day = wall.time(), wall.date()
    if window.start < window.end:
        if not window.start <= clock < window.end:
            return False
    elif clock < window.start:
        if clock >= window.end:
            return False
        day -= timedelta(days=1)  # after midnight: the window began yesterday
    if day.isoweekday() not in window.weekdays:
        return False
    if window.holidays is not None and window.holidays != (day in tariff.holidays):
        return False
    if window.season is None:
        return True
    first, last = window.season
    at = (day.month, day.day)
    return first <= at <= last if first <= last else at >= first or at <= last


def _instants(day: date, wall: time, zone: str) -> set[int]:
    """Return the instants of a wall time on a day: two in the repeated hour; a spare edge in the gap does no harm."""
    local = datetime.combine(day, wall, tzinfo=ZoneInfo(zone))
    return {int(local.replace(fold=fold).astimezone(UTC).timestamp()) for fold in (0, 1)}


def _clock_changes(start: int, end: int, zone: str) -> set[int]:
    """Find the instant at which the zone's offset changes within a day, to the second."""
    info = ZoneInfo(zone)

    def offset(instant: int) -> timedelta | None:
        return datetime.fromtimestamp(instant, info).utcoffset()

    if start >= end or offset(start) == offset(end - 1):
        return set()
    low, high = start, end - 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if offset(middle) == offset(start) else (low, middle)
    return {high}
