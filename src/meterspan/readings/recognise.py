"""What kind of frame some octets are: decided by start octets, lengths and checks, never by a maker's name."""

import re
from enum import StrEnum

from meterspan.wire.errors import UnsupportedError
from meterspan.wire.hdlc import has_llc

__all__ = ["Format", "recognise"]


class Format(StrEnum):
    """The kinds of input; the names are those of ``--as``."""

    P1 = "p1"
    P1_LINES = "p1-lines"
    SML = "sml"
    SML_FILE = "sml-file"
    HDLC = "hdlc"
    WRAPPER = "wrapper"
    DLMS = "dlms"
    COSEM = "cosem"
    MBUS = "mbus"
    WMBUS = "wmbus"


def recognise(octets: bytes) -> Format:
    """Return the format of the first frame.

    Raises:
        UnsupportedError: nothing fits.

    """
    for kind, fits in _TESTS:
        if fits(octets):
            return kind
    start = octets[:8].hex(" ").upper()
    raise UnsupportedError(
        f"no known frame starts with {start}" if octets else "there is nothing to decode", 0, "start"
    )


_OBIS_LINE = re.compile(rb"(?:^|\n)\d{1,3}-\d{1,3}:\d{1,3}\.\d{1,3}\.\d{1,3}(?:\*\d{1,3})?\(")
_P1_START = re.compile(rb"/[A-Za-z]{3}[^\r\n]{1,64}\r?\n")
_LONG_FRAME = re.compile(rb"\x68([\x03-\xff])\1\x68[\x08\x18\x28\x38\x53\x73]", re.DOTALL)
_SML_START = b"\x1b\x1b\x1b\x1b\x01\x01\x01\x01"
# DataNotification, EventNotification, InformationReport, GET/SET/ACTION, ciphered forms, GBT, general ciphering
_APDU_TAGS = frozenset({0x0F, 0xC2, 0x18, *range(0xC0, 0xD0), *range(0xD8, 0xE1)})
_COMPOSITE_TAGS = {0x01, 0x02}
_DATA_TAGS = frozenset({*range(11), 0x0C, 0x0D, *range(0x0F, 0x1C)})
# SND_NR, SND_IR, SND_UD, ACC_NR, ACC_DMD, RSP_UD and their like (EN 13757-4, table 12)
_WMBUS_HEADER = 10
_WMBUS_TAIL = 3  # signal strength and link quality that receivers append
_WMBUS_C = frozenset({0x44, 0x46, 0x53, 0x73, 0x47, 0x48, 0x08, 0x18, 0x28, 0x38, 0x00, 0x40, 0x43, 0x6C, 0x4C})


def _is_p1(octets: bytes) -> bool:
    return _P1_START.search(octets[:256]) is not None and b"!" in octets


def _is_p1_lines(octets: bytes) -> bool:
    return _OBIS_LINE.search(octets[:512]) is not None


def _is_sml(octets: bytes) -> bool:
    return _SML_START in octets


def _is_sml_file(octets: bytes) -> bool:
    return octets[:1] == b"\x76" and 2 <= (octets[1:2] or b"\0")[0] <= 0x0F


def _is_mbus(octets: bytes) -> bool:
    long = len(octets) >= 6 and octets[0] == octets[3] == 0x68 and octets[1] == octets[2]
    return long or octets == b"\xe5" or (len(octets) == 5 and octets[0] == 0x10 and octets[4] == 0x16)


def _is_hdlc(octets: bytes) -> bool:
    return octets[:1] == b"\x7e" and len(octets) > 8 and octets.lstrip(b"\x7e")[:1] >= b"\xa0"


def _is_hdlc_without_flags(octets: bytes) -> bool:
    """Check a format field whose length is that of all octets, which some gateways pass on without flags."""
    length = int.from_bytes(octets[:2], "big") & 0x07FF
    return octets[:1] >= b"\xa0" and octets[:1] < b"\xb0" and len(octets) > 8 and len(octets) - length in {0, 1}


def _is_protected(octets: bytes) -> bool:
    """Check general-glo- or general-ded-ciphering with a system title and a length that fits."""
    if octets[:2] not in {b"\xdb\x08", b"\xdc\x08"} or len(octets) < 16:
        return False
    first = octets[10]
    size = first & 0x7F if first & 0x80 else 0
    length = int.from_bytes(octets[11 : 11 + size], "big") if size else first
    return size <= 4 and length == len(octets) - 11 - size


def _is_block(octets: bytes) -> bool:
    """Check the head of a general block transfer: few blocks, the block before acknowledged, a length that fits."""
    return octets[:1] == b"\xe0" and octets[2:3] == b"\0" and octets[4:5] == b"\0" and octets[3:4] not in {b"", b"\0"}


def _holds_hdlc(octets: bytes) -> bool:
    return b"\x7e\xa0" in octets or b"\x7e\xa1" in octets or b"\x7e\xa8" in octets


def _is_wrapper(octets: bytes) -> bool:
    return octets[:2] == b"\x00\x01" and len(octets) >= 8 and 0 < int.from_bytes(octets[6:8], "big") <= len(octets) - 8


def _is_wmbus(octets: bytes) -> bool:
    """Check the C field, and that the L field fits: without CRCs, with those of format A, or with a few octets behind.

    SND_NR, by far the most frequent, may also be followed by other telegrams or be cut off.
    """
    size, length = len(octets), octets[0] + 1 if octets else 0
    if size <= _WMBUS_HEADER or octets[1] not in _WMBUS_C or length < _WMBUS_HEADER:
        return False
    guarded = length + 2 + 2 * -(-(length - _WMBUS_HEADER) // 16)
    return octets[1] == 0x44 or any(0 <= size - expected <= _WMBUS_TAIL for expected in (length, guarded))


def _is_dlms(octets: bytes) -> bool:
    return has_llc(octets) or octets[:1] in {bytes((tag,)) for tag in _APDU_TAGS}


def _is_cosem(octets: bytes) -> bool:
    return len(octets) > 3 and octets[0] in _COMPOSITE_TAGS and 0 < octets[1] < 0x80 and octets[2] in _DATA_TAGS


_TESTS = (
    (Format.P1, _is_p1),
    (Format.SML, _is_sml),
    (Format.P1_LINES, _is_p1_lines),
    (Format.MBUS, _is_mbus),
    (Format.HDLC, _is_hdlc),
    (Format.HDLC, _is_hdlc_without_flags),
    (Format.WRAPPER, _is_wrapper),
    (Format.DLMS, _is_protected),
    (Format.DLMS, _is_block),
    (Format.WMBUS, _is_wmbus),
    (Format.SML_FILE, _is_sml_file),
    (Format.DLMS, _is_dlms),
    (Format.COSEM, _is_cosem),
    (Format.HDLC, _holds_hdlc),
    (Format.MBUS, lambda octets: _LONG_FRAME.search(octets) is not None),
)
"""In this order: tests over more octets come first."""
