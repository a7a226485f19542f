"""Objects of a server: a declaration, a logical name, and where each attribute's value comes from.

Strategy: an attribute is a stored value, a getter that is asked at each read, or a ``Selective`` getter that also takes
the selection; the declared kind encodes plain values and checks written ones. An attribute without a binding does not
exist for a client. Writing and invoking go through callables only. A refusal carries the standard's code.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

from meterspan.model.cosem.declaration import Attribute, DataKind, InterfaceClass, Method, Plain
from meterspan.quantities import Obis, Scaled
from meterspan.wire.axdr import Data, enum, integer, octet_string, structure
from meterspan.wire.errors import WireError
from meterspan.wire.xdlms import Access, ActionResult, DataAccessResult

__all__ = [
    "AccessRefusedError",
    "ActionRefusedError",
    "Bound",
    "CosemObject",
    "Getter",
    "Invoker",
    "Selective",
    "Setter",
    "scaler_unit",
]

Getter: TypeAlias = Callable[[float], Data | Plain]
"""Returns an attribute's value at ``now``."""
Setter: TypeAlias = Callable[[Data, float], None]
"""Stores an attribute's new value.

To refuse, raises ``AccessRefusedError``, ``WireError`` (type unmatched) or ``ValueError`` (outside the range).
"""
Invoker: TypeAlias = Callable[[Data, float], Data | None]
"""Runs a method with its parameter (null-data where it was left out); to refuse, raises ``ActionRefusedError`` or the
errors of a ``Setter``."""


@dataclass(frozen=True, slots=True)
class Selective:
    """A getter of an attribute with selective access.

    Attributes:
        selectors: the access selectors that the attribute takes (association view, 4.4.4).
        read: returns the value, or the part of it that ``access`` selects; raises ``WireError`` to refuse the access.

    """

    selectors: tuple[int, ...]
    read: Callable[[float, Access | None], Data]


Bound: TypeAlias = Data | Plain | Getter | Selective
"""Where an attribute's value comes from."""
_NO_ATTRIBUTES: Mapping[Attribute, Bound] = {}


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


