"""The meters that a listener receives: the latest telegram of each, and the outcome of every telegram.

Each telegram is counted under one ``Outcome``, by the type of its error; no telegram, however damaged, ends the
listening. Meters are bounded.
"""

from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from meterspan.model.identity import mbus_device
from meterspan.model.telegram import DecodedTelegram, DeviceIdentity
from meterspan.readings import Decoder, Format, recognise
from meterspan.wire.errors import KeyMissingError, KeyWrongError, UnsupportedError, WireError
from meterspan.wire.p1 import P1Damage, P1Telegram
from meterspan.wire.wmbus import read_frame

__all__ = ["HeardMeter", "Hearing", "Outcome", "TelegramListener"]

METERS_MAX: Final = 2_000
"""Meters remembered; a receiver in a dense city hears some hundreds. The one longest silent is forgotten first."""


class Outcome(StrEnum):
    """Outcome of a telegram."""

    READ = "read"
    NO_KEY = "no key"
    WRONG_KEY = "wrong key"
    DAMAGED = "damaged"
    NOT_READ = "not read"
    """Whole and open, but of a kind that is not read."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """One telegram as it was heard.

    Attributes:
        at: UTC seconds.
        source: port or sender.
        name: the meter's name, "" where the telegram has none.
        outcome: its outcome.
        telegram: the decoded telegram.
        octets: the telegram as it was received.

    """

    at: float
    source: str
    name: str
    outcome: Outcome
    telegram: DecodedTelegram
    octets: bytes = b""


@dataclass(slots=True)
class HeardMeter:
    """The latest of one meter.

    Attributes:
        count: how many telegrams.
        last: the last one.
        read: the last one that could be read.

    """

    count: int
    last: Hearing
    read: Hearing | None


class TelegramListener:
    """Decodes and counts telegrams of any kind.

    Args:
        keys: by the meter's name (``MSP-12345678-03``) or its number (``12345678``).

    """

    def __init__(self, keys: Mapping[str, bytes] | None = None) -> None:
        self.meters: OrderedDict[str, HeardMeter] = OrderedDict()
        self.outcomes: Counter[Outcome] = Counter()
        self.last_damage = ""
        self._keys = dict(keys or {})
        self._decoder = Decoder()

    def hear(self, octets: bytes, source: str, now: float) -> Hearing:
        """Decode and count a telegram of a radio or wired meter."""
        try:
            is_wireless = recognise(octets) is Format.WMBUS
        except WireError:
            is_wireless = True  # damage of what is most often heard
        hearing = self._wireless(octets, source, now) if is_wireless else self._other(octets, source, now)
        return self._note(hearing)

    def hear_text(self, line: str, source: str, now: float) -> Hearing:
        """Decode and count a line of a receiver: hexadecimal digits among other text (RSSI, time stamps)."""
        try:
            octets = bytes.fromhex(max(_runs(line), key=len, default=""))
        except ValueError:
            octets = b""
        if octets:
            return self.hear(octets, source, now)
        damaged = DecodedTelegram("unknown", errors=(WireError(f"no hexadecimal digits in {line[:40]!r}"),))
        return self._note(Hearing(now, source, "", Outcome.DAMAGED, damaged))

    def hear_p1(self, telegram: P1Telegram | P1Damage, source: str, now: float) -> Hearing:
        """Decode and count a P1 telegram."""
        if isinstance(telegram, P1Damage):
            damaged = DecodedTelegram("p1", errors=(telegram.error,))
            return self._note(Hearing(now, source, "", Outcome.DAMAGED, damaged, telegram.octets))
        decoded = self._decoder.decode(telegram.octets, as_=Format.P1, now=now)
        name = decoded.device.id or telegram.identification
        return self._note(Hearing(now, source, name, Outcome.READ, decoded, telegram.octets))

    def _wireless(self, octets: bytes, source: str, now: float) -> Hearing:
        try:
            frame = read_frame(octets)
        except WireError as error:
            return Hearing(now, source, "", Outcome.DAMAGED, DecodedTelegram("wmbus", errors=(error,)), octets)
        address = frame.address
        name = mbus_device(address)
        key = self._key(name, address.id)
        telegram = self._decoder.decode(octets, key=key, as_=Format.WMBUS, now=now)
        if not telegram.device.id:
            who = DeviceIdentity(address.id, address.manufacturer, address.medium_name, f"{address.version:02X}")
            telegram = replace(telegram, device=who)
        return Hearing(now, source, name, _fate(telegram), telegram, octets)

    def _other(self, octets: bytes, source: str, now: float) -> Hearing:
        telegram = self._decoder.decode(octets, now=now)
        key = self._key(telegram.device.id, telegram.device.id)
        if telegram.error and key is not None:
            telegram = self._decoder.decode(octets, key=key, now=now)
        outcome = Outcome.READ if telegram.readings else Outcome.NOT_READ if telegram.device.id else Outcome.DAMAGED
        return Hearing(now, source, telegram.device.id, outcome, telegram, octets)

    def _key(self, name: str, number: str) -> bytes | None:
        return self._keys.get(name) or self._keys.get(number) or None

    def _note(self, hearing: Hearing) -> Hearing:
        self.outcomes[hearing.outcome] += 1
        if hearing.outcome is Outcome.DAMAGED:
            self.last_damage = hearing.telegram.error or ""
        if not hearing.name:
            return hearing
        meter = self.meters.pop(hearing.name, None)
        if meter is None:
            meter = HeardMeter(0, hearing, None)
        meter.count += 1
        meter.last = hearing
        meter.read = hearing if hearing.outcome is Outcome.READ else meter.read
        self.meters[hearing.name] = meter
        if len(self.meters) > METERS_MAX:
            self.meters.popitem(last=False)
        return hearing


def _fate(telegram: DecodedTelegram) -> Outcome:
    if telegram.readings:
        return Outcome.READ
    return next(
        (outcome for error in telegram.errors for kind, outcome in _OUTCOMES if isinstance(error, kind)),
        Outcome.DAMAGED,
    )


_OUTCOMES: tuple[tuple[type[WireError], Outcome], ...] = (
    (KeyMissingError, Outcome.NO_KEY),
    (KeyWrongError, Outcome.WRONG_KEY),
    (UnsupportedError, Outcome.NOT_READ),
)


def _runs(line: str) -> list[str]:
    """Return the runs of hexadecimal digits of a line that are whole octets."""
    words = "".join(letter if letter in "0123456789abcdefABCDEF" else " " for letter in line).split()
    return [word for word in words if len(word) % 2 == 0]
