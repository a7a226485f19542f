"""Segments are plain Parquet: sorted, delta-coded, with their format in the file."""

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from meterspan.model.storage.errors import DamagedSegmentError, UnknownFormatError
from meterspan.model.storage.readings import Readings
from meterspan.store.segments import FORMAT_KEY, SegmentQuery, read_segment, segment_number, write_segment


def some_readings(count=1_000):
    time = np.arange(count, dtype=np.int64) * 900
    nothing = np.zeros(count, np.int32)
    return Readings(
        np.full(count, 3, np.int32), time, np.cumsum(time % 501), nothing, nothing, np.full(count, 1, np.int8), time + 7
    )


def test_a_segment_reads_back_and_says_its_format(tmp_path):
    readings = some_readings()
    path = write_segment(tmp_path / "2026-01-01-00000001.parquet", readings)
    assert segment_number(path) == 1
    assert [item.name for item in tmp_path.iterdir()] == [path.name]
    assert np.array_equal(read_segment(path).value, readings.value)
    file = pq.ParquetFile(path)
    assert file.schema_arrow.metadata[FORMAT_KEY] == b"1"
    encodings = {
        file.metadata.row_group(0).column(i).path_in_schema: file.metadata.row_group(0).column(i) for i in range(7)
    }
    assert "BYTE_STREAM_SPLIT" in encodings["value"].encodings
    for name in ("series", "time", "received_at"):
        assert "DELTA_BINARY_PACKED" in encodings[name].encodings
        assert encodings[name].compression == "ZSTD"


def test_any_parquet_reader_can_sum_it(tmp_path):
    readings = some_readings()
    path = write_segment(tmp_path / "2026-01-01-00000001.parquet", readings)
    query = "select sum(value) from read_parquet($path) where time < 90000"
    ((total,),) = duckdb.sql(query, params={"path": str(path)}).fetchall()
    assert total == int(readings.value[:100].sum())


def test_a_newer_segment_is_refused(tmp_path):
    path = tmp_path / "day.parquet"
    pq.write_table(pa.table({"series": [1]}).replace_schema_metadata({FORMAT_KEY: b"2"}), path)
    with pytest.raises(UnknownFormatError, match="format 2"):
        read_segment(path)


def test_a_segment_that_is_gone_is_said_to_be_gone(tmp_path):
    query = SegmentQuery()
    with pytest.raises(FileNotFoundError):
        query.read([tmp_path / "gone.parquet"], [1], 0, 10)
    query.close()


@pytest.mark.parametrize(
    "damage", [lambda octets: octets[:-9], lambda octets: octets[:700] + b"x" + octets[701:]], ids=["cut", "changed"]
)
def test_a_segment_that_was_cut_or_changed_is_damage_and_not_other_values(tmp_path, damage):
    path = write_segment(tmp_path / "2026-01-01-00000001.parquet", some_readings())
    path.write_bytes(damage(path.read_bytes()))
    query = SegmentQuery()
    with pytest.raises(DamagedSegmentError, match="checksum"):
        query.read([path], [3], 0, 1 << 40)
    with pytest.raises(DamagedSegmentError, match="restore it"):
        read_segment(path)
    query.close()
