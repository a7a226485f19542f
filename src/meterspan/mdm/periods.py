"""Period views: one local day or month of a supply, priced, with what happened to its data said in words.

Amounts of money are exact; the cost of a period is usage, standing charge of each day with data, and tax.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from meterspan.analytics.calendar import cut_at, day_bounds, days_of_month, grid, month_bounds
from meterspan.analytics.completeness import share_received
from meterspan.analytics.conserve import Unexplained
from meterspan.analytics.tariff import Cost, Tariff, bands_at, bands_of_day, cost, exact_decimal
from meterspan.mdm.curves import Curve
from meterspan.mdm.supplies import Supply
from meterspan.model.notes import COUNTED, REGISTERS, UNEXPLAINED
from meterspan.model.remedies import Phrase, PhraseValue
from meterspan.model.views import BandWindow, IntervalPoint, PeriodPoint, PeriodView, TariffView
from meterspan.quantities import DAY_S, HOUR_S, Quality, known_sum, utc

__all__ = [
    "bands_of",
    "covers",
    "day_cost",
    "day_view",
    "gross_price",
    "is_known_at_all",
    "known_share",
    "month_view",
    "tariff_view",
]

NOT_MEASURED = int(Quality.MISSING | Quality.ESTIMATED)


def day_view(supply: Supply, curve: Curve, day: date, versions: Sequence[tuple[int, int, int]]) -> PeriodView:
    """Show a local day by the grid of the supply; ``versions`` are (start, end, version) of settled intervals.

    Args:
        supply: the usage point in one direction.
        curve: its intervals.
        day: the local day.
        versions: (start, end, version) of settled intervals, UTC seconds.

    """
    start, end = day_bounds(day, supply.zone)
    tariff = supply.tariff(day)
    bounds = grid(start, end, supply.period_s)
    cells = len(bounds) - 1
    amounts = np.zeros(cells, np.int64)
    quality = np.zeros(cells, np.int32)
    known = np.zeros(cells, bool)
    low, _high, value, owner = cut_at(curve.start, curve.end, curve.value, bounds)
    at = np.searchsorted(bounds, low, side="right") - 1
    np.add.at(amounts, at, value)
    np.bitwise_or.at(quality, at, curve.quality[owner])
    known[at] = True
    known &= (quality & int(Quality.MISSING)) == 0
    bands = bands_at(bounds[:-1], tariff, zone=supply.zone) if tariff is not None else [""] * cells
    costs = _cell_costs(supply, curve, tariff, bounds)
    points = tuple(
        IntervalPoint(
            utc(int(bounds[cell])),
            utc(int(bounds[cell + 1])),
            exact_decimal(int(amounts[cell]) * curve.step) if known[cell] else None,
            bands[cell],
            costs[cell] if known[cell] and tariff is not None else None,
            Quality(int(quality[cell])) if cell in at else Quality.MISSING,
            _version_at(versions, int(bounds[cell]), int(bounds[cell + 1])),
        )
        for cell in range(cells)
    )
    bill = day_cost(supply, curve, day)
    is_known = is_known_at_all(curve)
    return PeriodView(
        supply.commodity,
        supply.unit,
        supply.currency,
        utc(start),
        utc(end),
        exact_decimal(curve.total) if is_known else None,
        bill.total if bill is not None and is_known else None,
        _unexplained(curve),
        _register(curve.opening),
        _register(curve.closing),
        intervals=points,
        tariff=None if tariff is None else tariff_view(supply, tariff, day),
        notes=_notes(supply, curve, start, end),
        bands=bands_of(supply),
    )


def month_view(supply: Supply, curve: Curve, month: date, *, seen_until: int) -> PeriodView:
    """Show a local month by its days; days after ``seen_until`` (UTC seconds) expect nothing yet.

    Args:
        supply: the usage point in one direction.
        curve: its intervals.
        month: any day of the local month.
        seen_until: UTC seconds up to which values are expected.

    """
    start, end = month_bounds(month, supply.zone)
    points = []
    for day in days_of_month(month):
        low, high = day_bounds(day, supply.zone)
        part = _part(curve, low, high)
        bill = day_cost(supply, part, day)
        measured = (part.quality & NOT_MEASURED) == 0
        bounds = grid(low, high, supply.period_s)
        expected = int((bounds[:-1] < seen_until).sum())
        received = len(np.unique(np.searchsorted(bounds, part.start[measured], side="right")))
        known = is_known_at_all(part)
        points.append(
            PeriodPoint(
                day,
                exact_decimal(part.total) if known else None,
                bill.total if bill is not None and known else None,
                _by_band(supply, part, bill, day) if bill is not None and known else (),
                expected > 0 and received >= expected and high <= seen_until,
                expected,
                received,
            )
        )
    last_day = points[-1].start
    tariff = supply.tariff(last_day)
    return PeriodView(
        supply.commodity,
        supply.unit,
        supply.currency,
        utc(start),
        utc(end),
        exact_decimal(curve.total) if is_known_at_all(curve) else None,
        known_sum(point.cost for point in points),
        _unexplained(curve),
        _register(curve.opening),
        _register(curve.closing),
        points=tuple(points),
        tariff=None if tariff is None else tariff_view(supply, tariff, last_day),
        notes=_notes(supply, curve, start, end),
        bands=bands_of(supply),
    )


def day_cost(supply: Supply, curve: Curve, day: date) -> Cost | None:
    """Price one local day: usage, the day's standing charge where there are data, tax; None without a tariff."""
    tariff = supply.tariff(day)
    if tariff is None:
        return None
    low, high, value, _owner = _fine_cut(supply, curve, tariff, day)
    return cost(
        low, high, value, tariff, zone=supply.zone, unit_per_step=curve.step, days=1 if is_known_at_all(curve) else 0
    )


