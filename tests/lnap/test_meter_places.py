"""A supply has one meter: an exchange is found, dated back and reported until it is registered; nothing else is one."""

import json

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from meterspan.lnap.meter_places import (
    DECISIONS_MAX,
    DEVICES_MAX,
    LAST_KEPT,
    PLACES_KEPT,
    REPEATED_MIN,
    SILENT_S,
    TIMES_MAX,
    MeterExchanged,
    MeterFirstHeard,
    MeterPlaces,
    RegistersHeard,
    SecondMeterHeard,
)
from meterspan.model.failures import FailureKind
from meterspan.model.storage.errors import DamagedError
from meterspan.quantities import UNITS, Commodity, Obis, Scaled
from tests.memory import MemoryState

START = 20_000 * 86_400
VOLUME, IMPORT, EXPORT = Obis(7, 0, 3, 0, 0), Obis(1, 0, 1, 8, 0), Obis(1, 0, 2, 8, 0)
SILENT = int(SILENT_S["M"])


def m3(steps):
    return Scaled(steps, -3, UNITS["m3"])


def wh(value):
    return Scaled(value, 0, UNITS["Wh"])


def gas(device, second, steps, interface="M"):
    return RegistersHeard(device, Commodity.GAS, interface, START + second, {VOLUME: m3(steps)})


def power(device, second, value, interface="H1", *, is_main=True, is_checked=True):
    registers = {IMPORT: wh(value), EXPORT: wh(0)}
    return RegistersHeard(device, Commodity.ELECTRICITY, interface, START + second, registers, is_main, is_checked)


def named(device, second, value):
    """Return as many telegrams in a row as make a main meter believed to be there."""
    return [power(device, second + 10 * index, value + index) for index in range(REPEATED_MIN)]


def hear(places, *heard):
    for item in heard:
        places.hear(item, float(item.time))
    return events(places)


def events(places):
    found = []
    while (event := places.next_event()) is not None:
        found.append(event)
    return found


def places_of(state=None):
    return MeterPlaces("home", MemoryState() if state is None else state)


def test_the_first_meter_of_a_supply_is_installed_once():
    assert hear(places_of(), gas("A", 0, 5), gas("A", 10, 6)) == [
        MeterFirstHeard("home-G", "A", Commodity.GAS, "M", START)
    ]


def test_each_supply_has_its_own_meter():
    found = hear(places_of(), gas("A", 0, 5), power("E", 0, 5))
    assert [event.usage_point for event in found] == ["home-G", "home-E"]


@pytest.mark.finding("security M4")
def test_another_main_meter_on_the_port_is_an_exchange_without_silence_from_its_first_register_on():
    found = hear(places_of(), power("A", 0, 900), power("A", 10, 901), *named("B", 20, 3))
    assert found[1:] == [
        MeterExchanged(
            "home-E", "A", {IMPORT: wh(901), EXPORT: wh(0)}, "B", {IMPORT: wh(3), EXPORT: wh(0)}, "H1", START + 20
        )
    ]


def test_a_radio_meter_of_electricity_does_not_take_the_place_of_the_port():
    heard = [
        item for n in range(0, 40_000, 600) for item in (power("A", n, n), power("R", n + 5, n, "M", is_main=False))
    ]
    found = hear(places_of(), *heard)
    assert [type(event) for event in found] == [MeterFirstHeard, SecondMeterHeard]


def test_an_exchange_is_dated_back_to_the_first_register_of_the_new_meter():
    heard = [gas("A", n, n) for n in range(0, 3_000, 600)]
    heard += [gas("B", n, n - 3_000) for n in range(3_000, 3_000 + SILENT + 600, 600)]
    _, exchange = hear(places_of(), *heard)
    assert (exchange.closing, exchange.opening) == ({VOLUME: m3(2_400)}, {VOLUME: m3(0)})
    assert exchange.time == START + 3_000


def test_meters_that_are_heard_beside_each_other_are_never_exchanged_even_if_one_falls_silent():
    both = [item for n in range(0, 3_000, 600) for item in (gas("A", n, n), gas("B", n + 1, n))]
    alone = [gas("B", n, n) for n in range(3_000, 3_000 + 3 * SILENT, 600)]
    places = places_of()
    found = hear(places, *both, *alone)
    assert [type(event) for event in found] == [MeterFirstHeard, SecondMeterHeard]
    assert found[1].failure.kind is FailureKind.UNKNOWN_DEVICE
    assert found[1].failure.detail == "A measures the gas here"
    assert hear(places, gas("A", 4 * SILENT, 9)) == []


