"""Decoded batches of the journal, kept for those who read them again; safe for use from many threads."""

import threading
from collections import OrderedDict
from typing import Final

from meterspan.model.storage.readings import Readings

__all__ = ["MAX_CACHED_READINGS", "BatchCache"]

MAX_CACHED_READINGS: Final = 4_000_000
"""Readings of all batches that are kept: about 150 MB."""


class BatchCache:
    """Batches by their number; the one that was not asked for longest is forgotten first.

    Args:
        readings_max: readings of all batches; one batch is kept even if it alone has more.

    """

    def __init__(self, readings_max: int = MAX_CACHED_READINGS) -> None:
        self._readings_max = readings_max
        self._guard = threading.Lock()
        self._batches: OrderedDict[int, Readings] = OrderedDict()
        self._readings = 0

    def get(self, seq: int) -> Readings | None:
        """Return a batch, or None where it is not kept."""
        with self._guard:
            batch = self._batches.get(seq)
            if batch is not None:
                self._batches.move_to_end(seq)
            return batch

    def keep(self, seq: int, batch: Readings) -> None:
        """Keep a batch, and forget others where there are too many readings."""
        with self._guard:
            if seq not in self._batches:
                self._batches[seq] = batch
                self._readings += len(batch)
            while self._readings > self._readings_max and len(self._batches) > 1:
                _seq, oldest = self._batches.popitem(last=False)
                self._readings -= len(oldest)

    def clear(self) -> None:
        """Forget all batches."""
        with self._guard:
            self._batches.clear()
            self._readings = 0
