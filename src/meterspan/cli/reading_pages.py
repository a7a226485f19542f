"""How ``meterspan read`` prints a reading: tables for people, one JSON document for machines, frames in words."""

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from decimal import Decimal
from textwrap import shorten
from typing import Any, Final

import msgspec
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from meterspan.app.bench_reading import BenchReading, column_texts, object_name, row_times
from meterspan.cli.terminal import cell, plain
from meterspan.crypto.mechanisms import mechanism_of
from meterspan.engine.frame_trace import FrameDirection, TracedFrame
from meterspan.engine.scripts import ProfileRead
from meterspan.model.cosem.access import AttributeAccess, MethodAccess
from meterspan.model.cosem.classes import interface_class
from meterspan.model.cosem.event_codes import event_words
from meterspan.model.cosem.profile import is_clock
from meterspan.model.cosem.view import ObjectListElement
from meterspan.quantities import ClockStatus, Scaled, in_thousands
from meterspan.readings.names import meaning_of
from meterspan.wire.axdr import ClockColumn, FloatColumn, IntegerColumn

__all__ = ["reading_json", "show_reading", "trace_lines"]

OFFSET_WARN_S: Final = 5.0
"""A clock that is further off is shown in yellow; DSMR P3 asks for synchronising from ten seconds on."""
OFFSET_BAD_S: Final = 60.0
_ACCESS: Final = {
    AttributeAccess.NO_ACCESS: "-",
    AttributeAccess.READ_ONLY: "r",
    AttributeAccess.WRITE_ONLY: "w",
    AttributeAccess.READ_AND_WRITE: "rw",
    AttributeAccess.AUTHENTICATED_READ_ONLY: "R",
    AttributeAccess.AUTHENTICATED_WRITE_ONLY: "W",
    AttributeAccess.AUTHENTICATED_READ_AND_WRITE: "RW",
}


def show_reading(console: Console, found: BenchReading, *, place: str, zone: tzinfo, with_view: bool) -> None:
    """Print a reading for people.

    Args:
        console: where to print.
        found: the reading.
        place: the endpoint, as the user wrote it.
        zone: time zone of the printed times.
        with_view: whether to print the association view.

    """
    console.print(_head(found, place, zone))
    if found.registers:
        console.print(_registers(found))
    if with_view:
        console.print(_view(found.view))
    if found.profile is not None:
        console.print(_rows(found.profile, zone, f"profile {found.profile.layout.logical_name}"))
    if found.events is not None:
        console.print(_events(found.events, zone))
    for trouble in found.troubles:
        console.print(f"[yellow]not read:[/yellow] {plain(trouble)}", highlight=False)
    if not found.registers and not found.troubles:
        console.print("[dim]this client may see no registers; try --auth lls or --auth hls5[/dim]", highlight=False)


def reading_json(found: BenchReading, place: str) -> str:
    """Write a reading as one JSON document; numbers keep all their digits, times are UTC."""
    document = {
        "endpoint": place,
        "meter": found.name,
        "association": {
            "client": found.addresses.client,
            "server": found.addresses.server,
            "mechanism": found.terms.mechanism.text,
            "ciphered": found.terms.ciphered,
            "max_pdu": found.terms.max_pdu,
            "conformance": found.terms.conformance.text,
            "system_title": found.terms.peer_title.hex(),
        },
        "identification": [
            {"obis": str(entry.obis), "name": entry.name, "value": entry.text} for entry in found.identities
        ],
        "clock": None
        if found.clock is None
        else {
            "time": str(found.clock),
            "offset_s": None if found.clock_offset_s is None else round(found.clock_offset_s, 2),
            "valid": found.clock.is_valid,
        },
        "registers": [
            {
                "obis": str(line.obis),
                "quantity": line.quantity,
                "value": None if line.value is None else _exact(line.value.decimal),
                "unit": "" if line.value is None else str(line.value.unit),
                **({"refused": line.refused} if line.refused else {}),
            }
            for line in found.registers
        ],
        "view": [_element_json(element) for element in found.view],
        "profile": None if found.profile is None else _rows_json(found.profile),
        "events": None if found.events is None else _rows_json(found.events)["rows"],
        "not_read": found.troubles,
    }
    return msgspec.json.encode(document, enc_hook=str, order=None).decode()


