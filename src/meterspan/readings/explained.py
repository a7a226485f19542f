"""The explanation of a frame, made whole: every octet once and in order, codes with their names, values with units.

Strategy: readers trace fields as they come to them, containers and their contents alike. Here a section's fields are
put in order, a container gives way to what it contains, and COSEM data get the words that only their neighbours tell:
the quantity of an OBIS code, the scaler and unit beside a number. Sections are octets of their own: a plaintext.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import replace

from meterspan.quantities import Obis, parse_obis, unit_of_code
from meterspan.readings.names import meaning_of
from meterspan.wire import Span, Trace

__all__ = ["NEW_SECTION", "Pieces", "explain_section", "finish_trace"]

NEW_SECTION = "plaintext"
"""The field of a span without octets: offsets after it are those of other octets, such as what was deciphered."""
NOT_READ = "not read"
_ITEM = re.compile(r"(.+)\[(\d+)\]")
_CODE_OCTETS = 6


class Pieces:
    """Where the octets of a message lie in the frames that carried it.

    A message may be carried in several segments; its fields are traced by their place in the message.
    """

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._offsets: list[int] = []
        self._sizes: list[int] = []

    def add(self, offset: int, size: int) -> None:
        """Add the next ``size`` octets of the message, which stand at ``offset`` of the input."""
        self._starts.append(self.size)
        self._offsets.append(offset)
        self._sizes.append(size)

    @property
    def size(self) -> int:
        """Octets of the message so far."""
        return self._starts[-1] + self._sizes[-1] if self._starts else 0

    def placed(self, spans: Sequence[Span]) -> Iterator[Span]:
        """Yield the spans of the message by their place in the input; one across two segments in two parts."""
        is_own = True
        for span in spans:
            is_own &= not (span.field == NEW_SECTION and not span.octets)
            if not is_own or not span.octets:
                yield span
                continue
            yield from self._parts(span)

    def _parts(self, span: Span) -> Iterator[Span]:
        at, rest, field, meaning = span.offset, span.octets, span.field, span.meaning
        while rest:
            piece = bisect_right(self._starts, at) - 1
            inside = at - self._starts[piece] if piece >= 0 else 0
            size = min(len(rest), max(1, self._sizes[piece] - inside)) if piece >= 0 else len(rest)
            yield Span((self._offsets[piece] if piece >= 0 else 0) + inside, rest[:size], field, meaning)
            at, rest, field, meaning = at + size, rest[size:], f"{span.field}, continued", ""


def finish_trace(trace: Trace) -> None:
    """Put the spans of a trace in order, each octet once, and add what neighbours say about each other."""
    finished: list[Span] = []
    section: list[Span] = []
    for span in trace.spans:
        if span.field == NEW_SECTION and not span.octets:
            finished += [*explain_section(section), span]
            section = []
        else:
            section.append(span)
    trace.spans[:] = [*finished, *explain_section(section)]


def explain_section(spans: Sequence[Span]) -> list[Span]:
    """Return the spans of one section: in order, without containers, with names and units."""
    return _with_units(list(map(_named, _flat(spans))))


def _flat(spans: Sequence[Span]) -> Iterator[Span]:
    """Yield spans in order; a span that others cover gives way to them, and what none covers stays of it."""
    at = 0
    for span in sorted(_leaves(spans), key=lambda span: span.offset):
        inside = max(0, at - span.offset)
        if inside < len(span.octets):  # of damaged octets, two readings may overlap: the first one stays
            yield replace(span, offset=span.offset + inside, octets=span.octets[inside:]) if inside else span
            at = span.offset + len(span.octets)


def _leaves(spans: Sequence[Span]) -> Iterator[Span]:
    """Yield spans that contain no other, and the parts of the others that nobody read, in any order."""
    ordered = sorted((span for span in spans if span.octets), key=lambda span: (span.offset, -len(span.octets)))
    for index, span in enumerate(ordered):
        at, end = span.offset, span.offset + len(span.octets)
        is_container = False
        for place in range(index + 1, len(ordered)):
            inner = ordered[place]
            if inner.offset >= end:
                break
            is_container = True
            if inner.offset > at:
                yield _part(span, at, inner.offset)
            at = max(at, inner.offset + len(inner.octets))
        if not is_container:
            yield span
        elif at < end:
            yield _part(span, at, end)


def _part(span: Span, start: int, end: int) -> Span:
    return Span(start, span.octets[start - span.offset : end - span.offset], f"{span.field}, {NOT_READ}", "")


def _named(span: Span) -> Span:
    """Add the name of an OBIS code: of its six octets, or of the field of a P1 line."""
    code = _code_of(span)
    name = "" if code is None else meaning_of(code).quantity
    if code is None or name == "value":
        return span
    if span.field == str(code):
        return replace(span, meaning=f"{name}: {span.meaning}")
    return replace(span, meaning=f"{span.meaning} {name}" if span.meaning else f"{code} {name}")


def _code_of(span: Span) -> Obis | None:
    if len(span.octets) == _CODE_OCTETS and str(Obis(*span.octets)) in span.meaning:
        return Obis(*span.octets)
    if "-" not in span.field:
        return None
    try:
        return parse_obis(span.field)
    except ValueError:
        return None


def _with_units(spans: list[Span]) -> list[Span]:
    """Return the spans of COSEM data with scalers and units in words, and the step of the value before them."""
    types: dict[str, str] = {}
    values: dict[str, tuple[int, str]] = {}
    for index, span in enumerate(spans):
        if span.field not in types:
            types[span.field] = span.meaning
        else:
            values[span.field] = (index, span.meaning)
    for field, (index, meaning) in list(values.items()):
        pair = _parent_if(field, "1", types, "enum")
        if pair is None or types.get(f"{pair}[0]") != "integer" or f"{pair}[0]" not in values or f"{pair}[2]" in types:
            continue
        place, exponent = values[f"{pair}[0]"]
        unit = unit_of_code(int(meaning)).symbol
        spans[index] = replace(spans[index], meaning=f"{meaning}: unit {unit}")
        spans[place] = replace(spans[place], meaning=f"{exponent}: scaler, times 10^{exponent}")
        _say_value(spans, values, pair, f"10^{exponent} {unit}")
    return spans


def _say_value(spans: list[Span], values: dict[str, tuple[int, str]], pair: str, step: str) -> None:
    """Add the step and unit to the value that stands before them."""
    match = _ITEM.fullmatch(pair)
    if match is None or int(match[2]) == 0:
        return
    value = f"{match[1]}[{int(match[2]) - 1}]"
    if value in values:
        place, meaning = values[value]
        spans[place] = replace(spans[place], meaning=f"{meaning}, times {step}")


def _parent_if(field: str, item: str, types: dict[str, str], kind: str) -> str | None:
    match = _ITEM.fullmatch(field)
    return match[1] if match is not None and match[2] == item and types.get(field) == kind else None