class CosemObject:
    """One object of a logical device.

    Args:
        interface: its class.
        logical_name: its instance id.
        attributes: what each attribute is bound to; the logical name needs no entry.
        setters: what stores each writable attribute's new value.
        invokers: what runs each method.

    Raises:
        ValueError: the class declares no such attribute or method, or a stored value is not of the declared kind.

    """

    __slots__ = ("_bound", "_invokers", "_setters", "interface", "logical_name")

    def __init__(
        self,
        interface: type[InterfaceClass],
        logical_name: Obis,
        attributes: Mapping[Attribute, Bound] = _NO_ATTRIBUTES,
        setters: Mapping[Attribute, Setter] | None = None,
        invokers: Mapping[Method, Invoker] | None = None,
    ) -> None:
        self.interface = interface
        self.logical_name = logical_name
        self._bound = {
            _number(interface, attribute): _stored(attribute, value) for attribute, value in attributes.items()
        }
        self._setters = {_number(interface, attribute): setter for attribute, setter in (setters or {}).items()}
        self._invokers = {_number(interface, method): run for method, run in (invokers or {}).items()}

    @property
    def key(self) -> tuple[int, Obis]:
        """Class id and logical name, by which requests find it."""
        return self.interface.class_id, self.logical_name

    @property
    def numbers(self) -> tuple[int, ...]:
        """The attributes that exist here, ascending."""
        return tuple(sorted({1, *self._bound, *self._setters}))

    @property
    def readable(self) -> tuple[int, ...]:
        """The attributes that have a value, ascending."""
        return tuple(sorted({1, *self._bound}))

    @property
    def writable(self) -> tuple[int, ...]:
        """The attributes that something can be written to, ascending."""
        return tuple(sorted(self._setters))

    @property
    def methods(self) -> tuple[int, ...]:
        """The methods that exist here, ascending."""
        return tuple(sorted(self._invokers))

    def selectors(self, number: int) -> tuple[int, ...]:
        """Return the selective accesses that an attribute takes."""
        bound = self._bound.get(number)
        return bound.selectors if isinstance(bound, Selective) else ()

    def read(self, number: int, now: float, access: Access | None = None) -> Data:
        """Return an attribute's value, or the part of it that ``access`` selects.

        Raises:
            AccessRefusedError: no such attribute, no such selection, or the value does not fit its declared kind.

        """
        if number == 1 and access is None:
            return octet_string(self.logical_name)
        bound = self._bound.get(number)
        if isinstance(bound, Data) and access is None:
            return bound
        if isinstance(bound, Selective):
            return _selected(bound, now, access)
        if access is not None:
            raise AccessRefusedError(DataAccessResult.SCOPE_OF_ACCESS_VIOLATED)
        if bound is None or isinstance(bound, Data):
            raise AccessRefusedError(DataAccessResult.OBJECT_UNAVAILABLE)
        try:
            return self.interface.attributes[number].encode(bound(now))
        except ValueError as error:
            raise AccessRefusedError(DataAccessResult.OTHER_REASON) from error

    def write(self, number: int, value: Data, now: float) -> None:
        """Write an attribute.

        Raises:
            AccessRefusedError: it cannot be written, or not with a value of this type or range.

        """
        setter = self._setters.get(number)
        if setter is None:
            raise AccessRefusedError(DataAccessResult.READ_WRITE_DENIED)
        if not self._accepts(number, value, now):
            raise AccessRefusedError(DataAccessResult.TYPE_UNMATCHED)
        try:
            setter(value, now)
        except WireError as error:
            raise AccessRefusedError(DataAccessResult.TYPE_UNMATCHED) from error
        except ValueError as error:
            raise AccessRefusedError(DataAccessResult.OTHER_REASON) from error

    def invoke(self, number: int, parameter: Data, now: float) -> Data | None:
        """Run a method and return its result.

        Raises:
            ActionRefusedError: there is no such method, the parameter is of another type or range, or it refuses.

        """
        invoker = self._invokers.get(number)
        if invoker is None:
            raise ActionRefusedError(ActionResult.OBJECT_UNAVAILABLE)
        if not self.interface.methods[number].accepts(parameter):
            raise ActionRefusedError(ActionResult.TYPE_UNMATCHED)
        try:
            return invoker(parameter, now)
        except WireError as error:
            raise ActionRefusedError(ActionResult.TYPE_UNMATCHED) from error
        except ValueError as error:
            raise ActionRefusedError(ActionResult.OTHER_REASON) from error

    def _accepts(self, number: int, value: Data, now: float) -> bool:
        """Whether a value is of the attribute's type; where the class leaves a CHOICE, of the type that it has now."""
        attribute = self.interface.attributes[number]
        bound = self._bound.get(number)
        if attribute.kind is not DataKind.CHOICE or bound is None or isinstance(bound, Selective):
            return attribute.accepts(value)
        return value.type is self.read(number, now).type

    def in_time_of(self, clock: Callable[[], float]) -> "CosemObject":
        """Return this object with ``clock`` in place of the ``now`` that each call is given."""
        twin = CosemObject(self.interface, self.logical_name)
        twin._bound.update({number: _paced(bound, clock) for number, bound in self._bound.items()})
        twin._setters.update({number: _paced_call(setter, clock) for number, setter in self._setters.items()})
        twin._invokers.update({number: _paced_call(run, clock) for number, run in self._invokers.items()})
        return twin


def scaler_unit(quantity: Scaled) -> Data:
    """Build the scaler_unit of registers that hold integers like this one.

    Raises:
        ValueError: the unit has no DLMS code.

    """
    if quantity.unit.dlms_code is None:
        raise ValueError(f"{quantity.unit} has no DLMS unit code")
    return structure(integer(quantity.exponent), enum(quantity.unit.dlms_code))


_Held: TypeAlias = Data | Getter | Selective
ResultT = TypeVar("ResultT")


def _number(interface: type[InterfaceClass], entry: Attribute | Method) -> int:
    declared = interface.attributes if isinstance(entry, Attribute) else interface.methods
    if declared.get(entry.number) != entry:
        raise ValueError(f"{interface.name} declares no {entry.name}")
    return entry.number


def _stored(attribute: Attribute, value: Bound) -> _Held:
    return value if isinstance(value, Selective) or callable(value) else attribute.encode(value)


def _selected(bound: Selective, now: float, access: Access | None) -> Data:
    try:
        return bound.read(now, access)
    except WireError as error:
        raise AccessRefusedError(DataAccessResult.SCOPE_OF_ACCESS_VIOLATED) from error


def _paced(bound: _Held, clock: Callable[[], float]) -> _Held:
    if isinstance(bound, Data):
        return bound
    if isinstance(bound, Selective):
        read = bound.read
        return Selective(bound.selectors, lambda _now, access: read(clock(), access))
    getter = bound
    return lambda _now: getter(clock())


def _paced_call(call: Callable[[Data, float], ResultT], clock: Callable[[], float]) -> Callable[[Data, float], ResultT]:
    return lambda value, _now: call(value, clock())
