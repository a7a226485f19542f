"""Curves: everything that is derived from readings, through one cache that knows of which generation each value is.

Each value rests on the chain of a supply's installations (its revision is part of the key), on the registers that bill
(its basis) and on readings of a span (``low`` to ``high``). It is used as long as none of the three has changed since
its stamp; nothing else has to be remembered when readings arrive.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cache
from typing import Any

from meterspan.analytics.completeness import DayCount, count_days
from meterspan.analytics.conserve import Unexplained
from meterspan.mdm.chains import EVER, NEVER, Chain, billing_series, chain_of
from meterspan.mdm.curves import Curve, derive, unexplained_in
from meterspan.mdm.derived import Derived, Kept
from meterspan.mdm.generations import Generations
from meterspan.mdm.interval_curves import curve_of_intervals
from meterspan.mdm.series_table import SeriesTable
from meterspan.mdm.snapshots import Snapshot
from meterspan.mdm.supplies import Supply
from meterspan.mdm.windows import neighbours, read_window
from meterspan.model.storage.ports import ReadingSource
from meterspan.model.storage.readings import Readings
from meterspan.model.storage.registry import InstallationRow
from meterspan.quantities import DAY_S, Direction

__all__ = ["CurveBook", "Momentary"]

WHOLE = (0, 1 << 34)
"""A span that holds every instant that a meter can mean (until 2514)."""
OCTETS_OF_INTERVAL, OCTETS_OF_ITEM = 28, 200


@dataclass(frozen=True, slots=True)
class Momentary:
    """Momentary values of one series of a device, in order of time."""

    obis: str
    exponent: int
    readings: Readings


class CurveBook:
    """Derives and keeps intervals and registers of a supply; safe for use from many threads.

    Args:
        source: the stored readings.
        series: the series of each device.
        generations: which readings changed when.
        derived: where values are kept.

    """

    def __init__(self, source: ReadingSource, series: SeriesTable, generations: Generations, derived: Derived) -> None:
        self._source = source
        self._series = series
        self._generations = generations
        self._derived = derived

    def curve(self, snapshot: Snapshot, supply: Supply, direction: Direction, *bounds: int) -> Curve:
        """Return the curve from the first to the last of the rising ``bounds``, cut at all of them."""

        def make(chain: Chain) -> tuple[Curve, tuple[int, int], int]:
            if chain.intervals:
                found = curve_of_intervals(self._source, self._series, chain, bounds)
            else:
                found = derive(chain, read_window(self._source, chain, bounds[0], bounds[-1]), bounds)
            return found, found.depends, OCTETS_OF_INTERVAL * len(found.start)

        curve: Curve = self._value(snapshot, supply, direction, ("curve", direction, bounds), make)
        return curve

    def unexplained(
        self, snapshot: Snapshot, supply: Supply, direction: Direction
    ) -> tuple[tuple[Unexplained, Fraction], ...]:
        """List all register differences that no consumption explains, each with the size of its step.

        After new readings only the stretch between their neighbours is derived again.
        """
        key = (supply.usage_point, supply.revision, "unexplained", direction)
        before = self._derived.get(key)

        def make(chain: Chain) -> tuple[tuple[tuple[Unexplained, Fraction], ...], tuple[int, int], int]:
            kept: tuple[tuple[Unexplained, Fraction], ...] = ()
            low, high = WHOLE
            changed = None if before is None else self._generations.span_since(supply.device_names, before.stamp)
            if before is not None and changed is not None and before.basis == chain.basis and chain.registers:
                first, last = neighbours(self._source, chain.series, max(changed[0], low), min(changed[1], high) + 1)
                margin = 4 * supply.period_s
                low, high = max(first - margin, low), min(last + margin, high)
                kept = tuple((item, step) for item, step in before.value if item.end <= low or item.end > high)
            items = unexplained_in(chain, read_window(self._source, chain, low, high), low, high)
            found = (*kept, *((item, chain.step) for item in items))
            return tuple(sorted(found, key=_of_time)), (EVER, NEVER), OCTETS_OF_ITEM * len(found)

        found: tuple[tuple[Unexplained, Fraction], ...] = self._value(snapshot, supply, direction, key[2:], make)
        return found

    def day_counts(
        self, snapshot: Snapshot, supply: Supply, installation: InstallationRow, *, low: int, high: int, end: int
    ) -> list[DayCount]:
        """Count due and stored registers of one installation on the UTC days ``low..high``.

        Args:
            snapshot: records the devices that the answer depends on.
            supply: the supply.
            installation: one of its chain.
            low: first day since 1970.
            high: last day.
            end: UTC seconds from which on nothing is due.

        """
        snapshot.rest_on([installation.device])
        stamp = self._generations.now
        last = self._generations.last_change([installation.device])

        @cache
        def billed() -> tuple[int, ...]:
            rows = self._series.of_device(installation.device)
            return tuple(billing_series(rows, self._source.bounds, supply.commodity))

        def kept_count(day: int) -> DayCount | None:
            kept = self._derived.get(_count_key(supply, installation, day))
            if kept is None or (kept.stamp < last and not self._counts_still(kept, installation, billed())):
                return None
            count: DayCount = kept.value
            return count

        counted = {day: kept_count(day) if (day + 1) * DAY_S <= end else None for day in range(low, high + 1)}
        wanted = [day for day, count in counted.items() if count is None]
        if wanted:
            period = supply.period_s
            times = self._source.read(billed(), wanted[0] * DAY_S, (wanted[-1] + 1) * DAY_S + 1).time
            for count in count_days(
                times, period_s=period, first_day=wanted[0], last_day=wanted[-1], since=installation.start, until=end
            ):
                counted[count.day] = count
                if (count.day + 1) * DAY_S <= end:
                    kept = Kept(stamp, billed(), count.day * DAY_S, (count.day + 1) * DAY_S, count)
                    self._derived.put(_count_key(supply, installation, count.day), kept)
        return [count for count in counted.values() if count is not None]

    def momentary(self, snapshot: Snapshot, supply: Supply, low: int, high: int) -> tuple[Momentary, ...]:
        """Read the momentary powers (W) of the supply's present meter, ``low <= time < high``.

        Args:
            snapshot: records the devices that the answer depends on.
            supply: the supply.
            low: UTC seconds.
            high: UTC seconds, not included.

        """
        snapshot.rest_on([supply.meter])
        rows = [row for row in self._series.of_device(supply.meter) if row.unit == "W"]
        if not rows:
            return ()
        found = self._source.read([row.series_id for row in rows], low, high)
        return tuple(Momentary(row.obis, row.exponent, found[found.series == row.series_id]) for row in rows)

    def chain(self, supply: Supply, direction: Direction) -> Chain:
        """Return the registers that bill the supply now."""
        return chain_of(
            supply.installations,
            self._series.of_device,
            self._source.bounds,
            commodity=supply.commodity,
            direction=direction,
            period_s=supply.period_s,
        )

    # --- the one cache ------------------------------------------------------------------------------------------

    def _value(
        self,
        snapshot: Snapshot,
        supply: Supply,
        direction: Direction,
        what: tuple[Hashable, ...],
        make: Callable[[Chain], tuple[Any, tuple[int, int], int]],
    ) -> Any:
        """Return what is kept, where it still holds; else what ``make`` derives: value, what it depends on, octets."""
        devices = supply.device_names
        snapshot.rest_on(devices)
        key = (supply.usage_point, supply.revision, *what)
        kept = self._derived.get(key)
        if kept is not None and self._generations.last_change(devices) <= kept.stamp:
            return kept.value
        stamp = self._generations.now
        chain = self.chain(supply, direction)
        if kept is not None and kept.basis == chain.basis and not self._is_touched(kept, supply):
            self._derived.put(key, replace(kept, stamp=stamp))
            return kept.value
        value, (low, high), octets = make(chain)
        self._derived.put(key, Kept(stamp, chain.basis, low, high, value, octets))
        return value

    def _is_touched(self, kept: Kept, supply: Supply) -> bool:
        return self._generations.last_change_within(supply.device_names, kept.low, kept.high) > kept.stamp

    def _counts_still(self, kept: Kept, installation: InstallationRow, billed: tuple[int, ...]) -> bool:
        """Whether a kept count of an installation holds though its device has changed since."""
        changed = self._generations.last_change_within([installation.device], kept.low, kept.high)
        return changed <= kept.stamp and kept.basis == billed


def _count_key(supply: Supply, installation: InstallationRow, day: int) -> Hashable:
    return supply.usage_point, supply.revision, "count", installation.start, day


def _of_time(item: tuple[Unexplained, Fraction]) -> tuple[int, int, int]:
    return item[0].start, item[0].end, item[0].value
