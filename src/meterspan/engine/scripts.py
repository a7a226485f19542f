"""Reading plans as scripts for a ``Session``: clock, registers, profiles, association view, events, frame counter.

The constant part (capture objects, scalers, units) is returned as a ``ProfileLayout`` or as scalers,
and may be handed in again to save its requests. Clock oddities of a meter are data: a ``ClockPolicy``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo

import numpy as np
from numpy.typing import NDArray

from meterspan.engine.association.records import Action, Get, Set
from meterspan.engine.session import RefusedError, Script, ScriptError, fetch, fetch_each, fetch_encoded, perform, put
from meterspan.model.cosem.classes import (
    AssociationLN,
    Clock,
    DataObject,
    DemandRegister,
    ExtendedRegister,
    ProfileGeneric,
    PushSetup,
    Register,
)
from meterspan.model.cosem.device import CURRENT_ASSOCIATION
from meterspan.model.cosem.profile import CLOCK_COLUMN, is_clock, range_of_times, read_capture_objects
from meterspan.model.cosem.profile import read_push_objects as read_push_list
from meterspan.model.cosem.scaler_unit import ScalerUnit, read_scaler_unit
from meterspan.model.cosem.standard_objects import PUSH_SETUP
from meterspan.model.cosem.view import ObjectListElement
from meterspan.model.cosem.view import read_object_list as read_elements
from meterspan.model.failures import Failure, FailureKind
from meterspan.model.readings import CaptureBlock, CaptureColumn, EventSeverity, MeterEvent, Source
from meterspan.quantities import SHIFT_MAX_S, UNITS, ClockTime, Obis, Quality, Scaled
from meterspan.quantities.codes import CLOCK, INVOCATION_COUNTER
from meterspan.wire.axdr import (
    NO_INSTANT,
    ClockColumn,
    Column,
    Data,
    FloatColumn,
    IntegerColumn,
    ProfileColumns,
    ValueColumn,
    clock,
    long,
    read_columns,
)
from meterspan.wire.xdlms import Access, CaptureObjectDefinition, DataAccessResult, EntryAccess

__all__ = [
    "STATUS_QUALITY",
    "ClockPolicy",
    "ProfileColumnLayout",
    "ProfileLayout",
    "ProfileRead",
    "read_clock",
    "read_events",
    "read_invocation_counter",
    "read_last_rows",
    "read_object_list",
    "read_profile",
    "read_profile_layout",
    "read_push_objects",
    "read_registers",
    "set_clock",
    "shift_clock",
    "to_capture_block",
    "to_meter_events",
]


STATUS_QUALITY: Mapping[int, Quality] = {
    0x01: Quality.CRITICAL_ERROR,
    0x02: Quality.CLOCK_INVALID,
    0x20: Quality.CLOCK_ADJUSTED,
    0x80: Quality.POWER_DOWN,
}
"""Bits of the AMR profile status 0-0:96.10.x as IDIS and DSMR define them; give a meter's own where it differs."""


@dataclass(frozen=True, slots=True)
class ClockPolicy:
    """How a meter's clock is to be understood.

    Attributes:
        zone: the meter's local zone: reads times without deviation, and writes the times of selections.
        reverses_deviation: the meter counts the deviation from UTC to local time, against the standard.
        ignores_deviation: the deviation that the meter states is not true; the zone decides always.

    """

    zone: tzinfo = UTC
    reverses_deviation: bool = False
    ignores_deviation: bool = False

    def to_utc(self, moment: ClockTime) -> datetime | None:
        """Return the UTC instant of one clock time, None where it has none."""
        if moment.deviation_min is None or self.ignores_deviation:
            return replace(moment, deviation_min=None).to_utc(self.zone)
        if self.reverses_deviation:
            return replace(moment, deviation_min=-moment.deviation_min).to_utc()
        return moment.to_utc()

    def of(self, seconds: int) -> ClockTime:
        """Return the meter's clock time of a UTC instant in seconds."""
        moment = ClockTime.of(datetime.fromtimestamp(seconds, self.zone))
        if self.reverses_deviation and moment.deviation_min is not None:
            return replace(moment, deviation_min=-moment.deviation_min)
        return moment

    def seconds(self, column: ClockColumn) -> NDArray[np.int64]:
        """Return UTC seconds of a clock column; ``NO_INSTANT`` where there is none."""
        if self.ignores_deviation:
            return np.array([_seconds(self.to_utc(moment)) for moment in column.clock_times()], np.int64)
        if not self.reverses_deviation:
            return column.seconds
        deviation = column.deviation_min
        moved = column.seconds - 120 * deviation
        is_known = (deviation != -0x8000) & (column.seconds != NO_INSTANT)
        return np.where(is_known, moved, column.seconds)


