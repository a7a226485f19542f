"""HDLC frames out of a stream of octets, in any cut (IEC 62056-46, 6.4.1).

Strategy: stand on a flag, judge the header as soon as its HCS is there, wait for the announced length, check FCS and
closing flag. What fails gives up its flag only, and the search goes on at the next one, so that no damaged length
swallows the good frames behind it. Octets that belong to no frame come out as ``Damaged``, in order with the frames.
Within damage a flag is passed over without a word where the octets behind it are no header, or its check is wrong, so
that a stream full of flags costs little more than any other.
"""

import re
from typing import Final

from meterspan.wire.checksum import crc_16_x25
from meterspan.wire.damaged import Damaged
from meterspan.wire.errors import TruncatedError, WireError
from meterspan.wire.hdlc.frame import (
    CHECK_SIZE,
    FLAG,
    FRAME_LENGTH_MAX,
    FRAME_LENGTH_MIN,
    LENGTH_MASK,
    HdlcFrame,
    read_frame,
    read_header_length,
)

__all__ = ["DAMAGED_SIZE_MAX", "HdlcReader"]

DAMAGED_SIZE_MAX: Final = FRAME_LENGTH_MAX + 2
"""A run of octets that is no frame is reported in pieces of this size at most: as much as a frame may hold back."""

_HEADER_SIZE_MAX: Final = 2 + 4 + 4 + 1 + 2
"""Format, addresses, control, HCS."""

_FLAGS: Final = re.compile(re.escape(bytes((FLAG,))) + b"+")

_EVEN: Final = b"[" + b"".join(re.escape(bytes((octet,))) for octet in range(0, 256, 2)) + b"]"
_ODD: Final = b"[" + b"".join(re.escape(bytes((octet,))) for octet in range(1, 256, 2)) + b"]"
_ADDRESS: Final = _EVEN + b"{0,3}" + _ODD
_FLAG_OF_FRAME: Final = re.compile(
    re.escape(bytes((FLAG,))) + b"(?:(?=" + re.escape(bytes((FLAG,))) + b")|[\xa0-\xaf]." + _ADDRESS + _ADDRESS + b".)",
    re.DOTALL,
)
"""A flag before another, or before what has the form of format, addresses and control (IEC 62056-46, 6.4.1)."""


