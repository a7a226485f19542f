"""The reading store: a journal of batches in SQLite for what is recent, Parquet segments for closed days.

One thread owns all writes and commits waiting batches together (WAL, ``synchronous=FULL``): a call that returned
survives ``kill -9`` and power loss. Every batch is compared with what is stored: the same (series, time, value) is a
duplicate and counted, another value at the same instant is kept beside the first and flagged ``CONFLICT``.
"""

import contextlib
import fcntl
import logging
import queue
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from meterspan.model.readings import EventSeverity, MeterEvent
from meterspan.model.storage.errors import (
    ConcurrentWriterError,
    DamagedBatchError,
    DamagedSegmentError,
    ForeignSegmentError,
    StorageClosedError,
    UnknownFormatError,
)
from meterspan.model.storage.readings import Readings, Receipt, StoreCounts
from meterspan.quantities import DAY_S, Quality
from meterspan.store.columns import read_batch, write_batch
from meterspan.store.segments import (
    SegmentQuery,
    day_of,
    read_segment,
    segment_number,
    sync_directory,
    write_segment,
)

__all__ = ["ReadingStore"]

FORMAT = 1
APPLICATION_ID = 0x4D53_504E  # "MSPN" in the header of the SQLite file

MAX_GROUP = 256
"""Batches of one commit: more would only lengthen the wait of the first one."""
MAX_WAITING = 4_096
"""Batches waiting for the writer; beyond that the caller waits, which is the back-pressure."""
SMALL_BATCH = 4_096
"""Batches below this many readings are folded together: a day of lone telegrams must not become 100,000 batches."""
FOLD_AT = 64
MAX_CACHED_READINGS = 4_000_000
"""Decoded batches kept for readers: about 150 MB."""
COMPACT_READINGS = 8_000_000
"""Readings of one compaction step: bounds its memory to about 600 MB."""
ACCEPTED_KEPT = 100_000
"""Batch ids remembered; a sender that repeats an older one is still caught reading by reading."""
OPEN_RETRIES = 5
FIRST_TIME, LAST_TIME = -(1 << 62), 1 << 62

SCHEMA = """
create table meta (name text primary key, value integer not null) without rowid;
create table batch (
  seq integer primary key autoincrement, readings integer not null,
  first_time integer not null, last_time integer not null,
  first_series integer not null, last_series integer not null, octets blob not null
);
create table accepted (batch_id blob primary key, accepted_at integer not null) without rowid;
create table segment (
  name text primary key, day integer not null, readings integer not null, octets integer not null
) without rowid;
create index segment_day on segment (day);
create table bound (
  series integer primary key, first_time integer not null, last_time integer not null
);
create table event (
  device text not null, time integer not null, code text not null, text text not null, severity integer not null,
  primary key (device, time, code, text)
) without rowid;
"""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Job:
    run: Callable[[sqlite3.Connection], Any]
    done: "Future[Any]"


class _Bounds:
    """First and last stored time of every series, as arrays by series number."""

    def __init__(self) -> None:
        self.first: NDArray[np.int64] = np.full(256, LAST_TIME, np.int64)
        self.last: NDArray[np.int64] = np.full(256, FIRST_TIME, np.int64)

    def reserve(self, series: int) -> None:
        while series >= len(self.first):
            self.first = np.concatenate((self.first, np.full_like(self.first, LAST_TIME)))
            self.last = np.concatenate((self.last, np.full_like(self.last, FIRST_TIME)))

    def note(self, readings: Readings) -> None:
        if len(readings):
            self.reserve(int(readings.series.max()))
            np.minimum.at(self.first, readings.series, readings.time)
            np.maximum.at(self.last, readings.series, readings.time)


