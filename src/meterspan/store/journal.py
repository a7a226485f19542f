"""The journal's tables and the statements on them; ``docs/formats/journal.md`` is their page.

Format 2 added ``unsettled`` and ``quarantined``, format 3 the kind and the time of what is quarantined, format 4 the
imports. An older one is converted at opening, in one transaction.
Every function runs inside a transaction of its caller, except ``prepare``.
"""

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from meterspan.model.readings import EventSeverity, MeterEvent
from meterspan.model.storage.errors import DamagedBatchError, DamagedError, UnknownFormatError
from meterspan.model.storage.readings import DamageKind, QuarantinedItem, Readings, Receipt, UnsettledDays
from meterspan.store.columns import read_batch, read_unsettled, write_batch, write_unsettled
from meterspan.store.unsettled import merged_days, touched_days

__all__ = [
    "FORMAT",
    "LOG_MISSING",
    "BatchRow",
    "SegmentRow",
    "accept_batch",
    "add_meta",
    "add_receipt",
    "batch_rows",
    "delete_batches",
    "events_of",
    "extent_of",
    "forget_accepted",
    "insert_batch",
    "insert_events",
    "insert_quarantined",
    "insert_segments",
    "insert_unsettled",
    "is_log_missing",
    "list_segment_again",
    "meta_of",
    "note_closed",
    "note_open",
    "octets_of",
    "pending_days",
    "prepare",
    "quarantine_batch",
    "quarantine_segment",
    "quarantined_rows",
    "repair_extent",
    "replace_bounds",
    "replace_segments",
    "segment_names",
    "segment_row",
    "segment_rows",
    "set_meta_max",
    "unsettled_rows",
    "widen_bounds",
]

FORMAT: Final = 4
APPLICATION_ID: Final = 0x4D53_504E  # "MSPN" in the header of the SQLite file

_OPEN: Final = "open"
"""A counter of ``meta`` that is there while the journal is open, and after a crash."""
LOG_MISSING: Final = (
    "is a copy without journal.sqlite-wal, where its newest readings are: copy both, or the whole folder; where the log"
    " is lost, `sqlite3 journal.sqlite \"delete from meta where name = 'open'\"` goes on without them"
)

_TABLES_1: Final = """
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
_TABLES_2: Final = """
create table unsettled (number integer primary key autoincrement, octets blob not null);
create table quarantined (
  name text primary key, reason text not null, kept_at text not null,
  readings integer not null, first_time integer, last_time integer, octets blob
);
"""
_TABLES_3: Final = """
alter table quarantined add column kind text not null default 'batch';
alter table quarantined add column found_at integer;
update quarantined set kind = case
  when name like 'batch %' then 'batch' when name like 'days to settle %' then 'days-to-settle' else 'segment' end;
"""
_TABLES_4: Final = """
create table import_file (
  number integer primary key autoincrement, name text not null, digest blob not null, taken_at integer not null,
  readings integer not null, duplicates integer not null, conflicts integer not null,
  first_time integer, last_time integer, undone_at integer
);
create index import_digest on import_file (digest);
create table import_part (
  number integer primary key autoincrement, import_number integer not null references import_file (number),
  octets blob not null
);
create index import_part_of on import_part (import_number);
"""
_TABLES: Final = (_TABLES_1, _TABLES_2, _TABLES_3, _TABLES_4)
"""What each format added."""
_STAMP: Final = f"pragma application_id = {APPLICATION_ID}; pragma user_version = {FORMAT};"


class BatchRow(NamedTuple):
    """A batch without its octets: its row in the table."""

    seq: int
    readings: int
    first_time: int
    last_time: int
    first_series: int
    last_series: int


class SegmentRow(NamedTuple):
    """A segment that counts."""

    name: str
    day: int
    readings: int
    octets: int


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Create the tables of a new journal, or convert an older one to this format.

    Raises:
        UnknownFormatError: a newer release wrote it.

    """
    version = _format_of(connection)
    if version > FORMAT:
        raise UnknownFormatError(str(path), version, FORMAT)
    if version == FORMAT:
        return
    tables = "".join(_TABLES[version:])
    try:
        connection.executescript(f"begin immediate; {tables} {_STAMP}")
        if version == 1:
            insert_unsettled(connection, pending_days(connection))
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:
            connection.execute("rollback")
        raise


