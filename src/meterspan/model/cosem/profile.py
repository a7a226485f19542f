"""Profile generic (IEC 62056-6-2, 4.3.6): capture objects, and selective access by range and by entry.

Both sides use the same records: a client builds a selector with ``selection.parameter``, a server reads it with
``read_selection`` and applies it with ``select_rows`` to whatever keeps the rows (``ProfileRows``).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from typing import Protocol, TypeAlias

from meterspan.model.cosem.classes import Clock
from meterspan.model.cosem.view import fields_of, read_logical_name
from meterspan.quantities import ClockTime, Obis
from meterspan.wire.axdr import (
    Data,
    array,
    clock,
    double_long_unsigned,
    integer,
    long_unsigned,
    octet_string,
    structure,
)
from meterspan.wire.errors import WireError

__all__ = [
    "CLOCK_COLUMN",
    "CaptureObject",
    "EntrySelection",
    "ProfileRows",
    "RangeSelection",
    "Row",
    "Selection",
    "read_capture_objects",
    "read_selection",
    "select_rows",
    "write_capture_objects",
]

CLAUSE = "IEC 62056-6-2, 4.3.6"
RANGE_DESCRIPTOR = 1
ENTRY_DESCRIPTOR = 2
MAX_CAPTURE_OBJECTS = 256
"""Columns of one profile; field meters have up to some sixty."""

Row: TypeAlias = Sequence[Data]
"""The captured values of one entry, in the order of the capture objects."""


@dataclass(frozen=True, slots=True)
class CaptureObject:
    """capture_object_definition: one column. ``data_index`` 0 is the whole attribute, n its n-th element."""

    class_id: int
    logical_name: Obis
    attribute: int = 2
    data_index: int = 0

    @property
    def is_clock(self) -> bool:
        """Whether the column is the time of a clock object."""
        return self.class_id == Clock.class_id and self.attribute == Clock.time.number

    @property
    def data(self) -> Data:
        """The structure on the wire."""
        return structure(
            long_unsigned(self.class_id),
            octet_string(self.logical_name),
            integer(self.attribute),
            long_unsigned(self.data_index),
        )


CLOCK_COLUMN = CaptureObject(Clock.class_id, Obis(0, 0, 1, 0, 0), Clock.time.number)
"""Time of the standard clock object, 0-0:1.0.0."""


def read_capture_objects(data: Data) -> tuple[CaptureObject, ...]:
    """Read the value of attribute 3.

    Raises:
        WireError: it has another shape, or more than ``MAX_CAPTURE_OBJECTS`` columns.

    """
    if len(data.items) > MAX_CAPTURE_OBJECTS:
        raise WireError(f"{len(data.items)} columns are more than {MAX_CAPTURE_OBJECTS}", None, "columns", CLAUSE)
    return tuple(_read_capture_object(item) for item in data.items)


def write_capture_objects(columns: Iterable[CaptureObject]) -> Data:
    """Build the value of attribute 3."""
    return array(*(column.data for column in columns))


@dataclass(frozen=True, slots=True)
class RangeSelection:
    """range_descriptor: rows whose ``restricting`` column lies between two values, both included.

    ``columns`` empty selects all columns.
    """

    start: Data
    end: Data
    restricting: CaptureObject = CLOCK_COLUMN
    columns: tuple[CaptureObject, ...] = ()

    @classmethod
    def of_times(
        cls, start: ClockTime, end: ClockTime, *, restricting: CaptureObject = CLOCK_COLUMN
    ) -> "RangeSelection":
        """Select all columns between two clock times, both included."""
        return cls(clock(start), clock(end), restricting)

    @property
    def selector(self) -> int:
        """The access selector."""
        return RANGE_DESCRIPTOR

    @property
    def parameter(self) -> Data:
        """The access parameters on the wire."""
        return structure(self.restricting.data, self.start, self.end, write_capture_objects(self.columns))


@dataclass(frozen=True, slots=True)
class EntrySelection:
    """entry_descriptor: rows and columns by number from 1; a last number of 0 is the highest there is."""

    first: int = 1
    last: int = 0
    first_column: int = 1
    last_column: int = 0

    @property
    def selector(self) -> int:
        """The access selector."""
        return ENTRY_DESCRIPTOR

    @property
    def parameter(self) -> Data:
        """The access parameters on the wire."""
        return structure(
            double_long_unsigned(self.first),
            double_long_unsigned(self.last),
            long_unsigned(self.first_column),
            long_unsigned(self.last_column),
        )


Selection: TypeAlias = RangeSelection | EntrySelection


def read_selection(selector: int, parameter: Data) -> Selection:
    """Read the access parameters of a request for a profile's buffer.

    Raises:
        WireError: no such selector, or its parameters have another shape.

    """
    if selector == RANGE_DESCRIPTOR:
        restricting, start, end, columns = fields_of(parameter, 4, "range_descriptor")
        return RangeSelection(start, end, _read_capture_object(restricting), read_capture_objects(columns))
    if selector == ENTRY_DESCRIPTOR:
        return EntrySelection(*(item.integer for item in fields_of(parameter, 4, "entry_descriptor")))
    raise WireError(f"a profile has no selector {selector}", None, "access-selector", CLAUSE)


class ProfileRows(Protocol):
    """What keeps the rows of a profile, oldest first."""

    def __len__(self) -> int:
        """How many rows there are (entries_in_use)."""
        ...

    def entries(self, first: int, last: int) -> Iterable[Row]:
        """Give the rows numbered ``first`` to ``last`` (from 1, both included, both within the profile)."""
        ...

    def between(self, start: int, end: int) -> Iterable[Row]:
        """Give the rows with ``start <= time <= end``, in UTC seconds."""
        ...


def select_rows(
    rows: ProfileRows, columns: Sequence[CaptureObject], selection: Selection | None, *, zone: tzinfo | None = None
) -> Data:
    """Build the buffer's value: the selected rows and columns as an array of structures.

    Args:
        rows: the profile's rows.
        columns: its capture objects.
        selection: what was asked for; None is everything.
        zone: reads clock times whose deviation is not specified.

    Raises:
        WireError: the selection names a column that the profile does not have, or a time that is none.

    """
    if selection is None:
        return array(*(structure(*row) for row in rows.entries(1, len(rows))))
    if isinstance(selection, EntrySelection):
        return _select_entries(rows, columns, selection)
    picked = [_index_of(column, columns) for column in selection.columns]
    chosen = _range(rows, columns, selection, zone)
    return array(*(structure(*([row[index] for index in picked] if picked else row)) for row in chosen))


def _select_entries(rows: ProfileRows, columns: Sequence[CaptureObject], selection: EntrySelection) -> Data:
    last = len(rows) if selection.last == 0 else min(selection.last, len(rows))
    last_column = selection.last_column or len(columns)
    if selection.first < 1 or not 1 <= selection.first_column <= last_column <= len(columns):
        raise WireError("entries and columns count from 1", None, "entry_descriptor", CLAUSE)
    if selection.first > last:
        return array()
    chosen = rows.entries(selection.first, last)
    return array(*(structure(*row[selection.first_column - 1 : last_column]) for row in chosen))


def _range(
    rows: ProfileRows, columns: Sequence[CaptureObject], selection: RangeSelection, zone: tzinfo | None
) -> Iterable[Row]:
    if selection.restricting.is_clock:
        return rows.between(_instant(selection.start, zone), _instant(selection.end, zone))
    index = _index_of(selection.restricting, columns)
    low, high = selection.start.integer, selection.end.integer
    return (row for row in rows.entries(1, len(rows)) if low <= row[index].integer <= high)


def _instant(data: Data, zone: tzinfo | None) -> int:
    moment = data.clock_time.to_utc(zone)
    if moment is None:
        raise WireError(f"{data.clock_time} is no instant", None, "range_descriptor", CLAUSE)
    return int(moment.timestamp())


def _index_of(column: CaptureObject, columns: Sequence[CaptureObject]) -> int:
    for index, candidate in enumerate(columns):
        if candidate == column:
            return index
    raise WireError(f"{column.logical_name} is not captured", None, "capture_object_definition", CLAUSE)


def _read_capture_object(data: Data) -> CaptureObject:
    class_id, name, attribute, index = fields_of(data, 4, "capture_object_definition")
    return CaptureObject(class_id.integer, read_logical_name(name), attribute.integer, index.integer)
