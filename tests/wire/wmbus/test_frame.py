"""Frame formats A and B of wireless M-Bus: guarded, checked, told apart."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.wire import ChecksumError, Trace, TruncatedError, WireError
from meterspan.wire.wmbus.frame import FrameFormat, frame_crc, pack_blocks, read_link, strip_blocks

HEAD = bytes.fromhex("44AD3578563412 0107".replace(" ", ""))
FORMATS = list(FrameFormat)


def frame(payload):
    return bytes((len(HEAD) + len(payload),)) + HEAD + payload


def test_the_crc_is_that_of_en_13757():
    assert frame_crc(b"123456789") == (0xC2B7).to_bytes(2, "big")


@given(st.binary(max_size=240), st.sampled_from(FORMATS), st.binary(max_size=8))
def test_a_frame_is_guarded_and_stripped_in_every_format(payload, form, trailing):
    whole = frame(payload)
    told, stripped, rest = strip_blocks(pack_blocks(whole, form) + trailing)
    assert stripped == whole
    assert rest == trailing
    assert told == form


def test_block_sizes_are_those_of_the_standard():
    whole = frame(bytes(range(200)))
    form_a, form_b = pack_blocks(whole, FrameFormat.A), pack_blocks(whole, FrameFormat.B)
    assert len(form_a) == 210 + 2 * (1 + 13)
    assert form_a[10:12] == frame_crc(form_a[:10])
    assert form_a[28:30] == frame_crc(form_a[12:28])
    assert len(form_b) == 210 + 2 * 2
    assert form_b[0] == 213
    assert form_b[126:128] == frame_crc(form_b[:126])
    assert form_b[-2:] == frame_crc(form_b[128:-2])


def test_a_frame_too_long_for_format_b_is_not_written():
    with pytest.raises(ValueError, match="format B"):
        pack_blocks(frame(bytes(246)), FrameFormat.B)


def test_every_bit_flip_behind_the_first_block_of_format_a_is_noticed():
    octets = pack_blocks(frame(bytes(30)), FrameFormat.A)
    for bit in range(8 * 12, 8 * len(octets)):
        damaged = bytearray(octets)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(ChecksumError):
            strip_blocks(bytes(damaged))


@pytest.mark.parametrize("form", FORMATS)
def test_every_truncation_is_a_wire_error(form):
    octets = pack_blocks(frame(bytes(range(30))), form)
    for size in range(len(octets)):
        with pytest.raises(WireError):
            strip_blocks(octets[:size])


def test_a_length_that_holds_no_header_is_refused():
    with pytest.raises(WireError, match="L field 5"):
        strip_blocks(b"\x05" + bytes(12))
    with pytest.raises(TruncatedError):
        strip_blocks(b"\x44" * 5)


def test_the_link_header_names_the_sender():
    trace = Trace()
    form, link, cursor, trailing = read_link(pack_blocks(frame(b"\x78"), FrameFormat.A) + b"\x55", trace=trace)
    assert (form, trailing, cursor.remaining) == (FrameFormat.A, b"\x55", 1)
    assert link.control == 0x44
    assert str(link.address) == "MMM-12345678-01-07"
    assert [span.field for span in trace.spans] == ["L field", "C field", "M and A field"]
    assert "SND_NR" in str(trace.spans[1])


@given(st.binary(max_size=300))
def test_any_octets_give_a_frame_or_a_wire_error(octets):
    try:
        form, stripped, rest = strip_blocks(octets)
    except WireError:
        return
    assert len(stripped) == stripped[0] + 1
    assert pack_blocks(stripped, form) + rest == octets
