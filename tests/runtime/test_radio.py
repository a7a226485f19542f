"""The simulated radio: each datagram is one telegram, in order, with its sender and time."""

import asyncio
import socket
from contextlib import aclosing

import pytest

from meterspan.runtime import radio
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.media import CannotConnectError
from meterspan.runtime.radio import radio_telegrams

ANY_PORT = Endpoint("udp", "127.0.0.1", 0)


def hear(telegrams, count, *, pause=0.0):
    """Send datagrams to a listener, and give what it heard of them with the sender's name."""

    async def run():
        port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        ticks = iter(range(1_000))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.bind(("127.0.0.1", 0))

            async def send():
                place = ("127.0.0.1", await port)
                for octets in telegrams:
                    sender.sendto(octets, place)

            sending = asyncio.ensure_future(send())
            heard = []
            async with aclosing(radio_telegrams(ANY_PORT, lambda: float(next(ticks)), on_ready=port.set_result)) as air:
                async for telegram in air:
                    heard.append(telegram)
                    await asyncio.sleep(pause)
                    if len(heard) == count:
                        break
            await sending
            return heard, f"127.0.0.1:{sender.getsockname()[1]}"

    return asyncio.run(asyncio.wait_for(run(), 10))


def test_every_datagram_is_one_telegram_in_order_with_sender_and_time():
    telegrams = [bytes([number]) * (number + 1) for number in range(20)]
    heard, sender = hear(telegrams, 20)
    assert heard == [(octets, sender, float(number)) for number, octets in enumerate(telegrams)]


def test_a_listener_that_is_slow_loses_the_newest_and_keeps_what_waited(monkeypatch):
    monkeypatch.setattr(radio, "WAITING_MAX", 2)
    heard, _ = hear([b"1", b"2", b"3", b"4", b"5"], 3, pause=0.05)
    assert [octets for octets, _, _ in heard] in ([b"1", b"2", b"3"], [b"1", b"2"])


def test_a_port_that_is_taken_is_named():
    async def run(port):
        async with aclosing(radio_telegrams(Endpoint("udp", "127.0.0.1", port), lambda: 0.0)) as air:
            await anext(air)

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        with pytest.raises(CannotConnectError, match=f"cannot listen at udp://127.0.0.1:{port}: .+ in use"):
            asyncio.run(run(port))


def test_who_stops_listening_frees_the_port():
    async def run():
        ready: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        air = radio_telegrams(ANY_PORT, lambda: 0.0, on_ready=ready.set_result)
        waiting = asyncio.ensure_future(anext(air))
        port = await ready
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        await air.aclose()
        await asyncio.sleep(0)
        return port

    port = asyncio.run(run())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", port))
        assert other.getsockname()[1] == port
