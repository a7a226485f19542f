"""Between head end and data management: counts readings by their way, so that a report separates repairs."""

from collections import Counter
from collections.abc import Sequence

from meterspan.model.ports import ReadingSink
from meterspan.model.readings import CaptureBlock, MeterEvent, Source

__all__ = ["Arrivals"]


class Arrivals:
    """A ``ReadingSink`` that passes everything on, and counts values by the way on which they first arrived.

    Args:
        sink: takes them durably.

    """

    def __init__(self, sink: ReadingSink) -> None:
        self._sink = sink
        self._seen: dict[str, set[int]] = {}
        self.first: Counter[Source] = Counter()
        """Values that were not here before, by source."""

    def take(self, blocks: Sequence[CaptureBlock], events: Sequence[MeterEvent] = ()) -> None:
        """Store a batch durably."""
        self._sink.take(blocks, events)
        for block in blocks:
            seen = self._seen.setdefault(block.device, set())
            fresh = {int(time) for time in block.times} - seen
            seen |= fresh
            self.first[block.source] += len(fresh) * len(block.columns)
