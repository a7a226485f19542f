"""One head-end process reads a day's profile of a thousand meters in parallel, HLS-GMAC, 250 ms per answer.

The meters live in a second process on loopback TCP. Everything is as in service: counters and readings are durable
before they count, keys are unwrapped from the inventory, the clocks are checked.
"""

import asyncio
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from zoneinfo import ZoneInfo

import uvloop

from bench.meters import DAY_S, host_of, keys_of, title_of
from bench.table import ROOT, Line, show
from meterspan.crypto.mechanisms import Security
from meterspan.engine.links import DeviceProtocol
from meterspan.head_end.contexts import ContextCache
from meterspan.head_end.inventory import ChannelPlan, Device, KeyCustody, KeyPurpose
from meterspan.head_end.planner import NetworkPolicy, ReadPolicy
from meterspan.head_end.sessions import SessionMaker
from meterspan.head_end.system import HeadEnd
from meterspan.mdm import MeterDataManagement
from meterspan.meter.electricity import EXPORT, IMPORT
from meterspan.quantities import Commodity
from meterspan.quantities.codes import LOAD_PROFILE
from meterspan.runtime.head_end_host import HeadEndHost
from meterspan.runtime.state import StateFile

METERS = 1_000
LATENCY_S = 0.25
PATIENCE_S = 90
NOW = 20_515 * DAY_S + 30.0
"""Half a minute after midnight UTC: the rows of the whole day before are there."""


@contextmanager
def meters(count):
    """Run the meters in their own process; gives what they say, and at the end their totals."""
    task = json.dumps({"count": count, "now": NOW, "latency_s": LATENCY_S})
    with subprocess.Popen(
        [sys.executable, "-m", "bench.meters", task], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        said = json.loads(process.stdout.readline())
        try:
            yield said
        finally:
            totals, _ = process.communicate("", timeout=30)
            said |= json.loads(totals)


def add_meters(head_end, custody, port, count, now):
    for number in range(count):
        keys = keys_of(number)
        channels = tuple(ChannelPlan(obis, profile=LOAD_PROFILE) for obis in (IMPORT, EXPORT))
        name = f"MSP1{number:010d}"
        device = Device(
            name,
            Commodity.ELECTRICITY,
            DeviceProtocol.DLMS_WRAPPER,
            f"{host_of(number)}:{port}",
            "cell",
            security=Security.HLS_GMAC,
            client_sap=1,
            system_title=title_of(number),
            channels=channels,
            installed_at=int(now) // DAY_S * DAY_S - DAY_S,
            wrapped_keys=tuple(
                (purpose, custody.wrap(key, name, purpose))
                for purpose, key in (
                    (KeyPurpose.GLOBAL_UNICAST, keys.unicast),
                    (KeyPurpose.AUTHENTICATION, keys.authentication),
                )
            ),
        )
        head_end.add_device(device, now)


async def read_all(head_end, maker, clock, count):
    """Run the host until every meter was read once; gives (most sessions open, most memory in octets)."""
    host = HeadEndHost(head_end, maker, clock=clock)
    task = asyncio.create_task(host.run())
    most_open, most_memory, began = 0, 0, time.monotonic()
    while head_end.counts.sessions_ok + head_end.counts.sessions_failed < count:
        if task.done() or time.monotonic() - began > PATIENCE_S:
            break
        most_open, most_memory = max(most_open, host.open_count), max(most_memory, resident())
        await asyncio.sleep(0.05)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return most_open, most_memory


def resident():
    """Return the resident memory of this process in octets."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def measure(count=METERS):
    with tempfile.TemporaryDirectory(prefix="meterspan-bench-") as name, meters(count) as said:
        folder = Path(name)

        def clock():
            return time.time() + said["offset_s"]

        with MeterDataManagement(folder / "data") as data, StateFile(folder / "state.sqlite") as state:
            custody = KeyCustody(bytes(32))
            policy = ReadPolicy(spread_s=1, settle_s=0)
            head_end = HeadEnd(data, custody, policy, {"cell": NetworkPolicy(count, float(count))})
            contexts = ContextCache(head_end, system_title=b"HES\0\0\0\0\1", counters=state)
            maker = SessionMaker(
                head_end, contexts=contexts, entropy=secrets.token_bytes, zone=ZoneInfo("Europe/Berlin")
            )
            add_meters(head_end, custody, said["port"], count, clock())
            before, cpu, wall = resident(), time.process_time(), time.monotonic()
            most_open, most_memory = uvloop.run(read_all(head_end, maker, clock, count))
            wall, cpu = time.monotonic() - wall, time.process_time() - cpu
            readings, counts = data.totals().readings, head_end.counts
            failures = {head_end.last_failure(device.device) for device in head_end.inventory} - {None}
            reasons = set(map(str, failures))
    failed = count - counts.sessions_ok
    return [
        Line(
            f"head end: {count:,} meters, HLS-GMAC, 250 ms an answer",
            wall,
            "s wall",
            note=f"{failed} failed {' / '.join(sorted(reasons))[:100]}",
        ),
        Line("  sessions", counts.sessions_ok / wall, "sessions/s", note=f"{most_open:,} open at once"),
        Line("  requests", said["answers"] / wall, "requests/s", note=f"{said['answers'] / count:.1f} per meter"),
        Line("  readings made durable", readings / wall, "readings/s", note=f"{readings:,} of {count * 96 * 2:,}"),
        Line("  CPU of the head end", cpu, "s", note=f"{cpu / count * 1_000:.2f} ms per session"),
        Line("  memory per session", (most_memory - before) / max(1, most_open) / 1_024, "KiB", note="RSS, with store"),
    ]


def main():
    show(measure(), "head end")


if __name__ == "__main__":
    main()
