"""High-water marks of invocation counters: one folder per machine, beside the data and outside their back-ups.

Strategy: a counter is named by system title and key, so every program and data folder of the machine that uses both
draws from one mark; restored, copied or deleted data change nothing. A mark is on disk before its counters are used.
The last program that leaves seals the folder (inode, ctime and boot of its file). A start without the fitting seal (a
crash, a power cut, restored marks) makes each counter jump before its next use. Marks of another machine are refused.
"""

import contextlib
import fcntl
import os
import secrets
import sqlite3
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from meterspan.model.storage.errors import CopiedCountersError, UnknownFormatError
from meterspan.store.edge import harden, storage_errors, wall_time
from meterspan.store.private_files import (
    NotOwnFileError,
    make_private_file,
    make_private_folder,
    open_own,
    read_own,
    replacing,
    sync_directory,
)

__all__ = ["COPY_JUMP", "CRASH_JUMP", "JUMP_PER_S", "CounterMarks", "KnownCounter", "MarksPlace"]

COPY_JUMP: Final = 65_536
"""Counters skipped after a start over marks that may be older than what was sent: more than any burst of messages."""
CRASH_JUMP: Final = 1_024
"""Counters skipped where the same file was left open within the same boot: a program that crashes each minute and uses
counters each time has enough for eight years."""
JUMP_PER_S: Final = 8
"""Counters skipped beside, per second since the mark was written: no key of a meter is used so fast for long."""
TIMED_JUMP_MAX: Final = 1 << 26
"""Bound of that: 97 days; a clock that runs years ahead must not use all counters up."""
BUSY_TIMEOUT_S: Final = 1.0
"""How long a call waits for another process: calls are made on event loops."""
_FORMAT: Final = 1
_TABLES: Final = (
    "create table meta (name text primary key, value text not null) without rowid",
    "create table start (number integer primary key, jump integer not null)",
    "create table mark (name text primary key, next integer, at integer, start integer) without rowid",
    "create table noted (name text primary key, value integer not null) without rowid",
)


@dataclass(frozen=True, slots=True)
class MarksPlace:
    """Where the marks of a machine are.

    Attributes:
        folder: of the marks; not in a data folder, and in no back-up that may be restored.
        machine: names the machine; "" where it has no name.
        boot: names the time since the machine was switched on, likewise.

    """

    folder: Path
    machine: str
    boot: str


@dataclass(frozen=True, slots=True)
class KnownCounter:
    """What the data know of a counter.

    Attributes:
        next: above every counter that was used when the data were written.
        at: when that was, UTC seconds.

    """

    next: int
    at: int


