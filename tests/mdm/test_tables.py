"""Export and import: exact, round, and no line lost without a reason."""

import csv
import json
import stat
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.mdm import MeterDataManagement
from meterspan.mdm.table_import import import_csv
from meterspan.mdm.tables import TableFormat, export_intervals, export_readings, guarded, unguarded
from meterspan.quantities import Commodity, Obis

NOW = datetime(2026, 11, 1, tzinfo=UTC)
ENERGY = Obis(1, 0, 1, 8, 0)


def utc(*args):
    return datetime(*args, tzinfo=UTC)


@pytest.fixture
def mdm(tmp_path):
    with MeterDataManagement(tmp_path / "data") as management:
        management.register_home("h1", "Elm Street 1", zone="Europe/Berlin")
        management.install_meter("h1", "MP1", device="LGZ1", commodity=Commodity.ELECTRICITY, at=utc(2026, 1, 1))
        yield management


def imported(mdm, text, **given):
    return import_csv(
        mdm, text.splitlines(keepends=True), zone="Europe/Berlin", received_at=NOW, takes_rest=True, **given
    )


def stored(mdm):
    records = {item.series_id: item for item in mdm.series()}
    found = mdm.readings(list(records), utc(1980, 1, 1), utc(2200, 1, 1))
    return [
        (records[number].device, str(records[number].obis), time, Decimal(value).scaleb(records[number].exponent))
        for number, time, value in zip(found.series.tolist(), found.time.tolist(), found.value.tolist(), strict=True)
    ]


def test_exported_readings_come_back_the_same(mdm, tmp_path):
    imported(
        mdm,
        "device,obis,time,value,unit\n"
        "LGZ1,1-0:1.8.0,2026-01-10T00:00Z,10.001,kWh\nLGZ1,1-0:2.8.0,2026-01-10T00:00Z,3,kWh\n"
        "GAS1,7-0:3.0.0,2026-01-10T00:00Z,5.25,m3\n",
    )
    path = tmp_path / "readings.csv"
    assert export_readings(mdm, path, utc(2026, 1, 1), utc(2027, 1, 1)) == 3
    with MeterDataManagement(tmp_path / "other") as other, path.open(encoding="utf-8") as file:
        report = import_csv(other, file, zone="UTC", received_at=NOW)
        assert report.accepted == 3
        assert sorted(stored(other)) == sorted(stored(mdm))
    one = tmp_path / "one.json"
    assert export_readings(mdm, one, utc(2026, 1, 1), utc(2027, 1, 1), form=TableFormat.JSON, device="GAS1") == 1
    assert json.loads(one.read_text())[0]["value"] == "5.25"


def test_exported_intervals_add_up_to_the_day(mdm, tmp_path):
    lines = "".join(
        f"LGZ1,1-0:1.8.0,{(utc(2026, 1, 9, 23) + timedelta(minutes=15 * index)).isoformat()},{index}.25,kWh\n"
        for index in range(97)
        if index != 50
    )
    imported(mdm, "device,obis,time,value,unit\n" + lines)
    start, end = utc(2026, 1, 9, 23), utc(2026, 1, 10, 23)
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


FORMULAS = ["=1+1", "@SUM(A1)", "+cmd|x", "-2+3", '=HYPERLINK("http://x")', "'=1", "''@x", "+49 30", "\t=1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_no_exported_text_is_a_formula_and_each_comes_back(text):
    written = guarded(text)
    assert written[0] == "'"
    assert unguarded(written) == text


@given(st.text(max_size=20))
def test_every_text_comes_back_from_its_guarded_form(text):
    assert unguarded(guarded(text)) == text


@pytest.mark.parametrize("value", [-5, 7, "-5.25", "12", "+3", None])
def test_numbers_are_exported_as_they_are(value):
    assert guarded(value) == value


def test_a_device_named_like_a_formula_is_exported_harmlessly_and_imported_as_it_was(mdm, tmp_path):
    imported(mdm, 'device,obis,time,value,unit\n"=HYPERLINK(""x"")",1-0:1.8.0,2026-01-10T00:00Z,1,kWh\n')
    path = tmp_path / "readings.csv"
    assert export_readings(mdm, path, utc(2026, 1, 1), utc(2027, 1, 1)) == 1
    assert "'=HYPERLINK" in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with MeterDataManagement(tmp_path / "other") as other, path.open(encoding="utf-8") as file:
        assert import_csv(other, file, zone="UTC", received_at=NOW).accepted == 1
        assert [item.device for item in other.series()] == ['=HYPERLINK("x")']


def test_an_export_follows_no_link(mdm, tmp_path):
    victim, path = tmp_path / "victim", tmp_path / "out.csv"
    victim.write_text("untouched")
    (tmp_path / "out.csv.tmp").symlink_to(victim)
    export_readings(mdm, path, utc(2026, 1, 1), utc(2027, 1, 1))
    assert (victim.read_text(), path.is_file()) == ("untouched", True)
