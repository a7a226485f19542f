"""A machine that asks for connections gets them, and gives them back whole."""

import asyncio

from meterspan.engine.machine import WantsConnection
from meterspan.runtime.connecting import ConnectingHost
from meterspan.runtime.endpoints import Endpoint
from tests.helpers_serve import free_port
from tests.helpers_waiting import until


class Caller:
    """Wants a connection ``every_s``, says hello on it, and gives it back after an answer."""

    def __init__(self, every_s=0.02):
        self.every_s, self.due, self.asked, self.has_medium = every_s, 0.0, False, False
        self.out, self.events, self.lost = b"", [], 0

    def advance(self, now):
        if not self.asked and not self.has_medium and now >= self.due:
            self.asked = True
            self.events.append(WantsConnection())

    def connect(self, _now):
        self.asked, self.has_medium, self.out = False, True, b"hello"

    def medium_lost(self, now):
        self.asked = self.has_medium = False
        self.lost += 1
        self.due = now + self.every_s

    def receive(self, octets, now):
        assert self.has_medium, "octets of a connection that was given back"
        self.events.append(octets)
        self.has_medium, self.due = False, now + self.every_s

    def deadline(self):
        return None if self.asked or self.has_medium else self.due

    def octets_to_send(self):
        out, self.out = self.out, b""
        return out

    def next_event(self):
        return self.events.pop(0) if self.events else None


def test_a_connection_is_made_and_closed_for_each_wish_and_late_octets_are_not_heard():
    open_lines, seen = [], []

    async def serve(reader, writer):
        open_lines.append(writer)
        assert await reader.readexactly(5) == b"hello"
        writer.write(b"answer")
        await writer.drain()
        await asyncio.sleep(0.005)
        writer.write(b"too late")
        assert await reader.read() == b"", "the machine's side closes"
        writer.close()
        open_lines.remove(writer)

    async def scene():
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port, machine, notes = server.sockets[0].getsockname()[1], Caller(), []
        place = Endpoint("tcp", "127.0.0.1", port)
        host = ConnectingHost(
            machine, place, clock=asyncio.get_running_loop().time, on_event=seen.append, on_note=notes.append
        )
        task = asyncio.create_task(host.run())
        await until(lambda: len(seen) >= 3)
        task.cancel()
        await asyncio.wait([task])
        await until(lambda: not open_lines)
        server.close()
        assert set(seen) == {b"answer"}
        assert machine.lost == 0
        assert f"connected to {place}" in notes

    asyncio.run(scene())


def test_a_port_that_is_closed_is_reported_to_the_machine_which_asks_again_in_its_time():
    async def scene():
        machine, notes = Caller(), []
        place = Endpoint("tcp", "127.0.0.1", free_port())
        host = ConnectingHost(
            machine, place, clock=asyncio.get_running_loop().time, on_event=print, on_note=notes.append
        )
        task = asyncio.create_task(host.run())
        await until(lambda: machine.lost >= 2)
        task.cancel()
        await asyncio.wait([task])
        assert notes[0].startswith("no connection: no program listens")

    asyncio.run(scene())