def test_a_replaced_meter_that_comes_back_is_a_second_meter():
    heard = [gas("A", 0, 1), *(gas("B", n, n) for n in range(600, 2 * SILENT, 600))]
    places = places_of()
    assert len(hear(places, *heard)) == 2
    later = [gas("A", 2 * SILENT + n, n) for n in range(0, 3 * SILENT, 600)]
    assert hear(places, *later) == []
    assert places.last_heard["home-G"].device == "B"


def test_a_meter_that_was_not_heard_for_hours_is_not_exchanged_by_the_first_telegram_of_another():
    places = places_of()
    assert len(hear(places, gas("A", 0, 1), gas("B", 3 * SILENT, 9))) == 1
    assert [type(event) for event in hear(places, gas("A", 3 * SILENT + 60, 2))] == [SecondMeterHeard]


def test_silence_counts_only_while_somebody_listens():
    state = MemoryState()
    places = places_of(state)
    hear(places, gas("A", 0, 1))
    places.save()
    again = places_of(state)
    for event in events(again):
        again.acknowledge(event)
    day = 86_400
    assert hear(again, gas("B", day, 5), gas("B", day + 60, 5)) == []
    assert [type(event) for event in hear(again, gas("A", day + 120, 2))] == [SecondMeterHeard]


def test_registers_from_before_change_nothing():
    places = places_of()
    hear(places, gas("A", 1_000, 9))
    assert hear(places, gas("A", 500, 3), gas("B", 400, 4)) == []
    assert places.last_heard["home-G"].registers == {VOLUME: m3(9)}
    assert places.last_heard["home-G"].candidates == {}


def test_a_register_that_a_telegram_lacks_keeps_its_last_value_for_the_closing():
    places = places_of()
    only = RegistersHeard("A", Commodity.ELECTRICITY, "H1", START + 10, {IMPORT: wh(7)}, True)
    (_, exchange) = hear(places, power("A", 0, 5), only, *named("B", 20, 0))
    assert exchange.closing == {IMPORT: wh(7), EXPORT: wh(0)}


@pytest.mark.parametrize("damages", [1, 2, 50])
def test_damaged_identifications_of_a_port_decide_nothing(damages):
    places = places_of()
    hear(places, power("A", 0, 5))
    damaged = [power(f"A{n}", 10 + n, 5, is_checked=False) for n in range(damages)]
    assert hear(places, *damaged, power("A", 100, 6)) == []
    assert places.last_heard["home-E"].device == "A"
    assert hear(places, power("B", 110, 0), power("B", 120, 0), power("A", 130, 7), power("B", 140, 0)) == []
    assert [type(event) for event in hear(places, power("B", 150, 0), power("B", 160, 0))] == [MeterExchanged]


def test_the_first_meter_of_a_port_without_a_crc_is_installed_once_it_is_named_three_times_in_a_row():
    names = ["A?", "A", "A", "A!", "A", "A", "A"]
    heard = [power(name, 10 * n, n, is_checked=False) for n, name in enumerate(names)]
    (first,) = hear(places_of(), *heard)
    assert (first.device, first.time) == ("A", START + 40)
    assert [event.device for event in hear(places_of(), power("A", 0, 0))] == ["A"], "a CRC is enough"


def test_a_crowd_of_devices_takes_no_more_memory_than_its_bounds():
    state = MemoryState()
    places = places_of(state)
    hear(places, gas("A", 0, 1), power("E", 0, 1))
    for n in range(500):
        hear(places, gas(f"X{n}", 1 + 2 * n, n), gas(f"Y{n}", 1 + 2 * n, n), power(f"E{n}", 1 + 2 * n, 1))
        if n % 7 == 0:
            hear(places, gas("A", 2 + 2 * n, n), power("E", 2 + 2 * n, n))
        last = places.last_heard["home-G"]
        assert max(len(last.candidates), len(last.seconds)) <= DEVICES_MAX
        assert len(places._heard_at) <= TIMES_MAX
        assert len(places._unsure) <= 2
    assert {known.device for known in places.last_heard.values()} == {"A", "E"}
    assert len(state.kept[PLACES_KEPT]) < 8_192