def trace_lines(frame: TracedFrame, zone: tzinfo, *, whole: bool) -> Iterator[str]:
    """Write one frame of a trace in Rich markup: time, direction, kind; its octets; its meaning.

    Args:
        frame: of the trace.
        zone: time zone of the printed time.
        whole: every octet and word, as for a file; else a terminal is not filled by one frame.

    """
    when = datetime.fromtimestamp(frame.at, zone)
    arrow = "[green]→[/green]" if frame.direction is FrameDirection.SENT else "[blue]←[/blue]"
    yield f"[dim]{when:%H:%M:%S.%f}[/dim] {arrow} [bold]{plain(frame.link)}[/bold]"
    count = len(frame.octets) if whole else _OCTETS_SHOWN
    shown = frame.octets[:count].hex(" ").upper()
    more = f" … {len(frame.octets)} octets" if len(frame.octets) > count else ""
    yield f"                  [cyan]{shown}[/cyan][dim]{more}[/dim]"
    if frame.says:
        says = frame.says if whole else shorten(frame.says, _CHARACTERS_SHOWN, placeholder=" …")
        yield f"                  {plain(says)}"


_OCTETS_SHOWN: Final = 96
_CHARACTERS_SHOWN: Final = 400


def _head(found: BenchReading, place: str, zone: tzinfo) -> Panel:
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for entry in found.identities[1:]:
        table.add_row(entry.name, f"[bold]{plain(entry.text)}[/bold]")
    if found.clock is not None:
        table.add_row("clock", Text("   ").join((cell(found.clock), *_offset(found))))
    terms = found.terms
    ciphered = ", [green]ciphered[/green]" if terms.ciphered else ""
    title = f", system title {terms.peer_title.hex()}" if terms.peer_title else ""
    mechanism = mechanism_of(terms.mechanism)
    who = f"client {found.addresses.client}, {terms.mechanism.text if mechanism is None else mechanism.text}"
    table.add_row("association", f"{plain(who)}{ciphered}{plain(title)}")
    if found.view:
        classes = len({element.class_id for element in found.view})
        table.add_row("objects", f"{len(found.view)} of {classes} classes")
    name = plain(found.name) or "meter"
    read_at = f"[dim]{datetime.now(zone):%Y-%m-%d %H:%M:%S %Z}[/dim]"
    return Panel(
        table,
        title=f"[bold]{name}[/bold]  {plain(place)}",
        title_align="left",
        subtitle=read_at,
        subtitle_align="right",
        border_style="blue",
        expand=False,
    )


def _offset(found: BenchReading) -> Iterator[Text]:
    """Yield by how much the clock differs, and what it says of itself."""
    clock, offset = found.clock, found.clock_offset_s
    if offset is None:
        yield cell("no instant", "yellow")
    else:
        colour = "green" if abs(offset) < OFFSET_WARN_S else "yellow" if abs(offset) < OFFSET_BAD_S else "red"
        exact, sense = abs(offset) < 1, "fast" if offset > 0 else "slow"
        yield cell("right to the second" if exact else f"{_span(abs(offset))} {sense}", colour)
    words = "" if clock is None or clock.status is None else _status_words(clock.status)
    if words:
        yield cell(words, "dim")


