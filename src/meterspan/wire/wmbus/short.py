"""The frame that meters send most: link layer and short transport header, without CRCs (EN 13757-4 and -7).

Its fields stand at fixed places, so that one slice reads each: the receiver's short path. Every other frame, and every
fault, is for ``read_frame``.
"""

from functools import lru_cache
from struct import Struct
from typing import TypeAlias

from meterspan.wire.mbus.transport import Ci, HeaderKind, TransportHeader
from meterspan.wire.wmbus.frame import frame_crc, strip_blocks

__all__ = ["PAYLOAD_OFFSET", "ShortFrame", "read_short", "without_crcs"]

PAYLOAD_OFFSET = 15
"""L, C, M (2), A (6), CI, access number, status and configuration field (2) stand in front of the payload."""
CACHED_HEADERS = 4_096
"""Short headers kept: 256 access numbers times the few configurations in use."""
_FIELDS = Struct("2x8sB4s").unpack_from  # L and C field, address, CI field, short header
_SHORT = int(Ci.RESPONSE_SHORT)
_MODE_MASK, _SIZE_MASK = 0x1F, 0xF0


ShortFrame: TypeAlias = tuple[bytes, bytes, int, int, int, bytes, TransportHeader, bytes]
"""Address (M and A field), identification number as transmitted, access number, security mode, octets that are
encrypted, payload, header as the layered reader gives it, and kind: telegrams of one kind share one layout.

A bare tuple, because a named one costs a tenth of the whole reading."""


def read_short(octets: bytes) -> ShortFrame | None:
    """Return the fields of a frame without CRCs; None where it has no short header."""
    if len(octets) <= PAYLOAD_OFFSET:
        return None
    address, ci, head = _FIELDS(octets)
    if ci != _SHORT:
        return None
    return (
        address,
        address[2:6],
        head[0],
        head[3] & _MODE_MASK,
        head[2] & _SIZE_MASK,
        octets[PAYLOAD_OFFSET:],
        _short_header(head),
        address[:2] + address[6:] + octets[:1],
    )


def without_crcs(octets: bytes) -> bytes:
    """Return the frame without CRCs; the most common case, a frame without CRCs, is checked first.

    Raises:
        WireError: as ``strip_blocks``.

    """
    if len(octets) > PAYLOAD_OFFSET and octets[0] == len(octets) - 1 and octets[-2:] != frame_crc(octets[:-2]):
        return octets
    return strip_blocks(octets)[1]


@lru_cache(maxsize=CACHED_HEADERS)
def _short_header(octets: bytes) -> TransportHeader:
    configuration = int.from_bytes(octets[2:4], "little")
    return TransportHeader(Ci.RESPONSE_SHORT, HeaderKind.SHORT, None, octets[0], octets[1], configuration)
