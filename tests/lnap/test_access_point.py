"""The access point hears whom it knows, refuses what is replayed, and loses no row over an outage."""

from datetime import UTC, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from meterspan.lnap.access_point import AccessPoint, AccessPointConfig
from meterspan.lnap.channel import LocalMeter
from meterspan.lnap.cosem import LnapAccess, logical_device
from meterspan.lnap.hearing import P1_REGISTERS
from meterspan.meter.electricity import ElectricityMeter, ElectricityMeterConfig
from meterspan.meter.metrology import ElectricityFlow, VolumeFlow
from meterspan.meter.p1_port import p1_telegram
from meterspan.meter.radio import RadioMedium, RadioMeter, RadioMeterConfig
from meterspan.model.cosem.classes import ExtendedRegister, MBusClient, ProfileGeneric
from meterspan.model.cosem.device import MANAGEMENT_CLIENT
from meterspan.model.quarantine import Fault
from meterspan.quantities import CATALOGUE, Commodity, Obis
from meterspan.wire.mbus.transport import SecurityMode
from meterspan.wire.p1 import read_telegram
from tests.memory import MemoryOutbox, MemoryState

START = 20_000 * 86_400
KEY, OTHER_KEY = bytes(range(16)), bytes(16)
FLOW = VolumeFlow(60_000)


def water_meter(number: str = "12345678", mode: SecurityMode = SecurityMode.AES_CBC_IV, key: bytes = KEY) -> RadioMeter:
    return RadioMeter(RadioMeterConfig(RadioMedium.WATER, "MSP", number, key, mode), START, MemoryState())


def local(device: str, commodity: Commodity = Commodity.WATER, key: bytes = KEY) -> LocalMeter:
    return LocalMeter(device, commodity, "home-1", (CATALOGUE[commodity].register,), key)


def access_point(
    *meters: LocalMeter, state: MemoryState | None = None, outbox: MemoryOutbox | None = None
) -> AccessPoint:
    state = MemoryState() if state is None else state
    config = AccessPointConfig("MSPLNAP000001", b"MSPL\0\0\0\1", meters=meters)
    return AccessPoint(config, counters=state, state=state, outbox=MemoryOutbox() if outbox is None else outbox)


def rows_of(point: AccessPoint) -> list[tuple[Obis, float, int]]:
    rows = []
    while (push := point.next_push()) is not None:
        for item in push.body.items:
            class_id, name, _, buffer = item.items
            if class_id.integer != ProfileGeneric.class_id:
                continue
            for row in buffer.items:
                time = row.items[0].clock_time.to_utc()
                assert time is not None
                rows.append((Obis(*name.octets), time.timestamp(), row.items[2].integer))
        point.pushed(push.through)
    return rows


@pytest.mark.parametrize("mode", [SecurityMode.NONE, SecurityMode.AES_CBC_IV, SecurityMode.AES_CBC_DYNAMIC])
def test_every_quarter_hour_becomes_one_row_on_its_mark(mode: SecurityMode) -> None:
    meter = water_meter(mode=mode)
    point = access_point(local(meter.device))
    for frame in meter.advance(FLOW, START + 4 * 3_600):
        point.hear_radio(frame, START + 1)
    opening, *rows = rows_of(point)
    assert opening[1:] == (START + 1, 2)
    assert [time for _, time, _ in rows] == [START + 900 * n for n in range(1, 16)]
    assert [value for *_, value in rows] == [15 * n for n in range(1, 16)]
    assert point.quarantine.total == 0


def test_losing_three_of_four_telegrams_loses_no_row() -> None:
    meter = water_meter()
    point = access_point(local(meter.device))
    for number, frame in enumerate(meter.advance(FLOW, START + 4 * 3_600)):
        if number % 4 == 0:
            point.hear_radio(frame, START)
    assert len(rows_of(point)) == 1 + 15


def test_a_stranger_is_counted_and_passed_over() -> None:
    point = access_point(local(water_meter().device))
    neighbour = water_meter("87654321")
    assert point.hear_radio(neighbour.telegram(START), START) is None
    assert point.strangers == {neighbour.device: 1}
    assert point.next_push() is None
    assert point.quarantine.total == 0


def test_a_wrong_key_a_missing_key_and_damage_are_told_apart() -> None:
    meter = water_meter()
    point = access_point(local(meter.device, key=OTHER_KEY))
    point.hear_radio(meter.telegram(START), START)
    point.install(local(meter.device, key=b""))
    point.hear_radio(meter.telegram(START), START)
    point.install(local(meter.device))
    damaged = bytearray(meter.telegram(START))
    damaged[20] ^= 0x10
    point.hear_radio(bytes(damaged), START)
    assert [frame.fault for frame in reversed(point.quarantine.newest())][:2] == [Fault.WRONG_KEY, Fault.MISSING_KEY]
    assert point.quarantine.total == 3
    assert point.hear_radio(meter.telegram(START), START) is not None


