"""The kind of a frame by its octets alone."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.engine.mbus_security import Protection
from meterspan.readings import Decoder, Format, recognise
from meterspan.wire import UnsupportedError
from meterspan.wire.sml import Integer
from meterspan.wire.sml import write_frame as write_sml_frame
from meterspan.wire.wmbus.frame import FrameFormat
from tests.readings.frames import LLC, SELF_DESCRIBING, hdlc, notification, p1_text, sealed, sml_capture, wireless


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        ("7EA01E0100011012", Format.HDLC),
        ("0001000100100003", None),
        ("E6E7000F40000000", Format.DLMS),
        ("DB08", Format.DLMS),
        ("0F40000000", Format.DLMS),
        ("0209060100", Format.COSEM),
        ("68030368080172", Format.MBUS),
        ("760501", Format.SML_FILE),
        ("1B1B1B1B01010101", Format.SML),
        ("1044789A30373938", Format.WMBUS),
        ("E5", Format.MBUS),
        ("", None),
        ("FFFFFFFF", None),
    ],
)
def test_frames_are_recognised_by_their_first_octets_or_refused(start: str, kind: Format | None) -> None:
    octets = bytes.fromhex(start)
    octets += bytes(12) if kind in {Format.HDLC, Format.WMBUS} else b""
    if kind is not None:
        assert recognise(octets) is kind
    else:
        with pytest.raises(UnsupportedError):
            recognise(octets)


@pytest.mark.parametrize(
    ("octets", "kind"),
    [
        (p1_text(), Format.P1),
        (b"1-0:1.8.1(000001.500*kWh)", Format.P1_LINES),
        (write_sml_frame(sml_capture(Integer(1, 2, signed=True))), Format.SML),
        (sml_capture(Integer(1, 2, signed=True)), Format.SML_FILE),
        (hdlc(LLC + notification(SELF_DESCRIBING)), Format.HDLC),
        (hdlc(LLC + notification(SELF_DESCRIBING))[1:-1], Format.HDLC),
        (sealed(notification(SELF_DESCRIBING)), Format.DLMS),
        (wireless(Protection()), Format.WMBUS),
        (wireless(Protection(), form=FrameFormat.STRIPPED), Format.WMBUS),
    ],
)
def test_a_whole_frame_is_recognised_also_with_noise_behind_it(octets: bytes, kind: Format) -> None:
    assert recognise(octets) is kind
    if kind in {Format.P1, Format.P1_LINES, Format.SML, Format.SML_FILE}:
        assert recognise(octets + b"\x00\xff") is kind


@given(st.binary(max_size=80))
def test_any_octets_have_a_kind_or_are_refused_with_their_first_octets(octets: bytes) -> None:
    try:
        assert recognise(octets) in Format
    except UnsupportedError as error:
        assert octets[:8].hex(" ").upper() in str(error) or not octets  # noqa: PT017 (the other outcome is lawful too)


@pytest.mark.finding("users B10")
@pytest.mark.parametrize(
    "octets", [b"\x7e", b"", b"\xff" * 40, bytes.fromhex("db084d5350000000000115300000000101020304")]
)
def test_a_sentence_about_octets_does_not_end_in_a_field_that_says_nothing(octets):
    error = Decoder().decode(octets).error
    assert error
    assert not error.endswith((" in key", " in start", " in tag"))
