"""Which meter measures each supply of a home: first hearing, exchange, and second meters, decided from registers heard.

Strategy: a supply has one meter. Another device of the same commodity is a candidate from its first register on; it
has taken the meter's place once the meter has been silent beside it for ``SILENT_S`` of listening, and the exchange is
dated back to the candidate's first register, so that no consumption is lost between their readings. A meter
that is heard beside a candidate makes the candidate a second meter, which never replaces it. The main meter of a P1
port and the meter at an address of a wired M-Bus need no silence: a port and an address belong to one meter. On a P1
port another identification in ``REPEATED_MIN`` telegrams in a row is an exchange; one telegram is not enough, because a
port without a CRC (DSMR 2 and 3) passes on damaged identifications, and no two damages are alike. So it does not
install the first meter either.

The last registers and the decisions are one entry of the state, written at once before a decision is reported: power
that fails leaves both as they were or both as they are. A decision is reported again after a restart until
``acknowledge``, with the same arguments; the receiver must accept a repetition.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

import msgspec

from meterspan.lnap.kept_state import DamagedEntryError
from meterspan.model.failures import Failure, FailureKind
from meterspan.model.ports import StateStore
from meterspan.quantities import CATALOGUE, HOUR_S, QUARTER_S, UNITS, Commodity, Obis, Scaled, parse_obis

__all__ = [
    "Candidate",
    "LastHeard",
    "MeterExchanged",
    "MeterFirstHeard",
    "MeterPlaces",
    "PlaceEvent",
    "Registers",
    "RegistersHeard",
    "SecondMeterHeard",
]

SILENT_S: Final = {"H1": 3_600.0, "M": 21_600.0}
"""By interface: a meter that has not been heard for so long may have been exchanged. A P1 port sends every ten seconds
and its M-Bus meters every hour at the latest; radio meters send several times in six hours."""
REPEATED_MIN: Final = 3
"""Telegrams in a row, twenty seconds of a P1 port, that name a meter before it is believed to be there."""
TIMES_MAX: Final = 64
"""Times of reception kept: those of all meters and their candidates; those of devices heard longest ago go first."""
DEVICES_MAX: Final = 16
"""Candidates, and second meters as well, known for one supply; of more, those not heard for longest are forgotten."""
DECISIONS_MAX: Final = 64
"""Decisions that wait to be carried out: more exchanges than a home sees in its life. No further one is made then."""
PLACES_KEPT: Final = "meter places"
LAST_KEPT: Final = "last registers"
"""The entry of version 0.1: the last registers without decisions; read where there is no entry of today."""

Registers = Mapping[Obis, Scaled]


@dataclass(frozen=True, slots=True)
class RegistersHeard:
    """Registers of one device in one telegram.

    Attributes:
        device: its identification.
        commodity: its commodity.
        interface: H1 or M.
        time: UTC seconds of the values.
        registers: values by OBIS code.
        is_main: the device has the meter's place: it is the electricity meter with the P1 port, or the meter at the
            address of a wired M-Bus where the supply's meter was.
        is_checked: a checksum, a decryption or a MAC shows that the telegram is as it was sent.

    """

    device: str
    commodity: Commodity
    interface: str
    time: int
    registers: Registers
    is_main: bool = False
    is_checked: bool = True


@dataclass(frozen=True, slots=True)
class Candidate:
    """A device that may have taken a meter's place: its first registers, and when they were read (UTC seconds)."""

    since: int
    registers: Registers


@dataclass(frozen=True, slots=True)
class LastHeard:
    """The meter of a supply.

    Attributes:
        device: its identification.
        interface: H1 or M; "" in a state file of an earlier version.
        time: UTC seconds of its newest registers.
        registers: their values: the closing reading, should it be exchanged.
        candidates: other devices of the commodity that were not heard beside it yet, by device.
        seconds: devices of the commodity that cannot replace it.

    """

    device: str
    interface: str
    time: int
    registers: Registers
    candidates: Mapping[str, Candidate]
    seconds: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class MeterFirstHeard:
    """A supply's first meter: install it.

    Attributes:
        usage_point: name of the supply.
        device: the meter.
        commodity: its commodity.
        interface: H1 or M.
        time: UTC seconds of its first registers.

    """

    usage_point: str
    device: str
    commodity: Commodity
    interface: str
    time: int

    @property
    def period_s(self) -> int:
        """Grid of the supply's intervals, in seconds: a P1 port reads the meters behind it only once an hour."""
        is_behind_port = self.interface != "M" and self.commodity is not Commodity.ELECTRICITY
        return HOUR_S if is_behind_port else QUARTER_S


