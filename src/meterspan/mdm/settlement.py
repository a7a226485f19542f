"""Settlement: the intervals of a closed UTC day when it was settled, and the changes since.

Days to settle are noted by the store in the transaction that stores their readings, and removed after their versions
are stored. A settlement that is killed between settles the same days again and finds nothing changed.
"""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime

import numpy as np

from meterspan.mdm.curves import Curve
from meterspan.mdm.damage import IMPOSSIBLE
from meterspan.mdm.foundation import Foundation
from meterspan.mdm.snapshots import Snapshot, consistent
from meterspan.mdm.supplies import Supply
from meterspan.mdm.versions import AUTHOR, RULE, IntervalVersion, changed_intervals, compose
from meterspan.mdm.windows import neighbours
from meterspan.model.storage.readings import UnsettledDays
from meterspan.model.storage.registry import VersionRow
from meterspan.quantities import DAY_S, Direction, Interval, utc_seconds

__all__ = ["Settlement"]

KEEP_DAYS = 1
"""Whole UTC days kept in the journal beside today: most late data arrive within a day."""


class Settlement:
    """Keeps the versions of intervals; one settlement runs at a time.

    Args:
        foundation: the stores, and what is kept over them.

    """

    def __init__(self, foundation: Foundation) -> None:
        self._on = foundation
        self._settling = threading.Lock()

    def settle(self, now: datetime) -> int:
        """Bring the stored interval versions of closed UTC days up to date; return how many versions were made.

        The first settlement of a day is version 1 and holds all its intervals; when late readings change it, the
        next version holds the changed intervals only. Versions are of consumption (import). A supply that cannot be
        settled is named as damage, and its days stay on the list.
        """
        horizon = utc_seconds(now) // DAY_S
        with self._settling:
            noted = self._on.journal.days_to_settle()
            due = noted[noted.day < horizon]
            work, kept = self._work(due)
            made = 0
            for usage_point, days in work.items():
                count = self._settle_supply(usage_point, days, horizon, now)
                if count is None:
                    kept |= self._on.registrations.supply_at(usage_point).device_names
                else:
                    made += count
            done = np.array([self._device(number) not in kept for number in due.series.tolist()], bool)
            if done.any():
                self._on.journal.settled(due[done])
        return made

    def versions(self, usage_point: str, interval: Interval) -> Sequence[IntervalVersion]:
        """List all versions of the intervals inside ``interval``, oldest first; raises ``UnknownUsagePointError``."""
        low, high = utc_seconds(interval.start), utc_seconds(interval.end)
        supply = self._on.registrations.supply_at(usage_point)
        found: list[IntervalVersion] = []
        for row in self.rows(supply, low, high):
            found.extend(IntervalVersion.of(row, low, high, supply.unit))
        return sorted(found, key=lambda item: (item.start, item.version))

    def rows(self, supply: Supply, low: int, high: int) -> list[VersionRow]:
        """List the stored versions of the UTC days of ``low <= time < high``, by day and version."""
        return self._on.registry.versions(supply.usage_point, low // DAY_S, (high - 1) // DAY_S)

    def maintain(self, now: datetime) -> None:
        """Settle, then close UTC days in the store."""
        self.settle(now)
        self._on.journal.compact((utc_seconds(now) // DAY_S - KEEP_DAYS) * DAY_S)

    # --- one settlement -----------------------------------------------------------------------------------------

    def _device(self, number: int) -> str:
        row = self._on.series.row(number)
        return "" if row is None else row.device

    def _work(self, due: UnsettledDays) -> tuple[dict[str, Counter[int]], set[str]]:
        """Return the days to settle by usage point with the readings that arrived, and devices that have to wait.

        Days of a device that is not installed wait for its installation; momentary values need no settlement.
        """
        work: dict[str, Counter[int]] = {}
        waiting: set[str] = set()
        points: dict[str, list[Supply]] = {}
        for number, day, readings in zip(due.series.tolist(), due.day.tolist(), due.readings.tolist(), strict=True):
            row = self._on.series.row(number)
            if row is None or self._on.series.is_instant(number):
                continue
            supplies = points.get(row.device)
            if supplies is None:
                supplies = points[row.device] = self._on.registrations.supplies_with(row.device)
            if not supplies:
                waiting.add(row.device)
            for supply in supplies:
                work.setdefault(supply.usage_point, Counter())[day] += readings
        return work, waiting

    def _settle_supply(self, usage_point: str, days: Mapping[int, int], horizon: int, now: datetime) -> int | None:
        """Settle the days of one usage point; return how many versions were made, or None where that failed."""
        item = f"settlement of {usage_point}"
        try:
            made = self._new_versions(usage_point, days, horizon, now)
        except IMPOSSIBLE as error:
            self._on.damage.note(item, error)
            return None
        self._on.damage.clear(item)
        self._on.registry.save_versions(made)
        return len(made)

    def _new_versions(self, usage_point: str, days: Mapping[int, int], horizon: int, now: datetime) -> list[VersionRow]:
        """Make versions of the days that have new readings, and of those that a gap joins to them."""
        supply = self._on.registrations.supply_at(usage_point)
        touched = self._touched(supply, days, horizon)
        settled: dict[int, list[VersionRow]] = {}
        if touched:
            for row in self._on.registry.versions(usage_point, min(touched), max(touched)):
                settled.setdefault(row.day, []).append(row)
        made: list[VersionRow] = []
        for day in sorted(touched):
            rows = settled.get(day, [])
            bounds = day * DAY_S, (day + 1) * DAY_S

            def ask(snapshot: Snapshot, bounds: tuple[int, int] = bounds) -> Curve:
                return self._on.curves.curve(snapshot, supply, Direction.IMPORT, *bounds)

            curve = consistent(self._on.generations, ask)
            changed = changed_intervals(compose(rows), curve)
            if len(changed):
                number = rows[-1].version if rows else 0
                reason = _reason(number, days.get(day, 0))
                made.append(
                    VersionRow(
                        usage_point, day, number + 1, utc_seconds(now), reason, RULE, AUTHOR, str(curve.step), changed
                    )
                )
        return made

    def _touched(self, supply: Supply, days: Mapping[int, int], horizon: int) -> set[int]:
        """Return the days that readings of ``days`` may have changed, from the first installation on."""
        ids = self._on.curves.chain(supply, Direction.IMPORT).series
        installed = min(row.start for row in supply.installations) // DAY_S
        touched = {day for day in days if day >= installed}
        for first, last in _runs(touched):
            before, after = neighbours(self._on.journal, ids, first * DAY_S, (last + 1) * DAY_S)
            touched.update(range(max(before // DAY_S, installed), min(after // DAY_S + 1, horizon)))
        return touched


def _runs(days: set[int]) -> list[tuple[int, int]]:
    """Join days that follow each other."""
    runs: list[tuple[int, int]] = []
    for day in sorted(days):
        if runs and runs[-1][1] == day - 1:
            runs[-1] = runs[-1][0], day
        else:
            runs.append((day, day))
    return runs


def _reason(settled: int, arrived: int) -> str:
    if not settled:
        return "first settlement of the day"
    if not arrived:
        return f"readings of a neighbouring day arrived after version {settled}"
    return f"{arrived} readings of the day arrived after version {settled}"
