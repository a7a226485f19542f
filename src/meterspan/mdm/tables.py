"""Tables of typed columns, written as CSV, Parquet or JSON: exact decimals, UTC times, whole numbers, texts.

CSV and JSON hold decimals and times as text. Parquet holds them as decimals and as timestamps with their zone, and
is written part by part, so that memory does not grow with the table.
"""

import csv
import io
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Final, TextIO

import pyarrow as pa

from meterspan.quantities import utc_text
from meterspan.store.private_files import replacing

__all__ = ["CellKind", "TableColumn", "TableFormat", "guarded", "unguarded", "write_table"]

PART_ROWS: Final = 50_000
"""Rows of a Parquet file that are held at once."""
DIGITS_MOST: Final = 38
"""Digits of a decimal that every reader of Parquet knows; more take twice the octets."""
DIGITS_OF_WIDE: Final = 76

_FORMULA = re.compile(r"'*[=+\-@\t\r]")
"""What a spreadsheet takes for a formula, and such a text that was guarded before."""
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?")


class TableFormat(StrEnum):
    """How a table is written."""

    CSV = "csv"
    PARQUET = "parquet"
    JSON = "json"


class CellKind(StrEnum):
    """What the cells of a column are; any of them may be None: not known."""

    TEXT = "text"
    TIME = "time"
    """Aware datetimes, written in UTC."""
    DAY = "day"
    """Dates."""
    EXACT = "exact"
    """Decimals."""
    WHOLE = "whole"
    """Integers."""


@dataclass(frozen=True, slots=True)
class TableColumn:
    """A column of a table.

    Attributes:
        name: in the header.
        kind: of its cells.
        places: decimal places of exact cells in Parquet; no cell has more.
        digits: digits of exact cells in Parquet, the places included.

    """

    name: str
    kind: CellKind = CellKind.TEXT
    places: int = 12
    digits: int = DIGITS_MOST


def write_table(
    path: Path, columns: Sequence[TableColumn], rows: Iterable[Mapping[str, Any]], form: TableFormat
) -> int:
    """Write the table beside its place and rename: a reader never sees half a file. Return the number of rows.

    Args:
        path: the file to write.
        columns: in order.
        rows: one mapping of column to cell for each row.
        form: CSV, Parquet or JSON.

    """
    with replacing(path) as file:
        if form is TableFormat.PARQUET:
            return _write_parquet(file, columns, rows)
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        count = (_write_csv if form is TableFormat.CSV else _write_json)(text, columns, rows)
        text.flush()
        text.detach()
        return count


def _write_parquet(file: BinaryIO, columns: Sequence[TableColumn], rows: Iterable[Mapping[str, Any]]) -> int:
    from pyarrow import parquet as pq  # noqa: PLC0415 - only Parquet files need it

    schema = pa.schema([pa.field(column.name, _arrow_type(column)) for column in columns])
    left, count = iter(rows), 0
    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        while part := list(islice(left, PART_ROWS)):
            arrays = {column.name: [row[column.name] for row in part] for column in columns}
            writer.write_table(pa.table(arrays, schema=schema))
            count += len(part)
    return count


def _arrow_type(column: TableColumn) -> Any:
    if column.kind is CellKind.EXACT:
        if column.digits > DIGITS_MOST:
            return pa.decimal256(DIGITS_OF_WIDE, column.places)
        return pa.decimal128(DIGITS_MOST, column.places)
    types = {
        CellKind.TEXT: pa.string(),
        CellKind.TIME: pa.timestamp("us", "UTC"),
        CellKind.DAY: pa.date32(),
        CellKind.WHOLE: pa.int64(),
    }
    return types[column.kind]


def _write_csv(file: TextIO, columns: Sequence[TableColumn], rows: Iterable[Mapping[str, Any]]) -> int:
    writer = csv.writer(file)
    writer.writerow([column.name for column in columns])
    count = 0
    for cells in _as_text(columns, rows):
        writer.writerow(map(guarded, cells))
        count += 1
    return count


def _write_json(file: TextIO, columns: Sequence[TableColumn], rows: Iterable[Mapping[str, Any]]) -> int:
    names = [column.name for column in columns]
    file.write("[")
    count = 0
    for cells in _as_text(columns, rows):
        file.write(("\n" if count == 0 else ",\n") + json.dumps(dict(zip(names, cells, strict=True))))
        count += 1
    file.write("\n]\n")
    return count


def _as_text(columns: Sequence[TableColumn], rows: Iterable[Mapping[str, Any]]) -> Iterator[list[Any]]:
    names = [column.name for column in columns]
    return ([_text_of(row[name]) for name in names] for row in rows)


def _text_of(cell: Any) -> Any:
    """Return a cell as CSV and JSON have it: numbers as they are, "" for what is not known."""
    if isinstance(cell, Decimal):
        return f"{cell:f}"
    if isinstance(cell, datetime):
        return utc_text(cell)
    if isinstance(cell, date):
        return cell.isoformat()
    return "" if cell is None else cell


def guarded(cell: Any) -> Any:
    """Return a cell of CSV that a spreadsheet does not run as a formula: an apostrophe goes before such a text.

    Numbers stay as they are; ``unguarded`` removes the apostrophe again.
    """
    is_formula = isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell)
    return f"'{cell}" if is_formula else cell


def unguarded(cell: str) -> str:
    """Return the text of a cell that ``guarded`` may have written."""
    return cell[1:] if cell.startswith("'") and _FORMULA.match(cell[1:]) else cell
