"""What an earlier release left on disk is read whole, and is brought to this release's formats at opening."""

import sqlite3
import tarfile
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from meterspan.head_end.inventory import KeyCustody
from meterspan.mdm import MeterDataManagement
from meterspan.quantities import DAY_S, Commodity, utc_seconds
from meterspan.runtime.inventory_file import InventoryFile
from meterspan.runtime.state import StateFile
from meterspan.store import journal
from meterspan.store.counter_marks import COPY_JUMP
from meterspan.store.reading_store import ReadingStore
from meterspan.store.registry import Registry

ARCHIVES = Path(__file__).parents[1] / "databases"
DEVICE = "MSP0000000000001"
T0 = utc_seconds(datetime(2026, 3, 1, tzinfo=UTC))


@pytest.fixture
def central(tmp_path):
    """Unpack what release 0.1.0 wrote."""
    with tarfile.open(ARCHIVES / "0.1.0.tar.xz") as archive:
        archive.extractall(tmp_path)  # noqa: S202 - our own archive
    return tmp_path


def test_readings_events_and_open_days_of_0_1_0_are_there(central):
    for _ in range(2):
        with ReadingStore(central / "data" / "readings") as store:
            found = store.read([1], T0, T0 + 9 * DAY_S)
            assert (len(found), int(found.value[0]), int(found.value[-1])) == (232, 1_000, 1_000 + 231 * 25)
            assert [event.text for event in store.events(DEVICE)] == ["cover opened"]
            assert (store.counts().readings, store.counts().duplicates, store.counts().segments) == (232, 1, 2)
            assert store.closed_through == T0 + 2 * DAY_S
            days = store.days_to_settle()
            assert [day - T0 // DAY_S for day in days.day.tolist()] == [1, 2]
            assert days.readings.tolist() == [95, 40]
            assert store.quarantined() == []
    with closing(sqlite3.connect(central / "data" / "readings" / "journal.sqlite")) as connection:
        assert connection.execute("pragma user_version").fetchone() == (journal.FORMAT,)


def test_the_registry_and_the_settled_versions_of_0_1_0_are_there(central):
    registry = Registry.open(central / "data" / "registry.sqlite")
    assert [row.name for row in registry.homes()] == ["Elm Street 1"]
    (installation,) = registry.installations()
    assert (installation.device, installation.start) == (DEVICE, T0)
    (version,) = registry.versions("MP1", T0 // DAY_S, T0 // DAY_S)
    assert (version.version, version.step, version.is_damaged) == (1, "1/1000", False)
    assert (len(version.intervals), int(version.intervals.value.sum())) == (96, 96 * 25)
    assert registry.quarantined() == []
    registry.close()


def test_the_data_management_goes_on_where_0_1_0_stopped(central):
    with MeterDataManagement(central / "data") as mdm:
        assert mdm.day("h1", Commodity.ELECTRICITY, date(2026, 3, 2)).total == Decimal("2.4")
        assert mdm.settle(datetime(2026, 3, 5, tzinfo=UTC)) >= 1
        assert mdm.settle(datetime(2026, 3, 5, tzinfo=UTC)) == 0


def test_counters_states_and_outboxes_of_0_1_0_go_on(central):
    with StateFile(central / "head_end.sqlite") as state:
        assert state.reserve("MSPH", 1) == 8 + COPY_JUMP, "its marks are those of another machine"
        assert not state.accept(DEVICE, 42)
        assert state.load("clock") == b"\x05"
        assert [octets for _number, octets in state.outbox("upstream").peek(9)] == [b"row"]


def test_the_inventory_of_0_1_0_opens_with_its_keys(central):
    inventory = InventoryFile(central / "inventory.sqlite")
    (device,) = inventory.devices()
    assert (device.device, device.endpoint, inventory.quarantined()) == (DEVICE, "127.0.0.1:4059", [])
    bound = KeyCustody(bytes(32)).bound(device)
    assert bound.wrapped_keys != device.wrapped_keys
    assert KeyCustody(bytes(32)).keys_of(bound).authentication == bytes(range(16))
    inventory.save([device])
    assert inventory.devices() == [device]
    inventory.close()
