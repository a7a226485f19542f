"""The pushes of an electricity meter by its push setup: each captured row, and each event of the standard event log.

A notification is the structure of the push object list's values (IEC 62056-6-2, 4.4.8) as they were captured; the list
is its own first element, and each register's scaler_unit stands behind its value, so that any receiver can read it. An
event goes as an EventNotificationRequest. Rows and events go from the kept profile and log into a durable outbox and
leave it when the head end has confirmed them; ``engine.uplink`` carries them. How far the outbox reaches is kept after
it, so that power lost in between repeats a row and drops none. Profile and log stay for reads, so a meter that cannot
push loses nothing either.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from meterspan.engine.push_body import PushValue, write_listed
from meterspan.engine.uplink import Push
from meterspan.meter.electricity import PROFILE_COLUMNS, ElectricityMeter
from meterspan.model.cosem.classes import DataObject, Register
from meterspan.model.cosem.load_profile import LoadProfile
from meterspan.model.cosem.objects import scaler_unit
from meterspan.model.cosem.profile import CLOCK_COLUMN
from meterspan.model.cosem.standard_objects import LIST_ELEMENT
from meterspan.model.ports import OutboxStore, StateStore
from meterspan.quantities.codes import EVENT_CODE, LOGICAL_DEVICE_NAME, PROFILE_STATUS
from meterspan.wire.axdr import Data, octet_string, read_data, structure, write_data
from meterspan.wire.xdlms import CaptureObjectDefinition, CosemAttributeDescriptor, EventNotificationRequest

__all__ = ["PUSH_OBJECTS", "MeterPush"]

_NAME: Final = CaptureObjectDefinition(DataObject.class_id, LOGICAL_DEVICE_NAME, DataObject.value.number)
_STATUS: Final = CaptureObjectDefinition(DataObject.class_id, PROFILE_STATUS, DataObject.value.number)
_EVENT: Final = CosemAttributeDescriptor(DataObject.class_id, EVENT_CODE, DataObject.value.number)
_REGISTERS: Final = tuple(
    CaptureObjectDefinition(Register.class_id, obis, attribute.number)
    for obis in PROFILE_COLUMNS
    for attribute in (Register.value, Register.scaler_unit)
)
PUSH_OBJECTS: Final = (LIST_ELEMENT, _NAME, CLOCK_COLUMN, _STATUS, *_REGISTERS)
"""The push object list of the meter."""
_ROW_SIZE: Final = 2 + len(PROFILE_COLUMNS)
"""Clock, status and registers; an event has a clock and a code."""


class MeterPush:
    """What a meter has still to push; fits ``engine.uplink.PushRows``.

    Args:
        meter: whose profile and events are pushed.
        outbox: durable.
        state: remembers the last row and event pushed; what was captured before the very first start is left to reads.

    """

    def __init__(self, meter: ElectricityMeter, outbox: OutboxStore, *, state: StateStore) -> None:
        self._meter = meter
        self._outbox = outbox
        self._state = state
        for name, kept in self._logs:
            if state.load(name) is None:
                state.save(name, next(_backwards(kept), b""))

    def collect(self) -> None:
        """Queue what was captured since the last call; call it once it is kept (``ElectricityMeter.preserve``)."""
        for name, kept in self._logs:
            self._collect(name, kept)

    def push_now(self, now: float) -> None:
        """Queue the present values: method 1 of the push setup."""
        self._outbox.append(write_data(structure(*self._meter.present_row(now))))

    def next_push(self) -> Push | None:
        """Return the oldest row or event that no head end has confirmed, or None."""
        items = self._outbox.peek(1)
        if not items:
            return None
        ((number, octets),) = items
        captured = read_data(octets).items
        if len(captured) == _ROW_SIZE:
            return Push(number, write_listed(tuple(self._values(captured))))
        clock, code = captured
        return Push(number, EventNotificationRequest(_EVENT, code, clock.clock_time))

    def pushed(self, through: int) -> None:
        """Note that the head end has confirmed everything up to ``through``."""
        self._outbox.discard(through)

    @property
    def _logs(self) -> tuple[tuple[str, LoadProfile], ...]:
        return ((_ROW_REACHED, self._meter.profile), (_EVENT_REACHED, self._meter.events))

    def _collect(self, name: str, kept: LoadProfile) -> None:
        reached = self._state.load(name)
        fresh: list[bytes] = []
        for octets in _backwards(kept):
            if octets == reached:
                break
            fresh.append(octets)
        for octets in reversed(fresh):
            self._outbox.append(octets)
        if fresh:
            self._state.save(name, fresh[0])

    def _values(self, row: Sequence[Data]) -> Iterator[PushValue]:
        """Iterate over the values of the push object list behind the list itself."""
        clock, status, *registers = row
        yield PushValue(_NAME, octet_string(self._meter.config.name.encode()))
        yield PushValue(CLOCK_COLUMN, clock)
        yield PushValue(_STATUS, status)
        shown = self._meter.indication
        pairs = [(value, scaler_unit(shown[obis])) for obis, value in zip(PROFILE_COLUMNS, registers, strict=True)]
        for of, value in zip(_REGISTERS, (part for pair in pairs for part in pair), strict=True):
            yield PushValue(of, value)


def _backwards(kept: LoadProfile) -> Iterator[bytes]:
    """Iterate over the rows of a log as octets, newest first."""
    for number in range(len(kept), 0, -1):
        for row in kept.entries(number, number):
            yield write_data(structure(*row))


_ROW_REACHED: Final = "row pushed last"
_EVENT_REACHED: Final = "event pushed last"
