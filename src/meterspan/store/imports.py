"""The imports of a journal: which files were taken, with a copy of the rows of each, so that it can be undone.

Every function runs inside a transaction of its caller.
"""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from meterspan.model.storage.readings import ImportRecord, Readings, Receipt
from meterspan.store.columns import read_batch, write_batch

__all__ = [
    "has_undone",
    "import_parts",
    "import_record",
    "import_rows",
    "insert_import",
    "insert_part",
    "set_counts",
    "set_undone",
    "with_part",
]

_COLUMNS: Final = "number, name, digest, taken_at, readings, duplicates, conflicts, first_time, last_time, undone_at"


def insert_import(connection: sqlite3.Connection, record: ImportRecord) -> ImportRecord:
    """Add an import that has no rows yet; return it with its number."""
    cursor = connection.execute(
        "insert into import_file (name, digest, taken_at, readings, duplicates, conflicts) values (?, ?, ?, 0, 0, 0)",
        (record.name, record.digest, record.taken_at),
    )
    return replace(record, number=int(cursor.lastrowid or 0))


def insert_part(connection: sqlite3.Connection, record: ImportRecord, rows: Readings) -> None:
    """Keep a copy of rows as they were stored."""
    values = record.number, write_batch(rows)
    connection.execute("insert into import_part (import_number, octets) values (?, ?)", values)


def import_parts(connection: sqlite3.Connection, number: int) -> Iterator[Readings]:
    """Read the copy of an import's rows, part by part.

    Raises:
        DamagedBatchError: the copy is damaged.

    """
    query = "select number from import_part where import_number = ? order by number"
    for (part,) in connection.execute(query, (number,)).fetchall():
        (octets,) = connection.execute("select octets from import_part where number = ?", (part,)).fetchone()
        yield read_batch(octets)


def with_part(record: ImportRecord, part: Readings, receipt: Receipt) -> ImportRecord:
    """Return the record of an import with the counts and the span of one part more."""
    if not len(part):
        return record
    first, last = int(part.time.min()), int(part.time.max())
    return replace(
        record,
        readings=record.readings + len(receipt.fresh),
        duplicates=record.duplicates + receipt.duplicates,
        conflicts=record.conflicts + receipt.conflicts,
        first_time=first if record.first_time is None else min(first, record.first_time),
        last_time=last if record.last_time is None else max(last, record.last_time),
    )


def set_counts(connection: sqlite3.Connection, record: ImportRecord) -> None:
    """Write the counts and the span of an import."""
    connection.execute(
        "update import_file set readings = ?, duplicates = ?, conflicts = ?, first_time = ?, last_time = ?"
        " where number = ?",
        (record.readings, record.duplicates, record.conflicts, record.first_time, record.last_time, record.number),
    )


def set_undone(connection: sqlite3.Connection, number: int, at: int) -> None:
    """Note when an import was undone."""
    connection.execute("update import_file set undone_at = ? where number = ?", (at, number))


def import_rows(connection: sqlite3.Connection) -> list[ImportRecord]:
    """List the imports, oldest first."""
    return [ImportRecord(*row) for row in connection.execute(f"select {_COLUMNS} from import_file order by number")]  # noqa: S608 - constant names


def import_record(connection: sqlite3.Connection, number: int) -> ImportRecord | None:
    """Return one import, or None."""
    return next((record for record in import_rows(connection) if record.number == number), None)


def has_undone(connection: sqlite3.Connection) -> bool:
    """Whether any import was undone."""
    return connection.execute("select 1 from import_file where undone_at is not null limit 1").fetchone() is not None