def note_open(connection: sqlite3.Connection, path: Path, *, has_log: bool) -> None:
    """Note in the file itself that its newest writes are in its log from now on.

    Args:
        connection: prepared, outside of a transaction.
        path: of the journal.
        has_log: whether its log was there before it was opened.

    Raises:
        DamagedError: it was open when it was last written, and its log is not here: a copy without it.

    """
    if is_log_missing(connection, has_log=has_log):
        raise DamagedError(LOG_MISSING, str(path))
    set_meta_max(connection, _OPEN, 1)
    connection.execute("pragma wal_checkpoint(truncate)").fetchone()


def note_closed(connection: sqlite3.Connection) -> None:
    """Note that the file is whole without its log: the next to close is the last connection."""
    connection.execute("delete from meta where name = ?", (_OPEN,))


def is_log_missing(connection: sqlite3.Connection, *, has_log: bool) -> bool:
    """Return whether the newest writes of a journal were in a log that is not beside it."""
    return not has_log and meta_of(connection, _OPEN) is not None


def batch_rows(connection: sqlite3.Connection) -> list[BatchRow]:
    """List the batches by their number, without octets."""
    query = "select seq, readings, first_time, last_time, first_series, last_series from batch order by seq"
    return [BatchRow(*row) for row in connection.execute(query)]


def segment_names(connection: sqlite3.Connection) -> list[str]:
    """List the segments that count, by name."""
    return [str(name) for (name,) in connection.execute("select name from segment order by name")]


def segment_rows(connection: sqlite3.Connection) -> list[SegmentRow]:
    """List the segments that count."""
    return [SegmentRow(*row) for row in connection.execute("select name, day, readings, octets from segment")]


def segment_row(connection: sqlite3.Connection, name: str) -> SegmentRow | None:
    """Return the segment of this name, or None where it does not count."""
    query = "select name, day, readings, octets from segment where name = ?"
    found = connection.execute(query, (name,)).fetchone()
    return None if found is None else SegmentRow(*found)


def insert_segments(connection: sqlite3.Connection, rows: Iterable[SegmentRow]) -> None:
    """Add segments that count from now on."""
    connection.executemany("insert into segment values (?, ?, ?, ?)", rows)


def replace_segments(connection: sqlite3.Connection, names: Sequence[str], written: SegmentRow) -> None:
    """Let one segment count in the place of those that were merged into it."""
    connection.executemany("delete from segment where name = ?", [(name,) for name in names])
    insert_segments(connection, [written])


def list_segment_again(connection: sqlite3.Connection, row: SegmentRow) -> None:
    """Let a segment that was quarantined count again."""
    insert_segments(connection, [row])
    connection.execute("delete from quarantined where name = ?", (row.name,))
    add_meta(connection, "readings", row.readings)


def octets_of(connection: sqlite3.Connection, seq: int) -> bytes:
    """Read the octets of one batch.

    Raises:
        DamagedBatchError: SQLite's own pages under them are damaged, or the batch is gone.

    """
    try:
        row = connection.execute("select octets from batch where seq = ?", (seq,)).fetchone()
    except sqlite3.DatabaseError as error:
        if (getattr(error, "sqlite_errorcode", 0) & 0xFF) == sqlite3.SQLITE_CORRUPT:
            raise DamagedBatchError(f"the database cannot read its octets ({error})") from error
        raise
    if row is None or not isinstance(row[0], bytes):
        raise DamagedBatchError("it has no octets")
    return row[0]


