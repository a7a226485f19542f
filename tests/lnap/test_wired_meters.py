"""Wired meters behind an access point: from the wires to data management, exchanged, silent, damaged, restarted."""

from datetime import timedelta
from decimal import Decimal

import pytest

from meterspan.engine.links import TRANSPORTS, DeviceProtocol
from meterspan.engine.machine import WantsConnection
from meterspan.engine.mbus_polling import MbusPoller, PolledSlave, SlaveNotRead, SlaveRead
from meterspan.engine.mbus_readout import SlaveAddress, parse_slave
from meterspan.engine.mbus_security import Protection, build_telegram, seal_payload
from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.head_end.contexts import ContextCache
from meterspan.head_end.inventory import ChannelPlan, Device, KeyCustody, KeyPurpose
from meterspan.head_end.push_intake import PushIntake
from meterspan.head_end.system import HeadEnd
from meterspan.lnap.channel import LocalMeter
from meterspan.lnap.meter_places import MeterExchanged, MeterFirstHeard, SecondMeterHeard
from meterspan.lnap.wired_meters import WIRED_KEPT, WiredMeterNotRead
from meterspan.mdm import MeterDataManagement
from meterspan.model.failures import FailureKind
from meterspan.model.quarantine import FrameFault
from meterspan.model.storage.errors import DamagedError
from meterspan.quantities import CATALOGUE, UNITS, Commodity, Obis, utc
from meterspan.sim.mbus_segment import MbusSegment
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.link import LinkFrame, write_link_frame
from meterspan.wire.mbus.transport import HeaderKind, SecurityMode, TransportHeader, write_transport
from meterspan.wire.wmbus.frame import FrameFormat, LinkHeader
from meterspan.wire.xdlms import DataNotification, LongInvokeIdAndPriority, write_apdu
from tests.helpers_bus import ENERGY, FAST, GAS, HEAT, VOLUME, WATER, bus_slave, register
from tests.helpers_wire import Pair
from tests.lnap.test_home_collector import START, UPSTREAM, Memory, events, stored
from tests.memory import MemoryState

QUARTER = 900
SLAVES = [
    PolledSlave("bus address 1", SlaveAddress(1)),
    PolledSlave("bus address 2", SlaveAddress(2)),
    PolledSlave("bus secondary 30000003", parse_slave(None, "30000003")),
]
NAMES = {"MSP-10000001-04": Commodity.HEAT, "MSP-20000002-07": Commodity.WATER, "MSP-30000003-03": Commodity.GAS}


class Building:
    """A bus with a heat, a water and a gas meter whose registers run."""

    def __init__(self):
        self.records = {name: [] for name in NAMES}
        self.slaves = [
            bus_slave(1, "10000001", HEAT, self.records["MSP-10000001-04"]),
            bus_slave(2, "20000002", WATER, self.records["MSP-20000002-07"]),
            bus_slave(0, "30000003", GAS, self.records["MSP-30000003-03"]),
        ]
        self.set(0)

    def set(self, value):
        for name, records in self.records.items():
            records[:] = [register(value, ENERGY if NAMES[name] is Commodity.HEAT else VOLUME)]

    def poll(self, collector, now):
        """Let one round happen at ``now``; the slaves are read one second after the other."""
        poller = MbusPoller(SLAVES, every_s=QUARTER, settings=FAST)
        poller.advance(now)
        assert poller.next_event() == WantsConnection()
        pair = Pair(poller, MbusSegment(self.slaves), now=float(now))
        poller.connect(float(now))
        pair.run(now + 60.0)
        for at, event in enumerate(pair.left_events, now):
            if isinstance(event, SlaveRead):
                collector.hear_wired(event.octets, at, event.slave)
            elif isinstance(event, SlaveNotRead):
                collector.wired_failed(event.failure, event.octets, at, event.slave)


