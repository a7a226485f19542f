import asyncio
import time
from contextlib import aclosing

import pytest

from meterspan.runtime import p1_source
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.p1_source import LINE_OCTETS_MAX, hex_lines, p1_telegrams
from meterspan.runtime.radio import radio_telegrams
from meterspan.wire.p1 import P1Damage, P1Telegram

TELEGRAM = b"/MSP4x\r\n\r\n1-0:1.7.0(00.500*kW)\r\n!\r\n"


def hear(chunks, source, count, **options):
    """Serve ``chunks`` per connection, and give what is heard."""

    async def main():
        waiting = list(chunks)

        async def serve(_reader, writer):
            try:
                for chunk in waiting.pop(0) if waiting else []:
                    writer.write(chunk)
                    await asyncio.sleep(0.01)
            finally:
                writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        place = Endpoint("tcp", "127.0.0.1", server.sockets[0].getsockname()[1])
        heard = []
        async with aclosing(source(place, **options)) as items:
            async for item in items:
                heard.append(item)
                if len(heard) == count:
                    break
        server.close()
        await asyncio.sleep(0.05)  # let the serving end
        return heard

    return asyncio.run(main())


def test_telegrams_are_heard_in_any_cut_with_damage_between():
    pieces = [TELEGRAM[:11], TELEGRAM[11:] + b"/MSP4y\r\n" + TELEGRAM, TELEGRAM]
    kinds = [type(item) for item in hear([pieces], p1_telegrams, 9, is_endless=False)]
    assert kinds == [P1Telegram, P1Damage, P1Telegram, P1Telegram]


def test_a_line_that_ends_is_connected_again_and_half_a_telegram_is_forgotten():
    troubles = []
    heard = hear([[TELEGRAM[:20]], [TELEGRAM[20:] + TELEGRAM]], p1_telegrams, 1, on_trouble=troubles.append)
    assert isinstance(heard[0], P1Telegram)
    assert "closed the line" in troubles[0]


@pytest.mark.attack(2)
def test_a_line_that_sends_more_than_it_can_carry_is_read_at_a_bounded_rate_and_loses_nothing(monkeypatch, caplog):
    monkeypatch.setattr(p1_source, "LINE_OCTETS_A_SECOND", 1_000)
    monkeypatch.setattr(p1_source, "LINE_OCTETS_BURST", 2 * len(TELEGRAM))
    monkeypatch.setattr(p1_source, "CHUNK_OCTETS", len(TELEGRAM))
    begun = time.monotonic()
    heard = hear([[TELEGRAM * 16]], p1_telegrams, 16, is_endless=False)
    assert [type(item) for item in heard] == [P1Telegram] * 16
    assert time.monotonic() - begun >= 13 * len(TELEGRAM) / 1_000
    assert caplog.text.count("a line sends more than it can carry") == 1


@pytest.mark.attack(2)
def test_short_lines_of_text_are_read_at_a_bounded_rate_and_none_is_lost(monkeypatch):
    monkeypatch.setattr(p1_source, "LINES_A_SECOND", 50)
    begun = time.monotonic()
    assert hear([[b"aa\n" * 70]], hex_lines, 70, is_endless=False) == ["aa"] * 70
    assert time.monotonic() - begun >= 19 / 50


@pytest.mark.finding("users C-8")
def test_a_line_that_was_down_is_said_to_be_up_once_for_each_connection():
    said = []
    hear(
        [[TELEGRAM[:20]], [TELEGRAM, TELEGRAM]],
        p1_telegrams,
        2,
        on_trouble=lambda _text: said.append("down"),
        on_up=lambda: said.append("up"),
    )
    assert said == ["up", "down", "up"]


def test_nobody_there_is_told_and_tried_again():
    async def main():
        troubles = []
        async with aclosing(
            p1_telegrams(Endpoint("tcp", "127.0.0.1", 1), on_trouble=troubles.append, is_endless=False)
        ) as items:
            assert [item async for item in items] == []
        return troubles

    assert "no program listens" in asyncio.run(main())[0]


def test_lines_are_bounded():
    lines = hear([[b"aabb\r\n\r\n", b"c" * 9_000, b"\nccdd\n"]], hex_lines, 9, is_endless=False)
    assert lines[0] == "aabb"
    assert lines[-1] == "ccdd"
    assert all(len(line) <= LINE_OCTETS_MAX for line in lines)


def test_datagrams_are_heard_with_their_sender():
    async def main():
        ready = asyncio.get_running_loop().create_future()
        heard = radio_telegrams(Endpoint("udp", "127.0.0.1", 0), SystemClock(), on_ready=ready.set_result)
        first = asyncio.create_task(anext(heard))
        port = await ready
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            asyncio.DatagramProtocol, remote_addr=("127.0.0.1", port)
        )
        transport.sendto(b"telegram")
        octets, peer, now = await first
        transport.close()
        await heard.aclose()
        return octets, peer, now

    octets, peer, now = asyncio.run(main())
    assert octets == b"telegram"
    assert peer.startswith("127.0.0.1:")
    assert now > 1_700_000_000