def tariff_view(supply: Supply, tariff: Tariff, day: date) -> TariffView:
    """Show the tariff's windows of a local day, priced per shown unit, tax included."""
    windows = tuple(
        BandWindow(utc(span.start), utc(span.end), span.band, gross_price(tariff, span.band))
        for span in bands_of_day(tariff, day, supply.zone)
    )
    standing = exact_decimal(Fraction(tariff.standing_charge_per_day) * (1 + Fraction(tariff.tax)))
    return TariffView(tariff.name, tariff.currency, supply.unit, standing, windows, tariff.tax)


def gross_price(tariff: Tariff, band: str) -> Decimal:
    """Return the price of a band with tax per shown unit: per m3 where gas is billed in kWh."""
    return exact_decimal(_gross(tariff, band))


def _gross(tariff: Tariff, band: str) -> Fraction:
    return Fraction(tariff.price(band)) * tariff.units_per_metered * (1 + Fraction(tariff.tax))


def bands_of(supply: Supply) -> tuple[str, ...]:
    """Return the bands of all tariffs of a supply, from the cheapest to the dearest by their latest price."""
    prices = {band.name: _gross(tariff, band.name) for _, tariff in supply.tariffs for band in tariff.bands}
    return tuple(sorted(prices, key=lambda name: (prices[name], name)))


def _fine_cut(
    supply: Supply, curve: Curve, tariff: Tariff, day: date
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.intp]]:
    """Cut a day's curve at the grid and at the changes of bands: intervals and bands are priced by the same pieces."""
    edges = [span.start for span in bands_of_day(tariff, day, supply.zone)]
    cells = grid(*day_bounds(day, supply.zone), supply.period_s)
    return cut_at(curve.start, curve.end, curve.value, np.union1d(cells, np.array(edges, np.int64)))


def _cell_costs(supply: Supply, curve: Curve, tariff: Tariff | None, bounds: NDArray[np.int64]) -> list[Decimal]:
    """Price each cell of the grid with tax, without the standing charge."""
    cells = len(bounds) - 1
    if tariff is None or not len(curve.start):
        return [Decimal(0)] * cells
    day = datetime.fromtimestamp(int(bounds[0]), ZoneInfo(supply.zone)).date()
    spans = bands_of_day(tariff, day, supply.zone)
    edges = np.array([span.start for span in spans], np.int64)
    low, _high, value, _owner = _fine_cut(supply, curve, tariff, day)
    factor = {span.band: curve.step * _gross(tariff, span.band) for span in spans}
    sums = [Fraction(0)] * cells
    at_cell = np.searchsorted(bounds, low, side="right") - 1
    at_band = np.searchsorted(edges, low, side="right") - 1
    for cell, band, amount in zip(at_cell.tolist(), at_band.tolist(), value.tolist(), strict=True):
        sums[cell] += amount * factor[spans[band].band]
    return [exact_decimal(amount) for amount in sums]


def is_known_at_all(curve: Curve) -> bool:
    """Whether anything is known of a span; a gap between two meters is not."""
    return bool(((curve.quality & int(Quality.MISSING)) == 0).any())


