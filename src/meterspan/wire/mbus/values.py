"""Data types A to M: the octets of one value (EN 13757-3:2018, 6.3.3 table 4 and annex A).

Numbers stay raw (the VIF scales them); dates that are no dates are None, never 2127. Texts are turned into reading
order. What was read can be written again octet by octet because records keep their octets beside the value.
"""

import math
import struct
from datetime import date, datetime, time
from decimal import Decimal

from meterspan.wire.errors import WireError
from meterspan.wire.mbus.vif import ValueKind

__all__ = ["DATA_FIELDS", "DATA_SIZES", "Value", "lvar_size", "pack_value", "parse_value"]

Value = int | Decimal | str | bytes | datetime | date | time | None
"""A raw number, a text, octets, a date or time of the meter's own clock; None where there is none or it is invalid."""

DATA_SIZES = (0, 1, 2, 3, 4, 4, 6, 8, 0, 1, 2, 3, 4, -1, 6, -2)
"""Octets of each data field code 0..F (table 4); -1 is LVAR, -2 is a special function."""
DATA_FIELDS = (
    "no data",
    *(f"{8 * size} bit integer" for size in (1, 2, 3, 4)),
    "32 bit real",
    "48 bit integer",
    "64 bit integer",
    "selection for readout",
    *(f"{digits} digit BCD" for digits in (2, 4, 6, 8)),
    "variable length",
    "12 digit BCD",
    "special function",
)
"""The data field codes 0..F in words (EN 13757-3:2018, table 4)."""
REAL = 0x5
LVAR = 0xD
BCD_CODES = frozenset({0x9, 0xA, 0xB, 0xC, 0xE})
_CLAUSE = "EN 13757-3:2018, table 5"
_NEGATIVE = 0xF


def lvar_size(code: int) -> int:
    """Return the octets that follow an LVAR octet (table 5).

    Raises:
        WireError: the code is reserved, so that nobody can tell where the record ends.

    """
    if code <= 0xBF:
        return code
    if 0xC0 <= code <= 0xC9 or 0xD0 <= code <= 0xD9:
        return code & 0x0F
    if 0xE0 <= code <= 0xEF:
        return code - 0xE0
    if 0xF0 <= code <= 0xF4:
        return 4 * (code - 0xEC)
    if code in _LONG_NUMBERS:
        return _LONG_NUMBERS[code]
    raise WireError(f"LVAR {code:02X} is reserved", None, "LVAR", _CLAUSE)


_LONG_NUMBERS = {0xF5: 48, 0xF6: 64}


def parse_value(code: int, kind: ValueKind, data: bytes) -> Value:
    """Read the data octets of a record; ``code`` is the data field code, ``data`` starts with LVAR where it has one."""
    if not data:
        return None
    if kind == ValueKind.BLOCK:
        return data[1:] if code == LVAR else data
    if code == LVAR:
        return _variable(data[0], kind, data[1:])
    if kind in (ValueKind.DATE, ValueKind.MOMENT):
        if code not in BCD_CODES and code != REAL:
            return _moment(data)
        return None
    if code == REAL:
        return _real(data)
    if code in BCD_CODES:
        return _bcd(data, kind)
    if kind == ValueKind.NUMBER:
        return int.from_bytes(data, "little", signed=True)
    return int.from_bytes(data, "little")


def _variable(lvar: int, kind: ValueKind, body: bytes) -> Value:
    if lvar <= 0xBF:
        return body[::-1].decode("latin-1")
    if lvar <= 0xC9:
        return _bcd(body, kind) if body else None
    if lvar <= 0xD9:
        magnitude = _bcd(body, kind) if body else None
        return -magnitude if isinstance(magnitude, int) else magnitude
    if not body:
        return None
    if kind in (ValueKind.DATE, ValueKind.MOMENT):
        return _moment(body)
    return int.from_bytes(body, "little", signed=kind == ValueKind.NUMBER)


def _bcd(data: bytes, kind: ValueKind) -> int | str | None:
    """Type A: a top digit of F is a minus sign; any other digit above 9 says that the value is invalid.

    Identifications may have hexadecimal digits, and then are texts.
    """
    digits = data[::-1].hex()
    if digits.isdecimal():
        return int(digits)
    if kind == ValueKind.UNSIGNED:
        return digits.upper()
    if data[-1] >> 4 == _NEGATIVE and digits[1:].isdecimal():
        return -int(digits[1:])
    return None


def _real(data: bytes) -> Decimal | None:
    """Type H: the shortest decimal that is this 32-bit real and no other; None for infinities and NaN."""
    (number,) = struct.unpack("<f", data)
    if not math.isfinite(number):
        return None
    for digits in range(6, 10):
        text = f"{number:.{digits}g}"
        if struct.pack("<f", float(text)) == data:
            return Decimal(text)
    raise AssertionError("nine digits tell every 32-bit real")