def _span(seconds: float) -> str:
    for unit, size in (("days", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _status_words(status: ClockStatus) -> str:
    words = [flag.name.lower().replace("_", " ") for flag in ClockStatus if flag in status and flag.name]
    return f"({', '.join(words)})" if words else ""


def _registers(found: BenchReading) -> Table:
    table = Table(header_style="bold", title="registers", title_justify="left", title_style="bold")
    table.add_column("OBIS", style="cyan", no_wrap=True)
    table.add_column("quantity")
    table.add_column("value", justify="right", style="bold")
    table.add_column("unit")
    for line in found.registers:
        if line.value is None:
            table.add_row(str(line.obis), line.quantity, f"[yellow]{plain(line.refused)}[/yellow]", "")
        else:
            tariff = f" tariff {line.obis.e}" if line.obis.e and line.obis.d == 8 else ""
            table.add_row(str(line.obis), line.quantity + tariff, *_human(line.value))
    return table


def _human(value: Scaled) -> tuple[str, str]:
    number, unit = in_thousands(value.decimal, str(value.unit))
    return f"{number:,f}".replace(",", "\u202f"), "" if unit == "1" else unit


def _view(view: tuple[ObjectListElement, ...]) -> Table:
    table = Table(
        header_style="bold",
        title="association view",
        title_justify="left",
        title_style="bold",
        caption="attributes by number: r read, w write; capitals: only authenticated requests; m: methods that run",
        caption_justify="left",
    )
    table.add_column("class")
    table.add_column("OBIS", style="cyan", no_wrap=True)
    table.add_column("what it is")
    table.add_column("rights", overflow="fold")
    last = -1
    for element in view:
        name, meaning = object_name(element)
        table.add_row(
            f"{element.class_id:>3} {name}" if element.class_id != last else "",
            str(element.logical_name),
            meaning,
            _rights(element),
        )
        last = element.class_id
    return table


def _rights(element: ObjectListElement) -> str:
    parts = []
    for right in element.attributes:
        known = right.access if isinstance(right.access, AttributeAccess) else None
        parts.append(f"{right.number}[dim]{_ACCESS[known] if known is not None else right.access}[/dim]")
    runnable = [right for right in element.methods if right.access != MethodAccess.NO_ACCESS]
    parts += [f"[magenta]m{right.number}[/magenta]" for right in runnable]
    return " ".join(parts)


def _rows(read: ProfileRead, zone: tzinfo, title: str) -> Table:
    table = Table(
        header_style="bold", title=f"{title}, {read.values.count} rows", title_justify="left", title_style="bold"
    )
    texts: list[list[str]] = []
    for index, layout in enumerate(read.layout.columns):
        capture = layout.capture
        if index >= len(read.values.columns):
            continue
        if is_clock(capture):
            table.add_column("time", no_wrap=True)
            texts.append([_local(moment, zone) for moment in row_times(read)])
            continue
        unit = "" if layout.scaler is None else f" {layout.scaler.unit}"
        meaning = meaning_of(capture.instance).quantity
        table.add_column(f"{plain(capture.instance)}\n[dim]{plain(meaning + unit)}[/dim]", justify="right")
        texts.append(column_texts(read, index))
    for row in zip(*texts, strict=True):
        table.add_row(*map(plain, row))
    return table


def _events(read: ProfileRead, zone: tzinfo) -> Table:
    table = Table(header_style="bold", title="events", title_justify="left", title_style="bold")
    table.add_column("time", no_wrap=True)
    table.add_column("code", justify="right")
    table.add_column("event")
    for event in reversed(_rows_json(read)["rows"]):
        codes = [value for value in event.values() if isinstance(value, int)]
        code = codes[0] if codes else None
        moment = event.get("time")
        when = _local(datetime.fromisoformat(moment), zone) if moment else ""
        table.add_row(when, "" if code is None else str(code), "" if code is None else event_words(code))
    if not table.row_count:
        table.add_row("", "", "[dim]no event[/dim]")
    return table


def _local(moment: datetime | None, zone: tzinfo) -> str:
    return "" if moment is None else f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S %Z}"


def _rows_json(read: ProfileRead) -> dict[str, Any]:
    names, columns = [], []
    for index, layout in enumerate(read.layout.columns):
        if index >= len(read.values.columns):
            continue
        column = read.values.columns[index]
        if isinstance(column, ClockColumn) and is_clock(layout.capture):
            names.append("time")
            columns.append([None if moment is None else _utc(moment) for moment in row_times(read)])
        else:
            names.append(str(layout.capture.instance))
            is_number = isinstance(column, IntegerColumn | FloatColumn)
            columns.append([_exact_text(text) if is_number else text or None for text in column_texts(read, index)])
    units = {
        str(layout.capture.instance): str(layout.scaler.unit)
        for layout in read.layout.columns
        if layout.scaler is not None
    }
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    return {
        "obis": str(read.layout.logical_name),
        "period_s": read.layout.capture_period_s,
        "units": units,
        "rows": rows,
    }


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _exact_text(text: str) -> Any:
    try:
        return _exact(Decimal(text))
    except ArithmeticError:
        return text or None


def _exact(value: Decimal) -> Any:
    """Return a number that JSON writes with all its digits; a float that is not a number becomes None."""
    if not value.is_finite():
        return None
    return int(value) if value == value.to_integral_value() else msgspec.Raw(f"{value:f}".encode())


def _element_json(element: ObjectListElement) -> dict[str, Any]:
    declared = interface_class(element.class_id, element.version)
    return {
        "class_id": element.class_id,
        "class": declared.name if declared else None,
        "version": element.version,
        "obis": str(element.logical_name),
        "attributes": {str(right.number): int(right.access) for right in element.attributes},
        "methods": {str(right.number): int(right.access) for right in element.methods},
    }
