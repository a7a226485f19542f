"""SML files in words: every octet of a message with its field, its value, and the unit that its neighbours give it.

Strategy: the elements of a message are walked beside the shape that the standard gives them (SML 1.04, 5.1); where a
message has another shape, its elements are named by their place alone.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import TypeAlias

from meterspan.quantities import Obis, unit_of_code
from meterspan.readings.explained import NOT_READ
from meterspan.readings.names import meaning_of
from meterspan.wire import Cursor, Trace, WireError
from meterspan.wire.sml import SmlTag, SmlTimeKind
from meterspan.wire.sml.tlv import BOOLEAN, LIST, MAX_DEPTH, OCTETS, SIGNED, read_head

__all__ = ["explain_file", "explain_frame"]

Shape: TypeAlias = "str | tuple[str, Sequence[Shape]]"
"""The name of an element, and of a list its elements' shapes; ``EACH`` repeats the one that follows."""

EACH = "each"
_TIME: Shape = ("time", ("what it counts", ("time stamp", ("seconds", "local offset", "season offset"))))
_ENTRY: Shape = (
    "entry",
    ("OBIS code", "status", ("value time", _TIME[1]), "unit", "scaler", "value", "value signature"),
)
_PERIOD: Shape = ("entry", ("OBIS code", "unit", "scaler", "value", "value signature"))
_BODIES: dict[int, Shape] = {
    SmlTag.OPEN_RESPONSE: (
        "open response",
        ("codepage", "client id", "file id", "server id", ("reference time", _TIME[1]), "SML version"),
    ),
    SmlTag.CLOSE_RESPONSE: ("close response", ("global signature",)),
    SmlTag.GET_LIST_RESPONSE: (
        "list response",
        (
            "client id",
            "server id",
            "list name",
            ("sensor time", _TIME[1]),
            ("values", (EACH, _ENTRY)),
            "list signature",
            ("gateway time", _TIME[1]),
        ),
    ),
    SmlTag.GET_PROFILE_LIST_RESPONSE: (
        "profile list response",
        (
            "server id",
            ("acting time", _TIME[1]),
            "registration period",
            ("path", (EACH, "path step")),
            ("value time", _TIME[1]),
            "status",
            ("period values", (EACH, _PERIOD)),
            "raw data",
            "period signature",
        ),
    ),
}
_MESSAGE = ("transaction id", "group number", "abort on error", "message body", "message CRC", "end of message")
_START, _END = 8, 8


def explain_frame(octets: bytes, offset: int, size: int, file: bytes, trace: Trace) -> None:
    """Explain one transport frame of a capture.

    Args:
        octets: the capture.
        offset: of the frame.
        size: its octets.
        file: the file that it carries.
        trace: collects the fields.

    """
    frame = octets[offset : offset + size]
    trace.add(offset, frame[:4], "escape", "")
    trace.add(offset + 4, frame[4:_START], "start", "transport version 1")
    inner = frame[_START:-_END]
    if inner.startswith(file):
        explain_file(file, offset + _START, trace)
    else:  # escape sequences of its own are doubled in the frame
        trace.add(offset + _START, inner, "file", "with doubled escape sequences; it is explained without them below")
    fill = len(inner) - len(file)
    if inner.startswith(file) and fill:
        trace.add(offset + _START + len(file), inner[len(file) :], "fill", "")
    end = offset + size - _END
    trace.add(end, frame[-8:-4], "escape", "")
    trace.add(end + 4, frame[-4:-3], "end of file", "")
    trace.add(end + 5, frame[-3:-2], "number of fill octets", str(frame[-3]))
    trace.add(end + 6, frame[-2:], "CRC", "right")


def explain_file(file: bytes, base: int, trace: Trace) -> None:
    """Explain the messages of a file; damage ends the explanation, and is named by the reader of the file."""
    cursor, before = Cursor(file, base=base), len(trace.spans)
    try:
        while cursor.remaining:
            if cursor.peek() == b"\x00":
                trace.add(cursor.position, cursor.take(1, "fill"), "fill", "")
            else:
                _Walk(cursor, trace).message()
    except WireError:
        read = sum(len(span.octets) for span in trace.spans[before:])
        trace.add(base + read, file[read:], NOT_READ, "")


