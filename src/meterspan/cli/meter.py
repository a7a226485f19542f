"""``meterspan meter``: one simulated meter as a program, to read, to break, to learn from."""

import json
import secrets
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.table import Table

from meterspan.app.meter import (
    BenchMeter,
    ElectricityPlaces,
    MeterRunsError,
    MeterStateError,
    RadioPlaces,
    RunningBenchMeter,
    meter_name,
    run_bench,
)
from meterspan.app.meter_keys import MeterKeys
from meterspan.cli.key_files import (
    append_keys,
    given_keys,
    read_key_file,
    state_home,
    warn_of_visible_keys,
)
from meterspan.cli.options import AfterRestoreOption, AuthKeyOption, KeyOption, port_option, zone_option
from meterspan.cli.pushing import push_endpoint
from meterspan.cli.terminal import Terminal, cell, plain
from meterspan.engine.links import DLMS_PORT, TRANSPORTS
from meterspan.meter.metrology import Indication
from meterspan.model.reasons import trouble_of
from meterspan.quantities import Commodity, in_thousands
from meterspan.readings.names import meaning_of
from meterspan.runtime.endpoints import LOOPBACK, Endpoint, EndpointError, parse_endpoint, parse_transport
from meterspan.runtime.media import CannotConnectError
from meterspan.wire.mbus.transport import SecurityMode

__all__ = ["EPILOG", "meter"]

EPILOG = """\
[bold]Examples[/bold]

meterspan meter --wrapper 4059 --keys bench.toml
  [dim]an electricity meter; read it: meterspan read tcp://127.0.0.1:4059 --keys bench.toml --auth hls5[/dim]

meterspan meter --hdlc 4001 --p1 2001 --seed 7   [dim]HDLC, and a P1 port for meterspan display tcp://127.0.0.1:2001[/dim]

meterspan meter --push 127.0.0.1:4060 --keys bench.toml   [dim]pushes each quarter hour to meterspan serve[/dim]

meterspan meter --medium gas --radio 127.0.0.1:7373 --keys bench.toml
  [dim]a radio meter; hear it: meterspan listen udp://:7373 --keys bench.toml[/dim]

meterspan meter --medium heat --listen mbus+tcp://127.0.0.1:10001?address=5
  [dim]also a slave of wired M-Bus; read it: meterspan read mbus+tcp://127.0.0.1:10001?address=5[/dim]
"""

_LISTEN: Final = {scheme: transport for scheme, transport in TRANSPORTS.items() if transport.port}
_NOTES_MAX: Final = 6
_SPANS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


