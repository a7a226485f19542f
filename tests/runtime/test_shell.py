"""The shells feed a machine over real sockets and decide nothing."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import TypeVar, cast

import pytest
import uvloop

from meterspan.runtime import defects
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.media import connect_stream, listen_stream
from meterspan.runtime.shell import DatagramShell, StreamShell

T = TypeVar("T")


@pytest.fixture(autouse=True)
def no_defect_was_noted(monkeypatch) -> None:
    monkeypatch.setattr(defects, "_places", {})


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


class InTurns(StreamShell[object]):
    """A shell that feeds four octets at once."""

    feed_octets_max = 4


def test_a_stream_fed_in_turns_lets_others_have_theirs_and_loses_nothing() -> None:
    async def scenario() -> None:
        machine, events = Echo(), []
        clock = SystemClock()
        server = await asyncio.get_running_loop().create_server(
            lambda: InTurns(machine, clock, events.append), "127.0.0.1", 0
        )
        others = 0

        async def have_a_turn() -> None:
            nonlocal others
            while len(b"".join(events)) < 4_000:
                others += bool(events)
                await asyncio.sleep(0)

        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            sent = bytes(number % 251 for number in range(4_000))
            writer.write(sent)
            await asyncio.gather(have_a_turn(), reader.readexactly(4_000))
            writer.close()
        assert b"".join(events) == sent
        assert max(map(len, events)) == 4
        assert others > 500

    run(scenario())


class Silent(Echo):
    """A machine that has nothing to say."""

    def receive(self, octets: bytes, now: float) -> None:
        super().receive(octets, now)
        self.octets_to_send()


class Asking(StreamShell[object]):
    """A shell whose peer may send a thousand octets to one question."""

    unanswered_octets_max = 1_000


@pytest.mark.attack(2)
@pytest.mark.parametrize(("machine", "taken"), [(Echo, 4_000), (Silent, 900)])
def test_a_peer_that_sends_without_end_and_without_an_answer_is_cut_off(machine: type[Echo], taken: int) -> None:
    async def scenario() -> None:
        events: list[object] = []
        server = await asyncio.get_running_loop().create_server(
            lambda: Asking(machine(), SystemClock(), events.append), "127.0.0.1", 0
        )
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            for _ in range(40):
                if not writer.is_closing():
                    writer.write(bytes(100))
                await asyncio.sleep(0.001)
            if machine is Silent:
                with suppress(ConnectionError):
                    assert await reader.read() == b""
            writer.close()
        assert sum(len(event) for event in events if isinstance(event, bytes)) <= taken + 100
        assert len(events) >= 1

    run(scenario())


def test_a_datagram_is_fed_whole_whatever_the_turn() -> None:
    class Line(asyncio.Transport):
        def get_extra_info(self, name: str, default: object = None) -> object:
            return True if name == "is_datagram" else default

        def write(self, data: bytes) -> None:
            assert data == b"a whole datagram"

        def get_write_buffer_size(self) -> int:
            return 0

    async def scenario() -> None:
        events: list[object] = []
        shell = InTurns(Echo(), SystemClock(), events.append)
        shell.connection_made(Line())
        shell.data_received(b"a whole datagram")
        assert events == [b"a whole datagram"]

    run(scenario())


def test_what_was_not_fed_when_the_connection_ended_is_dropped() -> None:
    async def scenario() -> None:
        machine, events, arrived = Echo(), [], asyncio.Event()
        clock, shells = SystemClock(), []

        def on_event(event: object) -> None:
            events.append(event)
            arrived.set()

        def make() -> InTurns:
            shells.append(InTurns(machine, clock, on_event))
            return shells[-1]

        server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0)
        async with server:
            _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(bytes(4_000))
            await arrived.wait()
            shells[0].abort()
            await asyncio.sleep(0.05)
            assert len(b"".join(events)) < 4_000
            assert machine.lost
            writer.close()

    run(scenario())


class Faulty(Echo):
    """Fails at one of its calls, once."""

    def __init__(self, call: str) -> None:
        super().__init__(wait_s=0.01)
        real = getattr(self, call)

        def fail(*arguments: object) -> object:
            setattr(self, call, real)
            raise RuntimeError(call)

        setattr(self, call, fail)


CALLS = ["receive", "advance", "deadline", "octets_to_send", "next_event", "medium_lost"]


@pytest.mark.attack(3)
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("call", [*CALLS, "make"])
@pytest.mark.parametrize("medium", ["tcp", "udp"])
def test_a_defect_ends_one_connection_and_the_port_serves_the_next(medium, call, loop, caplog) -> None:
    failures: list[Exception] = []
    made: list[Echo] = []

    def accept() -> StreamShell[object]:
        if call == "make" and not made:
            made.append(Echo())
            raise RuntimeError(call)
        made.append(Echo() if made else Faulty(call))
        return StreamShell(made[-1], SystemClock(), lambda _: None, on_failed=failures.append)

    async def scenario() -> None:
        listener = await listen_stream(medium, "127.0.0.1", 0, accept)
        first = await connect_stream(Endpoint(medium, "127.0.0.1", listener.port), Peer)
        first.transport.write(b"x")
        if call == "medium_lost" and medium == "tcp":
            await first.answered.wait()
            first.transport.close()
        if medium == "tcp":
            await first.ended.wait()
        await asyncio.sleep(0.05)
        second = await connect_stream(Endpoint(medium, "127.0.0.1", listener.port), Peer)
        second.transport.write(b"x")
        await second.answered.wait()
        first.transport.close()
        second.transport.close()
        listener.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(asyncio.wait_for(scenario(), 10))
    if call != "medium_lost" or medium == "tcp":
        assert call == "make" or [str(error) for error in failures] == [call]
        assert "defect" in caplog.text


class Peer(asyncio.Protocol):
    """The other end of a connection."""

    def __init__(self) -> None:
        self.answered, self.ended = asyncio.Event(), asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.answered.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set()


@pytest.mark.attack(3)
def test_a_datagram_that_meets_a_defect_is_lost_and_the_next_one_is_heard(caplog) -> None:
    heard = []

    def hear(octets: bytes, peer: str, now: float) -> None:
        if octets == b"bad":
            raise RuntimeError(peer)
        heard.append(octets)

    shell = DatagramShell(SystemClock(), hear)
    for octets in (b"one", b"bad", b"two"):
        shell.datagram_received(octets, ("127.0.0.1", 7))
    assert heard == [b"one", b"two"]
    assert "a datagram met a defect" in caplog.text
