"""COSEM date-time (IEC 62056-6-2, 4.1.6.1): local time with deviation to UTC, unspecified fields and clock status.

Time bases: UTC instants are aware ``datetime`` values; a ``ClockTime`` is what a meter's clock said, which may leave
any field open. ``deviation_min`` is minutes to add to local time to get UTC (CET: -60).
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from enum import IntFlag
from typing import Self

__all__ = ["ClockStatus", "ClockTime"]

_MINUTES_OF_DAY = 24 * 60


class ClockStatus(IntFlag):
    """The clock status octet; a raw 0xFF on the wire means the whole status is not specified (None here)."""

    INVALID_VALUE = 0x01
    DOUBTFUL_VALUE = 0x02
    DIFFERENT_CLOCK_BASE = 0x04
    INVALID_STATUS = 0x08
    DAYLIGHT_SAVING_ACTIVE = 0x80


@dataclass(frozen=True, slots=True)
class ClockTime:
    """A date-time as a meter's clock gives it; None is "not specified".

    Attributes:
        year: 1..0xFFFE.
        month: 1..12, or 0xFD / 0xFE for the end / begin of daylight saving.
        day: 1..31, or 0xFE / 0xFD for the last / second last day of the month.
        weekday: 1 Monday .. 7 Sunday.
        hour: 0..23.
        minute: 0..59.
        second: 0..59.
        hundredths: 0..99 hundredths of a second.
        deviation_min: minutes from local time to UTC, -720..840.
        status: the clock status.

    """

    year: int | None = None
    month: int | None = None
    day: int | None = None
    weekday: int | None = None
    hour: int | None = None
    minute: int | None = None
    second: int | None = None
    hundredths: int | None = None
    deviation_min: int | None = None
    status: ClockStatus | None = None

    def __str__(self) -> str:
        """Write an ISO-like text, with ``*`` for what is not specified."""

        def two(value: int | None) -> str:
            return "**" if value is None else f"{value:02d}"

        year = "****" if self.year is None else f"{self.year:04d}"
        text = f"{year}-{two(self.month)}-{two(self.day)} {two(self.hour)}:{two(self.minute)}:{two(self.second)}"
        if self.deviation_min is None:
            return text
        sign, minutes = ("-", self.deviation_min) if self.deviation_min > 0 else ("+", -self.deviation_min)
        return f"{text}{sign}{minutes // 60:02d}:{minutes % 60:02d}"

    @classmethod
    def of(cls, moment: datetime, status: ClockStatus | None = None) -> Self:
        """Build from an aware ``datetime``, in its own zone; daylight saving comes from the zone.

        Raises:
            ValueError: ``moment`` is naive.

        """
        offset = moment.utcoffset()
        if offset is None:
            raise ValueError("a naive datetime has no deviation; attach a zone")
        if status is None:
            status = ClockStatus.DAYLIGHT_SAVING_ACTIVE if moment.dst() else ClockStatus(0)
        return cls(
            moment.year,
            moment.month,
            moment.day,
            moment.isoweekday(),
            moment.hour,
            moment.minute,
            moment.second,
            moment.microsecond // 10_000,
            -int(offset.total_seconds() // 60),
            status,
        )

    @property
    def is_valid(self) -> bool:
        """Whether the clock itself vouches for the value (no invalid or doubtful flag)."""
        return self.status is None or not self.status & (ClockStatus.INVALID_VALUE | ClockStatus.DOUBTFUL_VALUE)

    def to_utc(self, zone: tzinfo | None = None) -> datetime | None:
        """Return the UTC instant, or None where the date or hour is not specified, or no such day or deviation exists.

        Where the deviation is not specified, ``zone`` decides (with the daylight saving flag choosing the second
        pass of the repeated hour); without a zone there is no instant. Open minutes and below count as zero.
        """
        if self.year is None or self.month is None or self.day is None or self.hour is None:
            return None
        if self.deviation_min is None:
            return None if zone is None else self._local(zone)
        if abs(self.deviation_min) >= _MINUTES_OF_DAY:
            return None
        return self._local(timezone(timedelta(minutes=-self.deviation_min)))

    def to_date(self) -> date | None:
        """Return the calendar date, or None where a field of it is not specified or special."""
        try:
            return date(self.year or 0, self.month or 0, self.day or 0)
        except ValueError:
            return None

    def _local(self, zone: tzinfo) -> datetime | None:
        summer = self.status is not None and bool(self.status & ClockStatus.DAYLIGHT_SAVING_ACTIVE)
        try:
            local = datetime(
                self.year or 0,
                self.month or 0,
                self.day or 0,
                self.hour or 0,
                self.minute or 0,
                self.second or 0,
                10_000 * (self.hundredths or 0),
                tzinfo=zone,
                fold=0 if summer else 1,
            )
            return local.astimezone(UTC)
        except (ValueError, OverflowError):
            return None
