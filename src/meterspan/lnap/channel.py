"""One meter behind the access point: who it is, what it was last heard to say, and its profile.

A row is captured once per capture period. Meters that tell the register of their last due mark (storage 1 with date
and time) give rows that stand exactly on the mark; of all others the first value of a period is captured, with the
time it was heard.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from meterspan.model.cosem.load_profile import LoadProfile
from meterspan.model.cosem.profile import Row
from meterspan.quantities import ClockTime, Commodity, Obis, Scaled, Unit, utc
from meterspan.wire.axdr import double_long_unsigned, long64_unsigned, octet_string, unsigned
from meterspan.wire.axdr.clock import write_clock_time

__all__ = ["Channel", "LocalMeter", "Observation"]

PROFILE_CAPACITY: Final = 60 * 96
"""Rows kept per channel: sixty days of quarter hours, longer than any outage of the uplink that is not a visit."""
_DOUBLE_LONG_MAX: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class LocalMeter:
    """A meter that the access point listens to.

    Attributes:
        device: its name in inventories.
        commodity: what it measures.
        home: the home that it belongs to.
        key: AES-128 key of its telegrams; b"" where they are in the clear.
        registers: the OBIS codes that are captured.
        period_s: capture period.

    """

    device: str
    commodity: Commodity
    home: str
    registers: tuple[Obis, ...]
    key: bytes = field(default=b"", repr=False)
    period_s: int = 900


@dataclass(frozen=True, slots=True)
class Observation:
    """Register values of one instant (UTC seconds), in the order of the channel's registers."""

    time: int
    values: tuple[Scaled, ...]
    status: int = 0


class Channel:
    """A meter's place in the access point.

    Args:
        number: the M-Bus channel, from 1.
        meter: who it is.

    """

    def __init__(self, number: int, meter: LocalMeter) -> None:
        self.number = number
        self.meter = meter
        self.scales: tuple[tuple[Unit, int], ...] = ()
        """Unit and scaler of each register, learnt from the first observation and then fixed."""
        self.rows = LoadProfile(len(meter.registers), PROFILE_CAPACITY, self._row)
        self.latest: Observation | None = None
        self.instants: dict[str, Scaled] = {}
        self.heard_at: float | None = None
        self._captured_at: int | None = None

    def observe(self, observation: Observation) -> bool:
        """Take the values of one instant; True where they made a new row.

        Raises:
            ValueError: the values do not fit the scale that the channel has learnt.

        """
        if not self.scales:
            self.scales = tuple((value.unit, value.exponent) for value in observation.values)
        steps = [
            _steps(value, unit, exponent)
            for value, (unit, exponent) in zip(observation.values, self.scales, strict=True)
        ]
        if self.latest is None or observation.time >= self.latest.time:
            self.latest = observation
        if not self._is_due(observation.time):
            return False
        self._captured_at = observation.time
        self.rows.capture(observation.time, observation.status, steps)
        return True

    @property
    def newest_row(self) -> Row | None:
        """The row captured last, or None."""
        count = len(self.rows)
        return next(iter(self.rows.entries(count, count)), None) if count else None

    @property
    def profile_name(self) -> Obis:
        """Logical name of the channel's profile."""
        return Obis(0, self.number, 24, 3, 0)

    def register_name(self, index: int) -> Obis:
        """Logical name of the channel's register ``index``, from 0."""
        return Obis(0, self.number, 24, 2, index + 1)

    def restore(self, octets: bytes, scales: Sequence[tuple[Unit, int]]) -> None:
        """Take rows and scales back after a restart."""
        self.scales = tuple(scales)
        self.rows.unpack(octets)
        newest = self.newest_row
        if newest is not None:
            moment = newest[0].clock_time.to_utc()
            if moment is not None:
                self._captured_at = int(moment.timestamp())

    def _is_due(self, time: int) -> bool:
        """Say whether a value of this time makes a row: the first at or after each mark."""
        period = self.meter.period_s
        return self._captured_at is None or time // period > self._captured_at // period

    def _row(self, time: int, status: int, values: Sequence[int]) -> Row:
        numbers = [
            double_long_unsigned(value) if value <= _DOUBLE_LONG_MAX else long64_unsigned(value) for value in values
        ]
        return (octet_string(write_clock_time(_clock_time(time))), unsigned(status), *numbers)


def _steps(value: Scaled, unit: Unit, exponent: int) -> int:
    exact = value.to(unit) / 10**exponent if exponent >= 0 else value.to(unit) * 10**-exponent
    if exact.denominator != 1 or exact < 0:
        raise ValueError(f"{value} is no whole number of 10^{exponent} {unit}")
    return int(exact.numerator)


def _clock_time(time: int) -> ClockTime:
    return ClockTime.of(utc(time))
