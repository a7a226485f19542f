"""Media: streams and datagrams between two protocols of this machine, and what goes wrong in words."""

import asyncio

import pytest

from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.limits import UNPROVED_OCTETS_MAX
from meterspan.runtime.media import (
    UDP_ADMISSION_OCTETS,
    UDP_PEERS_MAX,
    UDP_UNPROVED_OCTETS_A_SECOND,
    UDP_UNPROVED_TOTAL_A_SECOND,
    CannotConnectError,
    _UdpListener,
    connect_stream,
    listen_stream,
)

MEDIA = pytest.mark.parametrize("medium", ["tcp", "udp"])


OPEN = []
"""Lines of the story that is told, to be closed at its end."""


class Ear(asyncio.Protocol):
    """Keeps what it hears, and answers with the same."""

    def __init__(self, *, echo=False):
        self.echo, self.heard, self.transport = echo, [], None
        self.gone, self.got = asyncio.Event(), asyncio.Event()

    def connection_made(self, transport):
        self.transport = transport
        OPEN.append(transport)

    def data_received(self, data):
        self.heard.append(data)
        self.got.set()
        if self.echo:
            self.transport.write(data)

    def connection_lost(self, exc):
        self.gone.set()


async def listening(medium, ears):
    def make():
        ears.append(Ear(echo=True))
        return ears[-1]

    return await listen_stream(medium, "127.0.0.1", 0, make)


async def connected(medium, listener):
    return await connect_stream(Endpoint(medium, "127.0.0.1", listener.port), Ear)


def run(story):
    async def tidily():
        try:
            await asyncio.wait_for(story, 10)
        finally:
            while OPEN:
                OPEN.pop().close()
            await asyncio.sleep(0.01)

    asyncio.run(tidily())


@MEDIA
def test_what_one_side_writes_the_other_hears_and_answers(medium):
    async def story():
        ears = []
        listener = await listening(medium, ears)
        line = await connected(medium, listener)
        line.transport.write(b"hello")
        await line.got.wait()
        assert line.heard == ears[0].heard == [b"hello"]
        assert ears[0].transport.get_extra_info("peername")[0] == "127.0.0.1"
        line.transport.close()
        await line.gone.wait()
        listener.close()

    run(story())


def test_every_write_is_one_datagram():
    async def story():
        ears = []
        listener = await listening("udp", ears)
        line = await connected("udp", listener)
        for octets in (b"one", b"two", b"three"):
            line.transport.write(octets)
        while len(line.heard) < 3:
            line.got.clear()
            await line.got.wait()
        assert line.heard == [b"one", b"two", b"three"]
        listener.close()

    run(story())


def test_two_senders_of_datagrams_are_two_peers_and_a_closed_one_begins_anew():
    async def story():
        ears = []
        listener = await listening("udp", ears)
        first, second = await connected("udp", listener), await connected("udp", listener)
        for line, octets in ((first, b"a"), (second, b"b"), (first, b"c")):
            line.got.clear()
            line.transport.write(octets)
            await line.got.wait()
        assert [ear.heard for ear in ears] == [[b"a", b"c"], [b"b"]]
        ears[0].transport.close()
        await ears[0].gone.wait()
        first.got.clear()
        first.transport.write(b"d")
        await first.got.wait()
        assert ears[2].heard == [b"d"]
        listener.close()
        assert ears[1].gone.is_set()
        assert ears[2].gone.is_set()

    run(story())


def test_where_too_many_send_datagrams_the_one_longest_silent_goes():
    async def story():
        ears, lines = [], []
        listener = await listening("udp", ears)
        for number in range(UDP_PEERS_MAX):
            lines.append(await connected("udp", listener))
            lines[-1].transport.write(bytes([number]))
            await lines[-1].got.wait()
        lines[0].got.clear()
        lines[0].transport.write(b"still here")
        await lines[0].got.wait()
        for _ in range(3):
            line = await connected("udp", listener)
            line.transport.write(b"new")
            await line.got.wait()
        assert [index for index, ear in enumerate(ears) if ear.gone.is_set()] == [1, 2, 3]
        listener.close()

    run(story())


class ProvableEar(Ear):
    """Counts its peer as proved once it has heard ``key``."""

    @property
    def is_proved(self):
        return b"key" in self.heard


