"""Wired master and slave against each other over a fake segment, and the master against misbehaving slaves."""

from decimal import Decimal

import pytest

from meterspan.engine.mbus_link import (
    MAX_PAGES,
    Acknowledged,
    AddressSet,
    BaudRateSet,
    Collision,
    DataRead,
    DataReceived,
    Failed,
    Found,
    LineFault,
    LineSettings,
    MbusMaster,
    MbusSlave,
    SearchFinished,
)
from meterspan.wire.mbus import build_header, build_record
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.application import Selection
from meterspan.wire.mbus.link import ACKNOWLEDGE, LinkFrame, read_link_frame, write_link_frame

E5 = write_link_frame(ACKNOWLEDGE)


def identity(number):
    return DeviceAddress.of("MSP", number, 1, 7)


def volume(value, storage=0):
    return build_record(build_header(0x4, b"\x13", storage=storage), Decimal(value))


def slave(address, number="12345678", records=None, **more):
    return MbusSlave(address, identity(number), lambda: records or [volume("12.345")], **more)


class Segment:
    """A master and slaves on one pair of wires; answers at the same time are garbled."""

    def __init__(self, master, slaves):
        self.master, self.slaves, self.now = master, slaves, 0.0
        self.sent, self.lose = [], 0

    def run(self, limit=20_000):
        events = []
        for _ in range(limit):
            out = self.master.octets_to_send()
            if out:
                self.sent.append(out)
                self.now += 11 * len(out) / 2400
                self._deliver(out)
            while (event := self.master.next_event()) is not None:
                events.append(event)
            if out or self.master.octets_to_send():
                continue
            deadline = self.master.deadline()
            if deadline is None:
                return events
            self.now = max(self.now, deadline)
            self.master.advance(self.now)
        raise AssertionError("the master never comes to rest")

    def _deliver(self, out):
        answers = []
        for one in self.slaves:
            one.receive(out, self.now)
            if one.deadline() is not None:
                one.advance(one.deadline())
            answers.append(one.octets_to_send())
        answers = [answer for answer in answers if answer]
        if self.lose and answers:
            self.lose -= 1
            return
        if answers and all(answer == E5 for answer in answers):
            self.master.receive(E5, self.now + 0.05)
        elif len(answers) == 1:
            for at in range(0, len(answers[0]), 7):
                self.now += 0.01
                self.master.receive(answers[0][at : at + 7], self.now)
        elif answers:
            size = max(map(len, answers))
            garbled = bytes(sum(a[i % len(a)] for a in answers) & 0xFF | 1 for i in range(size)).replace(E5, b"\0")
            self.master.receive(garbled, self.now + 0.05)


def values(event):
    return [record.decimal for message in event.messages for record in message.records.records]


def test_a_slave_is_initialised_and_read():
    segment = Segment(MbusMaster(), [slave(1), slave(2, "87654321", [volume("5")])])
    segment.master.initialise(1, 0.0)
    segment.master.read(1, 0.0)
    segment.master.read(2, 0.0)
    first, one, two = segment.run()
    assert isinstance(first, Acknowledged)
    assert values(one) == [Decimal("12.345")]
    assert values(two) == [Decimal(5)]
    assert two.messages[0].transport.address == identity("87654321")
    assert [out.hex() for out in segment.sent[:2]] == ["1040014116", "107b017c16"]


def test_the_frame_count_bit_toggles_per_slave_and_stays_in_a_repetition():
    segment = Segment(MbusMaster(), [slave(1), slave(2)])
    for address in (1, 1, 2, 1):
        segment.master.read(address, 0.0)
    segment.run()
    assert [out[1] for out in segment.sent] == [0x7B, 0x5B, 0x7B, 0x7B]
    segment.sent.clear()
    segment.lose = 1
    segment.master.read(1, segment.now)
    (event,) = segment.run()
    assert isinstance(event, DataRead)
    assert [out[1] for out in segment.sent] == [0x5B, 0x5B]


def test_a_lost_answer_is_repeated_by_the_slave_and_no_page_is_lost():
    many = [volume(number, storage=number) for number in range(80)]
    segment = Segment(MbusMaster(), [slave(1, records=many)])
    segment.lose = 2
    segment.master.read(1, 0.0)
    (event,) = segment.run()
    assert values(event) == [Decimal(number) for number in range(80)]
    assert len(event.messages) > 1
    assert event.is_complete


def test_silence_fails_after_two_retries_within_the_time_of_the_standard():
    segment = Segment(MbusMaster(), [])
    segment.master.read(7, 0.0)
    (event,) = segment.run()
    assert event == Failed(event.request, LineFault.SILENCE)
    assert len(segment.sent) == 3
    assert segment.now == pytest.approx(3 * (5 * 11 / 2400 + 330 / 2400 + 0.05), abs=0.1)


def test_a_damaged_answer_is_asked_for_again_and_then_fails():
    master = MbusMaster()
    master.read(1, 0.0)
    for _ in range(3):
        assert master.octets_to_send()
        master.receive(b"\x68\x03\x03\x68\x08", 0.0)
        master.advance(master.deadline())
    assert master.next_event().fault == LineFault.DAMAGED


def test_an_echo_and_another_slaves_answer_are_not_taken():
    master = MbusMaster()
    master.read(1, 0.0)
    master.receive(master.octets_to_send(), 0.01)
    master.receive(write_link_frame(LinkFrame(0x08, 2, b"\x78\x01\xfd\x08\x05")), 0.02)
    assert master.next_event() is None
    master.receive(write_link_frame(LinkFrame(0x28, 1, b"\x78\x01\xfd\x08\x05")), 0.03)
    event = master.next_event()
    assert event.address == 1
    assert event.access_demand


