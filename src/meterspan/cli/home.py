"""``meterspan home``: one home by itself: P1 port and radio meters, history and cost, in a browser."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from meterspan.app.home import AccessPointOptions, HomePlaces, HomeUp, parse_buses, radio_meters, serve_home
from meterspan.app.home_host import HomeConfig
from meterspan.app.programs import ProgramStoppedError
from meterspan.cli.key_files import read_key_file, state_home
from meterspan.cli.logs import log_to_stderr
from meterspan.cli.options import AfterRestoreOption, port_option, zone_option
from meterspan.cli.pushing import name_option, push_endpoint, title_option, upstream_keys
from meterspan.cli.tariff_options import tariffs_by_commodity
from meterspan.cli.terminal import Terminal, cell
from meterspan.model.radio_protection import RadioSettings
from meterspan.runtime.endpoints import LOOPBACK, Endpoint, EndpointError, is_loopback, parse_endpoint

__all__ = ["EPILOG", "home"]

EPILOG = """\
[bold]Examples[/bold]

meterspan home --p1 serial:///dev/ttyUSB0?baud=115200 --price 0.32

meterspan home --p1 tcp://127.0.0.1:2001 --tariffs tariffs.toml   [dim]the P1 port of meterspan meter --p1 2001[/dim]

meterspan home --radio 7373 --keys keys.toml   [dim]radio meters whose keys are in the file; others are not heard[/dim]

meterspan home --mbus mbus+tcp://192.168.1.60:10001?address=5,6   [dim]wired M-Bus meters, every quarter hour[/dim]

meterspan home --p1 /dev/ttyUSB0 --radio 7373 --keys keys.toml --push 192.168.1.2:4060 --g1-port 4059
  [dim]an access point (LNAP): a head end gets every quarter hour, and reads missing values[/dim]

