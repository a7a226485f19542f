"""Ports of the data at rest: all that a data management needs from a store, whatever the store is made of.

Every write is durable when the call returns, and all or nothing. Every method may be called from any thread, and raises
``StorageError`` where data cannot be stored or read now. ``tests/store/contract.py`` holds any backend to this.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Protocol

from meterspan.model.readings import MeterEvent
from meterspan.model.storage.readings import (
    ImportRecord,
    QuarantinedItem,
    Readings,
    Receipt,
    StoreCounts,
    UnsettledDays,
)
from meterspan.model.storage.registry import (
    DeviceRow,
    HomeRow,
    InstallationRow,
    RegistryRow,
    SeriesRow,
    TariffRow,
    UsagePointRow,
    VersionRow,
)
from meterspan.model.storage.stretches import Stretches

__all__ = ["ReadingJournal", "ReadingSource", "RegistryRows", "RegistryStore", "unnoted", "unwatched"]


def unnoted(_receipt: Receipt) -> None:
    """Do nothing with a receipt."""


def unwatched(_done: int, _of: int) -> None:
    """Do nothing with the progress of long work."""


class ReadingSource(Protocol):
    """Where stored readings are read."""

    def read(self, series: Sequence[int], start: int, end: int) -> Readings:
        """Read ``start <= time < end`` (UTC seconds) of the series, sorted by (series, time, value)."""
        ...

    def bounds(self, series: int) -> tuple[int, int] | None:
        """Return the first and last stored time of a series, or None where nothing is stored; without I/O."""
        ...


class ReadingJournal(ReadingSource, Protocol):
    """Where readings and events are stored, and what is still to be settled is remembered."""

    def append(
        self, readings: Readings, events: Sequence[MeterEvent] = (), *, batch_id: bytes | None = None
    ) -> Receipt:
        """Store a batch durably, and note its days as unsettled in the same transaction.

        The same (series, time, value) is a duplicate and only counted; another value at the same instant is stored
        with ``CONFLICT``; a reading of a closed day with ``LATE``. A ``batch_id`` seen before stores nothing.
        """
        ...

    def take_import(
        self,
        record: ImportRecord,
        parts: Iterable[Readings],
        *,
        is_trial: bool = False,
        note: Callable[[Receipt], None] = unnoted,
    ) -> ImportRecord:
        """Store all parts of a file, or nothing; return the record with its number, counts and span.

        Args:
            record: name, digest and time of the import.
            parts: its readings; each is compared with what is stored and with the parts before it.
            is_trial: count, and store nothing.
            note: called with what became of each part, before anything is durable.

        """
        ...

    def stretches(
        self, series: Sequence[int], start: int, end: int, progress: Callable[[int, int], None] = unwatched
    ) -> Stretches:
        """Return at what times there are readings of the series, over the whole UTC days of ``start <= time < end``.

        Args:
            series: numbers of series.
            start: UTC seconds.
            end: UTC seconds.
            progress: called with the days done, and all of them.

        """
        ...

    def imports(self) -> list[ImportRecord]:
        """List the imports, oldest first, those that were undone included."""
        ...

    def series_of_import(self, number: int) -> list[int]:
        """List the numbers of the series of an import; raises ``UnknownImportError``."""
        ...

    def undo_import(self, number: int, at: int) -> ImportRecord:
        """Undo an import: what is read then is what would be read without it.

        Args:
            number: of the import.
            at: UTC seconds of now.

        Raises:
            UnknownImportError: there is none of this number.
            ImportUndoneError: it was undone before.
            DamagedBatchError: the copy of its rows is damaged.

        """
        ...

    def pending(self) -> Iterator[Readings]:
        """Read what is not compacted yet, batch by batch."""
        ...

    def newest_closed(self) -> int | None:
        """Return the time of the newest compacted reading, or None where there is none."""
        ...

    def compact(self, end: int) -> int:
        """Close all days before the UTC midnight ``end``; return how many readings were moved.

        Raises:
            ValueError: ``end`` is no midnight.

        """
        ...

    def note_unsettled(self, days: UnsettledDays) -> None:
        """Remember durably that these days are to be settled again (a meter was installed or exchanged)."""
        ...

    def days_to_settle(self) -> UnsettledDays:
        """Return every (series, day) that was noted and not settled since, sorted by series and day."""
        ...

    def settled(self, days: UnsettledDays) -> None:
        """Forget these entries of ``days_to_settle`` durably; a day noted again meanwhile stays on the list."""
        ...

    def events(self, device: str) -> list[MeterEvent]:
        """List a device's events in order of time."""
        ...

    def counts(self) -> StoreCounts:
        """Count what is held; exact."""
        ...

    @property
    def closed_through(self) -> int | None:
        """UTC midnight before which days are closed, or None."""
        ...

    def quarantined(self) -> list[QuarantinedItem]:
        """List the quarantined batches and segments, in the order they were found."""
        ...

    def close(self) -> None:
        """Finish what waits to be stored and release all files; a second call does nothing."""
        ...


class RegistryRows(Protocol):
    """The rows of a registry, as far as registrations begin with them."""

    def homes(self) -> list[HomeRow]:
        """List homes by id."""
        ...

    def usage_points(self) -> list[UsagePointRow]:
        """List usage points by name."""
        ...

    def devices(self) -> list[DeviceRow]:
        """List devices by identification."""
        ...

    def installations(self) -> list[InstallationRow]:
        """List installations by usage point and time."""
        ...

    def tariffs(self) -> list[TariffRow]:
        """List tariff assignments by usage point and day."""
        ...

    def series(self) -> list[SeriesRow]:
        """List series by number."""
        ...


class RegistryStore(RegistryRows, Protocol):
    """Where it is kept who is metered by what, and what was settled."""

    def versions(self, usage_point: str, first_day: int, last_day: int) -> list[VersionRow]:
        """List interval versions of the UTC days ``first_day..last_day``, by day and version."""
        ...

    def save(self, *rows: RegistryRow) -> None:
        """Add or replace rows, all or none; a row is written after those that it refers to."""
        ...

    def forget(self, device: str) -> None:
        """Delete a device without series, its installations, and the usage points where no other ever was; all or none.

        Raises:
            ValueError: the device has series, so readings may refer to them.

        """
        ...

    def save_versions(self, rows: Sequence[VersionRow]) -> None:
        """Add versions, all or none; one that is there is never changed.

        Raises:
            ValueError: a version of the same usage point, day and number is there.

        """
        ...

    def add_series(self, device: str, obis: str, unit: str, exponent: int) -> SeriesRow:
        """Add a new series durably and return it with its number; numbers are never used again.

        Args:
            device: the name of the device.
            obis: the OBIS code as text.
            unit: the unit of the steps.
            exponent: power of ten of one step.

        """
        ...

    def quarantined(self) -> list[QuarantinedItem]:
        """List rows that are damaged and left out."""
        ...

    def close(self) -> None:
        """Release all connections."""
        ...
