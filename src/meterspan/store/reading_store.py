"""The reading store: a journal of batches in SQLite for recent readings, Parquet segments for closed days.

One thread owns all writes and commits waiting batches together (WAL, ``synchronous=FULL``): a call that returned
survives ``kill -9`` and power loss. Every batch is compared with what is stored: the same (series, time, value) is a
duplicate and counted, another value at the same instant is kept beside the first and flagged ``CONFLICT``. A batch or
segment that is damaged is quarantined by name, and the rest is served. All failures are ``StorageError``.
"""

import contextlib
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from meterspan.model.lookup_errors import ImportUndoneError, UnknownImportError
from meterspan.model.readings import MeterEvent
from meterspan.model.storage.errors import (
    DamagedBatchError,
    DamagedError,
    DamagedSegmentError,
    StorageClosedError,
)
from meterspan.model.storage.ports import unnoted, unwatched
from meterspan.model.storage.readings import (
    ImportRecord,
    QuarantinedItem,
    Readings,
    Receipt,
    StoreCounts,
    UnsettledDays,
)
from meterspan.model.storage.stretches import Stretches
from meterspan.quantities import DAY_S
from meterspan.store import edge, imports, journal
from meterspan.store.batch_cache import BatchCache
from meterspan.store.changes import Changes
from meterspan.store.columns import read_batch
from meterspan.store.directory_lock import lock_directory, unlock
from meterspan.store.edge import harden, storage_errors, translated
from meterspan.store.journal import BatchRow, SegmentRow
from meterspan.store.layers import OF_IMPORT, VOID, live, live_batches, marked, without_marks
from meterspan.store.opening import StoreOpening
from meterspan.store.private_files import make_private_file, make_private_folder, sync_directory
from meterspan.store.quarantine import StoreQuarantine, batch_name
from meterspan.store.segment_stretches import SegmentStretches
from meterspan.store.segments import (
    SegmentQuery,
    day_of,
    read_segment,
    write_segment,
)
from meterspan.store.series_bounds import FIRST_TIME, SeriesBounds
from meterspan.store.sifting import marked_late, sift
from meterspan.store.unsettled import merged_days, remaining_days, touched_days
from meterspan.store.writer_thread import WriterThread

__all__ = ["ReadingStore"]

SMALL_BATCH: Final = 4_096
"""Batches below this many readings are folded together: a day of lone telegrams must not become 100,000 batches."""
FOLD_AT: Final = 64
COMPACT_READINGS: Final = 8_000_000
"""Readings of one compaction step: bounds its memory to about 600 MB."""
ACCEPTED_KEPT: Final = 100_000
"""Batch ids remembered; a sender that repeats an older one is still caught reading by reading."""
FEW_SERIES: Final = 64
"""So many are read themselves where their times are asked for: quicker than the times of all series."""
STRETCHED_AT_ONCE: Final = 32
"""Days whose stretches are joined at once."""
OPEN_RETRIES: Final = 5
"""Readings of a snapshot whose segments a compaction merged away meanwhile."""

log = logging.getLogger(__name__)


class _TrialEnd(Exception):  # noqa: N818 - no error: it takes the transaction of a trial back
    """All parts of a trial were counted."""

    def __init__(self, record: ImportRecord) -> None:
        super().__init__(record.name)
        self.record = record


