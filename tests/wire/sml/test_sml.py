"""SML: coding, transport frames and messages, both ways and damaged."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterspan.quantities import UNITS, Obis, Scaled
from meterspan.wire import ChecksumError, Cursor, TruncatedError, WireError
from meterspan.wire.sml import (
    END_OF_MESSAGE,
    Integer,
    SmlChecksum,
    SmlCloseResponse,
    SmlEntry,
    SmlFrame,
    SmlGetListResponse,
    SmlGetProfileListResponse,
    SmlMessage,
    SmlOpenResponse,
    SmlTag,
    SmlTime,
    SmlTimeKind,
    SmlUnknown,
    Tlv,
    find_frames,
    read_file,
    read_frame,
    read_tlv,
    write_file,
    write_frame,
    write_tlv,
)

SERVER = bytes.fromhex("0A01545354000000002A")
ENERGY = SmlEntry(
    bytes.fromhex("0100010800FF"), Integer(123_456_789, 8, signed=False), 30, -1, Integer(0x0182, 2, signed=False)
)
POWER = SmlEntry(bytes.fromhex("0100100700FF"), Integer(-1_500, 2, signed=True), 27, -1)
MAKER = SmlEntry(bytes.fromhex("0100603201FF"), b"TST")
MESSAGES = (
    SmlMessage(b"\x01\x02", SmlTag.OPEN_RESPONSE, SmlOpenResponse(b"\x00\x01", SERVER)),
    SmlMessage(
        b"\x01\x03",
        SmlTag.GET_LIST_RESPONSE,
        SmlGetListResponse(
            SERVER, (MAKER, ENERGY, POWER), b"", b"\x01\x00", SmlTime(SmlTimeKind.TIMESTAMP, 1_700_000_000)
        ),
    ),
    SmlMessage(b"\x01\x04", SmlTag.CLOSE_RESPONSE, SmlCloseResponse()),
)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("01", None),
        ("00", END_OF_MESSAGE),
        ("04414243", b"ABC"),
        ("4201", True),
        ("4200", False),
        ("52FF", Integer(-1, 1, signed=True)),
        ("53FF00", Integer(-256, 2, signed=True)),
        ("54FECBFD", Integer(-78_851, 3, signed=True)),
        ("6901020304050607FF", Integer(0x01020304050607FF, 8, signed=False)),
        ("72016207", (None, Integer(7, 1, signed=False))),
        ("8302" + "AA" * 48, b"\xaa" * 48),
    ],
)
def test_each_type_is_read_and_written_as_it_stood(text: str, value: Tlv) -> None:
    octets = bytes.fromhex(text)
    assert read_tlv(Cursor(octets)) == value
    assert write_tlv(value) == octets


def test_long_lists_and_strings_take_more_length_octets() -> None:
    for value in (tuple(Integer(n % 200, 1, signed=False) for n in range(300)), b"x" * 5_000):
        assert read_tlv(Cursor(write_tlv(value))) == value


@pytest.mark.parametrize("text", ["72", "7FFF", "8F8F8F8F8F01", "05AABB", "68", "3201", "FF" * 9])
def test_lies_about_length_are_wire_errors(text: str) -> None:
    with pytest.raises(WireError):
        read_tlv(Cursor(bytes.fromhex(text)))


def test_nesting_is_bounded() -> None:
    with pytest.raises(WireError, match="depth"):
        read_tlv(Cursor(b"\x71" * 5_000))


def test_a_list_response_gives_obis_unit_and_exact_value() -> None:
    messages = read_file(write_file(MESSAGES))
    assert messages == MESSAGES
    body = messages[1].body
    assert isinstance(body, SmlGetListResponse)
    assert body.entries[1].obis == Obis(1, 0, 1, 8, 0)
    assert body.entries[1].scaled == Scaled(123_456_789, -1, UNITS["Wh"])
    assert body.entries[2].scaled == Scaled(-1_500, -1, UNITS["W"])
    assert body.entries[0].scaled is None


def test_a_load_profile_line_and_unknown_messages_survive_a_round_trip() -> None:
    profile = SmlGetProfileListResponse(
        SERVER, (ENERGY_PERIOD,), SmlTime(1, 7), 900, (b"\x01\x02",), SmlTime(3, 9, 60, 60), 5
    )
    messages = (
        SmlMessage(b"\x01", SmlTag.GET_PROFILE_LIST_RESPONSE, profile),
        SmlMessage(b"\x02", 0xFF01, SmlUnknown((b"\x01", None, Integer(3, 1, signed=False)))),
    )
    assert read_file(write_file(messages)) == messages


ENERGY_PERIOD = SmlEntry(bytes.fromhex("0100011100FF"), Integer(40_508, 5, signed=True), 30, -1)


def test_a_bare_unsigned_in_place_of_a_time_is_a_second_index() -> None:
    body = (None, SERVER, None, Integer(77, 4, signed=False), (), None, None)
    message = SmlMessage(b"\x01", SmlTag.GET_LIST_RESPONSE, SmlUnknown(body))
    (read,) = read_file(write_file((message,)))
    assert isinstance(read.body, SmlGetListResponse)
    assert read.body.sensor_time == SmlTime(SmlTimeKind.SECOND_INDEX, 77)


def test_a_message_whose_crc_differs_says_so() -> None:
    octets = bytearray(write_file(MESSAGES[:1]))
    octets[3] ^= 0x01
    assert read_file(bytes(octets))[0].checksum is None


@pytest.mark.parametrize("checksum", list(SmlChecksum))
def test_both_crcs_of_the_field_are_taken_and_named(checksum: SmlChecksum) -> None:
    frame = read_frame(write_frame(write_file(MESSAGES), checksum=checksum))
    assert frame.checksum is checksum
    assert read_file(frame.file) == MESSAGES


def test_escapes_within_a_file_are_doubled_and_undone() -> None:
    file = b"\x05\x1b\x1b\x1b\x1b\x07" + b"\x1b" * 3
    assert read_frame(write_frame(file)).file == file


def test_every_file_of_a_capture_is_found_and_damage_is_named_between_them() -> None:
    good = write_frame(write_file(MESSAGES))
    bad = bytearray(good)
    bad[30] ^= 0x10
    found = list(find_frames(b"noise" + good + bytes(bad) + good[:50] + good))
    kinds = [type(item).__name__ for _, item in found]
    assert kinds == ["SmlFrame", "ChecksumError", "WireError", "SmlFrame"]
    assert found[0][0] == 5


def test_a_frame_cut_anywhere_is_truncated() -> None:
    frame = write_frame(write_file(MESSAGES))
    for size in range(8, len(frame)):
        with pytest.raises((TruncatedError, ChecksumError)):
            read_frame(frame[:size])


def test_every_bit_flip_of_a_frame_is_a_wire_error() -> None:
    frame = write_frame(write_file(MESSAGES))
    for place in range(len(frame)):
        for bit in range(8):
            flipped = bytearray(frame)
            flipped[place] ^= 1 << bit
            with pytest.raises(WireError):
                read_frame(bytes(flipped))


def test_random_files_are_read_or_refused() -> None:
    rng = random.Random(11)  # noqa: S311 - seeded noise
    good = write_file(MESSAGES)
    for _ in range(500):
        octets = bytearray(good)
        for _ in range(rng.randrange(1, 4)):
            octets[rng.randrange(len(octets))] = rng.randrange(256)
        try:
            read_file(bytes(octets))
        except WireError:
            continue


tlvs: st.SearchStrategy[Tlv] = st.recursive(
    st.none()
    | st.booleans()
    | st.binary(min_size=1, max_size=40)
    | st.integers(0, 0x7F).map(lambda value: Integer(value, 1, signed=False))
    | st.integers(-(1 << 63), (1 << 63) - 1).map(lambda value: Integer(value, 8, signed=True)),
    lambda inner: st.lists(inner, max_size=20).map(tuple),
    max_leaves=40,
)


@settings(max_examples=100, deadline=None)
@given(tlvs)
def test_any_value_survives_a_round_trip(value: Tlv) -> None:
    assert read_tlv(Cursor(write_tlv(value))) == value


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200))
def test_any_octets_give_messages_or_a_wire_error(octets: bytes) -> None:
    for candidate in (octets, b"\x76" + octets):
        try:
            read_file(candidate)
        except WireError:
            continue
    assert all(isinstance(item, SmlFrame | WireError) for _, item in find_frames(b"\x1b" * 4 + b"\x01" * 4 + octets))


octet_names = st.binary(min_size=6, max_size=6)
integers = st.tuples(st.integers(-(1 << 31), (1 << 31) - 1)).map(lambda value: Integer(value[0], 4, signed=True))
entries = st.builds(
    SmlEntry, octet_names, integers | st.binary(min_size=1, max_size=30), st.none() | st.integers(0, 255), st.just(0)
)
lists = st.builds(SmlGetListResponse, st.binary(min_size=1, max_size=10), st.lists(entries, max_size=20).map(tuple))
messages = st.builds(
    SmlMessage,
    st.binary(min_size=1, max_size=8),
    st.just(int(SmlTag.GET_LIST_RESPONSE)),
    lists,
    st.integers(0, 255),
    st.integers(0, 255),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(messages, min_size=1, max_size=4).map(tuple), st.sampled_from(list(SmlChecksum)))
def test_any_messages_survive_file_and_frame(written: tuple[SmlMessage, ...], checksum: SmlChecksum) -> None:
    frame = read_frame(write_frame(write_file(written), checksum=checksum))
    assert read_file(frame.file) == written


def test_a_message_checksum_that_damage_made_negative_matches_nothing():
    octets = write_file([MESSAGES[0]])
    assert octets[-4] == 0x63
    (message,) = read_file(octets[:-4] + b"\x53\xb4\x58" + octets[-1:])
    assert message.checksum is None
