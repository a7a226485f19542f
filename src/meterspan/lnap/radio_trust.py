"""What is believed of a radio meter's telegrams once they are opened: the same sender, fresh, and plausible.

Strategy: mode 7 is authenticated, and its message counter refuses every repetition. Mode 5 and the extended link layer
encrypt without authenticating: who recorded a telegram can alter it in part and send it again. So the whole address is
pinned at the first telegram, the newest time and access number are kept, and a register may neither fall nor rise by
more than the connection can carry. What is remembered is on disk before the telegram is believed.

A change that looks like an attack may be a new firmware, a reset or a rollover. It is believed once the meter has sent
nothing else for ``DOUBT_S``: an attacker would have to silence the meter for so long.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from meterspan.engine.wmbus_receiver import Telegram
from meterspan.lnap.channel import LocalMeter
from meterspan.lnap.kept_state import DamagedEntryError
from meterspan.model.ports import CounterStore, StateStore
from meterspan.quantities import UNITS, Commodity, Obis, Scaled, parse_obis
from meterspan.readings.rows import HeardTelegram, Row
from meterspan.wire.errors import ImplausibleError, ReplayError, WireError
from meterspan.wire.mbus.transport import HeaderKind, SecurityMode

__all__ = ["RadioTrust"]

CLOCK_SLACK_S: Final = 120
"""A telegram's minute stamp may be this much older than the newest one before it counts as a replay."""
CLOCK_AHEAD_S: Final = 86_400
"""A stamp further ahead of the reception is of a clock that is not believed: it refuses nothing and is not kept."""
NUMBERS_BEHIND: Final = 64
"""Access numbers are 8 bits and wrap: one of the last 64 is a replay, any other one is a later telegram."""
NUMBERS_FOR_S: Final = 3_600
"""After an hour without a telegram any access number may be next."""
DOUBT_S: Final = 21_600
"""A change that looks like an attack is believed after six hours in which nothing contradicts it."""
RISE_SLACK_S: Final = 3_600
"""A rise is held against what the connection carries in the time that passed and an hour more: meters send late."""

HOURLY_MAX: Final[Mapping[Commodity, Scaled]] = MappingProxyType(
    {
        Commodity.ELECTRICITY: Scaled(1, 6, UNITS["Wh"]),
        Commodity.GAS: Scaled(650, 0, UNITS["m3"]),
        Commodity.WATER: Scaled(100, 0, UNITS["m3"]),
        Commodity.HEAT: Scaled(10, 6, UNITS["Wh"]),
    }
)
"""Rise of a register in an hour that no meter of a building exceeds (gas: a meter G400; water: one with Q3 = 63 m3/h),
where ``hourly_max`` of the meter is not configured; registers in another dimension are not held against it."""


class _KeptTrust(msgspec.Struct, array_like=True, frozen=True):
    """One value of a register, and its time (UTC seconds)."""

    time: int
    value: int
    exponent: int
    unit: str

    @property
    def scaled(self) -> Scaled:
        return Scaled(self.value, self.exponent, UNITS[self.unit])


class _Heard(msgspec.Struct, frozen=True):
    """What is kept of a meter.

    Attributes:
        address: the whole address of its telegrams, eight octets.
        at: UTC seconds at which the newest one was received.
        number: its access number; None where it has none.
        sent: the newest time by the meter's own clock; None where it sends none that is believed.
        levels: the current value of each register, by OBIS text, with the time of its reception.
        marks: the value of each register at its newest due mark.

    """

    address: bytes
    at: int
    number: int | None = None
    sent: int | None = None
    levels: dict[str, _KeptTrust] = {}
    marks: dict[str, _KeptTrust] = {}