NUMBER = ScalerUnit(0, UNITS["1"])
_NO_POLICY = ClockPolicy()


@dataclass(frozen=True, slots=True)
class ProfileColumnLayout:
    """One column: the captured attribute, and its scaler and unit (None where the object has none)."""

    capture: CaptureObjectDefinition
    scaler: ScalerUnit | None


@dataclass(frozen=True, slots=True)
class ProfileLayout:
    """The columns of a profile; they change only when the meter is configured."""

    logical_name: Obis
    columns: tuple[ProfileColumnLayout, ...]
    capture_period_s: int

    @property
    def clock_index(self) -> int | None:
        """Which column is the clock."""
        return next((index for index, column in enumerate(self.columns) if is_clock(column.capture)), None)


@dataclass(frozen=True, slots=True, eq=False)
class ProfileRead:
    """The rows of a profile as they were read.

    Attributes:
        layout: the columns.
        values: the columns, raw.
        times: UTC seconds of each row, by the clock policy; ``NO_INSTANT`` where there is none.

    """

    layout: ProfileLayout
    values: ProfileColumns
    times: NDArray[np.int64] = field(repr=False)


def read_clock(logical_name: Obis = CLOCK) -> Script[ClockTime]:
    """Read the meter's time."""
    data = yield from fetch(Get(Clock.time.at(logical_name)))
    return data.clock_time


def set_clock(moment: ClockTime, logical_name: Obis = CLOCK) -> Script[None]:
    """Set the meter's time."""
    yield from put(Set(Clock.time.at(logical_name), clock(moment)))


def shift_clock(seconds: int, logical_name: Obis = CLOCK) -> Script[None]:
    """Move the meter's time by some seconds: profiles mark it less harshly than a set clock.

    Raises:
        ValueError: more than ``SHIFT_MAX_S``.

    """
    if abs(seconds) > SHIFT_MAX_S:
        raise ValueError(f"shift_time moves by at most {SHIFT_MAX_S} s, not {seconds}")
    yield from perform(Action(Clock.shift_time.at(logical_name), long(seconds)))


def read_registers(
    names: Sequence[Obis], *, class_id: int = Register.class_id, scalers: Mapping[Obis, ScalerUnit] | None = None
) -> Script[dict[Obis, Scaled | DataAccessResult]]:
    """Read values of registers of one class with their units.

    Args:
        names: the registers.
        class_id: Register, ExtendedRegister or DemandRegister.
        scalers: those that are known already are not read.

    """
    known = dict(scalers or {})
    missing = [name for name in names if name not in known]
    answers = yield from fetch_each(*(Get(_SCALER_ATTRIBUTE[class_id].at(name)) for name in missing))
    known |= {
        name: read_scaler_unit(data) for name, data in zip(missing, answers, strict=True) if isinstance(data, Data)
    }
    values = yield from fetch_each(*(Get(_VALUE_ATTRIBUTE[class_id].at(name)) for name in names))
    read: dict[Obis, Scaled | DataAccessResult] = {}
    for name, data in zip(names, values, strict=True):
        scaler = known.get(name, NUMBER)
        read[name] = Scaled(data.integer, scaler.exponent, scaler.unit) if isinstance(data, Data) else data
    return read


