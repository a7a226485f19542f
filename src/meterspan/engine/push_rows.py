"""The body of a push of readings: rows of profiles, values of registers, and the scaler_unit of each; both directions.

Strategy: the writer puts each profile's rows and the scale of every captured register side by side, behind their
push object list (``push_body.write_listed``). The reader sorts any push's values by attribute or code, whatever form
the body had, so that every form is the same thing to the head end, and to a person who looks at a frame.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from meterspan.engine.push_body import PushValue, scaled_pair, write_listed
from meterspan.model.cosem.classes import Clock, DataObject, DemandRegister, ExtendedRegister, ProfileGeneric, Register
from meterspan.model.cosem.objects import scaler_unit
from meterspan.model.cosem.profile import Row, read_capture_objects
from meterspan.model.cosem.scaler_unit import ScalerUnit, read_scaler_unit
from meterspan.quantities import ClockTime, Obis, Scaled, commodity_of_obis, utc
from meterspan.quantities.codes import CLOCK, CURRENT_VALUE, PROFILE_STATUS
from meterspan.wire.axdr import (
    Data,
    IeeeFloat,
    array,
    double_long_unsigned,
    long64,
    long64_unsigned,
    null,
    octet_string,
    structure,
    unsigned,
)
from meterspan.wire.axdr.clock import write_clock_time
from meterspan.wire.xdlms import CaptureObjectDefinition

__all__ = ["PushedContent", "PushedProfile", "PushedRegister", "read_content", "utc_row", "write_profiles"]

_DOUBLE_LONG_MAX: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class PushedRegister:
    """A captured register: interface class, logical name and scale."""

    class_id: int
    name: Obis
    scaler: ScalerUnit


@dataclass(frozen=True, slots=True)
class PushedProfile:
    """Rows of one profile (clock, status, one value per register), and the registers in the order of the columns."""

    name: Obis
    registers: tuple[PushedRegister, ...]
    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class PushedContent:
    """The values of one push by attribute.

    Attributes:
        time: the meter's clock at the push, None where the push has none.
        rows: rows by profile.
        scalers: scale by register.
        values: value by register.
        columns: the capture objects of a profile, where they were pushed too.
        registers: the registers whose scales were pushed behind a profile's rows, in the order of its columns.
        status: the meter's status word at the push; 0 where there is none.
        is_named: whether any value could be matched to what it is of.

    """

    time: ClockTime | None = None
    rows: Mapping[Obis, Sequence[Data]] = field(default_factory=dict)
    scalers: Mapping[Obis, ScalerUnit] = field(default_factory=dict)
    values: Mapping[Obis, Data] = field(default_factory=dict)
    columns: Mapping[Obis, Sequence[CaptureObjectDefinition]] = field(default_factory=dict)
    registers: Mapping[Obis, Sequence[Obis]] = field(default_factory=dict)
    status: int = 0
    is_named: bool = True


def write_profiles(profiles: Iterable[PushedProfile]) -> Data:
    """Build the body of a push: the rows of each profile, and the scale of each of its registers."""
    values: list[PushValue] = []
    for profile in profiles:
        rows = array(*(structure(*row) for row in profile.rows))
        values.append(_value(ProfileGeneric.class_id, profile.name, ProfileGeneric.buffer.number, rows))
        for register in profile.registers:
            scale = scaler_unit(Scaled(0, register.scaler.exponent, register.scaler.unit))
            values.append(_value(register.class_id, register.name, _SCALER_OF[register.class_id], scale))
    return write_listed(values)


def utc_row(time: int, status: int, values: Sequence[int | None]) -> Row:
    """Build a profile row: clock (UTC), status octet, and values; None becomes null-data."""
    moment = ClockTime.of(utc(time))
    return (octet_string(write_clock_time(moment)), unsigned(status), *map(_number, values))


def read_content(values: Sequence[PushValue], time: ClockTime | None = None) -> PushedContent:
    """Sort the values of a push by what they are of; values of other attributes are left out.

    Args:
        values: of one notification.
        time: the notification's own date-time; a clock among the values counts before it.

    Raises:
        WireError: a scaler_unit, a clock or a list of capture objects has another shape.

    """
    found = _SortedValues()
    for value in values:
        of = value.definition
        if value.value.value is None:
            continue
        if of is None:
            found.note_named(value)
        elif not of.data_index:
            found.note_attribute(of, value.value)
    is_named = any(value.obis is not None for value in values)
    return PushedContent(
        found.clock or time,
        found.rows,
        found.scalers,
        found.numbers,
        found.columns,
        found.registers,
        found.status,
        is_named,
    )


@dataclass(slots=True)
class _SortedValues:
    """What was found in a push so far; fields as in ``PushedContent``."""

    clock: ClockTime | None = None
    rows: dict[Obis, list[Data]] = field(default_factory=dict)
    scalers: dict[Obis, ScalerUnit] = field(default_factory=dict)
    numbers: dict[Obis, Data] = field(default_factory=dict)
    columns: dict[Obis, Sequence[CaptureObjectDefinition]] = field(default_factory=dict)
    registers: dict[Obis, list[Obis]] = field(default_factory=dict)
    status: int = 0
    profile: Obis | None = None

    def note_attribute(self, of: CaptureObjectDefinition, data: Data) -> None:
        what = of.class_id, of.attribute
        if what == _BUFFER:
            self.profile = of.instance
            self.rows.setdefault(of.instance, []).extend(data.items)
        elif what in _SCALERS:
            self.scalers[of.instance] = read_scaler_unit(data)
            if self.profile is not None:
                self.registers.setdefault(self.profile, []).append(of.instance)
        elif what in _VALUES:
            number, scaler = scaled_pair(data)
            self._note_number(of.instance, number, scaler)
        elif what == _CLOCK:
            self.clock = data.clock_time
        elif what == _COLUMNS:
            self.columns[of.instance] = read_capture_objects(data)
        elif what == _DATA and of.instance == PROFILE_STATUS:
            self.status = data.integer

    def note_named(self, value: PushValue) -> None:
        """Note a value with a code alone: a clock, or a number of a supply."""
        if value.name is None or value.name.f != CURRENT_VALUE:
            return
        if value.name == CLOCK:
            self.clock = value.value.clock_time
        elif commodity_of_obis(value.name) is not None and isinstance(value.value.value, int | IeeeFloat):
            self._note_number(value.name, value.value, value.scaler)

    def _note_number(self, name: Obis, data: Data, scaler: ScalerUnit | None) -> None:
        self.numbers[name] = data
        if scaler is not None:
            self.scalers[name] = scaler


def _value(class_id: int, name: Obis, attribute: int, value: Data) -> PushValue:
    return PushValue(CaptureObjectDefinition(class_id, name, attribute), value)


def _number(value: int | None) -> Data:
    if value is None:
        return null()
    if value < 0:
        return long64(value)
    return double_long_unsigned(value) if value <= _DOUBLE_LONG_MAX else long64_unsigned(value)


_SCALER_OF: Final = {
    Register.class_id: Register.scaler_unit.number,
    ExtendedRegister.class_id: ExtendedRegister.scaler_unit.number,
    DemandRegister.class_id: DemandRegister.scaler_unit.number,
}
_SCALERS = frozenset(_SCALER_OF.items())
_VALUES = frozenset(
    {
        (Register.class_id, Register.value.number),
        (ExtendedRegister.class_id, ExtendedRegister.value.number),
    }
)
_DATA = (DataObject.class_id, DataObject.value.number)
_BUFFER = (ProfileGeneric.class_id, ProfileGeneric.buffer.number)
_COLUMNS = (ProfileGeneric.class_id, ProfileGeneric.capture_objects.number)
_CLOCK = (Clock.class_id, Clock.time.number)
