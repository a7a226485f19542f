"""The link layer of wireless M-Bus: frame formats A and B (EN 13757-4:2019, 12.3), with CRCs or already without.

Format A guards each block of 16 octets, format B each of 126; receivers often strip the CRCs. The format is detected by
what fits: a CRC that matches is no accident. What is given is always the frame without CRCs.
"""

from dataclasses import dataclass
from enum import IntEnum

from meterspan.wire.checksum import crc_16_en_13757
from meterspan.wire.cursor import Cursor, Trace
from meterspan.wire.errors import ChecksumError, TruncatedError, WireError
from meterspan.wire.mbus.address import DeviceAddress

__all__ = ["FrameFormat", "LinkHeader", "frame_crc", "pack_blocks", "read_link", "strip_blocks"]

HEADER_SIZE = 10
"""L, C, M (2) and A (6): the first block of every frame."""
CRC_SIZE = 2
BLOCK_A = 16
BLOCK_B_SECOND = 115
"""Octets of the second block of format B: 128 with the first block, the L field and the CRC."""
BLOCK_B_THIRD = 126
MIN_LENGTH = 9
"""C, M and A: a smaller octet is not an L field (a frame without CI field has no payload)."""

CONTROL_NAMES = {
    0x06: "CNF_IR", 0x08: "RSP_UD", 0x00: "ACK", 0x40: "SND_NKE", 0x43: "SND_UD2", 0x44: "SND_NR", 0x46: "SND_IR",
    0x47: "ACC_NR", 0x48: "ACC_DMD", 0x53: "SND_UD", 0x5A: "REQ_UD1", 0x5B: "REQ_UD2", 0x73: "SND_UD",
    0x7A: "REQ_UD1", 0x7B: "REQ_UD2",
}  # fmt: skip
"""C fields of wireless M-Bus in words (EN 13757-4:2019, 12.5.4)."""


class FrameFormat(IntEnum):
    """How the frame is guarded."""

    STRIPPED = 0
    """The receiver has checked and removed the CRCs; L counts what is left."""
    A = 1
    B = 2


@dataclass(frozen=True, slots=True)
class LinkHeader:
    """C, M and A fields.

    Attributes:
        control: the C field.
        address: of the sender: manufacturer, id, version, medium.

    """

    control: int
    address: DeviceAddress


def frame_crc(octets: bytes) -> bytes:
    """Return the CRC of EN 13757 as transmitted: polynomial 3D65, complemented, most significant octet first."""
    return crc_16_en_13757(octets).to_bytes(2, "big")


def strip_blocks(octets: bytes) -> tuple[FrameFormat, bytes, bytes]:
    """Recognise the frame format, check and remove the CRCs; return format, frame and the octets behind it.

    The L field of the given frame counts as if there never were CRCs.

    Raises:
        TruncatedError: fewer octets than the L field counts.
        ChecksumError: a CRC of a format-A frame differs.
        WireError: the L field is too short for a header.

    """
    if len(octets) < HEADER_SIZE:
        raise TruncatedError(
            f"a frame has at least {HEADER_SIZE} octets, here are {len(octets)}", len(octets), "header"
        )
    length = octets[0]
    if length < MIN_LENGTH:
        raise WireError(f"L field {length} counts less than C, M and A fields", 0, "L field", "EN 13757-4:2019, 12.3")
    size = length + 1
    if octets[HEADER_SIZE : HEADER_SIZE + CRC_SIZE] == frame_crc(octets[:HEADER_SIZE]):
        lenient = len(octets) == size or _strip_b(octets[:size]) is not None
        stripped = _strip_a(octets, lenient=lenient)
        if stripped is not None:
            return FrameFormat.A, *stripped
    if len(octets) < size:
        raise TruncatedError(f"L field counts {length} octets, {len(octets) - 1} follow", len(octets), "frame")
    body = _strip_b(octets[:size])
    if body is not None:
        return FrameFormat.B, body, octets[size:]
    return FrameFormat.STRIPPED, octets[:size], octets[size:]


