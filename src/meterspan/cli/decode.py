"""``meterspan decode``: any frame to readings, for people (tables, ``--explain``) or machines (``--jsonl``).

One output line per input line, in order, never a traceback: the answer names the error.
"""

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table
from rich.text import Text

from meterspan.app.decoding import (
    DecodeOptions,
    answer_lines,
    decoded,
    is_hexadecimal,
    number_text,
    octets_of_hex,
    telegram_json,
)
from meterspan.cli.terminal import Terminal
from meterspan.model.plain_text import one_line
from meterspan.model.telegram import DecodedReading, DecodedTelegram
from meterspan.readings import Format
from meterspan.wire import SecurityError, Trace

__all__ = ["decode", "is_incomplete", "show_telegram"]

EPILOG = """\
[bold]Examples[/bold]

meterspan decode 2144344E7856341201077A050000000413C8E100004413A0860100426C5F2C2F2F2F
[dim]a wireless M-Bus telegram; an encrypted one needs --key[/dim]

meterspan decode capture.bin --explain        [dim]what every octet of a capture means[/dim]

cat telegram.txt | meterspan decode -         [dim]a P1 telegram from standard input[/dim]

meterspan decode --jsonl - < questions.jsonl  [dim]one JSON question per line, one JSON answer per line[/dim]

A question is {"id", "hex" or "text", "key"?, "auth_key"?, "meter_id"?, "as"?}; "hex" may be a list of telegrams of one
meter: the readings are those of the last one, with the layouts learnt from the earlier ones.
"""


def decode(  # noqa: PLR0917 - typer calls it by name
    source: Annotated[str, typer.Argument(help="Hexadecimal digits, a file, or - for standard input.")],
    key: Annotated[
        str | None, typer.Option(help="Encryption key, 32 hexadecimal digits (16 for DES).", metavar="HEX")
    ] = None,
    auth_key: Annotated[str | None, typer.Option(help="Authentication key of DLMS.", metavar="HEX")] = None,
    meter_id: Annotated[str | None, typer.Option(help="The meter that is expected.", metavar="ID")] = None,
    as_: Annotated[
        str | None,
        typer.Option("--as", help=f"Kind of frame, if not to be recognised: {', '.join(Format)}.", metavar="KIND"),
    ] = None,
    fix_unsigned_power: Annotated[
        bool, typer.Option("--fix-unsigned-power", help="SML: read the power of listed DZG meters as unsigned.")
    ] = False,
    explain: Annotated[bool, typer.Option("--explain", help="Say what every octet means.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each frame.")] = False,
    jsonl: Annotated[
        bool, typer.Option("--jsonl", help="Read one JSON question per line, print one answer per line.")
    ] = False,
) -> None:
    """Decode frames of any meter: P1, DLMS push, SML, wired and wireless M-Bus.

    The frame is recognised by itself. Values come in their unit, never as raw integers; a damaged frame, a missing key
    and a wrong key are different errors. Exit status: 0 where every frame was read whole, else 1.
    """
    if jsonl:
        for answer in answer_lines(_lines(source), fix_unsigned_power=fix_unsigned_power):
            sys.stdout.write(answer + "\n")
        return
    secret, second = _key(key, "--key"), _key(auth_key, "--auth-key")
    options = DecodeOptions(secret, second, meter_id, as_, fix_unsigned_power)
    failed = False
    for telegram, trace in decoded(_inputs(source), options, explain=explain):
        failed |= is_incomplete(telegram)
        if as_json:
            sys.stdout.write(telegram_json(telegram) + "\n")
        else:
            show_telegram(telegram, trace)
    if failed:
        raise typer.Exit(1)


def is_incomplete(telegram: DecodedTelegram) -> bool:
    """Whether a frame was damaged or not read; values that nothing protects are read, and an error says so."""
    return any(not telegram.readings or not isinstance(error, SecurityError) for error in telegram.errors)


def _key(text: str | None, option: str) -> bytes | None:
    try:
        return octets_of_hex(text, option)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from error


