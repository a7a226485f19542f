"""A data folder is looked at without being changed, and each kind of damage is named."""

import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest

from meterspan.app.doctor import COUNTERS_END, Finding, Health, examine, is_healthy
from meterspan.app.importing import PlannedMeter, install_planned
from meterspan.app.transfer import opened
from meterspan.mdm import import_csv
from meterspan.model.damage import LOSSES, REMEDIES
from meterspan.model.storage.readings import DamageKind
from meterspan.quantities import Commodity
from meterspan.runtime.state import StateFile

RECEIVED_AT = datetime(2026, 4, 1, tzinfo=UTC)
FIRST = datetime(2026, 3, 28, 23, tzinfo=UTC)


def _table(days: int, start: int = 0) -> list[str]:
    moments = [FIRST + timedelta(days=start + day) for day in range(days)]
    return ["time,meter,obis,value,unit", *(f"{at.isoformat()},E1,1-0:1.8.0,{at.day}.5,kWh" for at in moments)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder of ``home`` with closed days in segments, and with a batch that is not compacted yet."""
    folder = tmp_path / "home"
    with opened(folder) as data:
        import_csv(data, _table(3), zone="UTC", received_at=RECEIVED_AT)
        install_planned(data, [PlannedMeter("E1", "h1", Commodity.ELECTRICITY, "h1-E", 900)], "UTC")
        data.maintain(datetime(2026, 5, 10, tzinfo=UTC))
        import_csv(data, _table(2, start=60), zone="UTC", received_at=RECEIVED_AT + timedelta(days=60))
    with StateFile(folder / "home.sqlite") as state:
        state.reserve("MSP1", 16)
    return folder


def _faults(folder: Path) -> list[Finding]:
    findings = examine(folder)
    assert is_healthy(findings) == (not [found for found in findings if found.health is Health.FAULT])
    return [found for found in findings if found.health is Health.FAULT]


def _files(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.name.endswith(("-shm", "-wal")):
            yield str(path), path.read_bytes()


def test_a_healthy_folder_is_healthy_and_stays_as_it_is(folder: Path) -> None:
    before = list(_files(folder))
    findings = {found.what: found.detail for found in examine(folder)}
    assert _faults(folder) == []
    assert findings["segments"].endswith(" whole")
    assert not findings["segments"].startswith("0 ")
    assert findings["batches"] == "1 of 1 whole"
    assert "days to settle" in findings
    assert findings["counters in home.sqlite"] == "1 kept"
    assert list(_files(folder)) == before


@pytest.mark.parametrize(
    ("free", "health"), [(0, Health.FAULT), (1 << 23, Health.FAULT), (1 << 28, Health.NOTE), (1 << 33, Health.GOOD)]
)
def test_a_disk_on_which_nothing_can_be_stored_is_a_fault(
    folder: Path, monkeypatch: pytest.MonkeyPatch, free: int, health: Health
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: SimpleNamespace(free=free))
    assert next(found.health for found in examine(folder) if found.what == "free room") is health


def test_a_folder_that_a_program_has_open_can_be_looked_at(folder: Path) -> None:
    with opened(folder):
        findings = {found.what: found for found in examine(folder)}
        assert findings["in use"].detail.startswith("a program has the folder open")
        assert is_healthy(list(findings.values()))
    assert {found.what: found.detail for found in examine(folder)}["in use"].startswith("no program")


@pytest.mark.parametrize("missing", ["", "data"])
def test_a_folder_without_readings_is_a_fault_and_nothing_is_made(tmp_path: Path, missing: str) -> None:
    (fault,) = _faults(tmp_path / missing)
    assert "holds no readings" in fault.detail
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_segment_is_named(folder: Path) -> None:
    segment = next((folder / "data" / "readings" / "segments").glob("*.parquet"))
    octets = bytearray(segment.read_bytes())
    octets[len(octets) // 2] ^= 0x10
    segment.write_bytes(octets)
    (fault,) = _faults(folder)
    assert fault.what == str(segment.relative_to(folder))
    assert "checksum" in fault.detail


def test_a_missing_segment_is_named(folder: Path) -> None:
    segment = next((folder / "data" / "readings" / "segments").glob("*.parquet"))
    segment.unlink()
    (fault,) = _faults(folder)
    assert (fault.what, fault.detail) == (str(segment.relative_to(folder)), "is missing; restore it from a backup")


def test_a_damaged_batch_is_named_with_its_readings(folder: Path) -> None:
    with sqlite3.connect(folder / "data" / "readings" / "journal.sqlite") as journal:
        (seq, octets) = journal.execute("select seq, octets from batch").fetchone()
        damaged = octets[:-1] + bytes([octets[-1] ^ 1])
        journal.execute("update batch set octets = ? where seq = ?", (damaged, seq))
    (fault,) = _faults(folder)
    assert fault.what == f"batch {seq}"
    assert "2 readings" in fault.detail


def test_what_the_store_has_quarantined_stays_a_fault(folder: Path) -> None:
    with sqlite3.connect(folder / "data" / "readings" / "journal.sqlite") as journal:
        row = ("batch 9", "checksum differs", "journal.sqlite (table quarantined)", 96)
        journal.execute("insert into quarantined (name, reason, kept_at, readings) values (?, ?, ?, ?)", row)
    (fault,) = _faults(folder)
    assert fault.what == "batch 9"
    assert "96 readings are missing" in fault.detail
    assert fault.detail.endswith(f"{LOSSES[DamageKind.BATCH]} {REMEDIES[DamageKind.BATCH]}"), "as the portal says it"


def test_a_row_whose_values_are_none_is_named_before_a_program_leaves_it_out(folder: Path) -> None:
    with sqlite3.connect(folder / "data" / "registry.sqlite") as registry:
        registry.execute("insert into tariff values ('MP9', '2026-01-01', '{cut')")
    (fault,) = _faults(folder)
    assert fault.what == "tariff MP9 2026-01-01"
    assert REMEDIES[DamageKind.ROW] in fault.detail


@pytest.mark.finding("data D23")
@pytest.mark.parametrize("name", ["data/readings/journal.sqlite", "data/registry.sqlite", "home.sqlite"])
def test_a_database_that_is_none_is_a_fault_and_the_others_are_looked_at(folder: Path, name: str) -> None:
    (folder / name).write_bytes(b"SQLite format 3\0" + bytes(4_096))
    faults = _faults(folder)
    assert name in [fault.what for fault in faults]
    assert len(examine(folder)) > 4


def test_a_format_of_a_newer_release_is_a_fault(folder: Path) -> None:
    with sqlite3.connect(folder / "data" / "readings" / "journal.sqlite") as journal:
        journal.execute("pragma user_version = 99")
    assert "update meterspan" in _faults(folder)[0].detail


@pytest.mark.parametrize(("used", "noted"), [(0.5, False), (0.95, True)])
def test_counters_near_their_end_are_noted(folder: Path, used: float, noted: bool) -> None:
    with sqlite3.connect(folder / "home.sqlite") as state:
        state.execute("update counter set next = ?", (int(used * COUNTERS_END),))
    notes = [found.detail for found in examine(folder) if found.health is Health.NOTE]
    assert any("change the key soon" in detail for detail in notes) == noted


@pytest.mark.parametrize(("mode", "health"), [(0o755, Health.FAULT), (0o700, Health.NOTE)])
def test_secrets_that_others_can_read_are_named(folder: Path, mode: int, health: Health) -> None:
    (folder / "home.sqlite").chmod(0o644)
    folder.chmod(mode)
    found = next(found for found in examine(folder) if found.what == "home.sqlite" and "chmod" in found.detail)
    assert (found.health, found.detail) == (health, f"others can read it: chmod 600 {folder / 'home.sqlite'}")
