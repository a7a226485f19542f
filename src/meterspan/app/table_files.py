"""The files that tables of readings come in: CSV in the usual encodings, and Parquet as lines of CSV."""

import codecs
import csv
import io
from collections.abc import Iterable, Iterator
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from meterspan.mdm.table_layout import LINE_MAX
from meterspan.mdm.tables import guarded
from meterspan.model.reasons import reason_of

__all__ = ["TableFileError", "encoding_of", "parquet_lines"]

PARQUET_ROWS: Final = 10_000
"""Rows of a Parquet file held in memory at once."""
PARQUET_PART_OCTETS_MAX: Final = 1 << 28
"""Octets of a row group, uncompressed: a million rows as writers make them by default have a third of it."""
PARQUET_ROWS_PER_OCTET: Final = 8
"""Rows for each octet of a file: a month of a hundred meters that show zero has three, well compressed."""
PARQUET_ROWS_FREE: Final = 10_000
_BLOCK: Final = 1 << 20
_TIMES: Final = "outside the years 1 to 9999, finer than a microsecond, or of an unknown zone"
_ZIP: Final = b"PK\x03\x04"


class TableFileError(ValueError):
    """A file that is no table, or cannot be read; the words say what to do."""


def encoding_of(path: Path) -> str:
    """Return the encoding of a file of CSV: UTF-8, UTF-16 with its mark, or else Windows-1252.

    Raises:
        TableFileError: there is no such file, it cannot be read, or it is a spreadsheet.

    """
    try:
        with path.open("rb") as file:
            head = file.read(len(_ZIP))
            if head == _ZIP:
                raise TableFileError(f"{path} is a spreadsheet or an archive; save the table as CSV (UTF-8)")
            if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
                return "utf-16"
            file.seek(0)
            decoder = codecs.getincrementaldecoder("utf-8")()
            while block := file.read(_BLOCK):
                decoder.decode(block)
            decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "cp1252"
    except FileNotFoundError as error:
        raise TableFileError(f"there is no file {path}") from error
    except OSError as error:
        raise TableFileError(f"{path} cannot be read: {reason_of(error)}") from error
    return "utf-8-sig"


def parquet_lines(file: Path) -> Iterator[str]:
    """Read the rows of a Parquet file as CSV lines, the names of the columns first.

    Texts stay in the file's dictionary until their length is known, as a short file can repeat a long text for ever.

    Raises:
        TableFileError: there is no such file, it is no Parquet, or a value in it cannot be a cell: octets that are no
            text, a list, a time outside the years 1 to 9999.
        ValueError: a part of the file is too large to be read at once, or a text is longer than a line may be.

    """
    from pyarrow import parquet as pq  # noqa: PLC0415 - only Parquet files need it

    if not file.is_file():
        raise TableFileError(f"there is no file {file}")
    try:
        schema = pq.read_schema(file)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, error, "is no Parquet that can be read") from error
    texts = [column.name for column in schema if pa.types.is_string(column.type) or pa.types.is_binary(column.type)]
    for column in schema:
        _check_type(column.name, column.type)
    table = pq.ParquetFile(file, read_dictionary=texts)
    _check_parts(table.metadata)
    _check_rows(file, table.metadata.num_rows)
    yield _csv_line(table.schema_arrow.names)
    try:
        for batch in table.iter_batches(batch_size=PARQUET_ROWS):
            for column in batch.columns:
                _check_texts(column)
            columns = [_cells(name, column) for name, column in zip(batch.schema.names, batch.columns, strict=True)]
            for values in zip(*columns, strict=True):
                yield _csv_line(values)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, error, f"is damaged: {reason_of(error)}") from error


def _unreadable(file: Path, error: Exception, words: str) -> Exception:
    """Return the system's own error, or one that names the file: Arrow raises ``OSError`` for damaged octets too."""
    is_of_system = isinstance(error, OSError) and error.errno is not None
    return error if is_of_system else TableFileError(f"{file} {words}")


def _check_type(name: str, kind: Any) -> None:
    """Refuse a column whose values are no cells: a list, a record, a map."""
    if pa.types.is_nested(kind):
        raise TableFileError(f"column {name} holds {kind}, and a cell is one number, text or time")


def _cells(name: str, column: Any) -> list[Any]:
    """Return the values of a column; octets are text in UTF-8, as old writers leave the mark of a text out."""
    try:
        return [value.decode() if isinstance(value, bytes) else value for value in column.to_pylist()]
    except UnicodeDecodeError as error:
        raise TableFileError(f"column {name} holds octets that are no text in UTF-8") from error
    except (OverflowError, ValueError) as error:
        raise TableFileError(f"column {name} holds a time that cannot be taken: {_TIMES}") from error


def _check_parts(metadata: Any) -> None:
    for number in range(metadata.num_row_groups):
        octets = metadata.row_group(number).total_byte_size
        if octets > PARQUET_PART_OCTETS_MAX:
            raise ValueError(f"row group {number} has {octets:,} octets; write parts of {PARQUET_PART_OCTETS_MAX:,}")


def _check_rows(file: Path, rows: int) -> None:
    """Refuse rows that are repetitions of a few octets: each of them costs as much as any other."""
    octets = file.stat().st_size
    if rows > PARQUET_ROWS_FREE + PARQUET_ROWS_PER_OCTET * octets:
        raise TableFileError(f"{file} has {rows:,} rows in {octets:,} octets; import it as CSV")


def _check_texts(column: Any) -> None:
    if not pa.types.is_dictionary(column.type):
        return
    longest = max((len(text) for text in column.dictionary.to_pylist() if text is not None), default=0)
    if longest > LINE_MAX:
        raise ValueError(f"a text has {longest:,} characters; a line may have {LINE_MAX:,}")


def _csv_line(values: Iterable[Any]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(guarded(_text_of(value)) for value in values)
    return line.getvalue()


def _text_of(value: Any) -> Any:
    """Return a value as it is written in CSV; the zeros that a column of decimals adds are left out."""
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Decimal) and value.is_finite():
        return f"{value.normalize():f}"
    return "" if value is None else value
