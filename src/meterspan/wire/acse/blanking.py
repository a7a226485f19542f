"""AARQ APDUs without their secrets, for frames that people see: passwords and plain dedicated keys become asterisks.

IEC 62056-5-3, 9.4.2: calling-authentication-value [12] holds the LLS password or a challenge; user-information [30]
holds the initiate request, whose dedicated key is in the clear where the request is. The length stays, so the frame is
explained as before. Fields that cannot be read are blanked to the end: what may be a secret is not shown.
"""

import re
from typing import Final

from meterspan.wire.acse.apdu import AARQ_TAG

__all__ = ["DLMS_UA", "blanked", "blanked_aarq"]

BLANK: Final = b"*"
_PASSWORD: Final = 0xAC
_USER_INFORMATION: Final = 0xBE
DLMS_UA: Final = b"\x60\x85\x74\x05\x08"
"""The object identifier that the application context of each AARQ begins with."""
_VALUE: Final = re.compile(rb"\xac[\x02-\xff]{1,3}\x80([\x00-\x7f]|\x81[\x80-\xff])", re.DOTALL)


def blanked_aarq(apdu: bytes) -> bytes:
    """Return an AARQ (also its first part alone) with its secrets blanked; another APDU as it is."""
    if apdu[:1] != bytes((AARQ_TAG,)):
        return apdu
    at = _content(apdu, 0)[0]
    while at < len(apdu):
        start, end = _content(apdu, at)
        if apdu[at] == _PASSWORD:
            apdu = _blank(apdu, _content(apdu, start)[0], end)
        elif apdu[at] == _USER_INFORMATION:
            apdu = _blank_dedicated_key(apdu, _content(apdu, start)[0], end)
        at = end
    return apdu


def blanked(octets: bytes) -> bytes:
    """Return octets of any kind with the authentication values of the AARQs in them blanked."""
    at = octets.find(DLMS_UA)
    while at >= 0 and (match := _VALUE.search(octets, at)) is not None:
        at = match.end()
        size = match[1][-1]
        octets = _blank(octets, at, at + size)
    return octets


def _blank_dedicated_key(apdu: bytes, at: int, end: int) -> bytes:
    """Blank the key of a plain initiate request: tag 01, presence 01, length, key."""
    if apdu[at : at + 2] != b"\x01\x01":
        return apdu
    return _blank(apdu, at + 3, min(end, at + 3 + apdu[at + 2]) if at + 2 < len(apdu) else end)


def _content(octets: bytes, at: int) -> tuple[int, int]:
    """Return where the content of a BER field begins and ends; of an unreadable one, the end of the octets."""
    start = at + 2
    length = octets[at + 1] if at + 1 < len(octets) else len(octets)
    if length == 0x80:  # indefinite: not of DER, not of DLMS
        return start, len(octets)
    if length > 0x80:
        start += length & 0x7F
        length = int.from_bytes(octets[at + 2 : start], "big")
    return start, start + length


def _blank(octets: bytes, start: int, end: int) -> bytes:
    end = min(end, len(octets))
    return octets if end <= start else octets[:start] + BLANK * (end - start) + octets[end:]
