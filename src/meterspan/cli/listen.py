"""``meterspan listen``: every meter within earshot, live, with the latest of each and how its telegrams fare."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import aclosing
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from meterspan.app.listening import HeardMeter, Hearing, Outcome, TelegramListener
from meterspan.cli.decode import telegram_json
from meterspan.cli.key_files import read_key_file
from meterspan.model.telegram import DecodedReading
from meterspan.quantities import Medium, utc, utc_text
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.endpoints import Endpoint, EndpointError, parse_endpoint
from meterspan.runtime.media import CannotConnectError
from meterspan.runtime.p1_source import hex_lines, p1_telegrams
from meterspan.runtime.radio import radio_telegrams

__all__ = ["EPILOG", "listen"]

EPILOG = """\
[bold]Examples[/bold]

meterspan listen udp://:7373 --keys bench.toml             [dim]radio meters of meterspan meter --medium gas[/dim]

meterspan listen hex+serial:///dev/ttyUSB0?baud=38400 --keys keys.toml  [dim]a stick that prints hex lines[/dim]

meterspan listen serial:///dev/ttyUSB1?baud=115200        [dim]the P1 port of a meter[/dim]

rtl_wmbus | meterspan listen - --json                      [dim]lines with telegrams, one JSON object for each[/dim]

