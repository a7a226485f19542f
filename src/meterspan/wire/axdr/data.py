"""The COSEM ``Data`` type in A-XDR (IEC 62056-5-3, annex A; types of IEC 62056-6-2, 4.1.5; rules of IEC 61334-6).

Layout: one tag octet, then the value; strings carry a length, arrays and structures a count. A compact-array carries
its type description once and then bare values. A ``Data`` holds a plain Python value, so that a model compares and
computes without knowing the wire; floats stay IEEE bits. Depth is bounded, and so is the number of values: they are
charged to the cursor's budget before they are made, those that take longer to read as several.
"""

from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from enum import IntEnum
from itertools import repeat
from struct import pack, unpack
from typing import TypeAlias

from meterspan.quantities import ClockTime, Obis
from meterspan.wire.axdr.clock import (
    DATE_SIZE,
    DATE_TIME_SIZE,
    TIME_SIZE,
    looks_like_clock,
    read_clock_date,
    read_clock_time,
    read_time_of_day,
    write_clock_date,
    write_clock_time,
    write_time_of_day,
)
from meterspan.wire.axdr.length import read_flag, read_octets, write_octets
from meterspan.wire.cursor import Cursor
from meterspan.wire.errors import UnsupportedError, WireError
from meterspan.wire.length import read_length, write_length

__all__ = [
    "BitString",
    "CompactArray",
    "Data",
    "DataType",
    "IeeeFloat",
    "TypeDescription",
    "Value",
    "array",
    "bit_string",
    "boolean",
    "clock",
    "compact_array",
    "date",
    "double_long",
    "double_long_unsigned",
    "enum",
    "float32",
    "float64",
    "integer",
    "long",
    "long64",
    "long64_unsigned",
    "long_unsigned",
    "null",
    "octet_string",
    "read_data",
    "structure",
    "time_of_day",
    "unsigned",
    "utf8_string",
    "visible_string",
    "write_data",
]

CLAUSE = "IEC 62056-6-2, 4.1.5"
_COMPOSITE, _COMPACT, _CLOCK = 1, 3, 2
"""What an array or structure, a compact-array and a date-time are charged beside the value that each of them is."""
MAX_DEPTH = 24
"""Nesting of arrays and structures; an object list with access rights nests 6 deep, and Python's stack must hold."""


class DataType(IntEnum):
    """Tags of the COSEM data types."""

    NULL = 0
    ARRAY = 1
    STRUCTURE = 2
    BOOLEAN = 3
    BIT_STRING = 4
    DOUBLE_LONG = 5
    DOUBLE_LONG_UNSIGNED = 6
    FLOATING_POINT = 7
    """The old name of float32, before the first edition of the Blue Book's FLOAT32."""
    OCTET_STRING = 9
    VISIBLE_STRING = 10
    UTF8_STRING = 12
    BCD = 13
    INTEGER = 15
    LONG = 16
    UNSIGNED = 17
    LONG_UNSIGNED = 18
    COMPACT_ARRAY = 19
    LONG64 = 20
    LONG64_UNSIGNED = 21
    ENUM = 22
    FLOAT32 = 23
    FLOAT64 = 24
    DATE_TIME = 25
    DATE = 26
    TIME = 27
    DELTA_INTEGER = 28
    DELTA_LONG = 29
    DELTA_DOUBLE_LONG = 30
    DELTA_UNSIGNED = 31
    DELTA_LONG_UNSIGNED = 32
    DELTA_DOUBLE_LONG_UNSIGNED = 33
    DONT_CARE = 255

    @property
    def text(self) -> str:
        """The standard's spelling: ``double-long-unsigned``."""
        return _TEXTS[self]


