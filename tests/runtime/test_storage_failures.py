"""A full disk, a locked database: one job fails, nothing confirmed is lost, the head end lives and heals."""

import asyncio
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing, contextmanager

import pytest

from meterspan.app.central_system import CentralSystem
from meterspan.app.serve import health_of
from meterspan.head_end.planner import Order, ReadPolicy
from meterspan.mdm import MeterDataManagement
from meterspan.model.failures import FailureKind
from meterspan.model.readings import CaptureBlock, Source
from meterspan.model.storage.errors import StorageFullError
from meterspan.quantities import UNITS, Commodity, Obis, Scaled, utc
from meterspan.runtime.config import read_config
from meterspan.runtime.order_file import order_path
from meterspan.runtime.state import StateFile
from tests.helpers_serve import running
from tests.helpers_waiting import until
from tests.runtime.test_head_end_host import ROWS, World, run
from tests.runtime.test_kill_9 import DAYS, district, free_port, prove

DEVICE = "MSP0000000000001"
T0 = 20_000 * 86_400
TOO_SMALL = 4_096
"""A file may not grow beyond its first page: no row and no counter can be stored."""
LOCKER = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("begin exclusive")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def full_disk():
    """Let no file of this process grow, as on a device without room."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (TOO_SMALL, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


@contextmanager
def locked_by_another_process(path):
    """Hold an exclusive lock on a database from a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-c", LOCKER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    try:
        yield
    finally:
        process.communicate("")


async def a_session_meets(trouble, directory):
    """Read a meter while storing is not possible, then while it is; the counters of the sessions are on disk too."""
    with MeterDataManagement(directory / "data") as data, StateFile(directory / "head_end.sqlite") as state:
        data.register_home("h1", "Elm Street 1", zone="UTC")
        world = World(sink=data, counters=state, policy=ReadPolicy(spread_s=1, settle_s=0, retry_first_s=0.5))
        async with world.running(), world.meter() as endpoint:
            since = utc(world.device(DEVICE, endpoint).installed_at)
            data.install_meter("h1", "MP1", device=DEVICE, commodity=Commodity.ELECTRICITY, at=since)
            counts = world.head_end.counts
            with trouble(directory):
                world.head_end.add_device(world.device(DEVICE, endpoint), world.clock())
                world.host.wake()
                await until(lambda: counts.sessions_failed >= 1)
                failure = world.head_end.last_failure(DEVICE)
                assert failure is not None
                assert failure.kind is FailureKind.STORAGE
                assert counts.sessions_ok == 0
                assert list(world.host.troubles.now) == ["sessions"]
                assert world.head_end.holes_of(DEVICE, int(world.clock())), "what is not stored is still missing"
            await until(lambda: counts.sessions_ok >= 1)
            assert world.head_end.holes_of(DEVICE, int(world.clock())) == []
            assert world.head_end.last_failure(DEVICE) is None
            assert world.host.troubles.now == {}
            assert data.totals().readings == 2 * ROWS


@pytest.mark.attack(3)
def test_a_full_disk_fails_one_session_and_the_head_end_heals_when_there_is_room(tmp_path):
    run(a_session_meets(lambda _directory: full_disk(), tmp_path))


@pytest.mark.attack(3)
@pytest.mark.parametrize("file", ["data/readings/journal.sqlite", "head_end.sqlite"])
def test_a_locked_database_fails_one_session_and_the_head_end_heals_when_it_is_free(tmp_path, monkeypatch, file):
    monkeypatch.setattr("meterspan.store.edge.BUSY_TIMEOUT_S", 0.2)
    monkeypatch.setattr("meterspan.runtime.state.BUSY_TIMEOUT_S", 0.2)
    run(a_session_meets(lambda directory: locked_by_another_process(directory / file), tmp_path))


