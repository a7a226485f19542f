import pytest

from meterspan.engine.link import Role
from meterspan.engine.push import PushReceived, PushRefused, PushSink
from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.engine.wrapper_link import WrapperConfig, WrapperLink
from meterspan.quantities import ClockTime, Obis
from meterspan.wire.axdr import DataType, double_long_unsigned, unsigned
from meterspan.wire.errors import KeyMissingError, KeyWrongError, ReplayError, SecurityError, WireError
from meterspan.wire.xdlms import (
    CaptureObjectDefinition,
    CosemAttributeDescriptor,
    EventNotificationRequest,
    SecurityControl,
    write_apdu,
)
from tests.helpers_cosem import (
    CLIENT_TITLE,
    ENERGY,
    EXPORT,
    KEYS,
    METER_TITLE,
    PROFILE,
    MemoryCounters,
    TestMeter,
    links,
)
from tests.helpers_push import PushSource

NOW = 1_772_323_200.0
OBJECTS = (
    CaptureObjectDefinition(3, ENERGY, 2),
    CaptureObjectDefinition(3, EXPORT, 2),
    CaptureObjectDefinition(3, EXPORT, 3, 2),
    CaptureObjectDefinition(3, Obis(1, 0, 99, 99, 9), 2),
    CaptureObjectDefinition(3, ENERGY, 9),
    CaptureObjectDefinition(3, ENERGY, 2, 1),
)
TIME = ClockTime(2026, 3, 1, 7, 0, 15, 0, 0, 0)


def source(security=True):
    meter = TestMeter(rows=1)
    return PushSource(meter.device, security=meter.security() if security else None)


def sink(link=None, keys=KEYS, **options):
    context = SecurityContext(CLIENT_TITLE, keys, counters=MemoryCounters())
    options.setdefault("objects_of", lambda title: [OBJECTS])
    return PushSink(link, security_of=lambda title: context if title == METER_TITLE else None, **options)


def taken(sink_, octets):
    sink_.receive(octets, NOW)
    return sink_.next_event()


def test_a_ciphered_push_is_opened_and_matched_to_the_known_object_list():
    event = taken(sink(), source().notification(OBJECTS, NOW, time=TIME))
    assert isinstance(event, PushReceived)
    assert (event.sender, event.invoke.invoke_id, event.time) == (METER_TITLE, 1, TIME)
    assert [value.definition for value in event.values] == list(OBJECTS)
    assert event.values[0].value == double_long_unsigned(123_456)
    assert event.values[2].value.integer == 30  # unit of the scaler_unit, by data index
    assert [value.value.type for value in event.values[3:]] == [DataType.NULL] * 3


def test_the_load_of_a_ciphered_push_is_not_in_the_clear():
    octets = source().notification(OBJECTS, NOW)
    assert octets[0] == 0xDB
    assert METER_TITLE in octets
    assert (123_456).to_bytes(4, "big") not in octets


@pytest.mark.parametrize("kind", ["wrapper", "hdlc"])
@pytest.mark.parametrize("cut", [1, 7, 10_000])
def test_a_push_crosses_either_link_in_any_cut(kind, cut):
    client_link, server_link = links(kind, 1)
    server_link.connect(NOW)
    server_link.send_unnumbered(source().notification(OBJECTS, NOW), NOW)
    octets = server_link.octets_to_send()
    if kind == "wrapper":
        client_link = WrapperLink(Role.SERVER, WrapperConfig(1, 1))
    receiver = sink(client_link)
    for start in range(0, len(octets), cut):
        receiver.receive(octets[start : start + cut], NOW)
    event = receiver.next_event()
    assert isinstance(event, PushReceived)
    assert event.values[0].value.integer == 123_456
    assert receiver.next_event() is None


def test_a_replayed_push_is_refused_and_the_next_one_is_taken():
    pushing, receiver = source(), sink()
    first, second = (pushing.notification(OBJECTS, NOW) for _ in range(2))
    assert isinstance(taken(receiver, first), PushReceived)
    refused = taken(receiver, first)
    assert isinstance(refused, PushRefused)
    assert isinstance(refused.error, ReplayError)
    assert refused.sender == METER_TITLE
    assert isinstance(taken(receiver, second), PushReceived)
    assert isinstance(taken(receiver, first).error, ReplayError)


def test_every_changed_octet_of_a_ciphered_push_is_refused():
    octets = source().notification(OBJECTS, NOW)
    for index in range(len(octets)):
        damaged = bytearray(octets)
        damaged[index] ^= 0x01
        event = taken(sink(), bytes(damaged))
        assert isinstance(event, PushRefused), index
    for size in range(len(octets)):
        assert isinstance(taken(sink(), octets[:size]), PushRefused)


def test_a_wrong_key_is_told_from_a_missing_one():
    octets = source().notification(OBJECTS, NOW)
    other = SecurityKeys(bytes(16), KEYS.authentication)
    assert isinstance(taken(sink(keys=other), octets).error, KeyWrongError)
    unknown = PushSink(security_of=lambda title: None)
    assert isinstance(taken(unknown, octets).error, KeyMissingError)


def test_a_push_under_the_broadcast_key_needs_that_key():
    meter = TestMeter(rows=1)
    control = SecurityControl.AUTHENTICATION | SecurityControl.ENCRYPTION | SecurityControl.BROADCAST_KEY
    context = SecurityContext(METER_TITLE, KEYS, counters=meter.counters, control=control)
    octets = PushSource(meter.device, security=context).notification(OBJECTS, NOW)
    assert isinstance(taken(sink(), octets), PushReceived)
    without = SecurityKeys(KEYS.unicast, KEYS.authentication)
    assert isinstance(taken(sink(keys=without), octets).error, KeyMissingError)


def test_a_push_in_the_clear_needs_an_owner_who_accepts_the_danger():
    octets = source(security=False).notification(OBJECTS, NOW)
    assert isinstance(taken(sink(), octets).error, SecurityError)
    event = taken(sink(insecure_accept_plain=lambda: True), octets)
    assert isinstance(event, PushReceived)
    assert event.sender == b""


def test_an_event_notification_names_its_attribute():
    apdu = EventNotificationRequest(CosemAttributeDescriptor(1, ENERGY, 2), unsigned(7), TIME)
    event = taken(sink(insecure_accept_plain=lambda: True), write_apdu(apdu))
    assert event.values[0].definition == CaptureObjectDefinition(1, ENERGY, 2)
    assert event.time == TIME


def test_another_apdu_is_no_push():
    event = taken(sink(insecure_accept_plain=lambda: True), bytes.fromhex("C001C1000F0000280000FF0200"))
    assert isinstance(event, PushRefused)
    assert isinstance(event.error, WireError)


def test_a_profile_is_pushed_whole():
    event = taken(sink(), source().notification([CaptureObjectDefinition(7, PROFILE, 2)], NOW))
    assert len(event.values[0].value.items) == 1