@pytest.mark.attack(2)
def test_of_too_many_peers_of_datagrams_those_that_hold_a_key_stay():
    async def story():
        ears, lines = [], []

        def make():
            ears.append(ProvableEar(echo=True))
            return ears[-1]

        async def say(line, octets):
            line.got.clear()
            line.transport.write(octets)
            await line.got.wait()

        listener = await listen_stream("udp", "127.0.0.1", 0, make)
        for number in range(UDP_PEERS_MAX):
            lines.append(await connected("udp", listener))
            await say(lines[-1], b"key" if number < UDP_PEERS_MAX - 1 else b"none")
        await say(await connected("udp", listener), b"key")
        assert [index for index, ear in enumerate(ears) if ear.gone.is_set()] == [UDP_PEERS_MAX - 1]
        refused = await connected("udp", listener)
        refused.transport.write(b"new")
        await say(lines[0], b"still here")
        assert len(ears) == UDP_PEERS_MAX + 1
        assert not refused.heard
        listener.close()

    run(story())


@pytest.mark.attack(2)
def test_datagrams_that_prove_nothing_are_heard_at_a_bounded_rate_and_those_of_a_proved_peer_at_any(monkeypatch):
    """A peer that is closed and admitted again, by its next datagram, sends no more than before."""

    async def story():
        now = 0.0
        monkeypatch.setattr(asyncio.get_running_loop(), "time", lambda: now)
        ears = []

        def make():
            ears.append(ProvableEar())
            return ears[-1]

        class Line:
            def get_extra_info(self, _name):
                return ("127.0.0.1", 1)

            def is_closing(self):
                return True

            def close(self):
                pass

        port = _UdpListener(make)
        port.connection_made(Line())
        for second in range(10):
            now = float(second)
            for number in range(40):
                port.datagram_received(bytes(1_000), ("10.0.0.1", number))
        heard = sum(map(len, (octets for ear in ears for octets in ear.heard)))
        assert heard <= UNPROVED_OCTETS_MAX + 10 * UDP_UNPROVED_OCTETS_A_SECOND
        assert len(ears) * UDP_ADMISSION_OCTETS <= UNPROVED_OCTETS_MAX + 10 * UDP_UNPROVED_OCTETS_A_SECOND
        for number in range(4_000):
            port.datagram_received(bytes(1_000), (f"10.1.{number >> 8}.{number & 0xFF}", 1))
        heard = sum(map(len, (octets for ear in ears for octets in ear.heard)))
        assert heard <= 4 * UNPROVED_OCTETS_MAX + 10 * UDP_UNPROVED_TOTAL_A_SECOND
        now = 60.0
        port.datagram_received(b"key", ("10.2.0.1", 1))
        for _ in range(100):
            port.datagram_received(bytes(1_000), ("10.2.0.1", 1))
        assert sum(map(len, ears[-1].heard)) == 100_003
        port.close()

    asyncio.run(story())


async def closed_port(medium):
    listener = await listening(medium, [])
    port = listener.port
    listener.close()
    await asyncio.sleep(0.01)
    return Endpoint(medium, "127.0.0.1", port)


def test_nobody_at_a_tcp_port_is_said_at_once():
    async def story():
        with pytest.raises(CannotConnectError, match="no program listens"):
            await connect_stream(await closed_port("tcp"), Ear)

    run(story())


def test_nobody_at_a_udp_port_ends_the_line_at_the_first_datagram():
    async def story():
        line = await connect_stream(await closed_port("udp"), Ear)
        line.transport.write(b"anybody?")
        await line.gone.wait()
        line.transport.write(b"ignored")

    run(story())


@MEDIA
def test_a_name_that_is_not_known_is_said(medium):
    async def story():
        with pytest.raises(CannotConnectError, match=r"no\.such\.host\.invalid"):
            await connect_stream(Endpoint(medium, "no.such.host.invalid", 4059), Ear)

    run(story())


def test_a_serial_line_that_is_not_there_is_said_and_none_is_listened_at():
    async def story():
        with pytest.raises(CannotConnectError, match="/dev/none"):
            await connect_stream(Endpoint("serial", path="/dev/none"), Ear)
        with pytest.raises(CannotConnectError, match="over serial"):
            await listen_stream("serial", "", 0, Ear)

    run(story())
