"""Ports for pushes: what is authentic is durable before it is confirmed, over TCP, UDP and HDLC; nothing else costs."""

import asyncio
import time
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.crypto.mechanisms import Security
from meterspan.engine.links import NETWORK_TRANSPORTS, TRANSPORTS, DeviceProtocol
from meterspan.engine.push_body import PushValue, write_listed
from meterspan.engine.security import SecurityContext
from meterspan.engine.uplink import Push, Uplink
from meterspan.head_end.contexts import ContextCache
from meterspan.head_end.inventory import ChannelPlan, Device, KeyCustody, KeyPurpose
from meterspan.head_end.push_intake import PushIntake
from meterspan.head_end.system import HeadEnd
from meterspan.meter.electricity import ElectricityMeter, ElectricityMeterConfig
from meterspan.meter.metrology import ElectricityFlow
from meterspan.meter.push import MeterPush
from meterspan.model.storage.errors import StorageFullError, StorageLockedError
from meterspan.quantities import Commodity
from meterspan.quantities.codes import LOGICAL_DEVICE_NAME
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.group_commit import GroupCommit
from meterspan.runtime.limits import ConnectionGate
from meterspan.runtime.media import CannotConnectError
from meterspan.runtime.push_ports import PushPorts, _PushDatagrams
from meterspan.runtime.uplink_host import UplinkHost
from meterspan.wire.axdr import array, double_long_unsigned, enum, integer, octet_string, structure, unsigned
from meterspan.wire.wrapper import WrapperPdu, write_wpdu
from meterspan.wire.xdlms import CaptureObjectDefinition, DataNotification, LongInvokeIdAndPriority, write_apdu
from tests.helpers_cosem import ENERGY, EXPORT, KEYS, METER_TITLE, PROFILE, START
from tests.helpers_waiting import until
from tests.memory import MemoryOutbox, MemoryState

NOW = START.timestamp()
HEAD_END = b"HES\0\0\0\0\1"


class Sink:
    """Readings in memory, or a full disk."""

    def __init__(self):
        self.blocks = []
        self.is_full = False

    def take(self, blocks, events=()):
        if self.is_full:
            raise StorageFullError("no room on the device")
        self.blocks += blocks


class World:
    """A head end with one meter, and its ports."""

    def __init__(self, total_max=100, counters=None):
        self.sink, custody = Sink(), KeyCustody(bytes(32))
        self.head_end = HeadEnd(self.sink, custody)
        wrapped = [(KeyPurpose.GLOBAL_UNICAST, KEYS.unicast), (KeyPurpose.AUTHENTICATION, KEYS.authentication)]
        device = Device(
            "MSP1000000001",
            Commodity.ELECTRICITY,
            DeviceProtocol.DLMS_WRAPPER,
            "",
            "cell",
            security=Security.HLS_GMAC,
            system_title=METER_TITLE,
            installed_at=int(NOW),
            channels=tuple(ChannelPlan(obis, profile=PROFILE) for obis in (ENERGY, EXPORT)),
            wrapped_keys=tuple((purpose, custody.wrap(key, "MSP1000000001", purpose)) for purpose, key in wrapped),
        )
        self.head_end.add_device(device, NOW)
        contexts = ContextCache(self.head_end, system_title=HEAD_END, counters=counters or MemoryState())
        self.commits = GroupCommit(self.sink)
        self.gates = []

        def gate():
            self.gates.append(ConnectionGate(total_max, total_max, time.time))
            return self.gates[-1]

        self.ports = PushPorts(PushIntake(self.head_end, contexts=contexts), self.commits, SystemClock(), gate)
        self.sender = SecurityContext(METER_TITLE, KEYS, counters=MemoryState(), peer_title=HEAD_END)

    @asynccontextmanager
    async def running(self, scheme):
        task = asyncio.create_task(self.commits.run())
        await self.ports.listen(Endpoint(scheme, "127.0.0.1", 0))
        try:
            yield self.ports.places[0]
        finally:
            self.ports.close()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def pushing(self, endpoint, quarters=4):
        """Make the uplink of a meter that has captured some rows."""
        state, outbox = MemoryState(), MemoryOutbox()
        config = ElectricityMeterConfig("MSP1000000001", METER_TITLE, START.tzinfo)
        meter = ElectricityMeter(config, NOW, state=state)
        rows = MeterPush(meter, outbox, state=state)
        meter.advance(ElectricityFlow((1_000_000,)), NOW + 900 * quarters)
        rows.collect()
        uplink = Uplink(rows, self.sender, TRANSPORTS[endpoint.scheme].push_sender())
        return outbox, UplinkHost(uplink, endpoint, clock=SystemClock(), on_note=lambda _note: None)


