"""Closed days at rest: Parquet, zstd, delta-coded, sorted by (series, time); see ``docs/formats/segments.md``.

Values are split by octet instead: at 96 values per series the jump to the next register spoils a delta block
(measured: 1.5 instead of 3.0 octets per reading).
A segment is written beside its place, synced, renamed and its directory synced before it is announced. Its name
ends with its checksum, so that damage is found before its first reading counts.
"""

import contextlib
import os
import re
import threading
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from meterspan.model.reasons import reason_of
from meterspan.model.storage.errors import DamagedSegmentError, StorageUnavailableError, UnknownFormatError
from meterspan.model.storage.readings import COLUMNS, Readings
from meterspan.quantities import DAY_S
from meterspan.store.columns import read_arrow, write_arrow
from meterspan.store.private_files import NotOwnFileError, make_private_file, open_own, read_own, sync_directory

if TYPE_CHECKING:
    import duckdb

__all__ = [
    "SegmentQuery",
    "check_segment",
    "day_of",
    "read_segment",
    "segment_number",
    "write_segment",
]

FORMAT = 1
FORMAT_KEY = b"meterspan.segment"
ROW_GROUP = 1 << 16
"""Rows of one meter-day are found by row group statistics; larger groups read too much, smaller compress worse."""

_NAME = re.compile(r"-?\d{4,}-\d\d-\d\d-(?P<number>\d{8,})(?:-(?P<crc>[0-9a-f]{8}))?\.parquet")


def segment_number(path: Path) -> int | None:
    """Return the number in a segment's name, or None where it is no segment's name."""
    match = _NAME.fullmatch(path.name)
    return None if match is None else int(match["number"])


def check_segment(path: Path) -> None:
    """Compare a segment with the checksum in its name, and its format with the one known here.

    Raises:
        DamagedSegmentError: it was cut or changed.
        UnknownFormatError: written by a newer release.
        FileNotFoundError: it is not there.

    """
    match = _NAME.fullmatch(path.name)
    try:
        octets = read_own(path, follows=True)
    except NotOwnFileError as error:
        raise DamagedSegmentError(str(path), reason_of(error)) from error
    if match is not None and match["crc"] is not None and zlib.crc32(octets) != int(match["crc"], 16):
        raise DamagedSegmentError(str(path), "was changed after it was written: its checksum is wrong")
    from pyarrow import parquet as pq  # noqa: PLC0415 - 8 MB that a home without a closed day does not need

    with _parquet_errors(path):
        metadata = pq.read_schema(path).metadata
    found = _number((metadata or {}).get(FORMAT_KEY, b"0"))
    if found != FORMAT:
        raise UnknownFormatError(str(path), found, FORMAT)


@contextlib.contextmanager
def _parquet_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except pa.ArrowException as error:
        raise DamagedSegmentError(str(path), f"is not Parquet that can be read ({error})") from error


def _number(text: bytes) -> int:
    return int(text) if text.isdigit() else 0


def day_of(time: int) -> int:
    """Count the UTC days from 1970-01-01 to the day of an instant."""
    return time // DAY_S


def write_segment(path: Path, readings: Readings) -> Path:
    """Write sorted readings durably (atomic: the file is there whole or not at all).

    Returns the path of the segment: ``path`` with the checksum added to its name.
    """
    table = write_arrow(readings).replace_schema_metadata({FORMAT_KEY: str(FORMAT).encode()})
    scratch = path.with_suffix(".tmp")
    scratch.unlink(missing_ok=True)  # of an interrupted write, or a link that must not be followed
    try:
        _write_parquet(scratch, table)
        named = path.with_name(f"{path.stem}-{zlib.crc32(read_own(scratch)):08x}.parquet")
        scratch.rename(named)
    except OSError:
        scratch.unlink(missing_ok=True)  # a partial file must not fill the disk further
        raise
    sync_directory(path.parent)
    return named


def _write_parquet(path: Path, table: pa.Table) -> None:
    from pyarrow import parquet as pq  # noqa: PLC0415 - as in check_segment

    make_private_file(path)
    with os.fdopen(open_own(path, os.O_WRONLY), "wb") as file:
        pq.write_table(
            table,
            file,
            compression="zstd",
            compression_level=9,
            row_group_size=ROW_GROUP,
            use_dictionary=False,
            column_encoding={name: _encoding(name) for name in COLUMNS},
            data_page_version="2.0",
            version="2.6",
        )
        file.flush()
        os.fsync(file.fileno())


def _encoding(name: str) -> str:
    return {"source": "PLAIN", "value": "BYTE_STREAM_SPLIT"}.get(name, "DELTA_BINARY_PACKED")


def read_segment(path: Path) -> Readings:
    """Read a whole segment.

    Raises:
        UnknownFormatError: written by a newer release.
        DamagedSegmentError: it was cut or changed.
        FileNotFoundError: it is not there.

    """
    from pyarrow import parquet as pq  # noqa: PLC0415 - as in check_segment

    check_segment(path)
    with _parquet_errors(path):
        return read_arrow(pq.read_table(path))


class SegmentQuery:
    """DuckDB over segments, started by the first question; safe for use from many threads."""

    def __init__(self) -> None:
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._guard = threading.Lock()
        self._checked: set[Path] = set()

    def close(self) -> None:
        """Release DuckDB."""
        with self._guard:
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def read(self, paths: Sequence[Path], series: Sequence[int], start: int, end: int) -> Readings:
        """Read ``start <= time < end`` of the series, in no particular order.

        Args:
            paths: the segments to read.
            series: numbers of the series.
            start: UTC seconds.
            end: UTC seconds, not included.

        Raises:
            FileNotFoundError: a segment was merged away meanwhile; ``filename`` is its path.
            DamagedSegmentError: one was cut or changed; ``path`` names it.
            UnknownFormatError: a newer release wrote one.

        """
        if not paths or not series:
            return Readings.empty()
        import duckdb  # noqa: PLC0415 - 16 MB that a home without a closed day does not need

        for path in paths:
            if path not in self._checked:
                check_segment(path)
                self._checked.add(path)
        with contextlib.closing(self._cursor()) as cursor:
            try:
                relation = cursor.sql(
                    f"select {', '.join(COLUMNS)} from read_parquet($paths)"  # noqa: S608 - constant names
                    " where series between $low and $high and series in (select unnest($series))"
                    " and time >= $start and time < $end",
                    params={
                        "paths": [str(path) for path in paths],
                        "series": list(series),
                        "low": min(series),
                        "high": max(series),
                        "start": start,
                        "end": end,
                    },
                )
                return read_arrow(relation.to_arrow_table())
            except duckdb.Error as error:
                raise _blamed(paths, error) from error

    def _cursor(self) -> "duckdb.DuckDBPyConnection":
        with self._guard:
            if self._connection is None:
                import duckdb  # noqa: PLC0415 - as in read

                self._connection = duckdb.connect(":memory:")
            return self._connection.cursor()


def _blamed(paths: Sequence[Path], error: "duckdb.Error") -> Exception:
    """Find the segment that a query over many failed for; DuckDB names it in prose only."""
    for path in paths:
        try:
            read_segment(path)
        except FileNotFoundError as gone:
            return gone
        except (DamagedSegmentError, UnknownFormatError) as found:
            return found
    return StorageUnavailableError(f"DuckDB cannot read the segments ({error})")