def read_profile_layout(logical_name: Obis) -> Script[ProfileLayout]:
    """Read the columns of a profile, with scalers and units; keep them for the next readings."""
    captured = yield from fetch(Get(ProfileGeneric.capture_objects.at(logical_name)))
    period = yield from fetch(Get(ProfileGeneric.capture_period.at(logical_name)))
    columns = read_capture_objects(captured)
    scalers = yield from _read_scalers(columns)
    layouts = tuple(ProfileColumnLayout(column, scalers.get(column)) for column in columns)
    return ProfileLayout(logical_name, layouts, period.integer)


def read_push_objects(
    logical_name: Obis = PUSH_SETUP,
) -> Script[tuple[tuple[CaptureObjectDefinition, ...], dict[Obis, ScalerUnit]]]:
    """Read the push object list of a push setup, and the scales of the registers in it.

    Raises:
        RefusedError: the meter refuses.
        WireError: its answer has another shape.

    """
    objects = read_push_list((yield from fetch(Get(PushSetup.push_object_list.at(logical_name)))))
    scalers = yield from _read_scalers(objects)
    return objects, {column.instance: scaler for column, scaler in scalers.items()}


def _read_scalers(columns: Sequence[CaptureObjectDefinition]) -> Script[dict[CaptureObjectDefinition, ScalerUnit]]:
    """Read the scales of the registers among some attributes; those that the meter refuses are left out."""
    scaled = [column for column in columns if _is_scaled(column)]
    asked = [Get(_SCALER_ATTRIBUTE[column.class_id].at(column.instance)) for column in scaled]
    answers = yield from fetch_each(*asked)
    return {
        column: read_scaler_unit(data) for column, data in zip(scaled, answers, strict=True) if isinstance(data, Data)
    }


def read_profile(
    logical_name: Obis,
    start: int,
    end: int,
    *,
    layout: ProfileLayout | None = None,
    policy: ClockPolicy = _NO_POLICY,
) -> Script[ProfileRead]:
    """Read the rows of a profile between two instants, both included.

    Where the meter refuses selection by range, all rows are read and those outside are dropped.

    Args:
        logical_name: the profile.
        start: UTC seconds.
        end: UTC seconds.
        layout: as read before; read now where it is None.
        policy: how the meter's clock is to be understood.

    Raises:
        RefusedError: the meter refuses.
        WireError: its answer cannot be decoded.

    """
    if layout is None:
        layout = yield from read_profile_layout(logical_name)
    index = layout.clock_index
    column = CLOCK_COLUMN if index is None else layout.columns[index].capture
    access = range_of_times(policy.of(start), policy.of(end), restricting=column)
    try:
        octets = yield from fetch_encoded(_buffer(logical_name, access))
    except RefusedError as error:
        if error.result not in _NO_SELECTION:
            raise
        octets = yield from fetch_encoded(_buffer(logical_name, None))
    read = _profile_read(octets, layout, policy)
    return _within(read, start, end)


def read_last_rows(
    logical_name: Obis, count: int, *, layout: ProfileLayout | None = None, policy: ClockPolicy = _NO_POLICY
) -> Script[ProfileRead]:
    """Read the newest rows by entry (a profile is sorted oldest first; entries_in_use is read for it).

    Args:
        logical_name: the profile.
        count: how many rows at most.
        layout: as read before; read now where it is None.
        policy: how clock columns become UTC.

    """
    if layout is None:
        layout = yield from read_profile_layout(logical_name)
    in_use = yield from fetch(Get(ProfileGeneric.entries_in_use.at(logical_name)))
    first = max(1, in_use.integer - count + 1)
    octets = yield from fetch_encoded(_buffer(logical_name, EntryAccess(first, 0, 1, 0)))
    return _profile_read(octets, layout, policy)