def head_end_of(data):
    """Make a head end that knows the access point with its three channels, and the intake of its pushes."""
    keys, custody = SecurityKeys(bytes(range(16)), bytes(range(16, 32))), KeyCustody(bytes(32))
    wrapped = (
        (KeyPurpose.GLOBAL_UNICAST, custody.wrap(keys.unicast, UPSTREAM.name, KeyPurpose.GLOBAL_UNICAST)),
        (KeyPurpose.AUTHENTICATION, custody.wrap(keys.authentication, UPSTREAM.name, KeyPurpose.AUTHENTICATION)),
    )
    head_end = HeadEnd(data, custody)
    point = Device(
        UPSTREAM.name,
        Commodity.ELECTRICITY,
        DeviceProtocol.DLMS_WRAPPER,
        "127.0.0.1:4059",
        "cell",
        system_title=UPSTREAM.system_title,
        wrapped_keys=wrapped,
    )
    head_end.add_device(point, START)
    for number, (name, commodity) in enumerate(NAMES.items(), 1):
        plan = ChannelPlan(CATALOGUE[commodity].register, QUARTER, Obis(0, number, 24, 3, 0))
        head_end.add_device(
            Device(name, commodity, DeviceProtocol.MBUS, UPSTREAM.name, "cell", channels=(plan,)), START
        )
    title = b"MSPH\0\0\0\1"
    contexts = ContextCache(head_end, system_title=title, counters=MemoryState())
    sender = SecurityContext(UPSTREAM.system_title, keys, counters=MemoryState(), peer_title=title)
    return PushIntake(head_end, contexts=contexts, transport=TRANSPORTS["tcp"]), sender


def test_registers_on_the_wires_reach_data_management_by_way_of_access_point_and_head_end(tmp_path):
    building, collector = Building(), Memory().collector(upstream=UPSTREAM)
    for quarter in range(3):
        building.set(1_000 + 5 * quarter)
        building.poll(collector, START + quarter * QUARTER)
    with MeterDataManagement(tmp_path) as data:
        intake, sender = head_end_of(data)
        push = collector.point.next_push()
        notification = write_apdu(DataNotification(LongInvokeIdAndPriority(1, confirmed=True), push.body, None))
        assert intake.take(sender.protect(notification, general=True), "peer", START + 3_000.0) is not None
        collector.point.pushed(push.through)
        found = {}
        for series in data.series():
            rows = data.readings([series.series_id], utc(START) - timedelta(1), utc(START) + timedelta(1))
            values = [Decimal(int(value)).scaleb(series.exponent) for value in rows.value]
            found[series.device] = (series.obis, series.unit.symbol, rows.time.tolist(), values)
    cubic = [Decimal("1.000"), Decimal("1.005"), Decimal("1.010")]
    expected = {
        "MSP-10000001-04": [1_000_000, 1_005_000, 1_010_000],
        "MSP-20000002-07": cubic,
        "MSP-30000003-03": cubic,
    }
    assert found == {
        name: (
            CATALOGUE[commodity].register,
            "Wh" if commodity is Commodity.HEAT else "m3",
            [START + quarter * QUARTER + second for quarter in range(3)],
            expected[name],
        )
        for second, (name, commodity) in enumerate(NAMES.items())
    }
    assert collector.point.next_push() is None


def test_a_meter_is_installed_when_it_is_read_for_the_first_time_and_its_rows_wait_for_the_store():
    building, memory = Building(), Memory()
    collector = memory.collector()
    building.poll(collector, START)
    first = [(event.usage_point, event.device, event.interface) for event in events(collector, MeterFirstHeard)]
    assert first == [
        ("home-H", "MSP-10000001-04", "M"),
        ("home-W", "MSP-20000002-07", "M"),
        ("home-G", "MSP-30000003-03", "M"),
    ]
    again = memory.collector()
    assert {row[0] for row in stored(again.delivery(START))} == set(NAMES), "a program that read nothing yet has them"
    assert [channel.number for channel in again.point.channels] == [1, 2, 3]


def test_another_meter_at_an_address_is_an_exchange_once_it_was_read_twice_dated_back_to_its_first_register():
    building, memory = Building(), Memory()
    collector = memory.collector()
    building.set(700)
    building.poll(collector, START)
    records = [register(4)]
    building.slaves[1] = bus_slave(2, "20000009", WATER, records)
    building.poll(collector, START + QUARTER)
    assert events(collector, MeterExchanged) == []
    records[:] = [register(6)]
    building.poll(collector, START + 2 * QUARTER)
    (exchange,) = events(collector, MeterExchanged)
    obis = CATALOGUE[Commodity.WATER].register
    assert (exchange.old_device, exchange.new_device) == ("MSP-20000002-07", "MSP-20000009-07")
    assert (exchange.closing[obis].value, exchange.opening[obis].value) == (700, 4)
    assert exchange.time == START + QUARTER + 1
    building.poll(collector, START + 3 * QUARTER)
    assert events(collector, MeterExchanged) == []


