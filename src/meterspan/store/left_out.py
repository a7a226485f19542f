"""Rows of a database that do not read back: left out by name, so that all others are read.

A damaged row stays in its place. Where it is saved again, its old octets are first copied, in the same transaction,
into the table ``quarantined_row``. Only SQLite can hold such a row: text that is not UTF-8, or
a column of JSON that is not JSON.
"""

import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import exc

from meterspan.model.storage.readings import QuarantinedItem
from meterspan.store.databases import VERSION_TABLE, Database
from meterspan.store.edge import wall_time

__all__ = ["LeftOutRows", "common_tables", "rows_saved_again", "unreadable_values"]

UNREADABLE_MAX: Final = 20
"""More damaged values of one column need the backup anyway."""
_TABLE: Final = "quarantined_row"
_Key = tuple[str, tuple[str, ...]]

log = logging.getLogger(__name__)


def common_tables() -> sa.MetaData:
    """Return the tables that every database has: its version, and the old octets of damaged rows saved again."""
    tables = sa.MetaData()
    sa.Table(VERSION_TABLE, tables, sa.Column("version", sa.Integer, primary_key=True))
    sa.Table(
        _TABLE,
        tables,
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("octets", sa.LargeBinary, nullable=False),
    )
    return tables


def rows_saved_again(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """List the damaged rows that were saved again, as name and reason, in the order they were found."""
    if not _has_table(connection, _TABLE):
        return []
    return connection.execute(f"select name, reason from {_TABLE} order by number").fetchall()  # noqa: S608 - our own name


def unreadable_values(connection: sqlite3.Connection, tables: sa.MetaData) -> Iterator[tuple[str, str]]:
    """Iterate over the values of JSON that cannot be read, as row and column: a program leaves their rows out.

    At most ``UNREADABLE_MAX`` of one column are named.
    """
    for name, table in tables.tables.items():
        keys = ", ".join(f'"{column.name}"' for column in table.primary_key.columns)
        for column in (column for column in table.columns if isinstance(column.type, sa.JSON)):
            if _has_table(connection, name):
                query = f'select {keys} from "{name}" where not json_valid("{column.name}")'  # noqa: S608 - our own names
                for key in connection.execute(query).fetchmany(UNREADABLE_MAX):
                    yield f"{name} {' '.join(map(str, key))}", column.name


def _has_table(connection: sqlite3.Connection, name: str) -> bool:
    query = "select 1 from sqlite_master where type = 'table' and name = ?"
    return connection.execute(query, (name,)).fetchone() is not None


class LeftOutRows:
    """The rows left out of one database; safe for use from many threads.

    Rows that refer to one that is left out are left out too, so read the tables in the order of their references.
    """

    def __init__(self, database: Database, clock: Callable[[], float] = wall_time) -> None:
        self._database = database
        self._clock = clock
        self._items: dict[_Key, QuarantinedItem] = {}
        self._guard = threading.Lock()

    def items(self) -> list[QuarantinedItem]:
        """List the rows left out, in the order they were found."""
        with self._guard:
            return list(self._items.values())

    def note(self, table: sa.Table, key: tuple[object, ...], reason: str) -> None:
        """Name a row that cannot be used."""
        texts = tuple(map(str, key))
        with self._guard:
            if (table.name, texts) in self._items:
                return
            name, kept_at = f"{table.name} {' '.join(texts)}", f"{self._database.name} (table {table.name})"
            item = QuarantinedItem(name, reason, kept_at, found_at=int(self._clock()))
            self._items[table.name, texts] = item
        log.error("left out", extra={"item": item.name, "reason": reason, "path": self._database.name})

    def read(self, table: sa.Table, query: sa.Select[Any]) -> list[dict[str, Any]]:
        """Read the rows of a query on one table, without those that are damaged."""
        with self._database.reading() as connection:
            try:
                rows = [dict(row) for row in connection.execute(query).mappings()]
            except (ValueError, exc.OperationalError) as error:
                if not self._is_of_a_row(error):
                    raise
                rows = self._one_by_one(connection, table, query)
        return [values for values in rows if self._is_sound(table, values)]

    def keep_copy(self, connection: sa.Connection, table: sa.Table, values: Mapping[str, Any]) -> None:
        """Copy the octets of a damaged row aside before ``values`` replace it."""
        if not self._items:
            return
        key = table.name, tuple(str(values[column.name]) for column in table.primary_key.columns)
        item = self._items.get(key)
        if item is None:
            return
        octets = [sa.func.hex(column).label(column.name) for column in table.columns]
        same = [column == values[column.name] for column in table.primary_key.columns]
        row = connection.execute(sa.select(*octets).where(*same)).mappings().first()
        if row is not None:
            kept = json.dumps(dict(row)).encode()
            aside = sa.table(_TABLE, sa.column("name"), sa.column("reason"), sa.column("octets"))
            connection.execute(sa.insert(aside).values(name=item.name, reason=item.reason, octets=kept))
        with self._guard:
            self._items.pop(key, None)

    def _is_of_a_row(self, error: Exception) -> bool:
        """Whether one row is at fault: ``sqlite3`` cannot decode its text, or it is no JSON."""
        if self._database.dialect != "sqlite":
            return False
        return isinstance(error, ValueError) or not hasattr(getattr(error, "orig", None), "sqlite_errorcode")

    def _one_by_one(self, connection: sa.Connection, table: sa.Table, query: sa.Select[Any]) -> list[dict[str, Any]]:
        rowid: sa.ColumnElement[int] = sa.literal_column(f'"{table.name}".rowid', sa.Integer)
        found = []
        for number in connection.execute(query.with_only_columns(rowid).select_from(table)).scalars().all():
            try:
                found += [dict(row) for row in connection.execute(query.where(rowid == number)).mappings()]
            except (ValueError, exc.OperationalError) as error:
                if not self._is_of_a_row(error):
                    raise
                self.note(table, self._key_of(connection, table, rowid == number), str(error))
        return found

    def _key_of(self, connection: sa.Connection, table: sa.Table, where: sa.ColumnElement[bool]) -> tuple[str, ...]:
        columns = [sa.cast(column, sa.LargeBinary) for column in table.primary_key.columns]
        row = connection.execute(sa.select(*columns).select_from(table).where(where)).one()
        return tuple(bytes(octets).decode(errors="replace") for octets in row)

    def _is_sound(self, table: sa.Table, values: Mapping[str, Any]) -> bool:
        for column in table.columns:
            value = values.get(column.name)
            if isinstance(column.type, sa.JSON) and not isinstance(value, dict | list):
                reason = f"{column.name} is no table of values"
            elif self._items and any(self._lacks(reference, value) for reference in column.foreign_keys):
                reason = f"{column.name} {value} is left out"
            else:
                continue
            self.note(table, tuple(values[key.name] for key in table.primary_key.columns), reason)
            return False
        return True

    def _lacks(self, reference: sa.ForeignKey, value: object) -> bool:
        return (reference.column.table.name, (str(value),)) in self._items
