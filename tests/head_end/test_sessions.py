"""The head end reads real meters and access points over real octets, in memory."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest

from meterspan.crypto.mechanisms import Security
from meterspan.engine.association.server import ServerAssociation
from meterspan.engine.link import Role
from meterspan.engine.links import TRANSPORTS, DeviceProtocol
from meterspan.engine.machine import WantsConnection
from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.engine.session import SessionDone, SessionFailed
from meterspan.engine.uplink import RowsConfirmed, Uplink
from meterspan.engine.wrapper_link import WrapperConfig, WrapperLink
from meterspan.head_end.contexts import ContextCache
from meterspan.head_end.inventory import ChannelPlan, Device, KeyCustody, KeyPurpose
from meterspan.head_end.push_intake import PushFailed, PushIntake
from meterspan.head_end.sessions import CollectedRows, SessionMaker
from meterspan.head_end.system import HeadEnd
from meterspan.lnap.access_point import AccessPoint, AccessPointConfig
from meterspan.lnap.channel import LocalMeter
from meterspan.lnap.cosem import LnapAccess
from meterspan.lnap.cosem import logical_device as lnap_device
from meterspan.meter.cosem import MeterAccess, logical_device
from meterspan.meter.electricity import EXPORT, IMPORT, ElectricityMeter, ElectricityMeterConfig
from meterspan.meter.metrology import ElectricityFlow, VolumeFlow
from meterspan.meter.push import PUSH_OBJECTS, MeterPush
from meterspan.meter.radio import RadioMedium, RadioMeter, RadioMeterConfig
from meterspan.model.cosem.classes import PushSetup
from meterspan.model.cosem.device import LogicalDevice
from meterspan.model.cosem.standard_objects import LIST_ELEMENT, push_setup
from meterspan.model.failures import Failure
from meterspan.model.quarantine import FrameFault
from meterspan.model.readings import CaptureBlock, EventSeverity, MeterEvent, Source
from meterspan.model.storage.errors import StorageFullError
from meterspan.model.views import OrderState
from meterspan.quantities import Commodity, Obis
from meterspan.quantities.codes import LOAD_PROFILE
from tests.helpers_push import PushSource
from tests.helpers_wire import Pair
from tests.memory import MemoryOutbox, MemoryState

BERLIN = ZoneInfo("Europe/Berlin")
START = 21_000 * 86_400
HEAD_END_TITLE, METER_TITLE, LNAP_TITLE = b"MSPH\0\0\0\1", b"MSPE\0\0\0\1", b"MSPL\0\0\0\1"
KEY, AUTH_KEY, RADIO_KEY = bytes(range(16)), bytes(range(16, 32)), bytes(range(32, 48))
VOLUME = Obis(8, 0, 1, 0, 0)


def entropy(count: int) -> bytes:
    return bytes(range(1, count + 1))


def server_entropy(count: int) -> bytes:
    return bytes(range(101, count + 101))


class Sink:
    def __init__(self) -> None:
        self.blocks: list[CaptureBlock] = []

    def take(self, blocks: Sequence[CaptureBlock], events: Sequence[MeterEvent] = ()) -> None:
        self.blocks += blocks


class World:
    """A head end with its state, and what serves its meters."""

    def __init__(self) -> None:
        self.sink = Sink()
        self.custody = KeyCustody(bytes(32))
        self.head_end = HeadEnd(self.sink, self.custody)
        self.contexts = ContextCache(self.head_end, system_title=HEAD_END_TITLE, counters=MemoryState())
        self.maker = self.make_sessions()
        self.intake = PushIntake(self.head_end, contexts=self.contexts)

    def make_sessions(self, *, own_step_s: Callable[[], float] = lambda: 0.0) -> SessionMaker:
        self.maker = SessionMaker(
            self.head_end, contexts=self.contexts, entropy=entropy, zone=BERLIN, own_step_s=own_step_s
        )
        return self.maker

    def device(self, name: str, title: bytes, protocol: DeviceProtocol = DeviceProtocol.DLMS_WRAPPER) -> Device:
        keys = (
            (KeyPurpose.GLOBAL_UNICAST, self.custody.wrap(KEY, name, KeyPurpose.GLOBAL_UNICAST)),
            (KeyPurpose.AUTHENTICATION, self.custody.wrap(AUTH_KEY, name, KeyPurpose.AUTHENTICATION)),
        )
        return Device(
            name,
            Commodity.ELECTRICITY,
            protocol,
            "127.0.0.1:4059",
            "cell",
            security=Security.HLS_GMAC,
            client_sap=1,
            system_title=title,
            wrapped_keys=keys,
        )

    def read(
        self, server: ServerAssociation, now: float
    ) -> tuple[SessionDone[CollectedRows] | SessionFailed, CollectedRows]:
        job = self.head_end.planner.next_job(now)
        assert job is not None
        session = self.maker.open(job, now)
        pair = Pair(session, server, now=now, latency_s=0.1)
        server.connect(now)
        session.start(now)
        pair.run(now + 200)
        (ending,) = [event for event in pair.left_events if isinstance(event, SessionDone | SessionFailed)]
        return ending, self.maker.close(job, ending, now)


def context(title: bytes, counters: MemoryState, key: bytes = KEY) -> SecurityContext:
    return SecurityContext(title, SecurityKeys(key, AUTH_KEY), counters=counters, peer_title=HEAD_END_TITLE)


def serve(device: LogicalDevice, security: SecurityContext) -> ServerAssociation:
    link = WrapperLink(Role.SERVER, WrapperConfig(1, 1))
    return ServerAssociation(link, device, security=lambda _definition: security, entropy=server_entropy)


@pytest.fixture
def world() -> World:
    return World()


def electricity(world: World, *, hours: int = 3, key: bytes = KEY) -> tuple[ElectricityMeter, ServerAssociation]:
    meter = ElectricityMeter(ElectricityMeterConfig("MSP1000000001", METER_TITLE, BERLIN), START)
    meter.advance(ElectricityFlow((1_000_000,)), START + 3_600 * hours)
    plans = tuple(ChannelPlan(obis, 900, LOAD_PROFILE) for obis in (IMPORT, EXPORT))
    device = replace(world.device("MSP1000000001", METER_TITLE), channels=plans, installed_at=START)
    world.head_end.add_device(device, START)
    security = context(METER_TITLE, MemoryState(), key)
    return meter, serve(logical_device(meter, MeterAccess()), security)


def access_point(state: MemoryState, outbox: MemoryOutbox) -> tuple[RadioMeter, AccessPoint]:
    config = RadioMeterConfig(RadioMedium.WATER, "MSP", "12345678", RADIO_KEY)
    meter = RadioMeter(config, START, MemoryState())
    local = LocalMeter(meter.device, Commodity.WATER, "home-1", (VOLUME,), RADIO_KEY)
    point = AccessPoint(
        AccessPointConfig("MSPLNAP000001", LNAP_TITLE, meters=(local,)), counters=state, state=state, outbox=outbox
    )
    return meter, point


def behind(world: World, device: str) -> None:
    world.head_end.add_device(world.device("MSPLNAP000001", LNAP_TITLE), START)
    plan = ChannelPlan(VOLUME, 900, Obis(0, 1, 24, 3, 0))
    meter = Device(
        device,
        Commodity.WATER,
        DeviceProtocol.WMBUS,
        "MSPLNAP000001",
        "cell",
        interface="M",
        channels=(plan,),
        installed_at=START,
    )
    world.head_end.add_device(meter, START)


def test_a_meters_holes_are_read_ciphered_and_closed(world: World) -> None:
    _, server = electricity(world)
    ending, collected = world.read(server, START + 3 * 3_600 + 700)
    assert isinstance(ending, SessionDone), ending
    (block,) = world.sink.blocks
    assert block.source in (Source.SCHEDULED_READ, Source.GAP_RECOVERY)
    assert block.times.tolist() == [START + 900 * n for n in range(1, 13)]
    assert block.columns[0].values.tolist() == [250 * n for n in range(1, 13)]
    assert (block.columns[0].obis, block.columns[0].unit.symbol) == (IMPORT, "Wh")
    assert world.head_end.holes_of("MSP1000000001", START + 3 * 3_600) == []
    assert collected.blocks


def test_a_clock_that_is_off_is_shifted_and_told(world: World) -> None:
    meter, server = electricity(world)
    now = START + 3 * 3_600 + 700
    meter.clock.set(now - 60, now)
    world.read(server, now)
    assert abs(meter.clock.time(now) - now) <= 2
    assert "shifted" in next(e.title for e in world.head_end.device_log.entries("MSP1000000001") if e.kind == "clock")


@pytest.mark.finding("security low-14")
@pytest.mark.parametrize(
    ("behind_s", "own_step_s", "why"),
    [(7_200, 0.0, "3600 s a day at most"), (60, -86_400.0, "our own clock was stepped by -86400 s")],
)
def test_a_clock_is_not_set_beyond_the_bound_nor_by_a_clock_that_was_stepped_and_it_is_an_alarm(
    world: World, behind_s: float, own_step_s: float, why: str
) -> None:
    world.make_sessions(own_step_s=lambda: own_step_s)
    meter, server = electricity(world)
    now = START + 3 * 3_600 + 700
    meter.clock.set(now - behind_s, now)
    world.read(server, now)
    assert abs(meter.clock.time(now) - (now - behind_s)) <= 1
    told = next(e for e in world.head_end.device_log.entries("MSP1000000001") if e.kind == "clock")
    assert (told.severity, why in told.title) == (EventSeverity.ALARM, True)


def test_a_wrong_key_fails_in_words_and_takes_nothing(world: World) -> None:
    _, server = electricity(world, key=bytes(16))
    ending, _ = world.read(server, START + 3 * 3_600 + 700)
    assert isinstance(ending, SessionFailed)
    assert world.sink.blocks == []
    assert world.head_end.last_failure("MSP1000000001") == ending.failure


def test_an_order_is_answered_with_its_registers(world: World) -> None:
    _, server = electricity(world)
    now = START + 3 * 3_600 + 700
    order = world.head_end.order("MSP1000000001", [IMPORT], now=now, deadline=now + 60)
    _, collected = world.read(server, now)
    assert collected.answers[order.order_id][IMPORT].decimal == 3_000
    record = world.head_end.orders.get(order.order_id)
    assert record.state is OrderState.ANSWERED
    assert record.values[IMPORT].decimal == 3_000


def test_a_meter_behind_an_access_point_is_read_under_its_own_name(world: World) -> None:
    state, outbox = MemoryState(), MemoryOutbox()
    meter, point = access_point(state, outbox)
    behind(world, meter.device)
    for frame in meter.advance(VolumeFlow(60_000), START + 3 * 3_600):
        point.hear_radio(frame, START + 1)
    server = serve(lnap_device(point, LnapAccess()), context(LNAP_TITLE, state))
    ending, _ = world.read(server, START + 3 * 3_600 + 700)
    assert isinstance(ending, SessionDone), ending
    block = next(block for block in world.sink.blocks if block.device == meter.device)
    assert block.columns[0].obis == VOLUME
    assert block.times.tolist()[-1] == START + 900 * 11
    assert block.columns[0].values.tolist()[-1] == 165
    assert (block.columns[0].unit.symbol, block.columns[0].exponent) == ("m3", -3)


def test_rows_of_another_meter_on_the_channel_are_not_taken(world: World) -> None:
    state, outbox = MemoryState(), MemoryOutbox()
    meter, point = access_point(state, outbox)
    behind(world, "MSP-99999999-07")
    for frame in meter.advance(VolumeFlow(60_000), START + 3_600):
        point.hear_radio(frame, START + 1)
    server = serve(lnap_device(point, LnapAccess()), context(LNAP_TITLE, state))
    world.read(server, START + 3_600 + 700)
    assert world.sink.blocks == []
    assert world.head_end.device_log.entries("MSP-99999999-07")[0].kind == "mismatch"


def pushing(world: World) -> tuple[RadioMeter, AccessPoint, Uplink, MemoryOutbox]:
    state, outbox = MemoryState(), MemoryOutbox()
    meter, point = access_point(state, outbox)
    behind(world, meter.device)
    return meter, point, Uplink(point, context(LNAP_TITLE, state), TRANSPORTS["tcp"].push_sender()), outbox


def test_pushed_rows_are_confirmed_once_durable_and_then_forgotten(world: World) -> None:
    meter, point, uplink, outbox = pushing(world)
    for frame in meter.advance(VolumeFlow(60_000), START + 3_600):
        point.hear_radio(frame, START + 1)
    now = START + 3_600.0
    uplink.wake(now)
    assert uplink.next_event() == WantsConnection()
    connection = world.intake.connection("127.0.0.1:1")
    pair = Pair(uplink, connection, now=now, latency_s=0.1)
    connection.connect(now)
    uplink.connect(now)
    pair.run(now + 5)
    assert outbox.items == []
    assert [type(event) for event in pair.left_events] == [RowsConfirmed]
    assert sum(len(block.times) for block in world.sink.blocks) == 4
    assert {block.source for block in world.sink.blocks} == {Source.PUSH}
    assert world.head_end.quarantine.total == 0


def test_a_sink_that_fails_confirms_nothing(world: World) -> None:
    meter, point, uplink, outbox = pushing(world)
    for frame in meter.advance(VolumeFlow(60_000), START + 3_600):
        point.hear_radio(frame, START + 1)
    before = len(outbox.items)

    def broken(blocks: Sequence[CaptureBlock], events: Sequence[MeterEvent] = ()) -> None:
        raise StorageFullError("disk full")

    world.sink.take = broken  # the disk fails
    push = point.next_push()
    assert push is not None
    connection = world.intake.connection("127.0.0.1:1")
    connection.connect(START)
    uplink.connect(START)
    connection.receive(uplink.octets_to_send(), START)
    event = connection.next_event()
    assert isinstance(event, PushFailed)
    assert event.failure == Failure.of_storage(StorageFullError("disk full"))
    assert event.failure.code == "full"
    assert connection.octets_to_send() == b""
    assert not connection.is_up
    assert len(outbox.items) == before


def test_after_an_outage_the_rows_come_in_order_and_once(world: World) -> None:
    meter, point, uplink, outbox = pushing(world)
    now = float(START)
    for hour in range(1, 9):
        for frame in meter.advance(VolumeFlow(60_000), START + 3_600 * hour):
            point.hear_radio(frame, START + 1)
        now = START + 3_600.0 * hour
        uplink.wake(now)
        if uplink.next_event() == WantsConnection():
            uplink.medium_lost(now)
    connection = world.intake.connection("127.0.0.1:1")
    pair = Pair(uplink, connection, now=now + 700, latency_s=0.1)
    connection.connect(now + 700)
    uplink.connect(now + 700)
    pair.run(now + 720)
    times = [time for block in world.sink.blocks for time in block.times.tolist()]
    assert times == sorted(set(times))
    assert times[1:] == [START + 900 * n for n in range(1, 32)]
    assert outbox.items == []


def test_replayed_forged_and_strange_pushes_are_quarantined(world: World) -> None:
    meter, point, uplink, _ = pushing(world)
    point.hear_radio(meter.telegram(START), START + 1)
    uplink.connect(START)
    octets = uplink.octets_to_send()[8:]
    assert world.intake.take(octets, "peer", START) is not None
    assert world.intake.take(octets, "peer", START) is None
    forged = bytearray(octets)
    forged[-20] ^= 1
    forged[14] += 1
    assert world.intake.take(bytes(forged), "peer", START) is None
    strange = octets.replace(LNAP_TITLE, b"MSPL\0\0\0\7")
    assert world.intake.take(strange, "peer", START) is None
    assert world.intake.take(b"\x0f\x00\x00\x00\x01\x00\x00", "peer", START) is None
    assert [frame.fault for frame in world.head_end.quarantine.newest()][::-1][:3] == [
        FrameFault.REPLAYED,
        FrameFault.WRONG_KEY,
        FrameFault.UNKNOWN_DEVICE,
    ]
    assert world.head_end.quarantine.total == 4


def test_a_silent_access_point_is_asked_again_and_loses_nothing(world: World) -> None:
    meter, point, uplink, outbox = pushing(world)
    point.hear_radio(meter.telegram(START), START + 1)
    uplink.connect(START)
    first = uplink.octets_to_send()
    uplink.advance(START + 31)
    second = uplink.octets_to_send()
    assert first
    assert second
    assert first != second
    assert len(outbox.items) == 1


def test_a_meter_pushes_its_own_rows(world: World) -> None:
    meter, _ = electricity(world, hours=0)
    outbox = MemoryOutbox()
    push = MeterPush(meter, outbox, state=MemoryState())
    meter.advance(ElectricityFlow((1_000_000,)), START + 3_600)
    push.collect()
    uplink = Uplink(push, context(METER_TITLE, MemoryState()), TRANSPORTS["tcp"].push_sender())
    connection = world.intake.connection("127.0.0.1:1")
    now = START + 3_600.0
    pair = Pair(uplink, connection, now=now, latency_s=0.1)
    connection.connect(now)
    uplink.connect(now)
    pair.run(now + 5)
    assert outbox.items == []
    assert {(block.device, block.source) for block in world.sink.blocks} == {("MSP1000000001", Source.PUSH)}
    assert [block.times.tolist() for block in world.sink.blocks] == [
        [START + 900 * quarter] for quarter in (1, 2, 3, 4)
    ]
    assert [block.columns[0].values.tolist() for block in world.sink.blocks] == [[250], [500], [750], [1_000]]
    assert world.head_end.holes_of("MSP1000000001", START + 3_600) == []


@pytest.mark.finding("users A16")
def test_counters_lost_by_the_head_end_are_recovered_from_the_meter(world: World) -> None:
    _, server = electricity(world)
    now = START + 3 * 3_600 + 700
    ending, _ = world.read(server, now)
    assert isinstance(ending, SessionDone), ending
    world.contexts = ContextCache(world.head_end, system_title=HEAD_END_TITLE, counters=MemoryState())
    world.maker = SessionMaker(world.head_end, contexts=world.contexts, entropy=entropy, zone=BERLIN)
    endings = []
    for attempt in range(3):
        later = now + 500 * (attempt + 1)
        world.head_end.order("MSP1000000001", [IMPORT], now=later, deadline=later + 90)
        endings.append(world.read(server, later)[0])
    assert isinstance(endings[0], SessionFailed)
    assert isinstance(endings[-1], SessionDone), endings
    assert "counter" in {entry.kind for entry in world.head_end.device_log.entries("MSP1000000001")}


def test_a_push_of_plain_values_is_understood_after_a_session_has_read_the_push_setup(world: World) -> None:
    meter, _ = electricity(world)
    now = START + 3 * 3_600 + 120.0
    whole, security = logical_device(meter, MeterAccess()), context(METER_TITLE, MemoryState())
    objects = tuple(of for of in PUSH_OBJECTS if of.attribute == 2 and of != LIST_ELEMENT)
    others = [item for item in whole.objects if item.interface.class_id != PushSetup.class_id]
    device = LogicalDevice(
        whole.sap, whole.name, objects=[*others, push_setup(objects)], associations=whole.associations
    )
    source = PushSource(device, security=security)
    assert world.intake.take(source.notification(objects, now), "peer", now) is None
    assert world.head_end.quarantine.newest(1)[0].fault is FrameFault.UNKNOWN_LAYOUT
    ending, _ = world.read(serve(device, security), now)
    assert isinstance(ending, SessionDone)
    assert world.head_end.layouts.objects_of("MSP1000000001") == objects
    world.sink.blocks.clear()
    assert world.intake.take(source.notification(objects, now), "peer", now) is not None
    pushed = {column.obis: column.values.tolist() for block in world.sink.blocks for column in block.columns}
    assert pushed[IMPORT] == [meter.indication[IMPORT].value]


def test_a_meter_that_refuses_to_show_its_push_setup_is_asked_once(world: World) -> None:
    meter, _ = electricity(world)
    now = START + 3 * 3_600 + 120.0
    whole = logical_device(meter, MeterAccess())
    shown = [item for item in whole.objects if item.interface.class_id != PushSetup.class_id]
    device = LogicalDevice(whole.sap, whole.name, objects=shown, associations=whole.associations)
    world.head_end.layouts.ask_for("MSP1000000001")
    ending, collected = world.read(serve(device, context(METER_TITLE, MemoryState())), now)
    assert isinstance(ending, SessionDone)
    ((_, kind, title, _),) = collected.notes
    assert kind == "push"
    assert title.startswith("Its push object list cannot be read (")
    world.head_end.layouts.ask_for("MSP1000000001")
    assert not world.head_end.layouts.is_asked_for("MSP1000000001")
