"""The edge of storage: what SQLite and the operating system raise becomes a ``StorageError``, in this one place.

SQLite's primary result codes (https://www.sqlite.org/rescode.html) and ``errno`` decide; no message is searched. A
constraint that a caller's data break is that caller's fault, a ``ValueError``. ``store.databases`` does the same for
SQLAlchemy and ``store.segments`` for Parquet. Nothing here needs more than the standard library.
"""

import contextlib
import errno
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from meterspan.model.reasons import reason_of
from meterspan.model.storage.errors import (
    DamagedError,
    StorageClosedError,
    StorageError,
    StorageFullError,
    StorageLockedError,
    StorageUnavailableError,
)

__all__ = ["BUSY_TIMEOUT_S", "harden", "storage_errors", "translated", "wall_time"]

BUSY_TIMEOUT_S: Final = 10.0
"""How long a writer waits for another process that holds the database; longer waits would look like a hang."""

wall_time: Final[Callable[[], float]] = time.time  # noqa: TID251 - damage is found at any moment, by any reader
"""UTC seconds of this machine, for when damage was found."""

_PRIMARY: Final = 0xFF
_BY_CODE: Final[dict[int, type[StorageError]]] = {
    sqlite3.SQLITE_FULL: StorageFullError,
    sqlite3.SQLITE_BUSY: StorageLockedError,
    sqlite3.SQLITE_LOCKED: StorageLockedError,
    sqlite3.SQLITE_CORRUPT: DamagedError,
    sqlite3.SQLITE_NOTADB: DamagedError,
    sqlite3.SQLITE_IOERR: StorageUnavailableError,
    sqlite3.SQLITE_READONLY: StorageUnavailableError,
    sqlite3.SQLITE_CANTOPEN: StorageUnavailableError,
    sqlite3.SQLITE_PERM: StorageUnavailableError,
    sqlite3.SQLITE_PROTOCOL: StorageLockedError,
}
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_WORDS: Final[dict[type[StorageError], str]] = {
    StorageFullError: "no room is left on the device",
    StorageLockedError: "another process holds the database",
    DamagedError: "the database is damaged; restore it from a backup",
    StorageUnavailableError: "the file system fails or refuses access",
    StorageClosedError: "it is closed",
    StorageError: "the database refuses",
}


def translated(error: BaseException, path: Path | str) -> BaseException:
    """Return the ``StorageError`` that an error of SQLite or the operating system means; other errors as they are.

    ``path`` is the file or directory at fault.
    """
    if isinstance(error, sqlite3.IntegrityError):
        return ValueError(str(error))
    if isinstance(error, sqlite3.Error):
        return _storage_error(_kind_of(error), error, path)
    if isinstance(error, UnicodeDecodeError):  # sqlite3 reads names and messages out of damaged pages
        return _storage_error(DamagedError, error, path)
    if isinstance(error, OSError):
        kind = StorageFullError if error.errno in _FULL else StorageUnavailableError
        return _storage_error(kind, error, path)
    return error


@contextlib.contextmanager
def storage_errors(path: Path | str) -> Iterator[None]:
    """Turn what SQLite or the operating system raise inside into ``StorageError``."""
    try:
        yield
    except (sqlite3.Error, UnicodeDecodeError, OSError) as error:
        raise translated(error, path) from error


def harden(connection: sqlite3.Connection, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
    """Set the connection so that commits survive power loss, references are checked, and locks are waited for."""
    for pragma in (
        f"busy_timeout = {round(busy_timeout_s * 1_000)}",
        "journal_mode = wal",
        "synchronous = full",
        "foreign_keys = on",
    ):
        connection.execute(f"pragma {pragma}")


def _kind_of(error: sqlite3.Error) -> type[StorageError]:
    code: Any = getattr(error, "sqlite_errorcode", None)
    if code is None:  # the module refuses by itself: used after close, or from a thread that may not
        return StorageClosedError if isinstance(error, sqlite3.ProgrammingError) else StorageError
    return _BY_CODE.get(code & _PRIMARY, StorageError)


def _storage_error(kind: type[StorageError], error: Exception, path: Path | str) -> StorageError:
    return kind(f"{_WORDS[kind]} ({reason_of(error)})", str(path))
