"""What ``meterspan demo`` is: a bad day that is checked against the truth, and a district that lives with its portal.

The check runs as fast as it can and compares every stored register with what was measured. The living demo simulates
the last days first, opens the portal as soon as there is something to see, and then follows the clock.
"""

import asyncio
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

from meterspan.app.explaining import explain
from meterspan.app.living import LivingDistrict
from meterspan.app.stored_numbers import StoredNumbers
from meterspan.app.views_proxy import passed_through, under_lock
from meterspan.head_end.views import HeadEndViews
from meterspan.mdm import MeterDataManagement
from meterspan.portal.app import create_app
from meterspan.portal.server import PortalServer
from meterspan.runtime.clock import SystemClock
from meterspan.sim.district import District, DistrictConfig, midnight_after
from meterspan.sim.report import report, verify
from meterspan.store.private_files import make_private_file, make_private_folder

__all__ = [
    "MARKER",
    "CheckedDay",
    "DemoPortal",
    "ShownProgress",
    "check_days",
    "free_port",
    "fresh_data",
    "live",
    "living_district",
    "midnight_before",
]

ZONE: Final = "Europe/Berlin"
CHECKED_DAY: Final = date(2026, 10, 25)
"""The day of the check: clocks go back, so it has a hundred quarter hours."""
CHECK_SLICE_S: Final = 600.0
RECOVERY_MAX_S: Final = 7_200.0
"""How long after the end of a checked run the last gaps may be recovered."""
OPEN_AFTER_S: Final = 12.0
"""The portal opens after this time, also while the district still catches up."""
PORTS_TRIED: Final = 20
MARKER: Final = "meterspan-demo"
"""A file in a demo's directory: only a directory that has it is emptied for the next demo."""

Progress = Callable[[float, str], object]
"""Called with the virtual seconds done and a name of the step."""


class ShownProgress(Protocol):
    """Shows how far a run of virtual time is."""

    def __call__(self, done_s: float, words: str, /) -> object:
        """Show the virtual seconds done, and a name of the step."""
        ...

    def stop(self) -> None:
        """Show it no longer."""
        ...


ProgressOver = Callable[[float], AbstractContextManager[ShownProgress]]
"""Shows the progress of a run of so many virtual seconds while the context lasts."""


def check_days(homes: int, days: int, seed: int, progress: ProgressOver) -> dict[str, Any]:
    """Run bad days of a district and return the report; ``passed`` is whether every number is right.

    Args:
        homes: how many.
        days: how many days, the first of them ``CHECKED_DAY``.
        seed: another seed is another district.
        progress: shows how far it is.

    """
    checked = CheckedDay(homes, days, seed)
    with progress(checked.span_s) as advance:
        return checked.run(advance)


def live(
    folder: Path,
    *,
    homes: int,
    days: int,
    seed: int,
    port: int,
    progress: ProgressOver,
    on_up: Callable[[str, bool], object],
) -> BaseException | None:
    """Run a living district and its portal until interrupted; return what stopped the simulation, if anything did.

    Args:
        folder: of the readings; those of an earlier demo are removed.
        homes: how many.
        days: days of history.
        seed: another seed is another district.
        port: of the portal; the next free one where it is taken.
        progress: shows how far the history is.
        on_up: called with the portal's address, and whether the history is still being made.

    Raises:
        FileExistsError: the directory holds files that are not a demo's.
        ConcurrentWriterError: another demo is running on it.

    """
    clock = SystemClock()
    start = midnight_before(clock(), days)
    with fresh_data(folder) as sink, progress(clock() - start) as advance:
        living = living_district(sink, start, clock, homes=homes, seed=seed, on_progress=advance)

        def report_up(url: str) -> None:
            on_up(url, not living.caught_up.is_set())

        return asyncio.run(DemoPortal(living, port, on_up=report_up, on_caught_up=advance.stop).serve())


class CheckedDay:
    """One bad day of a district, and whether its numbers are right.

    Args:
        homes: how many.
        days: how many days, the first of them ``CHECKED_DAY``.
        seed: another seed is another district.

    """

    def __init__(self, homes: int, days: int, seed: int) -> None:
        midnight = datetime.combine(CHECKED_DAY, datetime.min.time(), ZoneInfo(ZONE)).timestamp()
        self._config = DistrictConfig(midnight, seed=seed, homes=homes, days=days, zone=ZONE)

    @property
    def span_s(self) -> float:
        """How many virtual seconds are run."""
        return self._config.end - self._config.start

    def run(self, on_progress: Progress) -> dict[str, Any]:
        """Run the days and return the report; ``passed`` is whether every number is right."""
        begun = time.perf_counter()
        with tempfile.TemporaryDirectory(prefix="meterspan-demo-") as folder, MeterDataManagement(Path(folder)) as data:
            found = self._report(District(self._config, data), on_progress)
        found["run_time_s"] = round(time.perf_counter() - begun, 1)
        found["passed"] = (
            found["completeness"]["after_gap_recovery"] == 1.0
            and not any(found["unexplained"].values())
            and not found["verification"]["differences"]
        )
        return found

    def _report(self, district: District, on_progress: Progress) -> dict[str, Any]:
        end = self._config.end
        while district.now < end:
            district.run_until(min(district.now + CHECK_SLICE_S, end))
            on_progress(district.now - self._config.start, local_time(district.now))
        while district.owed(end) and district.now < end + RECOVERY_MAX_S:
            district.run_until(district.now + CHECK_SLICE_S / 2)
            on_progress(self.span_s, "recovering the last gaps")
        on_progress(self.span_s, "comparing with the measured registers")
        district.data.maintain(datetime.fromtimestamp(end, UTC))
        return report(district, end, differences=verify(district, end))


