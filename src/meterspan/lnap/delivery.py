"""Rows of the access point as capture blocks: for a data management in the same house, beside a head end or without.

Strategy: each receiver has a durable outbox of its own, so that neither waits for the other, and each gets every row.
Rows go into blocks as they are; nothing is encoded on the way.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from meterspan.lnap.outbox import OutboxRow
from meterspan.model.ports import OutboxStore
from meterspan.model.readings import CaptureBlock, CaptureColumn, Source
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
    return [_block(device, shape, found, received_at) for (device, shape), found in groups.items()]


def _block(device: str, shape: "_Shape", rows: Sequence[OutboxRow], received_at: int) -> CaptureBlock:
    columns = tuple(
        CaptureColumn(obis, unit, exponent, np.array([row.values[index][1].value for row in rows], np.int64))
        for index, (obis, unit, exponent) in enumerate(shape)
    )
    times = np.array([row.time for row in rows], np.int64)
    status = np.array([row.status for row in rows], np.int32)
    return CaptureBlock(device, Source.LOCAL, received_at, times, columns, status, np.zeros(len(rows), np.int32))


_Shape = tuple[tuple[Obis, Unit, int], ...]
