"""Rows of the access point as capture blocks: for a data management in the same house, beside a head end or without.

Strategy: each receiver has a durable outbox of its own, so that neither waits for the other, and each gets every row.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, tzinfo

import numpy as np

from meterspan.lnap.access_point import AccessPoint
from meterspan.lnap.channel import Channel
from meterspan.model.cosem.classes import ProfileGeneric
from meterspan.model.cosem.view import fields_of, read_logical_name
from meterspan.model.ports import OutboxStore
from meterspan.model.readings import CaptureBlock, CaptureColumn, Source
from meterspan.wire.axdr import Data

__all__ = ["TwoOutboxes", "blocks_of"]


class TwoOutboxes:
    """An ``OutboxStore`` that puts every item into a second one as well, which another receiver empties.

    Args:
        first: the one that is looked at and emptied here.
        second: gets the same items, before.

    """

    def __init__(self, first: OutboxStore, second: OutboxStore) -> None:
        self._first = first
        self._second = second

    def append(self, octets: bytes) -> int:
        """Append an item to both durably and give its number in the first."""
        self._second.append(octets)
        return self._first.append(octets)

    def peek(self, count: int) -> Sequence[tuple[int, bytes]]:
        """Give up to ``count`` oldest items of the first with their numbers."""
        return self._first.peek(count)

    def discard(self, through: int) -> None:
        """Remove the items of the first up to and including number ``through``."""
        self._first.discard(through)


def blocks_of(point: AccessPoint, items: Iterable[Data], *, now: float, zone: tzinfo = UTC) -> list[CaptureBlock]:
    """Read pushed values; rows of meters that are no longer on the list are left out.

    Args:
        point: whose outbox they came from.
        items: structures of class, name, attribute and value (``engine.uplink.pushed_item``).
        now: UTC seconds of reception.
        zone: reads clock times without deviation.

    """
    channels = {channel.profile_name: channel for channel in point.channels}
    blocks = []
    for item in items:
        class_id, name, _attribute, value = fields_of(item, 4, "pushed value")
        channel = channels.get(read_logical_name(name))
        if class_id.integer == ProfileGeneric.class_id and channel is not None:
            blocks += [_block(channel, row, int(now), zone) for row in value.items]
    return [block for block in blocks if len(block.times)]


def _block(channel: Channel, row: Data, received_at: int, zone: tzinfo) -> CaptureBlock:
    clock, status, *values = fields_of(row, 2 + len(channel.scales), "profile row")
    moment = clock.clock_time.to_utc(zone)
    times: Sequence[int] = [] if moment is None else [int(moment.timestamp())]
    columns = tuple(
        CaptureColumn(obis, unit, exponent, np.array([value.integer] * len(times), np.int64))
        for obis, (unit, exponent), value in zip(channel.meter.registers, channel.scales, values, strict=True)
    )
    return CaptureBlock(
        channel.meter.device, Source.LOCAL, received_at, np.array(times, np.int64), columns,
        np.array([status.integer] * len(times), np.int32), np.zeros(len(times), np.int32),
    )  # fmt: skip
