"""A relay sends to everybody who connected, reads nothing, and lets nobody hold it up."""

import asyncio
from contextlib import suppress

import pytest

from meterspan.runtime import relay as relay_module
from meterspan.runtime.relay import Relay
from tests.helpers_waiting import until


def test_every_reader_gets_what_is_sent_after_it_came():
    async def scene():
        relay = Relay()
        port = await relay.listen("127.0.0.1", 0)
        relay.send(b"before\n")
        readers = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await until(lambda: relay.reader_count == 2)
        readers[0][1].write(b"not read\n")
        relay.send(b"one\n")
        assert [await reader.readline() for reader, _ in readers] == [b"one\n"] * 2
        readers[0][1].close()
        await until(lambda: relay.reader_count == 1)
        relay.send(b"two\n")
        assert await readers[1][0].readline() == b"two\n"
        readers[1][1].close()
        relay.close()

    asyncio.run(scene())


@pytest.mark.attack(2)
def test_for_a_reader_too_many_the_oldest_of_the_address_with_most_is_closed():
    async def scene():
        relay = Relay(readers_max=3)
        port = await relay.listen("127.0.0.1", 0)
        display, own = await asyncio.open_connection("127.0.0.1", port, local_addr=("127.0.0.2", 0))
        idle = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        await until(lambda: relay.reader_count == 3)
        _, newest = await asyncio.open_connection("127.0.0.1", port)
        with suppress(ConnectionResetError):
            assert await idle[0][0].read() == b""
        await until(lambda: relay.reader_count == 3)
        relay.send(b"one\n")
        assert await display.readline() == await idle[1][0].readline() == b"one\n"
        for writer in (own, newest, *(line[1] for line in idle)):
            writer.close()
        relay.close()

    asyncio.run(scene())


def test_a_reader_that_falls_behind_is_cut_off(monkeypatch):
    monkeypatch.setattr(relay_module, "UNSENT_OCTETS_MAX", 1_000)

    async def scene():
        relay = Relay()
        port = await relay.listen("127.0.0.1", 0)
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1)
        await until(lambda: relay.reader_count == 1)
        for _ in range(400):
            relay.send(bytes(65_536))
        await until(lambda: relay.reader_count == 0)
        writer.close()
        relay.close()

    asyncio.run(scene())
