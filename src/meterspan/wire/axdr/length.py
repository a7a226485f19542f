"""A-XDR octet strings of variable size, and presence flags (IEC 61334-6, 6.5 to 6.11)."""

from meterspan.wire.cursor import Cursor
from meterspan.wire.length import read_length, write_length

__all__ = ["read_flag", "read_octets", "write_octets"]


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
