"""``meterspan home``: one home by itself: P1 port and radio meters, history and cost, in a browser."""

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
import uvloop
from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from meterspan.app.explaining import explain
from meterspan.app.home_views import HomeNetworkViews
from meterspan.app.serving import PortalFailedError, maintain, portal, reasons_of, until_signal
from meterspan.app.stored_numbers import StoredNumbers
from meterspan.app.views_proxy import on_loop, passed_through
from meterspan.cli.key_files import read_key_file, state_home
from meterspan.cli.logs import log_to_stderr
from meterspan.cli.options import tariffs_by_commodity, zone_option
from meterspan.cli.pushing import push_endpoint, upstream_identity, upstream_keys
from meterspan.lnap.access_point import AccessPoint
from meterspan.mdm import MeterDataManagement
from meterspan.model.storage.errors import StorageError
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.endpoints import LOOPBACK, Endpoint, EndpointError, parse_endpoint
from meterspan.runtime.lnap_host import HomeConfig, HomeHost, radio_commodity
from meterspan.runtime.lnap_upstream import LnapUpstream
from meterspan.runtime.serial_line import CannotConnectError
from meterspan.runtime.state import StateFile

__all__ = ["EPILOG", "home"]

EPILOG = """\
[bold]Examples[/bold]

meterspan home --p1 serial:///dev/ttyUSB0?baud=115200 --price 0.32

meterspan home --p1 tcp://127.0.0.1:2001 --tariffs tariffs.toml   [dim]the P1 port of meterspan meter --p1 2001[/dim]

meterspan home --radio 7373 --keys keys.toml   [dim]radio meters whose keys are in the file; others are not heard[/dim]

meterspan home --p1 /dev/ttyUSB0 --radio 7373 --keys keys.toml --push 192.168.1.2:4060 --g1-port 4059
  [dim]an access point (LNAP): a head end gets every quarter hour, and reads what it lacks[/dim]

meterspan home --p1 capture.txt   [dim]replay a capture, each telegram at its own time[/dim]
"""

HOME_ID = "home"
_log = logging.getLogger("meterspan.home")


def home(  # noqa: PLR0917 - typer calls it by name
    p1: Annotated[
        str | None, typer.Option(help="tcp://host:port, a serial device, or a file to replay.", metavar="SOURCE")
    ] = None,
    radio: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="UDP port at which radio telegrams are heard.")
    ] = None,
    keys: Annotated[Path | None, typer.Option(help="Key file with the home's radio meters.", metavar="FILE")] = None,
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
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Port of the portal; 0 takes a free one.")] = 8080,
    h1_port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Pass P1 telegrams on at this TCP port (H1).")
    ] = None,
    h2_port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Tell displays in JSON lines at this TCP port (H2).")
    ] = None,
    push: Annotated[
        str | None, typer.Option(help="Head end to which every quarter hour is pushed.", metavar="HOST:PORT")
    ] = None,
    g1_port: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="Serve head ends over DLMS at this TCP port (G1).")
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="COSEM name of the access point; made once by default.")
    ] = None,
    system_title: Annotated[
        str | None, typer.Option(help="Its system title; made once by default.", metavar="HEX")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON when up; logs as JSON lines.")] = False,
) -> None:  # fmt: skip
    """Show a home its power, consumption and cost, live and back in time, in a browser.

    Only listens: nothing is ever sent to a meter. The history survives restarts, meter exchanges and clock changes.
    """
    if p1 is None and radio is None:
        raise typer.BadParameter("give --p1 or --radio: where does the home hear its meters?")
    source = None if p1 is None else _source(p1)
    uplink = None if push is None else push_endpoint(push)
    chosen = zone_option(zone).key
    config = HomeConfig(HOME_ID, title, chosen, currency, tariffs_by_commodity(price, currency, tariffs), _keys(keys))
    console = Console(stderr=True, highlight=False)
    log_to_stderr(as_json=as_json, verbose=False)
    folder = data or state_home() / "home"
    clock = SystemClock()
    try:
        with MeterDataManagement(folder / "data") as held, StateFile(folder / "home.sqlite") as state:
            who = None
            if uplink is not None or g1_port is not None:
                who = upstream_identity(state, name=name, system_title=system_title, pushes=uplink is not None)
            running = HomeHost(replace(config, upstream=who), data=held, state=state, clock=clock)
            place = _Place(host, port, {"H1": h1_port, "H2": h2_port, "G1": g1_port}, radio, uplink)
            if who is not None:
                secret = upstream_keys(who.name, keys or folder / "access_point.toml", console)
                place.upstream = LnapUpstream(running.point, secret, state=state, clock=clock, on_note=_log.info)
            uvloop.run(_run(running, source, place, clock, _Announcer(console, str(p1 or ""), as_json=as_json)))
    except* (StorageError, PortalFailedError, CannotConnectError, OSError) as group:
        for reason in reasons_of(group):
            console.print("[red]stopped[/red]:", reason, soft_wrap=True)
        raise typer.Exit(2) from None


