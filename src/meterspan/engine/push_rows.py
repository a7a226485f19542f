"""The body of a push of readings: rows of profiles, values of registers, and the scaler_unit of each; both directions.

Strategy: the writer puts each profile's rows and the scale of every captured register side by side, described one by
one (``push.write_described``). The reader sorts any push's values by attribute, whatever form the body had, so that a
standard push by object list and a push of our own access points are the same thing to the head end.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from meterspan.engine.push import PushValue, write_described
from meterspan.model.cosem.classes import Clock, DemandRegister, ExtendedRegister, ProfileGeneric, Register
from meterspan.model.cosem.objects import scaler_unit
from meterspan.model.cosem.profile import Row
from meterspan.model.cosem.scaler_unit import ScalerUnit, read_scaler_unit
from meterspan.quantities import ClockTime, Obis, Scaled, utc
from meterspan.wire.axdr import (
    Data,
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
        is_named: whether any value could be matched to its attribute.

    """

    time: ClockTime | None = None
    rows: Mapping[Obis, Sequence[Data]] = field(default_factory=dict)
    scalers: Mapping[Obis, ScalerUnit] = field(default_factory=dict)
    values: Mapping[Obis, Data] = field(default_factory=dict)
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
    return write_described(values)


def utc_row(time: int, status: int, values: Sequence[int | None]) -> Row:
    """Build a profile row: clock (UTC), status octet, and values; None becomes null-data."""
    moment = ClockTime.of(utc(time))
    return (octet_string(write_clock_time(moment)), unsigned(status), *map(_number, values))


def read_content(values: Sequence[PushValue], time: ClockTime | None = None) -> PushedContent:
    """Sort the values of a push by what they are of; values of other attributes are left out.

    Args:
        values: of one notification.
        time: the notification's own date-time.

    Raises:
        WireError: a scaler_unit or a clock has another shape.

    """
    rows: dict[Obis, list[Data]] = {}
    scalers: dict[Obis, ScalerUnit] = {}
    numbers: dict[Obis, Data] = {}
    clock: ClockTime | None = None
    for value in values:
        of = value.definition
        if of is None or of.data_index or value.value.value is None:
            continue
        what = of.class_id, of.attribute
        if what == _BUFFER:
            rows.setdefault(of.instance, []).extend(value.value.items)
        elif what in _SCALERS:
            scalers[of.instance] = read_scaler_unit(value.value)
        elif what in _VALUES:
            numbers[of.instance] = value.value
        elif what == _CLOCK:
            clock = value.value.clock_time
    is_named = any(value.definition is not None for value in values)
    return PushedContent(clock or time, rows, scalers, numbers, is_named)


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
_BUFFER = (ProfileGeneric.class_id, ProfileGeneric.buffer.number)
_CLOCK = (Clock.class_id, Clock.time.number)
