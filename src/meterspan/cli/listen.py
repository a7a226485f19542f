"""``meterspan listen``: every meter within earshot, live, with the latest of each and how its telegrams fare."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from meterspan.app.decoding import telegram_json
from meterspan.app.listening import HeardMeter, Hearing, Listening, Outcome, listen_at
from meterspan.cli.key_files import read_key_file
from meterspan.cli.terminal import Terminal, plain
from meterspan.model.telegram import DecodedReading
from meterspan.quantities import Medium, in_thousands, utc, utc_text
from meterspan.runtime.endpoints import Endpoint, EndpointError, parse_endpoint
from meterspan.runtime.media import CannotConnectError
from meterspan.runtime.push_source import PUSH_SCHEMES

__all__ = ["EPILOG", "listen"]

EPILOG = """\
[bold]Examples[/bold]

meterspan listen udp://:7373 --keys bench.toml             [dim]radio meters of meterspan meter --medium gas[/dim]

meterspan listen hex+serial:///dev/ttyUSB0?baud=38400 --keys keys.toml  [dim]a stick that prints hex lines[/dim]

meterspan listen serial:///dev/ttyUSB1?baud=115200        [dim]the P1 port of a meter[/dim]

meterspan listen push+tcp://:4060 udp://:4060 --keys bench.toml
  [dim]DLMS pushes of meterspan meter --push 127.0.0.1:4060?confirm=no[/dim]

rtl_wmbus | meterspan listen - --json                      [dim]lines with telegrams, one JSON object for each[/dim]