def read_events(
    logical_name: Obis,
    start: int,
    end: int,
    *,
    device: str,
    layout: ProfileLayout | None = None,
    policy: ClockPolicy = _NO_POLICY,
    texts: Mapping[int, tuple[str, EventSeverity]] | None = None,
) -> Script[tuple[MeterEvent, ...]]:
    """Read an event log between two instants, both included.

    Args:
        logical_name: the log, a profile of a clock and an event code (0-0:99.98.x).
        start: UTC seconds.
        end: UTC seconds.
        device: the meter's identification, for the events.
        layout: as read before; read now where it is None.
        policy: how the meter's clock is to be understood.
        texts: words and severity by code; a code that is not listed is shown by its number.

    Raises:
        RefusedError: the meter refuses.
        WireError: its answer cannot be decoded.

    """
    read = yield from read_profile(logical_name, start, end, layout=layout, policy=policy)
    return to_meter_events(device, read, texts=texts)


def to_meter_events(
    device: str, read: ProfileRead, *, texts: Mapping[int, tuple[str, EventSeverity]] | None = None
) -> tuple[MeterEvent, ...]:
    """Turn the rows of an event log into events; rows without an instant or a code are left out."""
    codes = next((column for column in read.values.columns if isinstance(column, IntegerColumn)), None)
    if codes is None:
        return ()
    known = texts or {}
    events = []
    for time, code in zip(read.times.tolist(), codes.to_list(), strict=True):
        if time != NO_INSTANT:
            text, severity = known.get(code, (f"event {code}", EventSeverity.INFO))
            events.append(MeterEvent(device, time, str(code), text, severity))
    return tuple(events)


def read_object_list(logical_name: Obis = CURRENT_ASSOCIATION) -> Script[tuple[ObjectListElement, ...]]:
    """Read the association view."""
    data = yield from fetch(Get(AssociationLN.object_list.at(logical_name)))
    return read_elements(data)


def read_invocation_counter(logical_name: Obis = INVOCATION_COUNTER) -> Script[int]:
    """Read the counter that the meter received last, as the public client; ``try_counter`` tries one above.

    A head end that lost its counters recovers with it (a meter refuses counters it has seen).
    """
    data = yield from fetch(Get(DataObject.value.at(logical_name)))
    return data.integer


def to_capture_block(
    device: str,
    read: ProfileRead,
    *,
    received_at: int,
    source: Source,
    status_quality: Mapping[int, Quality] = STATUS_QUALITY,
) -> CaptureBlock:
    """Turn a profile into readings: integer columns with units by OBIS, status and quality by row.

    Rows without an instant and columns that are no integers are left out.

    Args:
        device: the name that the readings are stored under.
        read: the rows of the profile.
        received_at: UTC seconds.
        source: how the readings were obtained.
        status_quality: quality flags by bit of the profile's status.

    """
    kept = read.times != NO_INSTANT
    rows = int(kept.sum())
    status = np.zeros(rows, np.int32)
    quality = np.zeros(rows, np.int32)
    columns = []
    for layout, column in zip(read.layout.columns, read.values.columns, strict=False):
        if isinstance(column, ClockColumn):
            if is_clock(layout.capture):
                quality |= _clock_quality(column)[kept]
        elif not isinstance(column, IntegerColumn):
            continue
        elif _is_status(layout.capture.instance):
            status = (column.values[kept] & 0x7FFF_FFFF).astype(np.int32)
            quality |= _status_quality(status, status_quality)
        else:
            scaler = layout.scaler or NUMBER
            columns.append(CaptureColumn(layout.capture.instance, scaler.unit, scaler.exponent, column.values[kept]))
    return CaptureBlock(device, source, received_at, read.times[kept], tuple(columns), status, quality)


