"""One intake for all pushes: described values and standard pushes by object list become the same readings."""

from collections.abc import Sequence
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.engine.link import ApduReceived, LinkUp
from meterspan.engine.links import NETWORK_TRANSPORTS, TRANSPORTS, DeviceProtocol
from meterspan.engine.push_body import PushValue, write_listed
from meterspan.engine.push_rows import PushedProfile, PushedRegister, utc_row, write_profiles
from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.engine.uplink import Push, RowsConfirmed, Uplink
from meterspan.head_end.contexts import ContextCache
from meterspan.head_end.inventory import ChannelPlan, Device, KeyCustody, KeyPurpose
from meterspan.head_end.push_intake import PushFailed, PushIntake, PushTaken
from meterspan.head_end.system import HeadEnd
from meterspan.model.cosem.classes import Clock, ExtendedRegister, ProfileGeneric, Register
from meterspan.model.cosem.profile import write_capture_objects
from meterspan.model.cosem.scaler_unit import ScalerUnit
from meterspan.model.failures import FailureKind
from meterspan.model.quarantine import FrameFault
from meterspan.model.readings import CaptureBlock, EventSeverity, MeterEvent, Source
from meterspan.model.storage.errors import StorageFullError
from meterspan.quantities import UNITS, ClockTime, Commodity, Obis, utc
from meterspan.quantities.codes import EVENT_CODE, LOGICAL_DEVICE_NAME
from meterspan.wire.axdr import (
    Data,
    array,
    double_long_unsigned,
    enum,
    integer,
    long64_unsigned,
    null,
    octet_string,
    structure,
    unsigned,
)
from meterspan.wire.axdr.clock import write_clock_time
from meterspan.wire.wrapper import WrapperPdu, write_wpdu
from meterspan.wire.xdlms import (
    CaptureObjectDefinition,
    CosemAttributeDescriptor,
    DataNotification,
    DataNotificationConfirm,
    EventNotificationRequest,
    LongInvokeIdAndPriority,
    read_apdu,
    write_apdu,
)
from tests.helpers_cosem import ENERGY, EXPORT, TestMeter
from tests.helpers_push import PushSource, write_described
from tests.helpers_wire import Pair
from tests.memory import MemoryState

NOW = 1_772_323_500.0
HEAD_END, METER, POINT = b"MSPH\0\0\0\1", b"MSPE\0\0\0\1", b"MSPL\0\0\0\1"
KEYS = SecurityKeys(bytes(range(16)), bytes(range(16, 32)))
PROFILE, VOLUME, CHANNEL = Obis(1, 0, 99, 1, 0), Obis(8, 0, 1, 0, 0), Obis(0, 3, 24, 3, 0)
WH, LITRES = ScalerUnit(0, UNITS["Wh"]), ScalerUnit(-3, UNITS["m3"])


class Sink:
    def __init__(self) -> None:
        self.blocks: list[CaptureBlock] = []
        self.fault: Exception | None = None

    def take(self, blocks: Sequence[CaptureBlock], events: Sequence[MeterEvent] = ()) -> None:
        if self.fault is not None:
            raise self.fault
        self.blocks += blocks


