"""Security suites: the examples of IEC 62056-5-3 (Green Book, GET-request and initiate), NIST's vectors, and damage."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.crypto.suites import SUITES, SuiteKeys, protect, suite_of, unprotect, unprotect_insecurely
from meterspan.wire import KeyWrongError, TruncatedError, UnsupportedError, WireError

KEYS = SuiteKeys(bytes.fromhex("000102030405060708090A0B0C0D0E0F"), bytes.fromhex("D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF"))
TITLE = bytes.fromhex("4D4D4D0000BC614E")
COUNTER = 0x0123_4567
GET_REQUEST = bytes.fromhex("C0010000080000010000FF0200")
CONTROLS = (0x00, 0x10, 0x20, 0x30)

# IEC 62056-5-3, 5.7.2.4: the example of GET-request, by security control
EXAMPLES = {
    0x10: "C0010000080000010000FF020006725D910F9221D263877516",
    0x20: "411312FF935A47566827C467BC",
    0x30: "411312FF935A47566827C467BC7D825C3BE4A77C3FCC056B6B",
}


def sealed(plaintext, control, keys=KEYS):
    return protect(plaintext, control, system_title=TITLE, invocation_counter=COUNTER, keys=keys)


def opened(payload, control, *, title=TITLE, counter=COUNTER, keys=KEYS):
    return unprotect(payload, control, system_title=title, invocation_counter=counter, keys=keys)


@pytest.mark.parametrize("control", EXAMPLES)
def test_the_standards_get_request_is_protected_and_opened(control):
    payload = bytes.fromhex(EXAMPLES[control])
    assert sealed(GET_REQUEST, control) == payload
    assert opened(payload, control) == GET_REQUEST


def test_the_standards_initiate_request_is_protected():
    plaintext = bytes.fromhex("01011000112233445566778899AABBCCDDEEFF0000065F1F0400007E1F04B0")
    payload = bytes.fromhex("801302FF8A7874133D414CED25B42534D28DB0047720606B175BD52211BE6841DB204D39EE6FDB8E356855")
    assert sealed(plaintext, 0x30) == payload
    assert opened(payload, 0x30) == plaintext


def keys_of(suite):
    size = suite.key_size
    return SuiteKeys(bytes(range(size)), bytes(range(size, 2 * size)), suite)


@given(st.binary(max_size=300), st.sampled_from(CONTROLS), st.sampled_from(SUITES))
def test_what_any_suite_protects_opens_again(plaintext, control, suite):
    control |= suite.number
    payload = sealed(plaintext, control, keys_of(suite))
    assert opened(payload, control, keys=keys_of(suite)) == plaintext
    assert len(payload) == len(plaintext) + (suite.tag_size if control & 0x10 else 0)


def test_the_row_of_a_suite_is_found_by_its_number_and_unknown_ones_are_unsupported():
    assert [suite_of(row.number | 0x30) for row in SUITES] == list(SUITES)
    assert [(row.number, row.key_size, row.tag_size) for row in SUITES] == [(0, 16, 12), (1, 16, 12), (2, 32, 12)]
    for number in range(len(SUITES), 16):
        with pytest.raises(UnsupportedError, match=f"suite {number}"):
            suite_of(number)


def test_suite_2_ciphers_by_aes_256():
    # NIST SP 800-38D / McGrew and Viega, test case 15 without associated data: its first block and its key
    key = bytes.fromhex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")
    plain = bytes.fromhex("d9313225f88406e5a55909c5aff5269a")
    nonce = bytes.fromhex("cafebabefacedbaddecaf888")
    payload = protect(
        plain,
        0x22,
        system_title=nonce[:8],
        invocation_counter=int.from_bytes(nonce[8:], "big"),
        keys=SuiteKeys(key, b"", SUITES[2]),
    )
    assert payload.hex() == "522dc1f099567d07f47f37a32a84427d"


@given(st.binary(max_size=100), st.sampled_from(CONTROLS), st.sampled_from(SUITES))
def test_the_lenient_reading_gives_the_same_octets_without_the_authentication_key(plaintext, control, suite):
    control |= suite.number
    keys = keys_of(suite)
    assert leniently(sealed(plaintext, control, keys), control, keys.encryption) == plaintext


def leniently(payload, control, key=KEYS.encryption):
    return unprotect_insecurely(payload, control, system_title=TITLE, invocation_counter=COUNTER, encryption=key)


def test_the_lenient_reading_checks_no_tag_and_says_so_in_its_name():
    payload = bytearray(sealed(GET_REQUEST, 0x30))
    payload[-1] ^= 1
    assert leniently(bytes(payload), 0x30) == GET_REQUEST
    payload[0] ^= 1
    assert leniently(bytes(payload), 0x30) == bytes((GET_REQUEST[0] ^ 1,)) + GET_REQUEST[1:]


@given(st.binary(max_size=60), st.integers(0, 255), st.sampled_from([16, 32, 5]))
def test_any_payload_read_leniently_gives_octets_or_a_wire_error(payload, control, size):
    try:
        plaintext = leniently(payload, control, bytes(size))
    except WireError:
        return
    assert len(plaintext) == len(payload) - (12 if control & 0x10 else 0)


@pytest.mark.parametrize("control", [0x10, 0x30])
def test_every_bit_flip_of_an_authenticated_payload_is_noticed(control):
    payload = sealed(GET_REQUEST, control)
    for bit in range(8 * len(payload)):
        damaged = bytearray(payload)
        damaged[bit >> 3] ^= 1 << (bit & 7)
        with pytest.raises(KeyWrongError):
            opened(bytes(damaged), control)
    for size in range(len(payload)):
        with pytest.raises((KeyWrongError, TruncatedError)):
            opened(payload[:size], control)


@pytest.mark.parametrize(
    "other",
    [
        {"keys": SuiteKeys(bytes(16), KEYS.authentication)},
        {"keys": SuiteKeys(KEYS.encryption, bytes(16))},
        {"title": b"MSP\x00\x00\x00\x00\x01"},
        {"counter": COUNTER + 1},
    ],
    ids=["encryption key", "authentication key", "system title", "invocation counter"],
)
@pytest.mark.parametrize("control", [0x10, 0x30])
def test_another_key_title_or_counter_is_a_wrong_key(control, other):
    with pytest.raises(KeyWrongError) as caught:
        opened(sealed(GET_REQUEST, control), control, **other)
    assert caught.value.field == "tag"


def test_the_broadcast_bit_is_authenticated():
    with pytest.raises(KeyWrongError):
        opened(sealed(GET_REQUEST, 0x70), 0x30)
    assert opened(sealed(GET_REQUEST, 0x70), 0x70) == GET_REQUEST


def test_encryption_alone_cannot_tell_a_wrong_key():
    payload = sealed(GET_REQUEST, 0x20)
    assert opened(payload, 0x20, keys=SuiteKeys(bytes(16))) != GET_REQUEST
    assert len(opened(payload, 0x20, keys=SuiteKeys(bytes(16)))) == len(GET_REQUEST)


@pytest.mark.parametrize("control", [0x31, 0x32, 0xB0, 0x3F])
def test_other_suites_and_compression_are_unsupported_from_a_peer_and_refused_from_us(control):
    with pytest.raises(UnsupportedError) as caught:
        opened(bytes(30), control)
    assert caught.value.field == "security-control"
    with pytest.raises(ValueError, match="is not suite 0"):
        sealed(b"", control)


@given(st.binary(max_size=60), st.integers(0, 255))
def test_any_payload_gives_octets_or_a_wire_error(payload, control):
    try:
        plaintext = opened(payload, control)
    except WireError:
        return
    assert sealed(plaintext, control) == payload


def test_keys_are_not_shown_and_have_their_size():
    assert "00010203" not in repr(KEYS)
    assert repr(KEYS) == "SuiteKeys()"
    for sizes in ((15, 16), (16, 15), (32, 16)):
        with pytest.raises(ValueError, match="16 octets"):
            SuiteKeys(*map(bytes, sizes))


def test_our_own_mistakes_are_value_errors():
    encryption_only = SuiteKeys(KEYS.encryption)
    with pytest.raises(ValueError, match="authentication key"):
        sealed(b"", 0x30, encryption_only)
    with pytest.raises(ValueError, match="authentication key"):
        opened(bytes(12), 0x30, keys=encryption_only)
    with pytest.raises(ValueError, match="8 octets, not 7"):
        opened(bytes(12), 0x30, title=bytes(7))
    with pytest.raises(ValueError, match="outside 32 bits"):
        opened(bytes(12), 0x30, counter=2**32)


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: f"suite {suite.number}")
def test_every_suite_stands_in_the_documentation_as_the_table_has_it(suite):
    line = f"| {suite.number} | {suite.name} | {suite.key_size} | {suite.tag_size} |"
    assert line in (Path(__file__).parents[2] / "docs" / "cosem.md").read_text("utf-8").splitlines()
