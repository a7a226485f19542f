import pytest

from meterspan.model.cosem.access import AttributeAccess, MethodAccess
from meterspan.model.cosem.classes import (
    AssociationLN1,
    Clock,
    DataObject,
    DemandRegister,
    Limiter,
    ProfileGeneric,
    Register,
)
from meterspan.model.cosem.device import AssociationDefinition, Grant, LogicalDevice, grant_for, sap_assignment
from meterspan.model.cosem.objects import AccessRefusedError, ActionRefusedError, CosemObject, scaler_unit
from meterspan.model.cosem.profile import CLOCK_COLUMN, profile_object
from meterspan.quantities import UNITS, ClockTime, Obis, Scaled
from meterspan.wire.axdr import (
    boolean,
    clock,
    double_long_unsigned,
    enum,
    integer,
    long,
    null,
    octet_string,
    structure,
    visible_string,
)
from meterspan.wire.axdr.clock import write_clock_time
from meterspan.wire.xdlms import ActionResult, DataAccessResult, EntryAccess

NAME = Obis(1, 0, 1, 8, 0)
NOW = 1_000.0
SCALE = scaler_unit(Scaled(0, 0, UNITS["Wh"]))


def register(**options):
    return CosemObject(
        Register,
        NAME,
        {Register.value: lambda now: double_long_unsigned(int(now)), Register.scaler_unit: SCALE},
        **options,
    )


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
    assert item.read(3, NOW) == SCALE
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
        setters={Register.value: lambda value, now: taken.append(value.integer)},
        invokers={Register.reset: lambda v, now: v.items[0]},
    )
    item.write(2, double_long_unsigned(5), NOW)
    assert taken == [5]
    assert refused(item.write, 2, long(5), NOW) == DataAccessResult.TYPE_UNMATCHED  # the object decides the CHOICE
    assert refused(item.write, 2, octet_string(b"x"), NOW) == DataAccessResult.TYPE_UNMATCHED
    assert refused(item.invoke, 1, integer(0), NOW) == ActionResult.TYPE_UNMATCHED


def test_a_value_outside_its_range_is_refused_for_another_reason():
    def refuse(value, now):
        raise ValueError(f"{value} is out of range")

    item = register(setters={Register.value: refuse}, invokers={Register.reset: refuse})
    assert refused(item.write, 2, double_long_unsigned(5), NOW) == DataAccessResult.OTHER_REASON
    assert refused(item.invoke, 1, integer(0), NOW) == ActionResult.OTHER_REASON


def test_the_declared_kind_encodes_what_a_getter_returns_and_checks_what_a_client_writes():
    thresholds = []
    item = CosemObject(
        Limiter,
        Obis(0, 0, 17, 0, 0),
        {Limiter.min_over_threshold_duration: int, Limiter.emergency_profile_active: False},
        {Limiter.min_over_threshold_duration: lambda value, now: thresholds.append(value.integer)},
    )
    assert item.read(6, NOW) == double_long_unsigned(1_000)
    assert item.read(10, NOW) == boolean(False)
    assert refused(item.write, 6, long(5), NOW) == DataAccessResult.TYPE_UNMATCHED
    item.write(6, double_long_unsigned(5), NOW)
    assert thresholds == [5]
    assert refused(item.read, 6, -1.0) == DataAccessResult.OTHER_REASON  # no double-long-unsigned is negative


def test_a_time_may_be_written_under_its_own_tag_or_as_octets():
    taken = []
    item = CosemObject(Clock, Obis(0, 0, 1, 0, 0), {}, {Clock.time: lambda value, now: taken.append(value.clock_time)})
    moment = ClockTime(2026, 11, 21, None, 12, 0, 0, 0)
    item.write(2, clock(moment), NOW)
    item.write(2, octet_string(write_clock_time(moment)), NOW)
    assert taken == [moment, moment]
    assert refused(item.write, 2, visible_string("noon"), NOW) == DataAccessResult.TYPE_UNMATCHED


def test_a_parameter_of_the_declared_type_may_be_left_out_and_another_type_is_refused():
    item = register(invokers={Register.reset: lambda value, now: None})
    assert item.invoke(1, integer(0), NOW) is None
    assert item.invoke(1, null(), NOW) is None
    assert refused(item.invoke, 1, long(0), NOW) == ActionResult.TYPE_UNMATCHED


def test_an_object_can_live_in_the_time_of_its_own_clock():
    taken = []
    item = register(
        setters={Register.value: lambda value, now: taken.append(now)},
        invokers={Register.reset: lambda value, now: taken.append(now)},
    ).in_time_of(lambda: 7.0)
    item.write(2, double_long_unsigned(1), NOW)
    item.invoke(1, integer(0), NOW)
    assert (item.read(2, NOW).integer, taken) == (7, [7.0, 7.0])
    rows = profile_object(NAME, [CLOCK_COLUMN], Rows([[double_long_unsigned(1)]]), capacity=1).in_time_of(lambda: 7.0)
    assert len(rows.read(2, NOW).items) == 1


def test_a_profile_gives_its_rows_count_and_selections():
    rows = Rows((double_long_unsigned(n),) for n in range(5))
    item = profile_object(NAME, [CLOCK_COLUMN], rows, capacity=9)
    assert item.numbers == tuple(ProfileGeneric.attributes)
    assert [item.read(number, NOW).integer for number in (4, 5, 7, 8)] == [0, 1, 5, 9]
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
    with pytest.raises(ValueError, match="declares no scaler_unit"):
        CosemObject(DataObject, NAME, {Register.scaler_unit: SCALE})
    with pytest.raises(ValueError, match="declares no reset"):
        CosemObject(DataObject, NAME, {}, {}, {Register.reset: lambda value, now: None})
    with pytest.raises(ValueError, match="scaler_unit is structure, not enum"):
        CosemObject(Register, NAME, {Register.scaler_unit: enum(1)})


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
    own = Grant(
        attributes={Register.value: AttributeAccess.NO_ACCESS},
        methods={Register.reset: MethodAccess.AUTHENTICATED_ACCESS},
    )
    assert own.attribute_access(Register.value) is AttributeAccess.NO_ACCESS
    assert own.method_access(Register.reset) is MethodAccess.AUTHENTICATED_ACCESS
    assert own.method_access(DemandRegister.next_period) is MethodAccess.NO_ACCESS
    assert Grant(invoke=True).method_access(Register.reset) is MethodAccess.ACCESS


def test_an_association_always_shows_itself_and_never_its_secret():
    item = CosemObject(AssociationLN1, Obis(0, 0, 40, 0, 0))
    grant = grant_for(definition(), item)
    assert grant.attribute_access(AssociationLN1.secret) is AttributeAccess.NO_ACCESS
    assert grant.method_access(AssociationLN1.reply_to_hls_authentication) is MethodAccess.ACCESS
    assert grant.method_access(AssociationLN1.change_hls_secret) is MethodAccess.NO_ACCESS


def test_a_device_finds_shows_and_adds_objects():
    device = LogicalDevice(1, "MSP1", objects=[register()], associations=[definition(Grant())])
    assert device.find(3, NAME) is device.objects[0]
    assert device.find(1, NAME) is None
    assert [item.logical_name for item in device.named(NAME)] == [NAME]
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
