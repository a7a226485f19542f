"""A-XDR length fields (IEC 61334-6, 6.4): one octet up to 127, else 0x81..0x84 and that many octets.

Lengths that are longer than need be are read (meters send them) and written short.
"""

from meterspan.wire.cursor import Cursor
from meterspan.wire.errors import WireError

__all__ = ["read_flag", "read_length", "read_octets", "write_length", "write_octets"]

MAX_LENGTH_OCTETS = 4
"""A length of more octets would announce more than any APDU holds (the largest max-pdu-size is 65 535)."""


def read_length(cursor: Cursor, name: str = "length") -> int:
    """Read a length or an element count.

    Raises:
        WireError: truncated, the indefinite form, or more than four octets of length.

    """
    position = cursor.position
    first = cursor.u8(name)
    if first < 0x80:
        return first
    size = first & 0x7F
    if not 1 <= size <= MAX_LENGTH_OCTETS:
        raise WireError(f"length of {size} octets", position, name, "IEC 61334-6, 6.4")
    return cursor.big(size, name)


def write_length(length: int) -> bytes:
    """Write a length or an element count in its shortest form."""
    if length < 0x80:
        return bytes((length,))
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((0x80 | len(octets),)) + octets


def read_octets(cursor: Cursor, name: str) -> bytes:
    """Read an OCTET STRING of variable size: a length, then that many octets.

    Raises:
        WireError: truncated, or a bad length.

    """
    return cursor.take(read_length(cursor, f"{name} length"), name)


def write_octets(octets: bytes) -> bytes:
    """Write an OCTET STRING of variable size."""
    return write_length(len(octets)) + octets


def read_flag(cursor: Cursor, name: str) -> bool:
    """Read the presence flag of an OPTIONAL or DEFAULT component, or a BOOLEAN: 0 is no, all else is yes.

    Raises:
        WireError: truncated.

    """
    flag = cursor.u8(name) != 0
    if cursor.trace is not None:
        cursor.explain("yes" if flag else "no")
    return flag
