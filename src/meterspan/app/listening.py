"""What ``meterspan listen`` is: its sources, the latest telegram of each meter, and the outcome of every telegram.

Each telegram is counted under one ``Outcome``, by the type of its error; no telegram, however damaged, ends the
listening. Meters are bounded.
"""

import asyncio
import os
import signal
import sys
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from stat import S_ISFIFO, S_ISREG
from typing import Any, Final, TypeVar

from meterspan.app.meter_keys import MeterKeys
from meterspan.model.identity import mbus_device
from meterspan.model.telegram import DecodedTelegram, DeviceIdentity
from meterspan.readings import Decoder, Format, recognise
from meterspan.readings.mbus_decode import wired_sender
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.p1_source import hex_lines, p1_telegrams
from meterspan.runtime.push_source import PUSH_SCHEMES, pushed_apdus
from meterspan.runtime.radio import radio_telegrams
from meterspan.wire.errors import KeyMissingError, KeyWrongError, SecurityError, UnsupportedError, WireError
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.p1 import P1Damage, P1Telegram
from meterspan.wire.wmbus import read_frame

ValueT = TypeVar("ValueT")

__all__ = ["HeardMeter", "Hearing", "KeyFile", "KeyWatch", "Listening", "Outcome", "TelegramListener", "listen_at"]

KEYS_LOOKED_AT_EVERY_S: Final = 1.0
KEYS_TRIED_MAX: Final = 64
"""Meters whose keys are tried for one push; those that opened the last one of its system title go first. Where none
fits, the next push of the title is tried with those that follow."""
_PUSHED: Final = "dlms-push"
METERS_MAX: Final = 2_000
"""Meters remembered; a receiver in a dense city hears some hundreds. The one longest silent is forgotten first."""


