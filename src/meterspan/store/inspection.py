"""SQLite files opened to look at them: read-only, whole or not, and of which format.

Nothing is written, and a program that has the file open is not disturbed. What the tables hold is asked of the module
that declares them: ``journal``, ``left_out``, ``runtime.state``.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from meterspan.model.storage.errors import DamagedError, UnknownFormatError
from meterspan.store.edge import storage_errors

__all__ = ["InspectedFile", "inspected", "uri_to_read"]


@dataclass(frozen=True, slots=True)
class InspectedFile:
    """An SQLite file, and a connection that only reads it."""

    path: Path
    connection: sqlite3.Connection

    def require_whole(self) -> None:
        """Check the pages and indexes.

        Raises:
            DamagedError: SQLite finds one of them damaged.

        """
        (found,) = self.connection.execute("pragma quick_check(1)").fetchone()
        if found != "ok":
            raise DamagedError(f"is damaged: {found}; restore it from a backup", str(self.path))

    def format_up_to(self, known: int) -> int:
        """Return the format version.

        Raises:
            UnknownFormatError: it is above ``known``, the newest one of this release.

        """
        (version,) = self.connection.execute("pragma user_version").fetchone()
        if version > known:
            raise UnknownFormatError(str(self.path), version, known)
        return int(version)


def uri_to_read(path: Path) -> str:
    """Return the URI under which SQLite reads a file and changes nothing; where it has no journal, no lock is made."""
    journal = path.with_name(f"{path.name}-wal")
    has_journal = journal.exists() and journal.stat().st_size > 0
    return f"{path.resolve().as_uri()}?mode=ro" + ("" if has_journal else "&immutable=1")


@contextmanager
def inspected(path: Path) -> Iterator[InspectedFile]:
    """Lend a file to look at.

    Raises:
        StorageError: it cannot be opened, or not be read inside.

    """
    with storage_errors(path), closing(sqlite3.connect(uri_to_read(path), uri=True)) as connection:
        yield InspectedFile(path, connection)