class RadioTrust:
    """Decides for each opened telegram of the installed radio meters whether it is believed.

    Args:
        counters: received message counters of mode 7.
        state: the rest of what is remembered.

    """

    def __init__(self, counters: CounterStore, state: StateStore) -> None:
        self._counters = counters
        self._state = state
        self._heard: dict[str, _Heard] = {}
        self._doubted_since: dict[str, int] = {}

    def restore(self, device: str) -> None:
        """Load what was remembered of a meter.

        Raises:
            DamagedEntryError: it cannot be read. Without it, an old telegram could be repeated, so a person decides.

        """
        octets = self._state.load(_entry(device))
        if octets:
            self._heard[device] = _read(device, octets)

    def believe(self, meter: LocalMeter, telegram: Telegram, heard: HeardTelegram, now: float) -> None:
        """Check a telegram that was opened as its meter requires, and remember it durably; else nothing changes.

        Args:
            meter: its sender.
            telegram: as opened.
            heard: its rows.
            now: UTC seconds of reception.

        Raises:
            ReplayError: it was received before, or is older than one that was.
            ImplausibleError: another address, or registers that cannot be those of this meter.
            ValueError: a register is of another dimension than before.
            StorageError: it cannot be remembered now, and so it is not believed.

        """
        device, counter = meter.device, _counter_of(meter, telegram)
        new = _of_telegram(meter, telegram, heard, round(now))
        kept = self._heard.get(device)
        is_new = kept is None or self._is_past_doubt(
            device, _doubt(meter, kept, new, is_authentic=counter is not None), new
        )
        if counter is not None and not self._counters.accept(f"radio/{device}", counter):
            raise ReplayError(f"message counter {counter} was used before", None, "AFL MCR")
        self._keep(device, new if is_new or kept is None else _merged(kept, new))

    def _is_past_doubt(self, device: str, doubt: WireError | None, new: _Heard) -> bool:
        """Return whether a doubtful telegram is believed because it was doubted for long enough; False without doubt.

        Raises:
            WireError: the doubt.

        """
        if doubt is None:
            return False
        if isinstance(doubt, _NumberUsedError) or new.at - self._doubted_since.setdefault(device, new.at) < DOUBT_S:
            raise doubt
        return True

    def _keep(self, device: str, heard: _Heard) -> None:
        self._state.save(_entry(device), msgspec.json.encode(heard))
        self._heard[device] = heard
        self._doubted_since.pop(device, None)


class _NumberUsedError(ReplayError):
    """An access number of the last hour: no change of the meter explains it."""


def _of_telegram(meter: LocalMeter, telegram: Telegram, heard: HeardTelegram, at: int) -> _Heard:
    device = heard.device(meter.device)
    rows = [] if device is None else [row for row in device.rows if row.obis in meter.registers]
    levels = {str(row.obis): _kept(row) for row in rows if row.time == heard.time}
    marks: dict[str, _KeptTrust] = {}
    for row in sorted(rows, key=lambda row: row.time):
        if row.time != heard.time:
            marks[str(row.obis)] = _kept(row)
    sent = heard.own_time
    is_believed = sent is not None and sent <= at + CLOCK_AHEAD_S
    return _Heard(telegram.address.octets, at, _number_of(telegram), sent if is_believed else None, levels, marks)


def _merged(kept: _Heard, new: _Heard) -> _Heard:
    """Return what is kept after a telegram without doubt; a register that it does not have stays."""
    sent = max((time for time in (kept.sent, new.sent) if time is not None), default=None)
    marks = {name: mark for name, mark in new.marks.items() if _is_later(mark, kept.marks.get(name))}
    return _Heard(new.address, new.at, new.number, sent, kept.levels | new.levels, kept.marks | marks)


def _is_later(mark: _KeptTrust, known: _KeptTrust | None) -> bool:
    return known is None or mark.time > known.time


