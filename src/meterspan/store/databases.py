"""Relational databases at rest: opened by URL, hardened, their version compared, their errors made ``StorageError``.

SQLite and PostgreSQL are known; both take "insert … on conflict". One ``Database`` serves the registry and the head
end's inventory.
"""

import contextlib
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.dialects import postgresql, sqlite

from meterspan.model.storage.errors import (
    DamagedError,
    StorageError,
    StorageFullError,
    StorageLockedError,
    StorageUnavailableError,
    UnknownFormatError,
)
from meterspan.store import edge
from meterspan.store.edge import harden, storage_errors, translated
from meterspan.store.inspection import uri_to_read
from meterspan.store.private_files import make_private_file, make_private_folder

__all__ = ["Database", "check_reachable", "database_name", "file_url", "parse_database_url", "read_only_url"]

VERSION_TABLE: Final = "schema_version"
_INSERT: Final[dict[str, Callable[[sa.Table], sqlite.Insert | postgresql.Insert]]] = {
    "sqlite": sqlite.insert,
    "postgresql": postgresql.insert,
}
# classes and codes of PostgreSQL's SQLSTATE (appendix A of its manual)
_BY_SQLSTATE: Final[dict[str, type[StorageError]]] = {
    "53100": StorageFullError,
    "55P03": StorageLockedError,
    "40P01": StorageLockedError,
    "40001": StorageLockedError,
    "XX001": DamagedError,
    "XX002": DamagedError,
}


def file_url(path: Path) -> str:
    """Return the URL of an SQLite file, which is made with its folder, readable by its owner only.

    Raises:
        StorageError: it cannot be made.

    """
    with storage_errors(path):
        make_private_folder(path.parent)
        make_private_file(path)
    return sa.URL.create("sqlite", database=str(path)).render_as_string()


def read_only_url(path: Path) -> str:
    """Return the URL of an SQLite file that is only read."""
    return f"sqlite:///{uri_to_read(path)}&uri=true"


def parse_database_url(text: str) -> sa.URL:
    """Read the URL of a database as SQLAlchemy writes it: ``postgresql+psycopg://user@host/name``, or an SQLite file.

    Raises:
        ValueError: the text is not a URL, the kind of database is unknown, or its driver is not installed.

    """
    try:
        url = sa.make_url(text)
    except (exc.ArgumentError, ValueError) as error:  # ValueError: of a port that is no number
        example = "postgresql+psycopg://user@host:5432/name"
        raise ValueError(f"this is not a database URL like {example}") from error  # the text may hold a password
    if url.get_backend_name() not in _INSERT:
        raise ValueError(f"{url.get_backend_name()} is not known here; use {' or '.join(_INSERT)}")
    try:
        url.get_dialect().import_dbapi()
    except (ImportError, exc.NoSuchModuleError) as error:
        driver = "a driver" if isinstance(error, exc.NoSuchModuleError) else url.get_driver_name()
        raise ValueError(f"{url.drivername} needs {driver}: install it beside meterspan ({error})") from error
    return url


def database_name(text: str) -> str:
    """Return host, port and name of a database, without user, password and driver; raises ``ValueError``."""
    url = parse_database_url(text)
    kind = url.get_backend_name()
    return sa.URL.create(kind, host=url.host, port=url.port, database=url.database).render_as_string()


def check_reachable(url: str) -> None:
    """Connect to a database and leave it as it is.

    Raises:
        ValueError: the text is not the URL of a known database.
        StorageError: it cannot be reached.

    """
    empty = sa.MetaData()
    database = Database(url, empty, version=None)
    try:
        with database.reading() as connection:
            connection.execute(sa.select(1))
    finally:
        database.close()


