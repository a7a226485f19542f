"""The wrapper protocol data unit of IEC 62056-47, 6.3: version, source and destination wPort, length, APDU.

All four header fields have sixteen bits, most significant octet first. A wPort is the client SAP or the logical device.
"""

from dataclasses import dataclass
from typing import Final

from meterspan.wire.cursor import Cursor, Trace
from meterspan.wire.errors import UnsupportedError

__all__ = ["APDU_SIZE_LIMIT", "HEADER_SIZE", "VERSION", "WrapperPdu", "read_header", "read_wpdu", "write_wpdu"]

VERSION: Final = 0x0001
"""The only version there is (6.3.1)."""
HEADER_SIZE: Final = 8
APDU_SIZE_LIMIT: Final = 0xFFFF
"""Sixteen bits of length."""

_CLAUSE: Final = "IEC 62056-47, 6.3"


@dataclass(frozen=True, slots=True)
class WrapperPdu:
    """One APDU with its addresses.

    Attributes:
        source: wPort of the sender.
        destination: wPort of the receiver.
        apdu: the octets carried.

    """

    source: int
    destination: int
    apdu: bytes

    def __str__(self) -> str:
        return f"{self.source} -> {self.destination} {len(self.apdu)} octets"


def read_wpdu(octets: bytes | Cursor, *, trace: Trace | None = None) -> WrapperPdu:
    """Read one wrapper PDU.

    Raises:
        WireError: the version is another, octets are missing, or more follow where ``octets`` is no cursor.

    """
    if isinstance(octets, Cursor):
        return _read_wpdu(octets)
    cursor = Cursor(octets, trace=trace)
    wpdu = _read_wpdu(cursor)
    cursor.finish("after the APDU")
    return wpdu


def _read_wpdu(cursor: Cursor) -> WrapperPdu:
    source, destination, length = read_header(cursor)
    return WrapperPdu(source, destination, cursor.take(length, "APDU"))


def read_header(cursor: Cursor) -> tuple[int, int, int]:
    """Read the header: source wPort, destination wPort, length of the APDU in octets.

    Raises:
        WireError: the version is another, or octets are missing.

    """
    offset = cursor.position
    version = cursor.big(2, "version")
    if version != VERSION:
        raise UnsupportedError(f"wrapper version {version:04X} is not {VERSION:04X}", offset, "version", _CLAUSE)
    return cursor.big(2, "source wPort"), cursor.big(2, "destination wPort"), cursor.big(2, "length")


def write_wpdu(wpdu: WrapperPdu) -> bytes:
    """Write one wrapper PDU.

    Raises:
        ValueError: a port or the APDU's length does not fit sixteen bits.

    """
    if len(wpdu.apdu) > APDU_SIZE_LIMIT:
        raise ValueError(f"an APDU of {len(wpdu.apdu)} octets does not fit the wrapper")
    if not (0 <= wpdu.source <= 0xFFFF and 0 <= wpdu.destination <= 0xFFFF):
        raise ValueError(f"wPorts {wpdu.source}, {wpdu.destination} do not fit sixteen bits")
    fields = (VERSION, wpdu.source, wpdu.destination, len(wpdu.apdu))
    return b"".join(field.to_bytes(2, "big") for field in fields) + wpdu.apdu
