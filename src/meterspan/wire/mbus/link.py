"""The link layer of wired M-Bus: frame format class FT 1.2 (EN 13757-2:2018, 5.7; IEC 60870-5-1 and -2).

Three frames: the single character E5, the short frame, and the long frame (a control frame is a long one whose user
data is only the CI field, or nothing). ``FrameReader`` cuts a stream of octets into frames and finds the next frame
after noise, echo or a damaged one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

from meterspan.wire.checksum import sum_8
from meterspan.wire.cursor import Cursor
from meterspan.wire.errors import ChecksumError, TruncatedError, WireError

__all__ = [
    "ACKNOWLEDGE",
    "Address",
    "ControlField",
    "FrameReader",
    "LinkFrame",
    "PrimaryFunction",
    "read_link_frame",
    "write_link_frame",
]

SINGLE = 0xE5
START_SHORT = 0x10
START_LONG = 0x68
STOP = 0x16
LONG_OVERHEAD = 6
"""Start, L, L, start, checksum and stop of a long frame."""
MIN_LENGTH = 2
"""C and A field; a frame with a CI field has one more."""
MAX_FRAME = 255 + LONG_OVERHEAD
_CLAUSE = "EN 13757-2:2018, 5.7"
_LONG_HEAD = 4
_MAY_BEGIN = re.compile(
    rb"\xe5|\x10(?:.{3}\x16|.{0,3}\Z)|\x68(?:([\x02-\xff])\1(?:\x68|\Z)|.?\Z)",
    re.DOTALL,
)
"""The single character; a short frame with its stop; the head of a long frame; or the beginning of one at the end."""


class Address(IntEnum):
    """Primary addresses with a meaning of their own (EN 13757-2:2018, 5.7.5); 1 to 250 are slaves."""

    UNCONFIGURED = 0
    NETWORK_LAYER = 253
    """Talks to the slave selected by its secondary address."""
    TEST = 254
    """All slaves answer (a point-to-point test)."""
    BROADCAST = 255
    """No slave answers."""


class PrimaryFunction(IntEnum):
    """Function codes from master to slave (EN 13757-2:2018, table 1)."""

    SND_NKE = 0x0
    SND_UD = 0x3
    REQ_SKE = 0x9
    REQ_UD1 = 0xA
    REQ_UD2 = 0xB


class ControlField(IntEnum):
    """Bits of the C field (EN 13757-2:2018, 5.7.4)."""

    PRIMARY = 0x40
    FRAME_COUNT_BIT = 0x20
    """From the master; from the slave the same bit is ACD, access demand."""
    FRAME_COUNT_VALID = 0x10
    """From the master; from the slave the same bit is DFC, data flow control."""
    FUNCTION = 0x0F


RSP_UD = 0x08


@dataclass(frozen=True, slots=True)
class LinkFrame:
    """One frame; the single character has no fields at all, a short frame no payload.

    Attributes:
        control: the C field.
        address: the primary address.
        payload: CI field and user data of a long frame.

    """

    control: int | None = None
    address: int | None = None
    payload: bytes | None = None

    def __str__(self) -> str:
        """Write kind, C field, address and payload."""
        if self.control is None:
            return "E5"
        kind = "short" if self.payload is None else "long"
        return f"{kind} C={self.control:02X} A={self.address} {(self.payload or b'').hex()}".rstrip()

    @property
    def is_acknowledge(self) -> bool:
        """Whether it is the single character E5."""
        return self.control is None

    @property
    def is_primary(self) -> bool:
        """Whether the master sent it."""
        return self.control is not None and bool(self.control & ControlField.PRIMARY)

    @property
    def function(self) -> int | None:
        """The function code; None for the single character."""
        return None if self.control is None else self.control & ControlField.FUNCTION

    @property
    def frame_count_bit(self) -> bool:
        """FCB of a master's frame."""
        return self.control is not None and bool(self.control & ControlField.FRAME_COUNT_BIT)

    @property
    def access_demand(self) -> bool:
        """ACD of a slave's frame: it has class 1 data (alarms)."""
        return not self.is_primary and self.frame_count_bit

    @property
    def ci(self) -> int | None:
        """The CI field."""
        return self.payload[0] if self.payload else None


ACKNOWLEDGE = LinkFrame()
"""The single character E5."""


