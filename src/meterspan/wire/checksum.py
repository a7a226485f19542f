"""The checks that metering frames carry, each by the standard's name; the CRCs run in C (``fastcrc``).

All functions take the octets that are covered and return the check as an integer. In which order its two octets stand
in the frame is for the frame to know: HDLC has the least first, EN 13757-4 the most.
"""

from fastcrc import crc16

__all__ = ["crc_16_arc", "crc_16_en_13757", "crc_16_kermit", "crc_16_x25", "sum_8"]


def crc_16_x25(octets: bytes) -> int:
    """Compute HDLC's FCS and HCS, and SML's checksum: CRC-16/X-25 (ISO/IEC 13239, annex A; least octet first)."""
    return crc16.ibm_sdlc(octets)


def crc_16_arc(octets: bytes) -> int:
    """Compute the P1 telegram's CRC-16/ARC, from ``/`` to ``!`` inclusive (DSMR 5.0.2 P1, 5.2)."""
    return crc16.arc(octets)


def crc_16_en_13757(octets: bytes) -> int:
    """Compute the block CRC of EN 13757-4: polynomial 0x3D65, inverted (most octet first)."""
    return crc16.en_13757(octets)


def crc_16_kermit(octets: bytes) -> int:
    """Compute CRC-16/KERMIT, which some SML meters (early Holley) use in place of X-25."""
    return crc16.kermit(octets)


def sum_8(octets: bytes) -> int:
    """Compute the arithmetic sum without carry of wired M-Bus frames (EN 60870-5-1, FT 1.2)."""
    return sum(octets) & 0xFF
