"""The wired link layer: frames both ways, damage, and a stream in any cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.wire import ChecksumError, Cursor, Trace, TruncatedError, WireError
from meterspan.wire.mbus.link import (
    ACKNOWLEDGE,
    MAX_FRAME,
    SINGLE,
    START_LONG,
    START_SHORT,
    STOP,
    FrameReader,
    LinkFrame,
    read_link_frame,
    write_link_frame,
)

SHORT = LinkFrame(0x5B, 1)
LONG = LinkFrame(0x08, 1, bytes.fromhex("7801FD0805"))
VECTORS = [
    ("E5", ACKNOWLEDGE),
    ("105B015C16", SHORT),
    ("1040FE3E16", LinkFrame(0x40, 254)),
    ("680303685301 50A416".replace(" ", ""), LinkFrame(0x53, 1, b"\x50")),
    ("6807076808017801FD08058C16", LONG),
]


@pytest.mark.parametrize(("octets", "frame"), VECTORS)
def test_a_frame_reads_and_writes(octets, frame):
    assert read_link_frame(bytes.fromhex(octets)) == frame
    assert write_link_frame(frame) == bytes.fromhex(octets)


@pytest.mark.parametrize("octets", [vector[0] for vector in VECTORS])
def test_every_truncation_says_that_octets_are_missing(octets):
    whole = bytes.fromhex(octets)
    for size in range(len(whole)):
        with pytest.raises(TruncatedError):
            read_link_frame(whole[:size])


def test_every_bit_flip_of_a_long_frame_is_noticed_or_truncated():
    whole = write_link_frame(LONG)
    for bit in range(8 * len(whole)):
        octets = bytearray(whole)
        octets[bit // 8] ^= 1 << bit % 8
        try:
            frame = read_link_frame(bytes(octets))
        except WireError:
            continue
        assert frame != LONG


def test_a_wrong_checksum_is_told_with_its_place():
    with pytest.raises(ChecksumError) as caught:
        read_link_frame(bytes.fromhex("105B015D16"))
    assert caught.value.offset == 3


def test_control_bits_are_told_by_direction():
    assert LinkFrame(0x7B, 1).frame_count_bit
    assert LinkFrame(0x7B, 1).is_primary
    assert LinkFrame(0x28, 1, b"").access_demand
    assert not LinkFrame(0x7B, 1).access_demand
    assert ACKNOWLEDGE.function is None
    assert LONG.ci == 0x78
    assert str(ACKNOWLEDGE) == "E5"
    assert str(SHORT) == "short C=5B A=1"


def test_a_payload_that_is_too_long_is_not_written():
    with pytest.raises(ValueError, match="do not fit"):
        write_link_frame(LinkFrame(0x08, 1, bytes(254)))


def test_each_octet_of_a_frame_is_explained():
    trace = Trace()
    read_link_frame(Cursor(write_link_frame(SHORT), trace=trace))
    assert b"".join(span.octets for span in trace.spans) == write_link_frame(SHORT)


@given(st.lists(st.sampled_from([SHORT, LONG]), max_size=4), st.integers(1, 7))
def test_frames_in_any_cut_come_out_in_order(frames, cut):
    octets = b"".join(map(write_link_frame, frames))
    reader = FrameReader()
    found = [frame for at in range(0, len(octets), cut) for frame in reader.receive(octets[at : at + cut])]
    assert found == frames
    assert reader.skipped == 0


def test_noise_and_a_damaged_frame_are_skipped_and_counted():
    damaged = bytearray(write_link_frame(LONG))
    damaged[8] ^= 0x01
    reader = FrameReader()
    frames = list(reader.receive(b"\x00\xff" + bytes(damaged) + write_link_frame(SHORT)))
    assert frames[-1] == SHORT
    assert LONG not in frames
    assert reader.skipped >= 2


def test_a_frame_that_never_ends_is_dropped_by_reset():
    reader = FrameReader()
    assert list(reader.receive(write_link_frame(LONG)[:6])) == []
    assert reader.reset() == 6
    assert list(reader.receive(write_link_frame(SHORT))) == [SHORT]


@given(st.binary(max_size=600))
def test_random_octets_never_keep_more_than_a_frame(octets):
    reader = FrameReader()
    list(reader.receive(octets))
    assert reader.reset() <= 261


def frames_found_octet_by_octet(octets):
    """The frames of some octets, tried at each octet in turn; and how many octets belong to none."""
    at, skipped, frames = 0, 0, []
    while at < len(octets):
        cursor = Cursor(octets[at : at + MAX_FRAME])
        try:
            frames.append(read_link_frame(cursor))
        except TruncatedError:
            break
        except WireError:
            at, skipped = at + 1, skipped + 1
        else:
            at += cursor.offset
    return frames, skipped


PIECES = [
    *(bytes((octet,)) for octet in (SINGLE, START_SHORT, START_LONG, STOP)),
    *(b"\x03\x03", b"\x00", b"\x68\x05\x05\x68"),
    *(write_link_frame(SHORT), write_link_frame(LONG)),
]


@pytest.mark.attack(2)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join))
def test_no_frame_is_missed_by_looking_only_where_one_may_begin(octets):
    reader = FrameReader()
    assert (list(reader.receive(octets)), reader.skipped) == frames_found_octet_by_octet(octets)