class Outcome(StrEnum):
    """Outcome of a telegram."""

    READ = "read"
    NO_KEY = "no key"
    WRONG_KEY = "wrong key"
    DAMAGED = "damaged"
    NOT_PROTECTED = "not protected"
    """Of a meter whose key is known, without the protection that it requires: anybody can have sent it."""
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
        failed: the last one that could not be read.

    """

    count: int
    last: Hearing
    read: Hearing | None
    failed: Hearing | None = None


class TelegramListener:
    """Decodes and counts telegrams of any kind.

    Args:
        keys: by the meter's name (``MSP-12345678-03``) or its number (``12345678``). Of a meter that pushes DLMS, both
            keys; those of a system title are found by trying them.

    """

    def __init__(self, keys: Mapping[str, MeterKeys] | None = None) -> None:
        self.meters: OrderedDict[str, HeardMeter] = OrderedDict()
        self.outcomes: Counter[Outcome] = Counter()
        self.last_damage = ""
        self.use_keys(keys or {})
        self._names: OrderedDict[str, str] = OrderedDict()
        """The meter whose keys opened a push, by the system title in it."""
        self._tried: OrderedDict[str, int] = OrderedDict()
        """How many keys were tried in vain for a system title."""
        self._decoder = Decoder()

    def use_keys(self, keys: Mapping[str, MeterKeys]) -> None:
        """Open the next telegrams with these keys, and with no others."""
        self._keys = {name: found for name, found in keys.items() if found.key}
        self._push_names = [name for name, found in self._keys.items() if found.auth_key]

    def hear(self, octets: bytes, source: str, now: float) -> Hearing:
        """Decode and count a telegram of a radio or wired meter."""
        try:
            kind = recognise(octets)
        except WireError:
            kind = Format.WMBUS  # damage of what is most often heard
        if kind is Format.WMBUS:
            return self._note(self._wireless(octets, source, now))
        hearing = self._wired(octets, source, now) if kind is Format.MBUS else self._other(octets, source, now)
        return self._note(hearing)

    def hear_push(self, octets: bytes, source: str, now: float) -> Hearing:
        """Decode and count one pushed APDU, or octets that are no frame of their link."""
        return self._note(self._other(octets, source, now, Format.DLMS))

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
        return self._addressed(octets, source, now, frame.address, Format.WMBUS)

    def _wired(self, octets: bytes, source: str, now: float) -> Hearing:
        address = wired_sender(octets)
        if address is None:
            return self._other(octets, source, now)
        hearing = self._addressed(octets, source, now, address, Format.MBUS)
        return replace(hearing, name=hearing.telegram.device.id)

    def _addressed(self, octets: bytes, source: str, now: float, address: DeviceAddress, as_: Format) -> Hearing:
        """Decode a telegram of an M-Bus meter: where its key is known, only with the protection that it requires."""
        name = mbus_device(address)
        keys = self._keys.get(name) or self._keys.get(address.id)
        telegram = self._decoded(octets, keys, as_, now)
        if not telegram.device.id:
            who = DeviceIdentity(address.id, address.manufacturer, address.medium_name, f"{address.version:02X}")
            telegram = replace(telegram, device=who)
        return Hearing(now, source, name, _fate(telegram), telegram, octets)

    def _other(self, octets: bytes, source: str, now: float, as_: Format | None = None) -> Hearing:
        """Decode a telegram whose sender is known once it is read: a push, or one of a kind that is never protected."""
        telegram = self._decoder.decode(octets, as_=as_, now=now)
        missing = next((error for error in telegram.errors if isinstance(error, KeyMissingError)), None)
        device = telegram.device
        if missing is not None:
            name, telegram = self._opened(octets, missing, as_, now)
        else:
            name = self._names.get(device.id, device.id)
            if telegram.protocol == _PUSHED and name in self._keys:
                telegram = replace(self._decoded(octets, self._keys[name], as_, now), device=device)
        outcome = _fate(telegram)
        if outcome is Outcome.DAMAGED and telegram.device.id:
            outcome = Outcome.NOT_READ
        return Hearing(now, source, name or telegram.device.id, outcome, telegram, octets)

    def _decoded(self, octets: bytes, keys: MeterKeys | None, as_: Format | None, now: float) -> DecodedTelegram:
        """Decode a telegram of a known meter; where its key is known, only what has the required protection."""
        if keys is None:
            return self._decoder.decode(octets, as_=as_, now=now)
        auth_key = keys.auth_key or None
        return self._decoder.decode(octets, key=keys.key, auth_key=auth_key, as_=as_, now=now, required=keys.protection)

    def _opened(
        self, octets: bytes, missing: KeyMissingError, as_: Format | None, now: float
    ) -> tuple[str, DecodedTelegram]:
        """Open a protected push with the keys whose tag is right: those of its system title first, then others."""
        title = missing.system_title.hex().upper()
        begin = self._tried.get(title, 0) % max(1, len(self._push_names))
        others = self._push_names[begin:] + self._push_names[:begin]
        own = [name for name in (self._names.get(title, ""), title) if name in self._push_names]
        tried = list(dict.fromkeys((*own, *others)))[:KEYS_TRIED_MAX]
        for name in tried:
            telegram = self._decoded(octets, self._keys[name], as_, now)
            if not any(isinstance(error, SecurityError) for error in telegram.errors) or telegram.readings:
                _remember(self._names, title, name)
                return name, telegram
        _remember(self._tried, title, begin + len(tried))
        return "", DecodedTelegram(_PUSHED, errors=(_not_opened(missing, len(tried), len(self._push_names)),))

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
        if hearing.outcome is Outcome.READ:
            meter.read = hearing
        else:
            meter.failed = hearing
        self.meters[hearing.name] = meter
        if len(self.meters) > METERS_MAX:
            self.meters.popitem(last=False)
        return hearing


def _remember(found: OrderedDict[str, ValueT], title: str, value: ValueT) -> None:
    """Keep a value of a system title, and forget the one that was kept first where they are too many."""
    found[title] = value
    found.move_to_end(title)
    if len(found) > METERS_MAX:
        found.popitem(last=False)


def _not_opened(missing: KeyMissingError, tried: int, known: int) -> KeyMissingError:
    """Return why no key of the file opens a push: none is there, none fits, or not all were tried yet."""
    if not tried:
        return missing
    reason = f"encrypted by system title {missing.system_title.hex().upper()}; none of {tried} keys fits"
    if known > tried:
        reason += f", {known - tried} others were not tried; its next pushes are tried with them"
    return KeyMissingError(reason, None, "key", system_title=missing.system_title)


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
    (SecurityError, Outcome.NOT_PROTECTED),
    (UnsupportedError, Outcome.NOT_READ),
)


def _runs(line: str) -> list[str]:
    """Return the runs of hexadecimal digits of a line that are whole octets."""
    words = "".join(letter if letter in "0123456789abcdefABCDEF" else " " for letter in line).split()
    return [word for word in words if len(word) % 2 == 0]


# --- the key file ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A file with the keys of meters.

    Attributes:
        path: the file.
        read: reads it; raises ValueError with words for the user where it is no key file.
        found: the keys that it had at the start, by the meter's name.

    """

    path: Path
    read: Callable[[Path], Mapping[str, MeterKeys]]
    found: Mapping[str, MeterKeys]


