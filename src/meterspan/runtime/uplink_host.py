"""An uplink on TCP: makes the connections that the machine asks for, carries its octets, and reports in words.

The machine decides when to connect, send and repeat (``engine.uplink``).
"""

import asyncio
from collections.abc import Callable

from meterspan.engine.uplink import RowsConfirmed, Uplink, UplinkEvent, UplinkFailed, WantsConnection
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.media import CannotConnectError, connect_stream
from meterspan.runtime.shell import StreamShell

__all__ = ["UplinkHost"]


class UplinkHost:
    """Runs one uplink.

    Args:
        uplink: the machine; owned from here on.
        endpoint: the head end's port for pushes.
        clock: UTC seconds.
        on_note: takes a sentence for each connection, confirmation and failure.

    """

    def __init__(
        self, uplink: Uplink, endpoint: Endpoint, *, clock: Callable[[], float], on_note: Callable[[str], None]
    ) -> None:
        self._uplink = uplink
        self._endpoint = endpoint
        self._clock = clock
        self._on_note = on_note
        self._woken = asyncio.Event()
        self._is_wanted = False
        self._line = _UplinkShell(uplink, clock, self._take, self._lost)

    def wake(self) -> None:
        """Note that there may be new rows."""
        self._uplink.wake(self._clock())
        self._line.pump()
        self._woken.set()

    async def run(self) -> None:
        """Carry rows until cancelled; unconfirmed rows stay in the outbox."""
        try:
            while True:
                self._woken.clear()
                self._uplink.advance(self._clock())
                self._line.pump()
                if self._is_wanted:
                    await self._connect()
                else:
                    await self._sleep()
        finally:
            self._line.close()

    async def _connect(self) -> None:
        self._is_wanted = False
        self._line = _UplinkShell(self._uplink, self._clock, self._take, self._lost)
        try:
            await connect_stream(self._endpoint, lambda: self._line)
        except CannotConnectError as error:
            self._on_note(f"no uplink: {error}")
            self._uplink.medium_lost(self._clock())
        else:
            self._on_note(f"uplink to {self._endpoint}")

    async def _sleep(self) -> None:
        """Sleep until woken; a connection keeps the machine's deadlines itself."""
        deadline = None if self._uplink.has_medium else self._uplink.deadline()
        pause = None if deadline is None else max(0.0, deadline - self._clock())
        try:
            async with asyncio.timeout(pause):
                await self._woken.wait()
        except TimeoutError:
            return

    def _take(self, event: UplinkEvent) -> None:
        match event:
            case RowsConfirmed():
                self._on_note("rows confirmed by the head end")
            case UplinkFailed():
                self._on_note(f"rows wait: {event.failure}")
            case WantsConnection():
                self._is_wanted = True

    def _lost(self) -> None:
        self._on_note("the uplink is lost")
        self._woken.set()


class _UplinkShell(StreamShell[UplinkEvent]):
    """One connection; it is closed where the machine has given it up."""

    def __init__(
        self,
        uplink: Uplink,
        clock: Callable[[], float],
        on_event: Callable[[UplinkEvent], None],
        on_closed: Callable[[], None],
    ) -> None:
        super().__init__(uplink, clock, on_event, on_closed)
        self._uplink = uplink
        self._now = clock

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the machine on this connection."""
        self._uplink.connect(self._now())
        super().connection_made(transport)

    def pump(self) -> None:
        """Pump, and close a connection that the uplink has given up."""
        super().pump()
        if not self._uplink.has_medium:
            self.close()
