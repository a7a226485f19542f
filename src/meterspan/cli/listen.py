"""``meterspan listen``: every meter within earshot, live, with the latest of each and how its telegrams fare."""

import json
import sys
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from meterspan.app.decoding import telegram_json
from meterspan.app.heard_meters import age_text, amount_text, label_text, main_readings, why_not_read
from meterspan.app.listen_screen import has_screen, show_listening
from meterspan.app.listening import HeardMeter, Hearing, KeyFile, Listening, Outcome, listen_at
from meterspan.cli.key_files import load_key_file, read_key_file
from meterspan.cli.terminal import Terminal, cell, plain
from meterspan.model.telegram import DecodedReading
from meterspan.quantities import utc, utc_text
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
_READINGS_SHOWN: Final = 4
_COLOURS: Final = {
    Outcome.READ: "green",
    Outcome.NO_KEY: "yellow",
    Outcome.WRONG_KEY: "red",
    Outcome.DAMAGED: "red",
    Outcome.NOT_PROTECTED: "red",
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
    key_file = None if keys is None else KeyFile(keys, load_key_file, read_key_file(keys))
    try:
        if not as_json and has_screen():
            found = show_listening(places, key_file, seconds=seconds)
        else:
            found = listen_at(
                places,
                key_file,
                seconds=seconds,
                on_hearing=_print_line if as_json else lambda _hearing: None,
                on_ready=_print_port if as_json else lambda _port: None,
                on_key_trouble=_print_trouble if as_json else lambda _text: None,
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


def _print_trouble(text: str) -> None:
    Terminal(stderr=True).print(plain(text), highlight=False, soft_wrap=True)


def _table(listening: Listening) -> RenderableType:
    now, heard = listening.clock(), listening.listener
    table = Table(
        box=None,
        header_style="bold",
        padding=(0, 2, 0, 0),
        title=_title(listening),
        title_justify="left",
        title_style="",
    )
    table.add_column("heard", justify="right", no_wrap=True)
    table.add_column("meter", style="cyan", overflow="fold", max_width=20)
    table.add_column("medium", overflow="fold", max_width=12)
    table.add_column("values", overflow="fold", min_width=20)
    table.add_column("count", justify="right")
    table.add_column("last", no_wrap=True)
    for name in sorted(heard.meters):
        table.add_row(*_row(name, heard.meters[name], now))
    troubles = [cell(text, "yellow") for text in listening.trouble.values()]
    if heard.last_damage:
        troubles.append(cell(f"last damage: {heard.last_damage}", "dim"))
    if not heard.meters:
        troubles.insert(0, Text("nothing heard", style="dim"))
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
    values = "   ".join(map(_value, main_readings(meter)[:_READINGS_SHOWN]))
    colour = _COLOURS[meter.last.outcome]
    return (
        age_text(now - meter.last.at),
        plain(name),
        plain(meter.last.telegram.device.medium),
        values or f"[dim]{plain(why_not_read(meter))}[/dim]",
        str(meter.count),
        f"[{colour}]{meter.last.outcome}[/{colour}]",
    )


def _value(reading: DecodedReading) -> str:
    label = label_text(reading)
    head = f"[dim]{label}[/dim] " if label else ""
    return f"{head}[bold]{plain(amount_text(reading))}[/bold]"


def _line(hearing: Hearing) -> str:
    when = utc_text(utc(hearing.at), "milliseconds")
    head = {"at": when, "source": hearing.source, "meter": hearing.name, "status": str(hearing.outcome)}
    return json.dumps(head)[:-1] + ", " + telegram_json(hearing.telegram)[1:]


def _endpoint(text: str) -> Endpoint:
    try:
        return parse_endpoint(text, SCHEMES, default_port=RADIO_PORT if text.startswith("udp") else 0)
    except EndpointError as error:
        raise typer.BadParameter(str(error), param_hint="SOURCES") from error
