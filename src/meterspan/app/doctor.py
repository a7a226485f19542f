"""What ``meterspan doctor`` looks at: a data folder of ``home`` or ``serve``, read and never written.

Strategy: each check yields findings about files that are there; a check that cannot read its file reports it, and the
others go on. SQLite files are opened read-only, batches and segments are held against their checksums.
"""

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import sqlalchemy as sa

from meterspan.app.data_folders import loose_folder, why_not_ours
from meterspan.model.damage import LOSSES, REMEDIES
from meterspan.model.storage.errors import StorageError
from meterspan.model.storage.readings import DamageKind
from meterspan.quantities import utc
from meterspan.runtime import inventory_file, order_file
from meterspan.runtime.state import next_counters
from meterspan.store import journal, registry
from meterspan.store.columns import read_batch
from meterspan.store.edge import storage_errors
from meterspan.store.inspection import InspectedFile, inspected
from meterspan.store.left_out import rows_saved_again, unreadable_values
from meterspan.store.segments import check_segment

__all__ = ["Finding", "Health", "examine", "is_healthy"]

ROOM_MIN_OCTETS: Final = 1 << 30
"""Less free room than this is worth a note: a district of a thousand meters fills it in months."""
ROOM_NEEDED_OCTETS: Final = 1 << 24
"""With less, a database cannot grow by its next step, and nothing is stored."""
COUNTERS_END: Final = 1 << 32
COUNTER_NOTE_AT: Final = 0.9
"""A key whose invocation counter has used this share of its 32 bits should be changed soon."""


class Health(StrEnum):
    """The health of one item."""

    GOOD = "good"
    NOTE = "note"
    """Works, and somebody should know."""
    FAULT = "fault"
    """Something is missing, damaged or open to others."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        health: good, or how bad.
        what: file or property, relative to the folder.
        detail: the finding, and the remedy where something is wrong.

    """

    health: Health
    what: str
    detail: str


def is_healthy(findings: list[Finding]) -> bool:
    """Whether no finding is a fault."""
    return all(finding.health is not Health.FAULT for finding in findings)


def examine(folder: Path) -> list[Finding]:
    """Check a data folder and return the findings, in a fixed order; nothing is changed."""
    readings = folder / "data" / "readings"
    if not (readings / "journal.sqlite").is_file():
        detail = "holds no readings of meterspan; name the folder of home or serve"
        return [Finding(Health.FAULT, str(folder), detail)]
    findings = [_in_use(readings), _room(folder)]
    for name, format_known, checks in _FILES:
        path = folder / name
        if path.is_file():
            findings += _database(path, folder, format_known, checks)
    findings += _segments(readings, folder)
    findings += _secrets(folder)
    return findings