def insert_batch(connection: sqlite3.Connection, readings: Readings) -> None:
    """Add a batch of at least one reading."""
    connection.execute(
        "insert into batch (readings, first_time, last_time, first_series, last_series, octets)"
        " values (?, ?, ?, ?, ?, ?)",
        (*extent_of(readings), write_batch(readings)),
    )


def delete_batches(connection: sqlite3.Connection, numbers: Iterable[int]) -> None:
    """Remove batches whose readings are stored in another place."""
    connection.executemany("delete from batch where seq = ?", [(seq,) for seq in numbers])


def accept_batch(connection: sqlite3.Connection, batch_id: bytes, arrived: int) -> bool:
    """Remember the id of a batch that came at ``arrived``, UTC seconds; False where it is known."""
    return bool(connection.execute("insert or ignore into accepted values (?, ?)", (batch_id, arrived)).rowcount)


def forget_accepted(connection: sqlite3.Connection, kept: int) -> None:
    """Forget the ids of batches but the newest ones."""
    connection.execute(
        "delete from accepted where batch_id not in (select batch_id from accepted order by accepted_at desc limit ?)",
        (kept,),
    )


def insert_events(connection: sqlite3.Connection, events: Iterable[MeterEvent]) -> None:
    """Add events; those that are stored already are left as they are."""
    connection.executemany(
        "insert into event values (?, ?, ?, ?, ?) on conflict (device, time, code, text) do nothing",
        [(event.device, event.time, event.code, event.text, int(event.severity)) for event in events],
    )


def events_of(connection: sqlite3.Connection, device: str) -> list[MeterEvent]:
    """List the events of a device in order of time."""
    query = "select time, code, text, severity from event where device = ? order by time, code"
    rows = connection.execute(query, (device,)).fetchall()
    return [MeterEvent(device, time, code, text, EventSeverity(severity)) for time, code, text, severity in rows]


def repair_extent(connection: sqlite3.Connection, row: BatchRow, readings: Readings) -> None:
    """Write the extent of a batch again from its octets, whose checksum is right."""
    connection.execute(
        "update batch set readings = ?, first_time = ?, last_time = ?, first_series = ?, last_series = ? where seq = ?",
        (*extent_of(readings), row.seq),
    )


def widen_bounds(connection: sqlite3.Connection, bounds: Iterable[tuple[int, int, int]]) -> None:
    """Widen the bounds of series of which readings went to segments; each is a series, its first and last time."""
    connection.executemany(
        "insert into bound values (?, ?, ?) on conflict (series) do update set"
        " first_time = min(first_time, excluded.first_time), last_time = max(last_time, excluded.last_time)",
        bounds,
    )


def replace_bounds(connection: sqlite3.Connection, bounds: Mapping[int, tuple[int, int] | None]) -> None:
    """Write the first and last time of series, None where one has no reading left."""
    connection.executemany("delete from bound where series = ?", [(series,) for series in bounds])
    connection.executemany(
        "insert into bound values (?, ?, ?)",
        [(series, *known) for series, known in bounds.items() if known is not None],
    )


def insert_unsettled(connection: sqlite3.Connection, days: UnsettledDays) -> None:
    """Note days to settle, as one row."""
    if len(days):
        connection.execute("insert into unsettled (octets) values (?)", (write_unsettled(days),))


def unsettled_rows(connection: sqlite3.Connection) -> Iterator[tuple[int, UnsettledDays | DamagedError]]:
    """Read the rows of days to settle by their number; one that is damaged is given as its error.

    A journal of format 1, which a reader does not convert, has none.
    """
    if _format_of(connection) < 2:
        return
    for number, octets in connection.execute("select number, octets from unsettled order by number").fetchall():
        try:
            yield number, read_unsettled(octets)
        except (DamagedBatchError, TypeError) as error:
            yield number, error if isinstance(error, DamagedError) else DamagedBatchError("it has no octets")


