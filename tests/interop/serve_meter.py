"""Serve an electricity meter to peers in another process: wrapper or HDLC over TCP; says where, as JSON, on stdout.

The meter has run for two days with flows that change every quarter hour, up to ``NOW``; its clock goes on from there.
"""

import asyncio
import json
import secrets
import sys
import time
from datetime import datetime
from zoneinfo import ZoneInfo

from meterspan.engine.association.attempts import AttemptLedger
from meterspan.engine.association.server import ServerAssociation
from meterspan.engine.hdlc.config import HdlcConfig
from meterspan.engine.hdlc.link import HdlcLink
from meterspan.engine.link import Role
from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.engine.wrapper_link import WrapperConfig, WrapperLink
from meterspan.meter.cosem import READER_CLIENT, MeterAccess, logical_device
from meterspan.meter.electricity import ElectricityMeter, ElectricityMeterConfig
from meterspan.meter.metrology import ElectricityFlow
from meterspan.runtime.shell import StreamShell
from meterspan.wire.hdlc import HdlcAddress
from tests.memory import MemoryState

TITLE = b"MSP\0\0\0\0\1"
KEYS = SecurityKeys(bytes(range(16)), bytes(range(0xD0, 0xE0)))
PASSWORD = b"open sesame"
NOW = datetime(2026, 3, 3, 0, 0, 30, tzinfo=ZoneInfo("Europe/Berlin"))


def run_meter():
    """Build the meter and let it live for two days."""
    now = int(NOW.timestamp())
    config = ElectricityMeterConfig("MSP1000000001", TITLE, ZoneInfo("Europe/Berlin"), opening_wh=1_234_567)
    meter = ElectricityMeter(config, now - 2 * 86_400)
    for quarter in range(1, 2 * 96 + 1):
        milliwatts = (200_000 + 10_000 * (quarter % 60),) * 3
        meter.advance(
            ElectricityFlow(milliwatts, (230_100, 229_900, 231_000), (1_000, 2_000, 3_000)),
            now - 2 * 86_400 + 900 * quarter,
        )
    meter.set_clock(now + 2, now)
    meter.set_clock(now + 2, now + 2)
    return meter


async def serve(kind):
    """Serve until stdin closes."""
    meter = run_meter()
    began = time.monotonic()

    def clock():
        return NOW.timestamp() + 2 + time.monotonic() - began

    state = MemoryState()
    device = logical_device(meter, MeterAccess(PASSWORD))
    attempts = AttemptLedger()

    def link():
        if kind == "hdlc":
            return HdlcLink(Role.SERVER, HdlcConfig(HdlcAddress.server(1, 17), HdlcAddress(READER_CLIENT)))
        return WrapperLink(Role.SERVER, WrapperConfig(1, READER_CLIENT))

    def accept():
        association = ServerAssociation(
            link(),
            device,
            entropy=secrets.token_bytes,
            attempts=attempts,
            security=lambda _: SecurityContext(TITLE, KEYS, counters=state),
        )
        return StreamShell(association, clock, lambda _: None)

    loop = asyncio.get_running_loop()
    server = await loop.create_server(accept, "127.0.0.1", 0)
    rows = meter.profile.entries(1, len(meter.profile))
    sys.stdout.write(
        json.dumps(
            {
                "port": server.sockets[0].getsockname()[1],
                "now": NOW.timestamp(),
                "title": TITLE.hex(),
                "import_wh": meter.register(next(item.obis for item in meter.indication.registers)),
                "rows": [[row[0].clock_time.to_utc().timestamp(), *(cell.integer for cell in row[1:])] for row in rows],
                "objects": sorted([item.interface.class_id, str(item.logical_name)] for item in device.objects),
                "events": [row[1].integer for row in meter.events.entries(1, len(meter.events))],
            }
        )
        + "\n"
    )
    sys.stdout.flush()
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(serve(sys.argv[1]))
