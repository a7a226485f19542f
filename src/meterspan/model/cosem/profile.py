"""Profile generic (IEC 62056-6-2, 4.3.6): capture objects, and selective access by range and by entry.

Both sides use the wire's ``RangeAccess`` and ``EntryAccess``: a client asks with them, and a server applies them with
``select_rows`` to whatever keeps the rows (``ProfileRows``).
"""

from collections.abc import Iterable, Sequence
from datetime import tzinfo
from typing import Protocol, TypeAlias

from meterspan.model.cosem.classes import Clock, ProfileGeneric
from meterspan.model.cosem.objects import CosemObject, Selective
from meterspan.model.cosem.view import fields_of, read_logical_name
from meterspan.quantities import ClockTime, Obis
from meterspan.quantities.codes import CLOCK
from meterspan.wire.axdr import Data, DataType, array, clock, structure
from meterspan.wire.errors import WireError
from meterspan.wire.xdlms import Access, CaptureObjectDefinition, EntryAccess, RangeAccess

__all__ = [
    "CLOCK_COLUMN",
    "ProfileRows",
    "Row",
    "is_clock",
    "profile_object",
    "range_of_times",
    "read_capture_objects",
    "read_push_objects",
    "select_rows",
    "write_capture_objects",
]

CLAUSE = "IEC 62056-6-2, 4.3.6"
MAX_CAPTURE_OBJECTS = 256
"""Columns of one profile; field meters have up to some sixty."""

MAX_PUSH_OBJECTS = 1_024
"""Elements of one push object list: an access point pushes rows and scales of some sixty meters at once."""

SORT_FIFO = 1
RANGE_DESCRIPTOR, ENTRY_DESCRIPTOR = 1, 2
"""Access selectors of the buffer (4.3.6)."""

Row: TypeAlias = Sequence[Data]
"""The captured values of one entry, in the order of the capture objects."""

CLOCK_COLUMN = CaptureObjectDefinition(Clock.class_id, CLOCK, Clock.time.number)
"""Time of the standard clock object, 0-0:1.0.0."""


def is_clock(column: CaptureObjectDefinition) -> bool:
    """Return whether a column is the time of a clock object."""
    return column.class_id == Clock.class_id and column.attribute == Clock.time.number


def read_capture_object(data: Data) -> CaptureObjectDefinition:
    """Read one capture_object_definition.

    Raises:
        WireError: it has another shape.

    """
    class_id, name, attribute, index = fields_of(data, 4, "capture_object_definition")
    return CaptureObjectDefinition(class_id.integer, read_logical_name(name), attribute.integer, index.integer)


def read_capture_objects(data: Data) -> tuple[CaptureObjectDefinition, ...]:
    """Read the value of attribute 3.

    Raises:
        WireError: it has another shape, or more than ``MAX_CAPTURE_OBJECTS`` columns.

    """
    if len(data.items) > MAX_CAPTURE_OBJECTS:
        raise WireError(f"{len(data.items)} columns are more than {MAX_CAPTURE_OBJECTS}", None, "columns", CLAUSE)
    return tuple(read_capture_object(item) for item in data.items)


def read_push_objects(data: Data) -> tuple[CaptureObjectDefinition, ...]:
    """Read a push object list (4.4.8): capture object definitions; later editions add restriction and columns.

    Raises:
        WireError: it has another shape, is empty, or has more than ``MAX_PUSH_OBJECTS`` elements.

    """
    items = data.items if data.is_composite else ()
    if not 0 < len(items) <= MAX_PUSH_OBJECTS:
        raise WireError(f"a list of {len(items)} push objects", None, "push_object_list", "IEC 62056-6-2, 4.4.8")
    return tuple(_push_object(item) for item in items)


def _push_object(data: Data) -> CaptureObjectDefinition:
    parts = data.items if data.type is DataType.STRUCTURE else ()
    if not _PUSH_FIELDS_MIN <= len(parts) <= _PUSH_FIELDS_MAX or [part.type for part in parts[:3]] != _PUSH_TYPES:
        raise WireError("no push object", None, "push_object_definition", "IEC 62056-6-2, 4.4.8")
    return read_capture_object(structure(*parts[:_PUSH_FIELDS_MIN]))


_PUSH_TYPES = [DataType.LONG_UNSIGNED, DataType.OCTET_STRING, DataType.INTEGER]
_PUSH_FIELDS_MIN, _PUSH_FIELDS_MAX = 4, 6


def write_capture_objects(columns: Iterable[CaptureObjectDefinition]) -> Data:
    """Build the value of attribute 3."""
    return array(*(column.to_data() for column in columns))


