"""BER elements: definite lengths, bounded tags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.wire import Cursor, WireError
from meterspan.wire.ber import Tlv, read_tlv, write_tlv


def read(octets):
    tag, inner = read_tlv(Cursor(octets), "field")
    return Tlv(tag, inner.rest("field"))


@pytest.mark.parametrize(
    ("text", "tag", "size"),
    [("8000", 0x80, 0), ("be0104", 0xBE, 1), ("5f1f0104", 0x5F1F, 1), ("bf81010104", 0xBF8101, 1)],
)
def test_tags_of_one_to_four_octets_are_read_and_written(text, tag, size):
    tlv = read(bytes.fromhex(text))
    assert (tlv.tag, len(tlv.octets)) == (tag, size)
    assert write_tlv(tlv.tag, tlv.octets).hex() == text


@given(st.binary(max_size=300))
def test_contents_of_any_size_come_back(octets):
    assert read(write_tlv(0x04, octets)) == Tlv(0x04, octets)


def test_long_forms_of_a_length_are_read():
    assert read(bytes.fromhex("04820001aa")) == Tlv(4, b"\xaa")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0480aa0000", "indefinite length"),
        ("0485000000000100", "length of 5 octets"),
        ("1f8181818101", "tag of more than 4 octets"),
        ("0402aa", "announces 2 octets, has 1"),
        ("0484ffffffff", "announces 4294967295 octets, has 0"),
        ("", "needs 1 octet"),
        ("04", "needs 1 octet"),
        ("1f", "needs 1 octet"),
    ],
)
def test_lies_and_truncations_are_wire_errors(text, reason):
    with pytest.raises(WireError, match=reason):
        read(bytes.fromhex(text))


def test_text_is_tag_and_hex():
    assert str(Tlv(0xA1, b"\x06\x00")) == "[A1] 0600"