class _Walk:
    """Walks over one message."""

    def __init__(self, cursor: Cursor, trace: Trace) -> None:
        self._cursor = cursor
        self._trace = trace
        self._tag = 0
        self._row: list[str | None] = [None, None, None]
        """Quantity, unit and power of ten of the value that follows."""

    def message(self) -> None:
        """Explain the message."""
        _, count = self._head("message", f"{len(_MESSAGE)} elements")
        for name in _MESSAGE[:count]:
            self._element(name, 0)

    def _element(self, shape: Shape, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise WireError("nested too deep", self._cursor.position, "SML message")
        name, inner = (shape, ()) if isinstance(shape, str) else shape
        cursor, start = self._cursor, self._cursor.offset
        if cursor.peek() == b"\x00":
            self._trace.add(cursor.position, cursor.take(1, name), name, "")
            return
        kind, length, head = read_head(cursor, name)
        if kind == LIST:
            self._add(start, name, f"list of {length}")
            self._list(name, inner, length, depth)
            return
        octets = cursor.take(max(0, length - head), name)
        self._add(start, name, self._meaning(name, kind, octets))

    def _list(self, name: str, inner: Sequence[Shape], length: int, depth: int) -> None:
        if name == "message body":
            self._element("kind of message", depth + 1)
            for _ in range(length - 1):
                self._element(_BODIES.get(self._tag, "content"), depth + 1)
            return
        if inner[:1] == (EACH,):
            shapes: Sequence[Shape] = (inner[1],) * length
        elif len(inner) == length:
            shapes = inner
        else:
            shapes = tuple(f"{name} [{place}]" for place in range(length))
        for shape in shapes:
            self._element(shape, depth + 1)

    def _head(self, name: str, meaning: str) -> tuple[int, int]:
        start = self._cursor.offset
        kind, length, _ = read_head(self._cursor, name)
        self._add(start, name, meaning)
        return kind, length

    def _add(self, start: int, name: str, meaning: str) -> None:
        cursor = self._cursor
        self._trace.add(cursor.base + start, cursor.octets[start : cursor.offset], name, meaning)

    def _meaning(self, name: str, kind: int, octets: bytes) -> str:
        if not octets:
            return "not given"
        if kind == OCTETS:
            return self._octets(name, octets)
        if kind == BOOLEAN:
            return "yes" if octets[0] else "no"
        return self._number(name, int.from_bytes(octets, "big", signed=kind == SIGNED))

    def _octets(self, name: str, octets: bytes) -> str:
        if name == "OBIS code" and len(octets) == 6:
            code = Obis(*octets)
            quantity = meaning_of(code).quantity
            self._row = [quantity, None, None]
            return f"{code} {quantity}" if quantity != "value" else str(code)
        is_text = name != "OBIS code" and octets.isascii() and octets.decode().isprintable()
        return f'"{octets.decode()}"' if is_text else f"{len(octets)} octets"

    def _number(self, name: str, number: int) -> str:
        match name:
            case "kind of message":
                self._tag = number & 0xFFFF
                shape = _BODIES.get(self._tag)
                return f"{number:08X} {shape[0] if shape is not None else 'not known'}"
            case "unit":
                self._row[1] = unit_of_code(number).symbol if 0 <= number <= 0xFF else None
                return f"{number}: {self._row[1] or 'not known'}"
            case "scaler":
                self._row[2] = str(number)
                return f"{number}: times 10^{number}"
            case "value":
                return self._value(number)
            case "what it counts":
                known = number in set(SmlTimeKind)
                return SmlTimeKind(number).name.lower().replace("_", " ") if known else f"{number}"
            case "time stamp" | "seconds" if _YEAR_2000 <= number < _YEAR_2106:
                return f"{number}: {datetime.fromtimestamp(number, UTC):%Y-%m-%d %H:%M:%S}"
            case "message CRC":
                return f"{number & 0xFFFF:04X}"
            case _:
                return str(number)

    def _value(self, number: int) -> str:
        quantity, symbol, power = self._row
        if symbol is None:
            return str(number)
        value = Decimal(number).scaleb(int(power or 0))
        return f"{quantity} {value:f} {symbol}" if quantity != "value" else f"{value:f} {symbol}"


_YEAR_2000, _YEAR_2106 = 946_684_800, 1 << 32