class ReadingStore:
    """Readings and events at rest in one directory, owned by one process.

    Args:
        directory: made where it is not there.
        step: called with the name of each step that a crash may follow; tests make it fail.

    Raises:
        ConcurrentWriterError: another process has the directory open.
        UnknownFormatError: a newer release wrote it.
        DamagedError: the journal is not a database any more.
        ForeignSegmentError: there are segments that the journal never wrote.
        StorageError: the directory cannot be read or written now.

    """

    def __init__(self, directory: Path, *, step: Callable[[str], None] = lambda _name: None) -> None:
        self._directory = directory
        self._segments = directory / "segments"
        self._path = directory / "journal.sqlite"
        self._step = step
        with storage_errors(directory):
            for folder in (directory, self._segments):
                make_private_folder(folder, is_ours=True)
            self._locks = lock_directory(directory)
            self._has_log = self._path.with_name(f"{self._path.name}-wal").exists()
            make_private_file(self._path)
        self._stretches = SegmentStretches(directory / "stretches")
        self._query = SegmentQuery()
        self._quarantine = StoreQuarantine(directory, self._path)
        self._readers: list[sqlite3.Connection] = []
        self._guard = threading.Lock()
        self._cache = BatchCache()
        self._bounds = SeriesBounds()
        self._changes = Changes(self._bounds, self._cache)
        self._compacting = threading.Lock()
        self._may_fold = True
        self._unsettled_rows = 0
        self._closed = False
        try:
            with storage_errors(self._path):
                self._writer = self._connect()
        except BaseException:
            unlock(self._locks)
            raise
        try:
            with storage_errors(self._path):
                self._prepare()
        except BaseException:
            self._release()
            raise
        self._jobs = WriterThread(self._writer, self._path, changes=self._changes, finish=self._finish, rest=self._fold)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish the waiting batches and close the files."""
        with self._guard:
            if self._closed:
                return
            self._closed = True
        self._jobs.close()
        with contextlib.suppress(sqlite3.Error):  # a disk that fails now: the log stays, and the mark is right
            journal.note_closed(self._writer)
        self._release()

    def _release(self) -> None:
        with contextlib.suppress(sqlite3.Error):  # a disk that fails at the last checkpoint: the log holds all of it
            for connection in (*self._readers, self._writer):
                connection.close()
        self._query.close()
        unlock(self._locks)

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
        return self._jobs.enqueue(lambda connection: self._append(connection, readings, events, batch_id))

    def take_import(
        self,
        record: ImportRecord,
        parts: Iterable[Readings],
        *,
        is_trial: bool = False,
        note: Callable[[Receipt], None] = unnoted,
    ) -> ImportRecord:
        """Store all parts of a file in one transaction; return the record with its number, counts and span.

        Args:
            record: name, digest and time of the import.
            parts: its readings; each is compared with what is stored and with the parts before it.
            is_trial: count, and store nothing.
            note: called by the writer with what became of each part, before anything is durable.

        """

        def take(connection: sqlite3.Connection) -> ImportRecord:
            taken = self._take_import(connection, record, parts, note)
            if is_trial:
                raise _TrialEnd(taken)
            return taken

        try:
            taken: ImportRecord = self._jobs.enqueue(take).result()
        except _TrialEnd as end:
            return replace(end.record, number=0)
        return taken

    def undo_import(self, number: int, at: int) -> ImportRecord:
        """Undo an import in one transaction: each of its rows is stored once more, as what voids it.

        Args:
            number: of the import.
            at: UTC seconds of now.

        Raises:
            UnknownImportError: there is none of this number.
            ImportUndoneError: it was undone before.
            DamagedBatchError: the copy of its rows is damaged.

        """
        undone: ImportRecord = self._jobs.enqueue(lambda connection: self._undo_import(connection, number, at)).result()
        return undone

    def compact(self, end: int) -> int:
        """Move all readings before the UTC midnight ``end`` into segments; return how many were moved.

        Late readings of a day that has a segment go to a further one; days of several segments are merged by the
        next compaction. A crash at any step loses and doubles nothing; neither does a full disk.

        Raises:
            ValueError: ``end`` is no midnight.

        """
        if end % DAY_S:
            raise ValueError("days close at UTC midnight")
        with self._compacting, storage_errors(self._segments):
            self._jobs.enqueue(lambda _connection: self._let_fold(may=False)).result()
            try:
                self._merge_days()
                moved = 0
                while step := self._compact_step(end):
                    moved += step
                self._jobs.enqueue(lambda connection: journal.set_meta_max(connection, "closed_through", end)).result()
            finally:
                self._let_fold(may=True)
            return moved

    def note_unsettled(self, days: UnsettledDays) -> None:
        """Remember durably that these days are to be settled again (a meter was installed or exchanged)."""
        if len(days):
            self._jobs.enqueue(lambda connection: journal.insert_unsettled(connection, merged_days([days]))).result()

    def settled(self, days: UnsettledDays) -> None:
        """Forget these entries of ``days_to_settle`` durably; a day noted again meanwhile stays on the list."""
        self._jobs.enqueue(lambda connection: self._replace_unsettled(connection, days)).result()

    # --- reading ------------------------------------------------------------------------------------------------

    def read(self, series: Sequence[int], start: int, end: int) -> Readings:
        """Read ``start <= time < end`` of the series, sorted by (series, time, value)."""
        wanted = sorted(set(series))
        if not wanted or start >= end:
            return Readings.empty()
        attempt = 0
        while True:
            with self._reader() as connection:
                paths, parts = self._snapshot(connection, wanted, start, end)
            try:
                parts.append(self._of_segments(paths, wanted, start, end))
                return live(Readings.concatenate(parts).sorted())
            except FileNotFoundError:  # a compaction merged the segment away after the snapshot, or it is lost
                attempt += 1
                if attempt >= OPEN_RETRIES:
                    self._quarantine_lost(paths)
            except OSError as error:
                raise translated(error, self._segments) from error

    def stretches(
        self, series: Sequence[int], start: int, end: int, progress: Callable[[int, int], None] = unwatched
    ) -> Stretches:
        """Return at what times there are readings of the series, ``start <= time < end`` by whole UTC days.

        Days of one segment cost what their stretches cost; the others are read.

        Args:
            series: numbers of series.
            start: UTC seconds.
            end: UTC seconds.
            progress: called with the days done, and all of them.

        """
        wanted = np.asarray(sorted(set(series)), np.int32)
        if not len(wanted) or start >= end:
            return Stretches.concatenated([])
        span = day_of(start), day_of(end - 1)
        if len(wanted) <= FEW_SERIES:
            return Stretches.of(self.read(wanted.tolist(), span[0] * DAY_S, (span[1] + 1) * DAY_S))
        with self._reader() as connection:
            segments = self._segments_of_days(connection, *span)
            pending = self._pending_days(connection, *span)
            self._stretches.forget_others(journal.segment_names(connection))
        days = sorted(segments.keys() | pending)
        found, fresh = Stretches.concatenated([]), []
        for at, day in enumerate(days, 1):
            names = segments.get(day, [])
            kept = self._kept_stretches(names[0]) if len(names) == 1 and day not in pending else None
            fresh.append(self._stretches_of_day(day, wanted) if kept is None else kept[np.isin(kept.series, wanted)])
            if len(fresh) == STRETCHED_AT_ONCE or at == len(days):
                found, fresh = Stretches.concatenated([found, *fresh]), []
                progress(at, len(days))
        return found

    def _kept_stretches(self, name: str) -> Stretches | None:
        """Return the times of a whole segment; None where it is damaged, or was merged away meanwhile."""
        if not (self._segments / name).exists():
            return None
        return self._stretches.of(name, lambda: self._whole(name))

    def _stretches_of_day(self, day: int, wanted: NDArray[np.int32]) -> Stretches:
        return Stretches.of(self.read(wanted.tolist(), day * DAY_S, (day + 1) * DAY_S))

    def _segments_of_days(self, connection: sqlite3.Connection, first: int, last: int) -> dict[int, list[str]]:
        found: dict[int, list[str]] = {}
        for day, name in connection.execute("select day, name from segment where day between ? and ?", (first, last)):
            if not self._quarantine.hides(name):
                found.setdefault(day, []).append(name)
        return found

    def _pending_days(self, connection: sqlite3.Connection, first: int, last: int) -> set[int]:
        """Return the days of which a batch is not compacted."""
        found: set[int] = set()
        for row in journal.batch_rows(connection):
            found.update(np.unique(self._batch(connection, row).time // DAY_S).tolist())
        return {day for day in found if first <= day <= last}

    def pending(self) -> Iterator[Readings]:
        """Read the batches that are not compacted yet, one by one."""
        with self._reader() as connection:
            rows = journal.batch_rows(connection)
            loaded = (batch for row in rows if (batch := self._loaded(connection, row)) is not None)
            yield from live_batches(loaded) if imports.has_undone(connection) else map(without_marks, loaded)

    def imports(self) -> list[ImportRecord]:
        """List the imports, oldest first, those that were undone included."""
        with self._reader() as connection:
            return imports.import_rows(connection)

    def series_of_import(self, number: int) -> list[int]:
        """List the numbers of the series of an import; raises ``UnknownImportError``."""
        with self._reader() as connection:
            if imports.import_record(connection, number) is None:
                raise UnknownImportError(number)
            found = [np.unique(part.series) for part in imports.import_parts(connection, number)]
        return [] if not found else [int(series) for series in np.unique(np.concatenate(found))]

    def days_to_settle(self) -> UnsettledDays:
        """Return every (series, day) that was noted and not settled since, sorted by series and day."""
        with self._reader() as connection:
            rows = [days for _number, days in journal.unsettled_rows(connection)]
        return merged_days([days for days in rows if isinstance(days, UnsettledDays)])

    def quarantined(self) -> list[QuarantinedItem]:
        """List the quarantined batches and segments, in the order they were found."""
        return self._quarantine.items()

    def bounds(self, series: int) -> tuple[int, int] | None:
        """Return the first and last stored time of a series, or None where nothing is stored; without I/O."""
        return self._bounds.of(series)

    def newest_closed(self) -> int | None:
        """Return the time of the newest reading in segments, or None where there are none."""
        with self._reader() as connection:
            names = [name for (name,) in connection.execute("select name from segment order by day desc, name desc")]
            has_undone = imports.has_undone(connection)
        with storage_errors(self._segments):
            for name in names:
                found = None if self._quarantine.hides(name) else self._whole(name)
                if found is not None and has_undone and len(found):
                    day = day_of(int(found.time[0]))
                    found = self.read(np.unique(found.series).tolist(), day * DAY_S, (day + 1) * DAY_S)
                if found is not None and len(found):
                    return int(found.time.max())
        return None

    def highest_series(self) -> int:
        """Return the highest number of a series with readings, 0 where there are none; without I/O."""
        return self._bounds.highest()

    def events(self, device: str) -> list[MeterEvent]:
        """List a device's events in order of time."""
        with self._reader() as connection:
            return journal.events_of(connection, device)

    def counts(self) -> StoreCounts:
        """Count the stored readings, exactly."""
        with self._reader() as connection:
            meta = dict(connection.execute("select name, value from meta").fetchall())
            taken_off = {name for (name,) in connection.execute("select name from quarantined")}
            (batches, journal_octets) = connection.execute(
                "select count(*), coalesce(sum(length(octets)), 0) from batch"
            ).fetchone()
            (segments, octets) = connection.execute("select count(*), coalesce(sum(octets), 0) from segment").fetchone()
            (events,) = connection.execute("select count(*) from event").fetchone()
        quarantined = self._quarantine.items()
        still_counted = sum(item.readings for item in quarantined if item.name not in taken_off)
        return StoreCounts(
            readings=meta.get("readings", 0) - still_counted,
            duplicates=meta.get("duplicates", 0),
            conflicts=meta.get("conflicts", 0),
            late=meta.get("late", 0),
            events=events,
            batches=batches,
            segments=segments,
            octets=octets + journal_octets,
            quarantined=len(quarantined),
            quarantined_readings=sum(item.readings for item in quarantined),
        )

    @property
    def closed_through(self) -> int | None:
        """UTC midnight before which days are closed, or None."""
        with self._reader() as connection:
            return journal.meta_of(connection, "closed_through")

    # --- what the writer thread runs ----------------------------------------------------------------------------

    def _finish(self, connection: sqlite3.Connection) -> None:
        """Note the days of all batches of a transaction as unsettled: one row for all."""
        days = self._changes.days()
        if days is not None:
            journal.insert_unsettled(connection, days)
            self._unsettled_rows += 1
        self._step("commit")

    def _append(
        self, connection: sqlite3.Connection, readings: Readings, events: Sequence[MeterEvent], batch_id: bytes | None
    ) -> Receipt:
        if batch_id is not None:
            arrived = int(readings.received_at.max()) if len(readings) else 0
            if not journal.accept_batch(connection, batch_id, arrived):
                return Receipt(Readings.empty(), repeated=True)
        journal.insert_events(connection, events)
        receipt, stored = self._sift(connection, readings)
        if len(stored):
            journal.insert_batch(connection, stored)
            self._changes.note(stored)
        journal.add_receipt(connection, receipt)
        return receipt

    def _take_import(
        self,
        connection: sqlite3.Connection,
        record: ImportRecord,
        parts: Iterable[Readings],
        note: Callable[[Receipt], None],
    ) -> ImportRecord:
        taken = imports.insert_import(connection, record)
        for part in parts:
            receipt, stored = self._sift(connection, marked(part, OF_IMPORT))
            if len(stored):
                journal.insert_batch(connection, stored)
                imports.insert_part(connection, taken, stored)
                self._changes.note_part(stored)
            journal.add_receipt(connection, receipt)
            taken = imports.with_part(taken, part, receipt)
            note(receipt)
        imports.set_counts(connection, taken)
        return taken

    def _undo_import(self, connection: sqlite3.Connection, number: int, at: int) -> ImportRecord:
        record = imports.import_record(connection, number)
        if record is None:
            raise UnknownImportError(number)
        if record.undone_at is not None:
            raise ImportUndoneError(number, record.undone_at)
        touched: list[UnsettledDays] = []
        for part in imports.import_parts(connection, number):
            before = len(self._stored_beside(connection, part))
            journal.insert_batch(connection, marked(part, VOID))
            journal.add_meta(connection, "readings", len(self._stored_beside(connection, part)) - before)
            touched.append(touched_days([part]))
        days = merged_days(touched)
        bounds = {int(series): self._bounds_left(connection, int(series)) for series in np.unique(days.series)}
        self._changes.set_bounds(bounds, days)
        journal.replace_bounds(connection, bounds)
        imports.set_undone(connection, number, at)
        return replace(record, undone_at=at)

    def _stored_beside(self, connection: sqlite3.Connection, part: Readings) -> Readings:
        """Read what counts of the series of a part over its span."""
        series = [int(number) for number in np.unique(part.series)]
        return live(self._known(connection, series, int(part.time.min()), int(part.time.max()) + 1).sorted())

    def _bounds_left(self, connection: sqlite3.Connection, series: int) -> tuple[int, int] | None:
        """Return the first and last time of a series of which rows were taken back."""
        known = self._bounds.of(series)
        if known is None:
            return None
        left = live(self._known(connection, [series], known[0], known[1] + 1).sorted())
        return (int(left.time[0]), int(left.time[-1])) if len(left) else None

    def _sift(self, connection: sqlite3.Connection, readings: Readings) -> tuple[Receipt, Readings]:
        """Sort readings into new ones, duplicates and conflicts; return what became of them, and what to store."""
        if not len(readings):
            return Receipt(readings), readings
        self._bounds.reserve(int(readings.series.max()))
        closed_through = journal.meta_of(connection, "closed_through")
        readings, late = marked_late(readings, FIRST_TIME if closed_through is None else closed_through)
        if self._bounds.is_news(readings):
            return Receipt(readings, late=late), readings
        wanted = [int(number) for number in np.unique(readings.series)]
        start, end = int(readings.time.min()), int(readings.time.max()) + 1
        return sift(self._known(connection, wanted, start, end), readings)

    def _known(self, connection: sqlite3.Connection, wanted: Sequence[int], start: int, end: int) -> Readings:
        """Read all rows of ``start <= time < end``, with marks, as the writer: only it swaps segments."""
        paths, parts = self._snapshot(connection, wanted, start, end)
        try:
            parts.append(self._of_segments(paths, wanted, start, end))
        except FileNotFoundError:  # it is lost
            self._quarantine_lost(paths)
            parts.append(self._of_segments([path for path in paths if path.exists()], wanted, start, end))
        return Readings.concatenate(parts)

    def _replace_unsettled(self, connection: sqlite3.Connection, settled: UnsettledDays | None = None) -> None:
        """Write the days to settle as one row, without those that were settled."""
        parts: list[UnsettledDays] = []
        for number, days in list(journal.unsettled_rows(connection)):
            if isinstance(days, UnsettledDays):
                parts.append(days)
            else:
                parts.append(self._lost_days(connection, number, str(days)))
        connection.execute("delete from unsettled")
        known = merged_days(parts)
        journal.insert_unsettled(connection, known if settled is None else remaining_days(known, settled))
        self._unsettled_rows = 1

    def _lost_days(self, connection: sqlite3.Connection, number: int, reason: str) -> UnsettledDays:
        """Set a damaged row of days to settle aside; return all days that are not compacted, to settle them again."""
        item = self._quarantine.of_days(number, reason)
        self._quarantine.add(item)
        row = connection.execute("select octets from unsettled where number = ?", (number,)).fetchone()
        journal.insert_quarantined(connection, item, row[0] if isinstance(row[0], bytes) else None)
        return journal.pending_days(connection)

    def _let_fold(self, *, may: bool) -> None:
        self._may_fold = may

    def _fold(self) -> None:
        """Join small batches into one, in one transaction of its own; likewise the days to settle."""
        if not self._may_fold:
            return
        connection = self._writer
        try:
            rows = [row for row in self._small_batches(connection) if not self._quarantine.hides(batch_name(row.seq))]
            batches = [(row.seq, self._loaded(connection, row)) for row in rows] if len(rows) >= FOLD_AT else []
            joined = [(seq, batch) for seq, batch in batches if batch is not None]
            if not joined and self._unsettled_rows < FOLD_AT:
                return
            connection.execute("begin immediate")
            if joined:
                journal.delete_batches(connection, [seq for seq, _batch in joined])
                journal.insert_batch(connection, Readings.concatenate([batch for _seq, batch in joined]).sorted())
            if self._unsettled_rows >= FOLD_AT:
                self._replace_unsettled(connection)
            self._step("fold")
            connection.execute("commit")
        except Exception:
            # Folding only saves time: the batches stay as they were, and the next commit tries again.
            with contextlib.suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("rollback")
            log.exception("small batches were not folded")

    def _small_batches(self, connection: sqlite3.Connection) -> list[BatchRow]:
        query = "select count(*) from batch where readings < ?"
        (small,) = connection.execute(query, (SMALL_BATCH,)).fetchone()
        return [] if small < FOLD_AT else [row for row in journal.batch_rows(connection) if row.readings < SMALL_BATCH]

    # --- compaction ---------------------------------------------------------------------------------------------

    def _compact_step(self, end: int) -> int:
        chosen: list[int] = []
        parts: list[Readings] = []
        with self._reader() as connection:
            for row in journal.batch_rows(connection):
                batch = self._loaded(connection, row) if row.first_time < end else None
                if batch is not None:
                    chosen.append(row.seq)
                    parts.append(batch)
                if sum(map(len, parts)) >= COMPACT_READINGS:
                    break
        if not chosen:
            return 0
        readings = Readings.concatenate(parts)
        closed = readings.time < end
        old, rest = readings[closed], readings[~closed]
        days = old.time // DAY_S
        written = [self._write_day(int(day), old[days == day].sorted()) for day in np.unique(days)]
        self._step("segments written")
        self._jobs.enqueue(lambda connection: self._swap(connection, written, chosen, rest, old)).result()
        self._step("swapped")
        return len(old)

    def _write_day(self, day: int, readings: Readings) -> SegmentRow:
        number = self._jobs.enqueue(lambda connection: journal.add_meta(connection, "segment_number", 1)).result()
        name = f"{np.datetime64(day, 'D')}-{number:08d}.parquet"
        path = write_segment(self._segments / name, readings)
        self._stretches.keep(path.name, readings)
        self._step("segment written")
        return SegmentRow(path.name, day, len(readings), path.stat().st_size)

    def _swap(
        self,
        connection: sqlite3.Connection,
        written: list[SegmentRow],
        batches: list[int],
        rest: Readings,
        moved: Readings,
    ) -> None:
        journal.insert_segments(connection, written)
        journal.delete_batches(connection, batches)
        if len(rest):
            journal.insert_batch(connection, rest)
        bounds = self._bounds
        journal.widen_bounds(
            connection,
            [(int(number), int(bounds.first[number]), int(bounds.last[number])) for number in np.unique(moved.series)],
        )
        journal.forget_accepted(connection, ACCEPTED_KEPT)
        self._step("swap")

    def _merge_days(self) -> None:
        """Merge the segments of days that have further ones from late readings."""
        with self._reader() as connection:
            days = connection.execute("select day from segment group by day having count(*) > 1").fetchall()
        for (day,) in days:
            self._merge_day(day)

    def _merge_day(self, day: int) -> None:
        with self._reader() as connection:
            query = "select name from segment where day = ? order by name"
            names = [name for (name,) in connection.execute(query, (day,)) if not self._quarantine.hides(name)]
        found = [(name, self._whole(name)) for name in names]
        whole = [(name, readings) for name, readings in found if readings is not None]
        if len(whole) < 2:
            return
        names = [name for name, _readings in whole]
        written = self._write_day(day, Readings.concatenate([readings for _name, readings in whole]).sorted())
        self._jobs.enqueue(partial(journal.replace_segments, names=names, written=written)).result()
        self._step("merged")
        for name in names:
            (self._segments / name).unlink(missing_ok=True)
        sync_directory(self._segments)

    # --- damage -------------------------------------------------------------------------------------------------

    def _loaded(self, connection: sqlite3.Connection, row: BatchRow) -> Readings | None:
        """Read a batch; None where it is quarantined, before or now."""
        if self._quarantine.hides(batch_name(row.seq)):
            return None
        try:
            return read_batch(journal.octets_of(connection, row.seq))
        except DamagedBatchError as error:
            self._set_batch_aside(row, error.detail)
            return None

    def _whole(self, name: str) -> Readings | None:
        """Read a segment; None where it is damaged or lost, and is quarantined now."""
        path = self._segments / name
        try:
            return read_segment(path)
        except FileNotFoundError:
            self._set_segment_aside(path, "is gone")
        except DamagedSegmentError as error:
            self._set_segment_aside(path, error.detail)
        return None

    def _of_segments(self, paths: Sequence[Path], series: Sequence[int], start: int, end: int) -> Readings:
        """Read from segments; damaged ones are quarantined and left out."""
        left = list(paths)
        while left:
            try:
                return self._query.read(left, series, start, end)
            except DamagedSegmentError as error:
                self._set_segment_aside(Path(error.path), error.detail)
                left = [path for path in left if not self._quarantine.hides(path.name)]
        return Readings.empty()

    def _quarantine_lost(self, paths: Sequence[Path]) -> None:
        for path in paths:
            if not path.exists():
                self._set_segment_aside(path, "is gone; restore it from a backup")

    def _set_batch_aside(self, row: BatchRow, reason: str) -> None:
        item = self._quarantine.of_batch(row, reason)
        if self._quarantine.add(item):
            self._jobs.submit_unseen(partial(journal.quarantine_batch, item=item, seq=row.seq))

    def _set_segment_aside(self, path: Path, reason: str) -> None:
        with self._reader() as connection:
            row = journal.segment_row(connection, path.name)
        if row is None or self._quarantine.hides(path.name):
            return  # merged away meanwhile, or another reader was faster
        item = self._quarantine.of_segment(row, reason, path)
        if self._quarantine.add(item):
            self._jobs.submit_unseen(partial(journal.quarantine_segment, item=item))

    # --- opening and snapshots ----------------------------------------------------------------------------------

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, check_same_thread=False)
        try:
            harden(connection, busy_timeout_s=edge.BUSY_TIMEOUT_S)
        except BaseException:
            connection.close()
            raise
        return connection

    def _prepare(self) -> None:
        journal.prepare(self._writer, self._path)
        journal.note_open(self._writer, self._path, has_log=self._has_log)
        sync_directory(self._directory)
        self._quarantine.load(journal.quarantined_rows(self._writer))
        opening = StoreOpening(self._writer, self._segments, self._quarantine)
        opening.compare_segments()
        for series, first, last in self._writer.execute("select series, first_time, last_time from bound"):
            self._bounds.load(series, first, last)
        for batch in opening.batches():
            self._bounds.note(batch)
        (self._unsettled_rows,) = self._writer.execute("select count(*) from unsettled").fetchone()
        if any(isinstance(days, DamagedError) for _number, days in journal.unsettled_rows(self._writer)):
            opening.commit_now(self._replace_unsettled)

    @contextlib.contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        """Lend a connection inside a read transaction."""
        if self._is_closed():
            raise StorageClosedError("the store is closed", str(self._directory))
        with self._guard:
            connection = self._readers.pop() if self._readers else None
        with storage_errors(self._path):
            if connection is None:
                connection = self._connect()
            try:
                connection.execute("begin")
                yield connection
                connection.execute("rollback")
            except BaseException:
                connection.close()
                raise
        with self._guard:
            if not self._closed:
                self._readers.append(connection)
                return
        connection.close()

    def _is_closed(self) -> bool:
        with self._guard:
            return self._closed

    def _snapshot(
        self, connection: sqlite3.Connection, series: Sequence[int], start: int, end: int
    ) -> tuple[list[Path], list[Readings]]:
        """Return the segments to ask and the matching readings of the journal, as of one moment."""
        names = connection.execute(
            "select name from segment where day between ? and ?", (day_of(start), day_of(end - 1))
        )
        paths = [self._segments / name for (name,) in names if not self._quarantine.hides(name)]
        rows = connection.execute(
            "select seq, readings, first_time, last_time, first_series, last_series from batch"
            " where last_time >= ? and first_time < ? and last_series >= ? and first_series <= ?",
            (start, end, series[0], series[-1]),
        ).fetchall()
        wanted = np.asarray(series, np.int32)
        parts = []
        for row in rows:
            batch = self._batch(connection, BatchRow(*row))
            mask = (batch.time >= start) & (batch.time < end) & np.isin(batch.series, wanted)
            if mask.any():
                parts.append(batch[mask])
        return paths, parts

    def _batch(self, connection: sqlite3.Connection, row: BatchRow) -> Readings:
        cached = self._cache.get(row.seq)
        if cached is not None:
            return cached
        batch = self._loaded(connection, row)
        if batch is None:
            return Readings.empty()
        self._cache.keep(row.seq, batch)
        return batch
