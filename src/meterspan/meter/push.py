"""What an electricity meter pushes by itself: each captured row of its load profile, with the scalers beside it.

Rows go into a durable outbox as they are captured and leave it when the head end has confirmed them; ``engine.uplink``
carries them. The profile stays for reads, so a meter that cannot push loses nothing either.
"""

from typing import Final

from meterspan.engine.uplink import Push, pushed_item
from meterspan.meter.cosem import LOAD_PROFILE
from meterspan.meter.electricity import PROFILE_COLUMNS, ElectricityMeter
from meterspan.model.cosem.classes import ProfileGeneric, Register
from meterspan.model.cosem.objects import scaler_unit
from meterspan.model.ports import OutboxStore
from meterspan.wire.axdr import array, read_data, structure, write_data

__all__ = ["MeterPush"]

ROWS_MAX: Final = 64
"""Rows in one push: most of a day."""


class MeterPush:
    """The rows that a meter has still to push; fits ``engine.uplink.PushRows``.

    Args:
        meter: whose profile is pushed.
        outbox: durable.

    """

    def __init__(self, meter: ElectricityMeter, outbox: OutboxStore) -> None:
        self._meter = meter
        self._outbox = outbox

    def captured(self, count: int) -> None:
        """Take the newest ``count`` rows, which ``ElectricityMeter.advance`` has just captured."""
        rows = self._meter.profile
        for row in rows.entries(max(1, len(rows) - count + 1), len(rows)):
            self._outbox.append(write_data(structure(*row)))

    def next_push(self) -> Push | None:
        """Give the oldest rows that no head end has confirmed, or None."""
        items = self._outbox.peek(ROWS_MAX)
        if not items:
            return None
        rows = array(*(read_data(octets) for _, octets in items))
        body = [pushed_item(ProfileGeneric.class_id, LOAD_PROFILE, ProfileGeneric.buffer.number, rows)]
        shown = self._meter.indication
        for obis in PROFILE_COLUMNS:
            scale = scaler_unit(shown[obis])
            body.append(pushed_item(Register.class_id, obis, Register.scaler_unit.number, scale))
        return Push(items[-1][0], array(*body))

    def pushed(self, through: int) -> None:
        """Note that the head end has confirmed everything up to ``through``."""
        self._outbox.discard(through)
