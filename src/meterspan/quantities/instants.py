"""Instants as numbers: UTC seconds since 1970-01-01, without leap seconds, as in every record and file of meterspan."""

from datetime import UTC, datetime, timedelta
from typing import Final

__all__ = ["DAY_S", "HOUR_S", "SHIFT_MAX_S", "utc", "utc_seconds"]

HOUR_S: Final = 3_600
DAY_S: Final = 86_400
"""Seconds of a UTC day; a local day has 82,800 to 90,000 (``analytics.calendar``)."""
SHIFT_MAX_S: Final = 900
"""The most that ``Clock.shift_time`` moves a clock, either way (IEC 62056-6-2, 4.5.1.3)."""
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
