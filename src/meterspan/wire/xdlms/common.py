"""What the services share: invoke-ids, descriptors, selective access, results, blocks (IEC 62056-5-3, annex A).

Selective access of a ProfileGeneric is a record, by range or by entry (IEC 62056-6-2, 4.3.6.2.2); every other selector
keeps its parameters as ``Data``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from meterspan.quantities import Obis
from meterspan.wire.axdr import (
    Data,
    DataType,
    array,
    double_long_unsigned,
    integer,
    long_unsigned,
    octet_string,
    read_data,
    read_flag,
    read_length,
    read_octets,
    structure,
    write_data,
    write_length,
    write_octets,
)
from meterspan.wire.cursor import Cursor
from meterspan.wire.errors import WireError
from meterspan.wire.xdlms.codes import DataAccessResult

__all__ = [
    "Access",
    "AttributeSelection",
    "CaptureObjectDefinition",
    "CosemAttributeDescriptor",
    "CosemMethodDescriptor",
    "DataBlock",
    "EntryAccess",
    "GetResult",
    "InvokeIdAndPriority",
    "LongInvokeIdAndPriority",
    "OtherAccess",
    "RangeAccess",
]

CLAUSE = "IEC 62056-5-3, annex A"
_ITEM = 4
"""What an item of a list is charged to the message's budget: a descriptor or a result has several fields."""
ItemT = TypeVar("ItemT")


@dataclass(frozen=True, slots=True)
class InvokeIdAndPriority:
    """The octet that pairs a response with its request.

    Attributes:
        invoke_id: 0..15.
        confirmed: service class; an unconfirmed request gets no response.
        high_priority: served before what waits at normal priority.
        reserved: bits 4 and 5, 0 by the standard.

    """

    invoke_id: int
    confirmed: bool = True
    high_priority: bool = True
    reserved: int = 0

    def __int__(self) -> int:
        """Return the octet."""
        return self.invoke_id & 0x0F | (self.reserved & 3) << 4 | self.confirmed << 6 | self.high_priority << 7

    def __str__(self) -> str:
        """Write the id and what differs from a confirmed request."""
        differences = (
            "" if self.confirmed else " unconfirmed",
            " high priority" if self.high_priority else "",
        )
        return f"#{self.invoke_id}{''.join(differences)}"


@dataclass(frozen=True, slots=True)
class LongInvokeIdAndPriority:
    """The 32 bits that number a DataNotification (or an ACCESS request).

    Attributes:
        invoke_id: 0..0xFFFFFF.
        self_descriptive: the body describes itself.
        break_on_error: processing stops at the first error (ACCESS).
        confirmed: service class.
        high_priority: priority.
        reserved: bits 24 to 27, 0 by the standard.

    """

    invoke_id: int
    self_descriptive: bool = False
    break_on_error: bool = False
    confirmed: bool = False
    high_priority: bool = False
    reserved: int = 0

    def __int__(self) -> int:
        """Return the 32 bits."""
        return (
            self.invoke_id & 0xFF_FFFF
            | (self.reserved & 0x0F) << 24
            | self.self_descriptive << 28
            | self.break_on_error << 29
            | self.confirmed << 30
            | self.high_priority << 31
        )

    def __str__(self) -> str:
        """Write the number."""
        return f"#{self.invoke_id}"


@dataclass(frozen=True, slots=True)
class CosemAttributeDescriptor:
    """One attribute of one object; attribute 0 is all of them."""

    class_id: int
    instance: Obis
    attribute: int

    def __str__(self) -> str:
        """Write class, logical name and attribute."""
        return f"class {self.class_id} {self.instance} attribute {self.attribute}"


@dataclass(frozen=True, slots=True)
class CosemMethodDescriptor:
    """One method of one object."""

    class_id: int
    instance: Obis
    method: int

    def __str__(self) -> str:
        """Write class, logical name and method."""
        return f"class {self.class_id} {self.instance} method {self.method}"


@dataclass(frozen=True, slots=True)
class CaptureObjectDefinition:
    """A column of a profile: an attribute, and with ``data_index`` > 0 one element of it (IEC 62056-6-2, 4.3.6)."""

    class_id: int
    instance: Obis
    attribute: int
    data_index: int = 0

    def to_data(self) -> Data:
        """Return the structure that stands in capture_objects and in range_descriptor."""
        return structure(
            long_unsigned(self.class_id),
            octet_string(self.instance),
            integer(self.attribute),
            long_unsigned(self.data_index),
        )


@dataclass(frozen=True, slots=True)
class RangeAccess:
    """Selector 1 of a ProfileGeneric's buffer: rows whose ``restricting`` column is in from..to, both included.

    Attributes:
        restricting: the column that decides, as a rule the clock.
        from_value: first value, in the type of the column.
        to_value: last value.
        selected: the columns to give; none means all.

    """

    restricting: CaptureObjectDefinition
    from_value: Data
    to_value: Data
    selected: tuple[CaptureObjectDefinition, ...] = ()