@pytest.mark.attack(3)
def test_orders_that_cannot_be_stored_are_in_the_health_until_they_are(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("meterspan.store.edge.BUSY_TIMEOUT_S", 0.05)

    async def story():
        config = read_config(f'data = "{tmp_path}"\n')
        system = CentralSystem(config, keys={}, master_key=bytes(32), tariffs=(), clock=time.time)
        task = asyncio.create_task(system.host.run())

        def wakes_until(is_so):
            system.host.wake()
            return is_so()

        try:
            with locked_by_another_process(order_path(tmp_path)):
                system.head_end.orders.placed(Order(1, "M1", (Obis(1, 0, 1, 8, 0),), time.time() + 60), time.time())
                await until(lambda: wakes_until(lambda: health_of(system)["failing"]))
                await asyncio.sleep(0.3)
                system.host.wake()
                (failing,) = health_of(system)["failing"].items()
                assert failing[0] == "orders"
                assert "another process" in failing[1]
            await until(lambda: wakes_until(lambda: not health_of(system)["failing"]))
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            system.close()

    run(story())
    assert caplog.text.count("orders could not be stored") == 1


def test_a_defect_while_storing_fails_one_session_and_ends_nothing():
    class Defect:
        def take(self, blocks, events=()):
            raise RuntimeError("a defect of this program")

    async def story():
        world = World(sink=Defect())
        async with world.running(), world.meter() as endpoint:
            world.head_end.add_device(world.device(DEVICE, endpoint), world.clock())
            world.host.wake()
            await until(lambda: world.head_end.counts.sessions_failed >= 1)
            failure = world.head_end.last_failure(DEVICE)
            assert failure is not None
            assert failure.kind is FailureKind.INTERNAL
            assert world.host.open_count == 0

    run(story())


def test_one_storage_error_fails_all_that_waited_for_this_write_at_once():
    class Full:
        calls = 0

        def take(self, blocks, events=()):
            self.calls += 1
            raise StorageFullError("no room")

    async def story():
        sink = Full()
        world = World(sink=sink)
        async with world.running():
            results = await asyncio.gather(*(world.host.commits.submit([n]) for n in range(50)), return_exceptions=True)
        assert {type(result) for result in results} == {StorageFullError}
        assert sink.calls <= 2, "a lock that is waited for must not be waited for by each of a thousand"

    run(story())


def test_a_full_disk_under_a_serving_process_stops_confirmations_and_nothing_else(tmp_path):
    start = int(time.time()) // 86_400 * 86_400 - DAYS * 86_400
    port = free_port()
    pushers = district(tmp_path, port, start)
    threads = [threading.Thread(target=pusher.run) for pusher in pushers]

    def confirmed():
        return sum(len(pusher.confirmed) for pusher in pushers)

    def wait_for(more):
        by = time.monotonic() + 60
        goal = confirmed() + more
        while confirmed() < goal:
            assert time.monotonic() < by, (tmp_path / "server.log").read_text()[-2_000:]
            time.sleep(0.05)

    with running(tmp_path, "serve", str(tmp_path / "serve.toml")) as server:
        for thread in threads:
            thread.start()
        try:
            wait_for(300)
            limits = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
            resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (TOO_SMALL, limits[1]))
            time.sleep(1.0)  # what was being stored is stored
            before = confirmed()
            time.sleep(3.0)
            assert confirmed() == before, "confirmed, and not stored"
            assert server.process.poll() is None
            assert server.get("/healthz")
            resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, limits)
            wait_for(300)
        finally:
            for pusher in pushers:
                pusher.is_over.set()
            for thread in threads:
                thread.join()
    prove(tmp_path, pushers, [confirmed()])


def test_a_damaged_journal_batch_is_shown_to_the_operator_and_everything_else_is_served(tmp_path):
    district(tmp_path, free_port(), T0)
    with MeterDataManagement(tmp_path / "central" / "data") as data:
        for number in range(2):
            values = {Obis(8, 0, 1, 0, 0): Scaled(5 + number, 0, UNITS["m3"])}
            data.take([CaptureBlock.of_row(DEVICE, Source.PUSH, time=T0 + number, values=values, received_at=T0)])
    journal = tmp_path / "central" / "data" / "readings" / "journal.sqlite"
    with closing(sqlite3.connect(journal)) as connection, connection:
        connection.execute("update batch set octets = x'00' where seq = 1")
    with running(tmp_path, "serve", str(tmp_path / "serve.toml")) as server:
        health = server.get("/healthz")
        assert (health["status"], health["damaged"]) == ("ok", ["batch 1"])
        (damage,) = server.get("/api/v1/operator/damage")
        assert (damage["item"], damage["kind"], damage["readings"]) == ("batch 1", "batch", 1)
        assert damage["found_at"] is not None
        assert damage["kept_at"].endswith("(table quarantined)")
        summary = server.get("/api/v1/operator/summary")
        assert (summary["damaged"], summary["left_out"], summary["readings_stored"]) == (1, ["batch 1"], 1)
    with MeterDataManagement(tmp_path / "central" / "data") as data:
        assert data.totals().readings == 1
