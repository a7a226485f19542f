"""A profile's buffer column by column: the rows of an ARRAY of STRUCTURE share one layout, so it is parsed once.

Strategy: the first row gives tags, lengths and sizes; one comparison over all rows as an octet matrix checks that the
others have the same; then each column is one strided view, turned into integers or UTC seconds at once. Rows that
differ go through ``read_data``, where null-data repeats the value before (a clock goes on by the capture period) and
delta types add to it (IEC 62056-6-2, 4.3.6 and 4.1.5).
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from functools import lru_cache
from itertools import repeat
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from meterspan.quantities import DAY_ZERO, FIRST_SECOND, LAST_SECOND, ClockTime
from meterspan.wire.axdr.clock import (
    DATE_TIME_SIZE,
    DEVIATION_OPEN,
    looks_like_clock,
    read_clock_time,
    write_clock_time,
)
from meterspan.wire.axdr.data import (
    DELTA_TYPES,
    FLOAT_LAYOUT,
    INTEGER_LAYOUT,
    Data,
    DataType,
    IeeeFloat,
    Value,
    read_data,
)
from meterspan.wire.cursor import Cursor
from meterspan.wire.errors import WireError
from meterspan.wire.length import read_length

__all__ = [
    "NO_INSTANT",
    "ClockColumn",
    "Column",
    "FloatColumn",
    "IntegerColumn",
    "ProfileColumns",
    "ValueColumn",
    "read_columns",
]

CLAUSE = "IEC 62056-6-2, 4.3.6"
NO_INSTANT = -(2**63)
"""In a clock column's seconds: the meter named no instant (fields open or out of range, or no zone to read them in)."""
CACHED_LAYOUTS = 1_024
"""Row layouts kept: one per kind of profile and meter type, of about 2 KiB each."""
CACHED_DATES = 4_096
"""Dates whose day number is kept: eleven years."""
CLOCK_OPEN = b"\xff" * 8 + b"\xff\x80\x00\xff"


@dataclass(frozen=True, slots=True, eq=False)
class IntegerColumn:
    """Integers, enums or booleans of one type."""

    type: DataType
    values: NDArray[np.int64]

    def to_list(self) -> list[int]:
        """Return Python integers, or bools of a boolean column."""
        values: list[int] = self.values.tolist()
        return [bool(value) for value in values] if self.type is DataType.BOOLEAN else values


@dataclass(frozen=True, slots=True, eq=False)
class FloatColumn:
    """Floats of one type; every float32 is exact in a float64."""

    type: DataType
    values: NDArray[np.float64]

    def to_list(self) -> list[float]:
        """Return Python floats."""
        values: list[float] = self.values.tolist()
        return values


@dataclass(frozen=True, slots=True, eq=False)
class ClockColumn:
    """Date-times of one column.

    Attributes:
        seconds: UTC seconds since 1970, ``NO_INSTANT`` where the meter named none.
        octets: what the meter sent, 12 octets a row; all open where it sent null-data.

    """

    seconds: NDArray[np.int64]
    octets: NDArray[np.uint8]

    @property
    def deviation_min(self) -> NDArray[np.int64]:
        """Minutes from local time to UTC by row; -0x8000 is not specified."""
        return _deviation(self.octets.astype(np.int64))

    @property
    def status(self) -> NDArray[np.uint8]:
        """Clock status by row; 0xFF is not specified."""
        return self.octets[:, 11]

    def clock_times(self) -> list[ClockTime]:
        """Return every row as the meter's clock said it."""
        return [read_clock_time(row.tobytes()) for row in self.octets]

    def to_list(self) -> list[datetime | None]:
        """Return aware UTC datetimes to the second; None where there is no instant."""
        seconds: list[int] = self.seconds.tolist()
        if NO_INSTANT not in seconds:
            return list(map(datetime.fromtimestamp, seconds, repeat(UTC)))
        return [None if second == NO_INSTANT else datetime.fromtimestamp(second, UTC) for second in seconds]


@dataclass(frozen=True, slots=True, eq=False)
class ValueColumn:
    """Values that are no numbers (strings, bits, nested values), that exceed 64 bits signed, or that are missing."""

    values: tuple[Value, ...]

    def to_list(self) -> list[Value]:
        """Return the values of ``Data``."""
        return list(self.values)


Column: TypeAlias = IntegerColumn | FloatColumn | ClockColumn | ValueColumn


@dataclass(frozen=True, slots=True, eq=False)
class ProfileColumns:
    """The rows of a profile, by column."""

    count: int
    columns: tuple[Column, ...]

    def rows(self) -> list[tuple[Value | datetime, ...]]:
        """Return typed rows: aware UTC datetimes for clocks, integers, floats, and else the values of ``Data``."""
        return list(zip(*[column.to_list() for column in self.columns], strict=True))


