"""A simulated segment carries one slave's answer, and disturbs those of several."""

from meterspan.engine.mbus_link import DataReceived, MbusSlave
from meterspan.sim.mbus_segment import MbusSegment
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.link import ACKNOWLEDGE, FrameReader, LinkFrame, read_link_frame, write_link_frame
from meterspan.wire.mbus.records import build_header, build_record

E5 = write_link_frame(ACKNOWLEDGE)


def slave(address, number, value=5):
    identity = DeviceAddress.of("MSP", number, 1, 7)
    return MbusSlave(address, identity, lambda: [build_record(build_header(0x04, b"\x13"), value)])


def answer(segment, frame):
    segment.receive(write_link_frame(frame), 0.0)
    due = segment.deadline()
    if due is not None:
        segment.advance(due)
    return segment.octets_to_send()


def test_one_slave_answers_undisturbed_and_nobody_keeps_silent_together():
    segment = MbusSegment([slave(1, "11111111"), slave(2, "22222222")])
    assert read_link_frame(answer(segment, LinkFrame(0x5B, 2))).payload[1:5] == bytes.fromhex("22222222")
    assert answer(segment, LinkFrame(0x5B, 3)) == b""
    assert segment.deadline() is None


def test_acknowledgements_of_several_slaves_are_one_and_their_telegrams_are_none():
    segment = MbusSegment([slave(1, "11111111"), slave(1, "12345678", 70)])
    assert answer(segment, LinkFrame(0x40, 1)) == E5
    garbled = answer(segment, LinkFrame(0x5B, 1))
    assert garbled
    assert list(FrameReader().receive(garbled)) == []


def test_a_closed_connection_drops_the_answer_that_is_due():
    segment = MbusSegment([slave(1, "11111111")])
    segment.receive(write_link_frame(LinkFrame(0x5B, 1)), 0.0)
    segment.medium_lost(0.0)
    assert segment.deadline() is None


def test_events_of_every_slave_reach_the_owner():
    segment = MbusSegment([slave(1, "11111111"), slave(2, "22222222")])
    for address in (1, 2):
        assert answer(segment, LinkFrame(0x53, address, b"\x51\x04\x13\x00\x00")) == E5
    events = [segment.next_event() for _ in range(3)]
    assert events == [DataReceived(b"\x51\x04\x13\x00\x00")] * 2 + [None]
