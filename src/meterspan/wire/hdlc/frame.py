"""HDLC frame format type 3 of IEC 62056-46, 6.4.1: flag, format, addresses, control, HCS, information, FCS, flag.

The format field gives the length, so nothing is stuffed. A frame with information has a check of its header (HCS)
before and one of everything (FCS) after; one without has the FCS alone. Octets of control whose kind is not of the
DLMS subset are kept as they are.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from meterspan.wire.checksum import crc_16_x25
from meterspan.wire.cursor import Cursor, Trace
from meterspan.wire.errors import ChecksumError, UnsupportedError, WireError
from meterspan.wire.hdlc.address import HdlcAddress, read_address, write_address

__all__ = [
    "FLAG",
    "FRAME_LENGTH_MAX",
    "FRAME_LENGTH_MIN",
    "SEQUENCE_MODULUS",
    "FrameKind",
    "HdlcFrame",
    "control_octet",
    "read_frame",
    "read_header_length",
    "write_frame",
]

FLAG: Final = 0x7E
"""Opens and closes every frame; one flag may do both between two frames (6.4.1)."""
FORMAT_TYPE_3: Final = 0xA
"""The upper four bits of the format field (6.4.1.2)."""
SEGMENTATION_BIT: Final = 0x0800
LENGTH_MASK: Final = 0x07FF
FRAME_LENGTH_MAX: Final = 0x07FF
"""Eleven bits; counts everything but the flags."""
FRAME_LENGTH_MIN: Final = 7
"""Format 2, addresses 1 + 1, control 1, FCS 2."""
CHECK_SIZE: Final = 2
FLAGS_MAX: Final = 64
"""Flags before a frame: some senders fill the time between two frames with them."""

SEQUENCE_MODULUS: Final = 8
POLL_FINAL_BIT: Final = 0x10

_CLAUSE: Final = "IEC 62056-46, 6.4.1"


class FrameKind(IntEnum):
    """Commands and responses of table 8 (6.4.3), by their control octet without P/F, N(S) and N(R)."""

    INFORMATION = 0x00
    RECEIVE_READY = 0x01
    RECEIVE_NOT_READY = 0x05
    REJECT = 0x09  # not of the DLMS subset; some stations send it where RR would do
    SET_NORMAL_RESPONSE_MODE = 0x83
    DISCONNECT = 0x43
    UNNUMBERED_ACKNOWLEDGE = 0x63
    DISCONNECTED_MODE = 0x0F
    FRAME_REJECT = 0x87
    UNNUMBERED_INFORMATION = 0x03
    UNKNOWN = -1

    @property
    def short(self) -> str:
        """The standard's abbreviation."""
        return _SHORT[self]


_SHORT: Final = {
    FrameKind.INFORMATION: "I",
    FrameKind.RECEIVE_READY: "RR",
    FrameKind.RECEIVE_NOT_READY: "RNR",
    FrameKind.REJECT: "REJ",
    FrameKind.SET_NORMAL_RESPONSE_MODE: "SNRM",
    FrameKind.DISCONNECT: "DISC",
    FrameKind.UNNUMBERED_ACKNOWLEDGE: "UA",
    FrameKind.DISCONNECTED_MODE: "DM",
    FrameKind.FRAME_REJECT: "FRMR",
    FrameKind.UNNUMBERED_INFORMATION: "UI",
    FrameKind.UNKNOWN: "?",
}
_SUPERVISORY: Final = {FrameKind.RECEIVE_READY, FrameKind.RECEIVE_NOT_READY, FrameKind.REJECT}
_KIND_OF_CODE: Final = {int(kind): kind for kind in FrameKind}


def _kind(control: int) -> FrameKind:
    if not control & 0x01:
        return FrameKind.INFORMATION
    code = control & 0x0F if not control & 0x02 else control & ~POLL_FINAL_BIT
    return _KIND_OF_CODE.get(code, FrameKind.UNKNOWN)


_KIND_OF_CONTROL: Final = tuple(_kind(control) for control in range(256))


