"""A logical device: its objects, the associations it offers, and at one place who may do what.

Strategy: each ``AssociationDefinition`` has an ordered table of grants; the first grant that fits an object decides,
and an object that no grant fits is not shown (4.4.4). The association view is computed from the same table, so that
what is shown and what is allowed cannot differ.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from meterspan.model.cosem.access import AttributeAccess, MethodAccess
from meterspan.model.cosem.classes import AssociationLN, SAPAssignment
from meterspan.model.cosem.declaration import Attribute, Method
from meterspan.model.cosem.objects import CosemObject
from meterspan.model.cosem.view import AttributeRight, MethodRight, ObjectListElement
from meterspan.quantities import Obis
from meterspan.wire.acse import AuthenticationMechanism
from meterspan.wire.axdr import array, long_unsigned, octet_string, structure
from meterspan.wire.xdlms import Conformance

__all__ = [
    "CURRENT_ASSOCIATION",
    "MANAGEMENT_CLIENT",
    "PUBLIC_CLIENT",
    "SERVER_CONFORMANCE",
    "AssociationDefinition",
    "Grant",
    "LogicalDevice",
    "association_name",
    "attribute_right",
    "grant_for",
    "sap_assignment",
]

PUBLIC_CLIENT = 16
"""Client SAP that every meter answers without security (IEC 62056-5-3)."""
MANAGEMENT_CLIENT = 1
CURRENT_ASSOCIATION = Obis(0, 0, 40, 0, 0)
"""The association that the request runs in."""


def association_name(number: int) -> Obis:
    """Return the logical name of an association by its number, from 1."""
    return replace(CURRENT_ASSOCIATION, e=number)


SERVER_CONFORMANCE = (
    Conformance.GET
    | Conformance.SET
    | Conformance.ACTION
    | Conformance.SELECTIVE_ACCESS
    | Conformance.MULTIPLE_REFERENCES
    | Conformance.BLOCK_TRANSFER_WITH_GET
    | Conformance.BLOCK_TRANSFER_WITH_SET
    | Conformance.BLOCK_TRANSFER_WITH_ACTION
    | Conformance.GENERAL_PROTECTION
)
"""What the server machine can do within an association; an association may offer less."""


@dataclass(frozen=True, slots=True)
class Grant:
    """One line of an access table.

    Attributes:
        class_id: fits objects of this class; None fits all.
        logical_name: fits this object; None fits all.
        write: whether attributes that the class declares writable may be written.
        invoke: whether methods may run.
        attributes: rights that differ from the declaration.
        methods: rights that differ from ``invoke``.

    """

    class_id: int | None = None
    logical_name: Obis | None = None
    write: bool = False
    invoke: bool = False
    attributes: Mapping[Attribute, AttributeAccess] = field(default_factory=dict)
    methods: Mapping[Method, MethodAccess] = field(default_factory=dict)

    def fits(self, item: CosemObject) -> bool:
        """Return whether this line decides about the object."""
        return self.class_id in (None, item.interface.class_id) and self.logical_name in (None, item.logical_name)

    def attribute_access(self, attribute: Attribute) -> AttributeAccess:
        """Return the right to one attribute."""
        access = self.attributes.get(attribute, attribute.access)
        if attribute in self.attributes or self.write or not access.writable:
            return access
        return AttributeAccess.READ_ONLY if access.readable else AttributeAccess.NO_ACCESS

    def method_access(self, method: Method) -> MethodAccess:
        """Return the right to one method."""
        return self.methods.get(method, MethodAccess.ACCESS if self.invoke else MethodAccess.NO_ACCESS)


@dataclass(frozen=True, slots=True)
class AssociationDefinition:
    """One association that the device offers to one client.

    Attributes:
        client_sap: the client's address; the link says who asks.
        logical_name: of its Association LN object, 0-0:40.0.e with e from 1.
        grants: the access table.
        mechanism: how the client proves itself.
        secret: the LLS password.
        ciphered: whether the application context must be the one with ciphering.
        conformance: the services offered.
        security_setup: logical name of the security setup object in use.

    """

    client_sap: int
    logical_name: Obis
    grants: tuple[Grant, ...]
    mechanism: AuthenticationMechanism = AuthenticationMechanism.LOWEST
    secret: bytes = field(default=b"", repr=False)
    ciphered: bool = False
    conformance: Conformance = SERVER_CONFORMANCE
    security_setup: Obis | None = None

    @property
    def offered(self) -> Conformance:
        """The services that a client is offered: general protection only where there is protection."""
        return self.conformance if self.ciphered else self.conformance & ~Conformance.GENERAL_PROTECTION


class LogicalDevice:
    """The objects behind one server address, with the associations that reach them.

    Raises:
        ValueError: two objects share class and logical name, or two associations share a client.

    """

    def __init__(
        self, sap: int, name: str, *, objects: Iterable[CosemObject], associations: Iterable[AssociationDefinition]
    ) -> None:
        self.sap = sap
        self.name = name
        self._objects: dict[tuple[int, Obis], CosemObject] = {}
        self._associations: dict[int, AssociationDefinition] = {}
        for item in objects:
            self.add(item)
        for definition in associations:
            if definition.client_sap in self._associations:
                raise ValueError(f"two associations for client {definition.client_sap}")
            self._associations[definition.client_sap] = definition

    @property
    def objects(self) -> tuple[CosemObject, ...]:
        """All objects, in the order of their classes and logical names."""
        return tuple(self._objects[key] for key in sorted(self._objects))

    @property
    def associations(self) -> tuple[AssociationDefinition, ...]:
        """All associations, by client."""
        return tuple(self._associations[client] for client in sorted(self._associations))

    def add(self, item: CosemObject) -> None:
        """Add an object (a meter behind this one was installed).

        Raises:
            ValueError: there is one of this class and logical name.

        """
        if item.key in self._objects:
            raise ValueError(f"two objects are {item.interface.name} {item.logical_name}")
        self._objects[item.key] = item

    def association(self, client_sap: int) -> AssociationDefinition | None:
        """Return the association for a client, or None where the client is not served."""
        return self._associations.get(client_sap)

    def find(self, class_id: int, logical_name: Obis) -> CosemObject | None:
        """Find an object."""
        return self._objects.get((class_id, logical_name))

    def named(self, logical_name: Obis) -> tuple[CosemObject, ...]:
        """Return the objects of this logical name, of whatever class."""
        return tuple(item for (_, name), item in self._objects.items() if name == logical_name)

    def view(
        self, definition: AssociationDefinition, extra: Iterable[CosemObject] = ()
    ) -> tuple[ObjectListElement, ...]:
        """Compute the association view; ``extra`` are the association's own objects."""
        shown = []
        for item in sorted([*self._objects.values(), *extra], key=lambda entry: entry.key):
            grant = grant_for(definition, item)
            if grant is not None:
                shown.append(_element(item, grant))
        return tuple(shown)