class CounterMarks:
    """The marks of one machine, open; any number of programs may have them open.

    Args:
        place: where they are.
        clock: UTC seconds.
        after_restore: the user says that nothing else uses these counters: copied marks are taken over, with a jump.

    Raises:
        CopiedCountersError: the marks are those of another machine.
        StorageError: they cannot be read or written now.

    """

    def __init__(
        self, place: MarksPlace, *, clock: Callable[[], float] = wall_time, after_restore: bool = False
    ) -> None:
        self._clock = clock
        self._place = place
        self._path = place.folder / "marks.sqlite"
        self._seal = place.folder / "seal"
        self._guard = threading.Lock()
        self._closed = False
        with storage_errors(place.folder):
            make_private_folder(place.folder, is_ours=True)
            self._lock = _opened(place.folder / "lock")
        try:
            with storage_errors(self._path):
                is_alone = _locked_alone(self._lock)
                if not is_alone:
                    fcntl.flock(self._lock, fcntl.LOCK_SH)  # held alone for some milliseconds, at starts and ends
                jump = self._missed(after_restore=after_restore) if is_alone else None
                make_private_file(self._path)
                self._db = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        except BaseException:
            os.close(self._lock)
            raise
        try:
            with storage_errors(self._path):
                self._prepare(jump, after_restore=after_restore)
                fcntl.flock(self._lock, fcntl.LOCK_SH)
        except BaseException:
            self._db.close()
            os.close(self._lock)
            raise

    @property
    def identity(self) -> str:
        """Names these marks: other ones with the same folder have another identity."""
        with self._guard, storage_errors(self._path):
            return self._meta("identity")

    def reserve(self, name: str, count: int, known: KnownCounter | None = None) -> int:
        """Reserve the next ``count`` values of a counter and return the first; on disk when this returns.

        Args:
            name: of the counter.
            count: how many, at least 1.
            known: what the data know of it, for where the marks know less; None where it was never used.

        """
        with self._guard, storage_errors(self._path), self._transaction():
            now = int(self._clock())
            first = self._first(name, known, now)
            self._db.execute(
                "insert or replace into mark values (?, ?, ?, (select coalesce(max(number), 0) from start))",
                (name, first + count, now),
            )
        return first

    def note(self, name: str, value: int) -> bool:
        """Note a value above all noted before under a name, on disk; False where it is not above them."""
        with self._guard, storage_errors(self._path):
            changed = self._db.execute(
                "insert into noted values (?, ?) on conflict (name) do update set value = excluded.value"
                " where excluded.value > value returning value",
                (name, value),
            ).fetchone()
        return changed is not None

    def noted(self, name: str) -> int:
        """Return the highest value noted under a name, 0 where there is none."""
        with self._guard, storage_errors(self._path):
            row = self._db.execute("select value from noted where name = ?", (name,)).fetchone()
        return 0 if row is None else int(row[0])

    def close(self) -> None:
        """Close the marks, and seal them where no other program has them open; a second call does nothing."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
            self._db.close()
            with contextlib.suppress(OSError):  # without a seal the next start jumps
                if _locked_alone(self._lock) and not self._has_log():
                    self._write_seal()
            os.close(self._lock)

    def _first(self, name: str, known: KnownCounter | None, now: int) -> int:
        row = self._db.execute("select next, at, start from mark where name = ?", (name,)).fetchone()
        if row is None:
            return 1 if known is None else known.next + _jump(COPY_JUMP, known.at, now)
        following, at, start = row
        (missed,) = self._db.execute("select max(jump) from start where number > ?", (start,)).fetchone()
        if missed is None:
            return int(following)
        return max(int(following) + _jump(missed, at, now), 0 if known is None else known.next)

    def _missed(self, *, after_restore: bool) -> int | None:
        """Break the seal, and return the jump that is due for what may have been missed; None where nothing was."""
        text = ""
        if os.path.lexists(self._seal):
            with contextlib.suppress(NotOwnFileError):  # as without a seal
                text = read_own(self._seal).decode("utf-8", "replace")
            self._seal.unlink()
            sync_directory(self._place.folder)
        if not self._path.exists():
            return None
        if after_restore:
            return COPY_JUMP
        file, _, boot = text.partition(" ")
        if file == self._file():
            return None if boot == self._place.boot else 0
        return COPY_JUMP if text else CRASH_JUMP

    def _prepare(self, jump: int | None, *, after_restore: bool) -> None:
        harden(self._db, busy_timeout_s=BUSY_TIMEOUT_S)
        with self._transaction():
            (version,) = self._db.execute("pragma user_version").fetchone()
            if version > _FORMAT:
                raise UnknownFormatError(str(self._path), version, _FORMAT)
            if version == 0:
                for statement in _TABLES:
                    self._db.execute(statement)
                self._db.execute(f"pragma user_version = {_FORMAT}")
            elif self._meta("machine") != self._place.machine and not after_restore:
                raise CopiedCountersError(str(self._path))
            if self._meta("machine") != self._place.machine or version == 0:
                self._set_meta(identity=secrets.token_hex(16), machine=self._place.machine)
            if jump is not None:
                self._db.execute("insert into start (jump) values (?)", (self._due(jump),))
            self._set_meta(inode=self._inode(), boot=self._place.boot)

    def _due(self, jump: int) -> int:
        """Return the jump after a start without a seal: a short one only for the same file within the same boot."""
        is_same = (self._meta("inode"), self._meta("boot")) == (self._inode(), self._place.boot)
        return COPY_JUMP if jump == CRASH_JUMP and not is_same else jump

    def _meta(self, name: str) -> str:
        row = self._db.execute("select value from meta where name = ?", (name,)).fetchone()
        return "" if row is None else str(row[0])

    def _set_meta(self, **values: str) -> None:
        rows = [(name, value) for name, value in values.items() if self._meta(name) != value]
        if rows:
            self._db.executemany("insert or replace into meta values (?, ?)", rows)

    def _inode(self) -> str:
        return str(self._path.stat().st_ino)

    def _file(self) -> str:
        """Describe the file so that no copy and no later write has the same description."""
        found = self._path.stat()
        return f"{found.st_ino}/{found.st_ctime_ns}/{found.st_size}"

    def _has_log(self) -> bool:
        log = self._path.with_name(f"{self._path.name}-wal")
        return log.exists() and log.stat().st_size > 0

    def _write_seal(self) -> None:
        with replacing(self._seal, is_own=True) as file:
            file.write(f"{self._file()} {self._place.boot}".encode())

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("begin immediate")
        try:
            yield
            self._db.execute("commit")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("rollback")
            raise


def _jump(least: int, at: int, now: int) -> int:
    """Return how many counters to skip, for marks that were written at ``at``."""
    return least + min(JUMP_PER_S * max(0, now - at), TIMED_JUMP_MAX)


def _opened(path: Path) -> int:
    make_private_file(path)
    return open_own(path, os.O_RDWR)


def _locked_alone(lock: int) -> bool:
    """Lock the folder for this program alone, if no other one uses it; the kernel frees it when the program ends."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
