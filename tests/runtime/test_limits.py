"""Places are bounded in total and by peer, idle connections keep nobody out, and those that hold a key stay."""

import resource

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from meterspan.runtime import limits
from meterspan.runtime.limits import (
    FILES_RESERVED,
    UNPROVED_OCTETS_MAX,
    Allowance,
    ConnectionGate,
    NoteLimiter,
    connections_within,
    raise_open_files,
)


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def gate_of(total: int, per_peer: int) -> tuple[ConnectionGate, Clock, list[str]]:
    clock = Clock()
    return ConnectionGate(total, per_peer, clock), clock, []


def test_the_oldest_unproved_connection_of_the_busiest_peer_goes_first() -> None:
    gate, _, closed = gate_of(4, 3)
    for name in ("a1", "b1", "a2", "a3"):
        assert gate.admit(name[0], lambda name=name: closed.append(name)) is not None
    assert gate.admit("c", lambda: closed.append("c1")) is not None
    assert closed == ["a1"]
    assert len(gate) == 4


def test_a_peer_beyond_its_bound_closes_its_own_and_nobody_elses() -> None:
    gate, _, closed = gate_of(10, 2)
    for name in ("b1", "a1", "a2", "a3", "a4"):
        assert gate.admit(name[0], lambda name=name: closed.append(name)) is not None
    assert closed == ["a1", "a2"]


def test_where_everybody_has_proved_itself_a_new_one_is_turned_away() -> None:
    gate, _, closed = gate_of(2, 2)
    for name in ("a", "b"):
        place = gate.admit(name, lambda name=name: closed.append(name))
        assert place is not None
        gate.prove(place)
    assert gate.admit("c", lambda: None) is None
    assert closed == []
    gate.leave(place)
    gate.leave(place)
    assert gate.admit("c", lambda: None) is not None
    assert len(gate) == 2


@pytest.mark.attack(2)
def test_octets_since_the_last_proof_are_bounded() -> None:
    gate, _, _ = gate_of(2, 2)
    place = gate.admit("a", lambda: None)
    assert place is not None
    assert gate.spend(place, UNPROVED_OCTETS_MAX)
    assert not gate.spend(place, 1)
    gate.prove(place)
    assert gate.spend(place, UNPROVED_OCTETS_MAX)


def test_only_a_proof_prolongs() -> None:
    gate, clock, _ = gate_of(5, 5)
    idle, busy = gate.admit("a", lambda: None), gate.admit("b", lambda: None)
    assert idle is not None
    assert busy is not None
    clock.now += 29
    gate.prove(busy)
    assert gate.silent(30) == []
    clock.now += 1
    assert gate.silent(30) == [idle]
    gate.unprove(busy)
    clock.now += 30
    assert gate.silent(30) == [idle, busy]


class Gate(RuleBasedStateMachine):
    """Peers come, prove themselves and go in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = ConnectionGate(6, 3, lambda: 0.0)
        self.open: list[limits.ConnectionPlace] = []

    @rule(peer=st.sampled_from("abcd"))
    def come(self, peer: str) -> None:
        before = list(self.open)
        gone: list[limits.ConnectionPlace] = []
        place = self.gate.admit(peer, lambda: gone.append(place_of[0]))
        place_of = [place]
        if place is None:
            crowd = [held for held in before if held.peer == peer]
            assert all(held.is_proved for held in (crowd if len(crowd) >= 3 else before))
            return
        place.close = lambda: self.open.remove(place)
        self.open.append(place)
        assert all(held in self.open for held in before if held.is_proved)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), is_proved=st.booleans())
    def prove(self, data, is_proved: bool) -> None:
        place = data.draw(st.sampled_from(self.open))
        (self.gate.prove if is_proved else self.gate.unprove)(place)

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def go(self, data) -> None:
        place = data.draw(st.sampled_from(self.open))
        self.open.remove(place)
        self.gate.leave(place)

    @invariant()
    def the_bounds_hold_and_every_place_is_counted_once(self) -> None:
        assert len(self.gate) == len(self.open) <= 6
        assert all(sum(held.peer == peer for held in self.open) <= 3 for peer in "abcd")


TestGate = Gate.TestCase


@pytest.mark.parametrize(
    ("files", "wanted", "share", "granted"),
    [(1_024, 5_000, 0.25, 224), (1_000_000, 5_000, 0.25, 5_000), (64, 5_000, 0.25, 1), (FILES_RESERVED, 16, 1.0, 1)],
)
@pytest.mark.attack(2)
@pytest.mark.finding("security H7")
def test_a_port_gets_what_it_wants_within_its_share_of_the_open_files(
    monkeypatch, files: int, wanted: int, share: float, granted: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (files, files))
    assert connections_within(wanted, share) == granted


def test_the_soft_limit_is_raised_to_the_hard_one_and_never_lowered(monkeypatch) -> None:
    done = []
    monkeypatch.setattr(resource, "setrlimit", lambda _which, pair: done.append(pair))
    for pair in ((1_024, 4_096), (4_096, 4_096)):
        monkeypatch.setattr(resource, "getrlimit", lambda _which, pair=pair: pair)
        raise_open_files()
    assert done == [(4_096, 4_096)]


@pytest.mark.attack(2)
@pytest.mark.finding("security H7")
def test_a_flood_of_notes_is_a_bounded_number_of_lines_that_says_how_many_there_were() -> None:
    clock, told = Clock(), []
    note = NoteLimiter(told.append, clock, a_minute_max=3)
    for _ in range(1_000):
        note("refused")
    assert told == ["refused"] * 3
    clock.now += 60
    note("associated")
    assert told[3:] == ["997 more notes within a minute were left out", "associated"]


def test_notes_pass_again_when_the_clock_was_set_back() -> None:
    clock, told = Clock(), []
    note = NoteLimiter(told.append, clock, a_minute_max=1)
    note("a")
    clock.now -= 3_600
    note("b")
    assert told == ["a", "b"]


@pytest.mark.attack(2)
def test_an_allowance_lets_a_burst_pass_and_then_so_much_a_second() -> None:
    clock = Clock()
    allowance = Allowance(10, 100, clock)
    assert allowance.has(100)
    assert not allowance.has(101)
    assert allowance.spend(100) == 0
    assert allowance.spend(20) == pytest.approx(2)
    clock.now += 2
    assert allowance.spend(0) == 0
    assert not allowance.has(1)
    clock.now += 1_000
    assert allowance.has(100)
    assert not allowance.has(101)
    clock.now -= 5
    assert allowance.spend(100) == 0