def pending_days(connection: sqlite3.Connection) -> UnsettledDays:
    """Return every day of every batch that reads back, for when it is not known what was settled."""
    parts = []
    for row in batch_rows(connection):
        try:
            parts.append(touched_days([read_batch(octets_of(connection, row.seq))]))
        except DamagedBatchError:
            continue  # it is quarantined when the batches are loaded
    return merged_days(parts)


def quarantined_rows(connection: sqlite3.Connection) -> list[QuarantinedItem]:
    """List quarantined items, in the order they were found; a journal of format 1 has none."""
    version = _format_of(connection)
    if version < 2:
        return []
    added = "kind, found_at" if version >= 3 else "'batch', null"  # of a journal that a reader may not convert
    query = f"select name, reason, kept_at, readings, first_time, last_time, {added} from quarantined order by rowid"  # noqa: S608 - no data
    return [_quarantined(row) for row in connection.execute(query)]


def insert_quarantined(connection: sqlite3.Connection, item: QuarantinedItem, octets: bytes | None = None) -> None:
    """Name what is damaged, with its octets where they are kept here, and count its readings no more."""
    connection.execute(
        "insert or replace into quarantined values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            item.name,
            item.reason,
            item.kept_at,
            item.readings,
            item.first_time,
            item.last_time,
            octets,
            item.kind,
            item.found_at,
        ),
    )
    if item.readings:
        add_meta(connection, "readings", -item.readings)


def quarantine_batch(connection: sqlite3.Connection, item: QuarantinedItem, seq: int) -> None:
    """Move a damaged batch from those that count to what is quarantined, with its octets."""
    insert_quarantined(connection, item, octets_of(connection, seq))
    delete_batches(connection, [seq])


def quarantine_segment(connection: sqlite3.Connection, item: QuarantinedItem) -> None:
    """Move a damaged segment from those that count to what is quarantined; its file is elsewhere."""
    insert_quarantined(connection, item)
    connection.execute("delete from segment where name = ?", (item.name,))


def _format_of(connection: sqlite3.Connection) -> int:
    (version,) = connection.execute("pragma user_version").fetchone()
    return int(version)


def _quarantined(row: tuple[Any, ...]) -> QuarantinedItem:
    name, reason, kept_at, readings, first, last, kind, found_at = row
    return QuarantinedItem(name, reason, kept_at, readings, first, last, DamageKind(kind), found_at)


def meta_of(connection: sqlite3.Connection, name: str) -> int | None:
    """Return a counter, or None where it was never set."""
    row = connection.execute("select value from meta where name = ?", (name,)).fetchone()
    return None if row is None else int(row[0])


def add_meta(connection: sqlite3.Connection, name: str, count: int) -> int:
    """Add to a counter and return its new value."""
    (value,) = connection.execute(
        "insert into meta values (?, ?) on conflict (name) do update set value = value + excluded.value"
        " returning value",
        (name, count),
    ).fetchone()
    return int(value)


def add_receipt(connection: sqlite3.Connection, receipt: Receipt) -> None:
    """Add what became of readings to the counters."""
    for name, count in (
        ("readings", len(receipt.fresh)),
        ("duplicates", receipt.duplicates),
        ("conflicts", receipt.conflicts),
        ("late", receipt.late),
    ):
        if count:
            add_meta(connection, name, count)


def set_meta_max(connection: sqlite3.Connection, name: str, value: int) -> None:
    """Raise a counter to ``value`` where it is lower."""
    connection.execute(
        "insert into meta values (?, ?) on conflict (name) do update set value = max(value, excluded.value)",
        (name, value),
    )


def extent_of(readings: Readings) -> tuple[int, int, int, int, int]:
    """Return number of readings, first and last time, first and last series, as ``BatchRow`` has them."""
    return (
        len(readings),
        int(readings.time.min()),
        int(readings.time.max()),
        int(readings.series.min()),
        int(readings.series.max()),
    )
