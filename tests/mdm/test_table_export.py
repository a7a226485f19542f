"""Export: exact and typed, and an import of it is the same again."""

import csv
import json
import stat
from datetime import date, timedelta
from decimal import Decimal

import duckdb
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meterspan.mdm import MeterDataManagement
from meterspan.mdm.table_export import export_intervals, export_readings
from meterspan.mdm.table_import import import_csv
from meterspan.mdm.tables import TableFormat
from meterspan.model.readings import CaptureBlock, Source
from meterspan.quantities import FIRST_SECOND, LAST_SECOND, UNITS, Commodity, Quality, Scaled, parse_obis, utc
from tests.helpers_tables import NOW, home_with_a_meter, imported, stored, utc_of
from tests.store.memory_backends import MemoryJournal, MemoryRegistry


@pytest.fixture
def mdm(tmp_path):
    with home_with_a_meter(tmp_path / "data") as management:
        yield management


def test_exported_readings_come_back_the_same(mdm, tmp_path):
    imported(
        mdm,
        "device,obis,time,value,unit\n"
        "LGZ1,1-0:1.8.0,2026-01-10T00:00Z,10.001,kWh\nLGZ1,1-0:2.8.0,2026-01-10T00:00Z,3,kWh\n"
        "GAS1,7-0:3.0.0,2026-01-10T00:00Z,5.25,m3\n",
    )
    path = tmp_path / "readings.csv"
    assert export_readings(mdm, path, utc_of(2026, 1, 1), utc_of(2027, 1, 1)) == 3
    with MeterDataManagement(tmp_path / "other") as other, path.open(encoding="utf-8") as file:
        report = import_csv(other, file, zone="UTC", received_at=NOW)
        assert report.accepted == 3
        assert sorted(stored(other)) == sorted(stored(mdm))
    one = tmp_path / "one.json"
    assert export_readings(mdm, one, utc_of(2026, 1, 1), utc_of(2027, 1, 1), form=TableFormat.JSON, device="GAS1") == 1
    assert json.loads(one.read_text())[0]["value"] == "5.25"


def test_exported_intervals_add_up_to_the_day(mdm, tmp_path):
    lines = "".join(
        f"LGZ1,1-0:1.8.0,{(utc_of(2026, 1, 9, 23) + timedelta(minutes=15 * index)).isoformat()},{index}.25,kWh\n"
        for index in range(97)
        if index != 50
    )
    imported(mdm, "device,obis,time,value,unit\n" + lines)
    start, end = utc_of(2026, 1, 9, 23), utc_of(2026, 1, 10, 23)
    path = tmp_path / "intervals.csv"
    assert export_intervals(mdm, path, start, end) == 96
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    total = mdm.day("h1", Commodity.ELECTRICITY, date(2026, 1, 10)).total
    assert sum(Decimal(row["value"]) for row in rows) == total == 96
    assert {row["quality"] for row in rows} == {"", "spread estimated"}
    parquet = tmp_path / "intervals.parquet"
    assert export_intervals(mdm, parquet, start, end, form=TableFormat.PARQUET, usage_point="MP1") == 96
    query = "select sum(cast(value as decimal(18, 6))) from read_parquet($path)"
    assert duckdb.sql(query, params={"path": str(parquet)}).fetchall() == [(Decimal(96),)]
    empty = tmp_path / "empty.json"
    assert export_intervals(mdm, empty, start, end, form=TableFormat.JSON, usage_point="none") == 0
    assert json.loads(empty.read_text()) == []


@pytest.mark.finding("security low-1")
def test_a_device_named_like_a_formula_is_exported_harmlessly_and_imported_as_it_was(mdm, tmp_path):
    imported(mdm, 'device,obis,time,value,unit\n"=HYPERLINK(""x"")",1-0:1.8.0,2026-01-10T00:00Z,1,kWh\n')
    path = tmp_path / "readings.csv"
    assert export_readings(mdm, path, utc_of(2026, 1, 1), utc_of(2027, 1, 1)) == 1
    assert "'=HYPERLINK" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with MeterDataManagement(tmp_path / "other") as other, path.open(encoding="utf-8") as file:
        assert import_csv(other, file, zone="UTC", received_at=NOW).accepted == 1
        assert [item.device for item in other.series()] == ['=HYPERLINK("x")']