class KeyWatch:
    """Reads a key file again when it changes.

    Args:
        file: the file.

    Attributes:
        trouble: why the file cannot be used now, "" where it can.

    """

    def __init__(self, file: KeyFile) -> None:
        self.trouble = ""
        self._file = file
        self._stamp: tuple[int, ...] | None = ()

    def changed(self) -> Mapping[str, MeterKeys] | None:
        """Return the keys of the file where it changed since the last call and can be read, else None."""
        stamp = _stamp(self._file.path)
        if stamp == self._stamp:
            return None
        self._stamp = stamp
        try:
            found = self._file.read(self._file.path)
        except ValueError as error:
            self.trouble = f"{error}; the keys that were read before stay in use"
            return None
        self.trouble = ""
        return found


def _stamp(path: Path) -> tuple[int, ...] | None:
    """Return what differs after a change of a file, None where there is no such file; a pipe never changes."""
    try:
        found = path.stat()
    except OSError:
        return None
    return (found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino) if S_ISREG(found.st_mode) else ()


# --- the sources ----------------------------------------------------------------------------------------------------


def listen_at(
    places: Sequence[Endpoint | None],
    key_file: KeyFile | None,
    *,
    seconds: float | None,
    on_hearing: Callable[[Hearing], object] = lambda _hearing: None,
    on_ready: Callable[[int], None] = lambda _port: None,
    on_key_trouble: Callable[[str], None] = lambda _text: None,
) -> "Listening":
    """Listen until a signal, the time is up, or every source has ended; return what was heard.

    Args:
        places: the sources; None is standard input.
        key_file: keys of meters; it is read again when it changes.
        seconds: how long; None without end.
        on_hearing: called with each telegram.
        on_ready: called with each port that is open.
        on_key_trouble: called with a sentence when the key file can no longer be read.

    Raises:
        CannotConnectError: a port cannot be opened.

    """
    listening = Listening(places, key_file, on_hearing, on_ready, on_key_trouble)
    asyncio.run(listening.run(seconds))
    return listening


_KEY_FILE: Final = "key file"