_SCALER_ATTRIBUTE = {
    Register.class_id: Register.scaler_unit,
    ExtendedRegister.class_id: ExtendedRegister.scaler_unit,
    DemandRegister.class_id: DemandRegister.scaler_unit,
}
_VALUE_ATTRIBUTE = {
    Register.class_id: Register.value,
    ExtendedRegister.class_id: ExtendedRegister.value,
    DemandRegister.class_id: DemandRegister.current_average_value,
}
_NO_SELECTION = frozenset(
    {
        DataAccessResult.SCOPE_OF_ACCESS_VIOLATED,
        DataAccessResult.TYPE_UNMATCHED,
        DataAccessResult.OTHER_REASON,
    }
)
"""How meters say that they do not know a selection."""


def _buffer(logical_name: Obis, access: Access | None) -> Get:
    return Get(ProfileGeneric.buffer.at(logical_name), access, encoded=True)


def _profile_read(octets: bytes, layout: ProfileLayout, policy: ClockPolicy) -> ProfileRead:
    index = layout.clock_index
    clocks = () if index is None else (index,)
    period = layout.capture_period_s or None
    values = read_columns(octets, clocks=clocks, zone=policy.zone, capture_period_s=period)
    column = values.columns[index] if index is not None and index < len(values.columns) else None
    if values.count and len(values.columns) != len(layout.columns):
        words = f"rows of {len(values.columns)} columns, {len(layout.columns)} are captured"
        raise ScriptError(Failure(FailureKind.PROTOCOL, words))
    times = policy.seconds(column) if isinstance(column, ClockColumn) else np.full(values.count, NO_INSTANT, np.int64)
    return ProfileRead(layout, values, times)


def _within(read: ProfileRead, start: int, end: int) -> ProfileRead:
    """Drop rows outside of the span: meters round the bounds, and some ignore the selection."""
    inside = (read.times == NO_INSTANT) | ((read.times >= start) & (read.times <= end))
    if bool(inside.all()):
        return read
    columns = tuple(_picked(column, inside) for column in read.values.columns)
    return ProfileRead(read.layout, ProfileColumns(int(inside.sum()), columns), read.times[inside])


def _picked(column: Column, rows: NDArray[np.bool_]) -> Column:
    if isinstance(column, ClockColumn):
        return ClockColumn(column.seconds[rows], column.octets[rows])
    if isinstance(column, ValueColumn):
        return ValueColumn(tuple(value for value, is_kept in zip(column.values, rows, strict=True) if is_kept))
    if isinstance(column, FloatColumn):
        return FloatColumn(column.type, column.values[rows])
    return IntegerColumn(column.type, column.values[rows])


def _is_scaled(column: CaptureObjectDefinition) -> bool:
    """Whether a column holds values that the object's scaler applies to."""
    if column.class_id == DemandRegister.class_id:
        return column.attribute in (
            DemandRegister.current_average_value.number,
            DemandRegister.last_average_value.number,
        )
    return column.class_id in _SCALER_ATTRIBUTE and column.attribute == Register.value.number


def _is_status(name: Obis) -> bool:
    """Whether a column is the profile status, 0-b:96.10.x."""
    return (name.a, name.c, name.d) == (0, 96, 10)


def _clock_quality(column: ClockColumn) -> NDArray[np.int32]:
    status = column.status.astype(np.int32)
    is_bad = (status != 0xFF) & ((status & 0x03) != 0)
    return np.where(is_bad, int(Quality.CLOCK_INVALID), 0).astype(np.int32)


def _status_quality(status: NDArray[np.int32], bits: Mapping[int, Quality]) -> NDArray[np.int32]:
    quality = np.zeros(len(status), np.int32)
    for bit, flag in bits.items():
        quality |= np.where(status & bit, int(flag), 0).astype(np.int32)
    return quality


def _seconds(moment: datetime | None) -> int:
    return NO_INSTANT if moment is None else int(moment.timestamp() // 1)
