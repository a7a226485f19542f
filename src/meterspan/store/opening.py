"""The opening of a store: what its journal lists is compared with its files, and what is damaged is set aside.

It runs on one thread, before anybody else uses the store. Each finding is written in a transaction of its own; one that
cannot be written now (disk full, read-only) stays hidden, and is found again at the next opening.
"""

import contextlib
import logging
import sqlite3
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from meterspan.model.storage.errors import (
    DamagedBatchError,
    DamagedSegmentError,
    ForeignSegmentError,
    UnknownFormatError,
)
from meterspan.model.storage.readings import QuarantinedItem, Readings
from meterspan.quantities import DAY_S
from meterspan.store import imports, journal
from meterspan.store.columns import read_batch
from meterspan.store.journal import SegmentRow
from meterspan.store.layers import live_batches
from meterspan.store.quarantine import StoreQuarantine
from meterspan.store.segments import check_segment, segment_number

__all__ = ["StoreOpening"]

log = logging.getLogger(__name__)


class StoreOpening:
    """Compares a prepared journal with what it names.

    Args:
        connection: to the journal.
        segments: folder of the segments.
        quarantine: for what is damaged or lost.

    """

    def __init__(self, connection: sqlite3.Connection, segments: Path, quarantine: StoreQuarantine) -> None:
        self._connection = connection
        self._segments = segments
        self._quarantine = quarantine

    def compare_segments(self) -> None:
        """Compare the segments listed with the files: name what is lost, list what was restored, remove leftovers.

        A leftover is a file that this journal numbered and does not list: a cut compaction left it.

        Raises:
            ForeignSegmentError: there are segments that the journal never wrote.

        """
        listed = {row.name: row for row in journal.segment_rows(self._connection)}
        files = {path.name: path for path in self._segments.iterdir()}
        numbered = journal.meta_of(self._connection, "segment_number") or 0
        for name, path in files.items():
            if name not in listed and (segment_number(path) or 0) > numbered:
                raise ForeignSegmentError(str(path))
        lost = listed.keys() - files.keys()
        for name in lost:
            self._set_aside(listed[name], "is gone; restore it from a backup")
        restored = [item for item in self._quarantine.items() if item.name in files and item.name not in listed]
        for item in restored:
            self._take_restored(item, files[item.name])
        kept = listed.keys() | {item.name for item in restored}
        for name, path in files.items():
            if name not in kept and path.suffix == ".tmp":
                path.unlink()
            elif name not in kept and segment_number(path) is not None:
                if lost:  # it may be one of these, under a name that is damaged in the list
                    self._quarantine.move_file(path)
                else:
                    path.unlink()

    def batches(self) -> Iterator[Readings]:
        """Read the batches that count, and mend what is wrong beside their octets; damaged ones are quarantined."""
        loaded = self._repaired_batches()
        return live_batches(loaded) if imports.has_undone(self._connection) else loaded

    def commit_now(self, run: Callable[[sqlite3.Connection], None]) -> bool:
        """Run in a transaction of its own; False where nothing can be written now."""
        connection = self._connection
        try:
            connection.execute("begin immediate")
            run(connection)
            connection.execute("commit")
        except (sqlite3.Error, DamagedBatchError):
            log.exception("not moved aside in the journal; it stays hidden")
            with contextlib.suppress(sqlite3.Error):
                if connection.in_transaction:
                    connection.execute("rollback")
            return False
        return True

    def _set_aside(self, row: SegmentRow, reason: str) -> None:
        item = self._quarantine.of_segment(row, reason, self._segments / row.name)
        if self._quarantine.add(item):
            self.commit_now(partial(journal.quarantine_segment, item=item))

    def _take_restored(self, item: QuarantinedItem, path: Path) -> None:
        """List a segment again that was put back whole; one that is damaged as before stays aside."""
        try:
            check_segment(path)
        except (DamagedSegmentError, UnknownFormatError):
            return
        row = SegmentRow(item.name, (item.first_time or 0) // DAY_S, item.readings, path.stat().st_size)
        if self.commit_now(partial(journal.list_segment_again, row=row)):
            self._quarantine.forget(item.name)

    def _repaired_batches(self) -> Iterator[Readings]:
        for row in journal.batch_rows(self._connection):
            try:
                batch = read_batch(journal.octets_of(self._connection, row.seq))
            except DamagedBatchError as error:
                item = self._quarantine.of_batch(row, error.detail)
                if self._quarantine.add(item):
                    self.commit_now(partial(journal.quarantine_batch, item=item, seq=row.seq))
                continue
            if journal.extent_of(batch) != row[1:]:
                log.error("the extent of a batch was damaged; written anew from its octets", extra={"batch": row.seq})
                self.commit_now(partial(journal.repair_extent, row=row, readings=batch))
            yield batch
