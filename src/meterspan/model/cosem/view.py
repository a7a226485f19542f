"""The association view: which objects an association shows and what it may do with each (object_list, 4.4.4).

Read from a meter's answer (``read_object_list``) or written as a server's answer (``write_object_list``). Access modes
that the standard does not list survive as plain numbers; a version 3 list (bit flags) reads likewise.
"""

from dataclasses import dataclass

from meterspan.model.cosem.access import AttributeAccess, MethodAccess
from meterspan.model.cosem.classes import interface_class
from meterspan.quantities import Obis
from meterspan.wire.axdr import (
    Data,
    DataType,
    array,
    enum,
    integer,
    long_unsigned,
    null,
    octet_string,
    structure,
    unsigned,
)
from meterspan.wire.errors import WireError

__all__ = [
    "AttributeRight",
    "MethodRight",
    "ObjectListElement",
    "read_logical_name",
    "read_object_list",
    "write_object_list",
]

CLAUSE = "IEC 62056-6-2, 4.4.4"
MAX_OBJECTS = 20_000
"""The fullest field meters show some two thousand objects; ten times that is a damaged or hostile list."""


@dataclass(frozen=True, slots=True)
class AttributeRight:
    """attribute_access_item: number, access mode and the selective access selectors, empty where there are none."""

    number: int
    access: AttributeAccess | int
    selectors: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class MethodRight:
    """method_access_item; version 0 of Association LN has a boolean here."""

    number: int
    access: MethodAccess | int


@dataclass(frozen=True, slots=True)
class ObjectListElement:
    """One object of the view with its access rights."""

    class_id: int
    version: int
    logical_name: Obis
    attributes: tuple[AttributeRight, ...] = ()
    methods: tuple[MethodRight, ...] = ()

    def __str__(self) -> str:
        """Write class and logical name: ``Register 1-0:1.8.0``."""
        declared = interface_class(self.class_id, self.version)
        return f"{declared.name if declared else f'class {self.class_id}'} {self.logical_name}"


def read_object_list(data: Data) -> tuple[ObjectListElement, ...]:
    """Read the value of Association LN attribute 2.

    Raises:
        WireError: it has another shape, or more than ``MAX_OBJECTS`` elements.

    """
    if len(data.items) > MAX_OBJECTS:
        raise WireError(f"{len(data.items)} objects are more than {MAX_OBJECTS}", None, "object_list", CLAUSE)
    return tuple(_read_element(element) for element in data.items)


def write_object_list(elements: tuple[ObjectListElement, ...]) -> Data:
    """Build the value of Association LN attribute 2 (versions 0 to 2)."""
    return array(*(_write_element(element) for element in elements))


def read_logical_name(data: Data) -> Obis:
    """Read the six octets of a logical name.

    Raises:
        WireError: it is no octet-string of six octets.

    """
    octets = data.octets
    if len(octets) != 6:
        raise WireError(f"a logical name has 6 octets, not {len(octets)}", None, "logical_name", CLAUSE)
    return Obis(*octets)


def fields_of(data: Data, count: int, name: str) -> tuple[Data, ...]:
    """Return the elements of a structure that must have ``count`` of them.

    Raises:
        WireError: it has another shape.

    """
    items = data.items
    if len(items) != count:
        raise WireError(f"a structure of {count} elements is due, not {len(items)}", None, name, CLAUSE)
    return items


def _read_element(data: Data) -> ObjectListElement:
    class_id, version, name, rights = fields_of(data, 4, "object_list_element")
    attributes, methods = fields_of(rights, 2, "access_rights")
    return ObjectListElement(
        class_id.integer,
        version.integer,
        read_logical_name(name),
        tuple(_read_attribute(item) for item in attributes.items),
        tuple(_read_method(item) for item in methods.items),
    )


def _read_attribute(data: Data) -> AttributeRight:
    number, mode, selectors = fields_of(data, 3, "attribute_access_item")
    access = mode.integer
    chosen = () if selectors.type is DataType.NULL else tuple(item.integer for item in selectors.items)
    return AttributeRight(number.integer, AttributeAccess(access) if access in _ATTRIBUTE_MODES else access, chosen)


def _read_method(data: Data) -> MethodRight:
    number, mode = fields_of(data, 2, "method_access_item")
    access = int(mode.integer)
    return MethodRight(number.integer, MethodAccess(access) if access in _METHOD_MODES else access)


def _write_element(element: ObjectListElement) -> Data:
    return structure(
        long_unsigned(element.class_id),
        unsigned(element.version),
        octet_string(element.logical_name),
        structure(
            array(*(_write_attribute(right) for right in element.attributes)),
            array(*(structure(integer(right.number), enum(right.access)) for right in element.methods)),
        ),
    )


def _write_attribute(right: AttributeRight) -> Data:
    selectors = array(*(integer(selector) for selector in right.selectors)) if right.selectors else null()
    return structure(integer(right.number), enum(right.access), selectors)


_ATTRIBUTE_MODES = frozenset(AttributeAccess)
_METHOD_MODES = frozenset(MethodAccess)