@pytest.mark.parametrize("mode", [SecurityMode.AES_CBC_IV, SecurityMode.AES_CBC_DYNAMIC])
def test_a_replayed_telegram_is_refused_and_makes_no_row(mode: SecurityMode) -> None:
    meter = water_meter(mode=mode)
    state = MemoryState()
    point = access_point(local(meter.device), state=state)
    frames = meter.advance(FLOW, START + 2 * 3_600)
    for frame in frames:
        point.hear_radio(frame, START)
    before = len(rows_of(point))
    point._repeats.clear()
    point.hear_radio(frames[3], START)
    assert point.quarantine.counts == {Fault.REPLAYED: 1}
    assert len(rows_of(point)) == 0
    assert before == 1 + 7


def test_the_same_telegram_heard_twice_counts_once() -> None:
    meter = water_meter()
    point = access_point(local(meter.device))
    meter.advance(FLOW, START + 900)
    frame = meter.telegram(START + 900)
    assert point.hear_radio(frame, START) is not None
    assert point.hear_radio(frame, START) is None
    assert point.counts["repeated"] == 1


def test_rows_wait_for_their_confirmation_and_survive_a_restart() -> None:
    meter, state, outbox = water_meter(), MemoryState(), MemoryOutbox()
    point = access_point(local(meter.device), state=state, outbox=outbox)
    for frame in meter.advance(FLOW, START + 3_600):
        point.hear_radio(frame, START)
    first = point.next_push()
    assert first is not None
    assert point.next_push() == first
    point.preserve()
    again = access_point(local(meter.device), state=state, outbox=outbox)
    for frame in meter.advance(FLOW, START + 2 * 3_600):
        again.hear_radio(frame, START)
    assert [time for _, time, _ in rows_of(again)] == [START + 900 * n for n in range(8)]
    channel = again.channel(meter.device)
    assert channel is not None
    assert len(channel.rows) == 8


def test_an_electricity_meter_is_heard_on_p1_with_both_directions() -> None:
    zone = ZoneInfo("Europe/Berlin")
    meter = ElectricityMeter(ElectricityMeterConfig("MSP1000000001", b"MSP\0\0\0\0\1", zone), START)
    point = access_point(LocalMeter("MSP1000000001", Commodity.ELECTRICITY, "home-1", P1_REGISTERS))
    for minute in range(1, 61):
        meter.advance(ElectricityFlow((1_000_000,)), START + 60 * minute)
        assert point.hear_p1(read_telegram(p1_telegram(meter, START + 60 * minute)), START + 60 * minute)
    rows = rows_of(point)
    assert [(time - START) % 900 for _, time, _ in rows] == [60, 0, 0, 0, 0]
    (state,) = point.local_states("home-1")
    assert dict(state.registers)[P1_REGISTERS[0]].decimal == Decimal(1_000)
    assert dict(state.instants)["1-0:1.7.0"].decimal == Decimal("1.000").scaleb(3)
    assert list(point.local_states("home-2")) == []


def test_the_head_end_can_tell_whose_value_it_reads() -> None:
    meter = water_meter()
    point = access_point(local(meter.device))
    for frame in meter.advance(FLOW, START + 3_600):
        point.hear_radio(frame, START)
    device = logical_device(point, LnapAccess())
    client = device.find(MBusClient.class_id, Obis(0, 1, 24, 1, 0))
    register = device.find(ExtendedRegister.class_id, Obis(0, 1, 24, 2, 1))
    profile = device.find(ProfileGeneric.class_id, Obis(0, 1, 24, 3, 0))
    assert client is not None
    assert register is not None
    assert profile is not None
    assert f"{client.read(6, START).integer:08x}" == "12345678"
    assert client.read(9, START).integer == 0x07
    assert register.read(5, START).clock_time.to_utc() == datetime.fromtimestamp(START + 2_700, UTC)
    assert len(profile.read(2, START).items) == 1 + 3
    definition = device.association(MANAGEMENT_CLIENT)
    assert definition is not None
    assert not any(right.access.writable for item in device.view(definition) for right in item.attributes)


def test_what_is_no_telegram_at_all_is_kept_aside_and_stops_nothing() -> None:
    meter = water_meter()
    point = access_point(local(meter.device))
    for octets in (b"", b"\x00", b"\xff" * 300, meter.telegram(START)[:15]):
        assert point.hear_radio(octets, START) is None
    assert point.quarantine.total + point.counts["strangers"] == 4
    assert point.hear_radio(meter.telegram(START), START) is not None


@pytest.mark.parametrize("mode", [SecurityMode.AES_CBC_IV, SecurityMode.AES_CBC_DYNAMIC])
def test_telegrams_kept_aside_for_a_mistyped_key_give_their_rows_once_the_key_is_right(mode: SecurityMode) -> None:
    meter = water_meter(mode=mode)
    point = access_point(local(meter.device, key=OTHER_KEY))
    frames = meter.advance(FLOW, START + 4 * 3_600)
    for frame in frames:
        assert point.hear_radio(frame, START + 1) is None
    assert point.quarantine.counts == {Fault.WRONG_KEY: len(frames)}
    assert rows_of(point) == []
    point.install(local(meter.device))
    assert point.reopen(meter.device) == len(frames)
    assert [time for _, time, _ in rows_of(point)][1:] == [START + 900 * n for n in range(1, 16)]
    assert point.reopen("MSP-00000000-07") == 0
