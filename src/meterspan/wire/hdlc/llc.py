"""The LLC header in front of every APDU in HDLC (IEC 62056-46, 5.3.2): destination and source LSAP, quality."""

from typing import Final

__all__ = ["LLC_COMMAND", "LLC_RESPONSE", "LLC_SIZE", "has_llc", "without_llc"]

LLC_COMMAND: Final = bytes.fromhex("E6E600")
"""From client to server."""
LLC_RESPONSE: Final = bytes.fromhex("E6E700")
"""From server to client."""
LLC_SIZE: Final = 3
_HEADERS: Final = frozenset({LLC_COMMAND, LLC_RESPONSE})


def has_llc(octets: bytes) -> bool:
    """Return whether octets begin with an LLC header of either direction."""
    return octets[:LLC_SIZE] in _HEADERS


def without_llc(octets: bytes) -> bytes:
    """Return the APDU behind the LLC header; the octets themselves where there is none."""
    return octets[LLC_SIZE:] if has_llc(octets) else octets