def _doubt(meter: LocalMeter, kept: _Heard, new: _Heard, *, is_authentic: bool) -> WireError | None:
    """Return why a telegram may not be the meter's own, or None; of an authentic one, only its address can be."""
    if new.address != kept.address:
        return ImplausibleError(f"address {new.address.hex()}, where {kept.address.hex()} is known", 2, "address")
    if is_authentic:
        return None
    if new.sent is not None and kept.sent is not None:
        if new.sent < kept.sent - CLOCK_SLACK_S:
            return ReplayError(f"sent {kept.sent - new.sent} s before the newest telegram", None, "date and time")
    elif _is_number_used(kept, new):
        return _NumberUsedError(f"access number {new.number} was used before", None, "access number")
    reasons = (_doubt_of_register(meter, obis, kept, new) for obis in meter.registers)
    reason = next((found for found in reasons if found), "")
    return ImplausibleError(reason) if reason else None


def _is_number_used(kept: _Heard, new: _Heard) -> bool:
    if kept.number is None or new.number is None or new.at - kept.at >= NUMBERS_FOR_S:
        return False
    return 1 <= (kept.number - new.number) & 0xFF <= NUMBERS_BEHIND


def _doubt_of_register(meter: LocalMeter, obis: Obis, kept: _Heard, new: _Heard) -> str:
    """Return in words why the values of a register cannot follow those that are known; "" where they can."""
    name = str(obis)
    level, known = new.levels.get(name), kept.levels.get(name)
    mark, known_mark = new.marks.get(name), kept.marks.get(name)
    if level is not None and known is not None:
        if _is_below(level, known):
            return f"{obis} fell from {known.scaled} to {level.scaled}"
        if _rises_too_fast(meter, known, level):
            return (
                f"{obis} rose from {known.scaled} to {level.scaled} in {level.time - known.time} s; "
                "hourly_max says what this connection carries"
            )
    if mark is not None and known_mark is not None and mark.time > known_mark.time and _is_below(mark, known_mark):
        return f"{obis} at the due date fell from {known_mark.scaled} to {mark.scaled}"
    if mark is not None and level is not None and _is_below(level, mark):
        return f"{obis} is {level.scaled} and was {mark.scaled} at the due date"
    return ""


def _is_below(first: _KeptTrust, second: _KeptTrust) -> bool:
    """Whether the first value is less than the second one, exactly."""
    unit = second.scaled.unit
    return first.scaled.to(unit) < second.scaled.to(unit)


def _rises_too_fast(meter: LocalMeter, known: _KeptTrust, level: _KeptTrust) -> bool:
    """Whether a register rose by more than the connection carries."""
    hourly = meter.hourly_max or HOURLY_MAX[meter.commodity]
    unit = hourly.unit
    if meter.hourly_max is None and unit.dimension != level.scaled.unit.dimension:
        return False
    rise, passed_s = level.scaled.to(unit) - known.scaled.to(unit), max(0, level.time - known.time)
    return rise * 3_600 > hourly.to(unit) * (passed_s + RISE_SLACK_S)


def _kept(row: Row) -> _KeptTrust:
    return _KeptTrust(row.time, row.value.value, row.value.exponent, row.value.unit.symbol)


def _counter_of(meter: LocalMeter, telegram: Telegram) -> int | None:
    """Return the message counter that a MAC under the meter's key has authenticated; None in other modes."""
    frame, header = telegram.frame, telegram.header
    if not meter.key or header is None or header.mode != SecurityMode.AES_CBC_DYNAMIC or frame is None:
        return None
    return None if frame.afl is None else frame.afl.counter


def _number_of(telegram: Telegram) -> int | None:
    if telegram.header is not None and telegram.header.kind is not HeaderKind.NONE:
        return telegram.header.access_number
    ell = None if telegram.frame is None else telegram.frame.ell
    return None if ell is None else ell.access_number


def _entry(device: str) -> str:
    return f"heard/{device}"


def _read(device: str, octets: bytes) -> _Heard:
    try:
        heard = msgspec.json.decode(octets, type=_Heard)
        for name, kept in (*heard.levels.items(), *heard.marks.items()):
            parse_obis(name)
            kept.scaled  # noqa: B018 - its unit is known
    except (msgspec.DecodeError, KeyError, ValueError) as error:
        raise DamagedEntryError(_entry(device), f"what is remembered of radio meter {device}", error) from error
    return heard
