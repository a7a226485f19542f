"""The pushes of an electricity meter: each captured row of its load profile, with the scalers beside it.

Rows go from the kept profile into a durable outbox and leave it when the head end has confirmed them; ``engine.uplink``
carries them. How far the outbox reaches is kept after it, so that power lost in between repeats a row and drops none.
The profile stays for reads, so a meter that cannot push loses nothing either.
"""

from collections.abc import Iterator
from typing import Final

from meterspan.engine.push_rows import PushedProfile, PushedRegister, write_profiles
from meterspan.engine.uplink import Push
from meterspan.meter.electricity import PROFILE_COLUMNS, ElectricityMeter
from meterspan.model.cosem.classes import Register
from meterspan.model.cosem.profile import Row
from meterspan.model.cosem.scaler_unit import ScalerUnit
from meterspan.model.ports import OutboxStore, StateStore
from meterspan.quantities.codes import LOAD_PROFILE
from meterspan.wire.axdr import read_data, structure, write_data

__all__ = ["MeterPush"]

ROWS_MAX: Final = 64
"""Rows in one push: most of a day."""


class MeterPush:
    """The rows that a meter has still to push; fits ``engine.uplink.PushRows``.

    Args:
        meter: whose profile is pushed.
        outbox: durable.
        state: remembers the last row pushed; rows captured before the very first start are left to reads.

    """

    def __init__(self, meter: ElectricityMeter, outbox: OutboxStore, *, state: StateStore) -> None:
        self._meter = meter
        self._outbox = outbox
        self._state = state
        if state.load(_REACHED_KEPT) is None:
            state.save(_REACHED_KEPT, self._newest())

    def collect(self) -> None:
        """Queue the rows captured since the last call; call it once they are kept (``ElectricityMeter.preserve``)."""
        reached = self._state.load(_REACHED_KEPT)
        fresh: list[bytes] = []
        for row in self._rows_backwards():
            octets = write_data(structure(*row))
            if octets == reached:
                break
            fresh.append(octets)
        for octets in reversed(fresh):
            self._outbox.append(octets)
        if fresh:
            self._state.save(_REACHED_KEPT, fresh[0])

    def next_push(self) -> Push | None:
        """Return the oldest rows that no head end has confirmed, or None."""
        items = self._outbox.peek(ROWS_MAX)
        if not items:
            return None
        rows = tuple(read_data(octets).items for _, octets in items)
        shown = self._meter.indication
        registers = tuple(
            PushedRegister(Register.class_id, obis, ScalerUnit(shown[obis].exponent, shown[obis].unit))
            for obis in PROFILE_COLUMNS
        )
        return Push(items[-1][0], write_profiles([PushedProfile(LOAD_PROFILE, registers, rows)]))

    def pushed(self, through: int) -> None:
        """Note that the head end has confirmed everything up to ``through``."""
        self._outbox.discard(through)

    def _rows_backwards(self) -> Iterator[Row]:
        rows = self._meter.profile
        for number in range(len(rows), 0, -1):
            yield from rows.entries(number, number)

    def _newest(self) -> bytes:
        return next((write_data(structure(*row)) for row in self._rows_backwards()), b"")


_REACHED_KEPT: Final = "row pushed last"