class World:
    """A head end that knows a meter, and a water meter on channel 3 of an access point."""

    def __init__(self, kind: str = "tcp", state: MemoryState | None = None, plain: Sequence[str] = ()) -> None:
        self.sink, custody = Sink(), KeyCustody(bytes(32))
        self.head_end = HeadEnd(self.sink, custody)
        plans = tuple(ChannelPlan(obis, 900, PROFILE) for obis in (ENERGY, EXPORT))
        for name, title, channels in (("METER", METER, plans), ("POINT", POINT, ())):
            device = Device(
                name,
                Commodity.ELECTRICITY,
                DeviceProtocol.DLMS_WRAPPER,
                "127.0.0.1:4059",
                "cell",
                system_title=title,
                channels=channels,
                wrapped_keys=(
                    (KeyPurpose.GLOBAL_UNICAST, custody.wrap(KEYS.unicast, name, KeyPurpose.GLOBAL_UNICAST)),
                    (KeyPurpose.AUTHENTICATION, custody.wrap(KEYS.authentication, name, KeyPurpose.AUTHENTICATION)),
                ),
            )
            self.head_end.add_device(device, NOW)
        water = Device(
            "MSP-12345678-07",
            Commodity.WATER,
            DeviceProtocol.WMBUS,
            "POINT",
            "cell",
            channels=(ChannelPlan(VOLUME, 900, CHANNEL),),
        )
        self.head_end.add_device(water, NOW)
        contexts = ContextCache(self.head_end, system_title=HEAD_END, counters=MemoryState())
        transport = TRANSPORTS[kind]
        self.intake = PushIntake(
            self.head_end, contexts=contexts, transport=transport, state=state, insecure_plain=plain
        )
        self.senders = {
            title: SecurityContext(title, KEYS, counters=MemoryState(), peer_title=HEAD_END) for title in (METER, POINT)
        }

    def push(self, body: Data, *, title: bytes = METER, time: ClockTime | None = None) -> bool:
        """Push a body; whether it was taken and is confirmed as asked for."""
        plain = write_apdu(DataNotification(LongInvokeIdAndPriority(77, confirmed=True), body, time))
        taken = self.intake.take(self.senders[title].protect(plain, general=True), "peer", NOW)
        if taken is None:
            return False
        confirm = read_apdu(self.senders[title].unprotect(taken[1]).octets)
        assert isinstance(confirm, DataNotificationConfirm)
        assert confirm.invoke.invoke_id == 77
        return True

    @property
    def values(self) -> list[tuple[str, int, str, int, int]]:
        """All readings stored: device, time, OBIS, integer, exponent."""
        return [
            (block.device, time, str(column.obis), value, column.exponent)
            for block in self.sink.blocks
            for column in block.columns
            for time, value in zip(block.times.tolist(), column.values.tolist(), strict=True)
        ]

    @property
    def faults(self) -> list[FrameFault]:
        return [frame.fault for frame in self.head_end.quarantine.newest()]


def value(class_id: int, name: Obis, attribute: int, data: Data) -> PushValue:
    return PushValue(CaptureObjectDefinition(class_id, name, attribute), data)


def test_a_standard_push_by_object_list_is_accepted_and_stored_at_the_meters_time() -> None:
    world, meter = World(), TestMeter(rows=2)
    objects = [
        CaptureObjectDefinition(3, ENERGY, 2),
        CaptureObjectDefinition(3, ENERGY, 3),
        CaptureObjectDefinition(3, EXPORT, 2),
        CaptureObjectDefinition(3, EXPORT, 3),
    ]
    listed = CaptureObjectDefinition(40, Obis(0, 0, 25, 9, 0), 2)
    body = structure(
        write_capture_objects([listed, *objects]),
        *(meter.device.find(3, item.instance).read(item.attribute, NOW) for item in objects),
    )
    stamp = ClockTime.of(utc(NOW - 60))
    assert world.push(body, time=stamp)
    exported = meter.device.find(3, EXPORT).read(2, NOW).integer
    assert world.values == [
        ("METER", int(NOW) - 60, "1-0:1.8.0", 123_456, 0),
        ("METER", int(NOW) - 60, "1-0:2.8.0", exported, 0),
    ]
    assert world.sink.blocks[0].source is Source.PUSH


