import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.wire import ChecksumError, Cursor, Trace, TruncatedError, UnsupportedError, WireError
from meterspan.wire.checksum import crc_16_x25
from meterspan.wire.hdlc import FrameKind, HdlcAddress, HdlcFrame, control_octet, read_frame, write_frame
from tests.strategies import hdlc_frames

SNRM = bytes.fromhex("7EA0070321930F017E")
SNRM_FRAME = HdlcFrame(HdlcAddress(1), HdlcAddress(16), 0x93)
I_FRAME = HdlcFrame(
    HdlcAddress(16), HdlcAddress(1, 17, 2), 0x30, bytes.fromhex("E6E700C401C1000600000001"), segmented=True
)


def test_a_snrm_without_information_reads_and_writes():
    assert read_frame(SNRM) == SNRM_FRAME
    assert write_frame(SNRM_FRAME) == SNRM
    assert read_frame(SNRM[1:-1]) == SNRM_FRAME
    assert str(SNRM_FRAME) == "16 -> 1 SNRM P/F"


def test_an_i_frame_has_a_header_check_and_both_numbers():
    octets = write_frame(I_FRAME)
    assert octets[1:3] == bytes([0xA8, len(octets) - 2])
    assert octets[7:9] == crc_16_x25(octets[1:7]).to_bytes(2, "little")
    frame = read_frame(octets)
    assert frame == I_FRAME
    assert (frame.kind, frame.send_number, frame.receive_number) == (FrameKind.INFORMATION, 0, 1)
    assert frame.poll_final
    assert frame.segmented
    assert str(frame) == "1/17 -> 16 I N(S)=0 N(R)=1 P/F segmented 12 octets"


@given(hdlc_frames())
def test_every_frame_survives_a_round_trip(frame):
    octets = write_frame(frame)
    assert read_frame(octets) == frame
    assert write_frame(read_frame(octets)) == octets


@pytest.mark.parametrize("frame", [SNRM_FRAME, I_FRAME])
def test_every_truncation_is_a_truncated_error(frame):
    octets = write_frame(frame)
    for size in range(len(octets)):
        with pytest.raises(TruncatedError):
            read_frame(octets[:size])


@pytest.mark.parametrize("frame", [SNRM_FRAME, I_FRAME])
def test_every_bit_flip_is_a_wire_error(frame):
    octets = write_frame(frame)
    for bit in range(8 * len(octets)):
        flipped = bytearray(octets)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(WireError):
            read_frame(bytes(flipped))


@given(st.one_of(st.binary(max_size=40), st.binary(max_size=40).map(lambda tail: b"\x7e\xa0\x09" + tail)))
def test_any_octets_give_a_frame_or_a_wire_error(octets):
    try:
        frame = read_frame(octets)
    except WireError:
        return
    assert isinstance(frame, HdlcFrame)


@given(st.binary(min_size=3, max_size=30), st.integers(0, 15), st.booleans())
def test_any_body_under_right_checks_gives_a_frame_or_a_wire_error(body, cut, has_hcs):
    """Checksums alone must not be what protects the reader."""
    head = (0xA000 | len(body) + 4 + 2 * has_hcs).to_bytes(2, "big") + body[:cut]
    octets = head + (crc_16_x25(head).to_bytes(2, "little") if has_hcs else b"") + body[cut:]
    octets += crc_16_x25(octets).to_bytes(2, "little")
    try:
        frame = read_frame(b"\x7e" + octets + b"\x7e")
    except WireError:
        return
    assert read_frame(write_frame(frame)) == frame


def test_the_error_names_check_offset_and_clause():
    octets = bytearray(write_frame(I_FRAME))
    octets[7] ^= 0xFF
    with pytest.raises(ChecksumError) as caught:
        read_frame(bytes(octets))
    assert (caught.value.field, caught.value.offset) == ("HCS", 7)
    assert "IEC 62056-46" in str(caught.value)
    with pytest.raises(UnsupportedError, match="type 9"):
        read_frame(bytes.fromhex("7E9007"))
    with pytest.raises(WireError, match="cannot be"):
        read_frame(bytes.fromhex("7EA006"))


def test_trailing_octets_are_refused_unless_a_cursor_asks_for_one_frame():
    with pytest.raises(WireError, match="left over"):
        read_frame(SNRM + b"\x00")
    cursor = Cursor(SNRM + SNRM)
    assert read_frame(cursor) == SNRM_FRAME
    assert read_frame(cursor) == SNRM_FRAME
    assert cursor.remaining == 0


def test_every_octet_of_a_frame_is_explained():
    trace = Trace()
    octets = write_frame(I_FRAME)
    read_frame(octets, trace=trace)
    assert b"".join(span.octets for span in trace.spans) == octets
    meanings = {span.field: span.meaning for span in trace.spans}
    assert meanings["source address"] == "1/17"
    assert meanings["control"] == "I N(S)=0 N(R)=1 P/F"
    assert meanings["HCS"] == "right"


@pytest.mark.parametrize(
    ("control", "short"),
    [
        (0x93, "SNRM"),
        (0x53, "DISC"),
        (0x73, "UA"),
        (0x1F, "DM"),
        (0x97, "FRMR"),
        (0x13, "UI"),
        (0x11, "RR"),
        (0x15, "RNR"),
        (0xF9, "REJ"),
        (0x10, "I"),
        (0xFE, "I"),
        (0x3F, "?"),
        (0xEF, "?"),
    ],
)
def test_each_control_octet_has_its_kind(control, short):
    frame = HdlcFrame(HdlcAddress(1), HdlcAddress(16), control)
    assert frame.kind.short == short
    assert read_frame(write_frame(frame)).control == control


@given(st.sampled_from(FrameKind), st.booleans(), st.integers(0, 7), st.integers(0, 7))
def test_control_octets_are_built_as_they_are_read(kind, poll_final, send_number, receive_number):
    try:
        control = control_octet(kind, poll_final=poll_final, send_number=send_number, receive_number=receive_number)
    except ValueError:
        assert kind is FrameKind.UNKNOWN or send_number or receive_number
        return
    frame = HdlcFrame(HdlcAddress(1), HdlcAddress(16), control)
    assert (frame.kind, frame.poll_final) == (kind, poll_final)
    assert (frame.send_number or 0, frame.receive_number or 0) == (send_number, receive_number)


def test_information_that_does_not_fit_cannot_be_written():
    with pytest.raises(ValueError, match="do not fit"):
        write_frame(HdlcFrame(HdlcAddress(1), HdlcAddress(16), 0x13, bytes(2040)))
