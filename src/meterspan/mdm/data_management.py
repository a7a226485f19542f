"""The data management: takes readings durably, keeps who is metered by what, and answers what people ask.

Registers are stored as they came; intervals are derived by the conservation law and kept in versions. All public
methods may be called from any thread. The registry is small and held in memory; each change is written through.
"""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np

from meterspan.analytics.calendar import day_bounds, days_of_month, local_day, sums_between
from meterspan.analytics.completeness import DayCount, count_days
from meterspan.analytics.conserve import Unexplained
from meterspan.analytics.tariff import Tariff, bands_of_day, exact_decimal
from meterspan.mdm.channels import canonical, commodity_of, direction_of, display_unit, kind_of
from meterspan.mdm.curves import MAX_AHEAD_S, Curve, billing_parts, billing_series, derive, neighbours
from meterspan.mdm.periods import Supply, day_cost, day_view, month_view, unit_price
from meterspan.mdm.tariffs import declaration_of, tariff_of
from meterspan.mdm.versions import AUTHOR, RULE, IntervalVersion, changed_intervals, compose
from meterspan.model.lookup_errors import (
    ExchangeTimeError,
    MeterPresentError,
    NotInstalledError,
    SupplyPresentError,
    TariffUnitError,
    UnknownHomeError,
    UnknownSupplyError,
    UnknownUsagePointError,
    UnknownZoneError,
)
from meterspan.model.readings import CaptureBlock, CaptureColumn, MeterEvent, Series, SeriesKind, Source
from meterspan.model.storage.readings import Intervals, Readings
from meterspan.model.storage.registry import (
    DeviceRow,
    HomeRow,
    InstallationRow,
    SeriesRow,
    TariffRow,
    UsagePointRow,
    VersionRow,
)
from meterspan.model.views import (
    Completeness,
    CompletenessCell,
    Home,
    LiveView,
    PeriodView,
    TodayView,
    UsagePointView,
)
from meterspan.quantities import UNITS, Commodity, Direction, Interval, Obis, Scaled, Unit, parse_obis
from meterspan.store.reading_store import ReadingStore
from meterspan.store.registry import Registry

__all__ = ["MeterDataManagement", "Totals", "UnexplainedView"]

DAY_S = 86_400
DAY_ZERO = date(1970, 1, 1)
LIVE_S = 1_800
"""A power value older than this is not "now" any more."""
LIVE_AHEAD_S = 300
"""A power value stamped further ahead of its arrival, by a clock that is wrong, is never "now"."""
MAX_CURVES = 128
"""Curves remembered per usage point: three months of days and a year of months."""
KEEP_DAYS = 1
"""Whole UTC days kept in the journal beside today: most late data arrive within a day."""
WHOLE = (0, 1 << 34)
"""A span that holds every instant that a meter can mean (until 2514)."""
POWER_IMPORT, POWER_EXPORT, POWER_NET = Obis(1, 0, 1, 7, 0), Obis(1, 0, 2, 7, 0), Obis(1, 0, 16, 7, 0)

SeriesKey = tuple[str, Obis, str, int]


@dataclass(frozen=True, slots=True)
class Totals:
    """What the data management holds."""

    readings: int
    """Distinct (series, time, value) stored."""
    duplicates: int
    """Readings that came again and were recognised."""
    conflicts: int
    """Readings that contradict one already stored; both are kept."""
    series: int
    homes: int
    events: int
    unexplained_wh: int
    """Sum of the absolute unexplained register differences of energy registers, in Wh."""
    octets: int
    """Octets of readings at rest."""


@dataclass(frozen=True, slots=True)
class UnexplainedView:
    """One register difference that no consumption explains."""

    usage_point: str
    start: datetime
    end: datetime
    value: Decimal
    unit: str
    reason: str