@dataclass(frozen=True, slots=True)
class MeterExchanged:
    """A meter took another one's place.

    Attributes:
        usage_point: name of the supply.
        old_device: the meter that is gone.
        closing: its last registers.
        new_device: the meter that is there.
        opening: its first registers.
        interface: where it is heard: H1 or M.
        time: UTC seconds of the opening reading.

    """

    usage_point: str
    old_device: str
    closing: Registers
    new_device: str
    opening: Registers
    interface: str
    time: int


@dataclass(frozen=True, slots=True)
class SecondMeterHeard:
    """A device of a commodity that another meter measures already; its readings are stored and not billed."""

    device: str
    commodity: Commodity
    meter: str
    time: int
    failure: Failure


@dataclass(frozen=True, slots=True)
class _Unsure:
    """A device that a port has named in some telegrams in a row, since its first registers."""

    device: str
    first: Candidate
    count: int = 1


PlaceEvent = MeterFirstHeard | MeterExchanged | SecondMeterHeard
_Decision = MeterFirstHeard | MeterExchanged
_KeptT = TypeVar("_KeptT")


class MeterPlaces:
    """The meters of one home by supply.

    Args:
        home_id: prefix of the usage points' names.
        state: keeps the last registers and the unacknowledged decisions.

    Raises:
        DamagedEntryError: the kept state cannot be read.

    """

    def __init__(self, home_id: str, state: StateStore) -> None:
        self._home_id = home_id
        self._state = state
        self._last, self._pending = _read(state)
        self._events: deque[PlaceEvent] = deque(self._pending)
        self._heard_at: dict[str, float] = {}
        """Time of the last hearing by device, longest ago first."""
        self._unsure: dict[str, _Unsure] = {}
        """By usage point, the device that has to be named again before it is believed to be there."""
        self._listening_since: float | None = None
        self._unsaved = False

    @property
    def last_heard(self) -> Mapping[str, LastHeard]:
        """The meter of each supply, by usage point."""
        return self._last

    def next_event(self) -> PlaceEvent | None:
        """Return the next event, or None."""
        return self._events.popleft() if self._events else None

    def hear(self, heard: RegistersHeard, now: float) -> None:
        """Note registers of a device, received at ``now`` (UTC seconds).

        Where the state cannot be saved, nothing was noted and the exception goes on: the next registers decide again.
        """
        self._listening_since = now if self._listening_since is None else min(self._listening_since, now)
        self._note_time(heard.device, now)
        place = f"{self._home_id}-{CATALOGUE[heard.commodity].letter}"
        known, unsure, pending = self._last.get(place), self._unsure.get(place), self._pending.copy()
        try:
            self._decide_on(place, known, heard, now)
        except Exception:
            _put_back(self._last, place, known)
            _put_back(self._unsure, place, unsure)
            self._pending[:] = pending
            raise

    def _decide_on(self, place: str, known: LastHeard | None, heard: RegistersHeard, now: float) -> None:
        if known is None:
            self._first(place, heard)
        elif known.device == heard.device:
            self._unsure.pop(place, None)
            self._again(place, known, heard)
        elif heard.time > known.time and heard.is_main and known.interface in ("", heard.interface):
            first = self._first_of_main(place, known, heard)
            if first is not None:
                self._exchange(place, known, heard, first)
        else:
            self._other(place, known, heard, now)

    def save(self) -> None:
        """Save the newest registers; decisions are saved by themselves."""
        if self._unsaved:
            self._save()

    def acknowledge(self, event: _Decision) -> None:
        """Note that a decision was carried out; it is not reported again."""
        if event in self._pending:
            self._pending.remove(event)
            self._save()

    def _save(self) -> None:
        self._state.save(PLACES_KEPT, _write(self._last, self._pending))
        self._unsaved = False

    def _note_time(self, device: str, now: float) -> None:
        """Note when a device was heard; beyond ``TIMES_MAX`` the one heard longest ago goes, but no supply's meter."""
        self._heard_at.pop(device, None)
        self._heard_at[device] = now
        if len(self._heard_at) > TIMES_MAX:
            meters = {known.device for known in self._last.values()}
            del self._heard_at[next(name for name in self._heard_at if name not in meters)]

    def _first(self, place: str, heard: RegistersHeard) -> None:
        """Install the first meter of a supply: at once where its telegram was checked, else when it is named again."""
        first = Candidate(heard.time, heard.registers) if heard.is_checked else self._named_again(place, heard)
        if first is None:
            return
        self._unsure.pop(place, None)
        newest = {**first.registers, **heard.registers}
        self._last[place] = LastHeard(heard.device, heard.interface, heard.time, newest, {})
        self._decide(MeterFirstHeard(place, heard.device, heard.commodity, heard.interface, first.since))

    def _first_of_main(self, place: str, known: LastHeard, heard: RegistersHeard) -> Candidate | None:
        """Return the first registers of a device that has the meter's place, once that is believed; else None."""
        if heard.interface == "H1" or not heard.is_checked:
            return self._named_again(place, heard)
        return known.candidates.get(heard.device, Candidate(heard.time, dict(heard.registers)))

    def _named_again(self, place: str, heard: RegistersHeard) -> Candidate | None:
        """Return a device's first registers once it is named in ``REPEATED_MIN`` telegrams in a row, else None."""
        unsure = self._unsure.get(place)
        if unsure is None or unsure.device != heard.device:
            unsure = _Unsure(heard.device, Candidate(heard.time, dict(heard.registers)), 0)
        self._unsure[place] = replace(unsure, count=unsure.count + 1)
        return unsure.first if unsure.count + 1 >= REPEATED_MIN else None

    def _again(self, place: str, known: LastHeard, heard: RegistersHeard) -> None:
        """Note registers of the meter itself; candidates that began before are second meters."""
        if heard.time < known.time:
            return
        beside = {device for device, candidate in known.candidates.items() if candidate.since < heard.time}
        kept = {device: candidate for device, candidate in known.candidates.items() if device not in beside}
        newest = {**known.registers, **heard.registers}
        seconds = self._bounded(known.seconds | beside)
        self._last[place] = LastHeard(known.device, heard.interface, heard.time, newest, kept, seconds)
        self._unsaved = True
        if beside:
            self._save()
        for device in sorted(beside):
            self._events.append(_second(device, heard.commodity, known.device, heard.time))

    def _other(self, place: str, known: LastHeard, heard: RegistersHeard, now: float) -> None:
        """Note registers of another device; the meter's place is taken once the meter is silent."""
        if heard.time <= known.time or heard.device in known.seconds:
            return
        candidate = known.candidates.get(heard.device)
        if candidate is None or heard.time < candidate.since:
            candidate = Candidate(heard.time, dict(heard.registers))
            candidates = {**known.candidates, heard.device: candidate}
            kept = self._bounded(candidates)
            known = replace(known, candidates={name: found for name, found in candidates.items() if name in kept})
            self._last[place] = known
            self._save()
        if self._is_silent(known, candidate, now):
            self._exchange(place, known, heard, candidate)

    def _is_silent(self, known: LastHeard, candidate: Candidate, now: float) -> bool:
        """Whether the meter was not heard for long enough while this program listened and the candidate was there."""
        heard_at = self._heard_at.get(known.device, float(known.time))
        listening = now if self._listening_since is None else self._listening_since
        return now - max(heard_at, listening, candidate.since) >= SILENT_S.get(known.interface, SILENT_S["M"])

    def _bounded(self, devices: Iterable[str]) -> frozenset[str]:
        """Return the ``DEVICES_MAX`` devices that were heard last."""
        newest = sorted(devices, key=lambda name: (self._heard_at.get(name, 0.0), name), reverse=True)
        return frozenset(newest[:DEVICES_MAX])

    def _exchange(self, place: str, known: LastHeard, heard: RegistersHeard, candidate: Candidate) -> None:
        if len(self._pending) >= DECISIONS_MAX:
            return
        self._unsure.pop(place, None)
        seconds = self._bounded((known.seconds | {known.device}) - {heard.device})
        others = {name: other for name, other in known.candidates.items() if name != heard.device}
        newest = {**candidate.registers, **heard.registers}
        self._last[place] = LastHeard(heard.device, heard.interface, heard.time, newest, others, seconds)
        self._decide(
            MeterExchanged(
                place,
                known.device,
                known.registers,
                heard.device,
                candidate.registers,
                heard.interface,
                candidate.since,
            )
        )

    def _decide(self, event: _Decision) -> None:
        """Keep a decision, with the last registers that it made, before it is reported."""
        self._pending.append(event)
        self._save()
        self._events.append(event)


