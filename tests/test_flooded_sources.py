"""A flood at any source of ``listen``, ``home`` and the display: timers, the end and other tasks have their turn.

What this thread computes between two turns of another task is counted, not the time: other programs change nothing.
"""

import ast
import asyncio
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path

import pytest

from meterspan.app.display import feed
from meterspan.app.home_host import HomeConfig, HomeHost
from meterspan.app.listening import Hearing, Listening
from meterspan.mdm import MeterDataManagement
from meterspan.runtime import push_source
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.state import StateFile
from tests.helpers_waiting import until
from tests.worst import WORST

HOST = "127.0.0.1"
FLOOD_S = 0.6
TURN_S = 0.1
"""What a task may compute before another one has its turn."""
END_S = 2.0
SENDERS = 12
CHUNK = 1 << 18
PATIENCE_S = 20.0
SOURCES = Path(__file__).parents[1] / "src"


@dataclass(slots=True)
class Flood:
    """Peers in threads of their own that send the same octets until they are stopped."""

    octets: bytes
    stopped: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)

    def pour(self, connect: Callable[[], socket.socket]) -> None:
        """Send through one more connection."""
        thread = threading.Thread(target=self._pour, args=(connect,))
        self.threads.append(thread)
        thread.start()

    def _pour(self, connect: Callable[[], socket.socket]) -> None:
        with suppress(OSError), connect() as line:
            line.settimeout(0.2)
            while not self.stopped.is_set():
                with suppress(TimeoutError, ConnectionRefusedError):
                    line.send(self.octets)
                if line.type is socket.SOCK_DGRAM:
                    time.sleep(0.0001)

    def stop(self) -> None:
        """Stop all, and wait for them."""
        self.stopped.set()
        for thread in self.threads:
            thread.join()


@contextmanager
def flooding(octets: bytes) -> Iterator[Flood]:
    """Lend a flood that is stopped at the end."""
    flood = Flood(octets)
    try:
        yield flood
    finally:
        flood.stop()


def free_port(kind: socket.SocketKind) -> int:
    """Return a port that is free now."""
    with socket.socket(socket.AF_INET, kind) as line:
        line.bind((HOST, 0))
        number: int = line.getsockname()[1]
        return number


@asynccontextmanager
async def sending_to(scheme: str, octets: bytes) -> AsyncIterator[Endpoint]:
    """Flood a port that the source opens, from many connections."""
    is_datagram = scheme == "udp"
    kind = socket.SOCK_DGRAM if is_datagram else socket.SOCK_STREAM
    place = Endpoint(scheme, HOST, free_port(kind))

    def connect() -> socket.socket:
        line = socket.socket(socket.AF_INET, kind)
        for _ in range(200):
            with suppress(ConnectionRefusedError):
                line.connect((HOST, place.port))
                return line
            time.sleep(0.01)
        raise TimeoutError

    with flooding(octets[:1_200] if is_datagram else octets) as flood:
        for _ in range(1 if is_datagram else SENDERS):
            flood.pour(connect)
        yield place


@asynccontextmanager
async def sending_from(scheme: str, octets: bytes) -> AsyncIterator[Endpoint]:
    """Flood each source that connects to a port."""
    with socket.create_server((HOST, 0)) as listener, flooding(octets) as flood:
        flood.pour(lambda: listener.accept()[0])
        yield Endpoint(scheme, HOST, listener.getsockname()[1])
        with suppress(OSError):  # a source that did not connect leaves the thread waiting
            socket.create_connection(listener.getsockname()).close()


@dataclass(slots=True)
class Measured:
    """What became of the flood.

    Attributes:
        turns: seconds that this thread computed between two turns of another task.
        after_end_s: seconds that it computed after the end was asked for.
        count: telegrams that were heard.

    """

    turns: list[float] = field(default_factory=list)
    after_end_s: float = 0.0
    count: int = 0


async def measured(source: Awaitable[object], found: Measured) -> Measured:
    """Run a source in a flood for ``FLOOD_S``, and cancel it."""
    running = asyncio.ensure_future(source)
    ends, before = time.monotonic() + FLOOD_S, time.thread_time()
    while time.monotonic() < ends and not running.done():
        await asyncio.sleep(0.005)
        now = time.thread_time()
        found.turns.append(now - before)
        before = now
    running.cancel()
    async with asyncio.timeout(PATIENCE_S):
        await asyncio.gather(running, return_exceptions=True)
    found.after_end_s = time.thread_time() - before
    if not running.cancelled() and running.exception() is not None:
        raise running.exception() or AssertionError
    return found


async def listened(place: Endpoint | None, _folder: Path, found: Measured) -> None:
    def count(_hearing: Hearing) -> None:
        found.count += 1

    await Listening([place], on_hearing=count).run(PATIENCE_S)


async def in_a_home(place: Endpoint | None, folder: Path, found: Measured) -> None:
    assert place is not None
    with MeterDataManagement(folder / "data") as data, StateFile(folder / "home.sqlite") as state:

        def clock() -> float:  # asked once for each telegram
            found.count += 1
            return time.time()

        host = HomeHost(HomeConfig("home", "Home", "UTC", "EUR", {}, {}), data=data, state=state, clock=clock)
        if place.scheme == "udp":
            await host.hear_radio(place)
        else:
            await host.hear_port(place, on_trouble=lambda _text: None)


