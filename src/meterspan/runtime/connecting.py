"""A machine that asks for connections, in asyncio: makes them, carries the octets, closes what is given back.

The machine decides when to connect, send and repeat; uplinks and the polling of a wired M-Bus are such machines.
"""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from meterspan.engine.machine import ConnectingMachine, WantsConnection
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.media import CannotConnectError, connect_stream
from meterspan.runtime.shell import UNANSWERED_OCTETS_MAX, StreamShell

__all__ = ["ConnectingHost"]

EventT = TypeVar("EventT")


class ConnectingHost(Generic[EventT]):
    """Runs one machine.

    Args:
        machine: owned from here on.
        endpoint: where its connections go.
        clock: UTC seconds.
        on_event: takes every event of the machine but ``WantsConnection``.
        on_note: takes a sentence for each connection that is made, fails or ends.

    """

    def __init__(
        self,
        machine: ConnectingMachine[EventT],
        endpoint: Endpoint,
        *,
        clock: Callable[[], float],
        on_event: Callable[[EventT], None],
        on_note: Callable[[str], None],
    ) -> None:
        self._machine = machine
        self._endpoint = endpoint
        self._clock = clock
        self._on_note = on_note
        self._on_event = on_event
        self._woken = asyncio.Event()
        self._is_wanted = False
        self._line = self._new_line()

    def pump(self) -> None:
        """Note that the machine was asked for something."""
        self._line.pump()
        self._woken.set()

    async def run(self) -> None:
        """Run the machine until cancelled."""
        try:
            while True:
                self._woken.clear()
                self._machine.advance(self._clock())
                self._line.pump()
                if self._is_wanted:
                    await self._connect()
                else:
                    await self._sleep()
        finally:
            self._line.close()

    def _new_line(self) -> "_ConnectingShell[EventT]":
        return _ConnectingShell(self._machine, self._clock, self._note, self._lost)

    def _note(self, event: EventT) -> None:
        if isinstance(event, WantsConnection):
            self._is_wanted = True
        else:
            self._on_event(event)

    async def _connect(self) -> None:
        self._is_wanted = False
        self._line = self._new_line()
        try:
            await connect_stream(self._endpoint, lambda: self._line)
        except CannotConnectError as error:
            self._on_note(f"no connection: {error}")
            self._machine.medium_lost(self._clock())
        else:
            self._on_note(f"connected to {self._endpoint}")

    async def _sleep(self) -> None:
        """Sleep until woken; a connection keeps the machine's deadlines itself."""
        deadline = None if self._machine.has_medium else self._machine.deadline()
        pause = None if deadline is None else max(0.0, deadline - self._clock())
        try:
            async with asyncio.timeout(pause):
                await self._woken.wait()
        except TimeoutError:
            return

    def _lost(self) -> None:
        self._on_note(f"the connection to {self._endpoint} ended")
        self._woken.set()


class _ConnectingShell(StreamShell[EventT]):
    """One connection; it is closed, and heard no more, where the machine has given it up."""

    unanswered_octets_max = UNANSWERED_OCTETS_MAX

    def __init__(
        self,
        machine: ConnectingMachine[EventT],
        clock: Callable[[], float],
        on_event: Callable[[EventT], None],
        on_closed: Callable[[], None],
    ) -> None:
        super().__init__(machine, clock, on_event, on_closed)
        self._connecting = machine
        self._now = clock
        self._is_given_up = False

    def opened(self, transport: asyncio.Transport) -> None:
        """Start the machine on this connection."""
        self._connecting.connect(self._now())
        super().opened(transport)

    def data_received(self, data: bytes) -> None:
        """Feed the machine while it uses this connection."""
        if not self._is_given_up:
            super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Report the loss to a machine that uses this connection; to its owner in any case."""
        if self._is_given_up:
            self._transport = None
            self._on_closed()
        else:
            super().connection_lost(exc)

    def pump(self) -> None:
        """Pump, and close a connection that the machine has given up."""
        super().pump()
        if not self._connecting.has_medium and self._transport is not None:
            self._is_given_up = True
            self._ticker.cancel()
            self.close()
