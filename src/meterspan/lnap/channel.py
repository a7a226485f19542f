"""One meter behind the access point: its identity, its newest values, and its profile.

A row is captured once per capture period. Meters that send the register of their last due mark (storage 1 with date
and time) give rows at exactly that mark; of all others the first value of a period is captured, with its own time.
Telegrams may be late: a period that has no row yet gets one, as far back as ``PERIODS_KNOWN``.

All rows of the profile have one scale per register. A value that is finer makes the scale finer, and the rows
captured before are multiplied, which is exact. A head end sees one scale throughout an association (``RowsAtScale``).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from meterspan.engine.push_rows import utc_row
from meterspan.model.cosem.load_profile import NOT_CAPTURED, LoadProfile
from meterspan.model.cosem.profile import Row
from meterspan.model.radio_protection import RadioProtection, required_of
from meterspan.quantities import LAST_SECOND, Commodity, Obis, Scaled, Unit

__all__ = ["LocalMeter", "MBusChannel", "Observation", "RegisterScale", "RowsAtScale"]

PROFILE_CAPACITY: Final = 60 * 96
"""Rows kept per channel: sixty days of quarter hours, longer than any outage of the uplink that is not a visit."""
PERIODS_KNOWN: Final = 96
"""A telegram that is later than so many capture periods makes no row: the same register was captured since."""
DECIMALS_MAX: Final = 12
"""A scale may become finer by so many decimals: below a picowatt-hour no meter counts."""

RegisterScale = tuple[Unit, int]
"""Unit and scaler of a register."""


@dataclass(frozen=True, slots=True)
class LocalMeter:
    """A meter that the access point listens to.

    Attributes:
        device: its name in inventories.
        commodity: its commodity.
        home: the home that it belongs to.
        registers: the OBIS codes that are captured.
        key: AES-128 key of its telegrams; b"" where it is not known, or the meter has none.
        period_s: capture period.
        protection: the least protection of a radio telegram that is believed.
        hourly_max: the most by which a register can rise in an hour, by the size of the connection; None: the
            most of any building.
        is_wired: it is polled over wired M-Bus; no radio telegram is accepted as its own.

    Raises:
        ValueError: the protection does not fit to the key.

    """

    device: str
    commodity: Commodity
    home: str
    registers: tuple[Obis, ...]
    key: bytes = field(default=b"", repr=False)
    period_s: int = 900
    protection: RadioProtection = RadioProtection.ENCRYPTED
    hourly_max: Scaled | None = None
    is_wired: bool = False

    def __post_init__(self) -> None:
        required_of(self.protection, has_key=bool(self.key))


@dataclass(frozen=True, slots=True)
class Observation:
    """Register values of one instant (UTC seconds) by OBIS code; ``None`` where the telegram has none."""

    time: int
    values: tuple[Scaled | None, ...]
    status: int = 0


class MBusChannel:
    """A meter's place in the access point.

    Args:
        number: the M-Bus channel, from 1.
        meter: the meter.

    """

    def __init__(self, number: int, meter: LocalMeter) -> None:
        self.number = number
        self.meter = meter
        self.scales: tuple[RegisterScale | None, ...] = (None,) * len(meter.registers)
        """Unit and scaler of each register in the profile; None until its first value."""
        self.rows = LoadProfile(len(meter.registers), PROFILE_CAPACITY, _row)
        self.latest: Observation | None = None
        self.instants: dict[str, Scaled] = {}
        self.heard_at: float | None = None
        self.not_in_profile = 0
        """Rows that no scale of the profile can show exactly; they were pushed all the same."""
        self._captured: set[int] = set()

    @property
    def captured_periods(self) -> frozenset[int]:
        """The newest capture periods that have a row, as multiples of ``period_s``."""
        return frozenset(self._captured)

    def observe(self, observation: Observation) -> bool:
        """Note the values of one instant; return whether they make a new row.

        Raises:
            ValueError: a value is of another dimension than the register's earlier ones, or the time has no date.

        """
        self._check(observation)
        if self.latest is None or observation.time >= self.latest.time:
            self.latest = observation
        if not self._is_due(observation.time):
            return False
        self._note_captured(observation.time)
        if not self._capture(observation):
            self.not_in_profile += 1
        return True

    def recall(self, time: int) -> None:
        """Note that a row of this time was captured before a restart.

        Raises:
            ValueError: the time has no date.

        """
        _check_time(time)
        self._note_captured(time)

    def release(self, time: int) -> None:
        """Let a period be captured again: its row could not be queued."""
        self._captured.discard(time // self.meter.period_s)

    def values_of(self, observation: Observation) -> tuple[tuple[Obis, Scaled], ...]:
        """Return the values of an observation by OBIS code, without those that it does not have."""
        pairs = zip(self.meter.registers, observation.values, strict=True)
        return tuple((obis, value) for obis, value in pairs if value is not None)

    @property
    def profile_name(self) -> Obis:
        """Logical name of the channel's profile."""
        return Obis(0, self.number, 24, 3, 0)

    def register_name(self, index: int) -> Obis:
        """Logical name of the channel's register ``index``, from 0."""
        return Obis(0, self.number, 24, 2, index + 1)

    def restore(self, octets: bytes, scales: Sequence[RegisterScale | None]) -> None:
        """Load rows and scales after a restart; kept state of another number of registers is left out.

        Raises:
            ValueError: a row has a time without a date; nothing was loaded.

        """
        if len(scales) != len(self.scales):
            return
        rows = LoadProfile(len(self.meter.registers), PROFILE_CAPACITY, _row)
        rows.unpack(octets)
        for time, *_ in rows.numbers():
            _check_time(time)
        self.scales, self.rows = tuple(scales), rows
        for time, *_ in rows.numbers():
            self._note_captured(time)

    def _check(self, observation: Observation) -> None:
        _check_time(observation.time)
        for value, scale in zip(observation.values, self.scales, strict=True):
            if value is not None and scale is not None:
                value.to(scale[0])

    def _is_due(self, time: int) -> bool:
        """Whether a value of this time makes a row: the first at or after each mark."""
        period = time // self.meter.period_s
        return period not in self._captured and period > max(self._captured, default=period) - PERIODS_KNOWN

    def _note_captured(self, time: int) -> None:
        self._captured.add(time // self.meter.period_s)
        if len(self._captured) > 2 * PERIODS_KNOWN:
            oldest = max(self._captured) - PERIODS_KNOWN
            self._captured = {period for period in self._captured if period > oldest}

    def _capture(self, observation: Observation) -> bool:
        """Append a row to the profile, with finer scales where it needs them; False where none can show it."""
        try:
            scales = [_refined(value, scale) for value, scale in zip(observation.values, self.scales, strict=True)]
            steps = [_steps(value, scale) for value, scale in zip(observation.values, scales, strict=True)]
            self._rescale(scales)
        except (ValueError, OverflowError):
            return False
        self.rows.capture(observation.time, observation.status, steps)
        return True

    def _rescale(self, scales: Sequence[RegisterScale | None]) -> None:
        for index, (old, new) in enumerate(zip(self.scales, scales, strict=True)):
            if old is not None and new is not None and new[1] < old[1]:
                self.rows.rescale(index, 10 ** (old[1] - new[1]))
            self.scales = (*self.scales[:index], new, *self.scales[index + 1 :])


class RowsAtScale:
    """The rows of a channel as one association sees them: at the scales of its beginning.

    Rows that need a finer scale are not shown before the next association; a push has them at their own scale.

    Args:
        channel: whose profile this is.

    """

    def __init__(self, channel: MBusChannel) -> None:
        self._channel = channel
        self.scales = channel.scales

    def __len__(self) -> int:
        """Count the rows that are shown."""
        return len(self._channel.rows) if self._is_current else len(self._shown())

    def entries(self, first: int, last: int) -> Iterable[Row]:
        """Return rows number ``first`` to ``last``, counted from 1, oldest first."""
        if self._is_current:
            return self._channel.rows.entries(first, last)
        return [_row(time, status, values) for time, status, *values in self._shown()[first - 1 : last]]

    def between(self, start: int, end: int) -> Iterable[Row]:
        """Return the rows with ``start <= time <= end`` (UTC seconds)."""
        if self._is_current:
            return self._channel.rows.between(start, end)
        return [_row(time, status, values) for time, status, *values in self._shown() if start <= time <= end]

    @property
    def _is_current(self) -> bool:
        return self.scales == self._channel.scales

    def _shown(self) -> list[tuple[int, ...]]:
        factors = [_factor(own, now) for own, now in zip(self.scales, self._channel.scales, strict=True)]
        shown = []
        for time, status, *values in self._channel.rows.numbers():
            steps = [_divided(value, factor) for value, factor in zip(values, factors, strict=True)]
            if None not in steps:
                shown.append((time, status, *(step for step in steps if step is not None)))
        return shown


def _check_time(time: int) -> None:
    if not 0 <= time <= LAST_SECOND:
        raise ValueError(f"{time} s is not a date")


def _row(time: int, status: int, values: Sequence[int]) -> Row:
    return utc_row(time, status, [None if value == NOT_CAPTURED else value for value in values])


def _refined(value: Scaled | None, scale: RegisterScale | None) -> RegisterScale | None:
    """Return the coarsest scale, not coarser than ``scale``, that holds the value exactly.

    Raises:
        ValueError: the value has no finite decimal in the register's unit, or one that is too long.

    """
    if value is None:
        return scale
    if scale is None:
        return value.unit, value.exponent
    unit, exponent = scale
    exact = value.to(unit)
    for finer in range(exponent, exponent - DECIMALS_MAX - 1, -1):
        if (exact * 10**-finer if finer < 0 else exact / 10**finer).denominator == 1:
            return unit, finer
    raise ValueError(f"{value} has no finite decimal in {unit}")


def _steps(value: Scaled | None, scale: RegisterScale | None) -> int:
    if value is None or scale is None:
        return NOT_CAPTURED
    unit, exponent = scale
    exact = value.to(unit) * 10**-exponent if exponent < 0 else value.to(unit) / 10**exponent
    if exact.denominator != 1 or not 0 <= exact < NOT_CAPTURED:
        raise ValueError(f"{value} does not fit 64 bits at 10^{exponent} {unit}")
    return int(exact)


def _factor(own: RegisterScale | None, now: RegisterScale | None) -> int | None:
    """Return how many steps of ``now`` one step of ``own`` is; None where the association knows no scale."""
    return None if own is None or now is None else int(10 ** (own[1] - now[1]))


def _divided(value: int, factor: int | None) -> int | None:
    """Return the value at the association's scale; None where it has no whole number there."""
    if value == NOT_CAPTURED:
        return value
    return value // factor if factor is not None and value % factor == 0 else None
