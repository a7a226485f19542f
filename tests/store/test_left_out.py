"""Damaged rows are left out by name, those that refer to them too; everything else is read, and nothing is deleted."""

import json
import sqlite3
from contextlib import closing

import pytest

from meterspan.model.storage.registry import DeviceRow, HomeRow, InstallationRow, TariffRow, UsagePointRow
from meterspan.store.inspection import inspected
from meterspan.store.left_out import rows_saved_again, unreadable_values
from meterspan.store.registry import METADATA, Registry


@pytest.fixture
def path(tmp_path):
    registry = Registry.open(tmp_path / "registry.sqlite")
    for number in (1, 2):
        registry.save(
            HomeRow(f"h{number}", "Elm", "UTC", "EUR"),
            UsagePointRow(f"MP{number}", f"h{number}", "water", 900),
            DeviceRow(f"D{number}", "water"),
            InstallationRow(f"MP{number}", f"D{number}", 0, None, 1, {"8-0:1.0.0": [5, 0, "m3"]}, {}, {}),
            TariffRow(f"MP{number}", "2026-01-01", {"name": "flat"}),
        )
        registry.add_series(f"D{number}", "8-0:1.0.0", "m3", 0)
    registry.close()
    return tmp_path / "registry.sqlite"


def change(path, statement):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(statement)


def everything(registry):
    """Read all tables in the order of their references; give how many rows each has."""
    tables = ("homes", "usage_points", "devices", "installations", "series", "tariffs")
    return [len(getattr(registry, name)()) for name in tables]


@pytest.mark.parametrize(
    ("statement", "counts", "names"),
    [
        (
            "update installation set opening = '{\"8-0:1' where usage_point = 'MP1'",
            [2, 2, 2, 1, 2, 2],
            ["installation MP1 0"],
        ),
        ("update installation set width = '7' where usage_point = 'MP2'", [2, 2, 2, 1, 2, 2], ["installation MP2 0"]),
        (
            "update tariff set declaration = cast(x'7b22ff' as text) where usage_point = 'MP1'",
            [2, 2, 2, 2, 2, 1],
            ["tariff MP1 2026-01-01"],
        ),
        (
            "update device set network = cast(x'fffe' as text) where device = 'D1'",
            [2, 2, 1, 1, 1, 2],
            ["device D1", "installation MP1 0", "series 1"],
        ),
        (
            "update home set name = cast(x'ff' as text) where home_id = 'h2'",
            [1, 1, 2, 1, 2, 1],
            ["home h2", "usage_point MP2", "installation MP2 0", "tariff MP2 2026-01-01"],
        ),
    ],
)
def test_a_damaged_row_is_left_out_by_name_with_those_that_refer_to_it(path, statement, counts, names):
    change(path, statement)
    registry = Registry.open(path)
    for _ in range(2):
        assert everything(registry) == counts
        assert [item.name for item in registry.quarantined()] == names
    registry.close()


def test_a_damaged_row_that_is_saved_again_is_copied_aside_and_counts_again(path):
    change(path, "update home set name = cast(x'456cff' as text) where home_id = 'h1'")
    registry = Registry.open(path)
    assert everything(registry)[0] == 1
    registry.save(HomeRow("h1", "Elm Street", "UTC", "EUR"))
    assert [row.name for row in registry.homes()] == ["Elm Street", "Elm"]
    registry.close()
    with closing(sqlite3.connect(path)) as connection:
        ((name, octets),) = connection.execute("select name, octets from quarantined_row").fetchall()
    assert (name, json.loads(octets)["name"]) == ("home h1", "456CFF")


def test_a_version_that_is_damaged_is_listed(path):
    registry = Registry.open(path)
    change(path, "insert into interval_version values ('MP1', 5, 1, 0, '', '', '', '1', x'00')")
    (version,) = registry.versions("MP1", 5, 5)
    assert version.is_damaged
    assert [item.name for item in registry.quarantined()] == ["interval_version MP1 5 1"]
    registry.close()


def test_a_damaged_row_is_found_in_a_file_that_is_only_read_and_named_again_once_it_was_saved(path):
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("update tariff set declaration = '{cut' where usage_point = 'MP1'")
    with inspected(path) as file:
        assert list(unreadable_values(file.connection, METADATA)) == [("tariff MP1 2026-01-01", "declaration")]
        assert rows_saved_again(file.connection) == []
    registry = Registry.open(path)
    registry.tariffs()
    registry.save(TariffRow("MP1", "2026-01-01", {"name": "flat"}))
    registry.close()
    with inspected(path) as file:
        assert list(unreadable_values(file.connection, METADATA)) == []
        ((name, _reason),) = rows_saved_again(file.connection)
    assert name == "tariff MP1 2026-01-01"


def test_a_file_of_an_earlier_version_without_the_table_has_no_rows_saved_again(tmp_path):
    with closing(sqlite3.connect(tmp_path / "old.sqlite")) as connection:
        assert rows_saved_again(connection) == []
        assert list(unreadable_values(connection, METADATA)) == []