class ReadingStore:
    """Readings and events at rest in one directory, owned by one process.

    Args:
        directory: made where it is not there.
        step: called with the name of each step that a crash may follow; tests make it fail.

    Raises:
        ConcurrentWriterError: another process has the directory open.
        UnknownFormatError: a newer release wrote it.
        DamagedBatchError: octets of the journal are not what was written.
        ForeignSegmentError: there are segments that the journal never wrote.

    """

    def __init__(self, directory: Path, *, step: Callable[[str], None] = lambda _name: None) -> None:
        self._directory = directory
        self._segments = directory / "segments"
        self._segments.mkdir(parents=True, exist_ok=True)
        self._path = directory / "journal.sqlite"
        self._step = step
        self._lock_file = _lock(directory / "lock")
        self._jobs: queue.Queue[_Job | None] = queue.Queue(MAX_WAITING)
        self._query = SegmentQuery()
        self._readers: list[sqlite3.Connection] = []
        self._guard = threading.Lock()
        self._door = threading.Lock()
        self._cache: OrderedDict[int, Readings] = OrderedDict()
        self._cached = 0
        self._bounds = _Bounds()
        self._compacting = threading.Lock()
        self._may_fold = True
        self._closed = False
        self._writer = self._connect()
        try:
            self._prepare()
        except BaseException:
            self._writer.close()
            self._lock_file.close()
            raise
        self._thread = threading.Thread(target=self._run, name="reading-store-writer", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish the waiting batches and close the files."""
        with self._door, self._guard:
            if self._closed:
                return
            self._closed = True
        self._jobs.put(None)
        self._thread.join()
        for reader in self._readers:
            reader.close()
        self._writer.close()
        self._query.close()
        self._lock_file.close()

    # --- writing ------------------------------------------------------------------------------------------------

    def append(
        self, readings: Readings, events: Sequence[MeterEvent] = (), *, batch_id: bytes | None = None
    ) -> Receipt:
        """Store a batch durably; when the call returns, it survives ``kill -9``.

        A batch is one unit: all of it is there after a crash, or nothing. With a ``batch_id`` the same batch sent
        again is recognised as a whole; without one it is recognised reading by reading.
        """
        return self.submit(readings, events, batch_id=batch_id).result()

    def submit(
        self, readings: Readings, events: Sequence[MeterEvent] = (), *, batch_id: bytes | None = None
    ) -> "Future[Receipt]":
        """Hand a batch to the writer; the future is done when the batch is durable."""
        return self._enqueue(lambda connection: self._append(connection, readings, events, batch_id))

    def compact(self, end: int) -> int:
        """Move all readings before the UTC midnight ``end`` into segments; give how many were moved.

        Late readings of a day that has a segment go to a further one; days of several segments are merged by the
        next compaction. A crash at any step loses and doubles nothing.
        """
        if end % DAY_S:
            raise ValueError("days close at UTC midnight")
        with self._compacting:
            self._enqueue(lambda _connection: self._allow_fold(False)).result()
            try:
                self._merge_days()
                moved = 0
                while step := self._compact_step(end):
                    moved += step
                self._enqueue(lambda connection: _set_meta_max(connection, "closed_through", end)).result()
            finally:
                self._enqueue(lambda _connection: self._allow_fold(True)).result()
            return moved

    # --- reading ------------------------------------------------------------------------------------------------

    def read(self, series: Sequence[int], start: int, end: int) -> Readings:
        """Read ``start <= time < end`` of the series, sorted by (series, time, value)."""
        wanted = sorted(set(series))
        if not wanted or start >= end:
            return Readings.empty()
        for attempt in range(OPEN_RETRIES):
            try:
                with self._reader() as connection:
                    paths, parts = self._snapshot(connection, wanted, start, end)
                parts.append(self._query.read(paths, wanted, start, end))
                return Readings.concatenate(parts).sorted()
            except FileNotFoundError as error:  # a compaction merged the segment away after the snapshot
                if attempt == OPEN_RETRIES - 1:
                    raise DamagedSegmentError(str(error.filename or error), "is gone") from error
        raise AssertionError("unreachable")

    def pending(self) -> Iterator[Readings]:
        """Give what is not compacted yet, batch by batch."""
        with self._reader() as connection:
            for (octets,) in connection.execute("select octets from batch order by seq"):
                yield read_batch(octets)

    def bounds(self, series: int) -> tuple[int, int] | None:
        """Give the first and last stored time of a series, or None where nothing is stored."""
        bounds = self._bounds
        if series >= len(bounds.last) or bounds.last[series] == FIRST_TIME:
            return None
        return int(bounds.first[series]), int(bounds.last[series])

    def newest_closed(self) -> int | None:
        """Give the time of the newest reading in segments, or None where there are none."""
        with self._reader() as connection:
            row = connection.execute("select name from segment order by day desc limit 1").fetchone()
        return None if row is None else int(read_segment(self._segments / row[0]).time.max())

    def events(self, device: str) -> list[MeterEvent]:
        """List a device's events in order of time."""
        with self._reader() as connection:
            rows = connection.execute(
                "select time, code, text, severity from event where device = ? order by time, code", (device,)
            ).fetchall()
        return [MeterEvent(device, time, code, text, EventSeverity(severity)) for time, code, text, severity in rows]

    def counts(self) -> StoreCounts:
        """Count what is held; exact."""
        with self._reader() as connection:
            meta = dict(connection.execute("select name, value from meta").fetchall())
            (batches, journal_octets) = connection.execute(
                "select count(*), coalesce(sum(length(octets)), 0) from batch"
            ).fetchone()
            (segments, octets) = connection.execute("select count(*), coalesce(sum(octets), 0) from segment").fetchone()
            (events,) = connection.execute("select count(*) from event").fetchone()
        return StoreCounts(
            meta.get("readings", 0), meta.get("duplicates", 0), meta.get("conflicts", 0), meta.get("late", 0),
            events, batches, segments, octets + journal_octets,
        )  # fmt: skip

    @property
    def closed_through(self) -> int | None:
        """UTC midnight before which days are closed, or None."""
        with self._reader() as connection:
            row = connection.execute("select value from meta where name = 'closed_through'").fetchone()
        return None if row is None else int(row[0])

    # --- the writer thread --------------------------------------------------------------------------------------

    def _enqueue(self, run: Callable[[sqlite3.Connection], Any]) -> "Future[Any]":
        done: Future[Any] = Future()
        with self._door:  # the writer never takes it, so that a full queue cannot lock it out
            if self._closed:
                raise StorageClosedError("the store is closed")
            self._jobs.put(_Job(run, done))
        return done

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            group = [job]
            stop = False
            while len(group) < MAX_GROUP:
                try:
                    following = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    stop = True
                    break
                group.append(following)
            self._commit(group)
            if self._may_fold:
                self._fold()
            if stop:
                return

    def _commit(self, group: list[_Job]) -> None:
        """Run the jobs in one transaction; a job that fails takes only itself back."""
        results: list[tuple[_Job, Any]] = []
        failures: list[tuple[_Job, BaseException]] = []
        connection = self._writer
        try:
            connection.execute("begin immediate")
            for job in group:
                if not job.done.set_running_or_notify_cancel():  # nobody waits for it any more
                    continue
                connection.execute("savepoint job")
                try:
                    results.append((job, job.run(connection)))
                except Exception as error:  # noqa: BLE001 - handed to the caller who waits for the job
                    connection.execute("rollback to job")
                    self._recall()
                    failures.append((job, error))
                connection.execute("release job")
            self._step("commit")
            connection.execute("commit")
        except BaseException as error:  # noqa: BLE001 - handed to every caller of the group
            with contextlib.suppress(sqlite3.Error):  # a disk that is gone must not end the thread: callers wait
                if connection.in_transaction:
                    connection.execute("rollback")
            self._recall()
            results, failures = [], [(job, error) for job in group if not job.done.cancelled()]
        for job, result in results:
            job.done.set_result(result)
        for job, failure in failures:
            job.done.set_exception(failure)

    def _append(
        self, connection: sqlite3.Connection, readings: Readings, events: Sequence[MeterEvent], batch_id: bytes | None
    ) -> Receipt:
        if batch_id is not None:
            arrived = int(readings.received_at.max()) if len(readings) else 0
            if not connection.execute("insert or ignore into accepted values (?, ?)", (batch_id, arrived)).rowcount:
                return Receipt(Readings.empty(), repeated=True)
        connection.executemany(
            "insert into event values (?, ?, ?, ?, ?) on conflict (device, time, code, text) do nothing",
            [(event.device, event.time, event.code, event.text, int(event.severity)) for event in events],
        )
        receipt = self._sift(connection, readings)
        if len(receipt.fresh):
            _insert_batch(connection, receipt.fresh)
            self._bounds.note(receipt.fresh)
        for name, count in (
            ("readings", len(receipt.fresh)), ("duplicates", receipt.duplicates), ("conflicts", receipt.conflicts),
            ("late", receipt.late),
        ):  # fmt: skip
            if count:
                _add_meta(connection, name, count)
        return receipt

    def _sift(self, connection: sqlite3.Connection, readings: Readings) -> Receipt:
        """Tell new readings from duplicates and conflicts."""
        if not len(readings):
            return Receipt(readings)
        bounds = self._bounds
        bounds.reserve(int(readings.series.max()))
        row = connection.execute("select value from meta where name = 'closed_through'").fetchone()
        late = readings.time < (FIRST_TIME if row is None else row[0])
        late_count = int(late.sum())
        if late_count:
            quality = np.where(late, readings.quality | int(Quality.LATE), readings.quality).astype(np.int32)
            readings = _with_quality(readings, quality)
        if _is_news(readings, bounds):
            return Receipt(readings, late=late_count)
        return self._compare(connection, readings)

    def _compare(self, connection: sqlite3.Connection, readings: Readings) -> Receipt:
        wanted = np.unique(readings.series)
        start, end = int(readings.time.min()), int(readings.time.max()) + 1
        paths, parts = self._snapshot(connection, [int(number) for number in wanted], start, end)
        parts.append(self._query.read(paths, [int(number) for number in wanted], start, end))
        known = Readings.concatenate(parts)
        both = Readings.concatenate([known, readings])
        is_new = np.arange(len(both)) >= len(known)
        # the known before the new, the earlier in the batch before the later: lexsort is stable
        order = np.lexsort((is_new, both.value, both.time, both.series))
        same_instant = (np.diff(both.series[order]) == 0) & (np.diff(both.time[order]) == 0)
        duplicate = np.zeros(len(both), bool)
        duplicate[order[1:]] = same_instant & (np.diff(both.value[order]) == 0)
        fresh = is_new & ~duplicate
        # A conflict: another value at the instant, already known or earlier in this batch.
        by_age = np.lexsort((np.arange(len(both)), both.time, both.series))
        by_age = by_age[~duplicate[by_age]]
        conflict = np.zeros(len(both), bool)
        conflict[by_age[1:]] = (np.diff(both.series[by_age]) == 0) & (np.diff(both.time[by_age]) == 0)
        quality = np.where(conflict, both.quality | int(Quality.CONFLICT), both.quality).astype(np.int32)
        kept = _with_quality(both, quality)[fresh]
        return Receipt(
            kept, int((is_new & duplicate).sum()), int((conflict & fresh).sum()),
            int(((kept.quality & int(Quality.LATE)) != 0).sum()),
        )  # fmt: skip

    def _allow_fold(self, allowed: bool) -> None:  # noqa: FBT001 - one private setter
        self._may_fold = allowed

    def _fold(self) -> None:
        """Join small batches into one, in one transaction of its own."""
        connection = self._writer
        try:
            (small,) = connection.execute(
                "select count(*) from batch where readings < ?", (SMALL_BATCH,)
            ).fetchone()  # fmt: skip
            if small < FOLD_AT:
                return
            rows = connection.execute(
                "select seq, octets from batch where readings < ? order by seq", (SMALL_BATCH,)
            ).fetchall()
            joined = Readings.concatenate([read_batch(octets) for _seq, octets in rows]).sorted()
            connection.execute("begin immediate")
            connection.executemany("delete from batch where seq = ?", [(seq,) for seq, _octets in rows])
            _insert_batch(connection, joined)
            self._step("fold")
            connection.execute("commit")
        except Exception:
            # Folding only saves time: the batches stand as they were, and the next commit tries again.
            if connection.in_transaction:
                connection.execute("rollback")
            log.exception("small batches were not folded")

    # --- compaction ---------------------------------------------------------------------------------------------

    def _compact_step(self, end: int) -> int:
        with self._reader() as connection:
            rows = connection.execute(
                "select seq, readings, octets from batch where first_time < ? order by seq", (end,)
            )
            chosen: list[int] = []
            parts: list[Readings] = []
            total = 0
            for seq, count, octets in rows:
                chosen.append(seq)
                parts.append(read_batch(octets))
                total += count
                if total >= COMPACT_READINGS:
                    break
        if not chosen:
            return 0
        readings = Readings.concatenate(parts)
        closed = readings.time < end
        old, rest = readings[closed], readings[~closed]
        days = old.time // DAY_S
        written = [self._write_day(int(day), old[days == day].sorted()) for day in np.unique(days)]
        self._step("segments written")
        self._enqueue(lambda connection: self._swap(connection, written, chosen, rest, old)).result()
        self._step("swapped")
        return len(old)

    def _write_day(self, day: int, readings: Readings) -> tuple[str, int, int, int]:
        number = self._enqueue(lambda connection: _add_meta(connection, "segment_number", 1)).result()
        name = f"{np.datetime64(day, 'D')}-{number:08d}.parquet"
        path = write_segment(self._segments / name, readings)
        self._step("segment written")
        return path.name, day, len(readings), path.stat().st_size

    def _swap(
        self, connection: sqlite3.Connection, written: list[tuple[str, int, int, int]], batches: list[int],
        rest: Readings, moved: Readings,
    ) -> None:  # fmt: skip
        connection.executemany("insert into segment values (?, ?, ?, ?)", written)
        connection.executemany("delete from batch where seq = ?", [(seq,) for seq in batches])
        if len(rest):
            _insert_batch(connection, rest)
        bounds = self._bounds
        connection.executemany(
            "insert into bound values (?, ?, ?) on conflict (series) do update set"
            " first_time = min(first_time, excluded.first_time), last_time = max(last_time, excluded.last_time)",
            [(int(number), int(bounds.first[number]), int(bounds.last[number])) for number in np.unique(moved.series)],
        )
        connection.execute(
            "delete from accepted where batch_id not in"
            " (select batch_id from accepted order by accepted_at desc limit ?)", (ACCEPTED_KEPT,),
        )  # fmt: skip
        self._step("swap")

    def _merge_days(self) -> None:
        """Merge the segments of days that have further ones from late readings."""
        with self._reader() as connection:
            days = connection.execute("select day from segment group by day having count(*) > 1").fetchall()
        for (day,) in days:
            with self._reader() as connection:
                names = [
                    name
                    for (name,) in connection.execute("select name from segment where day = ? order by name", (day,))
                ]
            merged = Readings.concatenate([read_segment(self._segments / name) for name in names]).sorted()
            written = self._write_day(day, merged)
            self._enqueue(partial(_replace, names=names, written=written)).result()
            self._step("merged")
            for name in names:
                (self._segments / name).unlink(missing_ok=True)
            sync_directory(self._segments)

    # --- opening and snapshots ----------------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = full")
        return connection

    def _prepare(self) -> None:
        connection = self._writer
        (version,) = connection.execute("pragma user_version").fetchone()
        if version > FORMAT:
            raise UnknownFormatError(str(self._path), version, FORMAT)
        if version == 0:
            connection.executescript(
                f"begin; {SCHEMA} pragma application_id = {APPLICATION_ID}; pragma user_version = {FORMAT}; commit;"
            )
            sync_directory(self._directory)
        self._sweep(connection)
        self._load_bounds()

    def _sweep(self, connection: sqlite3.Connection) -> None:
        """Remove what a cut compaction left: files that this journal numbered and does not list."""
        known = {name for (name,) in connection.execute("select name from segment")}
        row = connection.execute("select value from meta where name = 'segment_number'").fetchone()
        numbered = 0 if row is None else int(row[0])
        left = [path for path in self._segments.iterdir() if path.name not in known]
        for path in left:
            if (segment_number(path) or 0) > numbered:
                raise ForeignSegmentError(str(path))
        for path in left:
            if segment_number(path) is not None or path.suffix == ".tmp":
                path.unlink()

    def _recall(self) -> None:
        """Forget what is remembered of a transaction that was taken back."""
        with self._guard:
            self._cache.clear()
            self._cached = 0
        try:
            self._load_bounds()
        except (sqlite3.Error, DamagedBatchError):
            # Bounds that are wider than what is stored cost a comparison, and are true again at the next opening.
            log.exception("the bounds of the series were not read again")

    def _load_bounds(self) -> None:
        bounds = _Bounds()
        for series, first, last in self._writer.execute("select series, first_time, last_time from bound"):
            bounds.reserve(series)
            bounds.first[series], bounds.last[series] = first, last
        for seq, octets in self._writer.execute("select seq, octets from batch"):
            try:
                bounds.note(read_batch(octets))
            except DamagedBatchError as error:
                raise DamagedBatchError(f"batch {seq} of {self._path}: {error}; restore it from a backup") from error
        self._bounds = bounds

    @contextlib.contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        if self._is_closed():
            raise StorageClosedError("the store is closed")
        with self._guard:
            connection = self._readers.pop() if self._readers else None
        if connection is None:
            connection = self._connect()
        try:
            connection.execute("begin")
            yield connection
        finally:
            connection.execute("rollback")
            with self._guard:
                self._readers.append(connection)
            if self._is_closed():
                connection.close()

    def _is_closed(self) -> bool:
        with self._guard:
            return self._closed

    def _snapshot(
        self, connection: sqlite3.Connection, series: Sequence[int], start: int, end: int
    ) -> tuple[list[Path], list[Readings]]:
        """Give the segments to ask and the matching readings of the journal, as of one moment."""
        paths = [
            self._segments / name
            for (name,) in connection.execute(
                "select name from segment where day between ? and ?", (day_of(start), day_of(end - 1))
            )
        ]
        seqs = connection.execute(
            "select seq from batch where last_time >= ? and first_time < ? and last_series >= ? and first_series <= ?",
            (start, end, series[0], series[-1]),
        ).fetchall()
        wanted = np.asarray(series, np.int32)
        parts = []
        for (seq,) in seqs:
            batch = self._batch(connection, seq)
            mask = (batch.time >= start) & (batch.time < end) & np.isin(batch.series, wanted)
            if mask.any():
                parts.append(batch[mask])
        return paths, parts

    def _batch(self, connection: sqlite3.Connection, seq: int) -> Readings:
        with self._guard:
            cached = self._cache.get(seq)
            if cached is not None:
                self._cache.move_to_end(seq)
                return cached
        (octets,) = connection.execute("select octets from batch where seq = ?", (seq,)).fetchone()
        batch = read_batch(octets)
        with self._guard:
            if seq not in self._cache:
                self._cache[seq] = batch
                self._cached += len(batch)
            while self._cached > MAX_CACHED_READINGS and len(self._cache) > 1:
                _seq, oldest = self._cache.popitem(last=False)
                self._cached -= len(oldest)
        return batch


def _lock(path: Path) -> Any:
    """Take the directory's lock; the kernel frees it when the process dies."""
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise ConcurrentWriterError(f"{path.parent} is open in another process") from error
    return file


def _insert_batch(connection: sqlite3.Connection, readings: Readings) -> None:
    connection.execute(
        "insert into batch (readings, first_time, last_time, first_series, last_series, octets)"
        " values (?, ?, ?, ?, ?, ?)",
        (
            len(readings), int(readings.time.min()), int(readings.time.max()), int(readings.series.min()),
            int(readings.series.max()), write_batch(readings),
        ),
    )  # fmt: skip


def _replace(connection: sqlite3.Connection, names: list[str], written: tuple[str, int, int, int]) -> None:
    connection.executemany("delete from segment where name = ?", [(name,) for name in names])
    connection.execute("insert into segment values (?, ?, ?, ?)", written)


def _add_meta(connection: sqlite3.Connection, name: str, count: int) -> int:
    (value,) = connection.execute(
        "insert into meta values (?, ?) on conflict (name) do update set value = value + excluded.value"
        " returning value",
        (name, count),
    ).fetchone()
    return int(value)


def _set_meta_max(connection: sqlite3.Connection, name: str, value: int) -> None:
    connection.execute(
        "insert into meta values (?, ?) on conflict (name) do update set value = max(value, excluded.value)",
        (name, value),
    )


def _is_news(readings: Readings, bounds: _Bounds) -> bool:
    """Whether all readings lie after what their series have, each series once and in rising time: the usual case."""
    if not np.all(readings.time > bounds.last[readings.series]):
        return False
    changes = np.diff(readings.series) != 0
    if not np.all(changes | (np.diff(readings.time) > 0)):
        return False
    heads = readings.series[np.concatenate(([True], changes))]
    return len(np.unique(heads)) == len(heads)


def _with_quality(readings: Readings, quality: NDArray[np.int32]) -> Readings:
    return Readings(
        readings.series, readings.time, readings.value, readings.status, quality, readings.source, readings.received_at
    )