def test_the_push_source_of_a_device_and_the_intake_understand_each_other_once_the_list_is_known() -> None:
    world, meter = World(), TestMeter(rows=1)
    objects = [CaptureObjectDefinition(3, ENERGY, 2), CaptureObjectDefinition(3, EXPORT, 2)]
    source = PushSource(meter.device, security=world.senders[METER])
    assert world.intake.take(source.notification(objects, NOW), "peer", NOW) is None
    assert world.head_end.quarantine.newest(1)[0].reason.startswith("the device's push object list is not known")
    world.head_end.layouts.learn_objects("METER", objects)
    assert world.intake.take(source.notification(objects, NOW), "peer", NOW) is None
    assert "scaler of 1-0:1.8.0 is neither pushed nor known" in world.head_end.quarantine.newest(1)[0].reason
    world.head_end.learn_scalers("METER", {ENERGY: WH, EXPORT: WH})
    taken = world.intake.take(source.notification(objects, NOW), "peer", NOW)
    assert taken is not None
    assert taken == (PushTaken("METER", 1), b""), "it asks for no confirmation"
    assert world.values[0][2:4] == ("1-0:1.8.0", 123_456)


def test_an_object_list_that_was_sent_once_serves_later_pushes() -> None:
    world = World()
    objects = (
        CaptureObjectDefinition(40, Obis(0, 0, 25, 9, 0), 2),
        CaptureObjectDefinition(3, ENERGY, 2),
        CaptureObjectDefinition(3, ENERGY, 3),
    )
    scale = structure(integer(1), enum(30))
    assert world.push(structure(write_capture_objects(objects), double_long_unsigned(5), scale))
    assert world.push(structure(null(), double_long_unsigned(6), null())), "scale and list are known now"
    assert [row[3:] for row in world.values] == [(5, 1), (6, 1)]


def test_plain_values_without_a_known_list_are_refused_by_type_and_the_list_is_asked_for() -> None:
    world = World()
    assert not world.push(structure(double_long_unsigned(5), double_long_unsigned(6)))
    assert world.faults == [FrameFault.UNKNOWN_LAYOUT]
    assert world.head_end.layouts.is_asked_for("METER")
    assert world.values == []


def test_a_list_that_only_another_meter_has_the_shape_of_names_nothing() -> None:
    world = World()
    assert not world.push(structure(double_long_unsigned(1_500))), "a maker's list of this shape is for people"
    assert world.faults == [FrameFault.UNKNOWN_LAYOUT]


def test_a_list_of_codes_with_scales_is_stored_at_the_clock_among_its_values() -> None:
    world = World()
    stamp = octet_string(write_clock_time(ClockTime.of(utc(NOW - 5))))
    body = structure(
        octet_string(bytes(Obis(0, 0, 1, 0, 0))),
        stamp,
        octet_string(bytes(Obis(0, 0, 96, 1, 0))),
        octet_string(b"7777"),
        octet_string(bytes(ENERGY)),
        double_long_unsigned(12_345),
        structure(integer(1), enum(30)),
    )
    assert world.push(body)
    assert world.values == [("METER", int(NOW) - 5, "1-0:1.8.0", 12_345, 1)]


def test_a_list_of_codes_without_scales_waits_for_them() -> None:
    world = World()
    body = structure(octet_string(bytes(ENERGY)), double_long_unsigned(12_345))
    assert not world.push(body)
    assert "scaler of 1-0:1.8.0 is neither pushed nor known" in world.head_end.quarantine.newest(1)[0].reason
    world.head_end.learn_scalers("METER", {ENERGY: WH})
    assert world.push(body)
    assert world.values == [("METER", int(NOW), "1-0:1.8.0", 12_345, 0)]


COLUMNS = (
    CaptureObjectDefinition(1, Obis(0, 0, 96, 10, 1), 2),
    CaptureObjectDefinition(3, EXPORT, 2),
    CaptureObjectDefinition(8, Obis(0, 0, 1, 0, 0), 2),
    CaptureObjectDefinition(3, Obis(1, 0, 3, 8, 0), 2),
    CaptureObjectDefinition(3, ENERGY, 2),
)


