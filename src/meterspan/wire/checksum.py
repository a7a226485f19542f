"""The checks that metering frames carry, each by the standard's name; the CRCs run in C (``fastcrc``).

All functions return the check over the octets that it covers as an integer. The order of its two octets differs by
frame: HDLC sends the least significant one first, EN 13757-4 the most significant one.
"""

from collections.abc import Callable
from typing import Final

from fastcrc import crc16

__all__ = ["crc_16_arc", "crc_16_en_13757", "crc_16_kermit", "crc_16_x25", "sum_8"]

crc_16_x25: Final[Callable[[bytes], int]] = crc16.ibm_sdlc
"""FCS and HCS of HDLC, and SML's checksum: CRC-16/X-25 (ISO/IEC 13239, annex A)."""

crc_16_arc: Final[Callable[[bytes], int]] = crc16.arc
"""CRC-16/ARC of a P1 telegram, from ``/`` to ``!`` inclusive (DSMR 5.0.2 P1, 5.2)."""

crc_16_en_13757: Final[Callable[[bytes], int]] = crc16.en_13757
"""Block CRC of EN 13757-4: polynomial 0x3D65, inverted."""

crc_16_kermit: Final[Callable[[bytes], int]] = crc16.kermit
"""CRC-16/KERMIT, which some SML meters (early Holley) use in place of X-25."""


def sum_8(octets: bytes) -> int:
    """Return the arithmetic sum without carry of wired M-Bus frames (EN 60870-5-1, FT 1.2)."""
    return sum(octets) & 0xFF
