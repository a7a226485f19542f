"""The inventory at rest."""

import sqlite3
import stat
from contextlib import closing

import pytest

from meterspan.crypto.mechanisms import Security
from meterspan.engine.links import DeviceProtocol
from meterspan.head_end.inventory import ChannelPlan, Device, KeyPurpose
from meterspan.model.storage.errors import DamagedError, StorageLockedError, UnknownFormatError
from meterspan.quantities import Commodity, Obis
from meterspan.runtime.inventory_file import InventoryFile


def device(name, **changes):
    values = {
        "security": Security.HLS_GMAC, "client_sap": 1, "system_title": b"MSPM\0\0\0\1", "installed_at": 5,
        "channels": (ChannelPlan(Obis(1, 0, 1, 8, 0), profile=Obis(1, 0, 99, 1, 0)),),
        "wrapped_keys": ((KeyPurpose.AUTHENTICATION, bytes(24)), (KeyPurpose.GLOBAL_UNICAST, bytes(24))),
    }  # fmt: skip
    where = Commodity.ELECTRICITY, DeviceProtocol.DLMS_WRAPPER, "127.0.0.1:4059", "cell"
    return Device(name, *where, **values | changes)


@pytest.fixture
def path(tmp_path):
    inventory = InventoryFile(tmp_path / "inventory.sqlite")
    inventory.save([device("B"), device("A")])
    inventory.close()
    return tmp_path / "inventory.sqlite"


def change(path, statement):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def test_devices_come_back_by_name_with_their_keys_and_a_later_record_replaces_them(path):
    inventory = InventoryFile(path)
    assert inventory.devices() == [device("A"), device("B")]
    inventory.save([device("A", removed_at=9, wrapped_keys=())])
    assert inventory.devices() == [device("A", removed_at=9, wrapped_keys=()), device("B")]
    inventory.close()


def test_the_file_is_private(path):
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("column", ["channels", "commodity", "security", "endpoint"])
def test_a_damaged_record_is_left_out_by_name_and_saved_again(path, column):
    change(path, f"update device set {column} = cast(x'ff' as text) where device = 'A'")  # noqa: S608 - constant names
    inventory = InventoryFile(path)
    assert inventory.devices() == [device("B")]
    assert inventory.quarantined()[0].name == "device A"
    inventory.save([device("A")])
    assert inventory.devices() == [device("A"), device("B")]
    inventory.close()


def test_a_damaged_key_is_left_out_and_its_device_is_not(path):
    change(path, "update wrapped_key set purpose = 'nothing known' where device = 'A' and purpose = 'authentication'")
    inventory = InventoryFile(path)
    assert [len(found.wrapped_keys) for found in inventory.devices()] == [1, 2]
    assert [item.name for item in inventory.quarantined()] == ["wrapped_key A nothing known"]
    inventory.close()


def test_a_file_of_a_later_version_and_one_that_is_no_database_are_refused_by_name(path):
    change(path, "insert into schema_version values (99)")
    with pytest.raises(UnknownFormatError, match="format 99"):
        InventoryFile(path)
    path.write_bytes(b"something else" * 999)
    with pytest.raises(DamagedError, match=r"inventory\.sqlite"):
        InventoryFile(path)


def test_a_file_that_another_holds_is_locked(path, monkeypatch):
    monkeypatch.setattr("meterspan.store.edge.BUSY_TIMEOUT_S", 0.05)
    inventory = InventoryFile(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin exclusive")
        with pytest.raises(StorageLockedError):
            inventory.save([device("C")])
    inventory.save([device("C")])
    assert len(inventory.devices()) == 3
    inventory.close()
