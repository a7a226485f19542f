"""A search of a segment ends once, and finds every slave that can be told from the others."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterspan.engine.mbus_link import LineSettings, MbusSlave
from meterspan.engine.mbus_search import (
    PRIMARY_ADDRESSES,
    SearchEnded,
    SearchProgress,
    SlaveFound,
    SlavesCollided,
    primary_search,
    secondary_search,
)
from meterspan.model.failures import FailureKind
from meterspan.sim.mbus_segment import MbusSegment
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.link import LinkFrame, write_link_frame
from meterspan.wire.mbus.records import build_header, build_record
from tests.helpers_wire import Pair

SELECTS_ROGUE = LinkFrame(0x73, 253, b"\x52" + b"\x99" * 4 + b"\xff" * 4)
FAST = LineSettings(38_400, retries=0, hex_digits=False)
WHOLE = SearchEnded(None)


def identity(number):
    return DeviceAddress.of("MSP", number, 1, 7)


def slave(address, number, count=1):
    records = [build_record(build_header(0x04, b"\x13", storage=index), int(number) % 9_999) for index in range(count)]
    return MbusSlave(address, identity(number), lambda: records)


def searched(search, slaves, **faults):
    pair = Pair(search, MbusSegment(slaves), **faults)
    search.start(pair.now)
    pair.run(pair.now + 1e6)
    assert search.deadline() is None
    *events, end = pair.left_events
    assert isinstance(end, SearchEnded)
    assert not any(isinstance(event, SearchEnded) for event in events)
    shares = [event.share for event in events if isinstance(event, SearchProgress)]
    assert shares == sorted(shares)
    assert all(0 <= share < 1 for share in shares)
    return [event for event in events if not isinstance(event, SearchProgress)], end


def test_a_primary_search_finds_slaves_with_their_identity_also_one_with_many_telegrams():
    slaves = [slave(0, "10000001"), slave(7, "10000002", 80), slave(250, "10000003")]
    found, end = searched(primary_search(PRIMARY_ADDRESSES, FAST), slaves)
    assert found == [SlaveFound(one.address, one.identity) for one in slaves]
    assert end == WHOLE


def test_slaves_that_share_a_primary_address_are_a_collision_and_hide_nobody_else():
    slaves = [slave(3, "10000001"), slave(3, "20000002"), slave(4, "30000003")]
    found, end = searched(primary_search([3, 4], FAST), slaves)
    assert (found, end) == ([SlavesCollided(3), SlaveFound(4, slaves[2].identity)], WHOLE)


def test_a_slave_that_acknowledges_and_gives_no_data_is_found_without_an_identity():
    found, _ = searched(
        primary_search([5], FAST), [slave(5, "10000001")], to_left=lambda _n, o: o if len(o) == 1 else None
    )
    assert found == [SlaveFound(5, None)]


def test_each_address_is_asked_once_and_the_progress_names_it():
    search = primary_search([9, 8, 9], FAST)
    pair = Pair(search, MbusSegment([]))
    search.start(pair.now)
    pair.run(pair.now + 100)
    assert pair.left_events == [SearchProgress("9", Fraction(0)), SearchProgress("8", Fraction(1, 2)), WHOLE]


@settings(max_examples=15, deadline=None)
@given(st.sets(st.integers(0, 99_999_999), max_size=4), st.booleans())
def test_a_secondary_search_finds_exactly_the_slaves_of_the_segment(numbers, hex_digits):
    slaves = [slave(0, f"{number:08d}") for number in sorted(numbers)]
    found, end = searched(secondary_search("", LineSettings(38_400, 0, hex_digits=hex_digits)), slaves)
    assert found == [SlaveFound(0, one.identity) for one in slaves]
    assert end == WHOLE


def test_a_search_below_a_beginning_of_numbers_finds_those_alone_and_knows_its_share():
    slaves = [slave(1, "12345678"), slave(2, "12999999"), slave(3, "20000000")]
    search = secondary_search("1", FAST)
    pair = Pair(search, MbusSegment(slaves))
    search.start(pair.now)
    pair.run(pair.now + 1_000)
    progress = [event for event in pair.left_events if isinstance(event, SearchProgress)]
    assert progress[0] == SearchProgress("1", Fraction(0))
    assert [event.share for event in progress if event.asking in ("11", "13")] == [Fraction(1, 10), Fraction(3, 10)]
    assert [event.primary for event in pair.left_events if isinstance(event, SlaveFound)] == [1, 2]


def test_slaves_of_one_number_are_a_collision_of_that_number():
    found, end = searched(secondary_search("1234567", FAST), [slave(1, "12345678"), slave(250, "12345678", 2)])
    assert (found, end) == ([SlavesCollided(digits="12345678")], WHOLE)


class Noise:
    """A segment that answers everything with octets that are no frame."""

    def __init__(self):
        self.answers = []

    def receive(self, _octets, _now):
        self.answers.append(b"\x68\x68\x68")

    def octets_to_send(self):
        return self.answers.pop() if self.answers else b""

    def next_event(self):
        return None

    deadline = next_event


class Rogue(MbusSlave):
    """A slave that answers whatever is selected, and lets nobody else be heard."""

    def receive(self, octets, now):
        selects_another = octets[:1] == b"\x68" and octets[6:7] == b"\x52"
        super().receive(write_link_frame(SELECTS_ROGUE) if selects_another else octets, now)


@pytest.mark.attack(2)
@pytest.mark.finding("security low-12")
def test_a_slave_that_answers_for_others_neither_ends_the_search_as_complete_nor_prolongs_it():
    rogue = Rogue(1, identity("99999999"), lambda: [build_record(build_header(0x04, b"\x13"), 1)])
    events, end = searched(secondary_search("1", FAST), [rogue])
    assert end.failure is not None
    assert end.failure.kind is FailureKind.DAMAGED
    assert not any(isinstance(event, SlaveFound) for event in events)
    assert len(events) < 100


def test_a_bus_that_gives_only_noise_ends_the_search_with_its_reason():
    search = secondary_search("", FAST)
    pair = Pair(search, Noise())
    search.start(pair.now)
    pair.run()
    while search.deadline() is not None:
        pair.now = search.deadline()
        search.advance(pair.now)
        pair.run()
    *events, end = pair.left_events
    assert end.failure.kind is FailureKind.DAMAGED
    assert len(events) < 100
    assert all(isinstance(event, SearchProgress | SlavesCollided) for event in events)


@pytest.mark.parametrize("noise", [b"\x68\xff\xff\x68", b"\xe5", bytes(range(256))])
@pytest.mark.parametrize("addresses", [range(5), None], ids=["primary", "secondary"])
def test_a_line_that_never_falls_silent_ends_the_search(addresses, noise):
    search = secondary_search("", FAST) if addresses is None else primary_search(addresses, FAST)
    now, events = 0.0, []
    search.start(now)
    while search.deadline() is not None:
        now += 0.01
        search.receive(noise, now)
        search.advance(now)
        events += iter(search.next_event, None)
        assert now < 600
    assert events[-1] == SearchEnded(events[-1].failure)
    assert not any(isinstance(event, SlaveFound) and event.identity for event in events)


@pytest.mark.parametrize("search", [primary_search([1]), secondary_search()], ids=["primary", "secondary"])
def test_a_lost_medium_ends_a_search_once(search):
    search.start(0.0)
    search.medium_lost(1.0)
    search.medium_lost(2.0)
    *_, end = iter(search.next_event, None)
    assert end.failure.kind is FailureKind.LINK_LOST
    assert search.deadline() is None


@settings(max_examples=30, deadline=None)
@given(st.lists(st.booleans(), max_size=40), st.sets(st.integers(0, 250), max_size=4))
def test_lost_answers_hide_slaves_and_invent_none(lost, addresses):
    answers = iter(lost)
    slaves = [slave(address, f"{address:08d}") for address in sorted(addresses)]
    search = primary_search(PRIMARY_ADDRESSES, FAST)
    found, end = searched(search, slaves, to_left=lambda _n, octets: None if next(answers, False) else octets)
    assert end == WHOLE
    known = {one.address: one.identity for one in slaves}
    assert all(event.identity in (None, known[event.primary]) for event in found)


def test_what_is_no_address_or_digit_is_refused():
    with pytest.raises(ValueError, match="0 to 250"):
        primary_search([251])
    with pytest.raises(ValueError, match="beginning"):
        secondary_search("12X")
