"""APDUs in one line of text."""

import pytest
from hypothesis import given

from meterspan.wire.xdlms import Conformance, InitiateRequest, apdu_text, read_apdu
from tests.strategies import dlms_apdus


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (
            "c001c100030100010800ff0200",
            "get-request-normal, #1 high priority, class 3 1-0:1.8.0 attribute 2",
        ),
        (
            "c001c100070100630100ff020102020406000000010600000060120001120000",
            (
                "get-request-normal, #1 high priority, class 7 1-0:99.1.0 attribute 2, "
                "access (from-entry 1, to-entry 96, from-selected 1, to-selected 0)"
            ),
        ),
        ("c401c1000600000005", "get-response-normal, #1 high priority, double-long-unsigned 5"),
        ("c401410104", "get-response-normal, #1, result object-undefined"),
        ("c5054102000b", "set-response-with-list, #1, results [success; object-unavailable]"),
        (
            "d80106000000ff",
            ("exception-response, state service-not-allowed, service invocation-counter-error, invocation-counter 255"),
        ),
        (
            "c80630000000050a",
            (
                "ciphered-apdu, tag glo-get-request, content (security-control suite 0, authentication, encryption, "
                "invocation-counter 5, payload of 1 octets)"
            ),
        ),
        (
            "e0c10001000001aa",
            (
                "general-block-transfer, block-number 1, block-number-ack 0, block-data aa, "
                "last-block, streaming, window 1"
            ),
        ),
    ],
)
def test_an_apdu_is_told_in_the_words_of_the_standard(octets, text):
    assert apdu_text(read_apdu(bytes.fromhex(octets))) == text


def test_a_long_value_is_cut():
    octets = bytes.fromhex("c401c100") + b"\x09\x82\x40\x00" + bytes(0x4000)
    assert len(apdu_text(read_apdu(octets))) < 250
    assert "00" * 0x4000 in apdu_text(read_apdu(octets), whole=True)


def test_a_dedicated_key_is_counted_not_shown():
    text = apdu_text(InitiateRequest(Conformance.GET, 1024, bytes.fromhex("a1b2c3d4")))
    assert "dedicated-key of 4 octets" in text
    assert "a1b2" not in text


@given(dlms_apdus())
def test_every_apdu_has_a_text_of_one_bounded_line(apdu):
    text = apdu_text(apdu)
    assert text.partition(",")[0].replace("-", "").isalpha()
    assert len(text) < 2_000
