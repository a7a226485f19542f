"""What one transaction changes in memory beside the journal, so that it can be taken back with the transaction."""

from collections.abc import Mapping

from meterspan.model.storage.readings import Readings, UnsettledDays
from meterspan.store.batch_cache import BatchCache
from meterspan.store.series_bounds import BoundsBefore, SeriesBounds
from meterspan.store.unsettled import merged_days, touched_days

__all__ = ["Changes"]


class Changes:
    """The changes of the transaction that runs now.

    Args:
        bounds: of all series; widened by what is noted.
        cache: of batches, by numbers that are given again after a transaction was taken back.

    """

    def __init__(self, bounds: SeriesBounds, cache: BatchCache) -> None:
        self._bounds = bounds
        self._cache = cache
        self._before: list[BoundsBefore] = []
        self._noted: list[Readings | UnsettledDays] = []
        """What each change touched: readings, or the days of so many that they are not held."""

    def begin(self) -> None:
        """Begin a transaction: what was changed before stays."""
        self._before, self._noted = [], []

    def note(self, readings: Readings) -> None:
        """Note a batch that is stored."""
        self._before.append(self._bounds.note(readings))
        self._noted.append(readings)

    def note_part(self, readings: Readings) -> None:
        """Note one of many batches of a transaction, and hold its days alone."""
        self._before.append(self._bounds.note(readings))
        self._noted.append(touched_days([readings]))

    def set_bounds(self, bounds: Mapping[int, tuple[int, int] | None], touched: UnsettledDays) -> None:
        """Replace the bounds of series of which readings were taken back; ``touched`` are the days of these."""
        self._before.append(self._bounds.set(bounds))
        self._noted.append(touched)

    def days(self) -> UnsettledDays | None:
        """Return the days that were touched; None where nothing was noted."""
        if not self._noted:
            return None
        fresh = [noted for noted in self._noted if isinstance(noted, Readings)]
        days = [noted for noted in self._noted if isinstance(noted, UnsettledDays)]
        return merged_days([touched_days(fresh), *days]) if days else touched_days(fresh)

    def mark(self) -> int:
        """Return where the transaction is now, for ``back_to``."""
        return len(self._before)

    def back_to(self, mark: int) -> None:
        """Undo what was noted since the mark; 0 undoes all of it."""
        while len(self._before) > mark:
            self._bounds.restore(self._before.pop())
        del self._noted[mark:]
        self._cache.clear()