async def displayed(place: Endpoint | None, _folder: Path, found: Measured) -> None:
    assert place is not None
    async for _fed in feed(place, SystemClock(), lambda: None, UTC):
        found.count += 1


Consumer = Callable[[Endpoint | None, Path, Measured], Awaitable[None]]
Sending = Callable[[str, bytes], AbstractAsyncContextManager[Endpoint]]
PLACES: dict[str, tuple[Sending, str, tuple[str, ...]]] = {
    "push+tcp": (sending_to, "wrapper: PDUs of one octet", ("listen",)),
    "push+hdlc+tcp": (sending_to, "HDLC: frames of one octet", ("listen",)),
    "udp": (sending_to, "M-Bus: records without data", ("listen", "home")),
    "hex+tcp": (sending_from, "lines of digits", ("listen",)),
    "tcp": (sending_from, "P1: the smallest telegrams", ("listen", "home", "display")),
}
CONSUMERS: dict[str, Consumer] = {"listen": listened, "home": in_a_home, "display": displayed}


def worst(name: str) -> bytes:
    return b"2F44\n" * (CHUNK // 5) if name not in WORST else WORST[name](CHUNK)


def judge(found: Measured) -> None:
    assert found.count > 20, "the flood was not heard"
    assert max(found.turns) <= TURN_S
    assert found.after_end_s <= END_S / 4


@pytest.mark.attack(2)
@pytest.mark.parametrize(
    ("scheme", "consumer"), [(scheme, consumer) for scheme, place in PLACES.items() for consumer in place[2]]
)
def test_a_flood_at_a_source_delays_neither_its_end_nor_another_task(
    scheme: str, consumer: str, tmp_path: Path
) -> None:
    sending, name, _ = PLACES[scheme]

    async def story() -> Measured:
        async with sending(scheme, worst(name)) as place:
            found = Measured()
            return await measured(CONSUMERS[consumer](place, tmp_path, found), found)

    judge(asyncio.run(story()))


@pytest.mark.attack(2)
@pytest.mark.parametrize("is_pipe", [True, False], ids=["pipe", "endless file"])
def test_a_flood_at_standard_input_delays_neither_the_end_nor_another_task(
    is_pipe: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reading, writing = os.pipe()
    given = reading if is_pipe else os.open("/dev/zero", os.O_RDONLY)

    def write() -> None:
        with suppress(OSError):
            while os.write(writing, worst("lines of digits")):
                pass

    writer = threading.Thread(target=write)
    writer.start()

    async def story() -> Measured:
        found = Measured()
        return await measured(listened(None, tmp_path, found), found)

    with os.fdopen(given, encoding="utf-8", errors="surrogateescape") as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        try:
            judge(asyncio.run(story()))
        finally:
            if not is_pipe:
                os.close(reading)
    writer.join(PATIENCE_S)
    os.close(writing)


@pytest.mark.attack(2)
def test_in_a_flood_from_many_connections_a_slow_sender_is_heard_and_all_together_send_a_bounded_number() -> None:
    push = WORST["wrapper: small pushes"](40)
    heard: list[Hearing] = []

    async def story() -> float:
        async with sending_to("push+tcp", worst("wrapper: PDUs of one octet")) as place:
            listening = Listening([place], on_hearing=heard.append)
            running = asyncio.create_task(listening.run(None))
            begun = asyncio.get_running_loop().time()
            await until(lambda: len(heard) > 8 * push_source.WAITING_MAX, within_s=PATIENCE_S)
            _, writer = await asyncio.open_connection(HOST, place.port)
            sender = "{}:{}".format(*writer.get_extra_info("sockname"))
            writer.write(push)
            before = len(heard)
            await until(lambda: any(sender in hearing.source for hearing in heard[before:]), within_s=PATIENCE_S)
            first = next(place for place, hearing in enumerate(heard[before:]) if sender in hearing.source)
            assert first <= push_source.WAITING_MAX, "others were heard before it"
            writer.close()
            listening.end()
            await running
            return asyncio.get_running_loop().time() - begun

    seconds = asyncio.run(story())
    most = push_source.TOTAL_OCTETS_BURST + seconds * push_source.TOTAL_OCTETS_A_SECOND
    slack = SENDERS * push_source.OCTETS_BURST // 8
    assert len(heard) * (push_source.FRAME_OCTETS + 9) <= most + slack


def test_each_source_lets_others_have_their_turn_after_each_item() -> None:
    loops = [
        (f"{path.name}:{function.name}", loop)
        for path in sorted(SOURCES.rglob("*.py"))
        for function in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(function, ast.AsyncFunctionDef)
        for loop in _innermost_loops(function)
    ]
    assert len(loops) >= 6
    assert [place for place, loop in loops if not _waits(loop)] == []


def _innermost_loops(function: ast.AsyncFunctionDef) -> Iterator[ast.While | ast.For]:
    """Return the loops of a function that yield items of their own, and have none within that does."""
    loops = [node for node in ast.walk(function) if isinstance(node, ast.While | ast.For) and _yields(node)]
    return (loop for loop in loops if not any(node in loops for node in ast.walk(loop) if node is not loop))


def _yields(loop: ast.AST) -> bool:
    return any(isinstance(node, ast.Yield) for node in ast.walk(loop))


def _waits(loop: ast.AST) -> bool:
    """Whether a loop sleeps, or waits for a time, after an item."""
    return any(f"await {wait}(" in ast.unparse(loop) for wait in ("asyncio.sleep", "asyncio.wait_for", "asyncio.wait"))
