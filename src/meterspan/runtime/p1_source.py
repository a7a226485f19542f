"""The input of a line: P1 telegrams, or lines of hexadecimal digits, over TCP or a serial line, without end.

A line that ends is connected again with growing patience, and whatever was half heard is forgotten; nothing is ever
written to it. A converter that sends more than a line can carry is read no faster than it could: nothing is left out,
and its octets wait at the converter.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Final

from meterspan.model.reasons import reason_of
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.limits import Allowance
from meterspan.runtime.media import CannotConnectError, connect_stream
from meterspan.wire.p1 import P1Damage, P1Reader, P1Telegram

__all__ = ["OnTrouble", "hex_lines", "p1_telegrams"]

CHUNK_OCTETS: Final = 4_096
LINE_OCTETS_MAX: Final = 2_048
"""A wireless telegram has at most 291 octets in 582 digits; a longer line is not from a receiver."""
LINE_OCTETS_A_SECOND: Final = 32_768
"""Octets read in a second: a P1 line of 115,200 baud carries 11,520. The worst of them take 0.02 s of CPU."""
LINE_OCTETS_MIN: Final = 16
"""What a line of text counts for at least: a line of a telegram has 27 octets, and one of nothing costs as much."""
LINE_OCTETS_BURST: Final = 65_536
"""Octets read at once after a pause: what a converter has held back."""
LINES_A_SECOND: Final = 500
"""Lines of text read in a second: a receiver of a large building hears a tenth of that."""
RETRY_S, RETRY_S_MAX = 1.0, 30.0
"""How long to wait before connecting again: a router restarts in a minute."""

OnTrouble = Callable[[str], None]
_log = logging.getLogger("meterspan.runtime")


async def p1_telegrams(
    endpoint: Endpoint,
    *,
    on_trouble: OnTrouble = lambda _text: None,
    on_up: Callable[[], None] = lambda: None,
    is_endless: bool = True,
) -> AsyncGenerator[P1Telegram | P1Damage, None]:
    """Hear telegrams of a P1 port.

    Args:
        endpoint: ``tcp`` or ``serial``.
        on_trouble: called with a sentence when the line is down.
        on_up: called when the first octets of a connection arrive.
        is_endless: connect again when the line ends.

    """
    reader = P1Reader()
    async with aclosing(_chunks(endpoint, on_trouble, on_up, is_endless=is_endless)) as chunks:
        async for chunk in chunks:
            if not chunk:
                reader = P1Reader()
                continue
            reader.receive(chunk)
            while (item := reader.next_telegram()) is not None:
                yield item
                await asyncio.sleep(0)  # timers, signals and other sources have their turn


async def hex_lines(
    endpoint: Endpoint, *, on_trouble: OnTrouble = lambda _text: None, is_endless: bool = True
) -> AsyncGenerator[str, None]:
    """Hear the lines of a receiver that prints telegrams as text; arguments as ``p1_telegrams``."""
    held = b""
    allowance = Allowance(LINES_A_SECOND, LINES_A_SECOND, asyncio.get_running_loop().time)
    async with aclosing(_chunks(endpoint, on_trouble, lambda: None, is_endless=is_endless)) as chunks:
        async for chunk in chunks:
            *lines, held = (held + chunk).split(b"\n") if chunk else [b""]
            held = held[-LINE_OCTETS_MAX:]
            for line in lines:
                if line.strip():
                    yield line[:LINE_OCTETS_MAX].decode("latin-1").strip()
                    await asyncio.sleep(allowance.spend(1))


async def _chunks(
    endpoint: Endpoint, on_trouble: OnTrouble, on_up: Callable[[], None], *, is_endless: bool
) -> AsyncGenerator[bytes, None]:
    """Yield octets as they arrive, and b"" where the connection ended.

    Args:
        endpoint: ``tcp`` or ``serial``.
        on_trouble: called with a sentence when the line is down.
        on_up: called when the first octets of a connection arrive.
        is_endless: connect again when the line ends.

    """
    retry_s = RETRY_S
    while True:
        try:
            line = await connect_stream(endpoint, _ReadOnlyStream)
        except CannotConnectError as error:
            on_trouble(str(error))
        else:
            retry_s = RETRY_S
            allowance = Allowance(LINE_OCTETS_A_SECOND, LINE_OCTETS_BURST, asyncio.get_running_loop().time)
            is_up = is_slowed = False
            try:
                while chunk := await line.reader.read(CHUNK_OCTETS):
                    if not is_up:
                        is_up = True
                        on_up()
                    yield chunk
                    pause_s = allowance.spend(max(len(chunk), LINE_OCTETS_MIN * chunk.count(b"\n")))
                    is_slowed = is_slowed or (pause_s > 0 and _say_slowed(endpoint))
                    await asyncio.sleep(pause_s)
                on_trouble(f"{endpoint} closed the line")
            except OSError as error:
                on_trouble(f"{endpoint}: {reason_of(error)}")
            finally:
                line.close()
            yield b""
        if not is_endless:
            return
        await asyncio.sleep(retry_s)
        retry_s = min(2 * retry_s, RETRY_S_MAX)


def _say_slowed(endpoint: Endpoint) -> bool:
    """Log that a line is read more slowly than it sends; return True."""
    words = "a line sends more than it can carry, and is read at a bounded rate"
    _log.warning(words, extra={"peer": str(endpoint), "octets_a_second": LINE_OCTETS_A_SECOND})
    return True


class _ReadOnlyStream(asyncio.StreamReaderProtocol):
    """A stream that is only read."""

    def __init__(self) -> None:
        self.reader = asyncio.StreamReader(limit=CHUNK_OCTETS)
        self._line: asyncio.BaseTransport | None = None
        super().__init__(self.reader)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to read."""
        self._line = transport
        super().connection_made(transport)

    def close(self) -> None:
        """Close the line."""
        if self._line is not None:
            self._line.close()