INTEGER_LAYOUT: dict[DataType, tuple[int, bool]] = {
    DataType.DOUBLE_LONG: (4, True),
    DataType.DOUBLE_LONG_UNSIGNED: (4, False),
    DataType.BCD: (1, False),
    DataType.INTEGER: (1, True),
    DataType.LONG: (2, True),
    DataType.UNSIGNED: (1, False),
    DataType.LONG_UNSIGNED: (2, False),
    DataType.LONG64: (8, True),
    DataType.LONG64_UNSIGNED: (8, False),
    DataType.ENUM: (1, False),
    DataType.DELTA_INTEGER: (1, True),
    DataType.DELTA_LONG: (2, True),
    DataType.DELTA_DOUBLE_LONG: (4, True),
    DataType.DELTA_UNSIGNED: (1, False),
    DataType.DELTA_LONG_UNSIGNED: (2, False),
    DataType.DELTA_DOUBLE_LONG_UNSIGNED: (4, False),
}
"""Octets and sign of every integer type."""

FLOAT_LAYOUT = {DataType.FLOATING_POINT: 4, DataType.FLOAT32: 4, DataType.FLOAT64: 8}

DELTA_TYPES = frozenset(
    {
        DataType.DELTA_INTEGER,
        DataType.DELTA_LONG,
        DataType.DELTA_DOUBLE_LONG,
        DataType.DELTA_UNSIGNED,
        DataType.DELTA_LONG_UNSIGNED,
        DataType.DELTA_DOUBLE_LONG_UNSIGNED,
    }
)
"""Types whose value is a difference to the same element of the entry before (IEC 62056-6-2, 4.1.5)."""


@dataclass(frozen=True, slots=True)
class BitString:
    """``size`` bits, the first one the most significant bit of the first octet."""

    octets: bytes
    size: int

    def __str__(self) -> str:
        """Write the bits in order."""
        return "".join(f"{octet:08b}" for octet in self.octets)[: self.size]

    def __getitem__(self, index: int) -> bool:
        """Return whether bit ``index`` is set, counted from the first."""
        if not 0 <= index < self.size:
            raise IndexError(f"bit {index} of {self.size}")
        return bool(self.octets[index >> 3] & 0x80 >> (index & 7))


@dataclass(frozen=True, slots=True)
class IeeeFloat:
    """A float as the bits on the wire (IEEE 754, 4 or 8 octets), so that nothing is rounded on the way through."""

    bits: bytes

    def __str__(self) -> str:
        """Write the number in the shortest form that reads back."""
        return repr(self.number)

    @property
    def number(self) -> float:
        """The value as a Python float (exact: a double holds every single)."""
        value: float = unpack(">f" if len(self.bits) == 4 else ">d", self.bits)[0]
        return value

    @property
    def decimal(self) -> Decimal:
        """The exact decimal value of the bits."""
        return Decimal(self.number)


@dataclass(frozen=True, slots=True)
class TypeDescription:
    """The shape of a compact-array's elements: a simple type, an array of ``count`` equal items, or a structure."""

    type: DataType
    count: int = 0
    items: "tuple[TypeDescription, ...]" = ()

    def __str__(self) -> str:
        """Write the shape: ``structure{unsigned, array[4]{long}}``."""
        if self.type not in (DataType.ARRAY, DataType.STRUCTURE):
            return self.type.text
        size = f"[{self.count}]" if self.type is DataType.ARRAY else ""
        return f"{self.type.text}{size}{{{', '.join(map(str, self.items))}}}"


@dataclass(frozen=True, slots=True)
class CompactArray:
    """Equal elements under one description; each item of ``items`` carries the types of the description."""

    description: TypeDescription
    items: "tuple[Data, ...]"


Value: TypeAlias = (
    int | bool | bytes | str | BitString | IeeeFloat | ClockTime | CompactArray | tuple["Data", ...] | None
)
"""What a ``Data`` holds: by its type an int, a bool, octets, text, or one of the records above; None for null-data."""


