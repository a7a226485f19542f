import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterspan.wire import ChecksumError, TruncatedError
from meterspan.wire.damaged import Damaged
from meterspan.wire.hdlc import HdlcAddress, HdlcFrame, HdlcReader, reader, write_frame
from meterspan.wire.hdlc.frame import read_header_length
from meterspan.wire.hdlc.reader import DAMAGED_SIZE_MAX
from tests.strategies import hdlc_frames

FRAME = HdlcFrame(HdlcAddress(16), HdlcAddress(1, 17, 2), 0x30, bytes(range(0x70, 0x90)))
OTHER = HdlcFrame(HdlcAddress(16), HdlcAddress(1, 17, 2), 0x11)
FIRST, SECOND = write_frame(FRAME), write_frame(OTHER)


def read_all(octets, *, cut=None):
    reader = HdlcReader()
    size = cut or max(len(octets), 1)
    items = [item for at in range(0, len(octets), size) for item in reader.feed(octets[at : at + size])]
    return items + reader.flush()


@pytest.mark.parametrize("cut", [None, 1, 2, 7])
@pytest.mark.parametrize(
    "stream",
    [
        FIRST + SECOND,
        FIRST + SECOND[1:],
        b"\x7e\x7e\x7e" + FIRST + b"\x7e\x7e" + SECOND + b"\x7e",
    ],
    ids=["own flags", "shared flag", "flags as fill"],
)
def test_two_frames_come_out_however_they_are_cut(stream, cut):
    assert read_all(stream, cut=cut) == [FRAME, OTHER]


@pytest.mark.parametrize("cut", [None, 1])
def test_octets_between_frames_are_reported_in_their_place(cut):
    before, between, frame, after, other = read_all(
        b"/KFM5" + FIRST + b"\x00\xa0\x01" + FIRST + b"\r\n" + SECOND, cut=cut
    )[:5]
    assert (before.octets, between, frame.octets) == (b"/KFM5", FRAME, b"\x00\xa0\x01")
    assert (after, other.octets) == (FRAME, b"\r\n")


def test_a_damaged_length_does_not_swallow_the_next_frame():
    damaged = bytearray(FIRST)
    damaged[2] ^= 0x40
    reader = HdlcReader()
    items = reader.feed(bytes(damaged) + SECOND)
    assert isinstance(items[0], Damaged)
    assert isinstance(items[0].error, ChecksumError)
    assert items[-1] == OTHER
    assert reader.pending == 0


def test_every_bit_flip_of_one_frame_leaves_its_neighbours():
    for bit in range(8 * len(FIRST)):
        damaged = bytearray(FIRST)
        damaged[bit // 8] ^= 1 << bit % 8
        items = read_all(SECOND + bytes(damaged) + SECOND)
        frames = [item for item in items if isinstance(item, HdlcFrame)]
        if bit // 8 in {0, len(FIRST) - 1}:
            # A neighbour's flag stands in for the damaged one, so that nothing need be lost.
            assert frames in ([OTHER, FRAME, OTHER], [OTHER, OTHER])
        else:
            assert frames == [OTHER, OTHER]
        assert sum(isinstance(item, Damaged) for item in items) >= 1


@settings(max_examples=60)
@given(st.lists(st.one_of(hdlc_frames(40), st.binary(max_size=30)), max_size=6), st.integers(1, 50))
def test_no_octet_is_lost_and_no_good_frame_behind_a_flag_is_missed(parts, cut):
    stream = b"".join(write_frame(part) if isinstance(part, HdlcFrame) else part for part in parts)
    items = read_all(stream, cut=cut)
    assert [item for item in items if isinstance(item, HdlcFrame)] == [
        part for part in parts if isinstance(part, HdlcFrame)
    ]
    noise = b"".join(part for part in parts if isinstance(part, bytes)).replace(b"\x7e", b"")
    damage = b"".join(item.octets for item in items if isinstance(item, Damaged)).replace(b"\x7e", b"")
    assert damage == noise


@given(st.binary(max_size=300), st.integers(1, 40))
def test_any_octets_give_the_same_items_whole_or_cut(octets, cut):
    def essence(items):
        return [item if isinstance(item, HdlcFrame) else item.octets for item in items]

    assert essence(read_all(octets, cut=cut)) == essence(read_all(octets))


def test_a_frame_cut_off_by_silence_is_damage_and_the_next_one_is_read():
    reader = HdlcReader()
    assert reader.feed(FIRST[:20]) == []
    assert reader.pending == 19
    (damaged,) = reader.flush()
    assert damaged.octets == FIRST[:20]
    assert isinstance(damaged.error, TruncatedError)
    assert reader.pending == 0
    assert reader.feed(FIRST) == [FRAME]


def test_memory_stays_bounded_under_noise():
    reader = HdlcReader()
    noise = bytes.fromhex("7EA7FF0321") * 40 + b"\x55" * 4000
    reported = 0
    for _ in range(50):
        reported += sum(len(item.octets) for item in reader.feed(noise))
        assert reader.pending <= 2 * DAMAGED_SIZE_MAX
    reported += sum(len(item.octets) for item in reader.flush())
    assert reported == 50 * len(noise)


class Plain(HdlcReader):
    """A reader that judges every flag in full: what the quick one must agree with."""

    __slots__ = ()

    def _next_flag(self, position):
        return self._buffer.find(0x7E, position)

    def _is_frame_right(self, start, end):
        return True


@settings(max_examples=200)
@given(
    st.lists(
        st.one_of(
            hdlc_frames(40).map(write_frame),
            st.lists(st.sampled_from([0x7E, 0xA0, 0xA1, 0xA7, 0x07, 0x01, 0x02, 0x03, 0x93]), max_size=60).map(bytes),
            st.binary(max_size=30),
        ),
        max_size=8,
    ),
    st.integers(1, 80),
)
@pytest.mark.attack(2)
@pytest.mark.finding("security low-13")
def test_a_quick_look_at_damage_finds_what_a_full_one_does(parts, cut):
    stream = b"".join(parts)
    quick, plain = HdlcReader(), Plain()
    for at in range(0, len(stream), cut):
        assert octets_of(quick.feed(stream[at : at + cut])) == octets_of(plain.feed(stream[at : at + cut]))
    assert octets_of(quick.flush()) == octets_of(plain.flush())


def octets_of(items):
    return [item if isinstance(item, HdlcFrame) else item.octets for item in items]


@pytest.mark.parametrize(
    "pattern", ["7EA0", "7EA1", "7EA77E", "7EA07E01", "7EA00A030393", "7EA7FF0101", "7EA7FF010110"]
)
def test_a_stream_full_of_flags_is_judged_in_full_at_its_end_only(pattern, monkeypatch):
    judged = []
    monkeypatch.setattr(reader, "read_header_length", lambda octets: judged.append(1) or read_header_length(octets))
    octets = bytes.fromhex(pattern) * 2_000
    assert not any(isinstance(item, HdlcFrame) for item in HdlcReader().feed(octets))
    assert len(judged) < 20