def attribute_right(grant: Grant, item: CosemObject, number: int) -> AttributeAccess:
    """Return the right that a grant gives to an attribute of an object: no more than the object can do.

    The association view shows it and each request is checked by it.
    """
    access = grant.attribute_access(item.interface.attributes[number])
    return access.limited_to(readable=number in item.readable, writable=number in item.writable)


def grant_for(definition: AssociationDefinition, item: CosemObject) -> Grant | None:
    """Return the first grant that fits, or None where the object is not shown; an association always shows itself."""
    if item.interface.class_id == AssociationLN.class_id:
        return _ASSOCIATION_GRANT
    return next((grant for grant in definition.grants if grant.fits(item)), None)


_ASSOCIATION_GRANT = Grant(
    AssociationLN.class_id, methods={AssociationLN.reply_to_hls_authentication: MethodAccess.ACCESS}
)


def sap_assignment(devices: Iterable[LogicalDevice]) -> CosemObject:
    """Build the SAP assignment object (4.4.5) of a physical device."""
    listed = array(*(structure(long_unsigned(d.sap), octet_string(d.name.encode())) for d in devices))
    return CosemObject(SAPAssignment, Obis(0, 0, 41, 0, 0), {SAPAssignment.sap_assignment_list: listed})


def _element(item: CosemObject, grant: Grant) -> ObjectListElement:
    declared = item.interface
    attributes = tuple(
        AttributeRight(number, attribute_right(grant, item, number), item.selectors(number)) for number in item.numbers
    )
    methods = tuple(MethodRight(number, grant.method_access(declared.methods[number])) for number in item.methods)
    return ObjectListElement(declared.class_id, declared.version, item.logical_name, attributes, methods)