def captured(time: float, *, export: int, energy: int) -> Data:
    stamp = octet_string(write_clock_time(ClockTime.of(utc(time))))
    cells = (double_long_unsigned(export), stamp, double_long_unsigned(9), double_long_unsigned(energy))
    return structure(unsigned(8), *cells)


def test_rows_of_a_profile_are_read_in_the_order_of_its_capture_objects_once_they_are_known() -> None:
    world = World()
    world.head_end.learn_scalers("METER", {ENERGY: WH, EXPORT: WH})
    captures = value(7, PROFILE, ProfileGeneric.capture_objects.number, write_capture_objects(COLUMNS))
    rows = value(7, PROFILE, ProfileGeneric.buffer.number, array(captured(900, export=1, energy=5)))
    assert not world.push(write_described([rows])), "other than clock, status and what is due"
    assert world.push(write_described([captures, rows]))
    later = value(7, PROFILE, ProfileGeneric.buffer.number, array(captured(1_800, export=2, energy=6)))
    assert world.push(write_described([later]))
    assert world.values == [
        ("METER", 900, "1-0:1.8.0", 5, 0),
        ("METER", 900, "1-0:2.8.0", 1, 0),
        ("METER", 1_800, "1-0:1.8.0", 6, 0),
        ("METER", 1_800, "1-0:2.8.0", 2, 0),
    ]
    assert [block.status.tolist() for block in world.sink.blocks] == [[8], [8]]


def test_rows_that_describe_their_registers_are_taken_beside_another_order_of_capture() -> None:
    world = World()
    world.head_end.layouts.learn_columns("METER", PROFILE, COLUMNS)
    registers = tuple(PushedRegister(Register.class_id, obis, WH) for obis in (ENERGY, EXPORT))
    assert world.push(write_profiles([PushedProfile(PROFILE, registers, (utc_row(900, 0, [5, 1]),))]))
    assert [row[2:] for row in world.values] == [("1-0:1.8.0", 5, 0), ("1-0:2.8.0", 1, 0)]


def test_a_profile_that_does_not_capture_what_is_due_is_refused_by_type() -> None:
    world = World()
    world.head_end.learn_scalers("METER", {ENERGY: WH, EXPORT: WH})
    world.head_end.layouts.learn_columns("METER", PROFILE, COLUMNS[:4])
    row = structure(*captured(900, export=1, energy=5).items[:4])
    assert not world.push(write_described([value(7, PROFILE, ProfileGeneric.buffer.number, array(row))]))
    assert world.faults == [FrameFault.UNKNOWN_LAYOUT]


@pytest.mark.nonces_repeat("a new bench each time, with the same keys")
def test_a_list_and_scales_that_were_sent_once_serve_pushes_after_a_restart() -> None:
    state, objects = MemoryState(), (CaptureObjectDefinition(3, ENERGY, 2), CaptureObjectDefinition(3, ENERGY, 3))
    scale = structure(integer(1), enum(30))
    assert World(state=state).push(structure(write_capture_objects(objects), double_long_unsigned(5), scale))
    world = World(state=state)
    assert world.push(structure(double_long_unsigned(6), null()))
    assert [row[3:] for row in world.values] == [(6, 1)]
    state.save("push layouts/METER", b"damaged")
    assert not World(state=state).push(structure(double_long_unsigned(6), null())), "learnt again, not guessed"


def test_rows_of_a_channel_belong_to_its_meter_at_the_scale_beside_them() -> None:
    world = World()
    register = PushedRegister(ExtendedRegister.class_id, Obis(0, 3, 24, 2, 1), LITRES)
    rows = (utc_row(1_772_323_200, 0, [165]), utc_row(1_772_324_100, 8, [180]))
    assert world.push(write_profiles([PushedProfile(CHANNEL, (register,), rows)]), title=POINT)
    assert world.values == [
        ("MSP-12345678-07", 1_772_323_200, "8-0:1.0.0", 165, -3),
        ("MSP-12345678-07", 1_772_324_100, "8-0:1.0.0", 180, -3),
    ]
    assert world.sink.blocks[0].status.tolist() == [0, 8]


