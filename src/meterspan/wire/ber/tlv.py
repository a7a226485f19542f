"""BER tag, length, value (ITU-T X.690, 8.1) as ACSE needs it: definite lengths only, tags of up to four octets.

A tag is the number of its octets as they stand (0xA1, 0x5F1F), so that class, form and number read as in the standard's
examples. Lengths that are longer than need be are read and written short.
"""

from dataclasses import dataclass

from meterspan.wire.cursor import Cursor
from meterspan.wire.errors import WireError
from meterspan.wire.length import read_length, write_length

__all__ = ["Tlv", "read_tag", "read_tlv", "write_tlv"]

CLAUSE = "ITU-T X.690, 8.1"
MAX_TAG_OCTETS = 4
"""Tag numbers above 2 097 151 stand in no standard of metering."""
LONG_TAG = 0x1F


@dataclass(frozen=True, slots=True)
class Tlv:
    """One element: its tag and the octets of its contents."""

    tag: int
    octets: bytes

    def __str__(self) -> str:
        """Write tag and contents in hex."""
        return f"[{self.tag:02X}] {self.octets.hex()}"


def read_tag(cursor: Cursor, name: str) -> int:
    """Read the identifier octets.

    Raises:
        WireError: truncated, or a tag of more than four octets.

    """
    position = cursor.position
    tag = cursor.u8(f"{name} tag")
    if tag & LONG_TAG != LONG_TAG:
        if cursor.trace is not None:
            cursor.explain(f"{tag:#04x}")
        return tag
    for _ in range(MAX_TAG_OCTETS - 1):
        octet = cursor.u8(f"{name} tag")
        tag = tag << 8 | octet
        if not octet & 0x80:
            return tag
    raise WireError(f"tag of more than {MAX_TAG_OCTETS} octets", position, name, CLAUSE)


def read_tlv(cursor: Cursor, name: str) -> tuple[int, Cursor]:
    """Read tag and length, and give the contents as a cursor of their own.

    Raises:
        WireError: truncated, an indefinite length, or contents that run past the end.

    """
    tag = read_tag(cursor, name)
    return tag, cursor.sub(read_length(cursor, f"{name} length", CLAUSE), name)


def write_tlv(tag: int, octets: bytes) -> bytes:
    """Write one element."""
    return tag.to_bytes((tag.bit_length() + 7) // 8 or 1, "big") + write_length(len(octets)) + octets