def _year(low: int, century: int | None = None) -> int | None:
    """Return the year; a two-digit year up to 80 is of this century (annex A, type F)."""
    if low > 99:
        return None
    if century:
        return 1900 + 100 * century + low
    return (2000 if low <= 80 else 1900) + low


def _date(data: bytes, century: int | None = None) -> date | None:
    """Type G: day, year, month in 16 bits."""
    year = _year(data[0] >> 5 | (data[1] & 0xF0) >> 1, century)
    try:
        return None if year is None else date(year, data[1] & 0x0F, data[0] & 0x1F)
    except ValueError:
        return None


def _moment(data: bytes) -> datetime | date | time | None:
    """Types G, J, F and I, distinguished by their length."""
    match len(data):
        case 2:
            return _date(data)
        case 3:
            return _clock(data[2] & 0x1F, data[1] & 0x3F, data[0] & 0x3F)
        case 4:
            if data[0] & 0x80:  # IV: the clock says that the time is invalid
                return None
            day = _date(data[2:4], data[1] >> 5 & 3)
            clock = _clock(data[1] & 0x1F, data[0] & 0x3F, 0)
        case 6:
            if data[1] & 0x80:  # IV
                return None
            day = _date(data[3:5])
            clock = _clock(data[2] & 0x1F, data[1] & 0x3F, data[0] & 0x3F)
        case _:
            return None
    return None if day is None or clock is None else datetime.combine(day, clock)


def _clock(hour: int, minute: int, second: int) -> time | None:
    try:
        return time(hour, minute, second)
    except ValueError:
        return None


def pack_value(code: int, value: Value) -> bytes:
    """Write a raw value as data octets of a data field code, LVAR included; the reverse of ``parse_value``.

    Raises:
        ValueError: the value does not fit the code.

    """
    size = DATA_SIZES[code]
    match value:
        case None:
            if size > 0:
                raise ValueError(f"data field {code:X} needs a value")
            return b"\0" if code == LVAR else b""
        case bytes():
            return _pack_octets(code, size, value)
        case str():
            if code != LVAR or len(value) > 0xBF:
                raise ValueError(f"a text of {len(value)} characters does not fit data field {code:X}")
            return bytes([len(value)]) + value.encode("latin-1")[::-1]
        case datetime() | date() | time():
            return _pack_moment(size, value)
        case _:
            return _pack_number(code, size, value)


def _pack_octets(code: int, size: int, value: bytes) -> bytes:
    if code == LVAR:
        if len(value) > 0x0F:
            raise ValueError(f"{len(value)} octets do not fit an LVAR number")
        return bytes([0xE0 + len(value)]) + value
    if len(value) != size:
        raise ValueError(f"{len(value)} octets do not fit data field {code:X}")
    return value


def _pack_number(code: int, size: int, value: int | Decimal) -> bytes:
    if code == REAL:
        return struct.pack("<f", value)
    if value != int(value):
        raise ValueError(f"{value} is no multiple of the record's power of ten")
    number = int(value)
    if code in BCD_CODES:
        return _pack_bcd(number, size)
    if code == LVAR:
        octets = number.to_bytes((number.bit_length() + 8) // 8, "little", signed=True)
        return _pack_octets(code, size, octets)
    try:
        return number.to_bytes(size, "little", signed=number < 0)
    except OverflowError as error:
        raise ValueError(f"{number} does not fit {size} octets") from error


def _pack_bcd(number: int, size: int) -> bytes:
    digits = f"{number:0{2 * size}d}" if number >= 0 else "f" + f"{-number:0{2 * size - 1}d}"
    if len(digits) != 2 * size:
        raise ValueError(f"{number} does not fit {2 * size} digits")
    return bytes.fromhex(digits)[::-1]


def _pack_moment(size: int, value: datetime | date | time) -> bytes:
    clock = value.time() if isinstance(value, datetime) else value if isinstance(value, time) else time()
    if size == 3:
        return bytes([clock.second, clock.minute, clock.hour])
    if not isinstance(value, date):
        raise ValueError(f"a time of day does not fit {size} octets")  # noqa: TRY004 - the size is at fault
    year = value.year % 100
    day = bytes([value.day | (year & 7) << 5, value.month | (year & 0x78) << 1])
    if size == 2:
        return day
    if size == 4:
        century = (value.year - 1900) // 100
        return bytes([clock.minute, clock.hour | (century & 3) << 5]) + day
    if size == 6:
        return bytes([clock.second, clock.minute, clock.hour]) + day + b"\0"
    raise ValueError(f"a date does not fit {size} octets")
