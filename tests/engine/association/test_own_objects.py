"""The association object shows the terms that were agreed, under its own name and as the current association."""

from meterspan.engine.association.agreement import Agreement
from meterspan.engine.association.own_objects import association_objects
from meterspan.engine.association.states import AssociationState
from meterspan.model.cosem.classes import AssociationLN1
from meterspan.model.cosem.device import CURRENT_ASSOCIATION, MANAGEMENT_CLIENT
from meterspan.wire.acse import ApplicationContext
from meterspan.wire.xdlms import Conformance
from tests.helpers_cosem import TestMeter


def test_it_shows_partners_context_mechanism_sizes_and_status():
    device = TestMeter(rows=1).device
    definition = device.association(MANAGEMENT_CLIENT)
    state = AssociationState.AUTHENTICATING
    agreement = Agreement(0xFE, definition.mechanism, ApplicationContext.LN_CIPHERED, Conformance.GET, 300)
    objects = association_objects(device, definition, agreement, receive_max=500, state=lambda: state)
    assert set(objects) == {CURRENT_ASSOCIATION, definition.logical_name}
    shown = objects[definition.logical_name]

    def read(attribute):
        return shown.read(attribute.number, 0.0)

    assert [item.integer for item in read(AssociationLN1.associated_partners_id).items] == [-2, device.sap]
    assert read(AssociationLN1.application_context_name).octets.hex() == "60857405080103"
    assert read(AssociationLN1.authentication_mechanism_name).octets.hex() == "60857405080205"
    assert [item.integer for item in read(AssociationLN1.xdlms_context_info).items[1:3]] == [500, 300]
    assert read(AssociationLN1.association_status).integer == 1
    state = AssociationState.ASSOCIATED
    assert read(AssociationLN1.association_status).integer == 2