@dataclass(frozen=True, slots=True)
class HdlcFrame:
    """One frame, checks and flags removed.

    Attributes:
        destination: to whom.
        source: from whom.
        control: the control octet; read it through ``kind``, ``poll_final``, ``send_number``, ``receive_number``.
        information: the information field, b"" where there is none.
        segmented: whether more segments of the same APDU follow (6.4.4.2).

    """

    destination: HdlcAddress
    source: HdlcAddress
    control: int
    information: bytes = b""
    segmented: bool = False

    @property
    def kind(self) -> FrameKind:
        """What the frame is."""
        return _KIND_OF_CONTROL[self.control]

    @property
    def poll_final(self) -> bool:
        """P in a command, F in a response: the turn passes to the other side."""
        return bool(self.control & POLL_FINAL_BIT)

    @property
    def send_number(self) -> int | None:
        """N(S), 0 to 7; None but in an I frame."""
        return self.control >> 1 & 7 if self.kind is FrameKind.INFORMATION else None

    @property
    def receive_number(self) -> int | None:
        """N(R), 0 to 7, the next N(S) that the sender expects; None in unnumbered frames."""
        return self.control >> 5 if self.kind is FrameKind.INFORMATION or self.kind in _SUPERVISORY else None

    def __str__(self) -> str:
        segmented = " segmented" if self.segmented else ""
        information = f" {len(self.information)} octets" if self.information else ""
        return f"{self.source} -> {self.destination} {_control_text(self.control)}{segmented}{information}"


def control_octet(kind: FrameKind, *, poll_final: bool = False, send_number: int = 0, receive_number: int = 0) -> int:
    """Build the control octet (6.4.3); numbers that the kind does not have must be left at 0.

    Args:
        kind: I, RR, SNRM and the others.
        poll_final: the P/F bit.
        send_number: N(S), 0 to 7, of I frames.
        receive_number: N(R), 0 to 7, of I, RR, RNR and REJ frames.

    Raises:
        ValueError: a number is not 0 to 7, or the kind has none.

    """
    if kind is FrameKind.UNKNOWN or not (
        0 <= send_number < SEQUENCE_MODULUS and 0 <= receive_number < SEQUENCE_MODULUS
    ):
        raise ValueError(f"no control octet for {kind.name} with N(S) {send_number}, N(R) {receive_number}")
    if (send_number and kind is not FrameKind.INFORMATION) or (
        receive_number and kind is not FrameKind.INFORMATION and kind not in _SUPERVISORY
    ):
        raise ValueError(f"{kind.short} has no such sequence number")
    return int(kind) | send_number << 1 | receive_number << 5 | (POLL_FINAL_BIT if poll_final else 0)


def read_frame(octets: bytes | Cursor, *, trace: Trace | None = None) -> HdlcFrame:
    """Read one frame, with its flags or (as between two frames that share them) without.

    Raises:
        WireError: the octets are no frame of format type 3, or more octets follow it where ``octets`` is no cursor.

    """
    if isinstance(octets, Cursor):
        return _read_frame(octets)
    cursor = Cursor(octets, trace=trace)
    frame = _read_frame(cursor)
    cursor.finish("after the frame")
    return frame


def _read_frame(cursor: Cursor) -> HdlcFrame:
    flagged = cursor.peek() == bytes([FLAG])
    rest = cursor.peek(cursor.remaining) if flagged else b""
    for _ in range(min(len(rest) - len(rest.lstrip(bytes([FLAG]))), FLAGS_MAX)):
        cursor.take(1, "flag")
        cursor.explain("opens the frame")
    start = cursor.offset
    format_field = cursor.big(2, "frame format")
    length = _length_of_format(format_field, cursor.position - 2)
    segmented = bool(format_field & SEGMENTATION_BIT)
    if cursor.trace is not None:
        cursor.explain(f"type 3, {length} octets" + (", segmented" if segmented else ""))
    body = cursor.sub(length - 2, "frame")
    destination = read_address(body, "destination address")
    source = read_address(body, "source address")
    control = body.u8("control")
    if cursor.trace is not None:
        body.explain(_control_text(control))
    information = b""
    if body.remaining != CHECK_SIZE:
        _read_check(body, start, "HCS")
        information = body.take(max(body.remaining - CHECK_SIZE, 0), "information")
    _read_check(body, start, "FCS")
    body.finish("frame")
    if flagged:
        if cursor.take(1, "flag")[0] != FLAG:
            raise WireError("no flag closes the frame", cursor.position - 1, "flag", _CLAUSE)
        cursor.explain("closes the frame")
    return HdlcFrame(destination, source, control, information, segmented)


