"""The simulated radio: each datagram is one telegram, in order, with its sender and time."""

import asyncio
import socket
from contextlib import aclosing

import pytest

from meterspan.engine.mbus_security import Protection, build_telegram
from meterspan.engine.wmbus_receiver import WmbusReceiver
from meterspan.model.radio_protection import RadioPrecedence
from meterspan.runtime import radio
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.media import CannotConnectError
from meterspan.runtime.radio import TelegramQueue, radio_telegrams
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.transport import HeaderKind, SecurityMode, TransportHeader
from meterspan.wire.wmbus import FrameFormat, LinkHeader

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


KEY = bytes(range(16))
METERS = [DeviceAddress.of("MSP", f"{number:08d}", 1, 7) for number in range(4)]


def telegram(meter, number, *, key=KEY, mode=SecurityMode.AES_CBC_IV, form=FrameFormat.STRIPPED):
    header = TransportHeader(0x7A, HeaderKind.SHORT, None, number % 256)
    body = bytes.fromhex("0413") + number.to_bytes(4, "little")
    return build_telegram(LinkHeader(0x44, meter), header, body, Protection(mode, key, number + 1), form=form)


def queue_of(unproved_per_s=None, times=(0.0,)):
    """A queue before a receiver that knows the keys of all meters but the last."""
    receiver = WmbusReceiver({meter.id_octets: KEY for meter in METERS[:3]})
    installed = {meter.octets for meter in METERS[:3]}

    def precedence(octets):
        if receiver.is_genuine(octets):
            return RadioPrecedence.PROVED
        return RadioPrecedence.INSTALLED if octets[2:10] in installed else RadioPrecedence.UNKNOWN

    return TelegramQueue(precedence, unproved_per_s, lambda: times[-1])


def drained(queue):
    return [waiting[0] for waiting in iter(queue.pop, None)]


@pytest.mark.attack(2)
@pytest.mark.parametrize("mode", [SecurityMode.AES_CBC_IV, SecurityMode.AES_CBC_DYNAMIC])
def test_a_flood_under_the_addresses_of_all_meters_loses_no_genuine_telegram(mode):
    queue = queue_of(unproved_per_s=200.0)
    genuine, heard = [], []
    for second in range(10):
        for number in range(1_000):
            queue.put(telegram(METERS[number % 3], second * 1_000 + number, key=b"forged".ljust(16)), "x", 0.0)
            if number % 100 == 0:
                genuine.append(telegram(METERS[number % 3], len(genuine), mode=mode))
                queue.put(genuine[-1], "m", 0.0)
        for _ in range(50):  # the listener is slow: it processes 50 in the time in which 1,010 arrive
            waiting = queue.pop()
            if waiting is not None:
                heard.append(waiting[0])
    assert [octets for octets in heard if octets in set(genuine)] == sorted(genuine, key=heard.index)
    assert set(genuine) <= set(heard)


def test_senders_have_turns_and_each_has_a_few_telegrams_waiting():
    queue = queue_of()
    first = [telegram(METERS[0], number) for number in range(100)]
    second = [telegram(METERS[1], number) for number in range(2)]
    for octets in first + second:
        queue.put(octets, "m", 0.0)
    assert drained(queue) == [first[0], second[0], first[1], second[1], *first[2:16]]


@pytest.mark.attack(2)
def test_what_proves_nothing_is_processed_at_a_bounded_rate_and_installed_meters_first():
    times = [0.0]
    queue = queue_of(unproved_per_s=4.0, times=times)
    neighbours = [telegram(DeviceAddress.of("XXX", f"{number:08d}", 1, 7), number) for number in range(100, 120)]
    named = [telegram(METERS[number % 3], number, key=bytes(16)) for number in range(3)]
    for octets in neighbours + named:
        queue.put(octets, "x", 0.0)
    assert drained(queue) == [*named, neighbours[0]]
    assert queue.pause_s() == 0.25
    times.append(0.5)
    assert drained(queue) == neighbours[1:3]


@pytest.mark.attack(2)
def test_a_genuine_telegram_that_is_sent_again_waits_once():
    queue = queue_of()
    genuine = [telegram(METERS[0], number) for number in range(2)]
    for octets in (genuine[0], *[genuine[0]] * 50, genuine[1]):
        queue.put(octets, "m", 0.0)
    assert drained(queue) == genuine
    assert not queue.put(genuine[0], "m", 0.0)
    assert drained(queue) == []