@dataclass(frozen=True, slots=True)
class EntryAccess:
    """Selector 2 of a ProfileGeneric's buffer: rows and columns by number, from 1; 0 as an end means the last."""

    from_entry: int = 1
    to_entry: int = 0
    from_selected: int = 1
    to_selected: int = 0


@dataclass(frozen=True, slots=True)
class OtherAccess:
    """A selector of another kind, its parameters as received."""

    selector: int
    parameters: Data


Access: TypeAlias = RangeAccess | EntryAccess | OtherAccess


@dataclass(frozen=True, slots=True)
class AttributeSelection:
    """An attribute with what part of it is wanted; an element of a list request."""

    attribute: CosemAttributeDescriptor
    access: Access | None = None


@dataclass(frozen=True, slots=True)
class DataBlock:
    """A block of raw data (DataBlock-SA): the octets of an encoded value, cut where the APDU was full."""

    block_number: int
    last_block: bool
    raw_data: bytes


GetResult: TypeAlias = Data | DataAccessResult
"""What reading one attribute gives: its value, or the reason why not."""


def read_invoke_id(cursor: Cursor) -> InvokeIdAndPriority:
    """Read Invoke-Id-And-Priority."""
    octet = cursor.u8("invoke-id-and-priority")
    invoke = InvokeIdAndPriority(octet & 0x0F, bool(octet & 0x40), bool(octet & 0x80), octet >> 4 & 3)
    if cursor.trace is not None:
        cursor.explain(str(invoke))
    return invoke


def write_invoke_id(invoke: InvokeIdAndPriority) -> bytes:
    """Write Invoke-Id-And-Priority."""
    return bytes((int(invoke),))


def read_long_invoke_id(cursor: Cursor) -> LongInvokeIdAndPriority:
    """Read Long-Invoke-Id-And-Priority."""
    bits = cursor.big(4, "long-invoke-id-and-priority")
    invoke = LongInvokeIdAndPriority(
        bits & 0xFF_FFFF,
        bool(bits >> 28 & 1),
        bool(bits >> 29 & 1),
        bool(bits >> 30 & 1),
        bool(bits >> 31),
        bits >> 24 & 0x0F,
    )
    if cursor.trace is not None:
        cursor.explain(str(invoke))
    return invoke


def write_long_invoke_id(invoke: LongInvokeIdAndPriority) -> bytes:
    """Write Long-Invoke-Id-And-Priority."""
    return int(invoke).to_bytes(4, "big")


def read_attribute(cursor: Cursor) -> CosemAttributeDescriptor:
    """Read Cosem-Attribute-Descriptor."""
    class_id, instance = _read_object(cursor)
    return CosemAttributeDescriptor(class_id, instance, cursor.big(1, "attribute-id", signed=True))


def write_attribute(attribute: CosemAttributeDescriptor) -> bytes:
    """Write Cosem-Attribute-Descriptor."""
    return _write_member(attribute.class_id, attribute.instance, attribute.attribute)


def read_method(cursor: Cursor) -> CosemMethodDescriptor:
    """Read Cosem-Method-Descriptor."""
    class_id, instance = _read_object(cursor)
    return CosemMethodDescriptor(class_id, instance, cursor.big(1, "method-id", signed=True))


def write_method(method: CosemMethodDescriptor) -> bytes:
    """Write Cosem-Method-Descriptor."""
    return _write_member(method.class_id, method.instance, method.method)


def read_selection(cursor: Cursor) -> AttributeSelection:
    """Read Cosem-Attribute-Descriptor-With-Selection."""
    return AttributeSelection(read_attribute(cursor), read_access(cursor))


def write_selection(selection: AttributeSelection) -> bytes:
    """Write Cosem-Attribute-Descriptor-With-Selection."""
    return write_attribute(selection.attribute) + write_access(selection.access)


def read_access(cursor: Cursor) -> Access | None:
    """Read the optional Selective-Access-Descriptor, with its presence flag."""
    if not read_flag(cursor, "access-selection present"):
        return None
    selector = cursor.u8("access-selector")
    parameters = read_data(cursor, "access-parameters")
    if selector == 1:
        return _range_of(parameters) or OtherAccess(selector, parameters)
    if selector == 2:
        return _entry_of(parameters) or OtherAccess(selector, parameters)
    return OtherAccess(selector, parameters)


def write_access(access: Access | None) -> bytes:
    """Write the optional Selective-Access-Descriptor, with its presence flag."""
    match access:
        case None:
            return b"\x00"
        case RangeAccess():
            columns = array(*(column.to_data() for column in access.selected))
            parameters = structure(access.restricting.to_data(), access.from_value, access.to_value, columns)
            return b"\x01\x01" + write_data(parameters)
        case EntryAccess():
            return b"\x01\x02" + write_data(
                structure(
                    double_long_unsigned(access.from_entry),
                    double_long_unsigned(access.to_entry),
                    long_unsigned(access.from_selected),
                    long_unsigned(access.to_selected),
                )
            )
        case OtherAccess():
            return bytes((1, access.selector)) + write_data(access.parameters)


