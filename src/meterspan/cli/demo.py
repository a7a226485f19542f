"""``meterspan demo``: a district read over real protocols; ``--check`` proves its numbers, without it a portal lives.

The check runs one bad day as fast as it can and compares every stored register with what was measured. The living
demo simulates the last days first, opens the portal as soon as there is something to see, and then follows the clock.
"""

import asyncio
import json
import shutil
import signal
import socket
import sys
import tempfile
import time
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import typer
from rich.console import Console, Group
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from meterspan.app.explaining import explain
from meterspan.app.living import LivingDistrict
from meterspan.app.stored_numbers import StoredNumbers
from meterspan.app.views_proxy import passed_through, under_lock
from meterspan.head_end.views import HeadEndViews
from meterspan.mdm import MeterDataManagement
from meterspan.model.storage.errors import ConcurrentWriterError
from meterspan.portal.app import create_app
from meterspan.portal.server import PortalServer
from meterspan.runtime.clock import SystemClock
from meterspan.sim.district import District, DistrictConfig, midnight_after
from meterspan.sim.report import report, verify

__all__ = ["EPILOG", "demo"]

EPILOG = """\
[bold]Examples[/bold]

meterspan demo --open                 [dim]a living district in the browser[/dim]

meterspan demo --check                [dim]one bad day of 24 homes; its numbers, and exit 0 only if all are right[/dim]

meterspan demo --check --json         [dim]the same for a machine[/dim]
"""

ZONE: Final = "Europe/Berlin"
CHECKED_DAY: Final = date(2026, 10, 25)
"""The day of the check: clocks go back, so it has a hundred quarter hours."""
CHECK_SLICE_S: Final = 600.0
RECOVERY_MAX_S: Final = 7_200.0
"""How long after the end of a checked run the last gaps may be recovered."""
OPEN_AFTER_S: Final = 12.0
"""The portal opens after so long, also while the district still catches up."""
PORTS_TRIED: Final = 20
MARKER: Final = "meterspan-demo"
"""A file in a demo's directory: only a directory that has it is emptied for the next demo."""
DEFAULT_DATA: Final = Path("~/.local/share/meterspan/demo")