def read_columns(
    octets: bytes,
    *,
    clocks: Collection[int] | None = None,
    zone: tzinfo | None = None,
    capture_period_s: int | None = None,
) -> ProfileColumns:
    """Read the encoded value of a profile's buffer: an array (or compact-array) of structures of one width.

    Args:
        octets: one A-XDR value, all of it.
        clocks: columns that hold date-times; by default those whose first value looks like one.
        zone: decides where a clock's deviation is not specified; without it such a row has no instant.
        capture_period_s: what a clock sent as null-data goes on by; without it such a row has no instant.

    Raises:
        WireError: truncated, no array of structures of one width, or a delta without a value before it.

    """
    cursor = Cursor(octets)
    if cursor.u8("buffer") == DataType.ARRAY:
        count = read_length(cursor, "buffer count")
        layout = _first_layout(cursor) if count else None
        if layout is not None and cursor.remaining == count * layout.stride:
            matrix = np.frombuffer(octets, np.uint8, offset=cursor.offset).reshape(count, layout.stride)
            if ((matrix & layout.mask) == layout.template).all():
                numbers = np.frombuffer(octets, layout.numbers, offset=cursor.offset)
                columns = [
                    _column_at(matrix, numbers, place, None if clocks is None else index in clocks, zone)
                    for index, place in enumerate(layout.places)
                ]
                return ProfileColumns(count, tuple(columns))
    return _read_rows(read_data(octets, "buffer"), clocks, zone, capture_period_s)


@dataclass(frozen=True, slots=True)
class _ValuePlace:
    """Where the octets of a column's value stand in a row, and how they read."""

    type: DataType
    offset: int
    size: int


@dataclass(frozen=True, slots=True, eq=False)
class _RowLayout:
    """A row: its octets, which of them are tags and lengths, and the places of the values.

    Attributes:
        stride: octets of a row.
        mask: 0xFF where a tag or length stands, 0 where a value does.
        template: the first row under the mask, which all other rows must share.
        numbers: a row as NumPy reads it: each number is a field, named by its offset.
        places: of the values.

    """

    stride: int
    mask: NDArray[np.uint8]
    template: NDArray[np.uint8]
    numbers: np.dtype[np.void]
    places: tuple[_ValuePlace, ...]


_SIZES: dict[int, int] = {
    DataType.NULL: 0,
    DataType.BOOLEAN: 1,
    DataType.DATE_TIME: DATE_TIME_SIZE,
    **{int(type_): size for type_, (size, _) in INTEGER_LAYOUT.items() if type_ not in DELTA_TYPES},
    **{int(type_): size for type_, size in FLOAT_LAYOUT.items()},
}
_STRINGS = frozenset({DataType.OCTET_STRING, DataType.VISIBLE_STRING})


def _first_layout(cursor: Cursor) -> _RowLayout | None:
    """Parse the first row into a layout; None where only the generic reader can read it."""
    octets, offset, end = cursor.octets, cursor.offset, cursor.end
    if offset + 2 > end or octets[offset] != DataType.STRUCTURE or not 0 < octets[offset + 1] < 0x80:
        return None
    head, signature = octets[offset : offset + 2], []
    offset += 2
    for _ in range(head[1]):
        if offset >= end:
            return None
        tag = octets[offset]
        size = _SIZES.get(tag)
        start = offset + 1
        if size is None:
            if tag not in _STRINGS or start >= end or octets[start] >= 0x80:
                return None
            size = octets[start]
            start += 1
        signature.append((octets[offset:start], size))
        offset = start + size
    return _layout(head, tuple(signature))


@lru_cache(maxsize=CACHED_LAYOUTS)
def _layout(head: bytes, signature: tuple[tuple[bytes, int], ...]) -> _RowLayout:
    mask, template = bytearray(b"\xff" * len(head)), bytearray(head)
    places: list[_ValuePlace] = []
    for tags, size in signature:
        mask += b"\xff" * len(tags) + bytes(size)
        template += tags
        places.append(_ValuePlace(DataType(tags[0]), len(template), size))
        template += bytes(size)
    return _RowLayout(
        len(template),
        np.frombuffer(bytes(mask), np.uint8),
        np.frombuffer(bytes(template), np.uint8),
        _numbers(places, len(template)),
        tuple(places),
    )


def _numbers(places: Sequence[_ValuePlace], stride: int) -> "np.dtype[np.void]":
    formats = {place: f">{_kind(place.type)}{place.size}" for place in places if _kind(place.type)}
    return np.dtype(
        {
            "names": [str(place.offset) for place in formats],
            "formats": list(formats.values()),
            "offsets": [place.offset for place in formats],
            "itemsize": stride,
        }
    )


def _kind(type_: DataType) -> str:
    """Return NumPy's letter of a number type, "" for any other."""
    if type_ in INTEGER_LAYOUT:
        return "i" if INTEGER_LAYOUT[type_][1] else "u"
    return "f" if type_ in FLOAT_LAYOUT else ""


