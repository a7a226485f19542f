"""Rows of the access point's outbox as capture blocks: for a data management in the same house, without a head end."""

from collections.abc import Sequence
from datetime import UTC, tzinfo

import numpy as np

from meterspan.engine.uplink import Push
from meterspan.lnap.access_point import AccessPoint
from meterspan.lnap.channel import Channel
from meterspan.model.cosem.classes import ProfileGeneric
from meterspan.model.cosem.view import fields_of, read_logical_name
from meterspan.model.readings import CaptureBlock, CaptureColumn, Source
from meterspan.wire.axdr import Data

__all__ = ["blocks_of"]


def blocks_of(point: AccessPoint, push: Push, *, now: float, zone: tzinfo = UTC) -> list[CaptureBlock]:
    """Read the rows of a push; rows of meters that are no longer on the list are left out.

    Args:
        point: whose outbox it came from.
        push: from ``next_push``.
        now: UTC seconds of reception.
        zone: reads clock times without deviation.

    """
    channels = {channel.profile_name: channel for channel in point.channels}
    blocks = []
    for item in push.body.items:
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