@dataclass(frozen=True, slots=True)
class Data:
    """One COSEM value with its type.

    A ``UTF8_STRING`` whose octets are not UTF-8 keeps them as ``bytes``. ``DATE`` and ``TIME`` hold a ``ClockTime``
    with only their own fields.
    """

    type: DataType
    value: Value = None

    def __str__(self) -> str:
        """Write type and value: ``double-long-unsigned 1234``, ``structure{…}``."""
        value = self.value
        if isinstance(value, tuple):
            return f"{self.type.text}{{{', '.join(map(str, value))}}}"
        if isinstance(value, CompactArray):
            return f"{self.type.text} of {value.description}{{{', '.join(map(str, value.items))}}}"
        if value is None:
            return self.type.text
        return f"{self.type.text} {meaning_of(value)}"

    @property
    def is_composite(self) -> bool:
        """Whether this is an array, a structure or a compact-array."""
        return isinstance(self.value, (tuple, CompactArray))

    @property
    def items(self) -> "tuple[Data, ...]":
        """The elements of an array, a structure or a compact-array.

        Raises:
            WireError: the peer sent a simple value here.

        """
        if isinstance(self.value, tuple):
            return self.value
        if isinstance(self.value, CompactArray):
            return self.value.items
        raise WireError(f"is {self.type.text}, not an array or structure", None, "data", CLAUSE)

    @property
    def integer(self) -> int:
        """The number of any integer, enum or boolean type.

        Raises:
            WireError: the peer sent another type here.

        """
        if isinstance(self.value, int):
            return int(self.value)
        raise WireError(f"is {self.type.text}, not an integer", None, "data", CLAUSE)

    @property
    def octets(self) -> bytes:
        """The octets of an octet-string.

        Raises:
            WireError: the peer sent another type here.

        """
        if isinstance(self.value, bytes):
            return self.value
        raise WireError(f"is {self.type.text}, not an octet-string", None, "data", CLAUSE)

    @property
    def text(self) -> str:
        """The characters of a visible-string or utf8-string, or of an octet-string that holds some.

        Raises:
            WireError: the peer sent another type here.

        """
        if isinstance(self.value, str):
            return self.value
        return self.octets.decode("latin-1")

    @property
    def clock_time(self) -> ClockTime:
        """The date-time, also where it stands in an octet-string of 12, 5 or 4 octets, as attributes carry it.

        Raises:
            WireError: the peer sent another type or size here.

        """
        if isinstance(self.value, ClockTime):
            return self.value
        octets = self.octets
        read = _CLOCK_READERS.get(len(octets), read_clock_time)
        return read(octets)


def null() -> Data:
    """Build null-data."""
    return Data(DataType.NULL)


def boolean(value: bool) -> Data:  # noqa: FBT001 - the value itself
    """Build a boolean."""
    return Data(DataType.BOOLEAN, value)


def integer(value: int) -> Data:
    """Build an integer (8 bits, signed)."""
    return integer_of(DataType.INTEGER, value)


def unsigned(value: int) -> Data:
    """Build an unsigned (8 bits)."""
    return integer_of(DataType.UNSIGNED, value)


def long(value: int) -> Data:
    """Build a long (16 bits, signed)."""
    return integer_of(DataType.LONG, value)


def long_unsigned(value: int) -> Data:
    """Build a long-unsigned (16 bits)."""
    return integer_of(DataType.LONG_UNSIGNED, value)


def double_long(value: int) -> Data:
    """Build a double-long (32 bits, signed)."""
    return integer_of(DataType.DOUBLE_LONG, value)


def double_long_unsigned(value: int) -> Data:
    """Build a double-long-unsigned (32 bits)."""
    return integer_of(DataType.DOUBLE_LONG_UNSIGNED, value)


def long64(value: int) -> Data:
    """Build a long64 (64 bits, signed)."""
    return integer_of(DataType.LONG64, value)


def long64_unsigned(value: int) -> Data:
    """Build a long64-unsigned (64 bits)."""
    return integer_of(DataType.LONG64_UNSIGNED, value)


def enum(value: int) -> Data:
    """Build an enum (8 bits)."""
    return integer_of(DataType.ENUM, int(value))