def read_result(cursor: Cursor) -> GetResult:
    """Read Get-Data-Result."""
    if read_choice(cursor, "result", ("data", "data-access-result")) == 0:
        return read_data(cursor)
    return read_access_result(cursor)


def write_result(result: GetResult) -> bytes:
    """Write Get-Data-Result."""
    return b"\x00" + write_data(result) if isinstance(result, Data) else bytes((1, result))


def read_access_result(cursor: Cursor) -> DataAccessResult:
    """Read Data-Access-Result."""
    result = DataAccessResult(cursor.u8("data-access-result"))
    if cursor.trace is not None:
        cursor.explain(result.text)
    return result


def read_block(cursor: Cursor) -> DataBlock:
    """Read DataBlock-SA."""
    last_block = read_flag(cursor, "last-block")
    return DataBlock(cursor.big(4, "block-number"), last_block, read_octets(cursor, "raw-data"))


def write_block(block: DataBlock) -> bytes:
    """Write DataBlock-SA."""
    return bytes((block.last_block,)) + block.block_number.to_bytes(4, "big") + write_octets(block.raw_data)


def read_list(cursor: Cursor, read_item: Callable[[Cursor], ItemT], name: str) -> tuple[ItemT, ...]:
    """Read a SEQUENCE OF; every item has at least one octet, which bounds the count."""
    position = cursor.position
    count = read_length(cursor, f"{name} count")
    if count > cursor.remaining:
        raise WireError(f"announces {count} items, has {cursor.remaining} octets", position, name, CLAUSE)
    cursor.charge(_ITEM * count, name)
    return tuple([read_item(cursor) for _ in range(count)])


def write_list(items: tuple[ItemT, ...], write_item: Callable[[ItemT], bytes]) -> bytes:
    """Write a SEQUENCE OF."""
    return write_length(len(items)) + b"".join(map(write_item, items))


def read_choice(cursor: Cursor, name: str, choices: tuple[str, ...], first: int = 0) -> int:
    """Read the octet of a CHOICE whose alternatives are numbered from ``first``.

    Args:
        cursor: at the octet.
        name: the field, for errors.
        choices: names of the alternatives, in the standard's order.
        first: number of the first alternative.

    Raises:
        WireError: no such alternative.

    """
    position = cursor.position
    choice = cursor.u8(name)
    if not first <= choice < first + len(choices):
        raise WireError(f"has no alternative {choice}", position, name, CLAUSE)
    if cursor.trace is not None:
        cursor.explain(choices[choice - first])
    return choice


def _read_object(cursor: Cursor) -> tuple[int, Obis]:
    class_id = cursor.big(2, "class-id")
    instance = Obis(*cursor.take(6, "instance-id"))
    if cursor.trace is not None:
        cursor.explain(str(instance))
    return class_id, instance


def _write_member(class_id: int, instance: Obis, member: int) -> bytes:
    return class_id.to_bytes(2, "big") + bytes(instance) + member.to_bytes(1, "big", signed=True)


_COLUMN = (DataType.LONG_UNSIGNED, DataType.OCTET_STRING, DataType.INTEGER, DataType.LONG_UNSIGNED)
_ENTRY = (DataType.DOUBLE_LONG_UNSIGNED, DataType.DOUBLE_LONG_UNSIGNED, DataType.LONG_UNSIGNED, DataType.LONG_UNSIGNED)


def _column_of(data: Data) -> CaptureObjectDefinition | None:
    if data.type is not DataType.STRUCTURE or tuple(item.type for item in data.items) != _COLUMN:
        return None
    class_id, instance, attribute, data_index = data.items
    if len(instance.octets) != 6:
        return None
    return CaptureObjectDefinition(class_id.integer, Obis(*instance.octets), attribute.integer, data_index.integer)


def _range_of(data: Data) -> RangeAccess | None:
    if data.type is not DataType.STRUCTURE or len(data.items) != 4 or data.items[3].type is not DataType.ARRAY:
        return None
    restricting = _column_of(data.items[0])
    selected = [_column_of(item) for item in data.items[3].items]
    columns = tuple(column for column in selected if column is not None)
    if restricting is None or len(columns) != len(selected):
        return None
    return RangeAccess(restricting, data.items[1], data.items[2], columns)


def _entry_of(data: Data) -> EntryAccess | None:
    if data.type is not DataType.STRUCTURE or tuple(item.type for item in data.items) != _ENTRY:
        return None
    return EntryAccess(*(item.integer for item in data.items))
