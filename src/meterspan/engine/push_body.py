"""The body of a push, read in one place: what each value is of, by the names in the body or by a known list.

Strategy: a body that brings its push object list (``write_listed``), or describes each value as earlier versions of
meterspan did, names its values itself (IEC 62056-6-2, 4.4.8); plain values are named by a list that is known for the
meter; a list of OBIS codes with values behind them names these by their codes, and a pair (integer, enum) behind a
value scales it. Where a reader asks for it, a list without any name is matched by its shape with the layouts of
``model.push_layouts``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from meterspan.model.cosem.profile import read_push_objects, write_capture_objects
from meterspan.model.cosem.scaler_unit import ScalerUnit, is_scaler_unit, read_scaler_unit
from meterspan.model.cosem.standard_objects import LIST_ELEMENT
from meterspan.model.cosem.view import fields_of, read_logical_name
from meterspan.model.push_layouts import POSITIONAL_LISTS, PositionalList
from meterspan.quantities import ClockTime, Obis
from meterspan.wire.axdr import Data, DataType, structure
from meterspan.wire.errors import WireError
from meterspan.wire.xdlms import CaptureObjectDefinition

__all__ = ["PushBody", "PushValue", "read_body", "read_values", "scaled_pair", "text_of", "write_listed"]

CLOCK_SIZE = 12
LOGICAL_NAME_SIZE = 6
YEAR_MIN, YEAR_MAX = 2000, 2099
"""Twelve octets with another year are a text."""


@dataclass(frozen=True, slots=True)
class PushValue:
    """One pushed value, and what it is of.

    Attributes:
        definition: its attribute; None where no list and no descriptor names it.
        value: as it was pushed.
        name: the OBIS code that stands in front of it, or that a layout has for its place; None where the attribute
            names it, or nothing does.
        scaler: the scale that stands behind it, None where there is none.
        exponent: the power of ten that a layout has for its place, None without a layout.

    """

    definition: CaptureObjectDefinition | None
    value: Data
    name: Obis | None = None
    scaler: ScalerUnit | None = None
    exponent: int | None = None

    @property
    def obis(self) -> Obis | None:
        """The code of the value's object, None where it is not known."""
        return self.name if self.definition is None else self.definition.instance


@dataclass(frozen=True, slots=True)
class PushBody:
    """The values of a body.

    Attributes:
        values: in the order of the body, without the push object list.
        objects: the push object list that the body brought; empty where it brought none.

    """

    values: tuple[PushValue, ...]
    objects: tuple[CaptureObjectDefinition, ...] = ()


def write_listed(values: Sequence[PushValue]) -> Data:
    """Build a body whose first element is its push object list, itself included: any reader can name the values.

    Raises:
        ValueError: a value has no definition.

    """
    objects = [LIST_ELEMENT]
    for value in values:
        if value.definition is None:
            raise ValueError("only attributes are listed")
        objects.append(value.definition)
    return structure(write_capture_objects(objects), *(value.value for value in values))


def read_body(
    body: Data, lists: Sequence[Sequence[CaptureObjectDefinition]] = (), *, by_shape: bool = False
) -> PushBody:
    """Read the values of a notification's body, and what each is of.

    Args:
        body: the notification's value.
        lists: push object lists known for the meter; the first of the right length names plain values.
        by_shape: match a list without any name by its shape too. Another meter's list may have the same shape, so
            this is for a person who looks.

    """
    described = _read_described(body) if body.type is DataType.ARRAY else ()
    if described:
        return PushBody(described)
    items = body.items if body.type is DataType.STRUCTURE else ()
    own = _own_list(items)
    if own is not None:
        return own
    known = next((listed for listed in lists if len(listed) == len(items)), None) if items else None
    if known is not None:
        return PushBody(tuple(PushValue(of, item) for of, item in zip(known, items, strict=True)))
    named = tuple(read_values(body, by_shape=by_shape))
    return PushBody(named or tuple(PushValue(None, item) for item in items or (body,)))


def read_values(data: Data, *, by_shape: bool = False) -> Iterator[PushValue]:
    """Iterate over the values in a tree that have an OBIS code in front of them; ``by_shape`` as ``read_body``."""
    if not data.is_composite:
        return
    items = tuple(item for item in data.items if item.value is not None or not _has_padding(data.items))
    if by_shape and not any(_name_of(item) or item.is_composite for item in items):
        yield from _positional(items)
        return
    index = 0
    while index < len(items):
        name = _name_of(items[index])
        if name is None:
            yield from read_values(items[index], by_shape=by_shape)
            index += 1
            continue
        named, used = _named(name, items[index + 1 : index + 3])
        if named is not None:
            yield named
        index += 1 + used