def test_a_slave_that_repeats_a_page_for_ever_is_left():
    master = MbusMaster()
    master.read(1, 0.0)
    for _ in range(2):
        assert master.octets_to_send()
        master.receive(write_link_frame(LinkFrame(0x08, 1, b"\x78\x01\xfd\x08\x05\x1f")), 0.0)
    event = master.next_event()
    assert not event.is_complete
    assert len(event.messages) == 1


def test_a_slave_that_never_ends_is_left_after_a_bounded_number_of_pages():
    master = MbusMaster()
    master.read(1, 0.0)
    for page in range(MAX_PAGES):
        assert master.octets_to_send()
        master.receive(write_link_frame(LinkFrame(0x08, 1, b"\x78\x01\xfd\x08" + bytes((page, 0x1F)))), 0.0)
    event = master.next_event()
    assert not event.is_complete
    assert len(event.messages) == MAX_PAGES


def test_selection_by_secondary_address_reads_only_the_one_meant():
    slaves = [slave(0, "11111111"), slave(0, "22222222", [volume("5")])]
    segment = Segment(MbusMaster(), slaves)
    segment.master.select(Selection(bytes.fromhex("222222 22FFFFFFFF".replace(" ", ""))), 0.0)
    segment.master.read(253, 0.0)
    segment.master.initialise(253, 0.0)
    selected, read, _ = segment.run()
    assert isinstance(selected, Acknowledged)
    assert values(read) == [Decimal(5)]
    assert not any(one.is_selected for one in slaves)
    assert segment.sent[0][4] == 0x53


def test_a_search_finds_every_device_also_with_hexadecimal_digits():
    numbers = ["12345678", "12345679", "1A345678", "99999999", "C0000001"]
    segment = Segment(MbusMaster(LineSettings(retries=0)), [slave(0, number) for number in numbers])
    segment.master.search(0.0)
    events = segment.run()
    assert sorted(event.address.id for event in events if isinstance(event, Found)) == numbers
    assert len(events[-1].found) == len(numbers)


def test_two_devices_of_one_number_are_a_collision():
    slaves = [slave(0, "12345678"), slave(0, "12345678", [volume("5")])]
    segment = Segment(MbusMaster(LineSettings(retries=0, hex_digits=False)), slaves)
    segment.master.search(0.0, "1234567")
    events = segment.run()
    assert Collision("12345678") in events
    assert events[-1] == SearchFinished(())


def test_a_search_cannot_be_started_twice_or_with_no_number():
    master = MbusMaster()
    with pytest.raises(ValueError, match="beginning"):
        master.search(0.0, "XYZ")
    master.search(0.0)
    with pytest.raises(ValueError, match="under way"):
        master.search(0.0)


def test_a_slave_is_given_an_address_a_baud_rate_and_data():
    one = slave(0)
    segment = Segment(MbusMaster(), [one])
    segment.master.send(0, bytes.fromhex("51017A09"), 0.0)
    segment.master.send(9, bytes.fromhex("BD"), 0.0)
    segment.master.send(9, bytes.fromhex("5104130000"), 0.0)
    segment.master.send(9, bytes.fromhex("50"), 0.0)
    assert all(isinstance(event, Acknowledged) for event in segment.run())
    assert [one.next_event() for _ in range(4)] == [
        AddressSet(9),
        BaudRateSet(9600),
        DataReceived(bytes.fromhex("5104130000")),
        None,
    ]


def test_a_repeated_command_is_acknowledged_and_done_once():
    one = slave(1)
    command = write_link_frame(LinkFrame(0x73, 1, bytes.fromhex("5104130000")))
    for _ in range(2):
        one.receive(command, 0.0)
        one.advance(1.0)
        assert one.octets_to_send() == E5
    assert one.next_event() is not None
    assert one.next_event() is None


def test_a_broadcast_is_done_and_not_answered():
    one = slave(1)
    segment = Segment(MbusMaster(), [one])
    segment.master.send(255, bytes.fromhex("BB"), 0.0)
    (event,) = segment.run()
    assert isinstance(event, Acknowledged)
    assert one.next_event() == BaudRateSet(2400)
    assert one.octets_to_send() == b""


def test_the_slave_keeps_silent_for_eleven_bit_times():
    one = slave(1)
    one.receive(bytes.fromhex("105B015C16"), 5.0)
    assert one.octets_to_send() == b""
    assert one.deadline() == pytest.approx(5.0 + 11 / 2400)
    one.advance(one.deadline())
    assert read_link_frame(one.octets_to_send()).ci == 0x72


def test_an_alarm_request_of_a_slave_without_alarms_is_acknowledged():
    one = slave(1)
    one.receive(bytes.fromhex("105A015B16"), 0.0)
    one.advance(1.0)
    assert one.octets_to_send() == b"\xe5"


def test_the_slave_reads_octet_by_octet_and_drops_a_frame_that_was_left():
    one = slave(1)
    one.receive(b"\x68\x05\x05", 0.0)
    for index, octet in enumerate(bytes.fromhex("105B015C16")):
        one.receive(bytes((octet,)), 10.0 + index / 1000)
    one.advance(11.0)
    assert one.octets_to_send()


@pytest.mark.attack(2)
def test_of_more_octets_than_a_segment_carries_at_once_the_slave_answers_the_last_request():
    one, others = slave(1), bytes.fromhex("105B025D16")
    one.receive(others * 2_000 + bytes.fromhex("105B015C16"), 0.0)
    one.advance(1.0)
    assert read_link_frame(one.octets_to_send()).ci == 0x72
