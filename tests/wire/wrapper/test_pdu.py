import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.wire import Cursor, Trace, TruncatedError, UnsupportedError, WireError
from meterspan.wire.wrapper import WrapperPdu, read_datagram, read_wpdu, write_wpdu
from meterspan.wire.wrapper.reader import DATAGRAM_PDUS_MAX
from tests.strategies import wrapper_ports

OCTETS = bytes.fromhex("0001 0010 0001 0005 C001C10008")
WPDU = WrapperPdu(16, 1, bytes.fromhex("C001C10008"))


def test_a_pdu_reads_and_writes():
    assert read_wpdu(OCTETS) == WPDU
    assert write_wpdu(WPDU) == OCTETS
    assert str(WPDU) == "16 -> 1 5 octets"


@given(st.builds(WrapperPdu, wrapper_ports, wrapper_ports, st.binary(max_size=300)))
def test_every_pdu_survives_a_round_trip(wpdu):
    assert read_wpdu(write_wpdu(wpdu)) == wpdu


def test_every_truncation_is_a_truncated_error():
    for size in range(len(OCTETS)):
        with pytest.raises(TruncatedError):
            read_wpdu(OCTETS[:size])


def test_every_bit_flip_gives_another_pdu_or_a_wire_error():
    for bit in range(8 * len(OCTETS)):
        flipped = bytearray(OCTETS)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            wpdu = read_wpdu(bytes(flipped))
        except WireError:
            assert bit // 8 in {0, 1, 6, 7}
        else:
            assert wpdu != WPDU
            assert write_wpdu(wpdu) == flipped


@given(st.binary(max_size=40))
def test_any_octets_give_a_pdu_or_a_wire_error(octets):
    try:
        wpdu = read_wpdu(octets)
    except WireError:
        return
    assert write_wpdu(wpdu) == octets


def test_another_version_is_named():
    with pytest.raises(UnsupportedError, match="version 0002 is not 0001") as caught:
        read_wpdu(b"\x00\x02" + OCTETS[2:])
    assert (caught.value.offset, caught.value.field) == (0, "version")


def test_what_does_not_fit_the_header_cannot_be_written():
    with pytest.raises(ValueError, match="does not fit the wrapper"):
        write_wpdu(WrapperPdu(1, 1, bytes(0x10000)))
    with pytest.raises(ValueError, match="sixteen bits"):
        write_wpdu(WrapperPdu(0x10000, 1, b""))


def test_every_field_is_explained():
    trace = Trace()
    read_wpdu(OCTETS, trace=trace)
    assert [span.field for span in trace.spans] == ["version", "source wPort", "destination wPort", "length", "APDU"]
    assert read_wpdu(Cursor(OCTETS + b"more")) == WPDU


def test_a_datagram_holds_one_pdu_or_several():
    assert read_datagram(OCTETS) == [WPDU]
    assert read_datagram(OCTETS * 3) == [WPDU] * 3


@pytest.mark.parametrize("octets", [b"", OCTETS + b"\x00", OCTETS[:-1], OCTETS * (DATAGRAM_PDUS_MAX + 1)])
def test_a_datagram_with_anything_else_is_refused_as_a_whole(octets):
    with pytest.raises(WireError):
        read_datagram(octets)