def pack_blocks(frame: bytes, form: FrameFormat) -> bytes:
    """Guard a frame without CRCs (L field as for no CRCs) in the given format.

    Raises:
        ValueError: the frame is too long for format B.

    """
    if form == FrameFormat.STRIPPED:
        return frame
    if form == FrameFormat.A:
        head, tail = frame[:HEADER_SIZE], frame[HEADER_SIZE:]
        blocks = [head, *(tail[at : at + BLOCK_A] for at in range(0, len(tail), BLOCK_A))]
        return b"".join(block + frame_crc(block) for block in blocks)
    second_end = HEADER_SIZE + BLOCK_B_SECOND + 1
    third = frame[second_end:]
    length = len(frame) - 1 + CRC_SIZE * (2 if third else 1)
    if length > 0xFF or len(third) > BLOCK_B_THIRD:
        raise ValueError(f"{len(frame)} octets do not fit a frame of format B")
    first = bytes((length,)) + frame[1:second_end]
    return first + frame_crc(first) + (third + frame_crc(third) if third else b"")


def read_link(
    octets: bytes, *, trace: Trace | None = None, form: FrameFormat | None = None
) -> tuple[FrameFormat, LinkHeader, Cursor, bytes]:
    """Read the link layer: format, header, a cursor over the rest of the frame, and octets behind the frame.

    ``form`` STRIPPED takes what looks like CRCs for payload: one in 65,536 frames without CRCs looks like format B.

    Raises:
        WireError: as ``strip_blocks``.

    """
    detected, frame, trailing = strip_blocks(octets)
    if form == FrameFormat.STRIPPED:
        detected, frame, trailing = form, octets[: octets[0] + 1], octets[octets[0] + 1 :]
    form = detected
    cursor = Cursor(frame, trace=trace)
    length = cursor.u8("L field")
    cursor.explain(f"{length} octets follow, {_FORMAT_TEXT[form]}")
    control = cursor.u8("C field")
    cursor.explain(CONTROL_NAMES.get(control, ""))
    address = DeviceAddress(cursor.take(8, "M and A field"))
    if trace is not None:
        cursor.explain(f"{address}, {address.medium_name}")
    return form, LinkHeader(control, address), cursor, trailing


_FORMAT_TEXT = {
    FrameFormat.STRIPPED: "CRCs already removed",
    FrameFormat.A: "frame format A, CRCs checked and left out here",
    FrameFormat.B: "frame format B, CRCs checked and left out here",
}


def _strip_a(octets: bytes, *, lenient: bool) -> tuple[bytes, bytes] | None:
    """Check and remove the CRCs of format A; None where only the first one fits and it may be chance (``lenient``)."""
    left = octets[0] + 1 - HEADER_SIZE
    frame, at = bytearray(octets[:HEADER_SIZE]), HEADER_SIZE + CRC_SIZE
    while left > 0:
        size = min(left, BLOCK_A)
        block = octets[at : at + size]
        crc = octets[at + size : at + size + CRC_SIZE]
        if len(crc) < CRC_SIZE or crc != frame_crc(block):
            if lenient and at == HEADER_SIZE + CRC_SIZE:
                return None
            if len(crc) < CRC_SIZE:
                raise TruncatedError("the frame of format A is cut", len(octets), "data block")
            raise ChecksumError("CRC differs", at + size, "data block CRC", "EN 13757-4:2019, 12.3.2")
        frame += block
        at += size + CRC_SIZE
        left -= size
    return bytes(frame), octets[at:]


def _strip_b(octets: bytes) -> bytes | None:
    """Check and remove the CRCs of format B; None where they do not match, so that the frame has none."""
    first_size = min(len(octets), HEADER_SIZE + BLOCK_B_SECOND + 1 + CRC_SIZE)
    first, third = octets[:first_size], octets[first_size:]
    if len(first) < HEADER_SIZE + CRC_SIZE or first[-CRC_SIZE:] != frame_crc(first[:-CRC_SIZE]):
        return None
    if third and (len(third) <= CRC_SIZE or third[-CRC_SIZE:] != frame_crc(third[:-CRC_SIZE])):
        return None
    body = first[1:-CRC_SIZE] + third[:-CRC_SIZE]
    return bytes((len(body),)) + body
