"""The registry keeps what it was told; its schema is the one written down for its version."""

import sqlite3
from importlib.resources import files

import numpy as np
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from meterspan.model.storage.errors import UnknownFormatError
from meterspan.model.storage.readings import SettledIntervals
from meterspan.model.storage.registry import (
    DeviceRow,
    HomeRow,
    InstallationRow,
    SeriesRow,
    TariffRow,
    UsagePointRow,
    VersionRow,
)
from meterspan.store.registry import METADATA, SCHEMA_VERSION, Registry

ONE = SettledIntervals(np.array([0]), np.array([900]), np.array([5]), np.array([0], np.int32))


def filled(registry):
    registry.save(HomeRow("h1", "Elm Street 1", "Europe/Berlin", "EUR"))
    registry.save(UsagePointRow("MP1", "h1", "electricity", 900))
    for device in ("A", "B"):
        registry.save(DeviceRow(device, "electricity"))
    first = InstallationRow("MP1", "A", 0, 100, 1, {"1-0:1.8.0": [5, 0, "Wh"]}, {"1-0:1.8.0": [9, 0, "Wh"]}, {})
    registry.save(first, InstallationRow("MP1", "B", 100, None, 40, {}, {}, {"1-0:1.8.0": 1_000}))
    return first


def test_rows_come_back_after_reopening(tmp_path):
    registry = Registry.open(tmp_path / "registry.sqlite")
    first = filled(registry)
    series = registry.add_series("A", "1-0:1.8.0", "Wh", 0)
    registry.save(TariffRow("MP1", "2026-01-01", {"name": "flat", "bands": [{"price": "0.30"}]}))
    version = VersionRow("MP1", 5, 1, 1_000, "first", "rule", "author", "1/1000", ONE)
    registry.save_versions([version])
    registry.close()
    registry = Registry.open(tmp_path / "registry.sqlite")
    assert registry.installations()[0] == first
    assert registry.series() == [series] == [SeriesRow(1, "A", "1-0:1.8.0", "Wh", 0)]
    assert registry.tariffs()[0].declaration["bands"] == [{"price": "0.30"}]
    (found,) = registry.versions("MP1", 0, 10)
    assert (found.version, found.created_at, found.step, found.is_damaged) == (1, 1_000, "1/1000", False)
    assert (found.intervals.start.tolist(), found.intervals.value.tolist()) == ([0], [5])
    assert registry.versions("MP1", 6, 10) == []
    registry.close()


def test_saving_again_replaces_but_a_version_is_never_changed(tmp_path):
    registry = Registry.open(tmp_path / "registry.sqlite")
    filled(registry)
    registry.save(HomeRow("h1", "Oak Street 2", "Europe/Zurich", "CHF"))
    assert [row.name for row in registry.homes()] == ["Oak Street 2"]
    version = VersionRow("MP1", 5, 1, 1_000, "first", "rule", "author", "1/1000", ONE)
    registry.save_versions([version])
    with pytest.raises(ValueError, match=r"(?i)constraint"):
        registry.save_versions([version])
    with pytest.raises(ValueError, match=r"(?i)constraint"):
        registry.save(UsagePointRow("MP2", "nobody", "gas", 3_600))
    registry.close()


def test_the_written_schema_is_the_one_in_use():
    statements = []
    for table in METADATA.sorted_tables:
        statements.append(CreateTable(table))
        statements.extend(CreateIndex(index) for index in sorted(table.indexes, key=lambda index: str(index.name)))
    made = "\n".join(str(item.compile(dialect=sqlite.dialect())).strip() + ";" for item in statements)
    written = (files("meterspan.store") / "schemas" / f"registry_{SCHEMA_VERSION}.sql").read_text()
    assert " ".join(made.split()) == " ".join(written.split())


def test_a_file_of_the_written_schema_opens(tmp_path):
    path = tmp_path / "registry.sqlite"
    engine = sa.create_engine(f"sqlite:///{path}")
    script = (files("meterspan.store") / "schemas" / "registry_1.sql").read_text()
    with engine.begin() as connection:
        for statement in script.split(";"):
            if statement.strip():
                connection.execute(sa.text(statement))
        connection.execute(sa.text("insert into schema_version values (1)"))
    engine.dispose()
    registry = Registry.open(path)
    filled(registry)
    assert len(registry.installations()) == 2
    registry.close()


def test_a_newer_registry_is_refused(tmp_path):
    path = tmp_path / "registry.sqlite"
    Registry.open(path).close()
    engine = sa.create_engine(f"sqlite:///{path}")
    with engine.begin() as connection:
        connection.execute(sa.text("insert into schema_version values (99)"))
    engine.dispose()
    with pytest.raises(UnknownFormatError, match="format 99"):
        Registry.open(path)


def test_a_version_that_is_damaged_keeps_its_number_and_says_so(tmp_path):
    registry = Registry.open(tmp_path / "registry.sqlite")
    filled(registry)
    registry.save_versions(
        [VersionRow("MP1", 5, number, 1_000, "r", "rule", "author", "1/1000", ONE) for number in (1, 2)]
    )
    registry.close()
    with sqlite3.connect(tmp_path / "registry.sqlite") as connection:
        connection.execute("update interval_version set octets = x'00' where version = 1")
    connection.close()
    registry = Registry.open(tmp_path / "registry.sqlite")
    first, second = registry.versions("MP1", 0, 10)
    assert (first.version, first.is_damaged, len(first.intervals)) == (1, True, 0)
    assert (second.version, second.is_damaged, len(second.intervals)) == (2, False, 1)
    registry.close()