def _in_use(folder: Path) -> Finding:
    """Ask the folder itself, which its owner locks."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return Finding(Health.GOOD, "in use", "a program has the folder open; its newest writes may not be seen")
    finally:
        os.close(handle)
    return Finding(Health.GOOD, "in use", "no program has the folder open")


def _room(folder: Path) -> Finding:
    free = shutil.disk_usage(folder).free
    if free < ROOM_NEEDED_OCTETS:
        return Finding(Health.FAULT, "free room", f"{free / 1e6:,.0f} MB: nothing can be stored; make room now")
    if free < ROOM_MIN_OCTETS:
        return Finding(Health.NOTE, "free room", f"{free / 1e6:,.0f} MB: make room before the disk is full")
    return Finding(Health.GOOD, "free room", f"{free / 1e9:,.0f} GB")


Check = Callable[[InspectedFile], Iterator[Finding]]


def _database(path: Path, folder: Path, format_known: int | None, checks: tuple[Check, ...]) -> Iterator[Finding]:
    """Check one SQLite file: readable, whole, of a known format, and what is in it."""
    name = str(path.relative_to(folder))
    try:
        with inspected(path) as file:
            file.require_whole()
            words = "whole" if format_known is None else f"whole, format {file.format_up_to(format_known)}"
            yield Finding(Health.GOOD, name, words)
            for check in checks:
                yield from check(file)
    except StorageError as error:
        yield Finding(Health.FAULT, name, error.detail)


def _batches(file: InspectedFile) -> Iterator[Finding]:
    """Hold every batch against its checksum."""
    rows = journal.batch_rows(file.connection)
    damaged = 0
    for row in rows:
        try:
            read_batch(journal.octets_of(file.connection, row.seq))
        except StorageError as error:
            damaged += 1
            detail = f"{error}: {row.readings:,} readings; it is quarantined when the store opens"
            yield Finding(Health.FAULT, f"batch {row.seq}", f"{detail}. {_advice(DamageKind.BATCH)}")
    yield Finding(Health.GOOD, "batches", f"{len(rows) - damaged:,} of {len(rows):,} whole")


def _log(file: InspectedFile) -> Iterator[Finding]:
    """Look for a copy that lacks the newest writes."""
    has_log = file.path.with_name(f"{file.path.name}-wal").exists()
    if journal.is_log_missing(file.connection, has_log=has_log):
        yield Finding(Health.FAULT, file.path.name, journal.LOG_MISSING)


def _quarantined(file: InspectedFile) -> Iterator[Finding]:
    for item in journal.quarantined_rows(file.connection):
        since = "" if item.found_at is None else f" on {utc(item.found_at):%Y-%m-%d %H:%M} UTC"
        lost = f" {item.readings:,} readings are missing;" if item.readings else ""
        detail = f"quarantined{since}: {item.reason};{lost} kept at {item.kept_at or 'no place'}. {_advice(item.kind)}"
        yield Finding(Health.FAULT, item.name, detail)


def _unsettled(file: InspectedFile) -> Iterator[Finding]:
    days, damaged = 0, 0
    for _number, found in journal.unsettled_rows(file.connection):
        if isinstance(found, StorageError):
            damaged += 1
        else:
            days += len(found)
    yield Finding(Health.GOOD, "days to settle", f"{days:,} days of series; home and serve settle them by themselves")
    if damaged:
        yield Finding(Health.FAULT, "days to settle", f"{damaged} rows are damaged. {_advice(DamageKind.DAYS)}")


def _left_out(file: InspectedFile) -> Iterator[Finding]:
    for name, reason in rows_saved_again(file.connection):
        yield Finding(Health.FAULT, name, f"left out: {reason}. {_advice(DamageKind.ROW)}")


def _rows_of(tables: sa.MetaData) -> Check:
    """Return a check of the values of JSON in the rows of a database: a program leaves out damaged ones."""

    def check(file: InspectedFile) -> Iterator[Finding]:
        for row, column in unreadable_values(file.connection, tables):
            yield Finding(Health.FAULT, row, f"{column} is no table of values. {_advice(DamageKind.ROW)}")

    return check


def _counters(file: InspectedFile) -> Iterator[Finding]:
    """Check whether any of our invocation counters is near its end."""
    counters = next_counters(file.connection)
    for name, following in counters:
        if following >= COUNTER_NOTE_AT * COUNTERS_END:
            detail = f"{following / COUNTERS_END:.0%} of the invocation counters are used: change the key soon"
            yield Finding(Health.NOTE, f"{file.path.name} {name}", detail)
    yield Finding(Health.GOOD, f"counters in {file.path.name}", f"{len(counters):,} kept")


def _advice(kind: DamageKind) -> str:
    """Return what is lost and what to do, in the words of the operator's page."""
    return f"{LOSSES[kind]} {REMEDIES[kind]}"


_FILES: Final[tuple[tuple[str, int | None, tuple[Check, ...]], ...]] = (
    ("data/readings/journal.sqlite", journal.FORMAT, (_log, _batches, _quarantined, _unsettled)),
    ("data/registry.sqlite", None, (_left_out, _rows_of(registry.METADATA))),
    ("home.sqlite", None, (_counters,)),
    ("head_end.sqlite", None, (_counters,)),
    ("inventory.sqlite", None, (_left_out, _rows_of(inventory_file.METADATA))),
    ("orders.sqlite", None, (_left_out, _rows_of(order_file.METADATA))),
)
"""Databases of a folder: path, newest format of the file that is known, and what is looked at in it."""


def _segments(readings: Path, folder: Path) -> Iterator[Finding]:
    """Hold every segment that the journal names against its checksum."""
    try:
        with inspected(readings / "journal.sqlite") as file:
            names = journal.segment_names(file.connection)
    except StorageError:
        return  # reported for the journal already
    whole = 0
    for name in names:
        path = readings / "segments" / name
        if not path.exists():
            yield Finding(Health.FAULT, str(path.relative_to(folder)), "is missing; restore it from a backup")
            continue
        try:
            with storage_errors(path):
                check_segment(path)
            whole += 1
        except StorageError as error:
            yield Finding(Health.FAULT, str(path.relative_to(folder)), str(error))
    yield Finding(Health.GOOD, "segments", f"{whole:,} of {len(names):,} whole")


_SECRET_FILES: Final = ("home.sqlite", "head_end.sqlite", "inventory.sqlite", "orders.sqlite", "access_point.toml")


def _secrets(folder: Path) -> Iterator[Finding]:
    """Look whether others of this machine can read keys and counters."""
    loose = loose_folder(folder)
    if loose is not None:
        why = why_not_ours(folder) or f"others can use {loose}; a start tightens it, or run: chmod 700 {loose}"
        yield Finding(Health.FAULT, str(loose), why)
    open_folder = bool(folder.stat().st_mode & 0o007)
    for name in _SECRET_FILES:
        path = folder / name
        if path.is_file() and path.stat().st_mode & 0o077:
            health = Health.FAULT if open_folder else Health.NOTE
            yield Finding(health, name, f"others can read it: chmod 600 {path}")
