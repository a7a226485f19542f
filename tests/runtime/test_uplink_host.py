"""An uplink over real sockets: it waits for a head end that is away, and stops with its task."""

import asyncio
import contextlib
import socket

from meterspan.engine import uplink as uplink_module
from meterspan.engine.links import TRANSPORTS
from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.engine.uplink import Push, Uplink
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.uplink_host import UplinkHost
from meterspan.wire.axdr import array, unsigned
from meterspan.wire.wrapper import WrapperPdu, read_wpdu, write_wpdu
from meterspan.wire.xdlms import DataNotification, DataNotificationConfirm, read_apdu, write_apdu
from tests.helpers_serve import free_port
from tests.helpers_waiting import until
from tests.memory import MemoryState

KEYS = SecurityKeys(bytes(range(16)), bytes(range(16, 32)))
METER, HEAD_END = b"MSP\0\0\0\0\1", b"MSPH\0\0\0\1"


class Rows:
    """Numbers on their way."""

    def __init__(self, *waiting: int) -> None:
        self.waiting = list(waiting)

    def next_push(self) -> Push | None:
        return Push(self.waiting[0], array(unsigned(self.waiting[0]))) if self.waiting else None

    def pushed(self, through: int) -> None:
        self.waiting = [number for number in self.waiting if number > through]


class HeadEnd:
    """Confirms what comes, and drops the line after each ``drop_after``."""

    def __init__(self, drop_after: int) -> None:
        self.numbers: list[int] = []
        self._drop_after = drop_after
        self._context = SecurityContext(HEAD_END, KEYS, counters=MemoryState(), peer_title=METER)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            for _ in range(self._drop_after):
                head = await reader.readexactly(8)
                octets = head + await reader.readexactly(int.from_bytes(head[6:8], "big"))
                apdu = read_apdu(self._context.unprotect(read_wpdu(octets).apdu).octets)
                assert isinstance(apdu, DataNotification)
                self.numbers.append(apdu.body.items[0].integer)
                plain = write_apdu(DataNotificationConfirm(apdu.invoke))
                writer.write(write_wpdu(WrapperPdu(1, 1, self._context.protect(plain, general=True))))
                await writer.drain()
        writer.close()


def hosted(rows: Rows, port: int, notes: list[str]) -> UplinkHost:
    context = SecurityContext(METER, KEYS, counters=MemoryState())
    uplink = Uplink(rows, context, TRANSPORTS["tcp"].push_sender())
    return UplinkHost(uplink, Endpoint("tcp", "127.0.0.1", port), clock=SystemClock(), on_note=notes.append)


def test_rows_wait_for_a_head_end_that_is_away_and_go_out_once_in_order(monkeypatch):
    monkeypatch.setattr(uplink_module, "RETRY_FIRST_S", 0.05)

    async def scene() -> None:
        rows, notes, port = Rows(1, 2, 3), [], free_port()
        host = hosted(rows, port, notes)
        task = asyncio.create_task(host.run())
        await until(lambda: notes)
        assert "no program listens" in notes[0]
        head_end = HeadEnd(drop_after=2)
        server = await asyncio.start_server(head_end.serve, "127.0.0.1", port)
        await until(lambda: not rows.waiting)
        assert head_end.numbers == [1, 2, 3], "the line was dropped after the second"
        rows.waiting.append(4)
        host.wake()
        await until(lambda: not rows.waiting)
        assert head_end.numbers == [1, 2, 3, 4]
        task.cancel()
        await asyncio.wait([task])
        server.close()

    asyncio.run(scene())


def test_cancelling_it_closes_the_line_and_keeps_what_is_not_confirmed():
    async def scene() -> None:
        rows, notes = Rows(1), []
        with socket.create_server(("127.0.0.1", 0)) as silent:
            task = asyncio.create_task(hosted(rows, silent.getsockname()[1], notes).run())
            await until(lambda: notes)
            line, _ = silent.accept()
            task.cancel()
            await asyncio.wait([task])
            await asyncio.sleep(0.01)
            with line:
                line.settimeout(5)
                assert line.recv(4_096)
                assert not line.recv(4_096)
        assert rows.waiting == [1]

    asyncio.run(scene())
