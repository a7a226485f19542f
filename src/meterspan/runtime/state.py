"""State that survives power loss: invocation counters, named states and outboxes, in one SQLite file per entity.

Every call commits with ``synchronous=FULL`` before it returns, so a counter is on disk before it is used and a queued
item before it is acknowledged. One lock owns all writes; the file is private to its owner (mode 0600). Counters that
we send are given by the marks of the machine (``store.counter_marks``), which no copy of this file turns back; the
file keeps a value above them, for the case that the marks are lost.
"""

import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from meterspan.model.ports import TRIED
from meterspan.model.storage.errors import CopiedCountersError, UnknownFormatError
from meterspan.runtime.machine import this_machine
from meterspan.store.counter_marks import CounterMarks, KnownCounter, MarksPlace
from meterspan.store.edge import harden, storage_errors, wall_time
from meterspan.store.private_files import make_private_file, make_private_folder

__all__ = ["FORMAT", "StateFile", "StateOutbox", "next_counters"]

FORMAT: Final = 2
LEAD: Final = 1_024
"""How far the file's value of a counter is above the mark: one write here for so many counters."""
BUSY_TIMEOUT_S: Final = 1.0
"""How long a call waits for another process that holds the file: calls are made on event loops."""
_SCHEMA = """
CREATE TABLE counter (name TEXT PRIMARY KEY, next INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE marks (identity TEXT NOT NULL);
CREATE TABLE accepted (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE keepsake (name TEXT PRIMARY KEY, octets BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE outbox (number INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, octets BLOB NOT NULL);
CREATE INDEX outbox_of_name ON outbox (name, number);
"""
"""The named states are in table ``keepsake``: files of earlier versions call it so."""
_FROM_1 = """
ALTER TABLE counter ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
CREATE TABLE marks (identity TEXT NOT NULL);
"""
_BEFORE: Final = "before"
"""Begins the name of a value above all counters of a system title that version 1 counted without naming the key."""
_BLOCK_1: Final = 32
"""Counters of one try in version 1."""


def next_counters(connection: sqlite3.Connection) -> list[tuple[str, int]]:
    """List the counters of a state file that is only read: name and next value, by name."""
    return connection.execute("SELECT name, next FROM counter ORDER BY name").fetchall()


