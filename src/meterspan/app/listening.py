"""What ``meterspan listen`` is: its sources, the latest telegram of each meter, and the outcome of every telegram.

Each telegram is counted under one ``Outcome``, by the type of its error; no telegram, however damaged, ends the
listening. Meters are bounded.
"""

import asyncio
import signal
import sys
from collections import Counter, OrderedDict
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing, nullcontext
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from meterspan.app.meter_keys import MeterKeys
from meterspan.model.identity import mbus_device
from meterspan.model.telegram import DecodedTelegram, DeviceIdentity
from meterspan.readings import Decoder, Format, recognise
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.p1_source import hex_lines, p1_telegrams
from meterspan.runtime.push_source import PUSH_SCHEMES, pushed_apdus
from meterspan.runtime.radio import radio_telegrams
from meterspan.wire.errors import KeyMissingError, KeyWrongError, UnsupportedError, WireError
from meterspan.wire.p1 import P1Damage, P1Telegram
from meterspan.wire.wmbus import read_frame

__all__ = ["HeardMeter", "Hearing", "Listening", "Outcome", "TelegramListener", "listen_at"]

PAINTED_EVERY_S: Final = 0.5
KEYS_TRIED_MAX: Final = 64
"""Meters whose keys are tried for one push; those that opened the last one of its sender go first."""
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
        push_keys: both keys of meters that push DLMS, by name; those of a title are found by trying them.

    """

    def __init__(
        self, keys: Mapping[str, bytes] | None = None, push_keys: Mapping[str, MeterKeys] | None = None
    ) -> None:
        self.meters: OrderedDict[str, HeardMeter] = OrderedDict()
        self.outcomes: Counter[Outcome] = Counter()
        self.last_damage = ""
        self._keys = dict(keys or {})
        self._push_keys = {name: pair for name, pair in (push_keys or {}).items() if pair.key and pair.auth_key}
        self._names: OrderedDict[str, str] = OrderedDict()
        """The meter whose keys opened a push, by the host that it was sent from."""
        self._decoder = Decoder()

    def hear(self, octets: bytes, source: str, now: float) -> Hearing:
        """Decode and count a telegram of a radio or wired meter."""
        try:
            is_wireless = recognise(octets) is Format.WMBUS
        except WireError:
            is_wireless = True  # damage of what is most often heard
        hearing = self._wireless(octets, source, now) if is_wireless else self._other(octets, source, now)
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
        address = frame.address
        name = mbus_device(address)
        key = self._key(name, address.id)
        telegram = self._decoder.decode(octets, key=key, as_=Format.WMBUS, now=now)
        if not telegram.device.id:
            who = DeviceIdentity(address.id, address.manufacturer, address.medium_name, f"{address.version:02X}")
            telegram = replace(telegram, device=who)
        return Hearing(now, source, name, _fate(telegram), telegram, octets)

    def _other(self, octets: bytes, source: str, now: float, as_: Format | None = None) -> Hearing:
        telegram = self._decoder.decode(octets, as_=as_, now=now)
        name = telegram.device.id
        if any(isinstance(error, KeyMissingError) for error in telegram.errors):
            name, telegram = self._opened(octets, source, now, as_) or ("", telegram)
        key = self._key(telegram.device.id, telegram.device.id)
        if telegram.error and key is not None:
            telegram = self._decoder.decode(octets, key=key, as_=as_, now=now)
        outcome = _fate(telegram)
        if outcome is Outcome.DAMAGED and telegram.device.id:
            outcome = Outcome.NOT_READ
        return Hearing(now, source, name or telegram.device.id, outcome, telegram, octets)

    def _opened(self, octets: bytes, source: str, now: float, as_: Format | None) -> tuple[str, DecodedTelegram] | None:
        """Open a protected push with the keys whose tag is right; None where none of those that are known is."""
        host = source.rpartition(":")[0]
        last = self._names.get(host, "")
        tried = [name for name in (last, *self._push_keys) if name in self._push_keys][:KEYS_TRIED_MAX]
        for name in dict.fromkeys(tried):
            keys = self._push_keys[name]
            telegram = self._decoder.decode(octets, key=keys.key, auth_key=keys.auth_key, as_=as_, now=now)
            if not any(isinstance(error, KeyMissingError | KeyWrongError) for error in telegram.errors):
                self._remember(host, name)
                return name, telegram
        return None

    def _remember(self, host: str, name: str) -> None:
        self._names[host] = name
        self._names.move_to_end(host)
        if len(self._names) > METERS_MAX:
            self._names.popitem(last=False)

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


# --- the sources ----------------------------------------------------------------------------------------------------

Shown = Callable[["Listening"], AbstractContextManager[Callable[[], object]]]
"""Shows a listening while it lasts; gives what paints it anew."""


def listen_at(
    places: Sequence[Endpoint | None],
    keys: Mapping[str, bytes],
    *,
    push_keys: Mapping[str, MeterKeys] | None = None,
    seconds: float | None,
    on_hearing: Callable[[Hearing], object] = lambda _hearing: None,
    on_ready: Callable[[int], None] = lambda _port: None,
    shown: Shown | None = None,
) -> "Listening":
    """Listen until a signal, the time is up, or every source has ended; return what was heard.

    Args:
        places: the sources; None is standard input.
        keys: by the meter's name or number.
        push_keys: both keys of meters that push DLMS, by name.
        seconds: how long; None without end.
        on_hearing: called with each telegram.
        on_ready: called with each port that is open.
        shown: paints it meanwhile.

    Raises:
        CannotConnectError: a port cannot be opened.

    """
    listening = Listening(places, TelegramListener(keys, push_keys), on_hearing, on_ready)
    asyncio.run(listening.run(seconds, shown))
    return listening


class Listening:
    """All sources at once, and what is heard at them.

    Args:
        places: the sources; None is standard input.
        listener: decodes and counts their telegrams.
        on_hearing: called with each telegram.
        on_ready: called with each port that is open.

    """

    def __init__(
        self,
        places: Sequence[Endpoint | None],
        listener: TelegramListener,
        on_hearing: Callable[[Hearing], object],
        on_ready: Callable[[int], None],
    ) -> None:
        self.places = tuple(places)
        self.listener = listener
        self.trouble: dict[str, str] = {}
        """A sentence for each source that is down now, by the source."""
        self.clock = SystemClock()
        self._on_hearing = on_hearing
        self._on_ready = on_ready

    async def run(self, seconds: float | None, shown: Shown | None) -> None:
        """Listen; see ``listen_at``."""
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        tasks = [asyncio.create_task(self._hear(place)) for place in self.places]
        waiting = asyncio.create_task(stop.wait())
        ending = asyncio.gather(*tasks)
        try:
            with nullcontext() if shown is None else shown(self) as paint:
                await self._until_over(ending, waiting, seconds, paint)
        finally:
            waiting.cancel()
            ending.cancel()
            failures = await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(ending, return_exceptions=True)
        for failure in failures:
            if isinstance(failure, Exception):
                raise failure

    async def _until_over(
        self,
        ending: "asyncio.Future[list[None]]",
        waiting: asyncio.Task[bool],
        seconds: float | None,
        paint: Callable[[], object] | None,
    ) -> None:
        """Wait for the end of all sources, for a signal or the time; paint meanwhile."""
        if paint is None:
            await asyncio.wait((ending, waiting), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            return
        until = None if seconds is None else self.clock() + seconds
        while not ending.done() and not waiting.done() and (until is None or self.clock() < until):
            paint()
            await asyncio.wait((ending, waiting), timeout=PAINTED_EVERY_S, return_when=asyncio.FIRST_COMPLETED)

    async def _hear(self, place: Endpoint | None) -> None:
        async with aclosing(self._hearings(place)) as hearings:
            async for hearing in hearings:
                self.trouble.pop(str(place), None)
                self._on_hearing(hearing)

    async def _hearings(self, place: Endpoint | None) -> AsyncGenerator[Hearing, None]:
        def trouble(text: str) -> None:
            self.trouble[str(place)] = text

        if place is None:
            while line := await asyncio.to_thread(sys.stdin.readline):
                if line.strip():
                    yield self.listener.hear_text(line, "-", self.clock())
        elif place.scheme == "udp":
            async with aclosing(radio_telegrams(place, self.clock, on_ready=self._on_ready)) as datagrams:
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