meterspan home --p1 capture.txt   [dim]replay a capture, each telegram at its own time[/dim]
"""

HOME_ID = "home"


def home(  # noqa: PLR0917 - typer calls it by name
    p1: Annotated[
        str | None, typer.Option(help="tcp://host:port, a serial device, or a file to replay.", metavar="SOURCE")
    ] = None,
    radio: Annotated[int | None, port_option("UDP port at which radio telegrams are heard.")] = None,
    mbus: Annotated[
        list[str] | None,
        typer.Option(
            help="Wired M-Bus to poll: mbus+tcp://host:port?address=5,6&secondary=12345678; repeat for each bus.",
            metavar="ENDPOINT",
        ),
    ] = None,
    mbus_every: Annotated[
        int, typer.Option(min=60, max=3_600, help="Seconds between readouts of each wired meter.")
    ] = 900,
    keys: Annotated[
        Path | None,
        typer.Option(help="Key file with the home's radio meters; also of wired ones.", metavar="FILE"),
    ] = None,
    title: Annotated[str, typer.Option(help="Name of the home.")] = "Home",
    price: Annotated[str | None, typer.Option(help="Price of electricity per kWh.", metavar="NUMBER")] = None,
    currency: Annotated[str, typer.Option(help="Currency, ISO 4217.")] = "EUR",
    tariffs: Annotated[
        Path | None, typer.Option("--tariffs", "--tariff", help="Tariffs with bands, TOML.", metavar="FILE")
    ] = None,
    zone: Annotated[str | None, typer.Option(help="Time zone of the home; this machine's by default.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the history [dim](~/.local/state/meterspan/home)[/dim].")
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen at; only this machine by default.")] = LOOPBACK,
    insecure_without_login: Annotated[
        bool,
        typer.Option(
            "--insecure-without-login", help="With --host: show the portal to other machines without a password."
        ),
    ] = False,
    port: Annotated[int, port_option("Port of the portal; 0 takes a free one.")] = 8080,
    h1_port: Annotated[int | None, port_option("Pass P1 telegrams on at this TCP port (H1).")] = None,
    h2_port: Annotated[int | None, port_option("Send JSON lines to displays at this TCP port (H2).")] = None,
    push: Annotated[
        str | None, typer.Option(help="Head end to which every quarter hour is pushed.", metavar="HOST:PORT")
    ] = None,
    g1_port: Annotated[int | None, port_option("Serve head ends over DLMS at this TCP port (G1).")] = None,
    name: Annotated[str | None, typer.Option(help="COSEM name of the access point; made once by default.")] = None,
    system_title: Annotated[
        str | None, typer.Option(help="Its system title; made once by default.", metavar="HEX")
    ] = None,
    set_aside: Annotated[
        list[str] | None,
        typer.Option(help="Go on without a damaged entry of the state; it is kept beside.", metavar="ENTRY"),
    ] = None,
    after_restore: AfterRestoreOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON when up; logs as JSON lines.")] = False,
) -> None:
    """Show a home its power, consumption and cost, live and back in time, in a browser.

    Only listens: nothing is ever sent to a meter, but the question for its data on a wired M-Bus. The history survives
    restarts, meter exchanges and clock changes.
    """
    if p1 is None and radio is None and not mbus:
        raise typer.BadParameter("give --p1, --radio or --mbus: where does the home hear its meters?")
    if not (is_loopback(host) or insecure_without_login):
        raise typer.BadParameter(
            f"{host} lets other machines in, and the portal has no log-in; add --insecure-without-login to do so"
        )
    buses, source, uplink = _buses(mbus or []), _source(p1), push_endpoint(push)
    outlets = _outlets(H1=h1_port, H2=h2_port, G1=g1_port)
    places = HomePlaces(host, port, source, radio, buses, mbus_every, outlets, uplink, insecure_without_login)
    local = zone_option(zone).key
    prices = tariffs_by_commodity(price, currency, tariffs)
    config = HomeConfig(HOME_ID, title, local, currency, prices, _radio_meters(keys))
    console = Terminal(stderr=True, highlight=False)
    log_to_stderr(as_json=as_json, verbose=False)
    folder = data or state_home() / "home"
    key_file = keys or folder / "access_point.toml"
    access_point = AccessPointOptions(
        lambda who: upstream_keys(who, key_file, console), name_option(name), title_option(system_title)
    )
    try:
        serve_home(
            config,
            places,
            folder,
            access_point=access_point,
            set_aside=set_aside or (),
            after_restore=after_restore,
            on_up=_Announcer(console, str(p1 or ""), as_json=as_json),
        )
    except ProgramStoppedError as error:
        raise _stopped(console, error) from error


class _Announcer:
    """Prints once that the home is up, and its address."""

    def __init__(self, console: Console, source: str, *, as_json: bool) -> None:
        self._console = console
        self._source = source
        self._as_json = as_json

    def __call__(self, up: HomeUp) -> None:
        """Print it."""
        where, ports, point = up.portal, up.ports, up.point
        channels = {} if point is None else {channel.meter.device: channel.number for channel in point.channels}
        if self._as_json:
            ready: dict[str, Any] = {"ready": True, "portal": where, "ports": dict(ports)}
            if point is not None:
                title = point.config.system_title.hex()
                ready["access_point"] = {"device": point.config.name, "system_title": title, "channels": channels}
            typer.echo(json.dumps(ready))
            return
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim")
        table.add_row("page", cell(f"{where}/homes/{HOME_ID}"))
        table.add_row("meters", cell(f"{where}/operator"))
        if self._source:
            table.add_row("P1", cell(self._source))
        for name, number in ports.items():
            table.add_row(name, cell(f"port {number}"))
        if point is not None:
            table.add_row("LNAP", cell(f"{point.config.name}, system title {point.config.system_title.hex()}"))
            for device, number in channels.items():
                table.add_row("", cell(f"channel {number}: {device}"))
        self._console.print(
            Panel(table, title="meterspan home", title_align="left", border_style="green", expand=False)
        )
        self._console.print("[dim]Ctrl-C ends it in order.[/dim]")


def _stopped(console: Console, error: ProgramStoppedError) -> typer.Exit:
    for reason in error.reasons:
        console.print("[red]stopped[/red]:", reason, soft_wrap=True)
    return typer.Exit(2)


def _outlets(**ports: int | None) -> dict[str, int]:
    """Return the port of each interface that is served."""
    return {interface: number for interface, number in ports.items() if number is not None}


def _source(text: str | None) -> Endpoint | Path | None:
    """Return where P1 telegrams come from, if from anywhere; a serial device needs no scheme."""
    if text is None:
        return None
    if "://" not in text and Path(text).is_file():
        return Path(text)
    if text.startswith("/dev/"):
        text = f"serial://{text}?baud=115200"
    try:
        return parse_endpoint(text, ["tcp", "serial"])
    except EndpointError as error:
        raise typer.BadParameter(f"{error}; or name a file to replay", param_hint="--p1") from error


def _buses(texts: list[str]) -> tuple[Endpoint, ...]:
    """Return the buses to poll; what is wrong with an endpoint is said before anything is opened."""
    try:
        return parse_buses(texts)
    except EndpointError as error:
        raise typer.BadParameter(str(error), param_hint="--mbus") from error


def _radio_meters(path: Path | None) -> dict[str, RadioSettings]:
    if path is None:
        return {}
    try:
        return radio_meters(read_key_file(path))
    except ValueError as error:
        raise typer.BadParameter(f"{path}: {error}", param_hint="--keys") from error