def local_time(now: float) -> str:
    """Return the district's local time, to the minute."""
    return f"{datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(ZONE)):%a %d %b %H:%M}"


def midnight_before(now: float, days: int) -> float:
    """Return the local midnight ``days`` days before today's."""
    today = datetime.fromtimestamp(now, ZoneInfo(ZONE)).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight_after(today.timestamp(), ZONE, -days)


def living_district(
    data: MeterDataManagement, start: float, clock: SystemClock, *, homes: int, seed: int, on_progress: Progress
) -> LivingDistrict:
    """Return a district that begins at the local midnight ``start`` and will catch up with the present.

    Args:
        data: stores the readings.
        start: UTC seconds of a local midnight.
        clock: returns the present, UTC seconds.
        homes: how many homes.
        seed: another seed is another district.
        on_progress: called with the seconds simulated so far and the local time that is reached.

    """
    first, today = (datetime.fromtimestamp(moment, ZoneInfo(ZONE)).date() for moment in (start, clock()))
    days = (today - first).days + 1
    district = District(DistrictConfig(start, seed=seed, homes=homes, days=days, zone=ZONE), data)
    return LivingDistrict(district, clock, on_progress=lambda now: on_progress(now - start, local_time(now)))


class DemoPortal:
    """The portal of a living district, from the first pages to the end.

    Args:
        living: not started.
        port: of the portal; the next free one where it is taken.
        on_up: called with the address once the portal answers.
        on_caught_up: called once the district has reached the present.

    """

    def __init__(
        self,
        living: LivingDistrict,
        port: int,
        *,
        on_up: Callable[[str], object],
        on_caught_up: Callable[[], object],
    ) -> None:
        self._living = living
        self._on_up = on_up
        self._on_caught_up = on_caught_up
        district = living.district
        views = HeadEndViews(district.head_end, StoredNumbers(district.data), explain, living.now)
        locked = passed_through(views, under_lock(living.lock))
        self._port = free_port(port)
        app = create_app(district.data, locked, clock=living.now, orders=locked, is_time_lapse=self._is_time_lapse)
        self._server = PortalServer(app, port=self._port)

    async def serve(self) -> BaseException | None:
        """Start the district, open the portal once there is something to see, and end when interrupted.

        Returns what stopped the simulation, or None where it was interrupted.
        """
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stopped.set)
        self._living.start()
        try:
            await self._until_worth_seeing(stopped)
            if not self._is_over(stopped):
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._server.serve())
                    tasks.create_task(self._watch(stopped))
        finally:
            await asyncio.to_thread(self._living.stop)
        return self._living.fault

    async def _until_worth_seeing(self, stopped: asyncio.Event) -> None:
        """Wait until the district has caught up, ``OPEN_AFTER_S`` are over, it failed, or it is interrupted."""
        end = time.monotonic() + OPEN_AFTER_S
        while time.monotonic() < end and not self._living.caught_up.is_set() and not self._is_over(stopped):
            await _pause(stopped, 0.1)

    async def _watch(self, stopped: asyncio.Event) -> None:
        """Report that the server answers, and end it when it is time."""
        while not self._server.started and not self._is_over(stopped):
            await _pause(stopped, 0.05)
        if self._server.started:
            self._on_up(f"http://127.0.0.1:{self._port}/")
        while not self._is_over(stopped):
            if self._living.caught_up.is_set():
                self._on_caught_up()
            await _pause(stopped, 0.2)
        self._server.should_exit = True

    def _is_time_lapse(self) -> bool:
        """Whether the district has not reached the present yet."""
        return not self._living.caught_up.is_set()

    def _is_over(self, stopped: asyncio.Event) -> bool:
        return stopped.is_set() or self._server.should_exit or self._living.fault is not None


async def _pause(stopped: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        await asyncio.wait_for(stopped.wait(), seconds)


def fresh_data(folder: Path) -> MeterDataManagement:
    """Open an empty data management in a demo's directory; data of an earlier demo are removed.

    Raises:
        FileExistsError: the directory holds files that are not a demo's.
        ConcurrentWriterError: another demo is running on it.

    """
    marker = folder / MARKER
    if folder.exists() and any(folder.iterdir()) and not marker.exists():
        raise FileExistsError(f"{folder} is not empty and holds no demo; give another directory with --data")
    readings = folder / "data"
    if readings.exists():
        MeterDataManagement(readings).close()  # fails where another demo runs on it
        shutil.rmtree(readings)
    make_private_folder(folder)
    make_private_file(marker)
    marker.write_text("The data of `meterspan demo`: replaced by each run.\n", encoding="utf-8")
    return MeterDataManagement(readings)


def free_port(wanted: int) -> int:
    """Return the first port from ``wanted`` on that is free on loopback; 0 where none of the next ones is."""
    for port in range(wanted, min(wanted + PORTS_TRIED, 65_536)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    return 0
