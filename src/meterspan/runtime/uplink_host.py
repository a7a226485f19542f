"""An uplink over its own connections, reported in words; ``engine.uplink`` decides when to connect, send and repeat."""

from collections.abc import Callable

from meterspan.engine.machine import ConnectingMachine, WantsConnection
from meterspan.engine.uplink import RowsConfirmed, Uplink, UplinkEvent, UplinkFailed
from meterspan.runtime.connecting import ConnectingHost
from meterspan.runtime.endpoints import Endpoint

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
        self._clock = clock
        self._on_note = on_note
        machine: ConnectingMachine[UplinkEvent] = uplink
        self._host: ConnectingHost[UplinkEvent] = ConnectingHost(
            machine, endpoint, clock=clock, on_event=self._take, on_note=on_note
        )

    def wake(self) -> None:
        """Note that there may be new rows."""
        self._uplink.wake(self._clock())
        self._host.pump()

    async def run(self) -> None:
        """Carry rows until cancelled; unconfirmed rows stay in the outbox."""
        await self._host.run()

    def _take(self, event: UplinkEvent) -> None:
        match event:
            case RowsConfirmed():
                confirmed = self._uplink.is_confirmed
                self._on_note("rows confirmed by the head end" if confirmed else "rows sent; nobody confirms them")
            case UplinkFailed():
                self._on_note(f"rows wait: {event.failure}")
            case WantsConnection():
                pass
