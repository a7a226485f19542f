"""Intake: readings and events of any device, stored durably; afterwards everybody can know what changed."""

import logging
import threading
from collections.abc import Sequence

import numpy as np

from meterspan.mdm.chains import Extents, chain_of
from meterspan.mdm.curves import MAX_AHEAD_S
from meterspan.mdm.generations import Change, Generations
from meterspan.mdm.registrations import Registrations
from meterspan.mdm.series_table import SeriesTable
from meterspan.mdm.supplies import Supply
from meterspan.model.readings import CaptureBlock, CaptureColumn, MeterEvent
from meterspan.model.storage.ports import ReadingJournal
from meterspan.model.storage.readings import Readings, UnsettledDays
from meterspan.quantities import DAY_S, FIRST_SECOND, HOUR_S, LAST_SECOND, Commodity, Direction, commodity_of_obis

__all__ = ["Intake"]

log = logging.getLogger(__name__)

MAX_DAYS_BACK = 400
"""Closed days without one reading of a right clock that are passed over at the opening."""


class Intake:
    """Stores batches, and notes which devices changed; safe for use from many threads.

    Args:
        journal: where readings are stored.
        series: returns the number of each channel.
        registrations: who is installed where.
        generations: where changes are announced and noted.

    """

    def __init__(
        self, journal: ReadingJournal, series: SeriesTable, registrations: Registrations, generations: Generations
    ) -> None:
        self._journal = journal
        self._series = series
        self._registrations = registrations
        self._generations = generations
        self._guard = threading.Lock()
        self._newest = 0
        self.look_for_newest()

    @property
    def newest(self) -> int:
        """UTC seconds of the newest stored reading whose clock was right, to a day; 0 where nothing is stored."""
        return self._newest

    def look_for_newest(self) -> None:
        """Look again for the newest reading: rows were taken back."""
        with self._guard:
            self._newest = self._newest_closed()
        for batch in self._journal.pending():
            self.note_newest(batch)

    def take(self, blocks: Sequence[CaptureBlock], events: Sequence[MeterEvent] = ()) -> None:
        """Store a batch durably: when the call returns, it survives ``kill -9``.

        Unknown devices and channels are stored too; they wait for their installation.
        """
        with self._generations.changing({block.device for block in blocks}) as change:
            self.store(change, blocks, events)

    def store(self, change: Change, blocks: Sequence[CaptureBlock], events: Sequence[MeterEvent] = ()) -> None:
        """Store a batch as part of a change that announced its devices.

        Where other registers bill with these readings than before (a total beside tariff registers), all days of the
        device are to be settled again: noted before the batch, so that a crash loses nothing, and after it, for a
        settlement that runs meanwhile.
        """
        readings = self._columns(blocks)
        days = self._billed_otherwise(blocks)
        self._note_days(days)
        receipt = self._journal.append(readings, events)
        self._note_days(days)
        if events:
            change.registration()
        self.note_newest(receipt.fresh)
        self._note(change, blocks, receipt.fresh, is_all=len(receipt.fresh) == len(readings))

    def note_unsettled(self, starts: Sequence[tuple[str, int]]) -> None:
        """Remember durably that all days which devices have read since their ``start`` are to be settled again."""
        self._note_days([self._days_of(device, start) for device, start in starts])

    def _newest_closed(self) -> int:
        """Read the time of the newest reading of a closed day whose clock was right; 0 where there is none."""
        newest = self._journal.newest_closed()
        numbers = [row.series_id for row in self._series.rows()]
        for _day in range(MAX_DAYS_BACK):
            if newest is None:
                break
            start = newest // DAY_S * DAY_S
            found = self._journal.read(numbers, start, newest + 1)
            honest = found.time[found.time <= found.received_at + MAX_AHEAD_S]
            if len(honest):
                return int(honest.max())
            newest = start - 1
        return 0

    # --- the batch ----------------------------------------------------------------------------------------------

    def _columns(self, blocks: Sequence[CaptureBlock]) -> Readings:
        pairs = [(block, column) for block in blocks for column in block.columns if len(block.times)]
        if not pairs:
            return Readings.empty()
        ids = [self.number(block.device, column) for block, column in pairs]
        counts = [len(block.times) for block, _column in pairs]
        readings = Readings(
            np.repeat(np.array(ids, np.int32), counts),
            np.concatenate([block.times for block, _column in pairs]).astype(np.int64, copy=False),
            np.concatenate([column.values for _block, column in pairs]).astype(np.int64, copy=False),
            np.concatenate([block.status for block, _column in pairs]).astype(np.int32, copy=False),
            np.concatenate([block.quality for block, _column in pairs]).astype(np.int32, copy=False),
            np.repeat(np.array([int(block.source) for block, _column in pairs], np.int8), counts),
            np.repeat(np.array([block.received_at for block, _column in pairs], np.int64), counts),
        )
        if int(readings.time.min()) < FIRST_SECOND or int(readings.time.max()) > LAST_SECOND:
            return self._of_a_calendar(readings)
        return readings

    def _of_a_calendar(self, readings: Readings) -> Readings:
        """Leave out readings at times that no clock can mean, and log their devices: no day is theirs."""
        possible = (readings.time >= FIRST_SECOND) & (readings.time <= LAST_SECOND)
        for number in np.unique(readings.series[~possible]).tolist():
            row = self._series.row(number)
            log.warning("readings outside of the calendar were not stored", extra={"device": row and row.device})
        return readings[possible]

    def number(self, device: str, column: CaptureColumn) -> int:
        """Return the number of a channel's series; a new one is registered durably, with its device."""
        number = self._series.number(device, column)
        if number is None:
            self._registrations.add_device(device, commodity_of_obis(column.obis) or Commodity.ELECTRICITY)
            number = self._series.add(device, column)
        return number

    # --- what changed -------------------------------------------------------------------------------------------

    def _note(self, change: Change, blocks: Sequence[CaptureBlock], fresh: Readings, *, is_all: bool) -> None:
        """Note the devices and hours of new readings; of a batch that is new as a whole its blocks tell them faster."""
        if is_all:
            for block in blocks:
                change.readings(block.device, np.unique(block.times // HOUR_S).tolist())
            return
        for number in np.unique(fresh.series).tolist():
            row = self._series.row(number)
            if row is not None:
                change.readings(row.device, np.unique(fresh.time[fresh.series == number] // HOUR_S).tolist())

    def note_newest(self, fresh: Readings) -> None:
        """Note the newest of readings that were stored."""
        honest = fresh.time[fresh.time <= fresh.received_at + MAX_AHEAD_S]
        with self._guard:
            self._newest = max(self._newest, int(honest.max(initial=0)))

    def _note_days(self, days: Sequence[UnsettledDays]) -> None:
        noted = [unsettled for unsettled in days if len(unsettled)]
        if noted:
            series, numbers = (np.concatenate([getattr(item, name) for item in noted]) for name in ("series", "day"))
            self._journal.note_unsettled(UnsettledDays.of(series, numbers))

    def _billed_otherwise(self, blocks: Sequence[CaptureBlock]) -> list[UnsettledDays]:
        """List the days of installed devices that other registers bill once these blocks are stored."""
        grown: dict[str, dict[int, tuple[int, int]]] = {}
        for block in blocks:
            if len(block.times) and self._registrations.is_installed(block.device):
                self._grow(grown.setdefault(block.device, {}), block)
        found = []
        for device, bounds in grown.items():
            if self._may_bill_otherwise(device, bounds) and self._is_billed_otherwise(device, bounds):
                supplies = self._registrations.supplies_with(device)
                start = min(row.start for supply in supplies for row in supply.installations)
                found.append(self._days_of(device, start))
        return found

    def _grow(self, bounds: dict[int, tuple[int, int]], block: CaptureBlock) -> None:
        low, high = int(block.times.min()), int(block.times.max())
        for column in block.columns:
            number = self.number(block.device, column)
            before = bounds.get(number) or self._journal.bounds(number) or (low, high)
            bounds[number] = min(low, before[0]), max(high, before[1])

    def _may_bill_otherwise(self, device: str, bounds: dict[int, tuple[int, int]]) -> bool:
        """Whether a device has several registers of which one could take the place of another."""
        rows = [row for row in self._series.of_device(device) if not self._series.is_instant(row.series_id)]
        return len(rows) > 1 and (
            any(self._journal.bounds(number) is None for number in bounds)
            or any(not row.obis.endswith(".0") for row in rows)
        )

    def _is_billed_otherwise(self, device: str, bounds: dict[int, tuple[int, int]]) -> bool:
        def grown(number: int) -> tuple[int, int] | None:
            return bounds.get(number) or self._journal.bounds(number)

        return any(
            self._basis(supply, self._journal.bounds) != self._basis(supply, grown)
            for supply in self._registrations.supplies_with(device)
        )

    def _basis(self, supply: Supply, extents: Extents) -> object:
        return chain_of(
            supply.installations,
            self._series.of_device,
            extents,
            commodity=supply.commodity,
            direction=Direction.IMPORT,
            period_s=supply.period_s,
        ).basis

    def _days_of(self, device: str, start: int) -> UnsettledDays:
        """List every day from ``start`` on in which a device may have readings, under one of its registers."""
        rows = [row for row in self._series.of_device(device) if not self._series.is_instant(row.series_id)]
        known = [(row.series_id, bounds) for row in rows if (bounds := self._journal.bounds(row.series_id)) is not None]
        if not known:
            return UnsettledDays.empty()
        first = max(min(low for _number, (low, _high) in known), start) // DAY_S
        last = min(max(high for _number, (_low, high) in known), self._newest) // DAY_S
        days = np.arange(first, last + 1, dtype=np.int32)
        return UnsettledDays.of(np.full(len(days), known[0][0], np.int32), days)
