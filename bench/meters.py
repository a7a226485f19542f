"""A thousand simulated electricity meters in one process, each at a loopback address of its own.

Every answer takes a while, as over a cellular network. It says its port when it is ready, and its totals when its stdin
closes.
"""

import asyncio
import json
import secrets
import sys
import time
from zoneinfo import ZoneInfo

from meterspan.engine.association.attempts import AttemptLedger
from meterspan.engine.association.server import ServerAssociation
from meterspan.engine.link import Role
from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.engine.wrapper_link import WrapperConfig, WrapperLink
from meterspan.meter.cosem import MeterAccess, logical_device
from meterspan.meter.electricity import ElectricityMeter, ElectricityMeterConfig
from meterspan.meter.metrology import ElectricityFlow
from meterspan.runtime.shell import StreamShell

DAY_S, PERIOD_S = 86_400, 900
ZONE = ZoneInfo("Europe/Berlin")


def host_of(number):
    """One address of 127/8 per meter, so that a thousand meters share one port."""
    return f"127.1.{number >> 8}.{number & 255}"


def title_of(number):
    return b"MSP" + number.to_bytes(5, "big")


def keys_of(number):
    return SecurityKeys(number.to_bytes(16, "big"), number.to_bytes(16, "little"))


class Slow(asyncio.Transport):
    """A transport whose writes arrive ``latency_s`` later."""

    def __init__(self, transport, latency_s, totals):
        super().__init__()
        self._transport, self._latency_s, self._totals = transport, latency_s, totals

    def write(self, octets):
        self._totals["answers"] += 1
        self._totals["octets"] += len(octets)
        asyncio.get_running_loop().call_later(self._latency_s, self._send, octets)

    def _send(self, octets):
        if not self._transport.is_closing():
            self._transport.write(octets)

    def get_write_buffer_size(self):
        return self._transport.get_write_buffer_size()

    def close(self):
        self._transport.close()

    def abort(self):
        self._transport.abort()


class Counters:
    """A meter's counters in memory: here the head end is measured."""

    def __init__(self):
        self.next, self.highest = {}, {}

    def reserve(self, name, count):
        first = self.next.get(name, 1)
        self.next[name] = first + count
        return first

    def accept(self, name, value):
        is_new = value > self.highest.get(name, 0)
        self.highest[name] = max(value, self.highest.get(name, 0))
        return is_new

    def accepted(self, name):
        return self.highest.get(name, 0)


class Meters:
    """All meters, after a day of life."""

    def __init__(self, count, now, latency_s):
        self.offset_s = now - time.time()
        self.latency_s = latency_s
        self.totals = {"answers": 0, "octets": 0, "connections": 0}
        self.devices = {host_of(number): self._device(number, now) for number in range(count)}

    def clock(self):
        return time.time() + self.offset_s

    def _device(self, number, now):
        config = ElectricityMeterConfig(f"MSP1{number:010d}", title_of(number), ZONE, profile_capacity=200)
        start = int(now) // DAY_S * DAY_S - DAY_S
        meter = ElectricityMeter(config, start)
        for quarter in range(1, DAY_S // PERIOD_S + 1):
            flow = ElectricityFlow((1_000 * ((number * quarter) % 3_000),) * 3)
            meter.advance(flow, start + PERIOD_S * quarter)
        return number, logical_device(meter, MeterAccess()), AttemptLedger(), Counters()

    def accept(self):
        return Connection(self)


class Connection(asyncio.Protocol):
    """Finds out which meter was called, and hands over to its shell."""

    def __init__(self, meters):
        self._meters = meters
        self._shell = None

    def connection_made(self, transport):
        meters = self._meters
        meters.totals["connections"] += 1
        number, device, attempts, counters = meters.devices[transport.get_extra_info("sockname")[0]]
        association = ServerAssociation(
            WrapperLink(Role.SERVER, WrapperConfig(1, 1)),
            device,
            entropy=secrets.token_bytes,
            attempts=attempts,
            security=lambda _: SecurityContext(title_of(number), keys_of(number), counters=counters),
        )
        self._shell = StreamShell(association, meters.clock, lambda _: None)
        association.connect(meters.clock())
        self._shell.connection_made(Slow(transport, meters.latency_s, meters.totals))

    def data_received(self, data):
        self._shell.data_received(data)

    def connection_lost(self, exc):
        self._shell.connection_lost(exc)


async def serve(task):
    meters = Meters(task["count"], task["now"], task["latency_s"])
    loop = asyncio.get_running_loop()
    server = await loop.create_server(meters.accept, "0.0.0.0", 0, backlog=2_048)  # noqa: S104 - all of 127/8
    print(json.dumps({"port": server.sockets[0].getsockname()[1], "offset_s": meters.offset_s}), flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    print(json.dumps(meters.totals), flush=True)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(json.loads(sys.argv[1])))