def _column_at(
    matrix: NDArray[np.uint8],
    numbers: NDArray[np.void],
    place: _ValuePlace,
    is_clock: bool | None,  # noqa: FBT001 - None leaves it to the octets
    zone: tzinfo | None,
) -> Column:
    if place.type in INTEGER_LAYOUT:
        return _integer_column(place.type, numbers[str(place.offset)])
    if place.type in FLOAT_LAYOUT:
        return FloatColumn(place.type, numbers[str(place.offset)].astype(np.float64))
    block = matrix[:, place.offset : place.offset + place.size]
    if place.type is DataType.BOOLEAN:
        return IntegerColumn(place.type, (block[:, 0] != 0).astype(np.int64))
    if place.type is DataType.NULL:
        return ValueColumn((None,) * len(matrix))
    if is_clock is None:
        is_clock = looks_like_clock(block[0].tobytes())
    if place.type is DataType.DATE_TIME or (is_clock and place.size == DATE_TIME_SIZE):
        return ClockColumn(_instants(block, zone), block)
    values = [row.tobytes() for row in block]
    if place.type is DataType.VISIBLE_STRING:
        return ValueColumn(tuple(value.decode("latin-1") for value in values))
    return ValueColumn(tuple(values))


def _integer_column(type_: DataType, numbers: NDArray[np.generic]) -> Column:
    if type_ is DataType.LONG64_UNSIGNED:
        values: list[int] = numbers.tolist()
        if max(values) >= 2**63:
            return ValueColumn(tuple(values))
    return IntegerColumn(type_, numbers.astype(np.int64))


_DAYS_OF_MONTH = np.array([0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] + [0] * 243)
_MAX_YEAR = 9999
_MAX_DEVIATION_MIN = 24 * 60 - 1
_DATE_TIME = np.dtype(
    {
        "names": ["date", "clock", "deviation"],
        "formats": [">u4", ("u1", 4), ">i2"],
        "offsets": [0, 5, 9],
        "itemsize": DATE_TIME_SIZE,
    }
)
"""A date-time as NumPy reads it: year, month and day; hour to hundredths; deviation."""
_TIME_MAX = np.array([23, 59, 59, 99], np.uint8)
_CLOCK_WEIGHTS = np.array([3_600, 60, 1], np.int64)
_EPOCH = DAY_ZERO.toordinal()


def _deviation(octets: NDArray[np.int64]) -> NDArray[np.int64]:
    raw = octets[:, 9] << 8 | octets[:, 10]
    return raw - (raw >> 15 << 16)


def _instants(block: NDArray[np.uint8], zone: tzinfo | None) -> NDArray[np.int64]:
    """Turn date-times into UTC seconds, row by row as ``ClockTime.to_utc`` does, all at once.

    Neighbouring rows share their date, so a date is worked out once where every row is an ordinary instant.
    """
    ordinary = _ordinary_instants(block)
    return _any_instants(block, zone) if ordinary is None else ordinary


def _ordinary_instants(block: NDArray[np.uint8]) -> NDArray[np.int64] | None:
    """Return UTC seconds where every row has a date, a whole time and a deviation, and dates repeat; else None."""
    rows = np.ascontiguousarray(block).view(_DATE_TIME)[:, 0]
    dates, clocks = rows["date"], rows["clock"]
    (heads,) = (dates[1:] != dates[:-1]).nonzero()
    if 4 * len(heads) > len(dates) or (clocks > _TIME_MAX).any():
        return None
    deviation = rows["deviation"].astype(np.int64)
    starts = [0, *(heads + 1).tolist()]
    days = [_day_of(int(dates[start])) for start in starts]
    if None in days or deviation.min() < -_MAX_DEVIATION_MIN or deviation.max() > _MAX_DEVIATION_MIN:
        return None
    seconds: NDArray[np.int64] = clocks[:, :3] @ _CLOCK_WEIGHTS + deviation * 60
    for start, end, day in zip(starts, [*starts[1:], len(dates)], days, strict=True):
        seconds[start:end] += (day or 0) * 86_400
    return seconds


@lru_cache(maxsize=CACHED_DATES)
def _day_of(date_octets: int) -> int | None:
    """Return the days since 1970-01-01 of year (2 octets), month and day; None where there is no such day."""
    try:
        moment = date(date_octets >> 16, date_octets >> 8 & 0xFF, date_octets & 0xFF)
    except ValueError:
        return None
    return moment.toordinal() - _EPOCH if 1 < moment.year < _MAX_YEAR else None