def test_a_lone_register_of_a_channel_belongs_to_its_meter_too() -> None:
    world = World()
    name = Obis(0, 3, 24, 2, 1)
    body = write_described(
        [
            value(Clock.class_id, Obis(0, 0, 1, 0, 0), 2, octet_string(write_clock_time(ClockTime.of(utc(NOW - 5))))),
            value(4, name, 2, double_long_unsigned(166)),
            value(4, name, 3, structure(integer(-3), enum(13))),
            value(4, Obis(0, 9, 24, 2, 1), 2, double_long_unsigned(1)),
        ]
    )
    assert world.push(body, title=POINT)
    assert world.values == [("MSP-12345678-07", int(NOW) - 5, "8-0:1.0.0", 166, -3)]


def test_a_value_that_the_meter_does_not_have_is_missing_and_not_zero() -> None:
    world = World()
    registers = tuple(PushedRegister(Register.class_id, obis, WH) for obis in (ENERGY, EXPORT))
    rows = (utc_row(900, 0, [5, None]), utc_row(1_800, 0, [6, 1]))
    assert world.push(write_profiles([PushedProfile(PROFILE, registers, rows)]))
    assert world.values == [
        ("METER", 900, "1-0:1.8.0", 5, 0),
        ("METER", 1_800, "1-0:1.8.0", 6, 0),
        ("METER", 1_800, "1-0:2.8.0", 1, 0),
    ]


@pytest.mark.attack(2)
@pytest.mark.finding("security M5")
@pytest.mark.parametrize("number", [long64_unsigned(2**64 - 1), array(), octet_string(b"x")])
def test_a_value_that_no_column_holds_is_quarantined_and_raises_nothing(number: Data) -> None:
    world = World()
    scale = value(3, ENERGY, 3, structure(integer(0), enum(30)))
    row = structure(*utc_row(900, 0, []), number, unsigned(1))
    other = value(3, EXPORT, 3, structure(integer(0), enum(30)))
    assert not world.push(write_described([value(7, PROFILE, ProfileGeneric.buffer.number, array(row)), scale, other]))
    assert not world.push(write_described([value(3, ENERGY, 2, number), scale]))
    assert world.faults == [FrameFault.UNREADABLE] * 2
    assert world.values == []


STREAMS = [name for name, transport in NETWORK_TRANSPORTS.items() if transport.medium != "udp"]


@pytest.mark.parametrize(("kind", "cut"), [*((kind, None) for kind in NETWORK_TRANSPORTS), *product(STREAMS, [1, 7])])
@pytest.mark.parametrize("is_plain", [False, True])
def test_a_push_crosses_every_kind_of_link_in_any_cut_and_is_confirmed(
    kind: str, cut: int | None, *, is_plain: bool
) -> None:
    world = World(kind)
    register = PushedRegister(ExtendedRegister.class_id, Obis(0, 3, 24, 2, 1), LITRES)
    body = write_profiles([PushedProfile(CHANNEL, (register,), (utc_row(1_772_323_200, 0, [165]),))])
    if is_plain:
        world.head_end.layouts.learn_objects("POINT", [CaptureObjectDefinition(4, register.name, 2)])
        world.head_end.learn_scalers("POINT", {register.name: LITRES})
        body = structure(double_long_unsigned(165))

    class Rows:
        def __init__(self) -> None:
            self.waiting = [Push(1, body)]

        def next_push(self) -> Push | None:
            return self.waiting[0] if self.waiting else None

        def pushed(self, through: int) -> None:
            self.waiting.clear()

    uplink = Uplink(Rows(), world.senders[POINT], TRANSPORTS[kind].push_sender())
    connection = world.intake.connection("127.0.0.1:1")
    connection.connect(NOW)
    assert connection.is_up
    pair = Pair(uplink, connection, now=NOW, cut=None if kind == "udp" else cut)  # a datagram comes whole or not at all
    uplink.connect(NOW)
    pair.run(NOW + 20)
    assert pair.left_events == [RowsConfirmed(1)]
    assert pair.right_events == [PushTaken("POINT", 1)]
    assert [(row[0], *row[2:]) for row in world.values] == [("MSP-12345678-07", "8-0:1.0.0", 165, -3)]
    assert connection.is_up