class StateFile:
    """The state of one entity: a ``CounterStore`` and a ``StateStore``, and the maker of its outboxes.

    Args:
        path: the SQLite file; made, with its folder, where it does not exist.
        after_restore: the user says that nothing else uses these counters: go on above all that may have been used.
        marks: where the marks of the machine are; those of this machine by default.
        clock: UTC seconds.

    Raises:
        CopiedCountersError: its counters may be in use on another machine.
        UnknownFormatError: the file was written by a later version of meterspan.
        DamagedError: it is not a database any more; no counter is guessed, restore it from a backup.
        StorageError: it cannot be opened now.

    Every method raises ``StorageError`` where the state cannot be stored or read now; then nothing was changed, and
    no counter was given.

    """

    def __init__(
        self,
        path: Path,
        *,
        after_restore: bool = False,
        marks: MarksPlace | None = None,
        clock: Callable[[], float] = wall_time,
    ) -> None:
        self._lock = threading.Lock()
        self._path = path
        self._after_restore = after_restore
        self._place = marks
        self._clock = clock
        self._marks: CounterMarks | None = None
        self._leads: dict[str, int] = {}
        with storage_errors(path):
            make_private_folder(path.parent)
            make_private_file(path)
            self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        try:
            with storage_errors(path):
                self._prepare()
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        harden(self._db, busy_timeout_s=BUSY_TIMEOUT_S)
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version > FORMAT:
            raise UnknownFormatError(str(self._path), version, FORMAT)
        if version == 0:
            self._db.executescript(f"BEGIN IMMEDIATE; {_SCHEMA} PRAGMA user_version={FORMAT}; COMMIT;")
        elif version == 1:
            self._convert(int(self._clock()))
        if self._db.execute("SELECT 1 FROM counter LIMIT 1").fetchone():
            self._open_marks()

    def _convert(self, now: int) -> None:
        """Convert version 1, which named a counter by title, scope and generation of the keys, not by the key."""
        above: dict[str, int] = {}
        for name, following in self._db.execute("SELECT name, next FROM counter WHERE name LIKE 'sent/%'"):
            title = name.split("/")[1]
            above[title] = max(above.get(title, 1), following)
        for (name,) in self._db.execute("SELECT name FROM accepted WHERE name LIKE 'tried/sent/%'"):
            title, block = name.split("/")[2], int(name.rsplit("/", 1)[1])
            above[title] = max(above.get(title, 1), (block + 1) * _BLOCK_1)
        self._db.executescript(f"BEGIN IMMEDIATE; {_FROM_1}")
        self._db.execute("DELETE FROM counter WHERE name LIKE 'sent/%'")
        self._db.execute("UPDATE counter SET at = ?", (now,))
        rows = [(f"{_BEFORE}/{title}", following, now) for title, following in above.items()]
        self._db.executemany("INSERT INTO counter VALUES (?, ?, ?)", rows)
        self._db.execute(f"PRAGMA user_version={FORMAT}")
        self._db.execute("COMMIT")

    def _open_marks(self) -> CounterMarks:
        """Return the marks of the machine; a copy from another one is refused before any counter is used."""
        if self._marks is not None:
            return self._marks
        place = this_machine() if self._place is None else self._place
        marks = CounterMarks(place, clock=self._clock, after_restore=self._after_restore)
        try:
            self._bind(marks.identity)
        except BaseException:
            marks.close()
            raise
        self._marks = marks
        return marks

    def _bind(self, identity: str) -> None:
        kept = self._db.execute("SELECT identity FROM marks").fetchone()
        if kept == (identity,):
            return
        if kept is not None and not self._after_restore:
            raise CopiedCountersError(str(self._path))
        self._db.execute("BEGIN IMMEDIATE")
        self._db.execute("DELETE FROM marks")
        self._db.execute("INSERT INTO marks VALUES (?)", (identity,))
        self._db.execute("COMMIT")

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file."""
        self.close()

    def reserve(self, name: str, count: int) -> int:
        """Reserve the next ``count`` values of a counter; on disk when this returns. The first value ever is 1.

        Raises:
            ValueError: ``count`` is not positive.

        """
        if count < 1:
            raise ValueError(f"cannot reserve {count} counter values")
        with self._lock, storage_errors(self._path):
            marks = self._open_marks()
            first = marks.reserve(name, count, None if name in self._leads else self._known(name))
            self._lead(name, first + count)
        return first

    def _known(self, name: str) -> KnownCounter | None:
        """Return what this file knows of a counter, or of its title's counters before their keys were named."""
        names = [name, f"{_BEFORE}/{name.split('/')[1]}"] if name.startswith("sent/") else [name]
        for known in names:
            row = self._db.execute("SELECT next, at FROM counter WHERE name = ?", (known,)).fetchone()
            if row is not None:
                return KnownCounter(*row)
        return None

    def _lead(self, name: str, following: int) -> None:
        """Keep the file's value of a counter above the mark."""
        if following <= self._leads.get(name, 0):
            return
        lead = following + LEAD
        self._db.execute(
            "INSERT INTO counter VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET next = max(next, excluded.next),"
            " at = excluded.at",
            (name, lead, int(self._clock())),
        )
        self._leads[name] = lead

    def accept(self, name: str, value: int) -> bool:
        """Accept a received counter that is above all accepted before; False is a replay."""
        with self._lock, storage_errors(self._path):
            if name.startswith(TRIED):
                return self._open_marks().note(name, value)
            changed = self._db.execute(
                "INSERT INTO accepted VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
                " WHERE excluded.value > value RETURNING value",
                (name, value),
            ).fetchone()
        return changed is not None

    def accepted(self, name: str) -> int:
        """Return the highest received counter accepted so far, 0 where there is none."""
        with self._lock, storage_errors(self._path):
            if name.startswith(TRIED):
                return self._open_marks().noted(name)
            row = self._db.execute("SELECT value FROM accepted WHERE name = ?", (name,)).fetchone()
        return 0 if row is None else int(row[0])

    def load(self, name: str) -> bytes | None:
        """Return what was saved last under this name, or None."""
        with self._lock, storage_errors(self._path):
            row = self._db.execute("SELECT octets FROM keepsake WHERE name = ?", (name,)).fetchone()
        return None if row is None else bytes(row[0])

    def save(self, name: str, octets: bytes) -> None:
        """Replace what is kept under this name."""
        with self._lock, storage_errors(self._path):
            self._db.execute("INSERT OR REPLACE INTO keepsake VALUES (?, ?)", (name, octets))

    def outbox(self, name: str) -> "StateOutbox":
        """Return the named outbox."""
        return StateOutbox(self._db, self._lock, name, self._path)

    def close(self) -> None:
        """Close the file; the state stays."""
        with self._lock:
            self._db.close()
            if self._marks is not None:
                self._marks.close()


class StateOutbox:
    """A durable first-in-first-out queue (``OutboxStore``) inside a state file."""

    def __init__(self, db: sqlite3.Connection, lock: threading.Lock, name: str, path: Path) -> None:
        self._db = db
        self._lock = lock
        self._name = name
        self._path = path

    def append(self, octets: bytes) -> int:
        """Append an item and give its number; on disk when this returns."""
        with self._lock, storage_errors(self._path):
            row = self._db.execute(
                "INSERT INTO outbox (name, octets) VALUES (?, ?) RETURNING number", (self._name, octets)
            ).fetchone()
        return int(row[0])

    def peek(self, count: int) -> Sequence[tuple[int, bytes]]:
        """Return up to ``count`` oldest items with their numbers."""
        with self._lock, storage_errors(self._path):
            rows = self._db.execute(
                "SELECT number, octets FROM outbox WHERE name = ? ORDER BY number LIMIT ?", (self._name, count)
            ).fetchall()
        return [(int(number), bytes(octets)) for number, octets in rows]

    def discard(self, through: int) -> None:
        """Remove all items up to and including number ``through``."""
        with self._lock, storage_errors(self._path):
            self._db.execute("DELETE FROM outbox WHERE name = ? AND number <= ?", (self._name, through))