@pytest.mark.finding("dlms D4")
@pytest.mark.parametrize("scheme", list(NETWORK_TRANSPORTS))
def test_the_rows_that_a_meter_pushes_by_its_push_setup_are_stored_and_confirmed(scheme):
    async def story():
        world = World()
        async with world.running(scheme) as place:
            outbox, uplink = world.pushing(place)
            task = asyncio.create_task(uplink.run())
            await until(lambda: not outbox.items)
            task.cancel()
            times = [block.times.tolist() for block in world.sink.blocks]
            assert times == [[int(NOW) + 900 * place] for place in (1, 2, 3, 4)]
            assert [block.columns[0].values.tolist() for block in world.sink.blocks] == [[250], [500], [750], [1_000]]
            assert world.head_end.quarantine.total == 0

    asyncio.run(story())


@pytest.mark.parametrize("scheme", list(NETWORK_TRANSPORTS))
def test_nothing_is_confirmed_over_any_port_while_the_disk_is_full(scheme):
    async def story():
        world = World()
        world.sink.is_full = True
        async with world.running(scheme) as place:
            outbox, uplink = world.pushing(place, quarters=1)
            task = asyncio.create_task(uplink.run())
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(until(lambda: not outbox.items), 0.5)
            task.cancel()
            assert len(outbox.items) == 1
            await until(lambda: len(world.gates[0]) == 0 or scheme != "udp")

    asyncio.run(story())


@pytest.mark.attack(3)
@pytest.mark.parametrize("scheme", list(NETWORK_TRANSPORTS))
def test_a_push_that_cannot_be_stored_is_told_until_one_is(scheme, caplog):
    async def story():
        world = World()
        world.sink.is_full = True
        async with world.running(scheme) as place:
            _outbox, uplink = world.pushing(place, quarters=1)
            task = asyncio.create_task(uplink.run())
            await until(lambda: world.ports.troubles.now)
            assert "no room on the device" in world.ports.troubles.now["pushes"]
            world.sink.is_full = False
            task.cancel()
            _, uplink = world.pushing(place, quarters=2)
            task = asyncio.create_task(uplink.run())
            await until(lambda: not world.ports.troubles.now)
            task.cancel()

    asyncio.run(story())
    assert "could not be stored, and is not confirmed" in caplog.text


class LockedState(MemoryState):
    """A state that another process holds."""

    def accept(self, name, value):
        raise StorageLockedError("another process holds the database", "head_end.sqlite")


@pytest.mark.attack(3)
@pytest.mark.parametrize("scheme", list(NETWORK_TRANSPORTS))
def test_a_push_whose_counter_cannot_be_stored_is_told(scheme):
    async def story():
        world = World(counters=LockedState())
        async with world.running(scheme) as place:
            _, uplink = world.pushing(place, quarters=1)
            task = asyncio.create_task(uplink.run())
            await until(lambda: world.ports.troubles.now)
            task.cancel()
            assert "another process holds the database" in world.ports.troubles.now["pushes"]
            assert world.sink.blocks == []

    asyncio.run(story())


def test_a_medium_that_cannot_be_listened_at_is_refused_in_words():
    async def story():
        with pytest.raises(CannotConnectError, match="cannot be reached over serial"):
            await World().ports.listen(Endpoint("serial", path="/dev/null"))

    asyncio.run(story())