@pytest.mark.finding("security low-4")
def test_an_export_follows_no_link(mdm, tmp_path):
    victim, path = tmp_path / "victim", tmp_path / "out.csv"
    victim.write_text("untouched")
    (tmp_path / "out.csv.tmp").symlink_to(victim)
    export_readings(mdm, path, utc_of(2026, 1, 1), utc_of(2027, 1, 1))
    assert (victim.read_text(), path.is_file()) == ("untouched", True)


SCALED = [
    ("1-0:1.8.0", "Wh", 0),
    ("1-0:1.8.0", "Wh", -3),
    ("6-0:1.0.0", "J", 9),
    ("8-0:1.0.0", "m3", -7),
    ("1-0:1.7.0", "W", 0),
]
READING = st.tuples(
    st.sampled_from(["LGZ1", "=1+1", " a b ", 'Kü"che;,', "'x"]),
    st.sampled_from(SCALED),
    st.integers(FIRST_SECOND, LAST_SECOND) | st.integers(1_700_000_000, 1_700_000_003),
    st.integers(-(1 << 63), (1 << 63) - 1) | st.integers(0, 3),
    st.integers(-(1 << 31), (1 << 31) - 1),
    st.sampled_from([0, int(Quality.CLOCK_INVALID | Quality.POWER_DOWN), int(Quality.LATE)]),
    st.sampled_from(list(Source)),
    st.integers(1_700_000_000, 1_700_009_999),
)


def in_memory(tmp_path):
    return MeterDataManagement(tmp_path, stores=lambda _at: (MemoryJournal({}), MemoryRegistry({})))


@pytest.mark.attack(8)
@pytest.mark.finding("data D26")
@given(st.lists(READING, max_size=12))
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_an_export_that_is_imported_and_exported_again_is_the_same_octets(tmp_path, rows):
    """With status, quality, source, arrival, great values, all decimals, all years and all names."""
    first, second = in_memory(tmp_path), in_memory(tmp_path)
    for device, (obis, unit, exponent), time, value, status, quality, source, received_at in rows:
        scaled = {parse_obis(obis): Scaled(value, exponent, UNITS[unit])}
        first.take(
            [
                CaptureBlock.of_row(
                    device,
                    source,
                    time=time,
                    values=scaled,
                    received_at=received_at,
                    status=status,
                    quality=quality,
                )
            ]
        )
    whole = utc(FIRST_SECOND), utc(LAST_SECOND)
    paths = [tmp_path / name for name in ("one.csv", "two.csv")]
    export_readings(first, paths[0], *whole)
    with paths[0].open(encoding="utf-8", newline="") as file:
        report = import_csv(second, file, zone="Europe/Berlin", received_at=NOW)
    assert report.refused == []
    export_readings(second, paths[1], *whole)
    assert sorted(paths[0].read_bytes().splitlines()) == sorted(paths[1].read_bytes().splitlines())


@pytest.mark.finding("users D-7")
def test_columns_of_parquet_have_types(mdm, tmp_path):
    imported(mdm, "device,obis,time,value,unit\nLGZ1,1-0:1.8.0,2026-01-10T00:00Z,10.001,kWh\n")
    imported(mdm, "device,obis,time,value,unit\nLGZ1,1-0:1.8.0,2026-01-10T01:00Z,10.002,kWh\n")
    path = tmp_path / "out.parquet"
    export_readings(mdm, path, utc_of(2026, 1, 1), utc_of(2027, 1, 1), form=TableFormat.PARQUET)
    schema = pq.read_schema(path)
    assert [str(schema.field(name).type) for name in ("time", "value", "scale", "status")] == [
        "timestamp[us, tz=UTC]",
        "decimal128(38, 0)",
        "int64",
        "int64",
    ]
    assert pq.read_table(path)["value"].to_pylist() == [10_001, 10_002]
    export_intervals(mdm, path, utc_of(2026, 1, 1), utc_of(2027, 1, 1), form=TableFormat.PARQUET)
    table = pq.read_table(path)
    assert str(table.schema.field("start").type) == "timestamp[us, tz=UTC]"
    assert sum(value for value in table["value"].to_pylist() if value is not None) == Decimal("0.001")