class Database:
    """A database with tables of one known version.

    Args:
        url: as ``parse_database_url`` reads it.
        tables: created where they are missing; one of them is ``schema_version``.
        version: of these tables; raised in an older database, whose missing tables are made. None leaves it as it is.
        is_read_only: leave the database as it is, with the tables that it has.

    Raises:
        ValueError: the text is not the URL of a known database.
        UnknownFormatError: a newer release wrote it.
        StorageError: it cannot be opened now.

    """

    def __init__(self, url: str, tables: sa.MetaData, *, version: int | None, is_read_only: bool = False) -> None:
        self.name = _name_of(url)
        """How messages name it: the file, or the URL without its password."""
        self._engine = sa.create_engine(parse_database_url(url))
        if self._engine.dialect.name == "sqlite" and not is_read_only:
            event.listen(self._engine, "connect", _harden)
        try:
            if version is not None and is_read_only:
                self._require_known(version)
            elif version is not None:
                self._prepare(tables, version)
        except BaseException:
            self.close()
            raise

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        return self._engine.dialect.name

    def close(self) -> None:
        """Release all connections."""
        self._engine.dispose()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Lend a connection to read with."""
        with self._errors(), self._engine.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Lend a connection inside a transaction: all that is written is durable after it, or nothing is."""
        with self._errors(), self._engine.begin() as connection:
            yield connection

    def upsert(self, connection: sa.Connection, table: sa.Table, rows: Sequence[dict[str, Any]]) -> None:
        """Add rows with the same columns, or replace those with their primary keys."""
        if not rows:
            return
        keys = [column.name for column in table.primary_key.columns]
        statement = _INSERT[self.dialect](table)
        rest = {name: statement.excluded[name] for name in rows[0] if name not in keys}
        connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=rest), rows)

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except exc.SQLAlchemyError as error:
            raise self._translated(error) from error
        except (sqlite3.Error, OSError) as error:
            raise translated(error, self.name) from error

    def _translated(self, error: exc.SQLAlchemyError) -> BaseException:
        origin = getattr(error, "orig", None)
        if isinstance(error, exc.IntegrityError):
            return ValueError(str(origin))
        if isinstance(origin, sqlite3.Error):
            return translated(origin, self.name)
        kind = _BY_SQLSTATE.get(getattr(origin, "sqlstate", None) or getattr(origin, "pgcode", None) or "")
        if kind is None:
            kind = StorageUnavailableError if isinstance(error, exc.OperationalError) else StorageError
        return kind(f"the database refuses ({origin or error})", self.name)

    def has_table(self, table: sa.Table) -> bool:
        """Return whether a table is there: a database that is only read may be of an earlier release, or empty."""
        with self.reading() as connection:
            return bool(sa.inspect(connection).has_table(table.name))

    def _require_known(self, version: int) -> None:
        versions = sa.table(VERSION_TABLE, sa.column("version", sa.Integer))
        with self.reading() as connection:
            is_there = sa.inspect(connection).has_table(VERSION_TABLE)
            found = connection.execute(sa.select(sa.func.max(versions.c.version))).scalar() if is_there else None
        if found is not None and found > version:
            raise UnknownFormatError(self.name, found, version)

    def _prepare(self, tables: sa.MetaData, version: int) -> None:
        versions = tables.tables[VERSION_TABLE]
        with self.writing() as connection:
            found = None
            if sa.inspect(connection).has_table(VERSION_TABLE):
                found = connection.execute(sa.select(sa.func.max(versions.c.version))).scalar()
            if found is not None and found > version:
                raise UnknownFormatError(self.name, found, version)
            tables.create_all(connection)
            if found is None or found < version:
                connection.execute(sa.insert(versions).values(version=version))


def _name_of(text: str) -> str:
    url = parse_database_url(text)
    is_file = url.get_backend_name() == "sqlite" and url.database
    return str(url.database) if is_file else url.render_as_string(hide_password=True)


def _harden(connection: sqlite3.Connection, _record: object) -> None:
    harden(connection, busy_timeout_s=edge.BUSY_TIMEOUT_S)