FORGER = SecurityContext(METER_TITLE, type(KEYS)(bytes(16), bytes(16)), counters=MemoryState())


def forged(counter):
    """Push under the meter's title and a key that is not its own."""
    body = array(*(unsigned(counter % 256) for _ in range(400)))
    plain = write_apdu(DataNotification(LongInvokeIdAndPriority(counter, confirmed=True), body))
    return write_wpdu(WrapperPdu(1, 1, FORGER.protect(plain, general=True)))


@pytest.mark.attack(2)
def test_forged_datagrams_cost_a_bounded_time_hold_no_place_and_learn_nothing():
    async def story():
        world = World(total_max=4)
        gate = ConnectionGate(4, 4, time.time)
        port = _PushDatagrams(world.ports, TRANSPORTS["udp"], gate)
        octets = forged(1)
        before = time.process_time()
        for _ in range(1_000):
            port.datagram_received(octets, ("127.0.0.1", 9))
        assert time.process_time() - before < 2.0
        assert len(gate) == 0
        assert world.head_end.quarantine.total == 1_000
        assert world.sink.blocks == []
        assert world.head_end.layouts.objects_of("MSP1000000001") == ()

    asyncio.run(story())


def pushes_of(world, count):
    """Return the datagrams of the first rows of the world's meter, each to be confirmed."""
    outbox, _ = world.pushing(Endpoint("udp", "127.0.0.1", 9), quarters=count)
    state = MemoryState()
    meter = ElectricityMeter(ElectricityMeterConfig("MSP1000000001", METER_TITLE, START.tzinfo), NOW, state=state)
    rows = MeterPush(meter, outbox, state=state)
    for counter in range(count):
        push = rows.next_push()
        assert isinstance(push, Push)
        notification = DataNotification(LongInvokeIdAndPriority(counter, confirmed=True), push.body)
        octets = world.sender.protect(write_apdu(notification), general=True)
        rows.pushed(push.through)
        yield write_wpdu(WrapperPdu(1, 1, octets))


def test_datagrams_beyond_what_may_wait_for_the_disk_are_lost_and_not_confirmed():
    async def story():
        world = World()
        gate = ConnectionGate(2, 2, time.time)
        port = _PushDatagrams(world.ports, TRANSPORTS["udp"], gate)
        for octets in pushes_of(world, 3):
            port.datagram_received(octets, ("127.0.0.1", 9))
        assert len(gate) == 2
        task = asyncio.create_task(world.commits.run())
        await until(lambda: len(gate) == 0)
        task.cancel()
        assert len(world.sink.blocks) == 2

    asyncio.run(story())


def broken(*_, **__):
    raise AttributeError("a defect")


CALLS = {
    "connect": ("intake", "connection"),
    "read": ("intake", "read"),
    "store": ("commits", "submit"),
    "confirm": ("intake", "confirm"),
    "clock": ("", "clock"),
}


@pytest.mark.nonces_repeat("a new bench each time, with the same keys")
@pytest.mark.attack(3)
@pytest.mark.parametrize("call", [*CALLS, "send"])
def test_a_defect_loses_one_datagram_and_holds_no_place(call):
    async def story():
        world = World()
        gate = ConnectionGate(1, 1, time.time)
        port = _PushDatagrams(world.ports, TRANSPORTS["udp"], gate)
        first, second = pushes_of(world, 2)
        task = asyncio.create_task(world.commits.run())
        with pytest.MonkeyPatch.context() as patch:
            if call == "send":
                patch.setattr(port, "_send", broken)
            else:
                owner, name = CALLS[call]
                patch.setattr(getattr(world.ports, owner) if owner else world.ports, name, broken)
            port.datagram_received(first, ("127.0.0.1", 9))
            await until(lambda: len(gate) == 0)
        blocks = len(world.sink.blocks)
        port.datagram_received(second, ("127.0.0.1", 9))
        assert len(gate) == 1
        await until(lambda: len(gate) == 0)
        task.cancel()
        assert len(world.sink.blocks) == blocks + 1

    asyncio.run(story())


