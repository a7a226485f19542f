"""Length fields, the same in A-XDR (IEC 61334-6, 6.4) and BER (ITU-T X.690, 8.1.3).

Layout: one octet up to 127, else 0x81..0x84 and that many octets.

Lengths that are longer than need be are read (meters send them) and written short.
"""

from meterspan.wire.cursor import Cursor
from meterspan.wire.errors import WireError

__all__ = ["read_length", "write_length"]

CLAUSE = "IEC 61334-6, 6.4"
MAX_LENGTH_OCTETS = 4
"""A length of more octets would announce more than any APDU holds (the largest max-pdu-size is 65 535)."""


def read_length(cursor: Cursor, name: str = "length", clause: str = CLAUSE) -> int:
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
        raise WireError(f"length of {size} octets" if size else "indefinite length", position, name, clause)
    return cursor.big(size, name)


def write_length(length: int) -> bytes:
    """Write a length or an element count in its shortest form."""
    if length < 0x80:
        return bytes((length,))
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((0x80 | len(octets),)) + octets