def range_of_times(
    start: ClockTime, end: ClockTime, *, restricting: CaptureObjectDefinition = CLOCK_COLUMN
) -> RangeAccess:
    """Ask for all columns of the rows between two clock times, both included."""
    return RangeAccess(restricting, clock(start), clock(end))


class ProfileRows(Protocol):
    """What keeps the rows of a profile, oldest first."""

    def __len__(self) -> int:
        """How many rows there are (entries_in_use)."""
        ...

    def entries(self, first: int, last: int) -> Iterable[Row]:
        """Return the rows numbered ``first`` to ``last`` (from 1, both included, both within the profile)."""
        ...

    def between(self, start: int, end: int) -> Iterable[Row]:
        """Return the rows with ``start <= time <= end``, in UTC seconds."""
        ...


def profile_object(
    name: Obis,
    columns: Sequence[CaptureObjectDefinition],
    rows: ProfileRows,
    *,
    capacity: int,
    period_s: int = 0,
    zone: tzinfo | None = None,
) -> CosemObject:
    """Build a profile generic object, sorted first in, first out by its clock.

    Args:
        name: its logical name.
        columns: what is captured, the clock first.
        rows: what keeps the buffer.
        capacity: profile_entries, the most rows that ``rows`` keeps.
        period_s: capture period in seconds; 0 where rows are captured by event.
        zone: reads clock times without deviation in selections.

    """

    def read(_now: float, access: Access | None) -> Data:
        return select_rows(rows, columns, access, zone=zone)

    return CosemObject(
        ProfileGeneric,
        name,
        {
            ProfileGeneric.buffer: Selective((RANGE_DESCRIPTOR, ENTRY_DESCRIPTOR), read),
            ProfileGeneric.capture_objects: write_capture_objects(columns),
            ProfileGeneric.capture_period: period_s,
            ProfileGeneric.sort_method: SORT_FIFO,
            ProfileGeneric.sort_object: CLOCK_COLUMN.to_data(),
            ProfileGeneric.entries_in_use: lambda _now: len(rows),
            ProfileGeneric.profile_entries: capacity,
        },
    )


def select_rows(
    rows: ProfileRows, columns: Sequence[CaptureObjectDefinition], access: Access | None, *, zone: tzinfo | None = None
) -> Data:
    """Build the buffer's value: the selected rows and columns as an array of structures.

    Args:
        rows: the profile's rows.
        columns: its capture objects.
        access: what was asked for; None is everything.
        zone: reads clock times whose deviation is not specified.

    Raises:
        WireError: it names a column that the profile does not have, or an invalid time.

    """
    if access is None:
        return array(*(structure(*row) for row in rows.entries(1, len(rows))))
    if isinstance(access, EntryAccess):
        return _select_entries(rows, columns, access)
    if not isinstance(access, RangeAccess):
        raise WireError(f"a profile has no selector {access.selector} of this shape", None, "access-selector", CLAUSE)
    picked = [_index_of(column, columns) for column in access.selected]
    chosen = _range(rows, columns, access, zone)
    return array(*(structure(*([row[index] for index in picked] if picked else row)) for row in chosen))


def _select_entries(rows: ProfileRows, columns: Sequence[CaptureObjectDefinition], access: EntryAccess) -> Data:
    last = len(rows) if access.to_entry == 0 else min(access.to_entry, len(rows))
    last_column = access.to_selected or len(columns)
    if access.from_entry < 1 or not 1 <= access.from_selected <= last_column <= len(columns):
        raise WireError("entries and columns count from 1", None, "entry_descriptor", CLAUSE)
    if access.from_entry > last:
        return array()
    chosen = rows.entries(access.from_entry, last)
    return array(*(structure(*row[access.from_selected - 1 : last_column]) for row in chosen))


def _range(
    rows: ProfileRows, columns: Sequence[CaptureObjectDefinition], access: RangeAccess, zone: tzinfo | None
) -> Iterable[Row]:
    if is_clock(access.restricting):
        return rows.between(_instant(access.from_value, zone), _instant(access.to_value, zone))
    index = _index_of(access.restricting, columns)
    low, high = access.from_value.integer, access.to_value.integer
    return (row for row in rows.entries(1, len(rows)) if low <= row[index].integer <= high)


def _instant(data: Data, zone: tzinfo | None) -> int:
    moment = data.clock_time.to_utc(zone)
    if moment is None:
        raise WireError(f"{data.clock_time} is no instant", None, "range_descriptor", CLAUSE)
    return int(moment.timestamp())


def _index_of(column: CaptureObjectDefinition, columns: Sequence[CaptureObjectDefinition]) -> int:
    for index, candidate in enumerate(columns):
        if candidate == column:
            return index
    raise WireError(f"{column.instance} is not captured", None, "capture_object_definition", CLAUSE)
