"""The ports of all programs, each for a peer that sends as much as it can; what is read of it costs this thread.

A case makes the port or the connection, and its peer sends in a thread of its own until it is cut off or time is up.
"""

import asyncio
import selectors
import socket
import tempfile
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, AbstractContextManager, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from meterspan.engine.association.records import AssociationSettings
from meterspan.engine.links import TRANSPORTS
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.dlms_client import DlmsError, open_dlms
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.mbus_client import MbusError, read_slave
from meterspan.runtime.p1_source import hex_lines, p1_telegrams
from meterspan.runtime.push_source import pushed_apdus
from meterspan.runtime.radio import radio_telegrams
from meterspan.runtime.relay import Relay
from meterspan.runtime.state import StateFile
from tests.runtime.test_dlms_client import bench
from tests.runtime.test_meter_host import idle_radio_host
from tests.runtime.test_push_ports import World

HOST = "127.0.0.1"
DATAGRAM = 1_200
CHUNK = 1 << 16
PATIENCE_S = 20.0

Counting = Callable[[], AbstractContextManager[Any]]


@dataclass(frozen=True, slots=True)
class Flooded:
    """A place at which octets arrive.

    Attributes:
        grammar: how the names of its worst inputs begin.
        listens: makes the port and gives its number, where a peer connects to it.
        connects: talks to a peer at a port, where this side connects.
        is_datagram: whether the peer sends datagrams.

    """

    grammar: str
    listens: Callable[[], AbstractAsyncContextManager[int]] | None = None
    connects: Callable[[int], Any] | None = None
    is_datagram: bool = False

    async def run(self, octets: bytes, seconds: float, counting: Counting) -> Any:
        """Let a peer send for so long; return what ``counting`` gives for this side's part."""
        if self.listens is not None:
            return await self._served(octets, seconds, counting)
        return await self._asked(octets, seconds, counting)

    async def _served(self, octets: bytes, seconds: float, counting: Counting) -> Any:
        assert self.listens is not None
        async with self.listens() as port:
            send = partial(_send_datagrams if self.is_datagram else _send_stream, port, octets, seconds)
            sending = asyncio.to_thread(send)
            with counting() as cost:
                async with asyncio.timeout(seconds + PATIENCE_S):
                    await sending
                await asyncio.sleep(0.02)
            return cost

    async def _asked(self, octets: bytes, seconds: float, counting: Counting) -> Any:
        assert self.connects is not None
        with socket.create_server((HOST, 0)) as listener:
            peer = threading.Thread(target=_serve, args=(listener, octets, seconds))
            peer.start()
            with counting() as cost, suppress(TimeoutError, DlmsError, MbusError):
                async with asyncio.timeout(seconds):
                    await self.connects(listener.getsockname()[1])
            peer.join()
            await asyncio.sleep(0)
            return cost


def _send_stream(port: int, octets: bytes, seconds: float) -> None:
    with socket.create_connection((HOST, port)) as line:
        _pour(line, octets, seconds)


def _send_datagrams(port: int, octets: bytes, seconds: float) -> None:
    ends = time.monotonic() + seconds
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        line.connect((HOST, port))
        for start in range(0, len(octets), DATAGRAM):
            if time.monotonic() > ends:
                return
            with suppress(OSError):
                line.send(octets[start : start + DATAGRAM])
            time.sleep(0.0002)


def _serve(listener: socket.socket, octets: bytes, seconds: float) -> None:
    line, _ = listener.accept()
    with line:
        _pour(line, octets, seconds)


def _pour(line: socket.socket, octets: bytes, seconds: float) -> None:
    """Send until all is sent, the other side closes, or time is up; answers are read, and thrown away."""
    line.setblocking(False)
    ends, start = time.monotonic() + seconds, 0
    with selectors.DefaultSelector() as watched, suppress(OSError):
        watched.register(line, selectors.EVENT_READ | selectors.EVENT_WRITE)
        while time.monotonic() < ends:
            for _, ready in watched.select(0.02):
                if ready & selectors.EVENT_READ and not line.recv(CHUNK):
                    return
                if ready & selectors.EVENT_WRITE:
                    start += line.send(octets[start : start + CHUNK])
            if start >= len(octets):
                watched.modify(line, selectors.EVENT_READ)