def octet_string(value: bytes | Obis) -> Data:
    """Build an octet-string; an ``Obis`` gives its six octets."""
    return Data(DataType.OCTET_STRING, bytes(value))


def visible_string(value: str) -> Data:
    """Build a visible-string.

    Raises:
        ValueError: a character is outside Latin-1.

    """
    value.encode("latin-1")
    return Data(DataType.VISIBLE_STRING, value)


def utf8_string(value: str) -> Data:
    """Build a utf8-string."""
    return Data(DataType.UTF8_STRING, value)


def bit_string(bits: str) -> Data:
    """Build a bit-string from the text of its bits: ``bit_string("1011")``."""
    octets = int(bits.ljust(-(-len(bits) // 8) * 8, "0") or "0", 2).to_bytes(-(-len(bits) // 8), "big")
    return Data(DataType.BIT_STRING, BitString(octets, len(bits)))


def float32(value: float) -> Data:
    """Build a float32; the nearest single is taken."""
    return Data(DataType.FLOAT32, IeeeFloat(pack(">f", value)))


def float64(value: float) -> Data:
    """Build a float64."""
    return Data(DataType.FLOAT64, IeeeFloat(pack(">d", value)))


def clock(value: ClockTime) -> Data:
    """Build the octet-string of 12 octets that carries a date-time in attributes (Clock.time, a profile's clock)."""
    return Data(DataType.OCTET_STRING, write_clock_time(value))


def date(value: ClockTime) -> Data:
    """Build the octet-string of 5 octets that carries a date in attributes."""
    return Data(DataType.OCTET_STRING, write_clock_date(value))


def time_of_day(value: ClockTime) -> Data:
    """Build the octet-string of 4 octets that carries a time in attributes."""
    return Data(DataType.OCTET_STRING, write_time_of_day(value))


def structure(*items: Data) -> Data:
    """Build a structure of these elements."""
    return Data(DataType.STRUCTURE, items)


def array(*items: Data) -> Data:
    """Build an array of these elements."""
    return Data(DataType.ARRAY, items)


def compact_array(*items: Data) -> Data:
    """Build a compact-array; the description is taken from the first element, and all must fit it.

    Raises:
        ValueError: no element, or one of another shape.

    """
    if not items:
        raise ValueError("a compact-array of no elements has no description")
    description = describe(items[0])
    if any(describe(item) != description for item in items):
        raise ValueError(f"elements do not all have the shape {description}")
    return Data(DataType.COMPACT_ARRAY, CompactArray(description, items))


def describe(data: Data) -> TypeDescription:
    """Return the shape of a value, as a compact-array states it.

    Raises:
        ValueError: an inner array holds elements of different shapes, or none.

    """
    if data.type is DataType.STRUCTURE:
        return TypeDescription(data.type, 0, tuple(describe(item) for item in data.items))
    if data.type is DataType.ARRAY:
        shapes = {describe(item) for item in data.items}
        if len(shapes) != 1:
            raise ValueError("an array in a compact-array has elements of one shape")
        return TypeDescription(data.type, len(data.items), (shapes.pop(),))
    return TypeDescription(data.type)


def read_data(source: bytes | Cursor, name: str = "data") -> Data:
    """Read one value; octets must be used up, a cursor is left behind the value.

    Raises:
        WireError: truncated, a bad length, too deep, or octets left over.
        UnsupportedError: a tag that the standard does not list.

    """
    if isinstance(source, Cursor):
        return _read(source, name, 0)
    cursor = Cursor(source)
    data = _read(cursor, name, 0)
    cursor.finish(name)
    return data


def write_data(data: Data) -> bytes:
    """Write one value, tag first.

    Raises:
        ValueError: the Python value does not fit the type.

    """
    parts: list[bytes] = []
    _write(data, parts)
    return b"".join(parts)


def meaning_of(value: Value) -> str:
    """Return a simple value in words: a logical name or date-time where octets look like one."""
    if not isinstance(value, bytes):
        return str(value)
    if len(value) == 6 and value[5] == 0xFF:
        return f"{value.hex()} ({Obis(*value)})"
    if looks_like_clock(value):
        return f"{value.hex()} ({read_clock_time(value)})"
    if len(value) > 3 and value.isascii() and value.decode().isprintable():
        return f'{value.hex()} ("{value.decode()}")'
    return value.hex()


def integer_of(type_: DataType, value: int) -> Data:
    """Build a value of any integer type.

    Raises:
        ValueError: the number is outside the type's range.

    """
    size, signed = INTEGER_LAYOUT[type_]
    low, high = (-1 << 8 * size - 1, (1 << 8 * size - 1) - 1) if signed else (0, (1 << 8 * size) - 1)
    if not low <= value <= high:
        raise ValueError(f"{value} is outside {type_.text}, {low}..{high}")
    return Data(type_, value)


def _read(cursor: Cursor, name: str, depth: int) -> Data:
    position = cursor.position
    tag = cursor.u8(name)
    reader = _READERS.get(tag)
    if reader is None:
        raise UnsupportedError(f"no data type has tag {tag:#04x}", position, name, CLAUSE)
    type_, read = reader
    if cursor.trace is not None:
        cursor.explain(type_.text)
    if type_ is DataType.NULL:
        return _NULL
    value = read(cursor, name, depth)
    if cursor.trace is not None and type_ not in _COMPOSITES and cursor.position > position + 1:
        cursor.explain(meaning_of(value))
    return Data(type_, value)


def _read_items(cursor: Cursor, name: str, depth: int) -> tuple[Data, ...]:
    position = cursor.position
    if depth >= MAX_DEPTH:
        raise WireError(f"nested deeper than {MAX_DEPTH}", position, name, CLAUSE)
    count = read_length(cursor, f"{name} count")
    if count > cursor.remaining:  # every element has at least its tag
        raise WireError(f"announces {count} elements, has {cursor.remaining} octets", position, name, CLAUSE)
    cursor.charge(_COMPOSITE + count, name)
    if cursor.trace is None:
        return tuple([_read(cursor, name, depth + 1) for _ in range(count)])
    return tuple([_read(cursor, f"{name}[{index}]", depth + 1) for index in range(count)])


def _integer_reader(size: int, *, signed: bool) -> "_Reader":
    def read(cursor: Cursor, name: str, _depth: int) -> int:
        return cursor.big(size, name, signed=signed)

    return read


def _float_reader(size: int) -> "_Reader":
    def read(cursor: Cursor, name: str, _depth: int) -> IeeeFloat:
        return IeeeFloat(cursor.take(size, name))

    return read


def _clock_reader(size: int, convert: Callable[[bytes], ClockTime]) -> "_Reader":
    def read(cursor: Cursor, name: str, _depth: int) -> ClockTime:
        cursor.charge(_CLOCK, name)
        return convert(cursor.take(size, name))

    return read


def _read_null(_cursor: Cursor, _name: str, _depth: int) -> None:
    return None


def _read_boolean(cursor: Cursor, name: str, _depth: int) -> bool:
    return read_flag(cursor, name)


def _read_octet_string(cursor: Cursor, name: str, _depth: int) -> bytes:
    return read_octets(cursor, name)


def _read_bit_string(cursor: Cursor, name: str, _depth: int) -> BitString:
    size = read_length(cursor, f"{name} bits")
    return BitString(cursor.take(-(-size // 8), name), size)


def _read_visible_string(cursor: Cursor, name: str, _depth: int) -> str:
    return read_octets(cursor, name).decode("latin-1")


def _read_utf8_string(cursor: Cursor, name: str, _depth: int) -> str | bytes:
    octets = read_octets(cursor, name)
    try:
        return octets.decode()
    except UnicodeDecodeError:  # meters send Latin-1 here; the octets survive
        return octets


def _read_compact_array(cursor: Cursor, name: str, depth: int) -> CompactArray:
    cursor.charge(_COMPACT, name)
    description = _read_description(cursor, f"{name} contents-description", depth)
    size = read_length(cursor, f"{name} array-contents length")
    position = cursor.position
    contents = cursor.sub(size, f"{name} array-contents")
    if size and not _least_octets(description):
        raise WireError("elements of no octets", position, name, CLAUSE)
    values = _values_of(description)
    items: list[Data] = []
    while contents.remaining:
        contents.charge(values, name)
        items.append(_read_element(contents, description, f"{name}[{len(items)}]" if cursor.trace else name))
    return CompactArray(description, tuple(items))


def _read_description(cursor: Cursor, name: str, depth: int) -> TypeDescription:
    position = cursor.position
    if depth >= MAX_DEPTH:
        raise WireError(f"nested deeper than {MAX_DEPTH}", position, name, CLAUSE)
    tag = cursor.u8(name)
    if tag not in _READERS or tag == DataType.COMPACT_ARRAY:
        raise UnsupportedError(f"no type description has tag {tag:#04x}", position, name, CLAUSE)
    type_ = DataType(tag)
    cursor.explain(type_.text)
    if type_ is DataType.ARRAY:
        count = cursor.big(2, f"{name} number-of-elements")
        return TypeDescription(type_, count, (_read_description(cursor, name, depth + 1),))
    if type_ is DataType.STRUCTURE:
        count = read_length(cursor, f"{name} count")
        if count > cursor.remaining:
            raise WireError(f"announces {count} elements, has {cursor.remaining} octets", position, name, CLAUSE)
        cursor.charge(_COMPOSITE + count, name)
        return TypeDescription(type_, 0, tuple([_read_description(cursor, name, depth + 1) for _ in range(count)]))
    return TypeDescription(type_)


def _least_octets(description: TypeDescription) -> int:
    """Return a lower bound of the octets of one element."""
    if description.type is DataType.ARRAY:
        return description.count * _least_octets(description.items[0])
    if description.type is DataType.STRUCTURE:
        return sum(map(_least_octets, description.items))
    return 0 if description.type in (DataType.NULL, DataType.DONT_CARE) else 1


def _values_of(description: TypeDescription) -> int:
    """Return what one element is charged: each value that it makes, itself included."""
    if description.type is DataType.ARRAY:
        return 1 + _COMPOSITE + description.count * _values_of(description.items[0])
    if description.type is DataType.STRUCTURE:
        return 1 + _COMPOSITE + sum(map(_values_of, description.items))
    return 1


def _read_element(cursor: Cursor, shape: TypeDescription, name: str) -> Data:
    """Read one element; its values are charged to the budget already."""
    if shape.type is DataType.NULL:
        return _NULL
    if shape.type not in (DataType.ARRAY, DataType.STRUCTURE):
        position = cursor.position
        value = _READERS[shape.type][1](cursor, name, 0)
        if cursor.trace is not None and cursor.position > position:
            cursor.explain(f"{shape.type.text} {meaning_of(value)}")
        return Data(shape.type, value)
    shapes = repeat(shape.items[0], shape.count) if shape.type is DataType.ARRAY else shape.items
    return Data(shape.type, tuple([_read_element(cursor, inner, name) for inner in shapes]))


def _write(data: Data, parts: list[bytes]) -> None:
    parts.append(_TAGS[data.type])
    value = data.value
    if isinstance(value, tuple):
        parts.append(write_length(len(value)))
        for item in value:
            _write(item, parts)
    elif isinstance(value, CompactArray):
        contents: list[bytes] = []
        for item in value.items:
            _write_element(item, contents)
        parts.append(_write_description(value.description) + write_octets(b"".join(contents)))
    else:
        parts.append(_write_simple(data.type, value))


def _write_description(description: TypeDescription) -> bytes:
    inner = b"".join(map(_write_description, description.items))
    if description.type is DataType.ARRAY:
        return _TAGS[description.type] + description.count.to_bytes(2, "big") + inner
    if description.type is DataType.STRUCTURE:
        return _TAGS[description.type] + write_length(len(description.items)) + inner
    return _TAGS[description.type]


def _write_element(data: Data, parts: list[bytes]) -> None:
    if isinstance(data.value, tuple):
        for item in data.value:
            _write_element(item, parts)
    else:
        parts.append(_write_simple(data.type, data.value))


def _write_simple(type_: DataType, value: Value) -> bytes:
    layout = INTEGER_LAYOUT.get(type_)
    if layout is not None and isinstance(value, int):
        size, signed = layout
        try:
            return value.to_bytes(size, "big", signed=signed)
        except OverflowError as error:
            raise ValueError(f"{value} does not fit {type_.text}") from error
    match value:
        case None if type_ in (DataType.NULL, DataType.DONT_CARE):
            return b""
        case bool() if type_ is DataType.BOOLEAN:
            return b"\x01" if value else b"\x00"
        case bytes() if type_ in (DataType.OCTET_STRING, DataType.UTF8_STRING):
            return write_octets(value)
        case str() if type_ is DataType.VISIBLE_STRING:
            return write_octets(value.encode("latin-1"))
        case str() if type_ is DataType.UTF8_STRING:
            return write_octets(value.encode())
        case BitString() if type_ is DataType.BIT_STRING:
            return write_length(value.size) + value.octets
        case IeeeFloat() if len(value.bits) == FLOAT_LAYOUT.get(type_):
            return value.bits
        case ClockTime() if type_ in _CLOCK_WRITERS:
            return _CLOCK_WRITERS[type_](value)
        case _:
            raise ValueError(f"{value!r} is no value of {type_.text}")


_Reader: TypeAlias = Callable[[Cursor, str, int], Value]

_NULL = Data(DataType.NULL)
"""Every null-data that is read: it takes one octet or none, so that a message may hold very many."""

_COMPOSITES = frozenset({DataType.ARRAY, DataType.STRUCTURE, DataType.COMPACT_ARRAY})
_TEXTS = {type_: type_.name.lower().replace("_", "-").replace("null", "null-data") for type_ in DataType}
_TAGS = {type_: bytes((type_,)) for type_ in DataType}
_CLOCK_READERS = {DATE_TIME_SIZE: read_clock_time, DATE_SIZE: read_clock_date, TIME_SIZE: read_time_of_day}
_CLOCK_WRITERS = {
    DataType.DATE_TIME: write_clock_time,
    DataType.DATE: write_clock_date,
    DataType.TIME: write_time_of_day,
}
_READERS: dict[int, tuple[DataType, _Reader]] = {
    DataType.NULL: (DataType.NULL, _read_null),
    DataType.ARRAY: (DataType.ARRAY, _read_items),
    DataType.STRUCTURE: (DataType.STRUCTURE, _read_items),
    DataType.BOOLEAN: (DataType.BOOLEAN, _read_boolean),
    DataType.BIT_STRING: (DataType.BIT_STRING, _read_bit_string),
    DataType.OCTET_STRING: (DataType.OCTET_STRING, _read_octet_string),
    DataType.VISIBLE_STRING: (DataType.VISIBLE_STRING, _read_visible_string),
    DataType.UTF8_STRING: (DataType.UTF8_STRING, _read_utf8_string),
    DataType.COMPACT_ARRAY: (DataType.COMPACT_ARRAY, _read_compact_array),
    DataType.DATE_TIME: (DataType.DATE_TIME, _clock_reader(DATE_TIME_SIZE, read_clock_time)),
    DataType.DATE: (DataType.DATE, _clock_reader(DATE_SIZE, read_clock_date)),
    DataType.TIME: (DataType.TIME, _clock_reader(TIME_SIZE, read_time_of_day)),
    DataType.DONT_CARE: (DataType.DONT_CARE, _read_null),
    **{type_: (type_, _integer_reader(size, signed=signed)) for type_, (size, signed) in INTEGER_LAYOUT.items()},
    **{type_: (type_, _float_reader(size)) for type_, size in FLOAT_LAYOUT.items()},
}