def _put_back(kept: dict[str, _KeptT], place: str, former: _KeptT | None) -> None:
    """Restore the former value of an entry; None removes it."""
    if former is None:
        kept.pop(place, None)
    else:
        kept[place] = former


def _second(device: str, commodity: Commodity, meter: str, time: int) -> SecondMeterHeard:
    reason = f"{meter} measures the {commodity} here"
    return SecondMeterHeard(device, commodity, meter, time, Failure(FailureKind.UNKNOWN_DEVICE, reason))


# The state is JSON; scaled values are [integer, power of ten, unit symbol].

_Kept = dict[str, tuple[int, int, str]]


class _KeptCandidate(msgspec.Struct):
    since: int
    registers: _Kept


class _KeptMeter(msgspec.Struct):
    """The meter of a supply; version 0.1 had device, at and registers."""

    device: str
    at: int
    registers: _Kept
    interface: str = ""
    candidates: dict[str, _KeptCandidate] = {}
    seconds: list[str] = []


class _KeptFirst(msgspec.Struct, tag="first"):
    usage_point: str
    device: str
    commodity: Commodity
    interface: str
    time: int


class _KeptExchange(msgspec.Struct, tag="exchange"):
    usage_point: str
    old_device: str
    closing: _Kept
    new_device: str
    opening: _Kept
    interface: str
    time: int