def test_a_full_disk_closes_the_connection_unconfirmed_and_raises_nothing() -> None:
    world = World()
    world.sink.fault = StorageFullError("no room on the device")
    link = TRANSPORTS["tcp"].push_sender()
    link.connect(NOW)
    assert isinstance(link.next_event(), LinkUp)
    plain = write_apdu(DataNotification(LongInvokeIdAndPriority(1, confirmed=True), write_profiles([])))
    body = write_described([value(3, ENERGY, 2, unsigned(1)), value(3, ENERGY, 3, structure(integer(0), enum(30)))])
    plain = write_apdu(DataNotification(LongInvokeIdAndPriority(1, confirmed=True), body))
    link.send(world.senders[METER].protect(plain, general=True), NOW)
    connection = world.intake.connection("peer")
    connection.connect(NOW)
    connection.receive(link.octets_to_send(), NOW)
    event = connection.next_event()
    assert isinstance(event, PushFailed)
    assert (event.failure.kind, event.failure.code) == (FailureKind.STORAGE, "full")
    link.receive(connection.octets_to_send(), NOW)
    assert not isinstance(link.next_event(), ApduReceived)
    assert not connection.is_up


@pytest.mark.attack(2)
@pytest.mark.finding("security M5")
def test_a_device_without_keys_is_refused_and_raises_nothing() -> None:
    world = World()
    known = world.head_end.inventory.get("METER")
    assert known is not None
    bare = Device(
        "BARE", Commodity.ELECTRICITY, DeviceProtocol.DLMS_WRAPPER, "127.0.0.1:4059", "cell", system_title=METER
    )
    world.head_end.inventory.put(bare)
    assert not world.push(write_profiles([]))
    assert world.faults == [FrameFault.MISSING_KEY]


def test_an_event_notification_is_written_into_the_meters_story_in_words() -> None:
    world = World()
    attribute = CosemAttributeDescriptor(1, EVENT_CODE, 2)
    event = EventNotificationRequest(attribute, unsigned(65), ClockTime.of(utc(1_772_323_200)))
    octets = world.senders[METER].protect(write_apdu(event), general=True)
    assert world.intake.take(octets, "peer", NOW) == (PushTaken("METER", 0), b"")
    entry, _installed = world.head_end.device_log.entries("METER")
    assert (entry.kind, entry.title) == ("event", "It reports event 65: limiter exceeded")
    assert entry.severity is EventSeverity.WARNING
    assert entry.detail.startswith("at 2026-03-01 00:00:00")
    assert world.intake.take(octets, "peer", NOW) is None, "a replay is no second event"
    assert world.faults == [FrameFault.REPLAYED]


def test_an_event_notification_of_another_attribute_is_shown_with_its_value_which_is_no_reading() -> None:
    world = World()
    event = EventNotificationRequest(CosemAttributeDescriptor(1, Obis(0, 0, 97, 98, 0), 2), double_long_unsigned(4))
    assert world.intake.take(world.senders[METER].protect(write_apdu(event), general=True), "peer", NOW)
    entry, _installed = world.head_end.device_log.entries("METER")
    assert entry.title == "It reports 0-0:97.98.0 = double-long-unsigned 4"
    assert world.values == []


def test_a_plain_event_notification_is_quarantined_and_tells_no_story() -> None:
    world = World()
    event = EventNotificationRequest(CosemAttributeDescriptor(1, EVENT_CODE, 2), unsigned(65))
    assert world.intake.take(write_apdu(event), "peer", NOW) is None
    assert [entry.kind for entry in world.head_end.device_log.entries("METER")] == ["installed"]
    assert len(world.faults) == 1


