"""The access point hears whom it knows, refuses what is replayed, and loses no row over an outage."""

from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from meterspan.engine.mbus_security import Protection, build_telegram
from meterspan.engine.push_body import read_body
from meterspan.engine.push_rows import PushedContent, read_content
from meterspan.lnap.access_point import AccessPoint, AccessPointConfig
from meterspan.lnap.channel import LocalMeter
from meterspan.lnap.cosem import LnapAccess, logical_device
from meterspan.lnap.outbox import OutboxRow, RowOutbox
from meterspan.meter.electricity import ElectricityMeter, ElectricityMeterConfig
from meterspan.meter.metrology import ElectricityFlow, VolumeFlow
from meterspan.meter.p1_port import p1_telegram
from meterspan.meter.radio import RadioMedium, RadioMeter, RadioMeterConfig
from meterspan.model.cosem.classes import ExtendedRegister, MBusClient, ProfileGeneric
from meterspan.model.cosem.device import MANAGEMENT_CLIENT
from meterspan.model.quarantine import REFUSED_ALARM_AT, FrameFault
from meterspan.model.radio_protection import RadioProtection
from meterspan.model.storage.errors import StorageFullError
from meterspan.quantities import CATALOGUE, UNITS, ClockTime, Commodity, Obis, Scaled, parse_obis
from meterspan.readings.p1 import P1_REGISTERS
from meterspan.wire.axdr import Data
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.transport import HeaderKind, SecurityMode, TransportHeader
from meterspan.wire.p1 import PROFILES, P1Telegram, p1_object, p1_time, read_telegram, write_telegram
from meterspan.wire.wmbus.frame import LinkHeader
from tests.memory import MemoryOutbox, MemoryState

START = 20_000 * 86_400
KEY, OTHER_KEY = bytes(range(16)), bytes(16)
FLOW = VolumeFlow(60_000)


def water_meter(number: str = "12345678", mode: SecurityMode = SecurityMode.AES_CBC_IV, key: bytes = KEY) -> RadioMeter:
    return RadioMeter(RadioMeterConfig(RadioMedium.WATER, "MSP", number, key, mode), START, MemoryState())


def local(device: str, commodity: Commodity = Commodity.WATER, key: bytes = KEY) -> LocalMeter:
    return LocalMeter(device, commodity, "home-1", (CATALOGUE[commodity].register,), key)


def plain(device: str) -> LocalMeter:
    return replace(local(device, key=b""), protection=RadioProtection.INSECURE_PLAIN)


def access_point(
    *meters: LocalMeter, state: MemoryState | None = None, outbox: MemoryOutbox | None = None
) -> AccessPoint:
    state = MemoryState() if state is None else state
    config = AccessPointConfig("MSPLNAP000001", b"MSPL\0\0\0\1", meters=meters)
    return AccessPoint(config, counters=state, state=state, outbox=MemoryOutbox() if outbox is None else outbox)


def rows_of(point: AccessPoint) -> list[tuple[Obis, float, int]]:
    rows = []
    while (push := point.next_push()) is not None:
        assert isinstance(push.body, Data)
        for value in read_body(push.body).values:
            if value.definition is None or value.definition.class_id != ProfileGeneric.class_id:
                continue
            for row in value.value.items:
                time = row.items[0].clock_time.to_utc()
                assert time is not None
                rows.append((value.definition.instance, time.timestamp(), row.items[2].integer))
        point.pushed(push.through)
    return rows


@pytest.mark.parametrize("mode", [SecurityMode.NONE, SecurityMode.AES_CBC_IV, SecurityMode.AES_CBC_DYNAMIC])
def test_every_quarter_hour_becomes_one_row_on_its_mark(mode: SecurityMode) -> None:
    meter = water_meter(mode=mode)
    point = access_point(local(meter.device) if mode else plain(meter.device))
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


def test_an_unknown_device_is_counted_and_its_telegram_is_ignored() -> None:
    point = access_point(local(water_meter().device))
    neighbour = water_meter("87654321")
    assert point.hear_radio(neighbour.telegram(START), START) is None
    assert point.unknown_devices == {neighbour.device: 1}
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
    assert [frame.fault for frame in reversed(point.quarantine.newest())][:2] == [
        FrameFault.WRONG_KEY,
        FrameFault.MISSING_KEY,
    ]
    assert point.quarantine.total == 3
    assert point.hear_radio(meter.telegram(START), START) is not None


@pytest.mark.finding("security M10")
def test_a_radio_meter_whose_every_telegram_is_refused_raises_one_alarm_until_one_is_taken() -> None:
    meter = water_meter()
    point = access_point(local(meter.device, key=OTHER_KEY))
    for number in range(3 * REFUSED_ALARM_AT):
        point.hear_radio(meter.telegram(START + 60 * number), START + 60 * number)
    (alarm,) = point.refusals.take_alarms()
    assert (alarm.device, alarm.count) == (meter.device, REFUSED_ALARM_AT)
    assert point.refusals.alarming(meter.device) == 3 * REFUSED_ALARM_AT
    point.install(local(meter.device))
    later = START + 3_600 * 3
    assert point.hear_radio(meter.telegram(later), later) is not None
    assert point.refusals.alarming(meter.device) == 0


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
    assert point.quarantine.counts == {FrameFault.REPLAYED: 1}
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