def demo(  # noqa: PLR0917 (options, given by name)
    check: Annotated[bool, typer.Option("--check", help="Run one day, prove its numbers, and end.")] = False,
    homes: Annotated[int, typer.Option(help="How many homes.", min=1, max=200)] = 24,
    days: Annotated[
        int | None, typer.Option(help="Days of history; by default 2, and 1 with --check.", min=1, max=60)
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed is another district.", min=0)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="With --check: print JSON only.")] = False,
    data: Annotated[Path, typer.Option(help="Where a living demo keeps its readings.", metavar="DIR")] = DEFAULT_DATA,
    port: Annotated[int, typer.Option(help="Port of the portal; the next free one where it is taken.")] = 8050,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the portal in a browser.")] = False,
) -> None:
    """Run a simulated district of homes, read over real protocols, with faults that heal.

    Electricity over DLMS/COSEM (wrapper and HDLC, HLS-GMAC) and P1; water, gas and heat over encrypted wireless M-Bus
    through access points. All of it lives in this process; nothing leaves this machine.
    """
    errors = Console(stderr=True)
    if check:
        found = _check(homes, days or 1, seed, errors)
        _print_check(found, errors, as_json=as_json)
        raise typer.Exit(0 if found["passed"] else 1)
    raise typer.Exit(_live(errors, homes=homes, days=days or 2, seed=seed, data=data, port=port, opens=open_browser))


# --- the check --------------------------------------------------------------------------------------------------


def _check(homes: int, days: int, seed: int, errors: Console) -> dict[str, Any]:
    """Run the checked days and give the report."""
    begun = time.perf_counter()
    midnight = datetime.combine(CHECKED_DAY, datetime.min.time(), ZoneInfo(ZONE)).timestamp()
    config = DistrictConfig(midnight, seed=seed, homes=homes, days=days, zone=ZONE)
    with tempfile.TemporaryDirectory(prefix="meterspan-demo-") as folder, MeterDataManagement(Path(folder)) as sink:
        district = District(config, sink)
        with _progress(errors) as bar:
            task = bar.add_task("", total=config.end - config.start)
            while district.now < config.end:
                district.run_until(min(district.now + CHECK_SLICE_S, config.end))
                _advance(bar, task, district.now - config.start, _local(district.now))
            while district.owed(config.end) and district.now < config.end + RECOVERY_MAX_S:
                district.run_until(district.now + CHECK_SLICE_S / 2)
                _advance(bar, task, config.end - config.start, "recovering the last gaps")
            _advance(bar, task, config.end - config.start, "comparing with what was measured")
            sink.maintain(datetime.fromtimestamp(config.end, UTC))
            found = report(district, config.end, differences=verify(district, config.end))
    found["run_time_s"] = round(time.perf_counter() - begun, 1)
    found["passed"] = (
        found["completeness"]["after_gap_recovery"] == 1.0
        and not any(found["unexplained"].values())
        and not found["verification"]["differences"]
    )
    return found


def _print_check(found: dict[str, Any], errors: Console, *, as_json: bool) -> None:
    sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    if as_json:
        return
    verdict = "[bold green]every number is right[/]" if found["passed"] else "[bold red]the numbers are not right[/]"
    complete = found["completeness"]
    errors.print(
        Panel(
            f"{found['meters']['total']} meters, {complete['expected']:,} values due, "
            f"{100 * complete['before_gap_recovery']:.2f} % before and {100 * complete['after_gap_recovery']:.2f} % "
            f"after gap recovery, {found['unexplained']['energy_wh']} Wh unexplained,\n"
            f"{found['verification']['differences']} differences from what was measured, "
            f"{len(found['faults'])} faults, in {found['run_time_s']} s: {verdict}",
            title="meterspan demo --check", expand=False,
        )
    )  # fmt: skip


# --- the living demo --------------------------------------------------------------------------------------------


def _live(errors: Console, *, homes: int, days: int, seed: int, data: Path, port: int, opens: bool) -> int:
    """Live until interrupted; gives the exit code."""
    folder = data.expanduser()
    try:
        sink = _fresh_data(folder)
    except (ConcurrentWriterError, FileExistsError) as error:
        errors.print(f"[red]{error}[/red]", highlight=False)
        return 1
    clock = SystemClock()
    today = datetime.fromtimestamp(clock(), ZoneInfo(ZONE)).replace(hour=0, minute=0, second=0, microsecond=0)
    start = midnight_after(today.timestamp(), ZONE, -days)
    with sink, _progress(errors) as bar:
        district = District(DistrictConfig(start, seed=seed, homes=homes, days=days + 1, zone=ZONE), sink)
        task = bar.add_task("", total=clock() - start)
        living = LivingDistrict(district, clock, on_progress=lambda now: _advance(bar, task, now - start, _local(now)))
        return asyncio.run(_Portal(living, errors, bar, port).serve(opens=opens))


class _Portal:
    """The portal of a living district, from the first pages to the end."""

    def __init__(self, living: LivingDistrict, errors: Console, bar: Progress, port: int) -> None:
        self._living = living
        self._errors = errors
        self._bar = bar
        district = living.district
        views = HeadEndViews(district.head_end, StoredNumbers(district.data), explain, living.now)
        locked = passed_through(views, under_lock(living.lock))
        self._app = create_app(district.data, locked, clock=living.now, orders=locked)
        self._port = _free_port(port)
        self._server = PortalServer(self._app, port=self._port)

    async def serve(self, *, opens: bool) -> int:
        """Start the district, open the portal once there is something to see, and end when interrupted."""
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
        self._living.start()
        try:
            await self._until(stopped, OPEN_AFTER_S)
            if not self._is_over(stopped):
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._server.serve())
                    tasks.create_task(self._watch(stopped, opens=opens))
        finally:
            await asyncio.to_thread(self._living.stop)
        if self._living.fault is not None:
            self._errors.print(f"[red]the simulation stopped: {self._living.fault!r}[/red]", highlight=False)
            return 1
        self._errors.print("[dim]ended; the readings stay until the next demo[/dim]")
        return 0

    async def _until(self, stopped: asyncio.Event, limit_s: float) -> None:
        """Wait until the district has caught up, the limit is over, it failed, or somebody wants to stop."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end and not self._living.caught_up.is_set() and not self._is_over(stopped):
            await _pause(stopped, 0.1)

    async def _watch(self, stopped: asyncio.Event, *, opens: bool) -> None:
        """Invite once the server answers, and end it when it is time."""
        while not self._server.started and not self._is_over(stopped):
            await _pause(stopped, 0.05)
        url = f"http://127.0.0.1:{self._port}/"
        if self._server.started:
            self._errors.print(_invitation(url, is_lapsing=not self._living.caught_up.is_set()))
            if opens:
                webbrowser.open(url)
        while not self._is_over(stopped):
            if self._living.caught_up.is_set():
                self._bar.stop()
            await _pause(stopped, 0.2)
        self._server.should_exit = True

    def _is_over(self, stopped: asyncio.Event) -> bool:
        return stopped.is_set() or self._server.should_exit or self._living.fault is not None


async def _pause(stopped: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stopped.wait(), seconds)


def _invitation(url: str, *, is_lapsing: bool) -> Panel:
    table = Table.grid(padding=(0, 2))
    table.add_row("[bold]homes[/]", f"[link={url}]{url}[/]", "power now, cost today, days and months")
    table.add_row("[bold]operator[/]", f"[link={url}operator]{url}operator[/]", "completeness map, quarantine, stories")
    table.add_row("[bold]machines[/]", f"[link={url}api]{url}api[/]", "JSON interface and event streams")
    hint = (
        "[dim]Still running through the past days, as a time lapse. Ctrl-C ends.[/]"
        if is_lapsing
        else "[dim]Meters tell their power every five seconds. Ctrl-C ends.[/]"
    )
    return Panel(
        Group(table, "", hint), title="[bold]meterspan demo[/]: a district that lives", expand=False, padding=(1, 2)
    )


def _fresh_data(folder: Path) -> MeterDataManagement:
    """Open an empty data management in a demo's directory; what an earlier demo left there is removed.

    Raises:
        FileExistsError: the directory holds something that is no demo's.
        ConcurrentWriterError: another demo is running on it.

    """
    marker = folder / MARKER
    if folder.exists() and any(folder.iterdir()) and not marker.exists():
        raise FileExistsError(f"{folder} is not empty and holds no demo; give another directory with --data")
    readings = folder / "data"
    if readings.exists():
        MeterDataManagement(readings).close()  # whoever runs on it now keeps it
        shutil.rmtree(readings)
    folder.mkdir(parents=True, exist_ok=True)
    marker.write_text("The data of `meterspan demo`: made anew by each run.\n", encoding="utf-8")
    return MeterDataManagement(readings)


def _free_port(wanted: int) -> int:
    """Give the first port from ``wanted`` on that is free on loopback; 0 where none of the next ones is."""
    for port in range(wanted, min(wanted + PORTS_TRIED, 65_536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return 0


# --- progress ---------------------------------------------------------------------------------------------------


@contextmanager
def _progress(errors: Console) -> Iterator[Progress]:
    columns = (TextColumn("[bold]district[/]"), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        yield bar


def _advance(bar: Progress, task: TaskID, done: float, words: str) -> None:
    bar.update(task, completed=done, description=words)


def _local(now: float) -> str:
    return f"{datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(ZONE)):%a %d %b %H:%M}"
