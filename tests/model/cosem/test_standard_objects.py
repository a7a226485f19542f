"""Objects that every server of ours has: whole, and open to the public client as far as one table says."""

from datetime import UTC
from zoneinfo import ZoneInfo

import pytest

from meterspan.model.cosem.classes import Clock, DataObject, PushSetup, SecuritySetup
from meterspan.model.cosem.device import PUBLIC_CLIENT, LogicalDevice
from meterspan.model.cosem.objects import CosemObject
from meterspan.model.cosem.standard_objects import (
    LIST_ELEMENT,
    PUSH_SETUP,
    SECURITY_SETUP,
    PushDelivery,
    PushService,
    clock_values,
    data_object,
    no_counter,
    no_title,
    public_association,
    push_setup,
    security_setup,
)
from meterspan.quantities import ClockTime, Obis
from meterspan.quantities.codes import CLOCK, INVOCATION_COUNTER, LOGICAL_DEVICE_NAME
from meterspan.wire.axdr import double_long_unsigned, integer, long, octet_string, unsigned
from meterspan.wire.xdlms import CaptureObjectDefinition

ENERGY = Obis(1, 0, 1, 8, 0)


def test_the_public_client_sees_names_clock_and_counter_and_writes_nothing():
    association = public_association()
    objects = [
        data_object(LOGICAL_DEVICE_NAME, octet_string(b"MSP1")),
        data_object(INVOCATION_COUNTER, no_counter),
        data_object(ENERGY, double_long_unsigned(1)),
        security_setup(b"MSP00001"),
    ]
    device = LogicalDevice(1, "MSP1", objects=objects, associations=[association])
    shown = device.view(association)
    assert association.client_sap == PUBLIC_CLIENT
    assert {element.logical_name for element in shown} == {LOGICAL_DEVICE_NAME, INVOCATION_COUNTER}
    assert not any(right.access.writable for element in shown for right in element.attributes)


def test_a_server_that_accepted_no_counter_shows_zero():
    assert data_object(INVOCATION_COUNTER, no_counter).read(DataObject.value.number, 0.0) == double_long_unsigned(0)


def test_the_security_setup_wants_every_message_authenticated_and_encrypted():
    item = security_setup(b"MSP00001")
    assert item.logical_name == SECURITY_SETUP
    assert item.read(SecuritySetup.security_policy.number, 0.0).integer == 3
    assert item.read(SecuritySetup.server_system_title.number, 0.0).octets == b"MSP00001"


def test_the_push_setup_lists_what_is_pushed_where_to_and_how_often():
    item = push_setup(
        [LIST_ELEMENT, CaptureObjectDefinition(3, ENERGY, 2)], PushDelivery(PushService.UDP, "10.0.0.1:4060", 255, 5)
    )
    entries = item.read(PushSetup.push_object_list.number, 0.0).items
    assert item.logical_name == PUSH_SETUP
    assert [[part.value for part in entry.items] for entry in entries] == [
        [40, bytes(PUSH_SETUP), 2, 0],
        [3, bytes(ENERGY), 2, 0],
    ]
    service, destination, message = item.read(PushSetup.send_destination_and_method.number, 0.0).items
    assert (service.integer, destination.octets, message.integer) == (1, b"10.0.0.1:4060", 0)
    assert item.read(PushSetup.communication_window.number, 0.0).items == ()
    assert [item.read(number, 0.0).integer for number in (5, 6, 7)] == [0, 255, 5]
    assert item.methods == ()


def test_the_method_push_is_there_where_the_device_can_push():
    asked = []
    item = push_setup([LIST_ELEMENT], None, lambda _value, now: asked.append(now))
    item.invoke(PushSetup.push.number, integer(0), 7.0)
    assert asked == [7.0]
    assert item.read(PushSetup.send_destination_and_method.number, 0.0).items[1].octets == b""


SUMMER = 1_784_000_000.0
"""In July 2026."""


def clock_in(zone):
    values = clock_values(
        time=lambda now: octet_string(bytes(12)), time_zone=long(-60), status=unsigned(0), zone=zone, base=1
    )
    return CosemObject(Clock, CLOCK, values)


@pytest.mark.finding("dlms D16")
def test_a_clock_has_every_attribute_of_its_class_and_shows_when_daylight_saving_begins_and_ends():
    clock = clock_in(ZoneInfo("Europe/Berlin"))
    assert clock.numbers == tuple(Clock.attributes)
    assert clock.read(Clock.daylight_savings_enabled.number, SUMMER).value is True
    assert clock.read(Clock.daylight_savings_deviation.number, SUMMER).integer == 60
    begin = clock.read(Clock.daylight_savings_begin.number, SUMMER).clock_time
    end = clock.read(Clock.daylight_savings_end.number, SUMMER).clock_time
    assert [str(begin), str(end)] == ["2026-03-29 02:00:00+01:00", "2026-10-25 03:00:00+02:00"]


@pytest.mark.finding("dlms D16")
@pytest.mark.parametrize("zone", [None, UTC, ZoneInfo("Asia/Kolkata")])
def test_a_clock_without_daylight_saving_has_it_switched_off_and_open(zone):
    clock = clock_in(zone)
    assert clock.read(Clock.daylight_savings_enabled.number, SUMMER).value is False
    assert clock.read(Clock.daylight_savings_deviation.number, SUMMER).integer == 0
    assert clock.read(Clock.daylight_savings_begin.number, SUMMER).clock_time == ClockTime()


@pytest.mark.finding("dlms D16")
def test_the_security_setup_shows_the_title_of_its_client():
    item = security_setup(b"MSP\0\0\0\0\1", lambda _now: octet_string(b"HES\0\0\0\0\2"))
    assert item.read(SecuritySetup.client_system_title.number, 0.0).octets == b"HES\0\0\0\0\2"
    unknown = security_setup(b"MSP\0\0\0\0\1")
    assert unknown.read(SecuritySetup.client_system_title.number, 0.0) == no_title(0.0) == octet_string(b"")
