"""Files that tables come in: encodings are recognised, and nothing short becomes long."""

import csv
import random
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from meterspan.app import table_files
from meterspan.app.table_files import TableFileError, encoding_of, parquet_lines


def test_rows_of_a_parquet_file_are_lines_of_csv(tmp_path) -> None:
    path = tmp_path / "in.parquet"
    columns = {"time": [datetime(2026, 3, 29, tzinfo=UTC), None], "text": ['a "quoted", one', "b"], "value": [1, 2]}
    pq.write_table(pa.table(columns), path)
    assert list(csv.reader(parquet_lines(path))) == [
        ["time", "text", "value"],
        ["2026-03-29T00:00:00+00:00", 'a "quoted", one', "1"],
        ["", "b", "2"],
    ]


@pytest.mark.attack(2)
@pytest.mark.finding("security low-3")
def test_a_short_file_that_repeats_a_long_text_is_refused_before_it_is_spread(tmp_path) -> None:
    path = tmp_path / "bomb.parquet"
    column = pa.DictionaryArray.from_arrays(pa.array([0] * 50_000, pa.int32()), pa.array(["x" * 200_000]))
    pq.write_table(pa.table({"device": column.cast(pa.dictionary(pa.int32(), pa.string()))}), path)
    assert path.stat().st_size < 300_000
    lines = parquet_lines(path)
    assert next(lines) == "device"
    with pytest.raises(ValueError, match="200,000 characters"):
        next(lines)


@pytest.mark.attack(2)
@pytest.mark.finding("security low-3")
def test_a_part_that_is_too_large_to_be_read_at_once_is_refused(tmp_path, monkeypatch) -> None:
    path = tmp_path / "large.parquet"
    pq.write_table(pa.table({"value": list(range(1_000))}), path)
    monkeypatch.setattr(table_files, "PARQUET_PART_OCTETS_MAX", 100)
    with pytest.raises(ValueError, match="row group 0"):
        next(parquet_lines(path))


def test_decimals_of_a_parquet_file_come_without_the_zeros_of_their_column(tmp_path) -> None:
    path = tmp_path / "in.parquet"
    values = [Decimal("1234567.500000000"), Decimal("100.000000000")]
    pq.write_table(pa.table({"value": pa.array(values, pa.decimal128(38, 9))}), path)
    assert list(parquet_lines(path)) == ["value", "1234567.5", "100"]


@pytest.mark.finding("data D30")
@pytest.mark.parametrize(
    ("octets", "encoding"),
    [
        ("time;Küche".encode(), "utf-8-sig"),
        ("\ufefftime;Küche".encode(), "utf-8-sig"),
        ("time;Küche".encode("utf-16"), "utf-16"),
        ("time;Küche;Köche".encode("cp1252"), "cp1252"),
    ],
)
def test_the_encoding_of_a_table_is_recognised(tmp_path, octets, encoding) -> None:
    path = tmp_path / "in.csv"
    path.write_bytes(octets)
    assert encoding_of(path) == encoding
    assert "Küche" in path.read_text(encoding)


@pytest.mark.finding("users D-8")
@pytest.mark.parametrize("read", [encoding_of, lambda path: list(parquet_lines(path))])
def test_a_file_that_is_no_table_is_named_in_words(tmp_path, read) -> None:
    with pytest.raises(TableFileError, match="there is no file"):
        read(tmp_path / "gone")
    (tmp_path / "in.xlsx").write_bytes(b"PK\x03\x04 and more")
    with pytest.raises(TableFileError, match=r"save the table as CSV|no Parquet"):
        read(tmp_path / "in.xlsx")


@pytest.mark.parametrize(
    ("column", "said"),
    [
        (pa.array([9 * 10**15], pa.timestamp("ms")), "column x holds a time that cannot be taken: outside the years"),
        (pa.array([9 * 10**15], pa.timestamp("ms", "UTC")), "outside the years 1 to 9999"),
        (pa.array([1 << 30], pa.int32()).cast(pa.date32()), "outside the years 1 to 9999"),
        (pa.array([["A"]]), "column x holds list<element: string>, and a cell is one number, text or time"),
        (pa.array([{"a": 1}]), "and a cell is one"),
        (pa.array([b"\xff"]), "column x holds octets that are no text in UTF-8"),
    ],
)
def test_a_value_that_is_no_cell_is_refused_with_its_column(tmp_path, column, said) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"x": column}), path)
    with pytest.raises(TableFileError) as refused:
        list(parquet_lines(path))
    assert said in str(refused.value)


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary(3), pa.string()])
def test_octets_without_the_mark_of_a_text_are_text(tmp_path, kind) -> None:
    path = tmp_path / "in.parquet"
    pq.write_table(pa.table({"device": pa.array([b"E-1", b"E-2"]).cast(kind)}), path)
    assert list(parquet_lines(path)) == ["device", "E-1", "E-2"]


def trouble_with(path):
    """Return what is wrong with a Parquet file, None where all of it is read."""
    try:
        list(parquet_lines(path))
    except ValueError as error:
        return error
    return None


@pytest.mark.attack(3)
def test_a_damaged_parquet_file_is_named_whatever_is_damaged(tmp_path):
    whole, damaged, choose = tmp_path / "a.parquet", tmp_path / "b.parquet", random.Random(6)  # noqa: S311 - no keys
    pq.write_table(pa.table({"device": ["E1"] * 500, "value": list(range(500))}), whole)
    found = []
    for _ in range(300):
        octets = bytearray(whole.read_bytes())
        for _ in range(choose.choice((1, 4))):
            octets[choose.randrange(len(octets))] ^= 1 << choose.randrange(8)
        damaged.write_bytes(octets)
        found.append(trouble_with(damaged))
    troubles = [error for error in found if error is not None]
    assert len(troubles) > 100
    assert {type(error) for error in troubles} <= {TableFileError, ValueError}
    assert all(str(damaged) in str(error) for error in troubles if not str(error).startswith(("column ", "row group ")))


@pytest.mark.attack(2)
def test_rows_that_are_repetitions_of_a_few_octets_are_refused_before_they_are_read(tmp_path):
    bomb = tmp_path / "b.parquet"
    rows = 300_000
    columns = {"device": ["E1"], "time": [datetime(2026, 1, 1, tzinfo=UTC)], "value": [1]}
    repeated = {name: pa.DictionaryArray.from_arrays(pa.array([0] * rows), cell) for name, cell in columns.items()}
    pq.write_table(pa.table(repeated), bomb, compression="zstd")
    assert bomb.stat().st_size < 10_000
    with pytest.raises(TableFileError, match=r"300,000 rows in [\d,]+ octets; import it as CSV"):
        next(parquet_lines(bomb))
