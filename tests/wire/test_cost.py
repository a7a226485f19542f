"""What a reader makes follows the octets that it is given, also for the worst message that its grammar allows.

A fuzzer that changes octets does not find these messages: they are built to hold as many values as possible. They are
as long as the longest APDU, and 1 MiB, the bound of what comes in blocks, in the deep tests.
The law is of counts, not of time: values made, also before a refusal, are at most ``LAW`` for each octet, and at most
``ELEMENTS_MAX`` in total.
"""

from collections.abc import Callable
from dataclasses import fields, is_dataclass

import pytest

from meterspan.wire import WireError
from meterspan.wire.acse import read_acse
from meterspan.wire.axdr import data as axdr_data
from meterspan.wire.axdr import read_data
from meterspan.wire.axdr.columns import read_columns
from meterspan.wire.cursor import ELEMENTS_MAX, ELEMENTS_PER_OCTET
from meterspan.wire.length import write_length
from meterspan.wire.mbus import read_records
from meterspan.wire.sml import find_frames, read_file
from meterspan.wire.sml.transport import ESCAPE, REREADS_MAX, START
from meterspan.wire.xdlms import read_apdu

SIZES = [0xFFFF, pytest.param(1 << 20, marks=pytest.mark.deep)]
LAW = 1 + ELEMENTS_PER_OCTET
"""One value for its own tag, and those that a compact-array may make without one."""
pytestmark = pytest.mark.attack(2)

BOMB = bytes.fromhex("13020201ffff00110101")  # compact-array of structure{array[65535] of null-data, unsigned}
FULL = bytes.fromhex("13020201001500110101")  # the same, with as many as the budget allows
NEST = b"\x01\x00\x01" * 23  # array[1] of array[1] of ...


def listed(size: int, item: bytes, tag: int = 1) -> bytes:
    """An array or structure of as many items as fit."""
    count = (size - 6) // len(item)
    return bytes((tag,)) + write_length(count) + item * count


def compact(description: bytes, contents: int) -> bytes:
    """A compact-array with so many octets of zeros."""
    return b"\x13" + description + write_length(contents) + bytes(contents)