def _lines(source: str) -> Iterable[str]:
    if source == "-":
        return sys.stdin
    path = Path(source)
    if not path.is_file():
        raise typer.BadParameter(f"{source} is no file; --jsonl reads a file or - (standard input)")
    return path.read_text("utf-8", "replace").splitlines()


def _inputs(source: str) -> list[str | bytes]:
    """Return the frames of the argument: a file's octets, or one frame per line where every line is hexadecimal."""
    octets = _file(source)
    if octets is None:
        if "\n" not in source and not is_hexadecimal(source):
            raise typer.BadParameter(f"{source[:80]} is neither a file that is there nor hexadecimal digits")
        return [source]
    lines = [line for line in octets.split(b"\n") if line.strip()]
    digits = b"0123456789abcdefABCDEF \r\t:"
    if len(lines) > 1 and all(not line.strip(digits) and len(b"".join(line.split())) % 2 == 0 for line in lines):
        return [line.decode("ascii") for line in lines]
    return [octets]


def _file(source: str) -> bytes | None:
    if source == "-":
        return sys.stdin.buffer.read()
    try:
        path = Path(source)
        return path.read_bytes() if path.is_file() else None
    except OSError:  # hexadecimal digits longer than any file name
        return None


def show_telegram(telegram: DecodedTelegram, trace: Trace | None = None) -> None:
    """Print a decoded telegram for people; with a trace, what every octet means."""
    console, device = Terminal(), telegram.device
    who = " · ".join(part for part in (device.manufacturer, device.id, device.medium, device.version) if part)
    when = f"  {telegram.time.isoformat()}" if telegram.time else ""
    console.print(_words(telegram.protocol, "bold") + _words(f"  {who}") + _words(when, "dim"))
    if trace is not None and trace.spans:
        table = Table("octet", "octets", "field", "meaning", header_style="bold", box=None, pad_edge=False)
        for span in trace.spans:
            octets = _words(_hex(span.octets), "cyan")
            table.add_row(str(span.offset), octets, _words(span.field), _words(span.meaning))
        console.print(table)
    if telegram.readings:
        console.print(_readings(telegram.readings))
    if telegram.error:
        kind = "damaged:" if telegram.readings else "not decoded:"
        console.print(_words(kind, "red") + _words(f" {telegram.error}"))


def _readings(readings: Sequence[DecodedReading]) -> Table:
    """Return the table of readings: no column that is empty in all rows, and no value cut at a narrow terminal."""
    rows = [_row(reading) for reading in readings]
    table = Table(header_style="bold")
    shown = [place for place, _ in enumerate(_COLUMNS) if any(row[place].plain for row in rows)]
    for place in shown:
        justify: Literal["left", "right"] = "right" if place == _VALUE_PLACE else "left"
        table.add_column(_COLUMNS[place], justify=justify, overflow="fold", ratio=None)
    for row in rows:
        table.add_row(*(row[place] for place in shown))
    return table


def _words(text: str, style: str = "") -> Text:
    """Show text that a frame carried as it is: it must not style the terminal, nor be read as markup."""
    return Text(one_line(text), style)


def _row(reading: DecodedReading) -> tuple[Text, ...]:
    numbers = (("storage", reading.storage), ("tariff", reading.tariff), ("subunit", reading.subunit))
    where = [f"{name} {number}" for name, number in numbers if number]
    where += [reading.function] if reading.function != "instantaneous" else []
    where += [reading.device] if reading.device else []
    value = reading.value if isinstance(reading.value, str) else number_text(reading.value)
    unit = "" if reading.unit == "1" else reading.unit
    cells = (reading.quantity, str(reading.obis or ""), value, unit, reading.time or "", ", ".join(where))
    return tuple(_words(text, "bold" if place == _VALUE_PLACE else "") for place, text in enumerate(cells))


_COLUMNS = ("quantity", "OBIS", "value", "unit", "time", "where")
_VALUE_PLACE = 2


def _hex(octets: bytes) -> str:
    shown = octets[:24].hex(" ").upper()
    return shown if len(octets) <= 24 else f"{shown} … ({len(octets)} octets)"
