"""Rows of the access point as capture blocks: for a data management in the same house, beside a head end or without.

Strategy: each receiver has a durable outbox of its own, so that neither waits for the other, and each gets every row.
Rows go into blocks as they are; nothing is encoded on the way.
"""

from collections.abc import Iterable, Sequence

from meterspan.lnap.outbox import OutboxRow
from meterspan.model.ports import OutboxStore
from meterspan.model.readings import CaptureBlock, Source
from meterspan.quantities import Obis, Unit

__all__ = ["TwoOutboxes", "blocks_of"]


class TwoOutboxes:
    """An ``OutboxStore`` that puts every item into a second one as well, which another receiver empties.

    Args:
        first: is read and emptied here.
        second: gets the same items, before.

    """

    def __init__(self, first: OutboxStore, second: OutboxStore) -> None:
        self._first = first
        self._second = second

    def append(self, octets: bytes) -> int:
        """Append an item to both durably and return its number in the first."""
        self._second.append(octets)
        return self._first.append(octets)

    def peek(self, count: int) -> Sequence[tuple[int, bytes]]:
        """Return up to ``count`` oldest items of the first with their numbers."""
        return self._first.peek(count)

    def discard(self, through: int) -> None:
        """Remove the items of the first up to and including number ``through``."""
        self._first.discard(through)


def blocks_of(rows: Iterable[OutboxRow], *, received_at: int) -> list[CaptureBlock]:
    """Return one block for the rows of each device and scale, in the order in which they begin.

    Args:
        rows: of any devices.
        received_at: UTC seconds of reception.

    """
    groups: dict[tuple[str, _Shape], list[OutboxRow]] = {}
    for row in rows:
        shape = tuple((obis, value.unit, value.exponent) for obis, value in row.values)
        groups.setdefault((row.device, shape), []).append(row)
    return [
        CaptureBlock.of_rows(
            device,
            Source.LOCAL,
            channels=shape,
            rows=[(row.time, row.status, [value.value for _, value in row.values]) for row in found],
            received_at=received_at,
        )
        for (device, shape), found in groups.items()
    ]


_Shape = tuple[tuple[Obis, Unit, int], ...]