class Listening:
    """All sources at once, and what is heard at them.

    Args:
        places: the sources; None is standard input.
        key_file: keys of meters; it is read again when it changes.
        on_hearing: called with each telegram.
        on_ready: called with each port that is open.
        on_key_trouble: called with a sentence when the key file can no longer be read.

    Attributes:
        places: the sources.
        listener: decodes and counts their telegrams.
        trouble: a sentence for each source that is down now, by the source, and for the key file.
        clock: UTC seconds.

    """

    def __init__(
        self,
        places: Sequence[Endpoint | None],
        key_file: KeyFile | None = None,
        on_hearing: Callable[[Hearing], object] = lambda _hearing: None,
        on_ready: Callable[[int], None] = lambda _port: None,
        on_key_trouble: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self.places = tuple(places)
        found = {} if key_file is None else key_file.found
        self.listener = TelegramListener(found)
        self.trouble: dict[str, str] = {}
        self.clock = SystemClock()
        self._watch = None if key_file is None else KeyWatch(key_file)
        self._on_hearing = on_hearing
        self._on_ready = on_ready
        self._on_key_trouble = on_key_trouble
        self._stop = asyncio.Event()

    def end(self) -> None:
        """End ``run``."""
        self._stop.set()

    async def run(self, seconds: float | None) -> None:
        """Listen; see ``listen_at``."""
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        tasks = [asyncio.create_task(self._hear(place)) for place in self.places]
        others: list[asyncio.Future[Any]] = [
            asyncio.create_task(self._stop.wait()),
            asyncio.create_task(self._follow_keys()),
        ]
        ending = asyncio.gather(*tasks)
        try:
            await asyncio.wait((ending, *others), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for other in (*others, ending):
                other.cancel()
            failures = await asyncio.gather(*tasks, *others, return_exceptions=True)
            await asyncio.gather(ending, return_exceptions=True)
        for failure in failures:
            if isinstance(failure, Exception):
                raise failure

    def read_changed_keys(self) -> None:
        """Use the keys of the key file where it changed; where it cannot be read, say so and keep the old ones."""
        if self._watch is None:
            return
        before, found = self._watch.trouble, self._watch.changed()
        if found is not None:
            self.listener.use_keys(found)
        if not self._watch.trouble:
            self.trouble.pop(_KEY_FILE, None)
        elif self._watch.trouble != before:
            self.trouble[_KEY_FILE] = self._watch.trouble
            self._on_key_trouble(self._watch.trouble)

    async def _follow_keys(self) -> None:
        while True:
            self.read_changed_keys()
            await asyncio.sleep(KEYS_LOOKED_AT_EVERY_S)

    async def _hear(self, place: Endpoint | None) -> None:
        async with aclosing(self._hearings(place)) as hearings:
            async for hearing in hearings:
                self.trouble.pop(str(place), None)
                self._on_hearing(hearing)

    async def _hearings(self, place: Endpoint | None) -> AsyncGenerator[Hearing, None]:
        def trouble(text: str) -> None:
            self.trouble[str(place)] = text

        if place is None:
            async with aclosing(_input_lines()) as given:
                async for line in given:
                    yield self.listener.hear_text(line, "-", self.clock())
        elif place.scheme == "udp":
            async with aclosing(_heard_radio(place, self.clock, self._on_ready)) as datagrams:
                async for octets, peer, now in datagrams:
                    yield self.listener.hear(octets, f"udp://{peer}", now)
        elif place.scheme in PUSH_SCHEMES:
            async with aclosing(pushed_apdus(place, self.clock, on_ready=self._on_ready)) as pushes:
                async for pushed in pushes:
                    yield self.listener.hear_push(pushed.octets, f"{place.scheme}://{pushed.peer}", pushed.at)
        elif place.scheme.startswith("hex+"):
            async with aclosing(hex_lines(place, on_trouble=trouble)) as lines:
                async for text in lines:
                    yield self.listener.hear_text(text, str(place), self.clock())
        else:
            async with aclosing(p1_telegrams(place, on_trouble=trouble)) as telegrams:
                async for telegram in telegrams:
                    yield self.listener.hear_p1(telegram, str(place), self.clock())


RADIO_TELEGRAMS_A_SECOND: Final = 1_000.0
"""Radio telegrams read in a second; a receiver in a dense city hears some hundred. Senders have turns, and the newest
of too many are lost."""


def _heard_radio(
    place: Endpoint, clock: Callable[[], float], on_ready: Callable[[int], None]
) -> AsyncGenerator[tuple[bytes, str, float], None]:
    return radio_telegrams(place, clock, on_ready=on_ready, unproved_per_s=RADIO_TELEGRAMS_A_SECOND)


LINE_SIZE_MAX: Final = 1 << 17
"""Characters of a line: the longest telegram is a push of 64 KiB in digits."""


async def _input_lines() -> AsyncGenerator[str, None]:
    """Yield the lines of standard input that are not empty.

    A pipe is awaited, so that a program that writes nothing does not delay the end; a file or a terminal is read in a
    thread.
    """
    if S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
        reader = asyncio.StreamReader(LINE_SIZE_MAX)
        pipe = os.fdopen(os.dup(sys.stdin.fileno()), "rb", buffering=0)
        loop = asyncio.get_running_loop()
        transport, _protocol = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        try:
            while line := await _line(reader):
                if line.strip():
                    yield line
                await asyncio.sleep(0)  # timers, signals and other sources have their turn
        finally:
            transport.close()
        return
    while line := await asyncio.to_thread(sys.stdin.readline, LINE_SIZE_MAX):
        if line.strip():
            yield line
        await asyncio.sleep(0)


async def _line(reader: asyncio.StreamReader) -> str:
    """Return the next line, "" at the end; a line that is too long has no telegram."""
    try:
        return (await reader.readline()).decode("utf-8", "replace")
    except ValueError:
        return "too long"