@asynccontextmanager
async def _meter(scheme: str) -> AsyncIterator[int]:
    with tempfile.TemporaryDirectory() as folder:
        async with bench(Path(folder)) as (host, *_):
            yield await host.listen(TRANSPORTS[scheme], HOST, 0)


@asynccontextmanager
async def _wired_slave() -> AsyncIterator[int]:
    with tempfile.TemporaryDirectory() as folder, StateFile(Path(folder) / "a.sqlite") as state:
        host = idle_radio_host(state, HOST)
        place = Endpoint("mbus+tcp", HOST, 0, options={"address": "1"})
        try:
            yield await host.listen(TRANSPORTS["mbus+tcp"], place)
        finally:
            await host.close()


@asynccontextmanager
async def _pushes(scheme: str) -> AsyncIterator[int]:
    async with World().running(scheme) as place:
        yield place.port


@asynccontextmanager
async def _heard(source: Callable[..., Any]) -> AsyncIterator[int]:
    ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def drain() -> None:
        async with aclosing(source(on_ready=ready.set_result)) as heard:
            async for _ in heard:
                pass

    task = asyncio.create_task(drain())
    try:
        yield await asyncio.wait_for(ready, PATIENCE_S)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def _relay() -> AsyncIterator[int]:
    relay = Relay()
    try:
        yield await relay.listen(HOST, 0)
    finally:
        relay.close()


def _pushed(scheme: str) -> AbstractAsyncContextManager[int]:
    return _heard(partial(pushed_apdus, Endpoint(scheme, HOST, 0), SystemClock()))


def _radio() -> AbstractAsyncContextManager[int]:
    return _heard(partial(radio_telegrams, Endpoint("udp", HOST, 0), SystemClock(), unproved_per_s=200.0))


async def _drained(source: Callable[..., Any], port: int) -> None:
    async with aclosing(source(Endpoint("tcp", HOST, port), is_endless=False)) as heard:
        async for _ in heard:
            pass


async def _client(scheme: str, port: int) -> None:
    async with open_dlms(Endpoint(scheme, HOST, port), AssociationSettings(response_timeout_s=PATIENCE_S)):
        pass


async def _master(port: int) -> None:
    await read_slave(Endpoint("mbus+tcp", HOST, port, options={"address": "5"}), clock=SystemClock())


FLOODED: dict[str, Flooded] = {
    "a meter, wrapper over TCP": Flooded("wrapper", partial(_meter, "tcp")),
    "a meter, wrapper over UDP": Flooded("wrapper", partial(_meter, "udp"), is_datagram=True),
    "a meter, HDLC over TCP": Flooded("HDLC", partial(_meter, "hdlc+tcp")),
    "a meter, wired M-Bus": Flooded("M-Bus", _wired_slave),
    "a relay": Flooded("zeros", _relay),
    "pushes, wrapper over TCP": Flooded("wrapper", partial(_pushes, "tcp")),
    "pushes, wrapper over UDP": Flooded("wrapper", partial(_pushes, "udp"), is_datagram=True),
    "pushes, HDLC over TCP": Flooded("HDLC", partial(_pushes, "hdlc+tcp")),
    "pushes that a person hears, wrapper": Flooded("wrapper", partial(_pushed, "push+tcp")),
    "pushes that a person hears, HDLC": Flooded("HDLC", partial(_pushed, "push+hdlc+tcp")),
    "radio": Flooded("M-Bus", _radio, is_datagram=True),
    "a line of P1": Flooded("P1", connects=partial(_drained, p1_telegrams)),
    "a line of text": Flooded("digits", connects=partial(_drained, hex_lines)),
    "a client, wrapper over TCP": Flooded("wrapper", connects=partial(_client, "tcp")),
    "a client, HDLC over TCP": Flooded("HDLC", connects=partial(_client, "hdlc+tcp")),
    "a master, wired M-Bus": Flooded("M-Bus", connects=_master),
}
"""Every medium in both roles; HTTP has cases of its own (``tests/portal/test_cost.py``)."""


def worst_of(grammar: str, worst: dict[str, Callable[[int], bytes]]) -> Iterator[str]:
    """Return the names of what is worst for a grammar."""
    return (name for name in worst if name.startswith(grammar))