A key file has a table for each meter: [bold]\\[meters."MSP-12345678-03"][/bold] with [bold]key = "…"[/bold].
"""

SCHEMES: Final = ("udp", "tcp", "serial", "hex+serial", "hex+tcp")
RADIO_PORT: Final = 7373
_REFRESH_S: Final = 0.5
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
        typer.Argument(help="udp://:7373, tcp://host:port (P1), serial:///dev/… (P1), hex+serial:///dev/… or -"),
    ] = None,
    keys: Annotated[Path | None, typer.Option(help="Key file.", metavar="FILE")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object for each telegram.")] = False,
    seconds: Annotated[float | None, typer.Option("--for", help="End after so many seconds.", min=0.1)] = None,
) -> None:
    """Listen to meters: wireless M-Bus datagrams, P1 ports, receivers that print hexadecimal lines.

    Damaged, unknown and wrongly keyed telegrams are counted and shown, and never stop the listening.
    """
    places = [None if text == "-" else _endpoint(text) for text in sources or [f"udp://:{RADIO_PORT}"]]
    listener = TelegramListener(_radio_keys(keys))
    ears = _Ears(places, listener, as_json=as_json)
    try:
        asyncio.run(ears.listen(seconds))
    except CannotConnectError as error:
        Console(stderr=True).print(f"[red]{error}[/red]", highlight=False)
        raise typer.Exit(1) from error


def _radio_keys(path: Path | None) -> dict[str, bytes]:
    return {} if path is None else {name: found.key for name, found in read_key_file(path).items()}


class _Ears:
    """All sources at once, and the table or the lines of their telegrams."""

    def __init__(self, places: list[Endpoint | None], listener: TelegramListener, *, as_json: bool) -> None:
        self._places = places
        self._listener = listener
        self._as_json = as_json
        self._clock = SystemClock()
        self._trouble: dict[str, str] = {}
        self._ports: dict[str, str] = {}

    async def listen(self, seconds: float | None) -> None:
        """Listen until a signal, the time is up, or every source has ended.

        Raises:
            CannotConnectError: a port cannot be opened.

        """
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        tasks = [asyncio.create_task(self._hear(place)) for place in self._places]
        waiting = asyncio.create_task(stop.wait())
        ending = asyncio.gather(*tasks)
        try:
            if self._as_json or not sys.stdout.isatty():
                await asyncio.wait((ending, waiting), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            else:
                await self._paint(ending, waiting, seconds)
        finally:
            waiting.cancel()
            ending.cancel()
            failures = await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(ending, return_exceptions=True)
        for failure in failures:
            if isinstance(failure, Exception):
                raise failure
        if not self._as_json:
            Console().print(self._table())

    async def _hear(self, place: Endpoint | None) -> None:
        async with aclosing(self._hearings(place)) as hearings:
            async for hearing in hearings:
                self._trouble.pop(str(place), None)
                if self._as_json:
                    sys.stdout.write(_line(hearing) + "\n")
                    sys.stdout.flush()

    async def _hearings(self, place: Endpoint | None) -> AsyncGenerator[Hearing, None]:
        def trouble(text: str) -> None:
            self._trouble[str(place)] = text

        if place is None:
            while line := await asyncio.to_thread(sys.stdin.readline):
                if line.strip():
                    yield self._listener.hear_text(line, "-", self._clock())
        elif place.scheme == "udp":
            async with aclosing(radio_telegrams(place, self._clock, on_ready=self._ready)) as datagrams:
                async for octets, peer, now in datagrams:
                    yield self._listener.hear(octets, f"udp://{peer}", now)
        elif place.scheme.startswith("hex+"):
            async with aclosing(hex_lines(place, on_trouble=trouble)) as lines:
                async for text in lines:
                    yield self._listener.hear_text(text, str(place), self._clock())
        else:
            async with aclosing(p1_telegrams(place, on_trouble=trouble)) as telegrams:
                async for telegram in telegrams:
                    yield self._listener.hear_p1(telegram, str(place), self._clock())

    def _ready(self, port: int) -> None:
        if self._as_json:
            sys.stderr.write(f"listening at UDP port {port}\n")
            sys.stderr.flush()

    async def _paint(
        self, ending: "asyncio.Future[list[None]]", waiting: asyncio.Task[bool], seconds: float | None
    ) -> None:
        until = None if seconds is None else self._clock() + seconds
        with Live(console=Console(), auto_refresh=False, screen=True) as live:
            while not ending.done() and not waiting.done() and (until is None or self._clock() < until):
                live.update(self._table(), refresh=True)
                await asyncio.wait((ending, waiting), timeout=_REFRESH_S, return_when=asyncio.FIRST_COMPLETED)

    def _table(self) -> RenderableType:
        now = self._clock()
        table = Table(header_style="bold", expand=True, title=self._title(), title_justify="left", title_style="")
        table.add_column("heard", justify="right", no_wrap=True)
        table.add_column("meter", style="cyan", no_wrap=True)
        table.add_column("medium")
        table.add_column("values", ratio=1)
        table.add_column("telegrams", justify="right")
        table.add_column("last", no_wrap=True)
        for name in sorted(self._listener.meters):
            table.add_row(*_row(name, self._listener.meters[name], now))
        troubles = [Text(text, style="yellow") for text in self._trouble.values()]
        if self._listener.last_damage:
            troubles.append(Text(f"last damage: {self._listener.last_damage}", style="dim"))
        if not self._listener.meters:
            troubles.insert(0, Text("nothing heard yet", style="dim"))
        return Group(table, *troubles)

    def _title(self) -> str:
        places = "  ".join("-" if place is None else str(place) for place in self._places)
        outcomes = self._listener.outcomes
        counts = "  ".join(
            f"[{_COLOURS[outcome]}]{outcomes[outcome]} {outcome}[/{_COLOURS[outcome]}]"
            for outcome in Outcome
            if outcomes[outcome]
        )
        return f"[bold]listening[/bold]  [dim]{escape(places)}[/dim]  {counts}"


def _row(name: str, meter: HeardMeter, now: float) -> tuple[str, ...]:
    age = now - meter.last.at
    readings = () if meter.read is None else meter.read.telegram.readings
    ranked = sorted((r for r in readings if r.unit in _RANKS and r.storage == 0), key=_rank)
    values = "   ".join(map(_value, ranked[:_READINGS_SHOWN]))
    colour = _COLOURS[meter.last.outcome]
    return (
        f"[{'bold green' if age < _FRESH_S else 'dim'}]{_age(age)}[/]",
        escape(name),
        meter.last.telegram.device.medium,
        values or f"[dim]{_WHY.get(meter.last.outcome) or escape(meter.last.telegram.error or '')}[/dim]",
        str(meter.count),
        f"[{colour}]{meter.last.outcome}[/{colour}]",
    )


_RANKS: Final = {unit: rank for rank, units in enumerate(
    (("Wh", "kWh", "MWh", "J", "MJ", "GJ", "m3", "L", "hca"), ("W", "kW", "m3/h", "L/h"), ("°C", "bar", "V", "A", "%"))
) for unit in units}  # fmt: skip
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
    if unit == "Wh" and not isinstance(value, str):
        value, unit = Decimal(value).scaleb(-3), "kWh"
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
