"""Objects of a server: a declaration, a logical name, and where each attribute's value comes from.

Strategy: an attribute is a stored ``Data`` or a callable that is asked at each read (``now`` comes in); what is not
bound does not exist for a client. Writing and invoking go through callables only, so that nothing is writable by
accident. A refusal is an ``AccessRefusedError`` with the standard's code.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import TypeAlias

from meterspan.model.cosem.classes import ProfileGeneric
from meterspan.model.cosem.declaration import InterfaceClass
from meterspan.model.cosem.profile import ProfileRows, read_capture_objects, select_rows
from meterspan.quantities import Obis, Scaled
from meterspan.wire.axdr import Data, double_long_unsigned, enum, integer, octet_string, structure
from meterspan.wire.errors import WireError
from meterspan.wire.xdlms import Access, ActionResult, DataAccessResult

__all__ = [
    "AccessRefusedError",
    "ActionRefusedError",
    "CosemObject",
    "Getter",
    "Invoker",
    "Setter",
    "scaler_unit",
]

Getter: TypeAlias = Callable[[float], Data]
"""Gives an attribute's value at ``now``."""
Setter: TypeAlias = Callable[[Data, float], None]
"""Takes an attribute's new value; raises ``AccessRefusedError`` or ``WireError`` (type unmatched) to refuse."""
Invoker: TypeAlias = Callable[[Data, float], Data | None]
"""Runs a method with its parameter (null-data where none came); raises ``ActionRefusedError`` to refuse."""


class AccessRefusedError(Exception):
    """An attribute was not read or written, with the reason that goes to the client."""

    def __init__(self, result: DataAccessResult) -> None:
        super().__init__(result)
        self.result = result


class ActionRefusedError(Exception):
    """A method did not run, with the reason that goes to the client."""

    def __init__(self, result: ActionResult) -> None:
        super().__init__(result)
        self.result = result


@dataclass(slots=True)
class CosemObject:
    """One object of a logical device.

    Attributes:
        interface: its class.
        logical_name: its instance id.
        attributes: number to stored value or getter; the logical name needs no entry.
        setters: number to what takes a written value.
        invokers: method number to what runs it.
        rows: of a profile generic, what keeps the buffer; attributes 2 and 7 then need no entry.
        zone: reads clock times without deviation in selections.

    """

    interface: type[InterfaceClass]
    logical_name: Obis
    attributes: Mapping[int, Data | Getter] = field(default_factory=dict)
    setters: Mapping[int, Setter] = field(default_factory=dict)
    invokers: Mapping[int, Invoker] = field(default_factory=dict)
    rows: ProfileRows | None = None
    zone: tzinfo | None = None

    def __post_init__(self) -> None:
        unknown = (self.attributes.keys() | self.setters.keys()) - self.interface.attributes.keys()
        unknown_methods = self.invokers.keys() - self.interface.methods.keys()
        if unknown or unknown_methods:
            raise ValueError(f"{self.interface.name} has no attributes {unknown} or methods {unknown_methods}")
        if self.rows is not None and self.interface.class_id != ProfileGeneric.class_id:
            raise ValueError(f"{self.interface.name} keeps no rows")

    @property
    def key(self) -> tuple[int, Obis]:
        """Class id and logical name, by which requests find it."""
        return self.interface.class_id, self.logical_name

    @property
    def numbers(self) -> tuple[int, ...]:
        """The attributes that exist here, ascending."""
        extra = {ProfileGeneric.buffer.number, ProfileGeneric.entries_in_use.number} if self.rows is not None else set()
        return tuple(sorted({1, *self.attributes, *self.setters, *extra}))

    def selectors(self, number: int) -> tuple[int, ...]:
        """Which selective access an attribute takes."""
        return (1, 2) if self.rows is not None and number == ProfileGeneric.buffer.number else ()

    def read(self, number: int, now: float, access: Access | None = None) -> Data:
        """Give an attribute's value, or the part of it that ``access`` selects.

        Raises:
            AccessRefusedError: no such attribute, or no such selection.

        """
        if number == 1:
            return octet_string(self.logical_name)
        if self.rows is not None and number == ProfileGeneric.buffer.number:
            return self._read_buffer(self.rows, now, access)
        if access is not None:
            raise AccessRefusedError(DataAccessResult.SCOPE_OF_ACCESS_VIOLATED)
        if self.rows is not None and number == ProfileGeneric.entries_in_use.number:
            return double_long_unsigned(len(self.rows))
        bound = self.attributes.get(number)
        if bound is None:
            raise AccessRefusedError(DataAccessResult.OBJECT_UNAVAILABLE)
        return bound if isinstance(bound, Data) else bound(now)

    def write(self, number: int, value: Data, now: float) -> None:
        """Write an attribute.

        Raises:
            AccessRefusedError: it cannot be written, or not with this value.

        """
        setter = self.setters.get(number)
        if setter is None:
            raise AccessRefusedError(DataAccessResult.READ_WRITE_DENIED)
        try:
            setter(value, now)
        except WireError as error:
            raise AccessRefusedError(DataAccessResult.TYPE_UNMATCHED) from error

    def invoke(self, number: int, parameter: Data, now: float) -> Data | None:
        """Run a method and give what it returns.

        Raises:
            ActionRefusedError: there is no such method, or it refuses.

        """
        invoker = self.invokers.get(number)
        if invoker is None:
            raise ActionRefusedError(ActionResult.OBJECT_UNAVAILABLE)
        try:
            return invoker(parameter, now)
        except WireError as error:
            raise ActionRefusedError(ActionResult.TYPE_UNMATCHED) from error

    def _read_buffer(self, rows: ProfileRows, now: float, access: Access | None) -> Data:
        try:
            columns = read_capture_objects(self.read(ProfileGeneric.capture_objects.number, now))
            return select_rows(rows, columns, access, zone=self.zone)
        except WireError as error:
            raise AccessRefusedError(DataAccessResult.SCOPE_OF_ACCESS_VIOLATED) from error


def scaler_unit(quantity: Scaled) -> Data:
    """Build the scaler_unit of registers that hold integers like this one.

    Raises:
        ValueError: the unit has no DLMS code.

    """
    if quantity.unit.dlms_code is None:
        raise ValueError(f"{quantity.unit} has no DLMS unit code")
    return structure(integer(quantity.exponent), enum(quantity.unit.dlms_code))