def read_link_frame(source: bytes | Cursor) -> LinkFrame:
    """Read one frame and leave the cursor behind it.

    Raises:
        TruncatedError: the frame is not complete yet.
        ChecksumError: the checksum differs.
        WireError: no start, a length that differs from its repetition, no stop.

    """
    cursor = source if isinstance(source, Cursor) else Cursor(source)
    start = cursor.u8("start")
    if start == SINGLE:
        cursor.explain("acknowledge")
        return ACKNOWLEDGE
    if start == START_SHORT:
        cursor.explain("short frame")
        frame = LinkFrame(_control(cursor), cursor.u8("A field"))
        _finish(cursor, ((frame.control or 0) + (frame.address or 0)) & 0xFF)
        return frame
    if start != START_LONG:
        raise WireError(f"{start:02X} does not start a frame", cursor.position - 1, "start", _CLAUSE)
    cursor.explain("long frame")
    length = cursor.u8("L field")
    repeated = cursor.u8("L field")
    if length != repeated or length < MIN_LENGTH:
        raise WireError(f"L fields {length} and {repeated} do not agree", cursor.position - 1, "L field", _CLAUSE)
    if cursor.u8("start") != START_LONG:
        raise WireError("the second start is missing", cursor.position - 1, "start", _CLAUSE)
    inner = cursor.sub(length, "C, A and CI field and data")
    total = sum_8(inner.octets[inner.offset : inner.end])
    control, address = _control(inner), inner.u8("A field")
    payload = inner.octets[inner.offset : inner.end]
    _finish(cursor, total)
    return LinkFrame(control, address, payload)


def write_link_frame(frame: LinkFrame) -> bytes:
    """Write a frame with its checksum.

    Raises:
        ValueError: more than 253 octets of payload.

    """
    if frame.control is None or frame.address is None:
        return bytes((SINGLE,))
    body = bytes((frame.control, frame.address)) + (frame.payload or b"")
    if len(body) > 0xFF:
        raise ValueError(f"{len(body) - 2} octets do not fit a long frame")
    tail = bytes((sum_8(body), STOP))
    if frame.payload is None:
        return bytes((START_SHORT,)) + body + tail
    return bytes((START_LONG, len(body), len(body), START_LONG)) + body + tail


class FrameReader:
    """Cuts octets, in any cut, into frames; what is no frame is skipped and counted."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self.skipped = 0
        """Octets that belonged to no frame."""

    def receive(self, octets: bytes) -> Iterator[LinkFrame]:
        """Read octets and yield all frames that are complete; at most one frame's octets are kept."""
        self._buffer += octets
        frames = []
        at = 0
        while (start := self._next_start(at)) is not None:
            self.skipped += start - at
            at = start
            if self._buffer[at] == SINGLE:
                frames.append(ACKNOWLEDGE)
                at += 1
                continue
            cursor = Cursor(bytes(self._buffer[at : at + MAX_FRAME]))
            try:
                frames.append(read_link_frame(cursor))
                at += cursor.offset
            except TruncatedError:
                break
            except WireError:
                at += 1
                self.skipped += 1
        if start is None:
            self.skipped += len(self._buffer) - at
            at = len(self._buffer)
        del self._buffer[:at]
        return iter(frames)

    def _next_start(self, at: int) -> int | None:
        """Return where the next frame may begin, from ``at`` on, whole or not; None where there is none."""
        while (match := _MAY_BEGIN.search(self._buffer, at)) is not None:
            if self._may_be_frame(match.start(), match[0]):
                return match.start()
            at = match.start() + 1
        return None

    def _may_be_frame(self, start: int, head: bytes) -> bool:
        """Whether a long frame has its stop octet, or is not whole yet; any other passes."""
        if head[0] != START_LONG or len(head) < _LONG_HEAD:
            return True
        stop = start + head[1] + LONG_OVERHEAD - 1
        return stop >= len(self._buffer) or self._buffer[stop] == STOP

    def reset(self) -> int:
        """Drop a frame that was never finished (a pause on the line ends it) and give how many octets it had."""
        dropped = len(self._buffer)
        self.skipped += dropped
        self._buffer.clear()
        return dropped


def _control(cursor: Cursor) -> int:
    control = cursor.u8("C field")
    if cursor.trace is not None:
        sender = "from the master" if control & ControlField.PRIMARY else "from the slave"
        cursor.explain(f"{sender}, function {control & ControlField.FUNCTION:X}")
    return control


def _finish(cursor: Cursor, total: int) -> None:
    checksum = cursor.u8("checksum")
    if checksum != total:
        raise ChecksumError(f"checksum is {checksum:02X}, not {total:02X}", cursor.position - 1, "checksum", _CLAUSE)
    if cursor.u8("stop") != STOP:
        raise WireError("the stop is missing", cursor.position - 1, "stop", _CLAUSE)
