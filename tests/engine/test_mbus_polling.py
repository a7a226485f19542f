"""Rounds over a bus: every slave has one outcome in each, whatever the others, the line and the connection do."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from meterspan.engine.machine import WantsConnection
from meterspan.engine.mbus_link import LineSettings, MbusSlave
from meterspan.engine.mbus_polling import MbusPoller, PolledSlave, RoundEnded, SlaveNotRead, SlaveRead
from meterspan.engine.mbus_readout import SlaveAddress, parse_slave
from meterspan.model.failures import FailureKind
from meterspan.sim.mbus_segment import MbusSegment
from meterspan.wire.mbus.link import read_link_frame
from tests.helpers_bus import FAST, bus_slave, register
from tests.helpers_wire import Pair

EVERY_S = 900.0
START = 1_700_000_100.0
NAMES = ["5", "6", "12345678"]
POLLED = [
    PolledSlave("5", SlaveAddress(5)),
    PolledSlave("6", SlaveAddress(6)),
    PolledSlave("12345678", parse_slave(None, "12345678")),
]


def segment():
    return MbusSegment([bus_slave(5, "10000005"), bus_slave(6, "10000006"), bus_slave(0, "12345678")])


def poller(slaves=POLLED):
    return MbusPoller(slaves, every_s=EVERY_S, settings=FAST)


def one_round(machine, bus, now=START, **faults):
    """Let a round happen on a connection that stays; returns its events and when it ended."""
    machine.advance(now)
    assert machine.next_event() == WantsConnection()
    pair = Pair(machine, bus, now=now, **faults)
    machine.connect(now)
    pair.run(now + EVERY_S / 2)
    assert isinstance(pair.left_events[-1], RoundEnded)
    return pair.left_events[:-1]


def kinds(events):
    return [(event.slave, event.failure.kind if isinstance(event, SlaveNotRead) else "read") for event in events]


def test_the_first_round_begins_at_once_and_every_other_on_its_mark():
    machine = poller()
    assert machine.deadline() <= START
    assert kinds(one_round(machine, segment())) == [(name, "read") for name in NAMES]
    assert not machine.has_medium
    mark = START // EVERY_S * EVERY_S + EVERY_S
    assert machine.deadline() == mark
    machine.advance(mark - 1)
    assert machine.next_event() is None
    assert kinds(one_round(machine, segment(), mark)) == [(name, "read") for name in NAMES]


def test_a_readout_is_the_slaves_frames_as_they_were_received_and_all_of_them():
    many = [register(number, storage=number) for number in range(60)]
    events = one_round(poller(POLLED[:1]), MbusSegment([bus_slave(5, "10000005", records=many)]))
    (read,) = events
    size = read.octets[1] + 6
    assert read.is_complete
    assert [read_link_frame(part).payload[0] for part in (read.octets[:size], read.octets[size:])] == [0x72, 0x72]


@pytest.mark.parametrize("lost", range(3))
def test_a_silent_slave_is_a_timeout_and_stops_no_other(lost):
    bus = segment()
    del bus.slaves[lost]
    outcomes = kinds(one_round(poller(), bus))
    assert outcomes == [(name, FailureKind.TIMEOUT if index == lost else "read") for index, name in enumerate(NAMES)]


def test_slaves_that_collide_are_damaged_with_their_octets_and_stop_no_other():
    bus = segment()
    bus.slaves.append(bus_slave(5, "20000005"))
    first, *others = one_round(poller(), bus)
    assert (first.failure.kind, first.octets[:1]) == (FailureKind.DAMAGED, b"\x68")
    assert [type(event) for event in others] == [SlaveRead, SlaveRead]


def test_a_bus_out_of_reach_fails_every_slave_until_the_next_mark():
    machine = poller()
    machine.advance(START)
    machine.medium_lost(START + 10)
    wanted, *failed, end = iter(machine.next_event, None)
    assert (wanted, end) == (WantsConnection(), RoundEnded())
    assert kinds(failed) == [(name, FailureKind.UNREACHABLE) for name in NAMES]
    assert machine.deadline() > START


def test_a_lost_connection_costs_one_slave_and_the_rest_is_read_over_another():
    machine = poller()
    machine.advance(START)
    machine.connect(START)
    machine.medium_lost(START + 1)
    assert not machine.has_medium
    events = list(iter(machine.next_event, None))
    assert kinds(events[1:-1]) == [("5", FailureKind.LINK_LOST)]
    assert events[-1] == WantsConnection()
    pair = Pair(machine, segment(), now=START + 2)
    machine.connect(START + 2)
    pair.run(START + 60)
    assert kinds(pair.left_events[:-1]) == [("6", "read"), ("12345678", "read")]


def test_a_line_that_never_is_quiet_ends_each_slave_in_its_time():
    machine = poller(POLLED[:1])
    machine.advance(START)
    machine.connect(START)
    now = START
    while machine.has_medium:
        now += 0.01
        machine.receive(b"\xff", now)
        machine.advance(now)
        assert now < START + 600
    _, failed, _ = iter(machine.next_event, None)
    assert failed.failure.kind is FailureKind.DAMAGED
    assert now < START + 5


def test_a_slave_that_delays_each_of_many_telegrams_by_noise_is_left_in_its_time():
    slow = LineSettings(300, retries=0)
    machine, now = MbusPoller(POLLED[:1], every_s=EVERY_S, settings=slow), START
    slave = bus_slave(5, "10000005", records=[register(number) for number in range(64 * 30)])
    machine.advance(START)
    machine.connect(START)
    answer, due = b"", START
    while machine.has_medium and now < START + EVERY_S:
        now += 0.05
        if asked := machine.octets_to_send():
            slave.receive(asked, now)
            due = now + 15
        slave.advance(now)
        answer += slave.octets_to_send()
        machine.receive(answer if now >= due else b"\xff", now)
        answer = b"" if now >= due else answer
        machine.advance(now)
    _, failed, _ = iter(machine.next_event, None)
    assert failed.failure.kind is FailureKind.DEADLINE


def test_a_bus_without_slaves_or_with_one_name_twice_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        poller([])
    with pytest.raises(ValueError, match="name of its own"):
        poller([POLLED[0], POLLED[0]])


class Polling(RuleBasedStateMachine):
    """A bus whose slaves come and go, whose line is disturbed, and whose connection breaks at any time."""

    def __init__(self):
        super().__init__()
        self.machine = poller()
        self.slaves: dict[str, MbusSlave] = dict(zip(NAMES, segment().slaves, strict=True))
        self.bus = MbusSegment([*self.slaves.values()])
        self.disturbed = 0
        self.now = START
        self.wanted = False
        self.outcomes: list[str] = []
        self.rounds = 0

    @rule(name=st.sampled_from(NAMES))
    def unplug_or_plug(self, name):
        slave = self.slaves[name]
        self.bus.slaves.remove(slave) if slave in self.bus.slaves else self.bus.slaves.append(slave)

    @rule(count=st.integers(1, 4))
    def disturb(self, count):
        self.disturbed += count

    @precondition(lambda self: self.wanted)
    @rule()
    def connection_is_made(self):
        self.wanted = False
        self.machine.connect(self.now)
        self.settle()

    @rule()
    def connection_is_lost_or_not_made(self):
        self.wanted = False
        self.machine.medium_lost(self.now)
        self.bus.medium_lost(self.now)
        self.settle()

    @rule(seconds=st.sampled_from([0.01, 0.1, 1.0, 30.0, 900.0]))
    def time_passes(self, seconds):
        until = self.now + seconds
        while True:
            due = min((at for at in (self.machine.deadline(), self.bus.deadline()) if at is not None), default=until)
            self.now = max(self.now, min(due, until))
            self.machine.advance(self.now)
            self.bus.advance(self.now)
            self.settle()
            if due >= until:
                return

    def settle(self):
        while octets := self.machine.octets_to_send():
            self.bus.receive(octets, self.now)
        while octets := self.bus.octets_to_send():
            if self.disturbed:
                self.disturbed -= 1
                octets = octets[:-1] + bytes((octets[-1] ^ 0x55,))
            self.machine.receive(octets, self.now)
            self.settle()
        for event in iter(self.machine.next_event, None):
            self.note(event)

    def note(self, event):
        if isinstance(event, WantsConnection):
            assert not self.wanted
            self.wanted = True
        elif isinstance(event, RoundEnded):
            assert self.outcomes == NAMES, "each slave has one outcome, in their order"
            self.outcomes = []
            self.rounds += 1
        else:
            self.outcomes.append(event.slave)
            if isinstance(event, SlaveRead):
                number = read_link_frame(event.octets).payload[4:0:-1].hex()
                assert number in {"5": "10000005", "6": "10000006"}.get(event.slave, event.slave)

    @invariant()
    def a_connection_is_in_use_or_wanted_or_a_mark_is_waited_for(self):
        in_use, waiting = self.machine.has_medium, self.machine.deadline() is not None
        assert in_use or self.wanted or waiting
        assert not (in_use and self.wanted)
        assert self.outcomes == NAMES[: len(self.outcomes)]


TestPolling = Polling.TestCase
TestPolling.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
