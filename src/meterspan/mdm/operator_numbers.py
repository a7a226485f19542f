"""Operator numbers: stored readings, unexplained energy, missing values, damaged items.

A usage point that is damaged or impossible is named, and the sums are those of the others.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

from meterspan.analytics.conserve import Unexplained
from meterspan.analytics.tariff import exact_decimal
from meterspan.mdm.channels import direction_of, kind_of
from meterspan.mdm.damage import IMPOSSIBLE, Damage
from meterspan.mdm.foundation import Foundation
from meterspan.mdm.series_table import unit_of
from meterspan.mdm.snapshots import Snapshot, consistent
from meterspan.mdm.supplies import Supply
from meterspan.model.readings import Series, SeriesKind
from meterspan.model.storage.registry import SeriesRow
from meterspan.model.views import CompletenessCell, CompletenessView
from meterspan.quantities import DAY_S, DAY_ZERO, Commodity, Direction, parse_obis, utc, utc_seconds

__all__ = ["OperatorNumbers", "Totals", "UnexplainedView"]

ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class Totals:
    """Counts of the data management."""

    readings: int
    """Distinct (series, time, value) stored."""
    duplicates: int
    """Readings that were stored already when they arrived."""
    conflicts: int
    """Readings that contradict one already stored; both are kept."""
    series: int
    homes: int
    events: int
    unexplained_wh: int
    """Sum of the absolute unexplained register differences of energy registers, in Wh."""
    octets: int
    """Octets of readings at rest."""
    damaged: int = 0
    """Batches, segments and supplies that are damaged or impossible and left out; ``damage`` names them."""


@dataclass(frozen=True, slots=True)
class UnexplainedView:
    """One register difference that no consumption explains."""

    usage_point: str
    start: datetime
    end: datetime
    value: Decimal
    unit: str
    reason: str


class OperatorNumbers:
    """Numbers over all usage points; safe for use from many threads.

    Args:
        foundation: the stores, and what is kept over them.
        newest: returns the UTC seconds of the newest reading.

    """

    def __init__(self, foundation: Foundation, *, newest: Callable[[], int]) -> None:
        self._on = foundation
        self._newest = newest

    def totals(self) -> Totals:
        """Return counts of the stored data; derives changed days first."""
        return consistent(self._on.generations, self._totals)

    def unexplained(self) -> Sequence[UnexplainedView]:
        """List every register difference that no consumption explains, of all usage points and both directions."""
        return consistent(self._on.generations, self._unexplained)

    def readings_stored(self) -> int:
        """Count the stored readings, each (series, time, value) once; derives nothing."""
        return self._on.journal.counts().readings

    def unexplained_wh(self) -> Iterator[int]:
        """Iterate over the usage points, and sum up the unexplained energy of each (Wh) from one state of its data."""
        for supply in self._on.registrations.supplies():
            yield self._unexplained_wh_of(supply)

    def _unexplained_wh_of(self, supply: Supply) -> int:
        def ask(snapshot: Snapshot) -> int:
            found = self._of_supply(
                snapshot, supply, "unexplained", lambda supply: self._unexplained_of(snapshot, supply)
            )
            return round(sum((abs(item.value) for item in found if item.unit == "kWh"), Decimal(0)) * 1000)

        return consistent(self._on.generations, ask)

    def completeness(self, first: date, last: date, *, until: datetime | None = None) -> Sequence[CompletenessView]:
        """Count due and received registers of each installed device's billing registers per UTC day.

        Args:
            first: first day.
            last: last day.
            until: nothing is due from then on; None: the time of the newest reading.

        """
        low, high = (first - DAY_ZERO).days, (last - DAY_ZERO).days

        def ask(snapshot: Snapshot) -> list[CompletenessView]:
            limit = self._newest() + 1 if until is None else utc_seconds(until)
            return [
                row
                for supply in self._on.registrations.supplies()
                for row in self._of_supply(
                    snapshot, supply, "completeness", lambda supply: self._complete(snapshot, supply, low, high, limit)
                )
            ]

        return consistent(self._on.generations, ask)

    def series(self) -> Sequence[Series]:
        """List all series; the usage point is where the device is or was last, "" where it is not installed."""
        return [self._series_record(row) for row in self._on.series.rows()]

    def damage(self) -> Sequence[Damage]:
        """List damaged or impossible items that are left out of all answers: stored items first, by name."""
        stored = [*self._on.journal.quarantined(), *self._on.registry.quarantined()]
        return [*map(Damage.of, stored), *self._on.damage.listed()]

    # --- of one state -------------------------------------------------------------------------------------------

    def _totals(self, snapshot: Snapshot) -> Totals:
        unexplained = sum((abs(item.value) for item in self._unexplained(snapshot) if item.unit == "kWh"), Decimal(0))
        counts = self._on.journal.counts()
        return Totals(
            counts.readings,
            counts.duplicates,
            counts.conflicts,
            len(self._on.series),
            self._on.registrations.home_count,
            counts.events,
            round(unexplained * 1000),
            counts.octets,
            counts.quarantined + len(self._on.damage.listed()),
        )

    def _unexplained(self, snapshot: Snapshot) -> list[UnexplainedView]:
        return [
            view
            for supply in self._on.registrations.supplies()
            for view in self._of_supply(
                snapshot, supply, "unexplained", lambda supply: self._unexplained_of(snapshot, supply)
            )
        ]

    def _unexplained_of(self, snapshot: Snapshot, supply: Supply) -> list[UnexplainedView]:
        return [
            _unexplained_view(supply, item, step)
            for direction in Direction
            for item, step in self._on.curves.unexplained(snapshot, supply, direction)
        ]

    def _of_supply(
        self, snapshot: Snapshot, supply: Supply, question: str, ask: Callable[[Supply], Sequence[ResultT]]
    ) -> Sequence[ResultT]:
        """Return the answer for one supply; one that is damaged is named and has none."""
        item = f"usage point {supply.usage_point}"
        try:
            answer = ask(supply)
        except IMPOSSIBLE as error:
            if not snapshot.holds:
                raise  # it was changed meanwhile, and is asked again
            self._on.damage.note(item, error, question=question)
            return ()
        self._on.damage.clear(item, question=question)
        return answer

    def _complete(self, snapshot: Snapshot, supply: Supply, low: int, high: int, limit: int) -> list[CompletenessView]:
        rows = []
        for installation, device in zip(supply.installations, supply.devices, strict=True):
            end = limit if installation.end is None else min(limit, installation.end)
            if end <= low * DAY_S or installation.start >= (high + 1) * DAY_S:
                continue
            counts = self._on.curves.day_counts(snapshot, supply, installation, low=low, high=high, end=end)
            cells = tuple(
                CompletenessCell(DAY_ZERO + timedelta(days=item.day), item.expected, item.received) for item in counts
            )
            rows.append(CompletenessView(device.device, supply.commodity, device.network, cells))
        return rows

    def _series_record(self, row: SeriesRow) -> Series:
        obis, unit = parse_obis(row.obis), unit_of(row.unit)
        kind = kind_of(obis, unit)
        supplies = self._on.registrations.supplies_with(row.device)
        supply = max(supplies, key=lambda supply: supply.installations[-1].start, default=None)
        installation = None
        if supply is not None:
            installation = next(item for item in reversed(supply.installations) if item.device == row.device)
        commodity = self._on.registrations.commodity_of(row.device)
        return Series(
            row.series_id,
            "" if supply is None else supply.usage_point,
            row.device,
            obis,
            unit,
            row.exponent,
            Commodity.ELECTRICITY if commodity is None else commodity,
            kind,
            direction_of(obis),
            1 if installation is None else installation.multiplier,
            None if installation is None else installation.width.get(row.obis),
            supply.period_s if supply is not None and kind is SeriesKind.REGISTER else None,
        )


def _unexplained_view(supply: Supply, item: Unexplained, step: Fraction) -> UnexplainedView:
    return UnexplainedView(
        supply.usage_point,
        utc(item.start),
        utc(item.end),
        exact_decimal(item.value * step),
        supply.unit,
        (item.quality.name or "unexplained").lower().replace("_", " "),
    )