VALUES = {
    "null-data in an array": lambda size: listed(size, b"\x00"),
    "empty structures": lambda size: listed(size, b"\x02\x00"),
    "arrays in arrays": lambda size: listed(size, b"\x01\x01" * 22 + b"\x01\x00"),
    "compact-arrays that make 65,537 values each": lambda size: listed(size, BOMB),
    "compact-arrays that use the budget up": lambda size: listed(size, FULL),
    "a compact-array with deep elements of one octet": lambda size: compact(NEST[:60] + b"\x11", size - 100),
    "a compact-array with three values an octet": lambda size: compact(b"\x02\x02\x11\x00", size - 100),
    "a compact-array of arrays beyond counting": lambda size: compact(
        b"\x02\x02" + b"\x01\xff\xff" * 20 + b"\x00\x11", size - 200
    ),
    "a compact-array with a description of 1 MiB": lambda size: compact(
        b"\x02" + write_length(size // 2) + bytes(size // 2), size // 2 - 100
    ),
    "descriptions without elements": lambda size: listed(size, b"\x13" + b"\x02\x30" + bytes(0x30) + b"\x00"),
}
APDUS = {
    "SET": b"\xc1\x01\xc1" + bytes.fromhex("0001000060010 0ff0200".replace(" ", "")),
    "SET by a list": b"\xc1\x04\xc1\x01" + bytes.fromhex("000100006001 00ff0200".replace(" ", "")) + b"\x01",
    "ACTION": b"\xc3\x01\xc1" + bytes.fromhex("0012000060010 0ff01".replace(" ", "")) + b"\x01",
    "GET with access parameters": b"\xc0\x01\xc1" + bytes.fromhex("00070100630100ff020101"),
    "an answer to GET": b"\xc4\x01\xc1\x00",
    "an answer to GET by a list": b"\xc4\x03\xc1\x01\x00",
    "an answer to ACTION": b"\xc7\x01\xc1\x00\x01\x00",
    "a notification": b"\x0f\x00\x00\x00\x01\x00",
    "an event": b"\xc2\x00" + bytes.fromhex("000100006001 00ff02".replace(" ", "")),
}
SML_HEAD = bytes.fromhex("7605000000016200620072630101")  # a message up to the content of its body
FLAT = {
    "SML: optional fields": (read_file, lambda size: SML_HEAD + (b"\xf1\x80\x80\x00" + b"\x01" * 4_096) * (size >> 12)),
    "SML: the longest list of optional fields": (
        read_file,
        lambda size: SML_HEAD + b"\xf2\x80\x80\x00" + b"\x01" * 8_192 + b"\x63\x00\x00\x00",
    ),
    "SML: lists of empty lists": (
        read_file,
        lambda size: SML_HEAD + b"\xf2\x80\x80\x00" + (b"\x7f" + b"\x70" * 15) * (size >> 4),
    ),
    "SML: lists in lists": (read_file, lambda size: SML_HEAD + b"\x71" * size),
    "SML: end marks": (read_file, bytes),
    "M-Bus: records without data": (read_records, lambda size: b"\x00\x13" * (size // 2)),
    "M-Bus: fillers": (read_records, lambda size: b"\x2f" * size),
    "ACSE: unknown fields": (
        read_acse,
        lambda size: b"\x60\x84" + (2 * (size // 2) + 11).to_bytes(4, "big") + LN_CONTEXT + b"\x9a\x00" * (size // 2),
    ),
}
LN_CONTEXT = bytes.fromhex("a109060760857405080101")


def count(value: object) -> int:
    """Count a result's values: every record, and every item of a tuple."""
    total, waiting = 0, [value]
    while waiting:
        item = waiting.pop()
        total += 1
        if isinstance(item, tuple):
            waiting.extend(item)
        elif is_dataclass(item):
            waiting.extend(inner for field in fields(item) if isinstance(inner := getattr(item, field.name), tuple))
    return total


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of A-XDR values made, in one cell; null-data is one object and is counted where it is read."""
    counted, real = [0], axdr_data.Data

    def counting(*args: object) -> axdr_data.Data:
        counted[0] += 1
        return real(*args)

    monkeypatch.setattr(axdr_data, "Data", counting)
    return counted


def outcome(read: Callable[[bytes], object], octets: bytes) -> object:
    try:
        return read(octets)
    except WireError:
        return None


@pytest.mark.finding("security C3", "dlms D1")
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", VALUES)
def test_the_values_of_a_message_follow_its_octets(name: str, size: int, made: list[int]) -> None:
    octets = VALUES[name](size)
    result = outcome(read_data, octets)
    assert made[0] <= min(LAW * len(octets), 1 + ELEMENTS_MAX)
    if result is not None:
        assert count(result) <= 2 * LAW * len(octets)  # a value and the tuple that holds its items


@pytest.mark.finding("security C3", "dlms D1")
@pytest.mark.parametrize("apdu", APDUS)
def test_a_bomb_in_any_apdu_is_refused_before_its_values_are_made(apdu: str, made: list[int]) -> None:
    octets = APDUS[apdu] + b"\x02\x14" + BOMB * 20
    with pytest.raises(WireError, match="values in"):
        read_apdu(octets)
    assert made[0] <= 2


@pytest.mark.parametrize("size", SIZES)
def test_a_profile_that_is_no_profile_costs_no_more_than_its_octets(size: int, made: list[int]) -> None:
    with pytest.raises(WireError):
        read_columns(listed(size, BOMB))
    assert made[0] <= LAW * size


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", FLAT)
def test_every_value_of_other_grammars_has_an_octet_of_its_own(name: str, size: int) -> None:
    read, build = FLAT[name]
    octets = build(size)
    result = outcome(read, octets)
    assert count(result) <= LAW * len(octets)


@pytest.mark.parametrize("size", SIZES)
def test_frames_within_damaged_frames_are_searched_for_within_a_bound(size: int) -> None:
    """A start sequence after an escape is a part of the frame around it, and may begin a frame of its own."""
    octets = START + (ESCAPE + START) * (size // 12)
    read_again = 0
    for start, frame in find_frames(octets):
        assert isinstance(frame, WireError)
        assert frame.offset is not None
        read_again += frame.offset - start
    assert read_again <= (REREADS_MAX + 2) * len(octets)