def test_a_crowd_of_devices_does_not_hide_the_meter_that_took_the_place():
    heard = [gas("A", 0, 1)]
    for n in range(600, SILENT + 1_800, 600):
        heard += [gas("B", n, n), *(gas(f"X{n}-{k}", n + 1 + k, n) for k in range(DEVICES_MAX - 1))]
    (exchange,) = [event for event in hear(places_of(), *heard) if isinstance(event, MeterExchanged)]
    assert (exchange.new_device, exchange.time) == ("B", START + 600)


def test_decisions_that_nobody_carries_out_are_bounded():
    places = places_of()
    hear(places, power("A", 0, 1))
    for n in range(2 * DECISIONS_MAX):
        hear(places, *named(f"B{n % 2}", 100 + 100 * n, 1))
    assert len(places._pending) == DECISIONS_MAX


def test_a_decision_is_reported_again_after_a_restart_until_it_is_acknowledged():
    state = MemoryState()
    first = hear(places_of(state), power("A", 0, 1), *named("B", 10, 2))
    again = places_of(state)
    assert events(again) == first
    again.acknowledge(first[0])
    last = places_of(state)
    assert events(last) == first[1:]
    last.acknowledge(first[1])
    assert events(places_of(state)) == []


def test_the_state_of_an_earlier_version_is_read():
    state = MemoryState()
    kept = {"home-E": {"device": "A", "at": START, "registers": {"1-0:1.8.0": [900, 0, "Wh"]}}}
    state.save(LAST_KEPT, json.dumps(kept).encode())
    (exchange,) = hear(places_of(state), *named("B", 10, 1))
    assert (exchange.old_device, exchange.closing) == ("A", {IMPORT: wh(900)})


@pytest.mark.parametrize(
    ("name", "octets"),
    [
        (LAST_KEPT, b"{"),
        (LAST_KEPT, b'{"home-E": 1}'),
        (PLACES_KEPT, b"{"),
        (PLACES_KEPT, b'{"meters": {"home-E": 1}}'),
        (PLACES_KEPT, b'{"decisions": [{"type": "first"}]}'),
        (PLACES_KEPT, b"\xff"),
    ],
)
def test_state_that_cannot_be_read_says_so(name, octets):
    state = MemoryState()
    state.save(name, octets)
    with pytest.raises(DamagedError):
        places_of(state)


class PowerLostError(Exception):
    """Nothing runs after this."""


class FailingState(MemoryState):
    """Loses power at a chosen write, before or after it."""

    def __init__(self):
        super().__init__()
        self.writes_left = None
        self.after = False

    def save(self, name, octets):
        if self.writes_left is None:
            super().save(name, octets)
            return
        self.writes_left -= 1
        is_last = self.writes_left <= 0
        if not is_last or self.after:
            super().save(name, octets)
        if is_last:
            raise PowerLostError


@pytest.mark.parametrize("after", [False, True])
def test_power_that_fails_with_a_decision_never_brings_older_registers_back(after):
    state = FailingState()
    places = places_of(state)
    hear(places, gas("M1", 0, 5), gas("M2", 10, 1), gas("M2", 20, 2))
    state.writes_left, state.after = 1, after
    with pytest.raises(PowerLostError):
        hear(places, gas("M2", 10 + SILENT, 3))
    state.writes_left = None
    again = places_of(state)
    assert [event.opening[VOLUME].value for event in events(again) if isinstance(event, MeterExchanged)] == [1] * after
    assert again.last_heard["home-G"].registers == {VOLUME: m3(3 if after else 5)}