class _KeptPlaces(msgspec.Struct):
    """The entry: the meter of each usage point, and the decisions that nobody has acknowledged, oldest first."""

    meters: dict[str, _KeptMeter] = {}
    decisions: list[_KeptFirst | _KeptExchange] = []


def _read(state: StateStore) -> tuple[dict[str, LastHeard], list[_Decision]]:
    try:
        kept = msgspec.json.decode(state.load(PLACES_KEPT) or b"{}", type=_KeptPlaces)
        meters = kept.meters or msgspec.json.decode(state.load(LAST_KEPT) or b"{}", type=dict[str, _KeptMeter])
        return {place: _meter(found) for place, found in meters.items()}, [_event(found) for found in kept.decisions]
    except (msgspec.DecodeError, KeyError, ValueError) as error:
        raise DamagedEntryError(PLACES_KEPT, "what is kept about the home's meters", error) from error


def _meter(kept: _KeptMeter) -> LastHeard:
    candidates = {name: Candidate(found.since, _registers(found.registers)) for name, found in kept.candidates.items()}
    return LastHeard(
        kept.device, kept.interface, kept.at, _registers(kept.registers), candidates, frozenset(kept.seconds)
    )


def _event(kept: _KeptFirst | _KeptExchange) -> _Decision:
    if isinstance(kept, _KeptFirst):
        return MeterFirstHeard(kept.usage_point, kept.device, kept.commodity, kept.interface, kept.time)
    closing, opening = _registers(kept.closing), _registers(kept.opening)
    return MeterExchanged(
        kept.usage_point, kept.old_device, closing, kept.new_device, opening, kept.interface, kept.time
    )


def _write(last: Mapping[str, LastHeard], decisions: list[_Decision]) -> bytes:
    meters = {
        place: _KeptMeter(
            found.device,
            found.time,
            _kept(found.registers),
            found.interface,
            {name: _KeptCandidate(other.since, _kept(other.registers)) for name, other in found.candidates.items()},
            sorted(found.seconds),
        )
        for place, found in last.items()
    }
    return msgspec.json.encode(_KeptPlaces(meters, [_kept_event(event) for event in decisions]))


def _kept_event(event: _Decision) -> _KeptFirst | _KeptExchange:
    if isinstance(event, MeterFirstHeard):
        return _KeptFirst(event.usage_point, event.device, event.commodity, event.interface, event.time)
    closing, opening = _kept(event.closing), _kept(event.opening)
    return _KeptExchange(
        event.usage_point, event.old_device, closing, event.new_device, opening, event.interface, event.time
    )


def _registers(kept: _Kept) -> Registers:
    return {parse_obis(code): Scaled(value, exponent, UNITS[unit]) for code, (value, exponent, unit) in kept.items()}


def _kept(registers: Registers) -> _Kept:
    return {str(obis): (value.value, value.exponent, value.unit.symbol) for obis, value in registers.items()}
