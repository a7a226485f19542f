"""A home collects every register of its meters once, shows what it hears, and loses nothing with its power."""

import json
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from meterspan.lnap import home_collector
from meterspan.lnap.home_collector import (
    METERS_MAX,
    DisplayLine,
    FrameHeard,
    HomeCollector,
    HomePorts,
    MeterHeard,
    TelegramQuarantined,
    UpstreamIdentity,
    radio_commodity,
)
from meterspan.lnap.kept_state import DamagedEntryError, set_aside
from meterspan.lnap.meter_places import REPEATED_MIN, MeterExchanged, MeterFirstHeard
from meterspan.lnap.outbox import RowOutbox
from meterspan.meter.metrology import VolumeFlow
from meterspan.meter.radio import RadioMedium, RadioMeter, RadioMeterConfig
from meterspan.model.failures import FailureKind
from meterspan.model.radio_protection import RadioSettings
from meterspan.quantities import ClockTime, Commodity, Obis, parse_obis
from meterspan.quantities.codes import NET_POWER
from meterspan.wire.errors import ChecksumError
from meterspan.wire.p1 import PROFILES, P1Damage, p1_object, p1_time, read_telegram, write_telegram
from tests.memory import MemoryOutbox, MemoryState

BERLIN = ZoneInfo("Europe/Berlin")
DSMR5 = next(profile for profile in PROFILES if profile.name == "dsmr5")
START = 20_000 * 86_400
KEY = bytes(range(16))
FLOW = VolumeFlow(60_000)
IMPORT, VOLUME = Obis(1, 0, 1, 8, 0), Obis(7, 0, 3, 0, 0)
UPSTREAM = UpstreamIdentity("MSPLNAP000001", b"MSPL\0\0\0\1", pushes=True)


def p1(kwh, at, *, meter="MSP1000000001", gas=None):
    stamp = p1_time(ClockTime.of(datetime.fromtimestamp(at, BERLIN)))
    groups = [
        ("1-3:0.2.8", ["50"]),
        ("0-0:1.0.0", [stamp]),
        ("0-0:96.1.1", [meter.encode().hex().upper()]),
        ("1-0:1.8.0", [f"{kwh}*kWh"]),
        ("1-0:1.7.0", ["00.500*kW"]),
    ]
    if gas is not None:
        groups += [("0-1:24.1.0", ["003"]), ("0-1:96.1.0", [b"GAS70001".hex()]), ("0-1:24.2.1", [stamp, f"{gas}*m3"])]
    return read_telegram(
        write_telegram("MSP5TEST", [p1_object(parse_obis(name), *text) for name, text in groups], profile=DSMR5)
    )


class Memory:
    """What survives a power loss."""

    def __init__(self):
        self.state, self.home, self.uplink = MemoryState(), MemoryOutbox(), MemoryOutbox()

    def collector(self, keys=None, upstream=None):
        ports = HomePorts(self.state, self.state, self.home, self.uplink)
        radios = {device: RadioSettings(key) for device, key in (keys or {}).items()}
        return HomeCollector("home", BERLIN, radios, upstream, ports=ports)


def events(collector, *kinds):
    found = []
    while (event := collector.next_event()) is not None:
        if isinstance(event, kinds or object):
            found.append(event)
    return found


def stored(delivery):
    return [
        (block.device, column.obis, int(time) - START, int(value))
        for block in delivery.blocks
        for column in block.columns
        for time, value in zip(block.times, column.values, strict=True)
    ]


def test_a_telegram_gives_rows_lines_and_the_installation_of_its_meters():
    collector = Memory().collector()
    collector.hear_p1(p1("000223.456", START, gas="00005.250"), START, "port")
    found = events(collector)
    assert [event.interface for event in found if isinstance(event, DisplayLine)] == ["H1", "H2"]
    assert [(event.usage_point, event.device) for event in found if isinstance(event, MeterFirstHeard)] == [
        ("home-E", "MSP1000000001"),
        ("home-G", "GAS70001"),
    ]
    assert [type(event) for event in found[2:4]] == [MeterHeard, FrameHeard]
    assert stored(collector.delivery(START)) == [
        ("MSP1000000001", IMPORT, 0, 223_456),
        ("MSP1000000001", NET_POWER, 0, 500),
        ("GAS70001", VOLUME, 0, 5_250),
    ]