def test_octets_that_are_not_a_telegram_are_quarantined_and_stop_nothing() -> None:
    meter = water_meter()
    point = access_point(local(meter.device))
    for octets in (b"", b"\x00", b"\xff" * 300, meter.telegram(START)[:15]):
        assert point.hear_radio(octets, START) is None
    assert point.quarantine.total + point.counts["unknown devices"] == 4
    assert point.hear_radio(meter.telegram(START), START) is not None


@pytest.mark.parametrize("mode", [SecurityMode.DES_IV_ZERO, SecurityMode.DES_IV])
def test_a_telegram_in_a_des_mode_is_quarantined_though_its_key_is_known(mode: SecurityMode) -> None:
    des_key = bytes(range(8))
    meter = water_meter()
    point = access_point(local(meter.device, key=des_key))
    link = LinkHeader(0x44, DeviceAddress.of("MSP", "12345678", 1, 7))
    header = TransportHeader(0x7A, HeaderKind.SHORT, None, 1)
    register = bytes.fromhex("0413E8030000")
    octets = build_telegram(link, header, register, Protection(mode, des_key, day=date(2024, 10, 4)))
    assert point.hear_radio(octets, START) is None
    (frame,) = point.quarantine.newest()
    assert frame.fault is FrameFault.UNREADABLE
    assert "single DES protects nothing" in frame.reason
    assert rows_of(point) == []


def test_a_telegram_under_the_factory_key_of_zeros_is_quarantined_where_no_key_is_known() -> None:
    meter = water_meter(key=bytes(16))
    point = access_point(local(meter.device, key=b""))
    assert point.hear_radio(meter.telegram(START), START) is None
    assert point.quarantine.counts == {FrameFault.MISSING_KEY: 1}


@pytest.mark.parametrize("mode", [SecurityMode.AES_CBC_IV, SecurityMode.AES_CBC_DYNAMIC])
def test_quarantined_telegrams_of_a_mistyped_key_give_their_rows_once_the_key_is_right(mode: SecurityMode) -> None:
    meter = water_meter(mode=mode)
    point = access_point(local(meter.device, key=OTHER_KEY))
    frames = meter.advance(FLOW, START + 4 * 3_600)
    for frame in frames:
        assert point.hear_radio(frame, START + 1) is None
    assert point.quarantine.counts == {FrameFault.WRONG_KEY: len(frames)}
    assert rows_of(point) == []
    point.install(local(meter.device))
    assert point.reopen(meter.device) == len(frames)
    assert [time for _, time, _ in rows_of(point)][1:] == [START + 900 * n for n in range(1, 16)]
    assert point.reopen("MSP-00000000-07") == 0


IMPORT, EXPORT = P1_REGISTERS
DSMR5 = next(profile for profile in PROFILES if profile.name == "dsmr5")


def p1(wh: str, at: int, device: str = "MSP1000000001") -> P1Telegram:
    stamp = p1_time(ClockTime.of(datetime.fromtimestamp(at, ZoneInfo("Europe/Berlin"))))
    groups = [
        ("1-3:0.2.8", "50"),
        ("0-0:1.0.0", stamp),
        ("0-0:96.1.1", device.encode().hex().upper()),
        ("1-0:1.8.0", f"{wh}*kWh"),
        ("1-0:2.8.0", "000000.000*kWh"),
    ]
    lines = [p1_object(parse_obis(name), text) for name, text in groups]
    return read_telegram(write_telegram("MSP5TEST", lines, profile=DSMR5))


def p1_point(state: MemoryState | None = None, outbox: MemoryOutbox | None = None) -> AccessPoint:
    meter = LocalMeter("MSP1000000001", Commodity.ELECTRICITY, "home-1", P1_REGISTERS)
    return access_point(meter, state=state, outbox=outbox)


def pushes_of(point: AccessPoint) -> list[PushedContent]:
    found = []
    while (push := point.next_push()) is not None:
        found.append(read_content(read_body(push.body).values))
        point.pushed(push.through)
    return found


def test_each_push_has_one_scale_per_register_and_every_row_of_the_outbox_is_in_one() -> None:
    outbox = MemoryOutbox()
    rows = RowOutbox(outbox)
    point = p1_point(outbox=outbox)
    for number, exponent in enumerate([0, 0, -1, -1, 0]):
        values = ((IMPORT, Scaled(number, exponent, UNITS["Wh"])), (EXPORT, Scaled(0, 0, UNITS["Wh"])))
        rows.append(OutboxRow("MSP1000000001", START + 900 * number, 0, values))
    pushes = pushes_of(point)
    register = Obis(0, 1, 24, 2, 1)
    assert [push.scalers[register].exponent for push in pushes] == [0, -1, 0]
    assert [row.items[2].integer for push in pushes for row in push.rows[Obis(0, 1, 24, 3, 0)]] == [0, 1, 2, 3, 4]
    assert outbox.items == []


