import pytest

from meterspan.model.cosem.access import AttributeAccess, MethodAccess
from meterspan.model.cosem.classes import AssociationLN1, Clock, Data, ProfileGeneric, Register
from meterspan.model.cosem.device import AssociationDefinition, Grant, LogicalDevice, grant_for, sap_assignment
from meterspan.model.cosem.objects import AccessRefusedError, ActionRefusedError, CosemObject, scaler_unit
from meterspan.model.cosem.profile import CLOCK_COLUMN, write_capture_objects
from meterspan.quantities import UNITS, Obis, Scaled
from meterspan.wire.axdr import double_long_unsigned, enum, integer, long, octet_string, structure
from meterspan.wire.xdlms import ActionResult, DataAccessResult, EntryAccess

NAME = Obis(1, 0, 1, 8, 0)
NOW = 1_000.0


def register(**options):
    return CosemObject(Register, NAME, {2: lambda now: double_long_unsigned(int(now)), 3: enum(1)}, **options)


class Rows(list):
    def entries(self, first, last):
        return self[first - 1 : last]


def refused(call, *arguments):
    with pytest.raises((AccessRefusedError, ActionRefusedError)) as caught:
        call(*arguments)
    return caught.value.result


def test_values_are_stored_or_asked_at_each_reading():
    item = register()
    assert item.read(1, NOW) == octet_string(NAME)
    assert item.read(2, NOW).integer == 1_000
    assert item.read(2, NOW + 1).integer == 1_001
    assert item.read(3, NOW) == enum(1)
    assert item.numbers == (1, 2, 3)


def test_what_is_not_bound_does_not_exist():
    item = register()
    assert refused(item.read, 9, NOW) == DataAccessResult.OBJECT_UNAVAILABLE
    assert refused(item.write, 2, integer(0), NOW) == DataAccessResult.READ_WRITE_DENIED
    assert refused(item.invoke, 1, integer(0), NOW) == ActionResult.OBJECT_UNAVAILABLE
    assert refused(item.read, 2, NOW, EntryAccess()) == DataAccessResult.SCOPE_OF_ACCESS_VIOLATED


def test_a_value_of_another_type_is_refused_as_type_unmatched():
    taken = []
    item = register(
        setters={2: lambda value, now: taken.append(value.integer)}, invokers={1: lambda v, now: v.items[0]}
    )
    item.write(2, long(5), NOW)
    assert taken == [5]
    assert refused(item.write, 2, octet_string(b"x"), NOW) == DataAccessResult.TYPE_UNMATCHED
    assert refused(item.invoke, 1, integer(0), NOW) == ActionResult.TYPE_UNMATCHED


def test_a_profile_gives_its_rows_count_and_selections():
    rows = Rows((double_long_unsigned(n),) for n in range(5))
    item = CosemObject(ProfileGeneric, NAME, {3: write_capture_objects([CLOCK_COLUMN])}, rows=rows)
    assert item.numbers == (1, 2, 3, 7)
    assert item.selectors(2) == (1, 2)
    assert item.selectors(3) == ()
    assert item.read(7, NOW).integer == 5
    assert len(item.read(2, NOW).items) == 5
    assert item.read(2, NOW, EntryAccess(2, 3)).items == (
        structure(double_long_unsigned(1)),
        structure(double_long_unsigned(2)),
    )
    assert refused(item.read, 2, NOW, EntryAccess(0, 3)) == DataAccessResult.SCOPE_OF_ACCESS_VIOLATED


def test_a_wrong_binding_is_the_callers_fault():
    with pytest.raises(ValueError, match="no attributes"):
        CosemObject(Data, NAME, {3: enum(1)})
    with pytest.raises(ValueError, match="no attributes"):
        CosemObject(Data, NAME, {}, {}, {1: lambda value, now: None})
    with pytest.raises(ValueError, match="keeps no rows"):
        CosemObject(Data, NAME, rows=Rows())


def test_scaler_units_come_from_quantities():
    assert scaler_unit(Scaled(0, -3, UNITS["m3"])) == structure(integer(-3), enum(13))
    with pytest.raises(ValueError, match="no DLMS unit code"):
        scaler_unit(Scaled(0, 0, UNITS["L/h"]))


def definition(*grants, client=2):
    return AssociationDefinition(client, Obis(0, 0, 40, 0, client), grants, secret=b"secret")


def test_the_first_grant_that_fits_decides():
    item = register()
    first, second = Grant(logical_name=NAME), Grant(class_id=3, write=True)
    assert grant_for(definition(first, second), item) is first
    assert grant_for(definition(Grant(class_id=8), second), item) is second
    assert grant_for(definition(Grant(class_id=8)), item) is None


def test_a_grant_narrows_what_the_class_declares():
    assert Grant().attribute_access(Clock.time) is AttributeAccess.READ_ONLY
    assert Grant(write=True).attribute_access(Clock.time) is AttributeAccess.READ_AND_WRITE
    assert Grant(write=True).attribute_access(Register.value) is AttributeAccess.READ_ONLY
    own = Grant(attributes={2: AttributeAccess.NO_ACCESS}, methods={1: MethodAccess.AUTHENTICATED_ACCESS})
    assert own.attribute_access(Register.value) is AttributeAccess.NO_ACCESS
    assert own.method_access(1) is MethodAccess.AUTHENTICATED_ACCESS
    assert own.method_access(2) is MethodAccess.NO_ACCESS
    assert Grant(invoke=True).method_access(2) is MethodAccess.ACCESS


def test_an_association_always_shows_itself_and_never_its_secret():
    item = CosemObject(AssociationLN1, Obis(0, 0, 40, 0, 0))
    grant = grant_for(definition(), item)
    assert grant.attribute_access(AssociationLN1.secret) is AttributeAccess.NO_ACCESS
    assert grant.method_access(1) is MethodAccess.ACCESS
    assert grant.method_access(2) is MethodAccess.NO_ACCESS


def test_a_device_finds_shows_and_adds_objects():
    device = LogicalDevice(1, "MSP1", objects=[register()], associations=[definition(Grant())])
    assert device.find(3, NAME) is device.objects[0]
    assert device.find(1, NAME) is None
    assert device.has_name(NAME)
    device.add(CosemObject(Clock, Obis(0, 0, 1, 0, 0)))
    assert [element.class_id for element in device.view(device.associations[0])] == [3, 8]
    assert device.association(2) is device.associations[0]
    assert device.association(3) is None
    with pytest.raises(ValueError, match="two objects"):
        device.add(register())
    with pytest.raises(ValueError, match="two associations"):
        LogicalDevice(1, "MSP1", objects=[], associations=[definition(), definition()])


def test_sap_assignment_lists_the_logical_devices():
    device = LogicalDevice(1, "MSP1", objects=[], associations=[])
    (entry,) = sap_assignment([device]).read(2, NOW).items
    assert (entry.items[0].integer, entry.items[1].octets) == (1, b"MSP1")


def test_an_lls_secret_does_not_show():
    assert "secret" not in repr(definition()).replace("secret=", "")
