"""An electricity meter: metrology, and around it clock, load profile, event log, switch, limiter and COSEM objects.

Strategy: ``advance(flow, now)`` lets time pass with a constant flow; every mark of the meter's own clock captures a
row. Communications see the registers only through ``Metrology.indicate()``. All memory goes through the state port.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from enum import IntFlag
from typing import Final

from meterspan.meter.clock import MeterClock
from meterspan.meter.metrology import (
    ElectricityFlow,
    Indication,
    Metrology,
    SoftwareIdentity,
    electricity_block,
    identify_software,
)
from meterspan.meter.supply import PowerLimiter, Switch, SwitchTrigger
from meterspan.meter.tariff_switch import TariffSwitch
from meterspan.model.cosem.event_codes import EventCode
from meterspan.model.cosem.load_profile import LoadProfile
from meterspan.model.cosem.profile import Row
from meterspan.model.ports import StateStore
from meterspan.quantities import CATALOGUE, ClockStatus, Commodity, Direction, Obis
from meterspan.quantities.codes import IMPORT_POWER
from meterspan.wire.axdr import Data, double_long_unsigned, octet_string, unsigned
from meterspan.wire.axdr.clock import write_clock_time

__all__ = ["CLOCK_MAX", "CLOCK_MIN", "ElectricityMeter", "ElectricityMeterConfig", "StatusWord"]

IMPORT: Final = CATALOGUE[Commodity.ELECTRICITY].registers[Direction.IMPORT]
EXPORT: Final = CATALOGUE[Commodity.ELECTRICITY].registers[Direction.EXPORT]
PROFILE_COLUMNS: Final = (IMPORT, EXPORT)
CLOCK_MIN: Final = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp())
CLOCK_MAX: Final = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp()) - 1
"""What the clock can be set to: a P1 telegram and a date of M-Bus have two digits for the year."""
EVENTS_MAX: Final = 256
"""Entries of the event log before the oldest is overwritten."""


class StatusWord(IntFlag):
    """The status octet captured with each row (AMR profile status of the DSMR P3 companion standard)."""

    CRITICAL_ERROR = 0x01
    CLOCK_INVALID = 0x02
    DATA_NOT_VALID = 0x04
    DAYLIGHT_SAVING = 0x08
    CLOCK_ADJUSTED = 0x20
    POWER_DOWN = 0x80


@dataclass(frozen=True, slots=True)
class ElectricityMeterConfig:
    """How an electricity meter is built and programmed.

    Attributes:
        name: COSEM logical device name, up to 16 octets, the first three its manufacturer.
        system_title: eight octets, the first three its manufacturer.
        zone: the local calendar of its clock.
        capture_period_s: seconds between marks of the load profile; divides a day.
        profile_capacity: rows before the oldest is overwritten.
        tariffs: the daily tariff programme.
        opening_wh: import register when it left the factory, in equal parts of its tariffs.
        switch_mode: control_mode of the disconnect switch.
        limit_w: limiter threshold; 0 is off.
        clock_drift_ppm: how much faster its clock runs than true time.
        seal_key: secret under which registers are sealed at rest; with b"" the seal only finds accidents.

    """

    name: str
    system_title: bytes
    zone: tzinfo
    capture_period_s: int = 900
    profile_capacity: int = 60 * 96
    tariffs: TariffSwitch = field(default_factory=TariffSwitch)
    opening_wh: int = 0
    switch_mode: int = 4
    limit_w: int = 0
    clock_drift_ppm: float = 0.0
    seal_key: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        if not 4 <= len(self.name) <= 16 or len(self.system_title) != 8:
            raise ValueError("a logical device name has 4 to 16 octets and a system title eight")
        if 86_400 % self.capture_period_s:
            raise ValueError(f"a capture period of {self.capture_period_s} s does not divide a day")


class ElectricityMeter:
    """The meter as a machine.

    Args:
        config: how it is built.
        now: true time of power-up, UTC seconds.
        state: memory through power losses; None forgets everything.
        metrology_octets: the shipped octets of the metrology module, for its checksum.

    """

    def __init__(
        self,
        config: ElectricityMeterConfig,
        now: float,
        *,
        state: StateStore | None = None,
        metrology_octets: bytes = b"",
    ) -> None:
        self.config = config
        self.software: SoftwareIdentity = identify_software(metrology_octets)
        self.clock = MeterClock(config.zone, drift_ppm=config.clock_drift_ppm)
        self.switch = Switch(mode=config.switch_mode)
        self.limiter = PowerLimiter(config.limit_w)
        self.profile = LoadProfile(len(PROFILE_COLUMNS), config.profile_capacity, self._row)
        self.events = LoadProfile(1, EVENTS_MAX, self._event_row)
        self._state = state
        tariffs = max(tariff for _, tariff in config.tariffs.windows)
        opened = config.opening_wh // tariffs
        opening = {Obis(1, 0, 1, 8, tariff): opened for tariff in range(2, tariffs + 1)}
        opening |= {IMPORT: config.opening_wh, Obis(1, 0, 1, 8, 1): config.opening_wh - opened * (tariffs - 1)}
        self._metrology = Metrology(
            electricity_block(tariffs),
            now,
            opening=opening,
            state=state,
            seal_key=config.seal_key,
            former_seal_key=config.system_title,
        )
        self._status = StatusWord(0)
        self._is_unsaved = True
        self.event_count = 0
        """Events logged since the meter was made."""
        if state is not None:
            self._restore(state, now)
        own = self.clock.time(now)
        self._next_mark = (int(own) // config.capture_period_s + 1) * config.capture_period_s
        self._is_summer = self._summer(own)

    @property
    def indication(self) -> Indication:
        """The indicated registers."""
        return self._metrology.indicate()

    @property
    def status(self) -> StatusWord:
        """The status of the running capture period."""
        status = self._status
        if self._is_summer:
            status |= StatusWord.DAYLIGHT_SAVING
        if not self.clock.is_valid:
            status |= StatusWord.CLOCK_INVALID
        return status

    def advance(self, flow: ElectricityFlow | None, now: float) -> int:
        """Measure ``flow``, constant until ``now``, capturing at every mark; returns how many rows were captured.

        An open switch supplies nothing: what would flow does not.
        """
        captured = 0
        while self._next_mark <= self.clock.time(now):
            at = max(self.clock.true_time(self._next_mark, now), self._metrology.time)
            self._measure(flow, at)
            self._capture(self._next_mark)
            self._next_mark += self.config.capture_period_s
            captured += 1
        self._measure(flow, now)
        self._watch(now)
        return captured

    def set_clock(self, own: float, now: float) -> None:
        """Set the clock to ``own`` (UTC seconds); both times are logged, and the running period is flagged.

        Raises:
            ValueError: ``own`` is outside ``CLOCK_MIN`` to ``CLOCK_MAX``; nothing was changed.

        """
        if not CLOCK_MIN <= own <= CLOCK_MAX:
            raise ValueError(f"the calendar of the clock holds 2000 to 2099, not {own:.0f} s")
        before = self.clock.time(now)
        self._log(EventCode.CLOCK_ADJUSTED_OLD, before)
        step = self.clock.set(own, now)
        self._log(EventCode.CLOCK_ADJUSTED_NEW, own)
        if abs(step) >= 1.0:
            self._status |= StatusWord.CLOCK_ADJUSTED
        period = self.config.capture_period_s
        self._next_mark = (int(own) // period + 1) * period

    def operate(self, trigger: SwitchTrigger, now: float) -> bool:
        """Operate the switch; False where its mode forbids it."""
        moved = self.switch.trigger(trigger)
        if moved:
            self._log(_SWITCH_EVENTS.get(trigger, EventCode.DISCONNECTED_LOCALLY), self.clock.time(now))
            self._save()
        return moved

    def power_down(self, now: float) -> None:
        """Lose power: registers and rows are preserved; construct the meter from its state to power up again."""
        self._log(EventCode.POWER_DOWN, self.clock.time(now))
        self._status |= StatusWord.POWER_DOWN
        self._metrology.preserve()
        self._save()

    def preserve(self) -> None:
        """Keep registers, and rows and events where there are new ones, as power may fail without a signal."""
        self._metrology.preserve()
        if self._is_unsaved:
            self._save()

    def register(self, obis: Obis) -> int:
        """Return a register's or an instantaneous value's integer."""
        return self.indication[obis].value

    def present_row(self, now: float) -> Row:
        """Return clock, status and registers at ``now``, as a row of the load profile."""
        shown = self.indication
        return self._row(int(self.clock.time(now)), self.status, [shown[obis].value for obis in PROFILE_COLUMNS])

    def _measure(self, flow: ElectricityFlow | None, until: float) -> None:
        tariff = self.config.tariffs.tariff(self.clock.time(until), self.config.zone)
        self._metrology.advance(flow if self.switch.is_connected else None, until, tariff=tariff)

    def _capture(self, mark: int) -> None:
        indication = self.indication
        self.profile.capture(mark, self.status, [indication[obis].value for obis in PROFILE_COLUMNS])
        self._is_unsaved = True
        self._status = StatusWord(0)
        is_summer = self._summer(mark)
        if is_summer != self._is_summer:
            self._is_summer = is_summer
            self._log(EventCode.DAYLIGHT_SAVING_CHANGED, mark)

    def _watch(self, now: float) -> None:
        if not self.limiter.threshold_w:
            return
        power = next((value.value for obis, value in self.indication.instants if obis == IMPORT_POWER), 0)
        if self.limiter.watch(power, now) and self.switch.trigger(SwitchTrigger.LOCAL_DISCONNECT):
            self._log(EventCode.LIMITER_EXCEEDED, self.clock.time(now))

    def _log(self, code: EventCode, own: float) -> None:
        self.events.capture(int(own), 0, [code])
        self.event_count += 1
        self._is_unsaved = True

    def _row(self, time: int, status: int, values: Sequence[int]) -> Row:
        return (self._time_octets(time), unsigned(status), *(double_long_unsigned(value) for value in values))

    def _event_row(self, time: int, _status: int, values: Sequence[int]) -> Row:
        return (self._time_octets(time), unsigned(values[0]))

    def _time_octets(self, own: int) -> Data:
        return octet_string(write_clock_time(self.clock.local(own)))

    def _summer(self, own: float) -> bool:
        status = self.clock.local(own).status
        return status is not None and bool(status & ClockStatus.DAYLIGHT_SAVING_ACTIVE)

    def _save(self) -> None:
        if self._state is not None:
            self._state.save("profile", self.profile.pack())
            self._state.save("events", self.events.pack())
            self._state.save("switch", bytes([self.switch.state, self._status]))
            self._is_unsaved = False

    def _restore(self, state: StateStore, now: float) -> None:
        self.profile.unpack(state.load("profile") or b"")
        self.events.unpack(state.load("events") or b"")
        kept = state.load("switch")
        if kept is not None and len(kept) == 2:
            self.switch.state = type(self.switch.state)(kept[0])
            self._status = StatusWord(kept[1]) | StatusWord.POWER_DOWN
            self._log(EventCode.POWER_UP, self.clock.time(now))


_SWITCH_EVENTS = {
    SwitchTrigger.REMOTE_DISCONNECT: EventCode.DISCONNECTED_REMOTELY,
    SwitchTrigger.REMOTE_RECONNECT: EventCode.RECONNECTED_REMOTELY,
}
