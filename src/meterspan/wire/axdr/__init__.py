"""A-XDR: COSEM data types (IEC 62056-6-2, 4.1.5) in octets (IEC 61334-6), value by value or column by column.

The columns are imported when one of them is first asked for: numpy takes longer to load than most frames to decode.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from meterspan.wire.axdr.clock import (
    read_clock_date,
    read_clock_time,
    read_time_of_day,
    write_clock_date,
    write_clock_time,
    write_time_of_day,
)
from meterspan.wire.axdr.data import (
    BitString,
    CompactArray,
    Data,
    DataType,
    IeeeFloat,
    TypeDescription,
    Value,
    array,
    bit_string,
    boolean,
    clock,
    compact_array,
    date,
    double_long,
    double_long_unsigned,
    enum,
    float32,
    float64,
    integer,
    long,
    long64,
    long64_unsigned,
    long_unsigned,
    null,
    octet_string,
    read_data,
    structure,
    time_of_day,
    unsigned,
    utf8_string,
    visible_string,
    write_data,
)
from meterspan.wire.axdr.length import read_flag, read_octets, write_octets
from meterspan.wire.length import read_length, write_length

if TYPE_CHECKING:
    from meterspan.wire.axdr.columns import (
        NO_INSTANT,
        ClockColumn,
        Column,
        FloatColumn,
        IntegerColumn,
        ProfileColumns,
        ValueColumn,
        read_columns,
    )

__all__ = [
    "NO_INSTANT",
    "BitString",
    "ClockColumn",
    "Column",
    "CompactArray",
    "Data",
    "DataType",
    "FloatColumn",
    "IeeeFloat",
    "IntegerColumn",
    "ProfileColumns",
    "TypeDescription",
    "Value",
    "ValueColumn",
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
    "read_clock_date",
    "read_clock_time",
    "read_columns",
    "read_data",
    "read_flag",
    "read_length",
    "read_octets",
    "read_time_of_day",
    "structure",
    "time_of_day",
    "unsigned",
    "utf8_string",
    "visible_string",
    "write_clock_date",
    "write_clock_time",
    "write_data",
    "write_length",
    "write_octets",
    "write_time_of_day",
]

_COLUMNS = frozenset(
    {
        "NO_INSTANT",
        "ClockColumn",
        "Column",
        "FloatColumn",
        "IntegerColumn",
        "ProfileColumns",
        "ValueColumn",
        "read_columns",
    }
)


def __getattr__(name: str) -> Any:
    """Import the columns with their first name that is asked for (PEP 562)."""
    if name not in _COLUMNS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module("meterspan.wire.axdr.columns"), name)
