"""COSEM date-time, date and time in octets (IEC 62056-6-2, 4.1.6.1): 12, 5 and 4 octets, 0xFF "not specified".

Layout of date-time: year (2), month, day, weekday, hour, minute, second, hundredths, deviation (2, signed, 0x8000 not
specified), status. Values out of range are kept: ``ClockTime.to_utc`` gives None for them.
"""

from struct import Struct

from meterspan.quantities import ClockStatus, ClockTime
from meterspan.wire.errors import WireError

__all__ = [
    "looks_like_clock",
    "read_clock_date",
    "read_clock_time",
    "read_time_of_day",
    "write_clock_date",
    "write_clock_time",
    "write_time_of_day",
]

DATE_TIME_SIZE = 12
DATE_SIZE = 5
TIME_SIZE = 4
YEAR_OPEN = 0xFFFF
FIELD_OPEN = 0xFF
DEVIATION_OPEN = -0x8000

CLAUSE = "IEC 62056-6-2, 4.1.6.1"
_DATE_TIME = Struct(">H7BhB")
_DATE = Struct(">H3B")


def read_clock_time(octets: bytes) -> ClockTime:
    """Read a date-time of 12 octets.

    Raises:
        WireError: it has another size.

    """
    if len(octets) != DATE_TIME_SIZE:
        raise WireError(f"a date-time has {DATE_TIME_SIZE} octets, not {len(octets)}", None, "date-time", CLAUSE)
    year, month, day, weekday, hour, minute, second, hundredths, deviation, status = _DATE_TIME.unpack(octets)
    return ClockTime(
        None if year == YEAR_OPEN else year,
        _open(month),
        _open(day),
        _open(weekday),
        _open(hour),
        _open(minute),
        _open(second),
        _open(hundredths),
        None if deviation == DEVIATION_OPEN else deviation,
        None if status == FIELD_OPEN else ClockStatus(status),
    )


def looks_like_clock(octets: bytes) -> bool:
    """Return whether 12 octets are a date-time; text never passes, its year would be above 8224."""
    if len(octets) != DATE_TIME_SIZE:
        return False
    clock = read_clock_time(octets)
    return clock.to_date() is not None and (clock.hour is None or clock.hour < 24)


def write_clock_time(clock: ClockTime) -> bytes:
    """Write a date-time of 12 octets."""
    return _DATE_TIME.pack(
        YEAR_OPEN if clock.year is None else clock.year,
        _octet(clock.month),
        _octet(clock.day),
        _octet(clock.weekday),
        _octet(clock.hour),
        _octet(clock.minute),
        _octet(clock.second),
        _octet(clock.hundredths),
        DEVIATION_OPEN if clock.deviation_min is None else clock.deviation_min,
        _octet(clock.status),
    )


def read_clock_date(octets: bytes) -> ClockTime:
    """Read a date of 5 octets; the fields of the time are not specified.

    Raises:
        WireError: it has another size.

    """
    if len(octets) != DATE_SIZE:
        raise WireError(f"a date has {DATE_SIZE} octets, not {len(octets)}", None, "date", CLAUSE)
    year, month, day, weekday = _DATE.unpack(octets)
    return ClockTime(None if year == YEAR_OPEN else year, _open(month), _open(day), _open(weekday))


def write_clock_date(clock: ClockTime) -> bytes:
    """Write the date fields in 5 octets."""
    return _DATE.pack(
        YEAR_OPEN if clock.year is None else clock.year, _octet(clock.month), _octet(clock.day), _octet(clock.weekday)
    )


def read_time_of_day(octets: bytes) -> ClockTime:
    """Read a time of 4 octets; the fields of the date are not specified.

    Raises:
        WireError: it has another size.

    """
    if len(octets) != TIME_SIZE:
        raise WireError(f"a time has {TIME_SIZE} octets, not {len(octets)}", None, "time", CLAUSE)
    hour, minute, second, hundredths = map(_open, octets)
    return ClockTime(hour=hour, minute=minute, second=second, hundredths=hundredths)


def write_time_of_day(clock: ClockTime) -> bytes:
    """Write the time fields in 4 octets."""
    return bytes((_octet(clock.hour), _octet(clock.minute), _octet(clock.second), _octet(clock.hundredths)))


def _open(octet: int) -> int | None:
    return None if octet == FIELD_OPEN else octet


def _octet(field: int | None) -> int:
    return FIELD_OPEN if field is None else int(field)