class HdlcReader:
    """Cuts a stream into frames; holds back one unfinished frame and one unreported run of damage at most."""

    __slots__ = ("_buffer", "_damage", "_damage_error", "_flag_is_shared", "_items", "_on_flag")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._on_flag = False
        self._flag_is_shared = False
        self._damage = bytearray()
        self._damage_error: WireError | None = None
        self._items: list[HdlcFrame | Damaged] = []

    @property
    def pending(self) -> int:
        """How many octets are held back, waiting for more; 0 between frames."""
        return len(self._buffer) - self._on_flag + len(self._damage)

    def feed(self, octets: bytes) -> list[HdlcFrame | Damaged]:
        """Read octets; return the frames and the damage that they complete."""
        self._buffer += octets
        return self._scan(is_last=False)

    def flush(self) -> list[HdlcFrame | Damaged]:
        """Return the octets held back as damage, after the last octet of a file or when nothing more is received."""
        items = self._scan(is_last=True)
        self._report_damage()
        return items + self._take_items()

    def _take_items(self) -> list[HdlcFrame | Damaged]:
        items, self._items = self._items, []
        return items

    def _scan(self, *, is_last: bool) -> list[HdlcFrame | Damaged]:
        position = 0
        while position < len(self._buffer):
            if not self._on_flag:
                position = self._hunt(position)
                continue
            taken = self._try_frame(position, is_last=is_last)
            if not taken:
                break
            position += taken
        del self._buffer[:position]
        return self._take_items()

    def _hunt(self, position: int) -> int:
        """Pass over octets up to the next flag; they are damage."""
        flag_at = self._next_flag(position)
        stop = len(self._buffer) if flag_at < 0 else flag_at
        self._add_damage(self._buffer[position:stop])
        self._on_flag = flag_at >= 0
        self._flag_is_shared = False
        return stop

    def _next_flag(self, position: int) -> int:
        """Return where the next flag is; within damage, the next one that can begin a frame; -1 where there is none."""
        if self._damage_error is None:
            return self._buffer.find(FLAG, position)
        while (match := _FLAG_OF_FRAME.search(self._buffer, position)) is not None:
            if not self._is_header_wrong(match.start() + 1, match.end()):
                break
            position = match.start() + 1
        undecided = self._buffer.find(FLAG, max(position, len(self._buffer) - _HEADER_SIZE_MAX - 1))
        if match is None or 0 <= undecided < match.start():
            return undecided
        return match.start()

    def _is_header_wrong(self, start: int, end: int) -> bool:
        """Whether the check behind a header is there and wrong; of a frame without information it is the FCS."""
        check = self._buffer[end : end + CHECK_SIZE]
        return len(check) == CHECK_SIZE and end > start and not _is_right(self._buffer[start:end], check)

    def _try_frame(self, position: int, *, is_last: bool) -> int:
        """Read the frame whose flag is at ``position``; tell how many octets were used up, 0 if more are needed."""
        start = position + 1
        if self._buffer[start : start + 1] == bytes([FLAG]):  # fill between frames
            self._flag_is_shared = False
            return self._fill_size(position)
        if self._damage_error is not None and self._next_flag(position) != position:
            self._give_up_flag(self._damage_error)
            return 1
        if self._damage_error is not None and self._is_frame_wrong(start):
            self._give_up_flag(self._damage_error)
            return 1
        try:
            end = self._closing_flag(start)
            if end is None:
                length = read_header_length(bytes(self._buffer[start : start + _HEADER_SIZE_MAX]))
                end = None if length is None or len(self._buffer) <= start + length else start + length
            if end is not None:
                frame = read_frame(bytes(self._buffer[position : end + 1]))
            elif is_last and len(self._buffer) > start:
                size = len(self._buffer) - position
                raise TruncatedError("the frame is cut off", size, "frame")
            else:
                return 0
        except WireError as error:
            self._give_up_flag(error)
            return 1
        self._report_damage()
        self._items.append(frame)
        self._flag_is_shared = True
        return end - position

    def _closing_flag(self, start: int) -> int | None:
        """Return where the flag is that closes a whole frame; None where its length leads to no flag."""
        end = start + (int.from_bytes(self._buffer[start : start + 2], "big") & LENGTH_MASK)
        return end if start < end < len(self._buffer) and self._buffer[end] == FLAG else None

    def _fill_size(self, position: int) -> int:
        """Return how many flags from ``position`` on have another behind them."""
        fill = _FLAGS.match(self._buffer, position)
        return 0 if fill is None else fill.end() - position - 1

    def _is_frame_wrong(self, start: int) -> bool:
        """Whether a frame is there to its end, and its FCS is wrong."""
        end = start + (int.from_bytes(self._buffer[start : start + 2], "big") & LENGTH_MASK)
        if len(self._buffer) <= end or end < start + FRAME_LENGTH_MIN:
            return False
        return not _is_right(self._buffer[start : end - CHECK_SIZE], self._buffer[end - CHECK_SIZE : end])

    def _give_up_flag(self, error: WireError) -> None:
        if self._damage_error is None:
            self._damage_error = error
        if not self._flag_is_shared:
            self._add_damage(bytes([FLAG]))
        self._on_flag = False

    def _add_damage(self, octets: bytes | bytearray) -> None:
        self._damage += octets
        while len(self._damage) >= DAMAGED_SIZE_MAX:
            piece = bytes(self._damage[:DAMAGED_SIZE_MAX])
            del self._damage[:DAMAGED_SIZE_MAX]
            self._append_damage(piece)

    def _report_damage(self) -> None:
        if self._damage:
            self._append_damage(bytes(self._damage))
        self._damage.clear()
        self._damage_error = None

    def _append_damage(self, octets: bytes) -> None:
        error = self._damage_error or WireError("octets outside of any frame", 0, "flag", "IEC 62056-46, 6.4.1")
        self._items.append(Damaged(octets, error))


def _is_right(octets: bytearray, check: bytearray) -> bool:
    return crc_16_x25(bytes(octets)) == int.from_bytes(check, "little")