def _control_text(control: int) -> str:
    kind = _KIND_OF_CONTROL[control]
    parts = [kind.short if kind is not FrameKind.UNKNOWN else f"control {control:02X}"]
    parts += [f"N(S)={control >> 1 & 7}"] if kind is FrameKind.INFORMATION else []
    parts += [f"N(R)={control >> 5}"] if kind is FrameKind.INFORMATION or kind in _SUPERVISORY else []
    parts += ["P/F"] if control & POLL_FINAL_BIT else []
    return " ".join(parts)


def _length_of_format(format_field: int, offset: int) -> int:
    if format_field >> 12 != FORMAT_TYPE_3:
        raise UnsupportedError(f"frame format type {format_field >> 12:X} is not A", offset, "frame format", _CLAUSE)
    length = format_field & LENGTH_MASK
    if length < FRAME_LENGTH_MIN:
        raise WireError(f"a frame of {length} octets cannot be", offset, "frame format", _CLAUSE)
    return length


def _read_check(cursor: Cursor, start: int, name: str) -> None:
    computed = crc_16_x25(cursor.octets[start : cursor.offset])
    offset = cursor.position
    received = cursor.little(CHECK_SIZE, name)
    if computed != received:
        raise ChecksumError(f"{name} is {received:04X}, computed {computed:04X}", offset, name, "IEC 62056-46, 6.4.1")
    cursor.explain("right")


def read_header_length(octets: bytes) -> int | None:
    """Look at the first octets of a frame after its flag, and tell the frame's length in octets without flags.

    This is for readers of streams: it answers as early as it can whether octets can be a frame at all, so that a
    damaged length does not swallow the frames that follow.

    Returns:
        The length, or None where more octets are needed to tell.

    Raises:
        WireError: no frame can begin with these octets (type, length, address or HCS); offsets count the flag.

    """
    if not octets:
        return None
    if octets[0] >> 4 != FORMAT_TYPE_3:
        raise UnsupportedError(f"frame format type {octets[0] >> 4:X} is not A", 1, "frame format", _CLAUSE)
    if len(octets) < 2:
        return None
    length = _length_of_format(int.from_bytes(octets[:2], "big"), 1)
    header_size = _header_size(octets)
    if header_size is None:
        return length if len(octets) > length else None
    if header_size + CHECK_SIZE > length:
        raise WireError(f"a frame of {length} octets cannot hold its header", 1, "frame format", _CLAUSE)
    if header_size + CHECK_SIZE < length:
        if len(octets) < header_size + CHECK_SIZE:
            return None
        _read_check(Cursor(octets, header_size, base=1), 0, "HCS")
    return length


def _header_size(octets: bytes) -> int | None:
    """Size of format, addresses and control; None where the addresses do not end yet."""
    cursor = Cursor(octets, 2, base=1)
    for name in ("destination address", "source address"):
        if cursor.remaining < 4 and not any(octet & 1 for octet in cursor.peek(4)):
            return None
        read_address(cursor, name)
    return cursor.offset + 1


def write_frame(frame: HdlcFrame) -> bytes:
    """Write one frame with its flags and checks.

    Raises:
        ValueError: the information is too long for eleven bits of length.

    """
    addressed = write_address(frame.destination) + write_address(frame.source) + bytes([frame.control])
    information_size = CHECK_SIZE + len(frame.information) if frame.information else 0
    length = 2 + len(addressed) + information_size + CHECK_SIZE
    if length > FRAME_LENGTH_MAX:
        raise ValueError(f"{len(frame.information)} octets of information do not fit one frame")
    segmentation = SEGMENTATION_BIT if frame.segmented else 0
    octets = (FORMAT_TYPE_3 << 12 | segmentation | length).to_bytes(2, "big") + addressed
    if frame.information:
        octets += crc_16_x25(octets).to_bytes(CHECK_SIZE, "little") + frame.information
    flag = bytes([FLAG])
    return flag + octets + crc_16_x25(octets).to_bytes(CHECK_SIZE, "little") + flag
