"""One readout of wired M-Bus: primary and secondary addresses, several telegrams, silence, damage and lost media."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.engine.mbus_link import LineSettings, MbusSlave
from meterspan.engine.mbus_readout import MbusReadout, ReadoutDone, ReadoutFailed, SlaveAddress, parse_slave
from meterspan.model.failures import FailureKind
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.application import read_application
from meterspan.wire.mbus.link import read_link_frame
from meterspan.wire.mbus.records import build_header, build_record
from tests.helpers_wire import Pair

IDENTITY = DeviceAddress.of("MSP", "12345678", 0x1B, 0x04)
RECORDS = [build_record(build_header(0x04, b"\x13", storage=storage), storage) for storage in range(60)]


def readout_of(slave_address, *, records=RECORDS[:3], answers=lambda _number, octets: octets, seconds=60):
    slave = MbusSlave(5, IDENTITY, lambda: records)
    readout = MbusReadout(slave_address, LineSettings())
    pair = Pair(readout, slave, to_left=answers)
    readout.start(pair.now)
    pair.run(pair.now + seconds)
    (event,) = pair.left_events
    assert readout.deadline() is None
    return event


def values(done):
    messages = [read_application(read_link_frame(frame).payload) for frame in done.frames]
    return [record.storage for message in messages for record in message.records.records]


@pytest.mark.parametrize(
    "address",
    [
        SlaveAddress(5),
        SlaveAddress(),
        parse_slave(None, "12345678"),
        parse_slave(None, "1234FFFF"),
        parse_slave(None, IDENTITY.id + IDENTITY.long_header[4:].hex()),
    ],
    ids=["primary", "only slave", "identification", "wildcards", "whole secondary address"],
)
@pytest.mark.parametrize("count", [1, 60])
def test_a_slave_is_read_by_every_kind_of_address_in_as_many_telegrams_as_it_needs(address, count):
    done = readout_of(address, records=RECORDS[:count])
    assert isinstance(done, ReadoutDone)
    assert done.is_complete
    assert values(done) == list(range(count))
    assert len(done.frames) == (1 if count == 1 else 2)


@pytest.mark.parametrize(
    ("address", "words"),
    [(SlaveAddress(6), "address 6 to REQ_UD2"), (parse_slave(None, "99999999"), "selected slave to SND_UD select")],
)
def test_a_slave_that_is_not_there_is_a_timeout(address, words):
    failed = readout_of(address)
    assert isinstance(failed, ReadoutFailed)
    assert failed.failure.kind is FailureKind.TIMEOUT
    assert words in failed.failure.detail


def test_a_slave_that_leaves_the_initialisation_unanswered_is_read_all_the_same():
    done = readout_of(SlaveAddress(5), answers=lambda _number, octets: None if octets == b"\xe5" else octets)
    assert values(done) == [0, 1, 2]


def test_an_answer_that_stays_damaged_is_said_to_be_damaged():
    failed = readout_of(SlaveAddress(5), answers=lambda _n, octets: octets[:-2] + b"\x00\x16" if octets[1:] else octets)
    assert failed.failure.kind is FailureKind.DAMAGED


@given(st.lists(st.booleans(), min_size=4, max_size=12))
def test_lost_answers_end_in_all_records_or_in_one_failure(lost):
    answers = iter(lost)
    event = readout_of(
        SlaveAddress(5), records=RECORDS, answers=lambda _n, octets: None if next(answers, False) else octets
    )
    assert isinstance(event, ReadoutFailed) or values(event) == list(range(60))


def test_a_lost_medium_ends_the_readout_once():
    readout = MbusReadout(SlaveAddress(5))
    readout.start(0.0)
    readout.medium_lost(1.0)
    readout.medium_lost(2.0)
    event = readout.next_event()
    assert event.failure.kind is FailureKind.LINK_LOST
    assert readout.next_event() is readout.deadline() is None


@given(st.lists(st.binary(max_size=40), max_size=20))
def test_any_octets_in_any_cut_end_in_one_event_at_most(pieces):
    readout = MbusReadout(SlaveAddress(5))
    readout.start(0.0)
    now = 0.0
    for piece in pieces:
        now += 0.01
        readout.receive(piece, now)
    while (due := readout.deadline()) is not None:
        now = max(now, due)
        readout.advance(now)
        readout.octets_to_send()
    events = list(iter(readout.next_event, None))
    assert len(events) == 1


@pytest.mark.parametrize(
    ("address", "secondary"), [("251", None), ("-1", None), ("x", None), (None, "123"), (None, "1234567G")]
)
def test_what_is_no_address_is_refused_with_what_would_be(address, secondary):
    with pytest.raises(ValueError, match=r"address: (0 to 250|8 or 16 digits)"):
        parse_slave(address, secondary)


def test_an_address_is_read_as_people_write_it():
    assert parse_slave("5", None) == SlaveAddress(5)
    assert parse_slave(None, None) == parse_slave("254", "") == SlaveAddress(254)
    selection = parse_slave(None, "12345678").secondary
    assert selection.octets.hex() == "78563412ffffffff"