def test_rows_of_a_removed_meter_do_not_hold_up_those_of_the_others() -> None:
    outbox = MemoryOutbox()
    for device in ("MSP9999999999", "MSP1000000001"):
        RowOutbox(outbox).append(OutboxRow(device, START, 0, ((IMPORT, Scaled(1, 0, UNITS["Wh"])),)))
    point = p1_point(outbox=outbox)
    (push,) = pushes_of(point)
    assert len(push.rows[Obis(0, 1, 24, 3, 0)]) == 1
    assert outbox.items == []
    assert point.counts["rows of removed meters"] == 1


@pytest.mark.parametrize("is_pushed", [False, True])
def test_power_lost_without_a_warning_captures_no_period_again(is_pushed: bool) -> None:
    state, outbox = MemoryState(), MemoryOutbox()
    point = p1_point(state, outbox)
    heard = 0
    for number in range(4):
        assert point.hear_p1(p1(f"00000{number}.000", START + 900 * number), START + 900 * number)
    if is_pushed:
        heard = sum(len(rows) for push in pushes_of(point) for rows in push.rows.values())
    again = p1_point(state, outbox)
    for number in range(6):
        assert again.hear_p1(p1(f"00000{number}.000", START + 900 * number), START + 5 * 900)
    assert heard + sum(len(rows) for push in pushes_of(again) for rows in push.rows.values()) == 6


def test_the_time_of_reception_stands_in_for_a_p1_clock_that_is_days_off() -> None:
    point = p1_point()
    assert point.hear_p1(p1("000001.000", START + 3 * 86_400), START)
    assert [_row(push) for push in pushes_of(point)] == [(1_000, START)]


def test_an_export_register_that_the_telegram_lacks_is_missing_and_not_zero() -> None:
    point = p1_point()
    lines = [item for item in p1("000001.000", START).objects if item.obis != EXPORT]
    assert point.hear_p1(read_telegram(write_telegram("MSP5TEST", lines, profile=DSMR5)), START)
    (push,) = pushes_of(point)
    assert [item.value for item in push.rows[Obis(0, 1, 24, 3, 0)][0].items[2:]] == [1_000, None]


def _row(push: PushedContent) -> tuple[int, int]:
    (row,) = push.rows[Obis(0, 1, 24, 3, 0)]
    moment = row.items[0].clock_time.to_utc()
    assert moment is not None
    return row.items[2].integer, int(moment.timestamp())


def test_a_real_meters_number_that_is_no_m_bus_manufacturer_serves_head_ends_too() -> None:
    meter = LocalMeter("E0031003262427614", Commodity.ELECTRICITY, "home-1", P1_REGISTERS)
    device = logical_device(access_point(meter), LnapAccess())
    client = device.find(MBusClient.class_id, Obis(0, 1, 24, 1, 0))
    assert client is not None
    assert f"{client.read(6, START).integer:08x}" == "62427614"


def test_a_row_that_a_full_disk_refused_is_captured_from_the_next_telegram() -> None:
    outbox = MemoryOutbox()
    point = p1_point(outbox=outbox)
    append, outbox.append = outbox.append, _full  # the disk fills up
    with pytest.raises(StorageFullError):
        point.hear_p1(p1("000001.000", START), START)
    outbox.append = append  # there is room again
    assert point.hear_p1(p1("000001.001", START + 10), START + 10)
    assert [_row(push) for push in pushes_of(point)] == [(1_001, START + 10)]


def _full(_octets: bytes) -> int:
    raise StorageFullError("no room")


@pytest.mark.parametrize(
    ("entry", "octets"),
    [
        ("profile", b"\xff\xff"),
        ("profile", b"0*parsecs\nrows"),
        ("profile", b"-3*m3\n" + b"\xff" * 24),
        ("captured", b"one two"),
        ("captured", b"99999999999999"),
    ],
)
def test_damaged_rows_and_periods_are_set_aside_by_name_and_the_access_point_goes_on(entry: str, octets: bytes) -> None:
    meter, state = water_meter(), MemoryState()
    point = access_point(local(meter.device), state=state)
    for frame in meter.advance(FLOW, START + 3_600):
        point.hear_radio(frame, START)
    point.preserve()
    name = f"{entry}/{meter.device}"
    state.save(name, octets)
    again = access_point(local(meter.device), state=state)
    (damage,) = again.set_aside
    assert damage.name == name
    assert meter.device in str(damage)
    assert state.kept[f"set aside/{name}"] == octets
    for frame in meter.advance(FLOW, START + 2 * 3_600):
        assert again.hear_radio(frame, START + 3_600) is not None
    assert access_point(local(meter.device), state=state).set_aside == []
