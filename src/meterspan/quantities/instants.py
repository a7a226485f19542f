"""Instants as numbers: UTC seconds since 1970-01-01, without leap seconds, as in every record and file of meterspan."""

from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import pairwise
from typing import Final

__all__ = [
    "DAY_S",
    "DAY_ZERO",
    "FIRST_SECOND",
    "HOUR_S",
    "LAST_SECOND",
    "QUARTER_S",
    "SHIFT_MAX_S",
    "saving_changes",
    "standard_offset_s",
    "utc",
    "utc_seconds",
    "utc_text",
]

QUARTER_S: Final = 900
HOUR_S: Final = 3_600
DAY_S: Final = 86_400
"""Seconds of a UTC day; a local day has 82,800 to 90,000 (``analytics.calendar``)."""
SHIFT_MAX_S: Final = 900
"""The most that ``Clock.shift_time`` moves a clock, either way (IEC 62056-6-2, 4.5.1.3)."""
DAY_ZERO: Final = date(1970, 1, 1)
"""The UTC day with number 0."""
FIRST_SECOND: Final = -62_135_596_800
"""The first second of year 1: dates of COSEM and of Python begin here."""
LAST_SECOND: Final = 253_402_300_799
"""The last second of the year 9999: dates of COSEM and of Python end here."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def utc(seconds: float) -> datetime:
    """Return the aware datetime (UTC) of an instant."""
    return _EPOCH + timedelta(seconds=seconds)


def utc_seconds(moment: datetime) -> int:
    """Return the whole UTC seconds of an aware datetime.

    Raises:
        ValueError: it is naive, so that it names no instant.

    """
    if moment.tzinfo is None:
        raise ValueError(f"{moment.isoformat()} is naive; attach a zone")
    return int(moment.timestamp())


def standard_offset_s(zone: tzinfo, at: float) -> int:
    """Return local standard time minus UTC at an instant, in seconds; daylight saving is not counted."""
    moment = datetime.fromtimestamp(at, zone)
    offset, saving = moment.utcoffset() or timedelta(), moment.dst() or timedelta()
    return int((offset - saving).total_seconds())


@lru_cache(maxsize=64)
def saving_changes(zone: tzinfo, year: int) -> tuple[datetime, datetime] | None:
    """Return the instants (UTC) of a year at which daylight saving begins and ends; None where it does not do both."""
    days = [datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=day) for day in range(366)]
    changes = {
        bool(after.astimezone(zone).dst()): _change_within(zone, before, after)
        for before, after in pairwise(days)
        if bool(before.astimezone(zone).dst()) != bool(after.astimezone(zone).dst())
    }
    return (changes[True], changes[False]) if len(changes) == 2 else None


def _change_within(zone: tzinfo, before: datetime, after: datetime) -> datetime:
    """Return the second at which daylight saving changes between two instants, by halving."""
    is_saving = bool(after.astimezone(zone).dst())
    while (after - before).total_seconds() > 1:
        middle = before + timedelta(seconds=(after - before).total_seconds() // 2)
        if bool(middle.astimezone(zone).dst()) == is_saving:
            after = middle
        else:
            before = middle
    return after


def utc_text(moment: datetime, timespec: str = "seconds") -> str:
    """Return an aware datetime as text in UTC: ``2026-10-25T00:15:00Z``; ``timespec`` is that of ``isoformat``."""
    return moment.astimezone(UTC).isoformat(timespec=timespec).replace("+00:00", "Z")
