"""Every octet of a frame is explained once and in order, by its place in the input, whatever carried it."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.readings import Decoder
from meterspan.readings.explained import NEW_SECTION, NOT_READ, Pieces, explain_section
from meterspan.wire import Span, Trace
from meterspan.wire.axdr import array, double_long_unsigned, enum, integer, octet_string, structure
from meterspan.wire.hdlc import HdlcAddress, HdlcFrame, write_frame
from meterspan.wire.mbus.link import LinkFrame, write_link_frame
from meterspan.wire.wrapper import WrapperPdu, write_wpdu
from meterspan.wire.xdlms import DataNotification, LongInvokeIdAndPriority, write_apdu
from tests.readings.test_damage import SEEDS, sml

pytestmark = pytest.mark.attack(11)

ROW = structure(
    octet_string(bytes.fromhex("0100010700FF")), double_long_unsigned(280), structure(integer(-1), enum(27))
)
WIRED = write_link_frame(
    LinkFrame(0x08, 5, bytes.fromhex("72 78563412 2434 01 07 55 00 0000 8C10 13 67452301 02FD 48 E608"))
)
PUSH = write_apdu(DataNotification(LongInvokeIdAndPriority(1), array(ROW, ROW)))


def explained(frame, **options):
    trace = Trace()
    Decoder(insecure=True).decode(frame, trace=trace, **options)
    return trace.spans


def sections(spans):
    parts = [[]]
    for span in spans:
        if span.field == NEW_SECTION and not span.octets:
            parts.append([])
        else:
            parts[-1].append(span)
    return parts


def covers(spans, octets):
    """Whether spans are octets at their places, one after the other, without overlap."""
    at = 0
    for span in spans:
        assert span.offset >= at, span
        assert octets[span.offset : span.offset + len(span.octets)] == span.octets, span
        at = span.offset + len(span.octets)
    return True


def meanings(spans):
    return {(span.octets.hex(), span.meaning) for span in spans}


def segmented(apdu, size):
    llc, parts = b"\xe6\xe7\x00" + apdu, []
    while llc:
        parts.append(llc[:size])
        llc = llc[size:]
    return b"".join(
        write_frame(HdlcFrame(HdlcAddress(0x10), HdlcAddress(1), 0x13, part, segmented=part is not parts[-1]))
        for part in parts
    )


@pytest.mark.finding("users B3")
@given(st.integers(4, 60))
def test_an_apdu_in_hdlc_segments_is_explained_with_the_offsets_of_the_input(size):
    octets = segmented(PUSH, size)
    spans = explained(octets)
    assert covers(spans, octets)
    assert b"".join(span.octets for span in spans) == octets, "every octet, those of HDLC too"
    assert [span.field for span in spans].count("frame format") == -(-(len(PUSH) + 3) // size)


@pytest.mark.finding("users B7")
@pytest.mark.parametrize(
    "carry",
    [lambda apdu: apdu, lambda apdu: write_wpdu(WrapperPdu(1, 2, apdu)), lambda apdu: segmented(apdu, 200)],
    ids=["apdu", "wrapper", "hdlc"],
)
def test_codes_scalers_and_units_are_in_words(carry):
    octets = carry(PUSH)
    spans = explained(octets)
    assert b"".join(span.octets for span in spans) == octets
    said = meanings(spans)
    assert {
        ("0100010700ff", "0100010700ff (1-0:1.7.0) active power import"),
        ("1b", "27: unit W"),
        ("ff", "-1: scaler, times 10^-1"),
        ("00000118", "280, times 10^-1 W"),
        ("0f", "DataNotification"),
        ("00000001", "#1"),
    } <= said


def test_an_apdu_in_segments_of_mbus_is_explained_in_its_place():
    llc = b"\xe6\xe7\x00" + PUSH
    half = len(llc) // 2
    octets = b"".join(
        write_link_frame(LinkFrame(0x53, 0xFF, bytes((ci, 0x01, 0x67)) + part))
        for ci, part in ((0x00, llc[:half]), (0x11, llc[half:]))
    )
    spans = explained(octets)
    assert covers(spans, octets)
    assert b"".join(span.octets for span in spans) == octets
    assert ("1b", "27: unit W") in meanings(spans)


@pytest.mark.parametrize("name", ["sml", "mbus"])
def test_every_octet_of_a_frame_is_explained_once(name):
    octets = {"sml": sml(), "mbus": WIRED}[name]
    (own, *_) = sections(explained(octets))
    assert covers(own, octets)
    assert b"".join(span.octets for span in own) == octets


@given(st.sampled_from([*SEEDS, WIRED, segmented(PUSH, 20)]), st.integers(0, 2_000), st.integers(0, 255))
def test_the_explanation_of_a_damaged_frame_stays_in_order(seed, place, value):
    octets = bytearray(seed)
    octets[place % len(octets)] = value
    for section in sections(explained(bytes(octets))):
        assert all(first.offset + len(first.octets) <= then.offset for first, then in pairwise(section))


def test_a_container_gives_way_to_what_it_contains_and_keeps_what_nobody_read():
    spans = [Span(0, b"abcdef", "information", "whole"), Span(0, b"ab", "LLC", ""), Span(3, b"d", "tag", "")]
    assert [(span.offset, span.octets, span.field) for span in explain_section(spans)] == [
        (0, b"ab", "LLC"),
        (2, b"c", f"information, {NOT_READ}"),
        (3, b"d", "tag"),
        (4, b"ef", f"information, {NOT_READ}"),
    ]


@given(st.lists(st.tuples(st.integers(1, 9), st.integers(0, 5)), min_size=1), st.data())
def test_a_message_in_pieces_is_placed_octet_by_octet(parts, data):
    pieces, message, stream = Pieces(), b"", b""
    for size, gap in parts:
        octets = bytes((len(message) + n) % 251 for n in range(size))
        stream += b"\xff" * gap
        pieces.add(len(stream), size)
        stream, message = stream + octets, message + octets
    at = data.draw(st.integers(0, len(message) - 1))
    size = data.draw(st.integers(1, len(message) - at))
    placed = list(pieces.placed([Span(at, message[at : at + size], "field", "says")]))
    assert b"".join(span.octets for span in placed) == message[at : at + size]
    assert all(stream[span.offset : span.offset + len(span.octets)] == span.octets for span in placed)
    assert [span.meaning for span in placed] == ["says"] + [""] * (len(placed) - 1)


@pytest.mark.finding("users B7")
def test_each_octet_of_a_record_header_says_what_it_adds():
    said = [
        (span.field, span.octets.hex(), span.meaning) for span in explained(WIRED) if span.field[:3] in ("DIF", "VIF")
    ]
    assert said == [
        ("DIF", "8c", "8 digit BCD, instantaneous"),
        ("DIFE", "10", "tariff +1: storage 0, tariff 1, subunit 0"),
        ("VIF", "13", "volume, 10^-3 m3"),
        ("DIF", "02", "16 bit integer, instantaneous"),
        ("VIF", "fd", "table FD"),
        ("VIFE", "48", "voltage, 10^-1 V"),
    ]


@pytest.mark.finding("users B7")
def test_a_line_of_p1_has_its_name():
    telegram = b"/TST5\\2X\r\n\r\n1-0:1.8.1(000123.456*kWh)\r\n!\r\n"
    assert "active energy import: 123456 Wh" in {span.meaning for span in explained(telegram)}
