"""The stream side of P1: octets from a serial line in any cut, telegrams and damage out, in order.

Strategy: keep octets from ``/`` on; a ``!`` line with its line end closes a telegram, a new ``/`` at the start of a
line closes a damaged one. The buffer never holds more than one telegram of the largest size.
"""

import re
from collections import deque
from dataclasses import dataclass

from meterspan.wire.errors import TruncatedError, WireError
from meterspan.wire.p1.profiles import CrcPolicy
from meterspan.wire.p1.telegram import MAX_TELEGRAM_SIZE, P1Telegram, read_telegram

__all__ = ["P1Damage", "P1Reader"]

_MAX_QUEUE = (
    64  # a port sends once a second; a reader that is a minute behind loses the oldest, and ``dropped`` counts them
)


_SIZE_MIN = len(b"/AAA5\n\n!")
"""A telegram without objects has as many octets; fewer are noise, which may come a hundred thousand times a second."""
_BEGUN_SIZE_MIN = len(b"/AAA5")
"""A telegram that another one cuts off has begun with as many octets (IEC 62056-21, 6.3.2); fewer are noise."""
_RESTART = b"\n/"
_MARK = re.compile(rb"\n[!/]")
"""The line that ends a telegram, or the one that begins another."""


@dataclass(frozen=True, slots=True)
class P1Damage:
    """Octets of a telegram that could not be read, and why."""

    octets: bytes
    error: WireError


class P1Reader:
    """Cuts telegrams out of a stream.

    Args:
        crc: overrides the CRC policy of the recognised profile.

    Attributes:
        skipped: octets that belonged to no telegram (the tail of one that began before we listened).
        dropped: results that nobody took in time.

    """

    def __init__(self, *, crc: CrcPolicy | None = None) -> None:
        self.skipped = 0
        self.dropped = 0
        self._crc = crc
        self._buffer = bytearray()
        self._ready: deque[P1Telegram | P1Damage] = deque()

    def receive(self, octets: bytes) -> None:
        """Receive octets in any cut."""
        for start in range(0, len(octets), MAX_TELEGRAM_SIZE):
            self._buffer += octets[start : start + MAX_TELEGRAM_SIZE]
            while self._cut():
                pass

    def next_telegram(self) -> P1Telegram | P1Damage | None:
        """Return the next telegram or damage in order of arrival, or None."""
        return self._ready.popleft() if self._ready else None

    def _cut(self) -> bool:
        """Cut one telegram off the front of the buffer, if one is complete."""
        start = self._buffer.find(b"/")
        if start != 0:
            self.skipped += len(self._buffer) if start < 0 else start
            del self._buffer[: start if start > 0 else len(self._buffer)]
            if not self._buffer:
                return False
        mark = _MARK.search(self._buffer, 1)
        end = -1 if mark is None or mark[0] == _RESTART else mark.start()
        restart = mark.start() if mark is not None and mark[0] == _RESTART else -1
        if restart >= 0 and restart < _BEGUN_SIZE_MIN:
            self._skip(restart + 1)
            return True
        if restart >= 0:
            self._fail(
                restart + 1, TruncatedError("a new telegram begins before the end of this one", restart + 1, "line")
            )
            return True
        stop = self._buffer.find(b"\n", end + 1) if end >= 0 else -1
        if stop >= 0 and stop < _SIZE_MIN:
            self._skip(stop + 1)
            return True
        if stop >= 0:
            self._finish(stop + 1)
            return True
        if len(self._buffer) > MAX_TELEGRAM_SIZE:
            self._fail(
                len(self._buffer), WireError(f"no end within {MAX_TELEGRAM_SIZE} octets", MAX_TELEGRAM_SIZE, "telegram")
            )
            return True
        return False

    def _skip(self, size: int) -> None:
        self.skipped += size
        del self._buffer[:size]

    def _finish(self, size: int) -> None:
        octets = bytes(self._buffer[:size])
        try:
            telegram = read_telegram(octets, crc=self._crc)
        except WireError as error:
            self._fail(size, error)
            return
        del self._buffer[:size]
        self._push(telegram)

    def _fail(self, size: int, error: WireError) -> None:
        octets = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._push(P1Damage(octets, error))

    def _push(self, item: P1Telegram | P1Damage) -> None:
        if len(self._ready) == _MAX_QUEUE:
            self._ready.popleft()
            self.dropped += 1
        self._ready.append(item)