class _Place:
    """Where the home listens and is listened to."""

    def __init__(
        self, host: str, port: int, ports: dict[str, int | None], radio: int | None, uplink: Endpoint | None
    ) -> None:
        self.host = host
        self.port = port
        self.ports = {name: number for name, number in ports.items() if number is not None}
        self.radio = radio
        self.uplink = uplink
        self.upstream: LnapUpstream | None = None

    async def open(self, running: HomeHost) -> dict[str, int]:
        """Open the ports; gives their numbers."""
        opened = {}
        for name, number in self.ports.items():
            if self.upstream is not None and name == "G1":
                opened[name] = await self.upstream.server.listen_wrapper(self.host, number)
            else:
                opened[name] = await running.relay(name, self.host, number)
        return opened


class _Announcer:
    """Says once that the home is up, and where."""

    def __init__(self, console: Console, source: str, *, as_json: bool) -> None:
        self._console = console
        self._source = source
        self._as_json = as_json

    def __call__(self, where: str, ports: dict[str, int], point: AccessPoint | None) -> None:
        """Say it."""
        channels = {} if point is None else {channel.meter.device: channel.number for channel in point.channels}
        if self._as_json:
            told: dict[str, Any] = {"ready": True, "portal": where, "ports": ports}
            if point is not None:
                title = point.config.system_title.hex()
                told["access_point"] = {"device": point.config.name, "system_title": title, "channels": channels}
            typer.echo(json.dumps(told))
            return
        table = Table.grid(padding=(0, 2))
        table.add_column(style="dim")
        table.add_row("page", Text(f"{where}/homes/{HOME_ID}"))
        table.add_row("meters", Text(f"{where}/operator"))
        if self._source:
            table.add_row("P1", Text(self._source))
        for name, number in ports.items():
            table.add_row(name, Text(f"port {number}"))
        if point is not None:
            table.add_row("LNAP", Text(f"{point.config.name}, system title {point.config.system_title.hex()}"))
            for device, number in channels.items():
                table.add_row("", Text(f"channel {number}: {device}"))
        self._console.print(
            Panel(table, title="meterspan home", title_align="left", border_style="green", expand=False)
        )
        self._console.print("[dim]Ctrl-C ends it in order.[/dim]")


async def _run(
    running: HomeHost, source: Endpoint | Path | None, place: _Place, clock: SystemClock,
    announce: Callable[[str, dict[str, int], AccessPoint | None], None],
) -> None:  # fmt: skip
    views = HomeNetworkViews(running, StoredNumbers(running.data), explain, clock.utc)
    jobs: list[Coroutine[Any, Any, Any]] = [running.run(), maintain(running.data, clock.utc)]
    if isinstance(source, Endpoint):
        jobs.append(running.hear_port(source, lambda text: _log.warning("P1 line is down", extra={"reason": text})))
    elif source is not None:
        jobs.append(_replay(running, source))
    if place.upstream is not None:
        jobs.append(place.upstream.server.run())
        if place.uplink is not None:
            uplink = place.upstream.uplink(place.uplink)
            running.on_rows = uplink.wake
            jobs.append(uplink.run())
    if place.radio is not None:
        jobs.append(running.hear_radio(Endpoint("udp", place.host, place.radio)))

    def health() -> dict[str, Any]:
        heard = {meter.device: meter.count for meter in running.meters.values()}
        return {"meters": heard, "kept_aside": running.point.quarantine.total}

    network = passed_through(views, on_loop(asyncio.get_running_loop()))
    async with portal(running.data, network, clock=clock.utc, host=place.host, port=place.port, health=health) as where:
        ports = await place.open(running)
        announce(where, ports, None if place.upstream is None else running.point)
        await until_signal(*jobs)


async def _replay(running: HomeHost, path: Path) -> None:
    count = await running.hear_file(path)
    _log.info("replayed", extra={"file": path.name, "telegrams": count})


def _source(text: str) -> Endpoint | Path:
    if "://" not in text and Path(text).is_file():
        return Path(text)
    if text.startswith("/dev/"):
        text = f"serial://{text}?baud=115200"
    try:
        return parse_endpoint(text, ["tcp", "serial"])
    except EndpointError as error:
        raise typer.BadParameter(f"{error}; or name a file to replay", param_hint="--p1") from error


def _keys(path: Path | None) -> dict[str, bytes]:
    if path is None:
        return {}
    return {name: keys.key for name, keys in read_key_file(path).items() if radio_commodity(name) is not None}
