"""Frames in words: any octets have a line, and a story's frame has every range."""

import pytest

from meterspan.app.explaining import explain
from meterspan.wire.wrapper import WrapperPdu, write_wpdu


@pytest.mark.parametrize("protocol", ["wmbus", "dlms-wrapper", "dlms-hdlc", "p1", "something"])
@pytest.mark.parametrize("octets", [b"", b"\x00", b"\x7e\xa0", bytes(range(64))])
def test_octets_that_are_no_frame_are_explained_too(protocol, octets):
    summary, _ = explain(octets, protocol)
    assert summary


def test_a_frame_of_a_story_is_told_in_one_line_and_range_by_range():
    octets = write_wpdu(WrapperPdu(1, 1, bytes.fromhex("6203800100")))
    summary, spans = explain(octets, "dlms-wrapper")
    assert "RLRQ" in summary
    assert sum(len(bytes.fromhex(span.octets)) for span in spans) >= 8


@pytest.mark.finding("users A14")
@pytest.mark.parametrize(
    ("apdu", "meaning"),
    [("6303800100", ("reason", "normal")), ("D80105", ("service-error", "deciphering-error"))],
)
def test_a_release_and_an_exception_are_explained_to_their_last_octet(apdu, meaning):
    octets = write_wpdu(WrapperPdu(1, 1, bytes.fromhex(apdu)))
    _, spans = explain(octets, "dlms-wrapper")
    assert meaning in {(span.field, span.meaning) for span in spans}
    assert "".join(span.octets for span in spans).replace(" ", "") == octets.hex().upper()