class World(RuleBasedStateMachine):
    """Gas meters come, are exchanged, fall silent and come back; the program loses power at any write."""

    def __init__(self):
        super().__init__()
        self.state = FailingState()
        self.places = MeterPlaces("home", self.state)
        self.time = START
        self.count = 1
        self.present = "M1"
        self.beside = None
        self.registers = {}
        self.heard = {}
        self.saved = {}
        self.chain = []
        self.registered = []

    def hear(self, device):
        self.time += 60
        steps = self.registers[device] = self.registers.get(device, 0) + 1
        self.heard.setdefault(device, []).append((self.time, steps))
        try:
            self.places.hear(RegistersHeard(device, Commodity.GAS, "M", self.time, {VOLUME: m3(steps)}), self.time)
            self.places.save()
            self.saved[device] = steps
            self.register()
        except PowerLostError:
            self.state.writes_left = None
            self.places = MeterPlaces("home", self.state)
            self.register()

    def register(self):
        """Carry decisions out as a registry does: the same one again changes nothing."""
        for event in events(self.places):
            if isinstance(event, SecondMeterHeard):
                continue
            if event not in self.registered:
                self.accept(event)
                self.registered.append(event)
            try:
                self.places.acknowledge(event)
            except PowerLostError:
                self.state.writes_left = None
                self.places = MeterPlaces("home", self.state)
                self.register()
                return

    def accept(self, event):
        if isinstance(event, MeterFirstHeard):
            assert self.chain == [], "one first meter"
            self.chain.append((event.device, event.time))
            return
        assert self.chain[-1][0] == event.old_device
        old, new = self.heard[event.old_device], self.heard[event.new_device]
        assert all(time < event.time for time, _ in old), "a meter that is heard is not exchanged"
        assert all(time >= event.time for time, _ in new) or event.new_device == "M1" or self.was_lost(event)
        assert event.closing[VOLUME].value in {old[-1][1], self.saved.get(event.old_device)}
        assert (event.time, event.opening[VOLUME].value) in new
        assert event.time > self.chain[-1][1]
        self.chain.append((event.new_device, event.time))

    def was_lost(self, event):
        """Whether the first telegrams of a meter were lost with the power, so that its opening is a later one."""
        first = self.heard[event.new_device][0]
        return self.lost_power and event.opening[VOLUME].value > first[1]

    lost_power = False

    @rule(times=st.integers(1, 4))
    def the_meter_sends(self, times):
        for _ in range(times):
            self.hear(self.present)

    @precondition(lambda self: self.chain)
    @rule()
    def the_meter_is_exchanged(self):
        self.count += 1
        self.present = f"M{self.count}"
        self.time += 3_600

    @precondition(lambda self: self.beside is None and self.chain and self.chain[-1][0] == self.present)
    @rule()
    def a_second_meter_comes(self):
        self.count += 1
        self.beside = f"M{self.count}"
        for device in (self.beside, self.present) * 2:  # power may fail once
            self.hear(device)

    @precondition(lambda self: self.beside is not None)
    @rule()
    def the_second_meter_sends(self):
        self.hear(self.beside)

    @rule(seconds=st.sampled_from([600, SILENT, 3 * SILENT]))
    def nobody_sends(self, seconds):
        self.time += seconds

    @rule()
    def the_program_restarts(self):
        self.places = MeterPlaces("home", self.state)
        self.register()

    @rule(writes=st.integers(1, 5), after=st.booleans())
    def power_will_fail(self, writes, after):
        self.lost_power = True
        self.state.writes_left, self.state.after = writes, after

    @invariant()
    def a_second_meter_is_never_billed(self):
        assert self.beside is None or self.beside not in {device for device, _ in self.chain}

    def teardown(self):
        """The meter that is there is found in the end, and the chain has no gap."""
        self.state.writes_left = None
        for _ in range(4):
            self.the_meter_sends(2)
            self.time += SILENT
        self.the_meter_sends(2)
        assert self.chain[-1][0] == self.present


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=80, stateful_step_count=40, deadline=None)


@pytest.mark.parametrize(
    ("commodity", "interface", "period_s"),
    [
        (Commodity.ELECTRICITY, "H1", 900),
        (Commodity.ELECTRICITY, "M", 900),
        (Commodity.GAS, "M", 900),
        (Commodity.GAS, "H1", 3_600),
        (Commodity.HEAT, "H1", 3_600),
    ],
)
def test_a_supply_has_quarter_hours_except_behind_a_port_which_reads_it_once_an_hour(
    commodity: Commodity, interface: str, period_s: int
) -> None:
    assert MeterFirstHeard("home-E", "D1", commodity, interface, 0).period_s == period_s