def meter(  # noqa: PLR0917 - typer calls it by name
    wrapper: Annotated[int | None, port_option("TCP port of DLMS in the wrapper; 0 picks one.")] = None,
    hdlc: Annotated[int | None, port_option("TCP port of DLMS over HDLC; 0 picks one.")] = None,
    listen: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Serve DLMS or wired M-Bus here; may be repeated: {', '.join(_LISTEN)}.", metavar="SCHEME://HOST:PORT"
        ),
    ] = None,
    p1: Annotated[int | None, port_option("TCP port of the P1 telegrams; 0 picks one.")] = None,
    medium: Annotated[Commodity, typer.Option(help="The measured commodity.")] = Commodity.ELECTRICITY,
    radio: Annotated[
        str, typer.Option(help="Where a radio meter's telegrams go, as UDP datagrams.", metavar="HOST:PORT")
    ] = "127.0.0.1:7373",
    interval: Annotated[float, typer.Option(help="Seconds between the telegrams of a radio meter.", min=1)] = 15.0,
    mode: Annotated[int, typer.Option(help="Security mode of a radio meter: 0, 5 or 7.")] = 5,
    host: Annotated[str, typer.Option(help="Address to listen at; only this machine by default.")] = LOOPBACK,
    seed: Annotated[int, typer.Option(help="Which household, and which meter number.", min=0, max=89_999_999)] = 42,
    pv: Annotated[float | None, typer.Option(help="Peak power of its solar modules, kW.", metavar="KW")] = None,
    zone: Annotated[str, typer.Option(help="Time zone of the meter's clock.")] = "Europe/Berlin",
    history: Annotated[str, typer.Option(help="Load profile that a new meter starts with.", metavar="SPAN")] = "3d",
    speed: Annotated[float, typer.Option(help="Meter seconds per second.", min=1, max=3_600)] = 1.0,
    start: Annotated[
        datetime | None, typer.Option(help="UTC time at which the meter begins its life; now by default.")
    ] = None,
    push: Annotated[
        str | None, typer.Option(help="Head end to which each captured row is pushed.", metavar="HOST:PORT")
    ] = None,
    key: KeyOption = None,
    auth_key: AuthKeyOption = None,
    password: Annotated[
        str | None, typer.Option(help="Password of the reader: text or @FILE.", envvar="METERSPAN_PASSWORD")
    ] = None,
    keys: Annotated[
        Path | None,
        typer.Option(
            help="Key file; missing keys are made up and added [dim](keys.toml in the state folder)[/dim].",
            metavar="FILE",
        ),
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Folder of registers and counters [dim](~/.local/state)[/dim].")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds until a silent client is cut off.", min=1)] = 180.0,
    after_restore: AfterRestoreOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON when ready.")] = False,
) -> None:
    """Run one simulated meter as a real program.

    Electricity uses DLMS/COSEM (wrapper, HDLC) and P1; gas, water and heat send encrypted wireless M-Bus telegrams.
    Registers, profile and counters survive every end of the program, even kill -9.
    """
    is_electricity = medium is Commodity.ELECTRICITY
    ports = _ports(host, {"wrapper": wrapper, "hdlc": hdlc}, listen or [])
    _check_ports(ports, is_electricity=is_electricity, has_p1_or_push=p1 is not None or push is not None)
    if is_electricity and not ports and p1 is None:
        ports = {"wrapper": Endpoint("tcp", host, DLMS_PORT)}
    uplink = push_endpoint(push)
    console = Terminal(stderr=True)
    place = zone_option(zone)
    screen = _Screen(console, meter_name(medium, seed), medium, place, as_json=as_json)
    bench = BenchMeter(medium, seed, place, _span(history), speed, start, screen.note)
    given = given_keys(key, auth_key, password)
    mode_chosen = _mode(mode)
    folder = state_home() / "meters" if state is None else state
    secret = _secrets(given, keys, folder / "keys.toml", bench.name, console, is_electricity=is_electricity)
    try:
        receiver = parse_endpoint(f"udp://{radio.removeprefix('udp://')}", ["udp"])
        heard = RadioPlaces(receiver, interval, mode_chosen, {} if is_electricity else ports)
        places = ElectricityPlaces(ports, host, p1, uplink, timeout) if is_electricity else heard
        run_bench(bench, folder, secret, places, pv_kw=pv, after_restore=after_restore, shown=screen.shown)
    except MeterStateError as error:
        raise _stop(f"{error}; the registers cannot be trusted any more, use another --state") from error
    except MeterRunsError as error:
        raise _stop(f"{error}; take another --seed or --state") from error
    except (OSError, CannotConnectError, EndpointError) as error:
        raise _stop(trouble_of(error)) from error


def _secrets(
    given: MeterKeys, chosen: Path | None, usual: Path, name: str, console: Console, *, is_electricity: bool
) -> MeterKeys:
    """Join the keys that were given, those of the key file, and new ones, which go to the file and are never shown.

    Args:
        given: on the command line or in the environment.
        chosen: the key file that was named, which gets given keys as well.
        usual: the key file otherwise.
        name: of the meter.
        console: names the file.
        is_electricity: whether it has an authentication key and a password.

    """
    path = usual if chosen is None else chosen
    filed = read_key_file(path).get(name) if path.exists() else None
    known = given.completed(filed or MeterKeys())
    new = MeterKeys(
        secrets.token_bytes(16),
        secrets.token_bytes(16) if is_electricity else b"",
        secrets.token_urlsafe(6).encode() if is_electricity else b"",
    )
    used = known if is_electricity else MeterKeys(known.key)
    made = used.completed(new)
    if filed is None and (made != used or chosen is not None):
        append_keys(path, name, made)
        console.print(f"[dim]keys of {plain(name)} are in[/dim] {plain(path)}", highlight=False, soft_wrap=True)
    elif made != used:
        words = f"{path} lacks a key of {name}: one was made up for this run, and nobody knows it; add it there"
        console.print(words, style="yellow", highlight=False, soft_wrap=True)
    warn_of_visible_keys(console)
    return made