def text_of(data: Data) -> str | None:
    """Return a value as text: a string, or octets that are all printable ASCII; None where it is neither."""
    if isinstance(data.value, str):
        return data.value
    if isinstance(data.value, bytes) and data.value and all(0x20 <= octet < 0x7F for octet in data.value):
        return data.value.decode("ascii")
    return None


def _read_described(body: Data) -> tuple[PushValue, ...]:
    """Read an array of described values; empty where this is another array."""
    try:
        return tuple(map(_read_described_value, body.items))
    except WireError:
        return ()


def _read_described_value(item: Data) -> PushValue:
    class_id, name, attribute, value = fields_of(item, 4, "pushed value")
    if class_id.type is not DataType.LONG_UNSIGNED or attribute.type is not DataType.INTEGER:
        raise WireError("not a described value", None, "pushed value")
    return PushValue(CaptureObjectDefinition(class_id.integer, read_logical_name(name), attribute.integer), value)


def _own_list(items: Sequence[Data]) -> PushBody | None:
    """Read a body that brings its push object list; the list's own element is no value.

    A list that leaves itself out stands first (quirk 5).
    """
    for index, item in enumerate(items):
        objects = _object_list(item)
        is_listed = len(objects) == len(items)
        if objects and (is_listed or (not index and len(objects) == len(items) - 1)):
            names = [*objects[:index], *objects[index + is_listed :]]
            rest = [*items[:index], *items[index + 1 :]]
            return PushBody(tuple(PushValue(of, value) for of, value in zip(names, rest, strict=True)), objects)
    return None


def _object_list(data: Data) -> tuple[CaptureObjectDefinition, ...]:
    """Read a push object list that is part of the body; empty where this is another value."""
    if data.type is not DataType.ARRAY:
        return ()
    try:
        return read_push_objects(data)
    except WireError:
        return ()


def _has_padding(items: Sequence[Data]) -> bool:
    """Whether null-data fills the places of values that a one-phase meter does not have, names included (Kamstrup)."""
    return any(first.value is None and second.value is None for first, second in pairwise(items))


def _named(name: Obis, behind: Sequence[Data]) -> tuple[PushValue | None, int]:
    """Return the value behind a name and how many elements it took."""
    if not behind or _name_of(behind[0]):
        return None, 0
    value = behind[0]
    if len(behind) > 1 and is_scaler_unit(behind[1]):
        return PushValue(None, value, name, read_scaler_unit(behind[1])), 2
    number, scaler = scaled_pair(value)
    return PushValue(None, number, name, scaler), 1


def scaled_pair(value: Data) -> tuple[Data, ScalerUnit | None]:
    """Return number and scale of a structure of both, else the value itself and None."""
    inner = value.items if value.is_composite else ()
    if len(inner) == 2 and is_scaler_unit(inner[1]):
        return inner[0], read_scaler_unit(inner[1])
    return value, None


def _positional(items: Sequence[Data]) -> Iterator[PushValue]:
    values = [item for item in items if item.value is not None]
    layout = _layout_of("".join(map(_letter, values)), values)
    if layout is not None:
        for place, value in zip(layout.fields, values, strict=True):
            if place is not None:
                yield PushValue(None, value, place.obis, None, place.exponent)


def _layout_of(shape: str, values: Sequence[Data]) -> PositionalList | None:
    for layout in POSITIONAL_LISTS:
        if layout.shape == shape and (
            not layout.mark or any((text_of(item) or "").startswith(layout.mark) for item in values)
        ):
            return layout
    return None


def _letter(data: Data) -> str:
    if isinstance(data.value, bytes):
        return "c" if len(data.value) == CLOCK_SIZE and _is_clock(data) else "s"
    if isinstance(data.value, str):
        return "s"
    return "c" if isinstance(data.value, ClockTime) else "n"


def _is_clock(data: Data) -> bool:
    try:
        moment = data.clock_time
    except WireError:
        return False
    is_dated = moment.year is not None and moment.month is not None and moment.day is not None
    return is_dated and YEAR_MIN <= (moment.year or 0) <= YEAR_MAX


def _name_of(data: Data) -> Obis | None:
    """Return the code that an element names: it is a logical name, or (class, logical name, attribute …)."""
    if not data.is_composite:
        return _logical_name(data)
    if not 3 <= len(data.items) <= 6:
        return None
    first, second, third = data.items[:3]
    is_descriptor = first.type is DataType.LONG_UNSIGNED and third.type is DataType.INTEGER
    return _logical_name(second) if is_descriptor else None


def _logical_name(data: Data) -> Obis | None:
    value = data.value
    is_name = data.type is DataType.OCTET_STRING and isinstance(value, bytes) and len(value) == LOGICAL_NAME_SIZE
    return Obis(*value) if is_name and isinstance(value, bytes) and value[-1] == 0xFF else None
