"""Ten thousand meters in one ``serve``: its start, each page and answer in milliseconds and kilobytes, its memory.

Times are of CPU, as the machine may be shared. The start registers the homes and meters of a configuration, then starts
again from what it has stored. The pages are asked of the same system with a day and with 400 days of quarter hours in
the ledger, every tenth meter with holes.
"""

import asyncio
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import httpx

from bench.head_end import resident
from bench.table import Line, show
from meterspan.analytics.slot_runs import SlotRuns
from meterspan.app.central_system import CentralSystem
from meterspan.app.network_views import SharedSurvey, SurveyedViews
from meterspan.app.stored_numbers import GatheredNumbers
from meterspan.app.views_proxy import on_loop
from meterspan.head_end.views import HeadEndViews
from meterspan.model.storage.stretches import Stretch
from meterspan.portal import create_app
from meterspan.runtime.config import read_config

METERS, NETWORKS, PERIOD_S, DAY_S = 10_000, 40, 900, 86_400
START_MAX_S, PAGE_MAX_MS, PAGE_MAX_KB, TURN_MAX_MS = 10.0, 300.0, 300.0, 20.0
REPEATS = 5
PATHS = (
    "/",
    "/?q=home-07123",
    "/homes/home-07123",
    "/operator",
    "/operator?network=area-07",
    "/operator/meters",
    "/operator/meters?state=late&sort=name&page=7",
    "/operator/meters?q=7123",
    "/operator/meters/M0000000042",
    "/operator/orders",
    "/operator/damage",
    "/api/v1/homes",
    "/api/v1/operator/summary",
    "/api/v1/operator/meters",
    "/api/v1/operator/completeness",
    "/api/v1/operator/orders",
    "/api/v1/operator/damage",
)


def configuration(folder, days):
    """Write homes with a meter each, in forty networks."""
    first = datetime.fromtimestamp((int(time.time()) // DAY_S - days) * DAY_S, UTC)
    homes = (
        f'[[homes]]\nid = "home-{number:05}"\nname = "Mill Lane {number // 3}, flat {number % 3 + 1}"\n'
        for number in range(METERS)
    )
    meters = (
        f'[[meters]]\ndevice = "M{number:010}"\nhome = "home-{number:05}"\nnetwork = "area-{number % NETWORKS:02}"\n'
        f'endpoint = "tcp://192.0.2.1:4059"\nsecurity = "none"\ninstalled_at = {first.isoformat()}\n'
        for number in range(METERS)
    )
    return f'data = "{folder}"\n' + "".join(homes) + "".join(meters)


def started(text):
    """Start a system; gives it with the seconds that the start took."""
    began = time.process_time()
    system = CentralSystem(read_config(text), keys={}, master_key=bytes(32), tariffs=(), clock=time.time)
    return system, time.process_time() - began


def fill(system, days):
    """Let every meter have been read up to an hour ago; every tenth has a hole of an hour each fortnight."""
    now = int(time.time())
    first, stop = (now // DAY_S - days) * DAY_S // PERIOD_S, (now - 3_600) // PERIOD_S
    for number, channel in enumerate(system.head_end.ledger.channels):
        runs = SlotRuns()
        edges = [first, *(range(first + 96, stop, 96 * 14) if number % 20 < 2 else ()), stop + 4]
        for begin, end in pairwise(edges):
            runs.add(begin, end - 4)
        stretches = [Stretch(begin * PERIOD_S + PERIOD_S, PERIOD_S, end - begin) for begin, end in runs]
        system.head_end.recall(channel, stretches, float(now - 3_600))


def asked(system):
    """Ask for every page beside a loop; gives (path, milliseconds, kilobytes), and the loop's longest turn."""

    async def scenario():
        loop = asyncio.get_running_loop()

        def now():
            return datetime.now(UTC)

        views = HeadEndViews(system.head_end, GatheredNumbers(system.data, system.damage), lambda *_: ("", ()), now)
        network = SurveyedViews(system.head_end, views, SharedSurvey(views, loop), on_loop(loop))
        app = create_app(system.data, network, clock=now, orders=network)
        longest, busy = 0.0, True

        async def beat():
            nonlocal longest
            while busy:
                before = time.thread_time()
                await asyncio.sleep(0)
                longest = max(longest, time.thread_time() - before)
                await asyncio.sleep(0.001)

        async def ask_all():
            """In a loop of its own, as the portal's pages are made in other threads than the head end's."""
            found = []
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
                await client.get("/operator")
                for path in PATHS:
                    times = []
                    for _ in range(REPEATS):
                        before = time.process_time()
                        answer = await client.get(path)
                        times.append(time.process_time() - before)
                    assert answer.status_code == 200, (path, answer.status_code)
                    found.append((path, 1_000 * sorted(times)[REPEATS // 2], len(answer.content) / 1_000))
            return found

        with ThreadPoolExecutor(1) as pool:
            beating = asyncio.create_task(beat())
            found = await loop.run_in_executor(pool, lambda: asyncio.run(ask_all()))
            busy = False
            await beating
        return found, 1_000 * longest

    return asyncio.run(scenario())


def verdict(value, most):
    return f"at most {most:g}" if value <= most else f"NOT MET: at most {most:g}"


def measure():
    lines = []
    for days in (1, 400):
        with tempfile.TemporaryDirectory(prefix="meterspan-bench-") as name:
            text = configuration(Path(name) / "station", days)
            system, first_s = started(text)
            system.close()
            system, again_s = started(text)
            fill(system, days)
            history = "1 day" if days == 1 else f"{days} days"
            lines += [
                Line(
                    f"{METERS:,} meters, {history}: first start", first_s, "s CPU", note=verdict(first_s, START_MAX_S)
                ),
                Line("  start again, with nothing read", again_s, "s CPU", note=verdict(again_s, START_MAX_S)),
            ]
            found, longest = asked(system)
            for path, ms, size in found:
                note = f"{size:,.0f} KB, {verdict(size, PAGE_MAX_KB)}; {verdict(ms, PAGE_MAX_MS)} ms"
                lines.append(Line(f"  {path}", ms, "ms CPU", note=note))
            lines += [
                Line("  longest turn of the head end's loop", longest, "ms CPU", note=verdict(longest, TURN_MAX_MS)),
                Line("  memory", resident() / 1e6, "MB", note="of the whole process, bench included"),
            ]
            system.close()
    return lines


def main():
    show(measure(), "ten thousand meters")


if __name__ == "__main__":
    main()