NAME = CaptureObjectDefinition(1, LOGICAL_DEVICE_NAME, 2)


def plain_push(name: bytes, number: int = 5) -> bytes:
    """Push a name and a register without protection, by a list that is known."""
    body = structure(octet_string(name), unsigned(number))
    return write_apdu(DataNotification(LongInvokeIdAndPriority(3, confirmed=True), body, ClockTime.of(utc(900))))


@pytest.mark.finding("dlms D4")
def test_a_push_without_protection_is_taken_only_of_a_device_for_which_the_operator_allows_it() -> None:
    world = World(plain=["METER"])
    for device in ("METER", "POINT"):
        world.head_end.layouts.learn_objects(device, [NAME, CaptureObjectDefinition(3, ENERGY, 2)])
        world.head_end.learn_scalers(device, {ENERGY: WH})
    taken = world.intake.take(plain_push(b"METER"), "peer", NOW)
    assert taken is not None
    assert read_apdu(taken[1]) == DataNotificationConfirm(LongInvokeIdAndPriority(3, confirmed=True))
    assert world.values == [("METER", 900, "1-0:1.8.0", 5, 0)]
    assert world.intake.take(plain_push(b"POINT"), "peer", NOW) is None
    assert world.intake.take(plain_push(b"\xff"), "peer", NOW) is None
    assert world.faults == [FrameFault.NOT_PROTECTED, FrameFault.NOT_PROTECTED]
    strict = World()
    strict.head_end.layouts.learn_objects("METER", [NAME, CaptureObjectDefinition(3, ENERGY, 2)])
    assert strict.intake.take(plain_push(b"METER"), "peer", NOW) is None
    assert strict.values == []


@pytest.mark.attack(1)
def test_nothing_is_learnt_from_a_push_without_protection_and_it_proves_nothing() -> None:
    world = World(plain=["METER"])
    values = [
        PushValue(NAME, octet_string(b"METER")),
        PushValue(CaptureObjectDefinition(3, ENERGY, 2), unsigned(5)),
        PushValue(CaptureObjectDefinition(3, ENERGY, 3), structure(integer(1), enum(30))),
    ]
    plain = write_apdu(DataNotification(LongInvokeIdAndPriority(3), write_listed(values)))
    connection = world.intake.connection("peer")
    connection.connect(NOW)
    connection.receive(write_wpdu(WrapperPdu(1, 1, plain)), NOW)
    assert connection.next_event() == PushTaken("METER", 1)
    assert [value for *_, value, _ in world.values] == [5]
    assert connection.proved_at is None
    assert world.head_end.layouts.objects_of("METER") == ()
    assert dict(world.head_end.scalers_of("METER")) == {}


bodies = st.recursive(
    st.builds(unsigned, st.integers(0, 255))
    | st.builds(octet_string, st.binary(max_size=14))
    | st.just(null())
    | st.builds(integer, st.integers(-128, 127)),
    lambda inner: st.lists(inner, max_size=5).map(lambda items: structure(*items)),
    max_leaves=25,
)
names = st.sampled_from([ENERGY, PROFILE, CHANNEL, Obis(0, 3, 24, 2, 1)])
described = st.lists(
    st.builds(
        value,
        st.sampled_from([1, 3, 4, 5, 7, 8, 40]),
        names,
        st.integers(1, 5),
        bodies | st.lists(bodies, max_size=3).map(lambda items: array(*items)),
    ),
    max_size=6,
).map(write_described)


@given(bodies | described)
def test_any_authentic_body_is_taken_or_quarantined(body: Data) -> None:
    world = World()
    taken = world.push(body)
    assert taken is not bool(world.faults)