def test_two_meters_of_one_commodity_at_two_addresses_never_replace_each_other():
    building, collector = Building(), Memory().collector()
    building.slaves[2] = bus_slave(0, "30000003", WATER, building.records["MSP-30000003-03"])
    for quarter in range(30):
        building.poll(collector, START + quarter * QUARTER)
    found = events(collector, MeterExchanged, SecondMeterHeard)
    assert [type(event) for event in found] == [SecondMeterHeard]
    assert "MSP-30000003-07" in {row[0] for row in stored(collector.delivery(START))}, "not billed, and kept"


def test_a_silent_meter_is_reported_once_by_kind_and_the_others_are_read():
    building, collector = Building(), Memory().collector()
    building.poll(collector, START)
    events(collector)
    gone = building.slaves.pop(1)
    for quarter in (1, 2):
        building.poll(collector, START + quarter * QUARTER)
    (report,) = events(collector, WiredMeterNotRead)
    assert (report.source, report.device, report.failure.kind) == (
        "bus address 2",
        "MSP-20000002-07",
        FailureKind.TIMEOUT,
    )
    assert collector.wired.failing == {"bus address 2": FailureKind.TIMEOUT}
    assert {name: meter.count for name, meter in collector.meters.items()} == {
        "MSP-10000001-04": 3,
        "MSP-20000002-07": 1,
        "MSP-30000003-03": 3,
    }
    building.slaves.append(gone)
    building.poll(collector, START + 3 * QUARTER)
    assert collector.wired.failing == {}


def test_meters_that_collide_are_damaged_and_their_octets_are_quarantined_as_received():
    building, collector = Building(), Memory().collector()
    building.slaves.append(bus_slave(2, "99999999", WATER))
    building.poll(collector, START)
    (frame,) = collector.point.quarantine.newest()
    assert (frame.fault, frame.source, frame.octets[:1]) == (FrameFault.DAMAGED, "bus address 2", b"\x68")
    (report,) = events(collector, WiredMeterNotRead)
    assert report.failure.kind is FailureKind.DAMAGED
    assert len(collector.meters) == 2


def test_a_device_that_bills_nothing_is_quarantined_and_never_installed():
    collector = Memory().collector()
    building = Building()
    building.slaves[0] = bus_slave(1, "10000001", 0x1B)
    building.poll(collector, START)
    assert "MSP-10000001-1B" not in collector.wired
    assert [frame.device for frame in collector.point.quarantine.newest()] == ["MSP-10000001-1B"]
    assert collector.wired.failing == {"bus address 1": FailureKind.UNREADABLE}


def test_no_radio_telegram_is_accepted_as_one_of_a_wired_meter():
    building, collector = Building(), Memory().collector()
    building.poll(collector, START)
    forged = build_telegram(
        LinkHeader(0x44, DeviceAddress.of("MSP", "20000002", 1, WATER)),
        TransportHeader(0x7A, HeaderKind.SHORT, None, 1),
        bytes.fromhex("0413FFFFFF00"),
        Protection(),
        form=FrameFormat.A,
    )
    collector.hear_radio(forged, START + QUARTER, "air")
    assert collector.meters["MSP-20000002-07"].count == 1
    assert collector.point.unknown_devices["MSP-20000002-07"] == 1


def test_an_encrypted_readout_waits_in_the_quarantine_until_its_key_is_there():
    who, key = DeviceAddress.of("MSP", "20000002", 1, WATER), bytes(range(16))
    header, sealed, _ = seal_payload(
        TransportHeader(0x72, HeaderKind.LONG, who, 7),
        bytes.fromhex("0413E8030000"),
        Protection(SecurityMode.AES_CBC_IV, key),
        who,
    )
    octets = write_link_frame(LinkFrame(0x08, 2, write_transport(header) + sealed))
    collector = Memory().collector()
    collector.hear_wired(octets, START, "bus address 2")
    (frame,) = collector.point.quarantine.newest()
    assert (frame.fault, frame.device) == (FrameFault.MISSING_KEY, "MSP-20000002-07")
    register_of_water = (CATALOGUE[Commodity.WATER].register,)
    channel = collector.point.install(LocalMeter("MSP-20000002-07", Commodity.WATER, "home", register_of_water, key))
    assert collector.point.reopen("MSP-20000002-07") == 1
    assert channel.latest.values[0].to(UNITS["m3"]) == 1
    with_key = Memory().collector({"MSP-20000002-07": key})
    with_key.hear_wired(octets, START, "bus address 2")
    assert with_key.meters["MSP-20000002-07"].count == 1
    assert "MSP-20000002-07" in with_key.wired


def test_a_state_that_cannot_be_read_is_said():
    memory = Memory()
    memory.state.save(WIRED_KEPT, b"{")
    with pytest.raises(DamagedError, match="wired"):
        memory.collector()