def covers(curve: Curve, low: int, high: int) -> bool:
    """Whether a value is known for every second of ``low <= time < high``."""
    return _known_s(curve, low, high) >= high - low > 0


def known_share(curve: Curve, low: int, high: int) -> Decimal | None:
    """Return the share of ``low <= time < high`` of which a value is known, 0..1 rounded down; None for no time."""
    return share_received(_known_s(curve, low, high), high - low)


def _known_s(curve: Curve, low: int, high: int) -> int:
    known = (curve.quality & int(Quality.MISSING)) == 0
    inside = np.minimum(curve.end[known], high) - np.maximum(curve.start[known], low)
    return int(inside[inside > 0].sum())


def _by_band(supply: Supply, curve: Curve, bill: Cost, day: date) -> tuple[tuple[str, Decimal], ...]:
    """Return what was used in each band of which anything is known, in the shown unit: gas in m3."""
    tariff = supply.tariff(day)
    if tariff is None:
        return ()
    spans = bands_of_day(tariff, day, supply.zone)
    known = {span.band for span in spans if _known_s(curve, span.start, span.end)}
    return tuple(
        (line.band, exact_decimal(Fraction(line.quantity) / tariff.units_per_metered))
        for line in bill.bands
        if line.band in known
    )


def _part(curve: Curve, start: int, end: int) -> Curve:
    low, high, value, owner = cut_at(curve.start, curve.end, curve.value, (start, end))
    inside = (low >= start) & (high <= end)
    return Curve(low[inside], high[inside], value[inside], curve.quality[owner[inside]], curve.step)


def _unexplained(curve: Curve) -> Decimal | None:
    if curve.of_intervals:
        return None  # without a register nobody knows
    if not is_known_at_all(curve) and curve.opening is None and curve.closing is None and not curve.unexplained:
        return None
    return exact_decimal(sum(item.value for item in curve.unexplained) * curve.step)


def _register(value: Fraction | None) -> Decimal | None:
    return None if value is None else exact_decimal(value)


def _version_at(versions: Sequence[tuple[int, int, int]], start: int, end: int) -> int:
    return max((version for low, high, version in versions if low < end and high > start), default=1)


def _notes(supply: Supply, curve: Curve, start: int, end: int) -> tuple[Phrase, ...]:
    zone = ZoneInfo(supply.zone)
    return (
        *_clock_notes(start, end),
        *_exchange_notes(supply, start, end, zone),
        *(_unexplained_note(supply, curve, item, zone) for item in curve.unexplained),
        *_count_notes(curve),
        *(_note("refused", device=item.device, what=item.what, reason=item.reason) for item in curve.refused),
    )


def _note(kind: str, **values: PhraseValue) -> Phrase:
    return Phrase(f"note.{kind}", tuple(values.items()))


def _clock_notes(start: int, end: int) -> Iterator[Phrase]:
    """Yield a note where a day has more or less than 24 hours."""
    if end - start < 2 * DAY_S and end - start != DAY_S:
        yield _note(
            "long_day" if end - start > DAY_S else "short_day", hours=exact_decimal(Fraction(end - start, HOUR_S))
        )


def _exchange_notes(supply: Supply, start: int, end: int, zone: ZoneInfo) -> Iterator[Phrase]:
    for before, after in pairwise(supply.installations):
        if start <= after.start < end:
            at = datetime.fromtimestamp(after.start, zone)
            yield _note("exchanged", before=before.device, after=after.device, at=at)


def _unexplained_note(supply: Supply, curve: Curve, item: Unexplained, zone: ZoneInfo) -> Phrase:
    return _note(
        "unexplained",
        amount=exact_decimal(item.value * curve.step),
        unit=supply.unit,
        start=datetime.fromtimestamp(item.start, zone),
        end=datetime.fromtimestamp(item.end, zone),
        why=_note(UNEXPLAINED[item.quality]),
    )


def _count_notes(curve: Curve) -> Iterator[Phrase]:
    for flag, kind in COUNTED.items():
        count = int(((curve.quality & int(flag)) != 0).sum())
        if count:
            yield _note(kind, count=count)
    for flag, kind in REGISTERS.items():
        count = sum(1 for item in curve.left_out if item.quality is flag)
        if count:
            yield _note(kind, count=count)
    if curve.of_intervals and len(curve.start):
        yield _note("of_intervals")
