"""The Association LN object that a server shows a client (class 15, IEC 62056-6-2, 4.4.4)."""

from collections.abc import Callable
from typing import Final

from meterspan.engine.association.agreement import Agreement
from meterspan.engine.association.states import AssociationState
from meterspan.model.cosem.classes import AssociationLN1
from meterspan.model.cosem.declaration import Attribute
from meterspan.model.cosem.device import CURRENT_ASSOCIATION, AssociationDefinition, LogicalDevice
from meterspan.model.cosem.objects import Bound, CosemObject
from meterspan.model.cosem.view import write_object_list
from meterspan.quantities import Obis
from meterspan.wire.axdr import Data, bit_string, integer, long_unsigned, octet_string, structure, unsigned
from meterspan.wire.xdlms import DLMS_VERSION

__all__ = ["association_objects"]

PENDING: Final = 1
CONNECTED: Final = 2
"""association_status."""
_DLMS_UA: Final = bytes.fromhex("6085740508")
"""Object identifier 2.16.756.5.8, DLMS UA."""


def association_objects(
    device: LogicalDevice,
    definition: AssociationDefinition,
    agreement: Agreement,
    *,
    receive_max: int,
    state: Callable[[], AssociationState],
) -> dict[Obis, CosemObject]:
    """Build the object under its own name and as the current association.

    Args:
        device: the logical device served.
        definition: the association.
        agreement: its terms.
        receive_max: octets of the longest APDU that the server takes.
        state: returns the state of the association.

    """
    cls = AssociationLN1
    objects: dict[Obis, CosemObject] = {}

    def view(_now: float) -> Data:
        return write_object_list(device.view(definition, objects.values()))

    def status(_now: float) -> int:
        return CONNECTED if state() is AssociationState.ASSOCIATED else PENDING

    setup = definition.security_setup
    values: dict[Attribute, Bound] = {
        cls.object_list: view,
        cls.associated_partners_id: structure(integer(_signed(agreement.peer)), long_unsigned(device.sap)),
        cls.application_context_name: octet_string(_DLMS_UA + bytes((1, agreement.context))),
        cls.xdlms_context_info: _context_info(agreement, receive_max),
        cls.authentication_mechanism_name: octet_string(_DLMS_UA + bytes((2, agreement.mechanism))),
        cls.association_status: status,
        cls.security_setup_reference: octet_string(bytes(6) if setup is None else setup),
    }
    for name in {CURRENT_ASSOCIATION, definition.logical_name}:
        objects[name] = CosemObject(cls, name, values)
    return objects


def _context_info(agreement: Agreement, receive_max: int) -> Data:
    return structure(
        bit_string(f"{int(agreement.conformance):024b}"),
        long_unsigned(receive_max),
        long_unsigned(agreement.max_pdu),
        unsigned(DLMS_VERSION),
        integer(0),
        octet_string(b""),
    )


def _signed(client: int) -> int:
    """Fold a client SAP into the integer of eight bits that associated_partners_id has."""
    return (client & 0xFF) - 0x100 if client & 0x80 else client & 0x7F
