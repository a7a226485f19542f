"""How an interface class is declared: numbered, named and typed attributes and methods (IEC 62056-6-2, clause 4).

Strategy: a class body is the declaration, as the standard's class tables are. ``Register.scaler_unit`` is the
``Attribute`` itself, so code names attributes and never writes their numbers; ``Register.attributes`` is the table.
The declared kind is what encodes a plain value and what checks a value that a client writes.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import ClassVar, Self, TypeAlias

from meterspan.model.cosem.access import AttributeAccess
from meterspan.quantities import Obis
from meterspan.wire.axdr import Data, DataType
from meterspan.wire.axdr.data import INTEGER_LAYOUT, integer_of
from meterspan.wire.xdlms import CosemAttributeDescriptor, CosemMethodDescriptor

__all__ = ["Attribute", "DataKind", "InterfaceClass", "Method", "Plain"]

Plain: TypeAlias = bool | int | bytes | str | Obis
"""A value that its attribute's kind encodes."""


class DataKind(StrEnum):
    """The data types that class tables use (IEC 62056-6-2, 4.1.5); ``CHOICE`` is decided by the instance."""

    NULL_DATA = "null-data"
    ARRAY = "array"
    STRUCTURE = "structure"
    BOOLEAN = "boolean"
    BIT_STRING = "bit-string"
    DOUBLE_LONG = "double-long"
    DOUBLE_LONG_UNSIGNED = "double-long-unsigned"
    OCTET_STRING = "octet-string"
    VISIBLE_STRING = "visible-string"
    UTF8_STRING = "utf8-string"
    BCD = "bcd"
    INTEGER = "integer"
    LONG = "long"
    UNSIGNED = "unsigned"
    LONG_UNSIGNED = "long-unsigned"
    LONG64 = "long64"
    LONG64_UNSIGNED = "long64-unsigned"
    ENUM = "enum"
    CHOICE = "CHOICE"

    def accepts(self, value: Data, shape: str = "") -> bool:
        """Return whether a value is of this kind; a time stamp may also come under its own tag (4.1.6.1)."""
        return (
            self is DataKind.CHOICE
            or value.type is _TYPES[self]
            or (shape in _CLOCK_SHAPES and value.type is _CLOCK_SHAPES[shape])
        )

    def to_data(self, value: Plain) -> Data:
        """Encode a plain value.

        Raises:
            ValueError: the kind does not hold it, or needs a whole ``Data`` (CHOICE, arrays, structures).

        """
        type_ = _TYPES.get(self)
        if type_ is not None and type_ in INTEGER_LAYOUT:
            if isinstance(value, int) and not isinstance(value, bool):
                return integer_of(type_, int(value))
        elif type_ is not None and isinstance(value, _PLAIN.get(type_, ())):
            return Data(type_, bytes(value) if isinstance(value, Obis) else value)
        raise ValueError(f"{value!r} is not a value of {self}")


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute of a class.

    Attributes:
        number: the attribute index; 1 is always the logical name.
        kind: its data type.
        access: what a server grants where its access table says nothing narrower.
        shape: what arrays and structures hold, in the standard's words; "" elsewhere.
        name: the standard's name, taken from the class body.
        class_id: of its class, taken from there.

    """

    number: int
    kind: DataKind
    access: AttributeAccess = AttributeAccess.READ_ONLY
    shape: str = ""
    name: str = ""
    class_id: int = 0

    def at(self, logical_name: Obis) -> CosemAttributeDescriptor:
        """Return the address of this attribute in the object of that name."""
        return CosemAttributeDescriptor(self.class_id, logical_name, self.number)

    def encode(self, value: Data | Plain) -> Data:
        """Encode a value of this attribute.

        Raises:
            ValueError: it is not of the declared kind.

        """
        if not isinstance(value, Data):
            return self.kind.to_data(value)
        if not self.accepts(value):
            raise ValueError(f"{self.name} is {self.kind}, not {value.type.text}")
        return value

    def accepts(self, value: Data) -> bool:
        """Return whether a value is of the declared kind."""
        return self.kind.accepts(value, self.shape)


@dataclass(frozen=True, slots=True)
class Method:
    """One method of a class: ``argument`` is the type of its invocation parameter."""

    number: int
    argument: DataKind = DataKind.INTEGER
    shape: str = ""
    name: str = ""
    class_id: int = 0

    def at(self, logical_name: Obis) -> CosemMethodDescriptor:
        """Return the address of this method in the object of that name."""
        return CosemMethodDescriptor(self.class_id, logical_name, self.number)

    def accepts(self, parameter: Data) -> bool:
        """Return whether a parameter is of the declared kind; ``integer(0)`` may also be left out (null-data)."""
        return self.argument.accepts(parameter, self.shape) or (
            self.argument is DataKind.INTEGER and parameter.type is DataType.NULL
        )


class InterfaceClass:
    """Base of the declarations; subclasses give ``class_id`` and ``version`` and are never instantiated."""

    class_id: ClassVar[int]
    version: ClassVar[int]
    name: ClassVar[str]
    attributes: ClassVar[dict[int, Attribute]]
    methods: ClassVar[dict[int, Method]]

    logical_name = Attribute(1, DataKind.OCTET_STRING, name="logical_name")

    def __init_subclass__(cls, *, class_id: int | None = None, version: int = 0, name: str = "") -> None:
        """Collect the body into the tables, in the order of the numbers; a later version inherits the earlier."""
        cls.class_id = cls.class_id if class_id is None else class_id
        cls.version = version
        cls.name = name or getattr(cls, "name", "") or cls.__name__
        cls.logical_name = InterfaceClass.logical_name
        attributes = dict(getattr(cls, "attributes", {}))
        methods = dict(getattr(cls, "methods", {}))
        for key, entry in list(vars(cls).items()):
            if isinstance(entry, Attribute):
                attributes[entry.number] = replace(entry, name=key, class_id=cls.class_id)
                setattr(cls, key, attributes[entry.number])
            elif isinstance(entry, Method):
                methods[entry.number] = replace(entry, name=key, class_id=cls.class_id)
                setattr(cls, key, methods[entry.number])
        cls.attributes = dict(sorted(attributes.items()))
        cls.methods = dict(sorted(methods.items()))

    def __new__(cls) -> Self:
        """Refuse: a declaration has no instances (see ``CosemObject``)."""
        raise TypeError(f"{cls.__name__} is a declaration; build a CosemObject of it")


_TYPES = {kind: type_ for type_ in DataType for kind in DataKind if kind == type_.text}
_TYPES[DataKind.NULL_DATA] = DataType.NULL
_PLAIN: dict[DataType, tuple[type, ...]] = {
    DataType.BOOLEAN: (bool,),
    DataType.OCTET_STRING: (bytes, Obis),
    DataType.VISIBLE_STRING: (str,),
    DataType.UTF8_STRING: (str,),
}
_CLOCK_SHAPES = {"date-time": DataType.DATE_TIME, "date": DataType.DATE, "time": DataType.TIME}
