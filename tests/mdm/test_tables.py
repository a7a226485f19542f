"""Tables as files: typed, whole, and harmless in a spreadsheet."""

import csv
import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.mdm import tables
from meterspan.mdm.tables import CellKind, TableColumn, TableFormat, guarded, unguarded, write_table

COLUMNS = (
    TableColumn("name"),
    TableColumn("at", CellKind.TIME),
    TableColumn("day", CellKind.DAY),
    TableColumn("amount", CellKind.EXACT, 3),
    TableColumn("count", CellKind.WHOLE),
)
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
ROWS = [
    {"name": "=1+1", "at": NOON, "day": date(2026, 3, 1), "amount": Decimal("12.345"), "count": 7},
    {"name": "b", "at": None, "day": None, "amount": None, "count": None},
]


def test_csv_and_json_have_text_and_the_unknown_is_empty(tmp_path):
    assert write_table(tmp_path / "out", COLUMNS, ROWS, TableFormat.CSV) == 2
    rows = list(csv.reader((tmp_path / "out").read_text().splitlines()))
    assert rows[1:] == [["'=1+1", "2026-03-01T12:00:00Z", "2026-03-01", "12.345", "7"], ["b", "", "", "", ""]]
    write_table(tmp_path / "out", COLUMNS, ROWS, TableFormat.JSON)
    assert json.loads((tmp_path / "out").read_text())[0]["amount"] == "12.345"


@pytest.mark.finding("users D-7")
def test_parquet_has_types_and_is_written_part_by_part(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "PART_ROWS", 2)
    assert write_table(tmp_path / "out", COLUMNS, iter(ROWS * 3), TableFormat.PARQUET) == 6
    table = pq.read_table(tmp_path / "out")
    assert table.slice(0, 2).to_pylist() == ROWS
    assert pq.ParquetFile(tmp_path / "out").num_row_groups == 3
    types = ["string", "timestamp[us, tz=UTC]", "date32[day]", "decimal128(38, 3)", "int64"]
    assert [str(field.type) for field in table.schema] == types
    wide = (TableColumn("amount", CellKind.EXACT, 30, 60),)
    write_table(tmp_path / "out", wide, [{"amount": Decimal(10) ** 29}], TableFormat.PARQUET)
    assert pq.read_table(tmp_path / "out")["amount"].to_pylist() == [Decimal(10) ** 29]


FORMULAS = ["=1+1", "@SUM(A1)", "+cmd|x", "-2+3", '=HYPERLINK("http://x")', "'=1", "''@x", "+49 30", "\t=1"]


@pytest.mark.finding("security low-1")
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