class MeterDataManagement:
    """The data management over one directory; also the ``ReadingSink`` of head end and access points.

    Raises:
        ConcurrentWriterError: another process has the directory open.
        UnknownFormatError: a newer release wrote it.

    """

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._store = ReadingStore(directory / "readings")
        try:
            self._registry = Registry.open(directory / "registry.sqlite")
        except BaseException:
            self._store.close()
            raise
        self._lock = threading.RLock()
        self._settling = threading.Lock()
        self._homes = {row.home_id: row for row in self._registry.homes()}
        self._usage_points = {row.usage_point: row for row in self._registry.usage_points()}
        self._devices = {row.device: row for row in self._registry.devices()}
        self._installations: dict[str, list[InstallationRow]] = {}
        self._points_of_device: dict[str, set[str]] = {}
        for installation in self._registry.installations():
            self._index(installation)
        self._billed: dict[str, object] = {}
        self._series: dict[int, SeriesRow] = {}
        self._series_of_device: dict[str, list[SeriesRow]] = {}
        self._series_ids: dict[SeriesKey, int] = {}
        self._instant: set[int] = set()
        for row in self._registry.series():
            self._index_series(row)
        self._tariffs: dict[str, dict[date, Tariff]] = {}
        for assigned in self._registry.tariffs():
            by_day = self._tariffs.setdefault(assigned.usage_point, {})
            by_day[date.fromisoformat(assigned.first_day)] = tariff_of(assigned.declaration)
        self._revision = 0
        self._curves: dict[str, dict[tuple[Direction, tuple[int, ...]], Curve]] = {}
        self._generation: dict[str, int] = {}
        self._unexplained: dict[tuple[str, Direction], list[tuple[Unexplained, Fraction]]] = {}
        self._stale: dict[tuple[str, Direction], tuple[int, int]] = {}
        self._received: dict[tuple[str, int], dict[int, DayCount]] = {}
        self._latest: dict[int, tuple[int, int]] = {}
        self._latest_time = self._store.newest_closed() or 0
        self._dirty: dict[str, dict[int, int]] = {}
        for batch in self._store.pending():
            self._note(batch)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close files; what was taken stays."""
        self._store.close()
        self._registry.close()

    @property
    def revision(self) -> int:
        """Grow with every change; equal revisions mean equal answers."""
        return self._revision

    # --- taking -------------------------------------------------------------------------------------------------

    def take(self, blocks: Sequence[CaptureBlock], events: Sequence[MeterEvent] = ()) -> None:
        """Take a batch durably: when the call returns, it survives ``kill -9``.

        Unknown devices and channels are kept too; they wait for their installation.
        """
        receipt = self._store.append(self._columns(blocks), events)
        self._note(receipt.fresh)

    def _columns(self, blocks: Sequence[CaptureBlock]) -> Readings:
        pairs = [(block, column) for block in blocks for column in block.columns if len(block.times)]
        if not pairs:
            return Readings.empty()
        ids = [self._series_id(block.device, column) for block, column in pairs]
        counts = [len(block.times) for block, _column in pairs]
        return Readings(
            np.repeat(np.array(ids, np.int32), counts),
            np.concatenate([block.times for block, _column in pairs]).astype(np.int64, copy=False),
            np.concatenate([column.values for _block, column in pairs]).astype(np.int64, copy=False),
            np.concatenate([block.status for block, _column in pairs]).astype(np.int32, copy=False),
            np.concatenate([block.quality for block, _column in pairs]).astype(np.int32, copy=False),
            np.repeat(np.array([int(block.source) for block, _column in pairs], np.int8), counts),
            np.repeat(np.array([block.received_at for block, _column in pairs], np.int64), counts),
        )

    def _series_id(self, device: str, column: CaptureColumn) -> int:
        key = (device, column.obis, column.unit.symbol, column.exponent)
        number = self._series_ids.get(key)
        return self._new_series(device, column) if number is None else number

    def _new_series(self, device: str, column: CaptureColumn) -> int:
        unit, exponent = canonical(column.unit, column.exponent)
        with self._lock:
            number = self._series_ids.get((device, column.obis, unit.symbol, exponent))
            if number is None:
                if device not in self._devices:
                    known = DeviceRow(device, commodity_of(column.obis))
                    self._registry.save(known)
                    self._devices[device] = known
                row = self._registry.add_series(device, str(column.obis), unit.symbol, exponent)
                self._index_series(row)
                number = row.series_id
            self._series_ids[device, column.obis, column.unit.symbol, column.exponent] = number
            return number

    def _note(self, fresh: Readings) -> None:
        """Remember what new readings change: momentary values, curves to derive anew, days to settle anew."""
        if not len(fresh):
            return
        honest = fresh.time[fresh.time <= fresh.received_at + MAX_AHEAD_S]
        order = np.lexsort((fresh.time, fresh.series))
        numbers, times = fresh.series[order], fresh.time[order]
        heads = np.flatnonzero(np.concatenate(([True], np.diff(numbers) != 0)))
        ends = np.append(heads[1:], len(numbers))
        with self._lock:
            self._revision += 1
            self._note_billing({self._series[number].device for number in numbers[heads].tolist()})
            self._latest_time = max(self._latest_time, int(honest.max(initial=0)))
            for head, end in zip(heads.tolist(), ends.tolist(), strict=True):
                number, first, last = int(numbers[head]), int(times[head]), int(times[end - 1])
                if number in self._instant:
                    self._note_instant(number, fresh[order[head:end]])
                    continue
                device = self._series[number].device
                for usage_point in self._points_of_device.get(device, ()):
                    self._forget(usage_point, first, last)
                    days = self._dirty.setdefault(usage_point, {})
                    found, counts = np.unique(times[head:end] // DAY_S, return_counts=True)
                    for day, count in zip(found.tolist(), counts.tolist(), strict=True):
                        days[day] = days.get(day, 0) + count

    def _note_instant(self, number: int, fresh: Readings) -> None:
        """Remember the newest momentary value; one stamped ahead of its arrival would stay the newest for long."""
        fresh = fresh[fresh.time <= fresh.received_at + LIVE_AHEAD_S]
        if len(fresh) and fresh.time[-1] >= self._latest.get(number, (0, 0))[0]:
            self._latest[number] = int(fresh.time[-1]), int(fresh.value[-1])

    def _note_billing(self, devices: set[str]) -> None:
        """Count anew what is billed by other registers than before: a total came beside tariff registers."""
        for device in devices:
            for usage_point in self._points_of_device.get(device, ()):
                commodity = Commodity(self._usage_points[usage_point].commodity)
                rows = tuple(self._series_of_device.get(device, ()))
                billed = [billing_parts(self._store, rows, commodity, direction) for direction in Direction]
                if self._billed.get(device, billed) != billed:
                    self._changed(usage_point, device)
                self._billed[device] = billed

    def _forget(self, usage_point: str, first: int, last: int) -> None:
        self._generation[usage_point] = self._generation.get(usage_point, 0) + 1
        curves = self._curves.get(usage_point, {})
        for key in [key for key, curve in curves.items() if first <= curve.depends[1] and last >= curve.depends[0]]:
            del curves[key]
        for direction in Direction:
            low, high = self._stale.get((usage_point, direction), (first, last))
            self._stale[usage_point, direction] = min(low, first), max(high, last)
        for (name, _start), counts in self._received.items():
            if name == usage_point:
                for day in [day for day in counts if first // DAY_S - 1 <= day <= last // DAY_S + 1]:
                    del counts[day]

    # --- registration -------------------------------------------------------------------------------------------

    def register_home(self, home_id: str, name: str, *, zone: str, currency: str = "EUR") -> None:
        """Register a home, or change its name, zone or currency.

        Raises:
            UnknownZoneError: no such time zone.

        """
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise UnknownZoneError(zone) from error
        with self._lock:
            row = HomeRow(home_id, name, zone, currency)
            self._registry.save(row)
            self._homes[home_id] = row
            self._revision += 1

    def install_meter(
        self, home_id: str, usage_point: str, *, device: str, commodity: Commodity, at: datetime,
        opening: Mapping[Obis, Scaled] | None = None, period_s: int = 900,
        register_width: Mapping[Obis, int] | None = None, multiplier: int = 1,
        protocol: str = "", interface: str = "", network: str = "",
    ) -> None:  # fmt: skip
        """Install a device at a usage point of a home (made where new) from ``at``.

        The same call again changes nothing but how the device is reached.

        Args:
            home_id: a registered home.
            usage_point: where the supply is measured.
            device: identification of the meter, as in ``CaptureBlock.device``.
            commodity: the supply.
            at: aware instant of the installation.
            opening: registers at that instant.
            period_s: grid of the usage point's intervals, in seconds.
            register_width: steps (of the series) after which a register begins anew, by OBIS.
            multiplier: transformer ratio.
            protocol: how it speaks, for the operator.
            interface: where it speaks: G1, M, H1.
            network: the access point or segment that it hangs on.

        Raises:
            UnknownHomeError: the home is not registered.
            MeterPresentError: another meter is installed there; exchange it.
            SupplyPresentError: the home has another usage point of this commodity.

        """
        with self._lock:
            home = self._home_row(home_id)
            others = [
                row.usage_point
                for row in self._usage_points.values()
                if row.home_id == home_id and row.commodity == commodity and row.usage_point != usage_point
            ]
            if others:
                raise SupplyPresentError(home_id, commodity, others[0])
            current = self._installations.get(usage_point, [])
            if current and current[-1].device != device and current[-1].end is None:
                raise MeterPresentError(usage_point, current[-1].device)
            point = UsagePointRow(usage_point, home.home_id, str(commodity), period_s)
            known = DeviceRow(device, str(commodity), protocol, interface, network)
            is_new = not current or current[-1].device != device or current[-1].end is not None
            row = InstallationRow(
                usage_point, device, _seconds(at), None, multiplier, _given(opening), {},
                {str(obis): width for obis, width in (register_width or {}).items()},
            )  # fmt: skip
            self._registry.save(point, known, *([row] if is_new else []))
            self._usage_points[usage_point] = point
            self._devices[device] = known
            if is_new:
                self._index(row)
            self._changed(usage_point, device)
        if opening:
            self.take([_exchange_block(device, opening, _seconds(at))])

    def exchange_meter(
        self, usage_point: str, *, old_device: str, closing: Mapping[Obis, Scaled],
        new_device: str, opening: Mapping[Obis, Scaled], at: datetime, register_width: Mapping[Obis, int] | None = None,
        protocol: str | None = None, interface: str | None = None, network: str | None = None,
    ) -> None:  # fmt: skip
        """Exchange the device: closing and opening registers join the two chains so that no energy is lost.

        The same call again changes nothing. Where ``register_width``, ``protocol``, ``interface`` or ``network`` are
        left out, the new meter has those of the old one.

        Raises:
            UnknownUsagePointError: the usage point is not registered.
            NotInstalledError: ``old_device`` is not the one installed there.
            ExchangeTimeError: ``at`` lies before its installation.

        """
        when = _seconds(at)
        with self._lock:
            chain = self._chain(usage_point)
            repeated = [row for row in chain if row.device == new_device and row.start == when]
            old = next((row for row in reversed(chain) if row.device == old_device), None)
            if not repeated:
                if old is None or old.end is not None:
                    raise NotInstalledError(usage_point, old_device)
                if when <= old.start:
                    raise ExchangeTimeError(old_device, at)
                width = old.width if register_width is None else {str(k): v for k, v in register_width.items()}
                ended = replace(old, end=when, closing=_given(closing))
                begun = InstallationRow(
                    usage_point, new_device, when, None, old.multiplier, _given(opening), {}, width
                )  # fmt: skip
                known = self._devices[old_device]
                new = DeviceRow(
                    new_device, known.commodity, known.protocol if protocol is None else protocol,
                    known.interface if interface is None else interface,
                    known.network if network is None else network,
                )  # fmt: skip
                self._registry.save(new, ended, begun)
                self._devices[new_device] = new
                chain[chain.index(old)] = ended
                self._index(begun)
                self._changed(usage_point, old_device)
                self._changed(usage_point, new_device)
        self.take([_exchange_block(old_device, closing, when), _exchange_block(new_device, opening, when)])

    def assign_tariff(self, usage_point: str, tariff: Tariff, *, first_day: date) -> None:
        """Price the usage point by ``tariff`` from the local day ``first_day`` on.

        Raises:
            UnknownUsagePointError: the usage point is not registered.
            TariffUnitError: the tariff is per another unit than the supply is counted in.

        """
        with self._lock:
            point = self._point(usage_point)
            shown = display_unit(Commodity(point.commodity))
            if tariff.conversion is None and tariff.unit != shown:
                raise TariffUnitError(tariff.name, tariff.unit, usage_point, shown)
            self._registry.save(TariffRow(usage_point, first_day.isoformat(), declaration_of(tariff)))
            self._tariffs.setdefault(usage_point, {})[first_day] = tariff
            self._revision += 1

    # --- views (HomeViews) --------------------------------------------------------------------------------------

    def homes(self) -> Sequence[Home]:
        """List all homes."""
        with self._lock:
            return [self.home(home_id) for home_id in sorted(self._homes)]

    def home(self, home_id: str) -> Home:
        """Give one home."""
        with self._lock:
            row = self._home_row(home_id)
            points = [point for point in self._usage_points.values() if point.home_id == home_id]
            order = list(Commodity)
            return Home(
                row.home_id, row.name, row.zone,
                tuple(
                    UsagePointView(
                        point.usage_point, Commodity(point.commodity),
                        self._installations[point.usage_point][-1].device,
                        display_unit(Commodity(point.commodity)),
                    )
                    for point in sorted(points, key=lambda point: order.index(Commodity(point.commodity)))
                ),
                row.currency,
            )  # fmt: skip

    def live(self, home_id: str, now: datetime) -> LiveView:
        """Give power now, today's consumption and cost."""
        home = self.home(home_id)
        instant = _seconds(now)
        today = local_day(instant, home.zone)
        views: list[TodayView] = []
        band, price, band_until = "", None, None
        for point in home.usage_points:
            supply = self._supply(home_id, point.commodity)
            views.append(self._today(supply, today, now))
            if point.commodity is Commodity.ELECTRICITY:
                band, price, band_until = _band_now(supply, today, instant)
        power, power_at = self._power(home, instant)
        return LiveView(
            home_id, now, power, power_at, band, price, band_until, tuple(views),
            sum((view.cost for view in views), Decimal(0)), home.currency,
        )  # fmt: skip

    def day(self, home_id: str, commodity: Commodity, day: date) -> PeriodView:
        """Give one local day's intervals (92, 96 or 100 quarters, or the meter's own period)."""
        supply = self._supply(home_id, commodity)
        start, end = day_bounds(day, supply.zone)
        curve = self._curve(supply.usage_point, Direction.IMPORT, start, end)
        rows = self._registry.versions(supply.usage_point, start // DAY_S, (end - 1) // DAY_S)
        changed = [
            (int(low), int(high), row.version)
            for row in rows
            if row.version > 1
            for low, high in zip(row.intervals.start, row.intervals.end, strict=True)
        ]
        return day_view(supply, curve, day, changed)

    def month(self, home_id: str, commodity: Commodity, month: date) -> PeriodView:
        """Give the days of the month that ``month`` lies in."""
        supply = self._supply(home_id, commodity)
        midnights = sorted({edge for day in days_of_month(month) for edge in day_bounds(day, supply.zone)})
        curve = self._curve(supply.usage_point, Direction.IMPORT, *midnights)
        return month_view(supply, curve, month, seen_until=self._latest_time)

    def export_day(self, home_id: str, commodity: Commodity, day: date) -> Curve:
        """Give what was fed in on a local day."""
        supply = self._supply(home_id, commodity)
        return self._curve(supply.usage_point, Direction.EXPORT, *day_bounds(day, supply.zone))

    def _today(self, supply: Supply, today: date, now: datetime) -> TodayView:
        curve = self._curve(supply.usage_point, Direction.IMPORT, *day_bounds(today, supply.zone))
        bill = day_cost(supply, curve, today)
        yesterday = today - timedelta(days=1)
        before = self._curve(supply.usage_point, Direction.IMPORT, *day_bounds(yesterday, supply.zone))
        same_time = None
        if len(before.start) and curve.last is not None:
            seen = min(now, _utc(curve.last))  # a late meter must not look thrifty
            wall = seen.astimezone(ZoneInfo(supply.zone)).replace(
                year=yesterday.year, month=yesterday.month, day=yesterday.day
            )
            low, high = day_bounds(yesterday, supply.zone)
            until = min(max(_seconds(wall), low), high)
            same_time = exact_decimal(
                int(sums_between(before.start, before.end, before.value, (low, until)).sum()) * before.step
            )
        return TodayView(
            supply.commodity, exact_decimal(curve.total), supply.unit, Decimal(0) if bill is None else bill.total,
            same_time, None if curve.last is None else _utc(curve.last),
        )  # fmt: skip

    def _power(self, home: Home, now: int) -> tuple[int | None, datetime | None]:
        """Give import minus export from the electricity meter's latest momentary values."""
        meter = next((item.meter for item in home.usage_points if item.commodity is Commodity.ELECTRICITY), None)
        values: dict[Obis, tuple[int, Fraction]] = {}
        for row in self._series_of_device.get(meter or "", ()):
            obis = parse_obis(row.obis)
            found = self._latest_of(row.series_id, now) if row.unit == "W" else None
            if (
                found is not None
                and -LIVE_AHEAD_S <= now - found[0] <= LIVE_S
                and obis in {POWER_IMPORT, POWER_EXPORT, POWER_NET}
            ):
                reading = found[0], found[1] * Fraction(10) ** row.exponent
                values[obis] = max(values.get(obis, reading), reading)
        if POWER_IMPORT in values or POWER_EXPORT in values:
            zero = (0, Fraction(0))
            bought, sold = values.get(POWER_IMPORT, zero), values.get(POWER_EXPORT, zero)
            return round(bought[1] - sold[1]), _utc(max(bought[0], sold[0]))
        if POWER_NET in values:
            return round(values[POWER_NET][1]), _utc(values[POWER_NET][0])
        return None, None

    def _latest_of(self, number: int, now: int) -> tuple[int, int] | None:
        with self._lock:
            if number in self._latest:
                return self._latest[number]
        last = self._store.read([number], now - LIVE_S, now + LIVE_AHEAD_S)
        last = last[last.time <= last.received_at + LIVE_AHEAD_S]
        return (int(last.time[-1]), int(last.value[-1])) if len(last) else None

    # --- the operator's numbers ---------------------------------------------------------------------------------

    def totals(self) -> Totals:
        """Give what is held; derives what has changed since the last call."""
        counts = self._store.counts()
        unexplained = sum(
            (abs(item.value) for item in self.unexplained() if item.unit == "kWh"), Decimal(0)
        )  # fmt: skip
        return Totals(
            counts.readings, counts.duplicates, counts.conflicts, len(self._series), len(self._homes), counts.events,
            round(unexplained * 1000), counts.octets,
        )  # fmt: skip

    def unexplained(self) -> Sequence[UnexplainedView]:
        """List every register difference that no consumption explains, of all usage points and both directions."""
        return [
            _unexplained_view(usage_point, display_unit(Commodity(row.commodity)), item, step)
            for usage_point, row in list(self._usage_points.items())
            for direction in Direction
            for item, step in self._unexplained_of(usage_point, direction)
        ]

    def _unexplained_of(self, usage_point: str, direction: Direction) -> list[tuple[Unexplained, Fraction]]:
        """Keep the list up to date: after new readings only the stretch between their neighbours is derived anew."""
        key = (usage_point, direction)
        with self._lock:
            known, stale = self._unexplained.get(key), self._stale.get(key)
        if known is not None and stale is None:
            return known
        low, high = WHOLE
        if known is not None and stale is not None:
            ids = self._ids_of_point(usage_point, direction)
            before, after = neighbours(self._store, ids, stale[0], stale[1] + 1)
            margin = 4 * self._usage_points[usage_point].period_s
            low, high = max(before - margin, low), min(after + margin, high)
        curve = self._derive(usage_point, direction, low, high)
        kept = [(item, step) for item, step in known or () if item.end <= low or item.end > high]
        found = [*kept, *((item, curve.step) for item in curve.unexplained)]
        with self._lock:
            if self._stale.get(key) == stale:  # nothing came while it was derived
                self._unexplained[key] = found
                self._stale.pop(key, None)
        return found

    def completeness(self, first: date, last: date, *, until: datetime | None = None) -> Sequence[Completeness]:
        """Count expected and received registers of each installed device's billing registers per UTC day.

        Args:
            first: first day.
            last: last day.
            until: nothing is expected from then on; None: the time of the newest reading.

        """
        low, high = (first - DAY_ZERO).days, (last - DAY_ZERO).days
        limit = self._latest_time + 1 if until is None else _seconds(until)
        rows: list[Completeness] = []
        for usage_point, point in sorted(self._usage_points.items()):
            for installation in list(self._installations.get(usage_point, ())):
                device = self._devices[installation.device]
                end = limit if installation.end is None else min(limit, installation.end)
                if end <= low * DAY_S or installation.start >= (high + 1) * DAY_S:
                    continue
                counts = self._counts(point, installation, low, high, end)
                cells = tuple(
                    CompletenessCell(DAY_ZERO + timedelta(days=item.day), item.expected, item.received)
                    for item in counts
                )
                rows.append(Completeness(device.device, Commodity(point.commodity), device.network, cells))
        return rows

    def _counts(
        self, point: UsagePointRow, installation: InstallationRow, low: int, high: int, end: int
    ) -> list[DayCount]:  # fmt: skip
        """Count the days ``low..high``; days that are over are remembered until readings of them arrive."""
        with self._lock:
            known = self._received.setdefault((point.usage_point, installation.start), {})
            counted = {day: known[day] for day in range(low, high + 1) if day in known}
            generation = self._generation.get(point.usage_point, 0)
        wanted = [day for day in range(low, high + 1) if day not in counted]
        if wanted:
            ids = self._billing_ids(installation.device, Commodity(point.commodity))
            first, last, period = wanted[0], wanted[-1], point.period_s
            found = self._store.read(ids, first * DAY_S - period, (last + 1) * DAY_S + period)
            fresh = count_days(
                found.time, period_s=period, first_day=first, last_day=last, since=installation.start, until=end
            )
            counted |= {item.day: item for item in fresh}
            with self._lock:
                if self._generation.get(point.usage_point, 0) == generation:  # nothing came while it was counted
                    known |= {item.day: item for item in fresh if (item.day + 1) * DAY_S <= end}
        return [counted[day] for day in range(low, high + 1)]

    def events(self, device: str) -> Sequence[MeterEvent]:
        """List a device's events in order of time."""
        return self._store.events(device)

    def installations(self, usage_point: str) -> Sequence[InstallationRow]:
        """List the installations at a usage point, oldest first; raises ``UnknownUsagePointError``."""
        with self._lock:
            return list(self._chain(usage_point))

    def series(self) -> Sequence[Series]:
        """List all series; the usage point is where the device is or was last, "" where it is not installed."""
        with self._lock:
            return [self._series_record(row) for row in self._series.values()]

    def readings(self, series: Sequence[int], start: datetime, end: datetime) -> Readings:
        """Read raw readings, sorted by (series, time, value)."""
        return self._store.read(series, _seconds(start), _seconds(end))

    def curve(self, usage_point: str, direction: Direction, start: datetime, end: datetime) -> Curve:
        """Derive the intervals of a usage point; raises ``UnknownUsagePointError``."""
        return self._curve(usage_point, direction, _seconds(start), _seconds(end))

    # --- versions and upkeep ------------------------------------------------------------------------------------

    def settle(self, now: datetime) -> int:
        """Bring the stored interval versions of closed UTC days up to date; give how many versions were made.

        The first settlement of a day is version 1 and holds all its intervals; when late readings change it, the
        next version holds the changed intervals only. Versions are of consumption (import).
        """
        horizon = _seconds(now) // DAY_S
        made = 0
        with self._settling:
            with self._lock:
                work = {
                    usage_point: {day: count for day, count in days.items() if day < horizon}
                    for usage_point, days in self._dirty.items()
                }
            for usage_point, days in work.items():
                if days:
                    made += self._settle_days(usage_point, days, horizon, now)
        return made

    def versions(self, usage_point: str, interval: Interval) -> Sequence[IntervalVersion]:
        """List all versions of the intervals inside ``interval``, oldest first."""
        low, high = _seconds(interval.start), _seconds(interval.end)
        unit = display_unit(Commodity(self._point(usage_point).commodity))
        found: list[IntervalVersion] = []
        for row in self._registry.versions(usage_point, low // DAY_S, (high - 1) // DAY_S):
            found.extend(IntervalVersion.of(row, low, high, unit))
        return sorted(found, key=lambda item: (item.start, item.version))

    def maintain(self, now: datetime) -> None:
        """Settle, then compact closed UTC days into Parquet."""
        self.settle(now)
        self._store.compact((_seconds(now) // DAY_S - KEEP_DAYS) * DAY_S)

    def _settle_days(self, usage_point: str, days: Mapping[int, int], horizon: int, now: datetime) -> int:
        """Settle the days of one usage point that have new readings, and those that a gap joins them to."""
        ids = self._ids_of_point(usage_point, Direction.IMPORT)
        installed = min(row.start for row in self.installations(usage_point)) // DAY_S
        touched = {day for day in days if day >= installed}
        for day in tuple(touched):
            before, after = neighbours(self._store, ids, day * DAY_S, (day + 1) * DAY_S)
            touched.update(range(max(before // DAY_S, installed), min(after // DAY_S + 1, horizon)))
        settled: dict[int, list[VersionRow]] = {}
        for row in self._registry.versions(usage_point, min(touched, default=0), max(touched, default=0)):
            settled.setdefault(row.day, []).append(row)
        made: list[VersionRow] = []
        for day in sorted(touched):
            curve = self._curve(usage_point, Direction.IMPORT, day * DAY_S, (day + 1) * DAY_S)
            rows = settled.get(day, [])
            changed = changed_intervals(compose(rows), curve)
            if len(changed[0]):
                number = rows[-1].version if rows else 0
                made.append(
                    VersionRow(
                        usage_point, day, number + 1, _seconds(now), _reason(number, days.get(day, 0)), RULE, AUTHOR,
                        str(curve.step), Intervals(*changed),
                    )
                )  # fmt: skip
        self._registry.save_versions(made)
        with self._lock:
            self._revision += 1 if made else 0
            dirty = self._dirty[usage_point]
            for day, count in days.items():
                if dirty.get(day) == count:  # else more arrived meanwhile
                    del dirty[day]
        return len(made)

    # --- the registry in memory ---------------------------------------------------------------------------------

    def _curve(self, usage_point: str, direction: Direction, *bounds: int) -> Curve:
        key = (direction, bounds)
        with self._lock:
            self._point(usage_point)
            known = self._curves.setdefault(usage_point, {}).get(key)
            if known is not None:
                return known
            generation = self._generation.get(usage_point, 0)
        curve = self._derive(usage_point, direction, *bounds)
        with self._lock:
            if self._generation.get(usage_point, 0) == generation:  # nothing came while it was derived
                curves = self._curves[usage_point]
                if len(curves) >= MAX_CURVES:
                    del curves[next(iter(curves))]
                curves[key] = curve
        return curve

    def _derive(self, usage_point: str, direction: Direction, *bounds: int) -> Curve:
        with self._lock:
            point = self._usage_points[usage_point]
            installations = list(self._installations.get(usage_point, ()))
        return derive(
            self._store, installations, lambda device: tuple(self._series_of_device.get(device, ())),
            commodity=Commodity(point.commodity), direction=direction,
            shown=display_unit(Commodity(point.commodity)), period_s=point.period_s, bounds=bounds,
        )  # fmt: skip

    def _supply(self, home_id: str, commodity: Commodity) -> Supply:
        with self._lock:
            home = self._home_row(home_id)
            for point in self._usage_points.values():
                if point.home_id == home_id and point.commodity == commodity:
                    return Supply(
                        point.usage_point, commodity, display_unit(commodity), home.zone, home.currency,
                        point.period_s, tuple(sorted(self._tariffs.get(point.usage_point, {}).items())),
                        tuple(self._installations[point.usage_point]),
                    )  # fmt: skip
        raise UnknownSupplyError(home_id, commodity)

    def _home_row(self, home_id: str) -> HomeRow:
        row = self._homes.get(home_id)
        if row is None:
            raise UnknownHomeError(home_id)
        return row

    def _point(self, usage_point: str) -> UsagePointRow:
        row = self._usage_points.get(usage_point)
        if row is None:
            raise UnknownUsagePointError(usage_point)
        return row

    def _chain(self, usage_point: str) -> list[InstallationRow]:
        self._point(usage_point)
        return self._installations[usage_point]

    def _billing_ids(
        self, device: str, commodity: Commodity, direction: Direction = Direction.IMPORT
    ) -> list[int]:  # fmt: skip
        rows = tuple(self._series_of_device.get(device, ()))
        return billing_series(self._store, rows, commodity, direction)

    def _ids_of_point(self, usage_point: str, direction: Direction) -> list[int]:
        commodity = Commodity(self._usage_points[usage_point].commodity)
        return [
            number
            for installation in self.installations(usage_point)
            for number in self._billing_ids(installation.device, commodity, direction)
        ]

    def _index(self, row: InstallationRow) -> None:
        self._installations.setdefault(row.usage_point, []).append(row)
        self._points_of_device.setdefault(row.device, set()).add(row.usage_point)

    def _index_series(self, row: SeriesRow) -> None:
        obis = parse_obis(row.obis)
        self._series[row.series_id] = row
        self._series_of_device.setdefault(row.device, []).append(row)
        self._series_ids[row.device, obis, row.unit, row.exponent] = row.series_id
        if kind_of(obis, _unit(row.unit)) is SeriesKind.INSTANT:
            self._instant.add(row.series_id)

    def _changed(self, usage_point: str, device: str) -> None:
        """Count all that a device has read anew: it came to or left a usage point."""
        self._revision += 1
        self._forget(usage_point, *WHOLE)
        self._billed.pop(device, None)
        days = self._dirty.setdefault(usage_point, {})
        installed = min(row.start for row in self._installations[usage_point])
        for row in self._series_of_device.get(device, ()):
            bounds = self._store.bounds(row.series_id)
            if bounds is not None and row.series_id not in self._instant:
                first, last = max(bounds[0], installed), min(bounds[1], self._latest_time)
                for day in range(first // DAY_S, last // DAY_S + 1):
                    days.setdefault(day, 0)

    def _series_record(self, row: SeriesRow) -> Series:
        obis = parse_obis(row.obis)
        points = self._points_of_device.get(row.device, set())
        usage_point = max(points, key=lambda name: self._installations[name][-1].start, default="")
        installation = next(
            (item for item in reversed(self._installations.get(usage_point, [])) if item.device == row.device), None
        )
        kind = kind_of(obis, _unit(row.unit))
        return Series(
            row.series_id, usage_point, row.device, obis, _unit(row.unit), row.exponent,
            Commodity(self._devices[row.device].commodity), kind, direction_of(obis),
            1 if installation is None else installation.multiplier,
            None if installation is None else installation.width.get(row.obis),
            self._usage_points[usage_point].period_s if usage_point and kind is SeriesKind.REGISTER else None,
        )  # fmt: skip


def _reason(settled: int, arrived: int) -> str:
    if not settled:
        return "first settlement of the day"
    if not arrived:
        return f"readings of a neighbouring day arrived after version {settled}"
    return f"{arrived} readings of the day arrived after version {settled}"


def _unit(symbol: str) -> Unit:
    return UNITS.get(symbol) or Unit(symbol, symbol)


def _seconds(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} is naive; attach a zone")
    return int(moment.timestamp())


def _utc(time: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=time)


def _given(registers: Mapping[Obis, Scaled] | None) -> dict[str, list[object]]:
    given: dict[str, list[object]] = {}
    for obis, scaled in (registers or {}).items():
        unit, exponent = canonical(scaled.unit, scaled.exponent)
        given[str(obis)] = [scaled.value, exponent, unit.symbol]
    return given


def _exchange_block(device: str, registers: Mapping[Obis, Scaled], at: int) -> CaptureBlock:
    columns = tuple(
        CaptureColumn(obis, scaled.unit, scaled.exponent, np.array([scaled.value], np.int64))
        for obis, scaled in registers.items()
    )
    nothing = np.zeros(1, np.int32)
    return CaptureBlock(device, Source.EXCHANGE, at, np.array([at], np.int64), columns, nothing, nothing)


def _band_now(supply: Supply, today: date, now: int) -> tuple[str, Decimal | None, datetime | None]:
    tariff = supply.tariff(today)
    if tariff is None:
        return "", None, None
    spans = list(bands_of_day(tariff, today, supply.zone))
    spans.extend(bands_of_day(tariff, today + timedelta(days=1), supply.zone))
    at = next(index for index, span in enumerate(spans) if span.start <= now < span.end)
    change = next((span.start for span in spans[at:] if span.band != spans[at].band), None)
    return spans[at].band, unit_price(tariff, spans[at].band), None if change is None else _utc(change)


def _unexplained_view(usage_point: str, unit: str, item: Unexplained, step: Fraction) -> UnexplainedView:
    return UnexplainedView(
        usage_point, _utc(item.start), _utc(item.end), exact_decimal(item.value * step), unit,
        (item.quality.name or "unexplained").lower().replace("_", " "),
    )  # fmt: skip
