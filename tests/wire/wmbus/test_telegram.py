"""Wireless telegrams layer by layer, fragments, and compact frames."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterspan.wire import ChecksumError, Cursor, Trace, UnsupportedError, WireError
from meterspan.wire.mbus import read_records, write_records
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.transport import HeaderKind, TransportHeader
from meterspan.wire.wmbus import (
    Afl,
    ExtendedLink,
    FormatStore,
    FragmentStore,
    FrameFormat,
    LinkHeader,
    expand_compact,
    format_of,
    read_format_frame,
    read_frame,
    write_compact,
    write_frame,
)
from meterspan.wire.wmbus.compact import MAX_FORMATS, format_signature
from meterspan.wire.wmbus.layers import read_afl, write_afl
from meterspan.wire.wmbus.telegram import MAX_FRAGMENTED_METERS

METER = DeviceAddress.of("MSP", "12345678", 0x01, 0x07)
OTHER = DeviceAddress.of("MSP", "87654321", 0x02, 0x31)
LINK = LinkHeader(0x44, METER)
NONE = TransportHeader(0x78)
SHORT = TransportHeader(0x7A, HeaderKind.SHORT, None, 0x2A, 0x00)
LONG = TransportHeader(0x72, HeaderKind.LONG, OTHER, 0x2A, 0x04)
DATA = bytes.fromhex("0413E8030000023BC800")
ELLS = [
    None,
    ExtendedLink(0x8C, 0x20, 7),
    ExtendedLink(0x8D, 0x20, 7, None, bytes.fromhex("00000000")),
    ExtendedLink(0x8E, 0x20, 7, OTHER),
    ExtendedLink(0x8F, 0x20, 7, OTHER, bytes.fromhex("10203000")),
]
AFL = Afl(0, 0x25, b"\x01\x02", 99, bytes(8), 40)


@pytest.mark.parametrize("form", list(FrameFormat))
@pytest.mark.parametrize("ell", ELLS)
@pytest.mark.parametrize("afl", [None, AFL])
@pytest.mark.parametrize("transport", [NONE, SHORT, LONG])
def test_every_combination_of_layers_reads_as_it_was_written(form, ell, afl, transport):
    octets = write_frame(LINK, transport, DATA, ell=ell, afl=afl, form=form)
    trace = Trace()
    frame = read_frame(octets, trace=trace)
    assert (frame.format, frame.link, frame.ell, frame.transport, frame.payload) == (form, LINK, ell, transport, DATA)
    assert frame.afl == (None if afl is None else replace(afl, fragment_control=0x3E00))
    assert frame.address == (OTHER if transport is LONG else METER)
    again = write_frame(frame.link, frame.transport, frame.payload, ell=frame.ell, afl=frame.afl, form=form)
    assert again == octets
    covered = b"".join(span.octets for span in trace.spans)
    assert len(covered) == frame.offset
    assert frame.message.endswith(DATA)


def test_a_frame_of_the_link_layer_alone_has_no_payload():
    frame = read_frame(write_frame(LINK, None, b""))
    assert frame.transport is None
    assert frame.payload == b""
    assert frame.ci is None


def test_an_encrypted_link_layer_stays_sealed():
    ell = ExtendedLink(0x8D, 0x20, 7, None, bytes.fromhex("00000020"))
    frame = read_frame(write_frame(LINK, None, b"", ell=ell, sealed=b"\x01\x02\x03\x04"))
    assert frame.sealed == b"\x01\x02\x03\x04"
    assert frame.transport is None


def test_a_wrong_payload_crc_is_told_where_nothing_is_encrypted():
    ell = ExtendedLink(0x8D, 0x20, 7, None, bytes(4))
    octets = write_frame(LINK, None, b"", ell=ell, sealed=b"\x01\x02\x78")
    with pytest.raises(ChecksumError):
        read_frame(octets)
    reserved = write_frame(LINK, None, b"", ell=replace(ell, session_number=b"\0\0\0\xe0"), sealed=b"\x01\x02\x78")
    with pytest.raises(UnsupportedError):
        read_frame(reserved)


@pytest.mark.parametrize("ci", [0x81, 0x86])
def test_layers_that_are_not_read_say_so(ci):
    with pytest.raises(UnsupportedError):
        read_frame(write_frame(LINK, TransportHeader(ci), b"\0\0\0"))


def test_an_afl_of_a_wrong_length_or_without_a_mac_size_is_refused():
    octets = write_frame(LINK, SHORT, DATA, afl=AFL)
    longer = bytearray(octets)
    longer[11] += 1
    with pytest.raises(WireError, match="left over"):
        read_frame(bytes(longer))
    unsized = write_frame(LINK, SHORT, DATA, afl=replace(AFL, message_control=0x21))
    with pytest.raises(WireError, match="MAC length"):
        read_frame(unsized)


def test_a_telegram_longer_than_a_frame_is_not_written():
    with pytest.raises(ValueError, match="do not fit one frame"):
        write_frame(LINK, NONE, bytes(250))


def fragment(number, part, *, more, meter=METER):
    afl = Afl((0x4000 if more else 0) | number, 0x25 if not more else None, b"", 7 if not more else None)
    return read_frame(write_frame(LinkHeader(0x44, meter), None, part, afl=afl))


def test_fragments_are_put_together_in_order():
    message = bytes.fromhex("7A2A000000") + DATA * 3
    store = FragmentStore()
    assert store.add(fragment(1, message[:10], more=True)) is None
    assert store.add(fragment(2, message[10:20], more=True)) is None
    whole = store.add(fragment(3, message[20:], more=False))
    assert whole.payload == DATA * 3
    assert whole.transport.access_number == 0x2A
    assert whole.message == message


def test_a_lost_fragment_loses_the_message_and_nothing_else():
    store = FragmentStore()
    assert store.add(fragment(1, b"\x78\x01", more=True)) is None
    assert store.add(fragment(3, b"\x02", more=False)) is None
    plain = read_frame(write_frame(LINK, NONE, DATA))
    assert store.add(plain) is plain


def test_fragments_of_many_meters_are_bounded():
    store = FragmentStore()
    for number in range(MAX_FRAGMENTED_METERS + 20):
        meter = DeviceAddress.of("MSP", f"{number:08d}", 1, 7)
        assert store.add(fragment(1, b"\x78", more=True, meter=meter)) is None
    assert len(store._parts) == MAX_FRAGMENTED_METERS


def test_a_compact_frame_expands_to_the_full_frame_that_taught_its_format():
    full = DATA + bytes.fromhex("0D1103414243") + bytes.fromhex("0F0102")
    records = read_records(b"\x2f\x2f" + full)
    compact = write_compact(records)
    store = FormatStore()
    with pytest.raises(UnsupportedError, match="no full frame has taught"):
        expand_compact(compact, store)
    store.learn(format_of(records))
    assert expand_compact(compact, store) == full
    assert expand_compact(b"\x2f\x2f" + compact, store) == full
    for size in range(len(compact) - 2):
        with pytest.raises(WireError):
            expand_compact(compact[:size], store)
    damaged = compact[:4] + bytes((compact[4] ^ 1,)) + compact[5:]
    with pytest.raises(ChecksumError):
        expand_compact(damaged, store)


def test_a_format_frame_teaches_a_format():
    headers = format_of(read_records(DATA))
    signature = format_signature(headers).to_bytes(2, "little")
    payload = bytes((len(headers) + 2,)) + signature + headers
    assert read_format_frame(payload) == headers
    with pytest.raises(ChecksumError):
        read_format_frame(payload[:-1] + bytes((payload[-1] ^ 1,)))


def test_a_format_store_survives_as_octets_and_is_bounded():
    store = FormatStore(bytes((4, number & 0x7F, 4, number >> 7)) for number in range(MAX_FORMATS + 5))
    assert len(store) == MAX_FORMATS
    again = FormatStore.from_bytes(store.to_bytes())
    assert again.to_bytes() == store.to_bytes()
    kept = bytes((4, 100, 4, 1))
    assert again.find(format_signature(kept)) == kept
    with pytest.raises(WireError):
        FormatStore.from_bytes(store.to_bytes()[:-1])


@settings(max_examples=300)
@given(
    st.binary(max_size=60), st.sampled_from(list(FrameFormat)), st.sampled_from([b"\x78", b"\x8c", b"\x8d", b"\x90"])
)
def test_any_octets_behind_the_link_layer_give_a_frame_or_a_wire_error(octets, form, ci):
    whole = write_frame(LINK, None, ci + octets, form=form)
    try:
        frame = read_frame(whole)
    except WireError:
        return
    assert frame.format == form
    records = read_records(frame.payload)
    assert write_records(records) == frame.payload


def test_every_truncation_of_the_layers_is_a_wire_error():
    octets = write_frame(LINK, LONG, DATA, ell=ELLS[4], afl=AFL)
    for size in range(11, len(octets)):
        with pytest.raises(WireError):  # the payload CRC covers all that follows it
            read_frame(bytes((size - 1,)) + octets[1:size])


def test_an_afl_writes_back():
    octets = write_afl(AFL)
    assert write_afl(read_afl(Cursor(octets))) == octets
