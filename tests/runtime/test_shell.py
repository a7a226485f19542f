"""The shells feed a machine over real sockets and decide nothing."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

from meterspan.runtime.clock import SystemClock
from meterspan.runtime.shell import DatagramShell, StreamShell

T = TypeVar("T")


class Echo:
    """Sends every octet back, reports it, and says "tick" when its time comes."""

    def __init__(self, wait_s: float | None = None) -> None:
        self._wait_s = wait_s
        self._due: float | None = None
        self._out = b""
        self._events: list[object] = []
        self.lost = False

    def receive(self, octets: bytes, now: float) -> None:
        self._out += octets
        self._events.append(octets)
        self._due = None if self._wait_s is None else now + self._wait_s

    def advance(self, now: float) -> None:
        if self._due is not None and now >= self._due:
            self._due = None
            self._out += b"tick"

    def deadline(self) -> float | None:
        return self._due

    def octets_to_send(self) -> bytes:
        out, self._out = self._out, b""
        return out

    def next_event(self) -> object | None:
        return self._events.pop(0) if self._events else None

    def medium_lost(self, now: float) -> None:
        self.lost = now > 0


def run(work: Coroutine[None, None, T]) -> T:
    return asyncio.run(asyncio.wait_for(work, 10))


def test_a_stream_machine_answers_wakes_and_learns_of_the_end() -> None:
    async def scenario() -> None:
        machine, events, closed = Echo(wait_s=0.02), [], asyncio.Event()
        clock = SystemClock()
        server = await asyncio.get_running_loop().create_server(
            lambda: StreamShell(machine, clock, events.append, closed.set), "127.0.0.1", 0
        )
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello")
            assert await reader.readexactly(9) == b"hellotick"
            writer.close()
            await writer.wait_closed()
            await closed.wait()
        assert b"".join(events) == b"hello"
        assert machine.lost

    run(scenario())


def test_a_peer_that_never_reads_is_cut_off() -> None:
    async def scenario() -> None:
        machine, closed = Echo(), asyncio.Event()
        shells: list[StreamShell[object]] = []

        def accept() -> StreamShell[object]:
            shells.append(StreamShell(machine, SystemClock(), lambda _: None, closed.set))
            return shells[0]

        server = await asyncio.get_running_loop().create_server(accept, "127.0.0.1", 0)
        async with server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            await asyncio.sleep(0.05)
            for _ in range(100):
                machine.receive(bytes(1 << 18), 0.0)
                shells[0].pump()
                if closed.is_set():
                    break
                await asyncio.sleep(0.01)
            await closed.wait()
            writer.close()

    run(scenario())


def test_datagrams_come_with_their_sender_and_time() -> None:
    async def scenario() -> None:
        heard: asyncio.Queue[tuple[bytes, str, float]] = asyncio.Queue()
        clock = SystemClock()
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: DatagramShell(clock, lambda *seen: heard.put_nowait(seen)), local_addr=("127.0.0.1", 0)
        )
        _, radio = await loop.create_datagram_endpoint(
            lambda: DatagramShell(clock, lambda *_: None), remote_addr=transport.get_extra_info("sockname")
        )
        radio.send(b"\x44")
        octets, peer, at = await heard.get()
        assert (octets, peer.rsplit(":", 1)[0]) == (b"\x44", "127.0.0.1")
        assert abs(at - clock()) < 5
        radio.close()
        transport.close()

    run(scenario())


def test_the_clock_never_runs_backwards() -> None:
    clock = SystemClock()
    times = [clock() for _ in range(1_000)]
    assert times == sorted(times)
    assert abs(clock.step_s) < 1
    assert clock.utc().tzinfo is not None