class Waiting:
    """An outbox with one push."""

    def __init__(self) -> None:
        registers = tuple(PushedRegister(Register.class_id, obis, WH) for obis in (ENERGY, EXPORT))
        self.waiting = [Push(1, write_profiles([PushedProfile(PROFILE, registers, (utc_row(900, 0, [5, 1]),))]))]

    def next_push(self) -> Push | None:
        return self.waiting[0] if self.waiting else None

    def pushed(self, through: int) -> None:
        self.waiting.clear()


@pytest.mark.nonces_repeat("a new bench each time, with the same keys")
@pytest.mark.finding("security H6")
@pytest.mark.attack(4)
def test_a_sender_that_was_restored_is_told_the_counter_that_is_due_and_goes_on() -> None:
    world = World()
    for _ in range(300):
        before = world.senders[METER].protect(write_apdu(DataNotification(LongInvokeIdAndPriority(1), null())))
    assert world.intake.take(before, "peer", NOW) is None
    restored = SecurityContext(METER, KEYS, counters=MemoryState(), peer_title=HEAD_END)
    uplink, connection = Uplink(Waiting(), restored, TRANSPORTS["tcp"].push_sender()), world.intake.connection("peer")
    connection.connect(NOW)
    pair = Pair(uplink, connection, now=NOW)
    uplink.connect(NOW)
    pair.run(NOW + 1)
    assert pair.left_events == [RowsConfirmed(1)]
    assert pair.right_events == [PushTaken("METER", 1)]
    assert FrameFault.REPLAYED in world.faults


@pytest.mark.attack(4)
def test_only_octets_of_the_sender_are_answered_and_seldom() -> None:
    world = World()
    plain = write_apdu(DataNotification(LongInvokeIdAndPriority(1, confirmed=True), write_profiles([])))
    old = world.senders[METER].protect(plain, general=True)
    connection = world.intake.connection("peer")
    connection.connect(NOW)

    def answered(apdu: bytes, now: float) -> bool:
        connection.receive(write_wpdu(WrapperPdu(1, 1, apdu)), now)
        return bool(connection.octets_to_send())

    answered(old, NOW)
    forged = old[:-1] + bytes([old[-1] ^ 1])
    assert not answered(forged, NOW), "another one cannot make us spend a counter"
    assert [answered(old, NOW + second) for second in (0, 1, 29, 30, 31)] == [True, False, False, True, False]


@pytest.mark.attack(1)
def test_a_push_of_a_removed_meter_is_quarantined_and_moves_nothing_with_a_key_or_without() -> None:
    world = World(plain=["METER"])
    world.head_end.layouts.learn_objects("METER", [NAME, CaptureObjectDefinition(3, ENERGY, 2)])
    world.head_end.learn_scalers("METER", {ENERGY: WH})
    world.head_end.remove_device("METER", int(NOW) - 60, NOW)
    assert world.intake.take(plain_push(b"METER"), "peer", NOW) is None
    assert not world.push(structure(octet_string(b"METER"), unsigned(5)))
    assert world.values == []
    assert world.faults == [FrameFault.UNKNOWN_DEVICE, FrameFault.UNKNOWN_DEVICE]
    assert "METER was removed on" in world.head_end.quarantine.newest(1)[0].reason
    assert world.head_end.last_heard("METER") is None


def test_the_devices_whose_plain_pushes_are_taken_can_change_while_their_connections_are_open() -> None:
    world = World()
    world.head_end.layouts.learn_objects("METER", [NAME, CaptureObjectDefinition(3, ENERGY, 2)])
    world.head_end.learn_scalers("METER", {ENERGY: WH})
    connection = world.intake.connection("peer")
    connection.connect(NOW)
    taken = []
    for devices in ([], ["METER"], []):
        world.intake.allow_insecure_plain(devices)
        connection.receive(write_wpdu(WrapperPdu(1, 1, plain_push(b"METER"))), NOW)
        taken.append(connection.next_event())
    assert taken == [None, PushTaken("METER", 1), None]