def _any_instants(block: NDArray[np.uint8], zone: tzinfo | None) -> NDArray[np.int64]:
    octets = block.astype(np.int64)
    year = octets[:, 0] << 8 | octets[:, 1]
    month, day, hour, minute, second, hundredths = (octets[:, index] for index in (2, 3, 5, 6, 7, 8))
    minute, second = np.where(minute == 0xFF, 0, minute), np.where(second == 0xFF, 0, second)
    deviation = _deviation(octets)
    leap = (year % 4 == 0) & ((year % 100 != 0) | (year % 400 == 0))
    exists = (
        (year >= 1)
        & (year <= _MAX_YEAR)
        & (day >= 1)
        & (day <= _DAYS_OF_MONTH[month])
        & ((month != 2) | (day < 29) | leap)
        & (hour < 24)
        & (minute < 60)
        & (second < 60)
        & ((hundredths < 100) | (hundredths == 0xFF))
        & (np.abs(deviation) <= _MAX_DEVIATION_MIN)
    )
    utc = _days(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second + deviation * 60
    exists &= (utc >= FIRST_SECOND) & (utc <= LAST_SECOND)
    seconds: NDArray[np.int64] = np.where(exists, utc, NO_INSTANT)
    if zone is not None:
        for index in np.flatnonzero(deviation == DEVIATION_OPEN).tolist():
            moment = read_clock_time(block[index].tobytes()).to_utc(zone)
            if moment is not None:
                seconds[index] = int(moment.timestamp() // 1)
    return seconds


def _days(year: NDArray[np.int64], month: NDArray[np.int64], day: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count the days since 1970-01-01 of the Gregorian calendar, years beginning in March."""
    shifted = year - (month <= 2)
    era = shifted // 400
    year_of_era = shifted - era * 400
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    days: NDArray[np.int64] = (
        era * 146_097 + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - 719_468
    )
    return days


def _read_rows(
    buffer: Data, clocks: Collection[int] | None, zone: tzinfo | None, capture_period_s: int | None
) -> ProfileColumns:
    rows = [_row_items(row) for row in buffer.items]
    widths = {len(row) for row in rows}
    if len(widths) > 1:
        raise WireError(f"rows of {sorted(widths)} columns", None, "buffer", CLAUSE)
    columns: list[Column] = []
    for index, items in enumerate(zip(*rows, strict=True)):
        is_clock = _is_clock(items) if clocks is None else index in clocks
        columns.append(_clock_column(items, zone, capture_period_s) if is_clock else _plain_column(items))
    return ProfileColumns(len(rows), tuple(columns))


def _row_items(row: Data) -> tuple[Data, ...]:
    if row.type is not DataType.STRUCTURE:
        raise WireError(f"a row is {row.type.text}, not a structure", None, "buffer", CLAUSE)
    return row.items


def _is_clock(items: Sequence[Data]) -> bool:
    first = next((item.value for item in items if item.type is not DataType.NULL), None)
    return isinstance(first, ClockTime) or (isinstance(first, bytes) and looks_like_clock(first))


def _clock_column(items: Sequence[Data], zone: tzinfo | None, capture_period_s: int | None) -> ClockColumn:
    octets = b"".join(CLOCK_OPEN if item.type is DataType.NULL else _clock_octets(item) for item in items)
    block = np.frombuffer(octets, np.uint8).reshape(len(items), DATE_TIME_SIZE)
    seconds = _instants(block, zone)
    if capture_period_s is not None:
        for index, item in enumerate(items):
            if index and item.type is DataType.NULL and seconds[index - 1] != NO_INSTANT:
                seconds[index] = seconds[index - 1] + capture_period_s
    return ClockColumn(seconds, block)


def _clock_octets(item: Data) -> bytes:
    if isinstance(item.value, ClockTime):
        return write_clock_time(item.value)
    if len(item.octets) != DATE_TIME_SIZE:
        raise WireError(f"a clock of {len(item.octets)} octets", None, "buffer", CLAUSE)
    return item.octets


def _plain_column(items: Sequence[Data]) -> Column:
    values = tuple(_resolved(items))
    type_ = next((item.type for item in items if item.type is not DataType.NULL), DataType.NULL)
    if values and all(isinstance(value, int) and -(2**63) <= value < 2**63 for value in values):
        return IntegerColumn(type_, np.array(values, np.int64))
    if values and all(isinstance(value, IeeeFloat) for value in values):
        return FloatColumn(type_, np.array([value.number for value in values if isinstance(value, IeeeFloat)]))
    return ValueColumn(values)


def _resolved(items: Sequence[Data]) -> Iterator[Value]:
    """Yield each value, with null-data and differences replaced by what they stand for."""
    previous: Value = None
    for item in items:
        if item.type in DELTA_TYPES:
            if not isinstance(previous, int):
                raise WireError(f"{item.type.text} without an integer before it", None, "buffer", CLAUSE)
            previous += item.integer
        elif item.type is not DataType.NULL:
            previous = item.value
        yield previous
