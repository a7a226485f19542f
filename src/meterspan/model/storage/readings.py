"""Readings as columns: what a data management hands to any store and reads back from it.

Times are UTC seconds, values integer steps of their series; unit and exponent of a series are in the registry.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "COLUMNS",
    "DamageKind",
    "ImportRecord",
    "QuarantinedItem",
    "Readings",
    "Receipt",
    "SettledIntervals",
    "StoreCounts",
    "UnsettledDays",
]


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """Readings by column, all of one length.

    Attributes:
        series: number of the series.
        time: UTC seconds, as the meter's clock gave it.
        value: integer steps of the series.
        status: the device's status word.
        quality: ``Quality`` bits known when stored.
        source: ``Source`` number.
        received_at: UTC seconds of arrival.

    """

    series: NDArray[np.int32]
    time: NDArray[np.int64]
    value: NDArray[np.int64]
    status: NDArray[np.int32]
    quality: NDArray[np.int32]
    source: NDArray[np.int8]
    received_at: NDArray[np.int64]

    def __len__(self) -> int:
        """Count the readings."""
        return len(self.time)

    def __getitem__(self, index: ArrayLike | slice) -> Self:
        """Pick readings by mask, positions or slice."""
        where = index if isinstance(index, slice) else np.asarray(index)
        return type(self)(*(getattr(self, name)[where] for name in COLUMNS))

    @classmethod
    def empty(cls) -> Self:
        """Return no readings."""
        return cls(*(np.zeros(0, dtype) for dtype in COLUMNS.values()))

    @classmethod
    def concatenate(cls, parts: Sequence["Readings"]) -> Self:
        """Join in the order given."""
        if not parts:
            return cls.empty()
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS))

    def sorted(self) -> Self:
        """Sort by series, time, value: the order of every file and of every answer."""
        if len(self) > 1:
            keys = np.diff(self.series), np.diff(self.time)
            if np.all((keys[0] > 0) | ((keys[0] == 0) & (keys[1] > 0))):
                return self
        return self[np.lexsort((self.received_at, self.value, self.time, self.series))]


COLUMNS: Final[dict[str, type[np.signedinteger]]] = {
    "series": np.int32,
    "time": np.int64,
    "value": np.int64,
    "status": np.int32,
    "quality": np.int32,
    "source": np.int8,
    "received_at": np.int64,
}
"""Names and types of the columns of ``Readings``, in their order."""


@dataclass(frozen=True, slots=True, eq=False)
class SettledIntervals:
    """Intervals by column, all of one length: the content of a settled version.

    Attributes:
        start: UTC seconds of the first instant.
        end: UTC seconds of the first instant after it.
        value: integer steps of the version.
        quality: ``Quality`` bits.

    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    value: NDArray[np.int64]
    quality: NDArray[np.int32]

    def __len__(self) -> int:
        """Count the intervals."""
        return len(self.start)

    @classmethod
    def empty(cls) -> Self:
        """Return no intervals."""
        nothing = np.zeros(0, np.int64)
        return cls(nothing, nothing, nothing, np.zeros(0, np.int32))


@dataclass(frozen=True, slots=True, eq=False)
class UnsettledDays:
    """Days of series that changed since they were settled, by column; each (series, day) is listed once.

    Attributes:
        series: number of the series.
        day: UTC days since 1970-01-01.
        readings: readings of the day that arrived since; 0 where only the meaning of its readings changed.
        notes: how often the day was noted since: one per batch, one per ``note_unsettled``.

    """

    series: NDArray[np.int32]
    day: NDArray[np.int32]
    readings: NDArray[np.int32]
    notes: NDArray[np.int32]

    def __len__(self) -> int:
        """Count the entries."""
        return len(self.day)

    def __getitem__(self, index: ArrayLike | slice) -> Self:
        """Pick entries by mask, positions or slice."""
        where = index if isinstance(index, slice) else np.asarray(index)
        return type(self)(self.series[where], self.day[where], self.readings[where], self.notes[where])

    @classmethod
    def of(cls, series: ArrayLike, day: ArrayLike) -> Self:
        """Make entries that say: settle these days again, though no reading arrived."""
        numbers, days = np.asarray(series, np.int32), np.asarray(day, np.int32)
        return cls(numbers, days, np.zeros(len(days), np.int32), np.ones(len(days), np.int32))

    @classmethod
    def empty(cls) -> Self:
        """Return no days."""
        return cls.of([], [])


@dataclass(frozen=True, slots=True, eq=False)
class Receipt:
    """What became of one batch.

    Attributes:
        fresh: what was new, with the quality it was stored with.
        duplicates: readings that were there already.
        conflicts: of ``fresh``, those that contradict a stored value.
        late: of ``fresh``, those for a day that was closed.
        repeated: the batch id was accepted before; nothing was stored.

    """

    fresh: Readings
    duplicates: int = 0
    conflicts: int = 0
    late: int = 0
    repeated: bool = False


@dataclass(frozen=True, slots=True)
class ImportRecord:
    """A file whose readings were taken at once, and can be taken back at once.

    Attributes:
        number: given by the store, from 1 on; 0 where it has none yet.
        name: of the file.
        digest: SHA-256 of the file and of how it was read: the same again is recognised by it.
        taken_at: UTC seconds.
        readings: those that were new.
        duplicates: those that were there already, with the same value.
        conflicts: of ``readings``, those that contradict a stored value.
        first_time: UTC seconds of the first reading, or None where there is none.
        last_time: UTC seconds of the last one.
        undone_at: UTC seconds when it was undone, or None.

    """

    number: int
    name: str
    digest: bytes
    taken_at: int
    readings: int = 0
    duplicates: int = 0
    conflicts: int = 0
    first_time: int | None = None
    last_time: int | None = None
    undone_at: int | None = None


@dataclass(frozen=True, slots=True)
class StoreCounts:
    """What a store of readings holds; what is quarantined is counted apart."""

    readings: int = 0
    """Distinct (series, time, value)."""
    duplicates: int = 0
    conflicts: int = 0
    late: int = 0
    events: int = 0
    batches: int = 0
    """Batches not yet compacted."""
    segments: int = 0
    octets: int = 0
    """Octets of readings at rest, without indexes and free pages."""
    quarantined: int = 0
    """Batches and segments that are damaged and quarantined."""
    quarantined_readings: int = 0
    """Readings in them, as far as it is known: these are missing from ``readings``."""


class DamageKind(StrEnum):
    """What sort of thing is damaged; the values are stored and sent, so they are never renamed."""

    BATCH = "batch"
    """A batch of the journal."""
    SEGMENT = "segment"
    """A closed day's file of readings."""
    DAYS = "days-to-settle"
    """A row of days to settle."""
    ROW = "row"
    """A row of the registry or the inventory."""
    SUPPLY = "supply"
    """A usage point whose readings or registrations are impossible together."""


@dataclass(frozen=True, slots=True)
class QuarantinedItem:
    """One thing at rest that is not what was written: it is kept, never counted, and named here."""

    name: str
    """What it is: ``batch 17``, the file name of a segment, or table and key of a row."""
    reason: str
    """What is wrong, for a person."""
    kept_at: str
    """Where the damaged octets are kept."""
    readings: int = 0
    """Readings that are missing with it, as far as it is known."""
    first_time: int | None = None
    """UTC seconds of the span that they lie in, where it is known."""
    last_time: int | None = None
    kind: DamageKind = DamageKind.ROW
    found_at: int | None = field(default=None, compare=False)
    """UTC seconds when it was found; None for what an earlier release found."""