A key file has a table for each meter: [bold]\\[meters."MSP-12345678-03"][/bold] with [bold]key = "…"[/bold].
"""

SCHEMES: Final = ("udp", "tcp", "serial", "hex+serial", "hex+tcp", *PUSH_SCHEMES)
RADIO_PORT: Final = 7373
_EXPORT: Final = 2
"""Value group C of active energy and power that flows into the network (IEC 62056-6-1, table 5)."""
_READINGS_SHOWN: Final = 4
_FRESH_S: Final = 5.0
_COLOURS: Final = {
    Outcome.READ: "green",
    Outcome.NO_KEY: "yellow",
    Outcome.WRONG_KEY: "red",
    Outcome.DAMAGED: "red",
    Outcome.NOT_READ: "yellow",
}


def listen(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="udp://:7373, push+tcp://:4060, tcp://host:port (P1), serial:///dev/… (P1), hex+serial:///dev/… or -"
        ),
    ] = None,
    keys: Annotated[Path | None, typer.Option(help="Key file.", metavar="FILE")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each telegram.")] = False,
    seconds: Annotated[float | None, typer.Option("--for", help="End after so many seconds.", min=0.1)] = None,
) -> None:
    """Listen to meters: wireless M-Bus datagrams, DLMS pushes, P1 ports, receivers that print hexadecimal lines.

    Damaged, unknown and wrongly keyed telegrams are counted and shown, and never stop the listening.
    """
    places = [None if text == "-" else _endpoint(text) for text in sources or [f"udp://:{RADIO_PORT}"]]
    filed = {} if keys is None else read_key_file(keys)
    is_painted = not as_json and sys.stdout.isatty()
    try:
        found = listen_at(
            places,
            {name: found.key for name, found in filed.items()},
            push_keys=filed,
            seconds=seconds,
            on_hearing=_print_line if as_json else lambda _hearing: None,
            on_ready=_print_port if as_json else lambda _port: None,
            shown=_painted if is_painted else None,
        )
    except CannotConnectError as error:
        Terminal(stderr=True).print(f"[red]{plain(error)}[/red]", highlight=False)
        raise typer.Exit(1) from error
    if not as_json:
        Terminal().print(_table(found))


def _print_line(hearing: Hearing) -> None:
    sys.stdout.write(_line(hearing) + "\n")
    sys.stdout.flush()


def _print_port(port: int) -> None:
    sys.stderr.write(f"listening at port {port}\n")
    sys.stderr.flush()


@contextmanager
def _painted(listening: Listening) -> Iterator[Callable[[], None]]:
    with Live(console=Terminal(), auto_refresh=False, screen=True) as live:
        yield lambda: live.update(_table(listening), refresh=True)


def _table(listening: Listening) -> RenderableType:
    now, heard = listening.clock(), listening.listener
    table = Table(header_style="bold", expand=True, title=_title(listening), title_justify="left", title_style="")
    table.add_column("heard", justify="right", no_wrap=True)
    table.add_column("meter", style="cyan", no_wrap=True)
    table.add_column("medium")
    table.add_column("values", ratio=1)
    table.add_column("telegrams", justify="right")
    table.add_column("last", no_wrap=True)
    for name in sorted(heard.meters):
        table.add_row(*_row(name, heard.meters[name], now))
    troubles = [Text(text, style="yellow") for text in listening.trouble.values()]
    if heard.last_damage:
        troubles.append(Text(f"last damage: {heard.last_damage}", style="dim"))
    if not heard.meters:
        troubles.insert(0, Text("nothing heard yet", style="dim"))
    return Group(table, *troubles)


def _title(listening: Listening) -> str:
    places = "  ".join("-" if place is None else str(place) for place in listening.places)
    outcomes = listening.listener.outcomes
    counts = "  ".join(
        f"[{_COLOURS[outcome]}]{outcomes[outcome]} {outcome}[/{_COLOURS[outcome]}]"
        for outcome in Outcome
        if outcomes[outcome]
    )
    return f"[bold]listening[/bold]  [dim]{plain(places)}[/dim]  {counts}"


def _row(name: str, meter: HeardMeter, now: float) -> tuple[str, ...]:
    age = now - meter.last.at
    readings = () if meter.read is None else meter.read.telegram.readings
    ranked = sorted((r for r in readings if r.unit in _RANKS and r.storage == 0), key=_rank)
    values = "   ".join(map(_value, ranked[:_READINGS_SHOWN]))
    colour = _COLOURS[meter.last.outcome]
    return (
        f"[{'bold green' if age < _FRESH_S else 'dim'}]{_age(age)}[/]",
        plain(name),
        meter.last.telegram.device.medium,
        values or f"[dim]{_WHY.get(meter.last.outcome) or plain(meter.last.telegram.error or '')}[/dim]",
        str(meter.count),
        f"[{colour}]{meter.last.outcome}[/{colour}]",
    )


_RANKS: Final = {
    unit: rank
    for rank, units in enumerate(
        (
            ("Wh", "kWh", "MWh", "J", "MJ", "GJ", "m3", "L", "hca"),
            ("W", "kW", "m3/h", "L/h"),
            ("°C", "bar", "V", "A", "%"),
        )
    )
    for unit in units
}
"""Registers are shown first, then powers and flows, then the rest; zeros are last."""
_WHY: Final = {
    Outcome.NO_KEY: "encrypted; its key is not in the key file",
    Outcome.WRONG_KEY: "encrypted; the key in the key file does not fit",
}


def _rank(reading: DecodedReading) -> tuple[bool, int]:
    return reading.value == 0, _RANKS[reading.unit]


def _value(reading: DecodedReading) -> str:
    is_export = reading.obis is not None and reading.obis.a == Medium.ELECTRICITY and reading.obis.c == _EXPORT
    words = [*(["export"] if is_export else []), *([f"T{reading.tariff}"] if reading.tariff else [])]
    tariff = f"[dim]{' '.join(words)}[/dim] " if words else ""
    value, unit = reading.value, reading.unit
    if not isinstance(value, str):
        value, unit = in_thousands(Decimal(value), unit)
    return (
        f"{tariff}[bold]{value:f}[/bold] {unit}"
        if isinstance(value, Decimal)
        else f"{tariff}[bold]{value}[/bold] {unit}"
    )


def _age(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3_600 else f"{seconds / 3_600:.0f} h"


def _line(hearing: Hearing) -> str:
    when = utc_text(utc(hearing.at), "milliseconds")
    head = {"at": when, "source": hearing.source, "meter": hearing.name, "status": str(hearing.outcome)}
    return json.dumps(head)[:-1] + ", " + telegram_json(hearing.telegram)[1:]


def _endpoint(text: str) -> Endpoint:
    try:
        return parse_endpoint(text, SCHEMES, default_port=RADIO_PORT if text.startswith("udp") else 0)
    except EndpointError as error:
        raise typer.BadParameter(str(error), param_hint="SOURCES") from error