@pytest.mark.finding("security low-10")
def test_the_display_gets_the_octets_as_they_were_received_and_exact_values():
    collector, telegram = Memory().collector(), p1("000223.456", START)
    collector.hear_p1(telegram, START, "port")
    h1, h2 = events(collector, DisplayLine)
    assert h1.octets == telegram.octets
    line = json.loads(h2.octets)
    assert (line["home"], line["power_w"]) == ("home", 500)
    assert line["registers"][0] == {
        "commodity": "electricity",
        "direction": "import",
        "meter": "MSP1000000001",
        "value": "223.456",
        "unit": "kWh",
        "time": "2024-10-04T00:00:00Z",
    }


def test_registers_are_kept_once_a_minute_and_power_every_five_seconds_however_often_they_come():
    collector = Memory().collector()
    for second in [*range(0, 120, 1), 30, 60, 119]:
        collector.hear_p1(p1("000001.000", START + second), START + second, "port")
    found = stored(collector.delivery(START))
    assert [second for _, obis, second, _ in found if obis == IMPORT] == [0, 60]
    assert len([second for _, obis, second, _ in found if obis == NET_POWER]) == 24


def test_a_port_that_names_another_meter_in_each_telegram_fills_no_memory():
    collector = Memory().collector()
    collector.hear_p1(p1("000001.000", START), START, "port")
    for number in range(3 * METERS_MAX):
        second = START + 1 + number
        for name in (f"MSP2{number:09d}", "MSP1000000001"):
            collector.hear_p1(p1("000001.000", second, meter=name), second, "port")
        events(collector)
    assert len(collector.meters) == METERS_MAX
    assert collector.meters["MSP1000000001"].count == 1 + 3 * METERS_MAX
    assert set(collector._noted) == set(collector.meters) >= set(collector._framed)


def test_octets_that_are_no_telegram_are_quarantined_as_they_were_received():
    collector = Memory().collector()
    collector.hear_p1(P1Damage(b"/octets", ChecksumError("CRC", 3, "crc")), START, "port")
    empty = read_telegram(write_telegram("MSP5TEST", [], profile=DSMR5))
    collector.hear_p1(empty, START, "port")
    damaged, useless = events(collector, TelegramQuarantined)
    assert (damaged.failure.kind, damaged.frame.octets) == (FailureKind.DAMAGED, b"/octets")
    assert (useless.failure.kind, useless.frame.octets) == (FailureKind.UNREADABLE, empty.octets)
    assert collector.point.quarantine.total == 2


def test_rows_that_could_not_be_stored_are_delivered_again_and_new_ones_behind_them():
    collector = Memory().collector()
    collector.hear_p1(p1("000001.000", START), START, "port")
    first = collector.delivery(START)
    collector.hear_p1(p1("000002.000", START + 60), START + 60, "port")
    again = collector.delivery(START)
    assert stored(again)[: len(stored(first))] == stored(first)
    collector.delivered(again)
    assert collector.delivery(START) is None


def test_a_store_that_takes_nothing_for_days_costs_the_oldest_rows_and_they_are_counted(monkeypatch):
    monkeypatch.setattr(home_collector, "ROWS_WAITING_MAX", 4)
    collector = Memory().collector()
    for minute in range(5):
        collector.hear_p1(p1("000001.000", START + 60 * minute), START + 60 * minute, "port")
    assert (len(collector.delivery(START).blocks), collector.rows_lost) == (4, 6)


def test_the_main_meter_goes_upstream_too_under_a_channel_that_it_keeps():
    memory = Memory()
    collector = memory.collector(upstream=UPSTREAM)
    for number in range(3):
        collector.hear_p1(p1(f"00000{number}.000", START + 900 * number), START + 900 * number, "port")
    assert [row.time - START for row in RowOutbox(memory.uplink).peek(9).rows] == [0, 900, 1_800]
    collector.hear_p1(p1("000009.000", START + 2_700, meter="MSP1000000002"), START + 2_700, "port")
    again = memory.collector(upstream=UPSTREAM)
    assert {channel.meter.device: channel.number for channel in again.point.channels} == {
        "MSP1000000001": 1,
        "MSP1000000002": 2,
    }
    assert [device for device, obis, *_ in stored(collector.delivery(START)) if obis == IMPORT].count(
        "MSP1000000001"
    ) == 3


def test_an_exchange_on_the_port_has_the_last_register_heard_as_its_closing_reading():
    collector = Memory().collector()
    for second, kwh in ((0, "000900.000"), (50, "000900.007")):
        collector.hear_p1(p1(kwh, START + second), START + second, "port")
    for second in range(55, 55 + 10 * REPEATED_MIN, 10):
        collector.hear_p1(p1("000000.001", START + second, meter="MSP1000000002"), START + second, "port")
    (exchange,) = events(collector, MeterExchanged)
    assert exchange.closing[IMPORT].value == 900_007, "ten seconds old, not fifty"
    assert (exchange.opening[IMPORT].value, exchange.time) == (1, START + 55)


