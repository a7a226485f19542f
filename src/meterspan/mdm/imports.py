"""Imports: all readings of a file stored at once under one number, and taken back at once by that number.

A value goes to a series of its register that shows it exactly, if there is one, so that a file which later has one
decimal more does not store its old values again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from meterspan.mdm.curves import MAX_AHEAD_S
from meterspan.mdm.generations import Generations
from meterspan.mdm.intake import Intake
from meterspan.mdm.registrations import Registrations
from meterspan.mdm.series_table import SeriesTable
from meterspan.model.readings import CaptureColumn
from meterspan.model.storage.ports import ReadingJournal
from meterspan.model.storage.readings import ImportRecord, Readings, Receipt
from meterspan.quantities import Obis, Quality, Unit

__all__ = ["CONFLICTS_KEPT", "FileChannel", "FileConflict", "Imports", "TakenImport", "rows_by_number"]

CONFLICTS_KEPT: Final = 1_000
"""Conflicts that are named; more are counted only."""
_STEPS_MAX: Final = (1 << 63) - 1


class FileChannel(NamedTuple):
    """What the values of some rows of a file are."""

    device: str
    obis: Obis
    unit: Unit
    exponent: int
    is_exact_scale: bool = False
    """Whether the file says the scale, so that it is kept."""


@dataclass(frozen=True, slots=True)
class FileConflict:
    """A reading of a file that contradicts a stored one."""

    channel: FileChannel
    time: int
    """UTC seconds."""
    value: int
    """Steps of the channel."""
    stored: tuple[int, ...] = ()
    """The other values at the instant, in the same steps; none where the other one is in the file."""


@dataclass(frozen=True, slots=True)
class TakenImport:
    """What became of the rows of a file: counts, and the first conflicts."""

    record: ImportRecord
    conflicts: tuple[FileConflict, ...] = ()


@dataclass(slots=True)
class _Noted:
    """What the writer notes of the parts."""

    conflicts: list[tuple[int, int, int]] = field(default_factory=list)
    newest: list[Readings] = field(default_factory=list)


class Imports:
    """Stores files whole and undoes them; safe for use from many threads.

    Args:
        journal: where readings are stored.
        series: returns the number of each channel.
        registrations: who is installed where.
        generations: where changes are announced and noted.
        intake: registers new channels, and notes days and the newest reading.

    """

    def __init__(
        self,
        journal: ReadingJournal,
        series: SeriesTable,
        registrations: Registrations,
        generations: Generations,
        intake: Intake,
    ) -> None:
        self._journal = journal
        self._series = series
        self._registrations = registrations
        self._generations = generations
        self._intake = intake

    def take(
        self,
        record: ImportRecord,
        channels: Sequence[FileChannel],
        parts: Iterable[Readings],
        *,
        is_trial: bool = False,
    ) -> TakenImport:
        """Store all parts or none; see ``MeterDataManagement.take_import``.

        Args:
            record: name, digest and time.
            channels: what the rows of each number of a series are.
            parts: the rows; their series is the position of their channel.
            is_trial: return the counts, and store nothing.

        """
        plan = _ScalePlan(channels, self._exponents_of(channels))
        if is_trial:
            return self._stored(record, plan, _TrialNumbers(self._series), parts, is_trial=True)
        devices = {channel.device for channel in channels}
        with self._generations.changing(devices) as change:
            self._note_days(devices)
            taken = self._stored(record, plan, _Numbers(self._intake), parts, is_trial=False)
            self._note_days(devices)
            for device in devices:
                change.everything(device)
        return taken

    def undo(self, number: int, at: int) -> ImportRecord:
        """Undo an import; see ``MeterDataManagement.undo_import``."""
        rows = (self._series.row(series) for series in self._journal.series_of_import(number))
        devices = {row.device for row in rows if row is not None}
        with self._generations.changing(devices) as change:
            self._note_days(devices)
            undone = self._journal.undo_import(number, at)
            self._note_days(devices)
            self._intake.look_for_newest()
            for device in devices:
                change.everything(device)
        return undone

    def _exponents_of(self, channels: Sequence[FileChannel]) -> Mapping[tuple[str, Obis, str], Sequence[int]]:
        """Return the scales that the registers of a file are stored with, the coarsest first."""
        found: dict[tuple[str, Obis, str], list[int]] = {}
        for device, obis, symbol in {(item.device, item.obis, item.unit.symbol) for item in channels}:
            rows = self._series.of_device(device)
            own = [row.exponent for row in rows if row.obis == str(obis) and row.unit == symbol]
            found[device, obis, symbol] = sorted(own, reverse=True)
        return found

    def _note_days(self, devices: Iterable[str]) -> None:
        starts = []
        for device in devices:
            rows = [row for supply in self._registrations.supplies_with(device) for row in supply.installations]
            if rows:
                starts.append((device, min(row.start for row in rows)))
        self._intake.note_unsettled(starts)

    def _stored(
        self,
        record: ImportRecord,
        plan: "_ScalePlan",
        numbers: dict[FileChannel, int],
        parts: Iterable[Readings],
        *,
        is_trial: bool,
    ) -> TakenImport:
        noted = _Noted()

        def note(receipt: Receipt) -> None:
            fresh = receipt.fresh
            conflicting = fresh[(fresh.quality & int(Quality.CONFLICT)) != 0]
            room = CONFLICTS_KEPT - len(noted.conflicts)
            columns = (column[:room].tolist() for column in (conflicting.series, conflicting.time, conflicting.value))
            noted.conflicts.extend(zip(*columns, strict=True))
            honest = fresh[fresh.time <= fresh.received_at + MAX_AHEAD_S]
            noted.newest.append(honest[honest.time == honest.time.max(initial=0)][:1])

        scaled = plan.scaled(parts, numbers)
        taken = self._journal.take_import(record, scaled, is_trial=is_trial, note=note)
        if not is_trial:
            self._intake.note_newest(Readings.concatenate(noted.newest))
        targets = {number: target for target, number in numbers.items()}
        conflicts = [FileConflict(targets[number], time, value) for number, time, value in noted.conflicts]
        return TakenImport(taken, tuple(self._with_stored(item, numbers) for item in conflicts))

    def _with_stored(self, item: FileConflict, numbers: dict[FileChannel, int]) -> FileConflict:
        found = self._journal.read([numbers[item.channel]], item.time, item.time + 1)
        return replace(item, stored=tuple(value for value in found.value.tolist() if value != item.value))


class _Numbers(dict[FileChannel, int]):
    """The number of the series of each channel that has rows; a new series is registered when its first row comes."""

    def __init__(self, intake: Intake) -> None:
        super().__init__()
        self._intake = intake

    def __missing__(self, channel: FileChannel) -> int:
        self[channel] = number = self._intake.number(channel.device, _column(channel))
        return number


class _TrialNumbers(dict[FileChannel, int]):
    """The numbers of a trial: new series get numbers that nobody has, and nothing is registered."""

    def __init__(self, series: SeriesTable) -> None:
        super().__init__()
        self._series = series
        self._free = max((row.series_id for row in series.rows()), default=0) + 1

    def __missing__(self, channel: FileChannel) -> int:
        known = self._series.number(channel.device, _column(channel))
        self[channel] = number = self._free if known is None else known
        self._free += known is None
        return number


def _column(channel: FileChannel) -> CaptureColumn:
    return CaptureColumn(channel.obis, channel.unit, channel.exponent, np.zeros(0, np.int64))


class _ScalePlan:
    """Which scale each row of a file is stored with.

    Args:
        channels: the channels of the file, by position.
        stored: the scales of each register that are stored, the coarsest first.

    """

    def __init__(self, channels: Sequence[FileChannel], stored: Mapping[tuple[str, Obis, str], Sequence[int]]) -> None:
        self._channels = channels
        finest: dict[tuple[str, Obis, str], int] = {}
        for item in channels:
            key = item.device, item.obis, item.unit.symbol
            finest[key] = min(item.exponent, finest.get(key, item.exponent))
        self._choices: list[tuple[FileChannel, ...]] = []
        """The scales that a row of each channel may get, the best first; the last one is its own."""
        for item in channels:
            key = item.device, item.obis, item.unit.symbol
            wanted = [] if item.is_exact_scale else [*stored.get(key, ()), finest[key]]
            plain = item._replace(is_exact_scale=False)
            exponents = dict.fromkeys([*wanted, item.exponent])
            self._choices.append(tuple(plain._replace(exponent=exponent) for exponent in exponents))

    def scaled(self, parts: Iterable[Readings], numbers: dict[FileChannel, int]) -> Iterator[Readings]:
        """Yield the parts with the numbers of their series, and values in their steps.

        The rows are sorted by series and time; of several values at an instant the one that arrived first is first.
        """
        for part in parts:
            series, value = part.series.copy(), part.value.copy()
            for position, rows in rows_by_number(part.series):
                self._scale(position, rows, series, value, numbers)
            quality = part.quality
            moved = replace(part, series=series, value=value)
            is_conflict = quality & int(Quality.CONFLICT)
            yield moved[np.lexsort((part.received_at, is_conflict, part.time, series))]

    def _scale(
        self,
        position: int,
        rows: NDArray[np.intp],
        series: NDArray[np.int32],
        value: NDArray[np.int64],
        numbers: dict[FileChannel, int],
    ) -> None:
        own = self._channels[position].exponent
        for target in self._choices[position]:
            fits, steps = _in_steps(value[rows], own, target.exponent)
            if not fits.any():
                continue
            series[rows[fits]], value[rows[fits]] = numbers[target], steps[fits]
            rows = rows[~fits]
            if not len(rows):
                return


def rows_by_number(numbers: NDArray[np.int32]) -> Iterator[tuple[int, NDArray[np.intp]]]:
    """Yield each number of a column and the rows that have it, at a cost that does not grow with how many there are."""
    order = np.argsort(numbers, kind="stable")
    found, starts = np.unique(numbers[order], return_index=True)
    yield from zip(found.tolist(), np.split(order, starts[1:]), strict=True)


def _in_steps(value: NDArray[np.int64], own: int, target: int) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Return which values are whole numbers of steps of another scale, and these."""
    if abs(own - target) > 18:
        fits = value == 0
        return fits, value
    factor = 10 ** abs(own - target)
    if own < target:
        return value % factor == 0, value // factor
    fits = np.abs(value) <= _STEPS_MAX // factor
    return fits, np.where(fits, value, 0) * factor
