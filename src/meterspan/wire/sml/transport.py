"""SML transport protocol version 1 (SML 1.04, 8): files between escape sequences on a line without any other frame.

Layout: ``1B1B1B1B 01010101``, the file with each ``1B1B1B1B`` of its own doubled and filled up with 00 to a multiple
of four octets, ``1B1B1B1B 1A``, the number of fill octets, and a CRC-16 over all before it. The standard's CRC is
X.25; some makers (Holley) send the Kermit one, so either is taken and the frame says which.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from meterspan.wire.checksum import crc_16_kermit, crc_16_x25
from meterspan.wire.errors import ChecksumError, TruncatedError, WireError

__all__ = ["MAX_FILE_SIZE", "SmlChecksum", "SmlFrame", "find_frames", "frame_crc", "read_frame", "write_frame"]

MAX_FILE_SIZE = 65_536  # a meter's list is under 1 KB; a gateway's profile of a day stays under 16 KB

FRAMES_MAX = 8_192
"""Frames of one capture: a meter sends one a second, so that these are more than two hours."""
REREADS_MAX = 2
"""How often a capture may be read again for frames within damaged ones: a start sequence costs 8 octets to send."""

ESCAPE = b"\x1b\x1b\x1b\x1b"
START = ESCAPE + b"\x01\x01\x01\x01"
_CLAUSE = "SML 1.04, 8"
_MAX_FILL = 4  # three fill a word up; some DZG meters add a whole word instead of none


class SmlChecksum(Enum):
    """Which CRC a frame carries."""

    X25 = "X.25"
    KERMIT = "Kermit"


@dataclass(frozen=True, slots=True)
class SmlFrame:
    """One transport frame: the file's octets without escapes and fill, and where the frame lay.

    Attributes:
        file: the octets of the SML file.
        size: octets of the whole frame.
        checksum: the CRC that fits.

    """

    file: bytes
    size: int
    checksum: SmlChecksum


def read_frame(octets: bytes, start: int = 0) -> SmlFrame:
    """Read the frame that starts at ``start``.

    Raises:
        TruncatedError: the frame does not end.
        ChecksumError: neither CRC fits; ``offset`` is where the CRC stands.
        WireError: no start sequence, an unknown escape, or more than ``MAX_FILE_SIZE`` octets.

    """
    if octets[start : start + 8] != START:
        raise WireError("no start sequence", start, "start", _CLAUSE)
    file = bytearray()
    place = start + 8
    while True:
        escape = octets.find(ESCAPE, place)
        if escape < 0 or len(octets) < escape + 8:
            raise TruncatedError("the frame does not end", len(octets), "end sequence", _CLAUSE)
        if len(file) + escape - place > MAX_FILE_SIZE:
            raise WireError(f"is longer than {MAX_FILE_SIZE} octets", escape, "file", _CLAUSE)
        file += octets[place:escape]
        code = octets[escape + 4 : escape + 8]
        if code[0] == 0x1A:  # end of message, fill count, CRC
            return _finish(octets, start, escape, bytes(file))
        if code != ESCAPE:
            what = "a new frame starts within this one" if code == START[4:] else f"unknown escape {code.hex()}"
            raise WireError(what, escape, "escape sequence", _CLAUSE)
        file += ESCAPE
        place = escape + 8


def find_frames(octets: bytes) -> Iterator[tuple[int, SmlFrame | WireError]]:
    """Yield every frame of a capture with its offset; a damaged one as the error that ended it.

    The search goes on within a damaged frame, until ``REREADS_MAX`` times the capture was read again; from then on
    behind it. After ``FRAMES_MAX`` frames it ends with an error.
    """
    count = 0
    spare = REREADS_MAX * len(octets)
    start = octets.find(START)
    while start >= 0:
        count += 1
        if count > FRAMES_MAX:
            yield start, WireError(f"more than {FRAMES_MAX} frames in one capture; split it", start, "start", _CLAUSE)
            return
        try:
            frame = read_frame(octets, start)
        except WireError as error:
            yield start, error
            end = len(octets) if error.offset is None else error.offset
            spare -= end - start
            start = octets.find(START, start + 8 if spare > 0 else max(end, start + 8))
        else:
            yield start, frame
            start = octets.find(START, start + frame.size)


def write_frame(file: bytes, *, checksum: SmlChecksum = SmlChecksum.X25) -> bytes:
    """Write a file as a transport frame."""
    fill = -len(file) % 4
    octets = START + file.replace(ESCAPE, ESCAPE * 2) + bytes(fill) + ESCAPE + bytes((0x1A, fill))
    return octets + frame_crc(octets, checksum)


def _finish(octets: bytes, start: int, escape: int, file: bytes) -> SmlFrame:
    fill = octets[escape + 5]
    stated = octets[escape + 6 : escape + 8]
    checksum = next((kind for kind in SmlChecksum if frame_crc(octets[start : escape + 6], kind) == stated), None)
    if checksum is None:
        raise ChecksumError("CRC differs", escape + 6, "CRC", _CLAUSE)
    if fill > _MAX_FILL or fill > len(file):
        raise WireError(f"{fill} fill octets", escape + 5, "fill", _CLAUSE)
    return SmlFrame(file[: len(file) - fill], escape + 8 - start, checksum)


def frame_crc(octets: bytes, kind: SmlChecksum) -> bytes:
    """Compute the CRC as it stands on the wire: X.25 low octet first, Kermit high octet first."""
    if kind is SmlChecksum.X25:
        return crc_16_x25(octets).to_bytes(2, "little")
    return crc_16_kermit(octets).to_bytes(2, "big")