class _Screen:
    """The printed state of a meter: its address, its face, the events of its ports."""

    def __init__(self, console: Console, name: str, commodity: Commodity, zone: ZoneInfo, *, as_json: bool) -> None:
        self._console = console
        self._name = name
        self._commodity = commodity
        self._zone = zone
        self._as_json = as_json
        self._is_live = console.is_terminal and not as_json
        self._notes: deque[str] = deque(maxlen=_NOTES_MAX)

    def note(self, text: str) -> None:
        """Print what happened, or keep it for the live picture."""
        line = f"{datetime.now(self._zone):%H:%M:%S}  {text}"
        self._notes.append(line)
        if not self._is_live and not self._as_json:
            self._console.print(line, highlight=False, style="dim")

    @contextmanager
    def shown(self, running: RunningBenchMeter) -> Iterator[Callable[[], object] | None]:
        """Announce a meter, and yield what paints it, where somebody looks."""
        self._announce(running)
        if not self._is_live:
            yield None
            return
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            yield lambda: live.update(self._picture(running), refresh=True)

    def _announce(self, running: RunningBenchMeter) -> None:
        if self._as_json:
            sys.stdout.write(json.dumps({"meter": self._name, "ports": dict(running.ports)}) + "\n")
            sys.stdout.flush()
            return
        household = running.household
        people = "one person" if household.persons == 1 else f"{household.persons} people"
        sun = f", {household.equipment.pv_kw:g} kW of sun" if household.equipment.pv_kw else ""
        self._console.print(
            f"[bold]{plain(self._name)}[/bold]  {plain(self._commodity)} of {plain(people + sun)}", highlight=False
        )
        for kind, place in running.places.items():
            self._console.print(
                f"  [cyan]{plain(place)}[/cyan]  [dim]{plain(_kind_text(kind, place))}[/dim]", highlight=False
            )

    def _picture(self, running: RunningBenchMeter) -> Panel:
        notes = Group(*(cell(note, "dim") for note in self._notes or ["no connection yet"]))
        return Panel(
            Group(_face(running.indication(), running.now(), self._zone), "", notes),
            title=f"[bold]{self._name}[/bold]",
            subtitle=f"[dim]{'  '.join(running.places.values())}[/dim]",
            border_style="blue",
            width=min(78, self._console.width),
        )


_KINDS: Final = {"p1": "P1 telegrams, one each second", "radio": "wireless M-Bus telegrams as datagrams"}
_WHO: Final = "server 1/17; public 16, reader 2 (password), management 1 (HLS-GMAC)"


def _kind_text(kind: str, place: str) -> str:
    transport = TRANSPORTS.get(place.partition("://")[0])
    return _KINDS.get(kind) or ("" if transport is None else transport.text + (f"; {_WHO}" if transport.link else ""))


def _ports(host: str, short: dict[str, int | None], written: list[str]) -> dict[str, Endpoint]:
    """Return where DLMS is served, by the name under which ``--json`` shows the port."""
    ports = {kind: Endpoint(_SCHEMES[kind], host, port) for kind, port in short.items() if port is not None}
    for text in written:
        try:
            endpoint = parse_transport(text, _LISTEN, is_own=True)
        except EndpointError as error:
            raise typer.BadParameter(str(error), param_hint="--listen") from error
        ports[endpoint.scheme] = endpoint
    return ports


def _check_ports(ports: Mapping[str, Endpoint], *, is_electricity: bool, has_p1_or_push: bool) -> None:
    """Refuse ports that a meter of this kind does not have."""
    wired = {kind for kind, place in ports.items() if TRANSPORTS[place.scheme].link is None}
    if not is_electricity and (ports.keys() - wired or has_p1_or_push):
        raise typer.BadParameter(
            "a radio meter has no DLMS or P1 port; leave --wrapper, --hdlc, --p1 and --push out, and listen at mbus+tcp"
        )
    if is_electricity and wired:
        raise typer.BadParameter("an electricity meter is no slave of wired M-Bus; add --medium", param_hint="--listen")


_SCHEMES: Final = {"wrapper": "tcp", "hdlc": "hdlc+tcp"}


def _face(shown: Indication, now: float, zone: ZoneInfo) -> Table:
    """Draw the meter's face: clock, registers, flow."""
    table = Table(box=None, show_header=False, pad_edge=False, expand=True)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(style="dim", ratio=1)
    table.add_column(justify="right", style="bold", no_wrap=True)
    table.add_column(width=5)
    table.add_row("", "clock", f"{datetime.fromtimestamp(now, zone):%Y-%m-%d %H:%M:%S}", f"{_zone_name(now, zone)}")
    for obis, value in (*((register.obis, register.value) for register in shown.registers), *shown.instants):
        tariff = f" T{obis.e}" if obis.d == 8 and obis.e else ""
        number, unit = in_thousands(value.decimal, str(value.unit))
        table.add_row(str(obis), f"{meaning_of(obis).quantity}{tariff}", f"{number:,f}".replace(",", "\u202f"), unit)
    return table


def _zone_name(now: float, zone: ZoneInfo) -> str:
    return f"{datetime.fromtimestamp(now, zone):%Z}"


def _stop(text: str) -> typer.Exit:
    Terminal(stderr=True).print(f"[red]{plain(text)}[/red]", highlight=False)
    return typer.Exit(1)


def _span(text: str) -> float:
    number, unit = text[:-1], text[-1:]
    if text == "0":
        return 0.0
    if unit not in _SPANS or not number.isdigit():
        raise typer.BadParameter(f"{text!r} is no span like 3d, 12h or 0", param_hint="--history")
    return float(int(number) * _SPANS[unit])


def _mode(number: int) -> SecurityMode:
    modes = {0: SecurityMode.NONE, 5: SecurityMode.AES_CBC_IV, 7: SecurityMode.AES_CBC_DYNAMIC}
    if number not in modes:
        raise typer.BadParameter("a radio meter has security mode 0, 5 or 7", param_hint="--mode")
    return modes[number]
