"""Damaged batches and segments: named at once so that they are not read again, then moved by the journal's writer.

Nothing is deleted. A segment is moved to ``readings/quarantine``, the octets of a batch into the journal's table
``quarantined``. Where that is not possible now (disk full, read-only) it stays in its place, hidden by its name, and is
found again at the next opening. A segment that is put back whole from a backup counts again at the next opening.
"""

import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from meterspan.model.reasons import reason_of
from meterspan.model.storage.readings import DamageKind, QuarantinedItem
from meterspan.quantities import DAY_S
from meterspan.store.edge import wall_time
from meterspan.store.journal import BatchRow, SegmentRow
from meterspan.store.private_files import make_private_folder, sync_directory

__all__ = ["StoreQuarantine", "batch_name"]

log = logging.getLogger(__name__)


def batch_name(seq: int) -> str:
    """Return the name of a batch of the journal."""
    return f"batch {seq}"


class StoreQuarantine:
    """The list of quarantined batches and segments; safe for use from many threads.

    Args:
        directory: of the store; segments are moved to its folder ``quarantine``.
        journal: path of the journal, named as the place of octets kept there.
        clock: UTC seconds, for when an item was found.

    """

    def __init__(self, directory: Path, journal: Path, clock: Callable[[], float] = wall_time) -> None:
        self._clock = clock
        self._folder = directory / "quarantine"
        self._journal = journal
        self._items: dict[str, QuarantinedItem] = {}
        self._guard = threading.Lock()

    def load(self, items: Iterable[QuarantinedItem]) -> None:
        """Remember the items quarantined before."""
        with self._guard:
            self._items.update((item.name, item) for item in items)

    def add(self, item: QuarantinedItem) -> bool:
        """Hide it from now on; False where it is hidden already."""
        with self._guard:
            if item.name in self._items:
                return False
            self._items[item.name] = item
        log.error(
            "quarantined", extra={"item": item.name, "reason": item.reason, "path": item.kept_at, "rows": item.readings}
        )
        return True

    def forget(self, name: str) -> None:
        """Count it again: it was put back whole."""
        with self._guard:
            del self._items[name]
        log.warning("counted again: it was put back whole", extra={"item": name})

    def hides(self, name: str) -> bool:
        """Whether this batch or segment is quarantined."""
        return name in self._items

    def items(self) -> list[QuarantinedItem]:
        """List the quarantined batches and segments, in the order they were found."""
        with self._guard:
            return list(self._items.values())

    def of_batch(self, row: BatchRow, reason: str) -> QuarantinedItem:
        """Describe a damaged batch by its row."""
        kept_at = f"{self._journal} (table quarantined)"
        span = row.first_time, row.last_time
        kind, found_at = DamageKind.BATCH, int(self._clock())
        return QuarantinedItem(batch_name(row.seq), reason, kept_at, row.readings or 0, *span, kind, found_at)

    def of_days(self, number: int, reason: str) -> QuarantinedItem:
        """Describe a damaged row of days to settle."""
        kept_at = f"{self._journal} (table quarantined)"
        kind, found_at = DamageKind.DAYS, int(self._clock())
        return QuarantinedItem(f"days to settle {number}", reason, kept_at, kind=kind, found_at=found_at)

    def of_segment(self, row: SegmentRow, reason: str, path: Path) -> QuarantinedItem:
        """Move the file of a damaged segment aside and describe it; it spans its UTC day."""
        kept_at, span = self.move_file(path), (row.day * DAY_S, (row.day + 1) * DAY_S - 1)
        return QuarantinedItem(row.name, reason, kept_at, row.readings, *span, DamageKind.SEGMENT, int(self._clock()))

    def move_file(self, path: Path) -> str:
        """Move a file into the folder; return where it is now, "" where there is none."""
        target = self._folder / path.name
        try:
            make_private_folder(self._folder, is_ours=True)
            path.rename(target)
            sync_directory(self._folder)
            sync_directory(path.parent)
        except FileNotFoundError:
            return str(target) if target.exists() else ""
        except OSError as error:
            log.warning("not moved aside; it stays hidden", extra={"path": str(path), "reason": reason_of(error)})
            return str(path)
        return str(target)
