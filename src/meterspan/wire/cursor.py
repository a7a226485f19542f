"""A cursor over octets that cannot overrun, and the trace of what each octet meant.

Strategy: every reader takes a ``Cursor``; each ``take`` names its field, so a truncation says where and in what. With
a ``Trace`` attached, the same reads yield the explanation of a frame (``decode --explain``) at no cost without one.
The values of a message are charged to one budget, in proportion to its octets and in total, before they are made: so
cost follows the octets, and no message takes long.
"""

from dataclasses import dataclass, field
from typing import Self

from meterspan.wire.errors import TruncatedError, WireError

__all__ = ["ELEMENTS_MAX", "ELEMENTS_PER_OCTET", "Cursor", "Span", "Trace"]

ELEMENTS_PER_OCTET = 4
"""Values charged for each octet of a message at most: a row of one octet beside a null column is charged as four."""
ELEMENTS_MAX = 1 << 16
"""Values charged for a whole message at most: one takes 2 to 3 us to read, so that the worst message takes 0.2 s. It is
the load profile of 54 days at 15 minutes with 8 registers, value by value; rows of one shape are read by column."""


@dataclass(frozen=True, slots=True)
class Span:
    """One explained range of octets: ``octets`` at ``offset`` are ``field``, and mean ``meaning``."""

    offset: int
    octets: bytes
    field: str
    meaning: str


@dataclass(slots=True)
class Trace:
    """The explanation of a frame, collected while it is read."""

    spans: list[Span] = field(default_factory=list)

    def add(self, offset: int, octets: bytes, name: str, meaning: str = "") -> None:
        """Append one range.

        Args:
            offset: of the first octet in the frame.
            octets: the range.
            name: the field.
            meaning: its value in words.

        """
        self.spans.append(Span(offset, octets, name, meaning))


class Cursor:
    """Reads fields off a bounded run of octets.

    Args:
        octets: what is read.
        start: first offset to read.
        end: offset one past the last octet to read; the length of ``octets`` by default.
        base: added to every reported offset (for a payload cut out of a larger frame).
        trace: collects the meaning of each field, where given.

    """

    __slots__ = ("base", "charged", "end", "octets", "offset", "trace", "whole")

    def __init__(
        self, octets: bytes, start: int = 0, end: int | None = None, *, base: int = 0, trace: Trace | None = None
    ) -> None:
        self.octets = octets
        self.offset = start
        self.end = len(octets) if end is None else end
        self.base = base
        self.trace = trace
        self.whole: Cursor | None = None  # the cursor of the whole message, which holds the budget
        self.charged = 0

    @property
    def remaining(self) -> int:
        """How many octets are left."""
        return self.end - self.offset

    @property
    def position(self) -> int:
        """The offset as reported in errors and traces."""
        return self.base + self.offset

    def take(self, size: int, name: str) -> bytes:
        """Read ``size`` octets of field ``name``.

        Raises:
            TruncatedError: fewer octets are left.

        """
        stop = self.offset + size
        if size < 0 or stop > self.end:
            raise TruncatedError(f"needs {size} octets, has {self.remaining}", self.position, name)
        octets = self.octets[self.offset : stop]
        if self.trace is not None:
            self.trace.add(self.position, octets, name)
        self.offset = stop
        return octets

    def u8(self, name: str) -> int:
        """Read one octet."""
        offset = self.offset
        if offset >= self.end:
            raise TruncatedError("needs 1 octet, has 0", self.position, name)
        value = self.octets[offset]
        if self.trace is not None:
            self.trace.add(self.position, self.octets[offset : offset + 1], name, str(value))
        self.offset = offset + 1
        return value

    def big(self, size: int, name: str, *, signed: bool = False) -> int:
        """Read an integer of ``size`` octets, most significant first (DLMS)."""
        return self._integer(size, name, "big", signed=signed)

    def little(self, size: int, name: str, *, signed: bool = False) -> int:
        """Read an integer of ``size`` octets, least significant first (M-Bus)."""
        return self._integer(size, name, "little", signed=signed)

    def peek(self, size: int = 1) -> bytes:
        """Look at the next octets without taking them; fewer where fewer are left."""
        return self.octets[self.offset : min(self.offset + size, self.end)]

    def rest(self, name: str) -> bytes:
        """Read all that is left."""
        return self.take(self.remaining, name)

    def sub(self, size: int, name: str) -> Self:
        """Cut the next ``size`` octets out as a cursor of their own, with offsets and trace kept.

        Raises:
            TruncatedError: fewer octets are left.

        """
        if size < 0 or size > self.remaining:
            raise TruncatedError(f"announces {size} octets, has {self.remaining}", self.position, name)
        inner = type(self)(self.octets, self.offset, self.offset + size, base=self.base, trace=self.trace)
        inner.whole = self.whole or self
        self.offset += size
        return inner

    def charge(self, elements: int, name: str) -> None:
        """Charge values to the budget of the whole message, before they are made.

        Raises:
            WireError: the message would hold more than ``ELEMENTS_PER_OCTET`` values for each of its octets, or more
                than ``ELEMENTS_MAX``.

        """
        root = self.whole or self
        root.charged += elements
        most = min(ELEMENTS_PER_OCTET * len(root.octets), ELEMENTS_MAX)
        if root.charged > most:
            reason = f"more than {most} values in {len(root.octets)} octets"
            raise WireError(reason, self.position, name)

    def explain(self, meaning: str) -> None:
        """Add the meaning of the field read last to the trace, where one is kept."""
        if self.trace is not None and self.trace.spans:
            last = self.trace.spans[-1]
            self.trace.spans[-1] = Span(last.offset, last.octets, last.field, meaning)

    def finish(self, name: str) -> None:
        """Check that everything was used.

        Raises:
            WireError: octets are left over.

        """
        if self.offset != self.end:
            raise WireError(f"{self.remaining} octets left over", self.position, name)

    def _integer(self, size: int, name: str, order: str, *, signed: bool) -> int:
        stop = self.offset + size
        if stop > self.end:
            raise TruncatedError(f"needs {size} octets, has {self.remaining}", self.position, name)
        octets = self.octets[self.offset : stop]
        value = int.from_bytes(octets, "big" if order == "big" else "little", signed=signed)
        if self.trace is not None:
            self.trace.add(self.position, octets, name, str(value))
        self.offset = stop
        return value