@pytest.mark.parametrize(
    ("device", "commodity"),
    [
        ("MSP-12345678-03", Commodity.GAS),
        ("MSP-12345678-07", Commodity.WATER),
        ("MSP-12345678-1A", None),
        ("E0031", None),
    ],
)
def test_a_radio_meters_commodity_is_in_its_name(device, commodity):
    assert radio_commodity(device) is commodity


class Radio(RuleBasedStateMachine):
    """Telegrams of a gas meter are doubled, program and store fail; all rows arrive once."""

    def __init__(self):
        super().__init__()
        config = RadioMeterConfig(RadioMedium.GAS, "MSP", "12345678", KEY)
        self.meter = RadioMeter(config, START, MemoryState())
        self.memory = Memory()
        self.time = START
        self.store = {}
        self.installed = set()
        self.boot()
        self.collector.hear_radio(self.meter.telegram(START), START, "radio")
        self.look()

    def boot(self):
        self.collector = self.memory.collector({self.meter.device: KEY})
        self.look()

    def look(self):
        for event in events(self.collector):
            assert not isinstance(event, MeterExchanged | TelegramQuarantined)
            if isinstance(event, MeterFirstHeard):
                self.installed.add((event.usage_point, event.device))
                self.collector.acknowledge(event)

    @rule(quarters=st.integers(1, 4), is_echoed=st.booleans())
    def the_meter_sends(self, quarters, is_echoed):
        for _ in range(quarters):
            self.time += 900
            frames = list(self.meter.advance(FLOW, self.time))
            for frame in [*frames, *(frames if is_echoed else [])]:
                self.collector.hear_radio(frame, self.time, "radio")
        self.look()

    @rule(is_stored=st.booleans(), is_noted=st.booleans())
    def deliver(self, is_stored, is_noted):
        delivery = self.collector.delivery(self.time)
        if delivery is None or not is_stored:
            return
        for device, obis, time, value in stored(delivery):
            assert self.store.setdefault((device, obis, time), value) == value
        if is_noted:
            self.collector.delivered(delivery)

    @rule(is_warned=st.booleans())
    def power_fails(self, is_warned):
        if is_warned:
            self.collector.preserve()
        self.boot()

    @invariant()
    def the_outbox_holds_no_row_twice(self):
        batch = RowOutbox(self.memory.home).peek(10_000)
        times = [] if batch is None else [row.time for row in batch.rows]
        assert len(times) == len(set(times))

    def teardown(self):
        """Every mark that the meter sent was captured, stored once, and rises as the meter counts."""
        while (delivery := self.collector.delivery(self.time)) is not None:
            for device, obis, time, value in stored(delivery):
                assert self.store.setdefault((device, obis, time), value) == value
            self.collector.delivered(delivery)
        times = sorted(time for _, _, time in self.store)
        marks = [time for time in times if time % 900 == 0]
        if marks:
            assert marks == list(range(marks[0], marks[-1] + 1, 900)), "no mark between is missing"
            assert self.installed == {("home-G", self.meter.device)}
        values = [self.store[key] for key in sorted(self.store, key=lambda key: key[2])]
        assert values == sorted(values)


TestRadio = Radio.TestCase
TestRadio.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)


@pytest.mark.parametrize(
    "octets", [b"{", b"[]", b'{"A": "1"}', b'{"A": 0}', b'{"A": 65}', b'{"A": 1, "B": 1}', b"\xff"]
)
def test_damaged_channels_are_named_and_not_made_up_anew(octets):
    memory = Memory()
    memory.state.save("channels", octets)
    with pytest.raises(DamagedEntryError, match="--set-aside 'channels'"):
        memory.collector()
    assert set_aside(memory.state, "channels")
    memory.collector()


def test_a_damaged_identification_on_a_port_without_a_crc_exchanges_nothing():
    collector = Memory().collector()
    for step in range(4):
        collector.hear_p1(without_crc(p1("000223.456", START + 10 * step)), START + 10 * step, "port")
    collector.hear_p1(without_crc(p1("000223.457", START + 40, meter="MSP1000000009")), START + 40, "port")
    collector.hear_p1(without_crc(p1("000223.458", START + 50)), START + 50, "port")
    found = events(collector, MeterFirstHeard, MeterExchanged)
    assert [(type(event), event.device) for event in found] == [(MeterFirstHeard, "MSP1000000001")]


def without_crc(telegram):
    return replace(telegram, crc=None, crc_matches=None)