@pytest.mark.nonces_repeat("a new bench each time, with the same keys")
@pytest.mark.attack(3)
@pytest.mark.parametrize("call", ["read", "store", "confirm"])
@pytest.mark.parametrize("scheme", [scheme for scheme in NETWORK_TRANSPORTS if scheme != "udp"])
def test_a_defect_ends_one_connection_and_gives_its_place_back(scheme, call):
    async def story():
        world = World()
        async with world.running(scheme) as place:
            outbox, uplink = world.pushing(place, quarters=1)
            owner, name = CALLS[call]
            left = []
            gate = world.gates[0]
            leave = gate.leave
            gate.leave = lambda one: (left.append(one), leave(one))
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(getattr(world.ports, owner), name, broken)
                task = asyncio.create_task(uplink.run())
                await until(lambda: left)
            task.cancel()
            assert outbox.items
            await until(lambda: len(gate) == 0)

    asyncio.run(story())


def plain_push():
    """Return a datagram of the meter that nothing protects."""
    values = [
        PushValue(CaptureObjectDefinition(1, LOGICAL_DEVICE_NAME, 2), octet_string(b"MSP1000000001")),
        PushValue(CaptureObjectDefinition(3, ENERGY, 2), double_long_unsigned(5)),
        PushValue(CaptureObjectDefinition(3, ENERGY, 3), structure(integer(0), enum(30))),
    ]
    apdu = write_apdu(DataNotification(LongInvokeIdAndPriority(7, confirmed=True), write_listed(values)))
    return write_wpdu(WrapperPdu(1, 1, apdu))


@pytest.mark.attack(2)
def test_a_push_without_protection_makes_room_for_one_under_a_key_and_is_forgotten():
    async def story():
        world = World()
        world.ports.intake = PushIntake(
            world.head_end,
            contexts=ContextCache(world.head_end, system_title=HEAD_END, counters=MemoryState()),
            insecure_plain=["MSP1000000001"],
        )
        gate = ConnectionGate(2, 2, time.time)
        port = _PushDatagrams(world.ports, TRANSPORTS["udp"], gate)
        (authentic,) = pushes_of(world, 1)
        plain = plain_push()
        for _ in range(3):
            port.datagram_received(plain, ("127.0.0.1", 9))
        assert len(gate) == 2, "the third one has made the first one go"
        port.datagram_received(authentic, ("127.0.0.1", 9))
        port.datagram_received(plain, ("127.0.0.1", 9))
        task = asyncio.create_task(world.commits.run())
        await until(lambda: len(gate) == 0)
        task.cancel()
        assert [block.columns[0].values.tolist() for block in world.sink.blocks] == [[250], [5]]

    asyncio.run(story())


pieces = st.one_of(
    st.binary(max_size=80),
    st.just(forged(7)),
    st.binary(max_size=40).map(lambda octets: write_wpdu(WrapperPdu(1, 1, b"\xdb\x08" + METER_TITLE + octets))),
    st.binary(max_size=40).map(lambda octets: b"\x7e\xa0" + octets + b"\x7e"),
)


@pytest.mark.attack(2)
@given(st.lists(pieces, min_size=1, max_size=6), st.sampled_from(list(NETWORK_TRANSPORTS)))
def test_any_octets_at_a_port_are_quarantined_or_nothing_and_raise_nothing(octets, scheme):
    world = World()
    intake = world.ports.intake
    if scheme == "udp":
        gate = ConnectionGate(4, 4, time.time)
        port = _PushDatagrams(world.ports, TRANSPORTS[scheme], gate)
        for piece in octets:
            port.datagram_received(piece, ("127.0.0.1", 9))
        assert len(gate) == 0
    else:
        connection = intake.connection("127.0.0.1:9", transport=TRANSPORTS[scheme])
        connection.connect(NOW)
        for piece in octets:
            connection.receive(piece, NOW)
            connection.octets_to_send()
        connection.advance(NOW + 60)
    assert world.sink.blocks == []
    assert world.head_end.layouts.objects_of("MSP1000000001") == ()
