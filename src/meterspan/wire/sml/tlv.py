"""SML's type-length-value coding (SML 1.04, 6.2): octets to plain values and back, sizes kept.

Layout of the type-length octet: bit 7 more length octets follow, bits 6..4 the type (0 octet string, 4 boolean,
5 signed, 6 unsigned, 7 list), bits 3..0 the length; it counts the type-length octets too, except for lists, where it
counts elements. 0x01 is an optional field that is not there; 0x00 ends a message.
"""

from dataclasses import dataclass
from typing import TypeAlias

from meterspan.wire.cursor import Cursor
from meterspan.wire.errors import UnsupportedError, WireError

__all__ = ["END_OF_MESSAGE", "EndOfMessage", "Integer", "Tlv", "read_tlv", "write_tlv"]

MAX_DEPTH = 16  # the deepest message of the standard (a tree in a choice in a body) nests 9 lists
MAX_ELEMENTS = 8_192  # a list of a thousand values with eight elements each; longer ones are rejected as malformed
MAX_LENGTH_OCTETS = 4

OCTETS, BOOLEAN, SIGNED, UNSIGNED, LIST = 0, 4, 5, 6, 7
_CLAUSE = "SML 1.04, 6.2"


@dataclass(frozen=True, slots=True)
class Integer:
    """An integer with the size and sign that it has on the wire (DZG meters change the size as the value does)."""

    value: int
    size: int
    signed: bool


class EndOfMessage:
    """The octet 0x00 that ends a message."""

    __slots__ = ()

    def __repr__(self) -> str:
        """Write the name."""
        return "END_OF_MESSAGE"


END_OF_MESSAGE = EndOfMessage()

Tlv: TypeAlias = "bytes | bool | Integer | tuple[Tlv, ...] | EndOfMessage | None"
"""One value; None is an optional that is not there (on the wire the same as an empty octet string)."""


def read_tlv(cursor: Cursor, name: str = "value", depth: int = 0) -> Tlv:
    """Read one value with all it holds.

    Raises:
        WireError: the octets are no value, or nest deeper than ``MAX_DEPTH``.

    """
    start = cursor.position
    if cursor.peek() == b"\x00":
        cursor.u8("end of message")
        return END_OF_MESSAGE
    kind, length, head = _read_head(cursor, name)
    if kind == LIST:
        if depth >= MAX_DEPTH or length > MAX_ELEMENTS or length > cursor.remaining:
            raise WireError(f"list of {length} elements at depth {depth}", start, name, _CLAUSE)
        cursor.charge(1 + length, name)
        return tuple(read_tlv(cursor, name, depth + 1) for _ in range(length))
    size = length - head
    if size < 0:
        raise WireError(f"length {length} is shorter than its own {head} octets", start, name, _CLAUSE)
    if kind == OCTETS:
        return cursor.take(size, name) or None
    if kind == BOOLEAN and size == 1:
        return cursor.u8(name) != 0
    if kind in {SIGNED, UNSIGNED} and 1 <= size <= 8:
        return Integer(cursor.big(size, name, signed=kind == SIGNED), size, kind == SIGNED)
    raise UnsupportedError(f"type {kind} with {size} octets", start, name, _CLAUSE)


def write_tlv(value: Tlv) -> bytes:
    """Write one value with all it holds."""
    if value is None:
        return b"\x01"
    if isinstance(value, EndOfMessage):
        return b"\x00"
    if isinstance(value, bool):
        return b"\x42\x01" if value else b"\x42\x00"
    if isinstance(value, bytes):
        return _head(OCTETS, len(value), counts_itself=True) + value
    if isinstance(value, Integer):
        octets = value.value.to_bytes(value.size, "big", signed=value.signed)
        return _head(SIGNED if value.signed else UNSIGNED, value.size, counts_itself=True) + octets
    return _head(LIST, len(value), counts_itself=False) + b"".join(map(write_tlv, value))


def _read_head(cursor: Cursor, name: str) -> tuple[int, int, int]:
    """Read the type-length octets as (type, length, how many octets they are)."""
    octet = cursor.u8(name)
    kind, length, count = octet >> 4 & 0x07, octet & 0x0F, 1
    while octet & 0x80:
        if count == MAX_LENGTH_OCTETS:
            raise WireError(f"more than {MAX_LENGTH_OCTETS} length octets", cursor.position, name, _CLAUSE)
        octet = cursor.u8(name)
        length, count = length << 4 | octet & 0x0F, count + 1
    return kind, length, count


def _head(kind: int, size: int, *, counts_itself: bool) -> bytes:
    count = 1
    while size + (count if counts_itself else 0) >= 1 << 4 * count:
        count += 1
    length = size + (count if counts_itself else 0)
    nibbles = [length >> 4 * place & 0x0F for place in reversed(range(count))]
    octets = [kind << 4 | nibbles[0], *nibbles[1:]]
    return bytes(octet | 0x80 if index < count - 1 else octet for index, octet in enumerate(octets))
