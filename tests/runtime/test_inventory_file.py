"""The inventory at rest: every record comes back as it was, a damaged one is named and hides no other."""

import sqlite3
import stat
from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterspan.crypto.mechanisms import Security
from meterspan.engine.links import DeviceProtocol
from meterspan.head_end.inventory import ChannelPlan, Device, KeyPurpose
from meterspan.model.storage.errors import DamagedError, StorageLockedError, UnknownFormatError
from meterspan.quantities import Commodity, Obis
from meterspan.runtime.inventory_file import InventoryFile
from tests.strategies import obis_codes

texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12)
seconds = st.integers(0, 2**40)
keys = st.dictionaries(st.sampled_from(KeyPurpose), st.binary(min_size=16, max_size=40))


@st.composite
def devices(draw):
    """Any record that an inventory may hold."""
    return Device(
        draw(texts.filter(bool)),
        draw(st.sampled_from(Commodity)),
        draw(st.sampled_from(DeviceProtocol)),
        draw(texts),
        draw(texts),
        draw(texts),
        draw(st.sampled_from(["G1", "M", "H1"])),
        draw(st.sampled_from(Security)),
        draw(st.integers(0, 0x7F)),
        draw(st.integers(0, 0x3FFF)),
        draw(st.sampled_from([b"", b"MSP\0\0\0\0\1"])),
        tuple(draw(st.lists(st.builds(ChannelPlan, obis_codes, seconds, st.none() | obis_codes), max_size=3))),
        draw(seconds),
        draw(st.none() | seconds),
        tuple(sorted(draw(keys).items())),
    )


def device(name, **more):
    return Device(name, Commodity.GAS, DeviceProtocol.DLMS_HDLC, "10.0.0.1:4059", "cell", **more)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "inventory.sqlite"


def saved(path, *batches):
    with closing(InventoryFile(path)) as file:
        for batch in batches:
            file.save(batch)


def read(path):
    """The records of a file that is opened anew, and the names of those left out."""
    with closing(InventoryFile(path)) as file:
        return file.devices(), [item.name for item in file.quarantined()]


@settings(max_examples=12)
@given(st.lists(st.lists(devices(), max_size=3), max_size=3))
def test_the_newest_record_of_each_device_comes_back_as_it_was_in_order_of_names(tmp_path_factory, batches):
    path = tmp_path_factory.mktemp("inventory") / "inventory.sqlite"
    saved(path, *batches)
    newest = {record.device: record for batch in batches for record in batch}
    assert read(path) == ([newest[name] for name in sorted(newest)], [])


def test_only_its_owner_may_read_it(path):
    saved(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_batch_is_stored_whole_or_not_at_all(path):
    saved(path, [device("M1")])
    with closing(InventoryFile(path)) as file, pytest.raises(OverflowError):
        file.save([device("M2"), device("M3", installed_at=2**80)])
    assert read(path) == ([device("M1")], [])


@pytest.mark.parametrize(
    ("column", "octets"),
    [
        ("commodity", "'steam'"),
        ("protocol", "'telex'"),
        ("security", "'hls-rot13'"),
        ("channels", "'{'"),
        ("channels", "'7'"),
        ("channels", "'[[\"1-0:1.8.0\"]]'"),
        ("channels", "'[[\"x\", 900, null]]'"),
        ("endpoint", "CAST(x'ff' AS TEXT)"),
    ],
)
def test_a_damaged_record_is_named_and_all_others_are_read(path, column, octets):
    saved(path, [device("M1"), device("M2"), device("M3")])
    with closing(sqlite3.connect(path)) as database, database:
        database.execute(f"UPDATE device SET {column} = {octets} WHERE device = 'M2'")  # noqa: S608 (the cases above)
    assert read(path) == ([device("M1"), device("M3")], ["device M2"])


def test_a_damaged_key_is_named_and_its_device_is_read_without_it(path):
    key = (KeyPurpose.RADIO, bytes(24))
    saved(path, [device("M1", wrapped_keys=(key, (KeyPurpose.PASSWORD, bytes(16))))])
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE wrapped_key SET purpose = 'luck' WHERE purpose = 'password'")
    assert read(path) == ([device("M1", wrapped_keys=(key,))], ["wrapped_key M1 luck"])


def test_a_damaged_record_that_is_saved_again_is_whole_again_and_its_old_octets_are_kept(path):
    saved(path, [device("M1")])
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE device SET commodity = 'steam'")
    with closing(InventoryFile(path)) as file:
        assert file.devices() == []
        file.save([device("M1", channels=(ChannelPlan(Obis(7, 0, 3, 0, 0)),))])
    assert read(path) == ([device("M1", channels=(ChannelPlan(Obis(7, 0, 3, 0, 0)),))], [])
    with closing(sqlite3.connect(path)) as database:
        (kept,) = database.execute("SELECT octets FROM quarantined_row").fetchone()
    assert b"steam".hex().upper().encode() in kept


def test_a_file_of_a_later_version_and_one_that_is_no_database_are_refused_by_name(path):
    saved(path)
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("INSERT INTO schema_version VALUES (99)")
    with pytest.raises(UnknownFormatError, match="format 99"):
        InventoryFile(path)
    path.write_bytes(b"something else" * 999)
    with pytest.raises(DamagedError, match=r"inventory\.sqlite"):
        InventoryFile(path)


def test_a_file_that_another_process_holds_is_locked_and_heals(path, monkeypatch):
    monkeypatch.setattr("meterspan.store.edge.BUSY_TIMEOUT_S", 0.05)
    with closing(InventoryFile(path)) as file:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(StorageLockedError):
                file.save([device("M1")])
        file.save([device("M1")])
        assert file.devices() == [device("M1")]
