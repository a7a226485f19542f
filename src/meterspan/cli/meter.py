"""``meterspan meter``: one simulated meter as a program, to read, to break, to learn from.

The command joins a seeded household (``sim``) to a metering end device (``meter``) on real sockets (``runtime``).
"""

import asyncio
import fcntl
import json
import secrets
import signal
import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from meterspan.app.meter_keys import MeterKeys
from meterspan.cli.key_files import (
    append_keys,
    parse_key,
    parse_password,
    read_key_file,
    state_home,
    warn_of_visible_keys,
)
from meterspan.cli.pushing import push_endpoint, together
from meterspan.engine.links import DLMS_PORT, PUSH_ADDRESSES, TRANSPORTS
from meterspan.engine.security import SecurityKeys
from meterspan.engine.uplink import Uplink
from meterspan.meter.electricity import ElectricityMeter, ElectricityMeterConfig
from meterspan.meter.metrology import CorruptStateError, ElectricityFlow, Flow, Indication
from meterspan.meter.push import MeterPush
from meterspan.meter.radio import RadioMedium, RadioMeter, RadioMeterConfig
from meterspan.quantities import UNITS
from meterspan.readings.names import meaning_of
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.dlms_server import HostLimits
from meterspan.runtime.endpoints import LOOPBACK, Endpoint, EndpointError, parse_endpoint, parse_transport
from meterspan.runtime.media import CannotConnectError
from meterspan.runtime.meter_host import ElectricityHost, MeterTime, RadioHost, Supply, kept_time
from meterspan.runtime.state import StateFile
from meterspan.runtime.uplink_host import UplinkHost
from meterspan.sim.households import Equipment, Flows, Heating, Household
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

MANUFACTURER: Final = "MSP"
_LISTEN: Final = {scheme: transport for scheme, transport in TRANSPORTS.items() if transport.port}
_DUE_PERIOD_S: Final = 900
_LIVE_STEP_S, _HISTORY_STEP_S = 10.0, 60.0
_NOTES_MAX: Final = 6
_SPANS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}


class MediumChoice(StrEnum):
    """What the meter measures."""

    ELECTRICITY = "electricity"
    GAS = "gas"
    WATER = "water"
    HEAT = "heat"


def meter(  # noqa: PLR0917 - typer calls it by name
    wrapper: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="TCP port of DLMS in the wrapper; 0 picks one.")
    ] = None,
    hdlc: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="TCP port of DLMS over HDLC; 0 picks one.")
    ] = None,
    listen: Annotated[
        list[str] | None,
        typer.Option(
            help=f"Serve DLMS or wired M-Bus here; may be repeated: {', '.join(_LISTEN)}.", metavar="SCHEME://HOST:PORT"
        ),
    ] = None,
    p1: Annotated[
        int | None, typer.Option(min=0, max=65_535, help="TCP port of the P1 telegrams; 0 picks one.")
    ] = None,
    medium: Annotated[MediumChoice, typer.Option(help="What it measures.")] = MediumChoice.ELECTRICITY,
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
    key: Annotated[
        str | None, typer.Option(help="Encryption key: 32 hex digits or @FILE.", envvar="METERSPAN_KEY", metavar="HEX")
    ] = None,
    auth_key: Annotated[
        str | None, typer.Option(help="Authentication key likewise.", envvar="METERSPAN_AUTH_KEY", metavar="HEX")
    ] = None,
    password: Annotated[
        str | None, typer.Option(help="Password of the reader: text or @FILE.", envvar="METERSPAN_PASSWORD")
    ] = None,
    keys: Annotated[
        Path | None, typer.Option(help="Key file; what it does not hold is made up and added.", metavar="FILE")
    ] = None,
    state: Annotated[
        Path | None, typer.Option(help="Folder of registers and counters [dim](~/.local/state)[/dim].")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds until a silent client is cut off.", min=1)] = 180.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print one line of JSON when ready.")] = False,
) -> None:
    """Run one simulated meter as a real program.

    Electricity speaks DLMS/COSEM (wrapper, HDLC) and P1; gas, water and heat send encrypted wireless M-Bus telegrams.
    Registers, profile and counters survive every end of the program, even kill -9.
    """
    is_electricity = medium is MediumChoice.ELECTRICITY
    ports = _ports(host, {"wrapper": wrapper, "hdlc": hdlc}, listen or [])
    wired = {kind for kind, place in ports.items() if TRANSPORTS[place.scheme].link is None}
    if not is_electricity and (ports.keys() - wired or p1 is not None or push is not None):
        raise typer.BadParameter(
            "a radio meter has no DLMS or P1 port; leave --wrapper, --hdlc, --p1 and --push out, and listen at mbus+tcp"
        )
    if is_electricity and wired:
        raise typer.BadParameter("an electricity meter is no slave of wired M-Bus; add --medium", param_hint="--listen")
    if is_electricity and not ports and p1 is None:
        ports = {"wrapper": Endpoint("tcp", host, DLMS_PORT)}
    uplink = None if push is None else push_endpoint(push)
    bench = _Bench(
        medium, seed, _zone(zone), history_s=_span(history), speed=speed, start=start,
        console=Console(stderr=True), as_json=as_json,
    )  # fmt: skip
    secret = bench.secrets(MeterKeys(parse_key(key, "--key"), parse_key(auth_key, "--auth-key"),
                                     parse_password(password)), keys)  # fmt: skip
    folder = state_home() / "meters" if state is None else state
    with _owned(folder, bench.name) as path, StateFile(path) as kept:
        try:
            if is_electricity:
                asyncio.run(bench.electricity(kept, secret, host=host, ports=ports, p1_port=p1, uplink=uplink,
                                              pv_kw=pv, timeout_s=timeout))  # fmt: skip
            else:
                asyncio.run(bench.radio(kept, secret, ports=ports, to=radio, interval_s=interval, mode=_mode(mode)))
        except CorruptStateError as error:
            raise _stop(f"{path}: {error}; the registers cannot be trusted any more, use another --state") from error
        except (OSError, CannotConnectError, EndpointError) as error:
            raise _stop(str(error)) from error


class _Bench:
    """One meter on the bench, with what is printed about it."""

    def __init__(
        self, medium: MediumChoice, seed: int, zone: ZoneInfo, *, history_s: float, speed: float,
        start: datetime | None, console: Console, as_json: bool,
    ) -> None:  # fmt: skip
        self._medium = medium
        self._seed = seed
        self._zone = zone
        self._history_s = history_s
        self._speed = speed
        self._start = start
        self._console = console
        self._as_json = as_json
        self._clock = SystemClock()
        self._stop = asyncio.Event()
        self._notes: deque[str] = deque(maxlen=_NOTES_MAX)
        self._number = f"{10_000_000 + seed:08d}"
        self._is_live = console.is_terminal and not as_json
        self.name = (
            f"{MANUFACTURER}1{seed:010d}"
            if medium is MediumChoice.ELECTRICITY
            else self._radio_config(b"", 1.0, SecurityMode.NONE).device
        )

    def secrets(self, given: MeterKeys, path: Path | None) -> MeterKeys:
        """Join the keys that were given, those of the key file, and new ones; say once which are new."""
        filed = read_key_file(path).get(self.name) if path is not None and path.exists() else None
        known = filed or MeterKeys()
        is_electricity = self._medium is MediumChoice.ELECTRICITY
        made = MeterKeys(
            given.key or known.key or secrets.token_bytes(16),
            (given.auth_key or known.auth_key or secrets.token_bytes(16)) if is_electricity else b"",
            (given.password or known.password or secrets.token_urlsafe(6).encode()) if is_electricity else b"",
        )
        if path is not None and filed is None:
            append_keys(path, self.name, made)
            self._console.print(f"[dim]keys of {self.name} are in[/dim] {path}", highlight=False)
        else:
            self._print_made(MeterKeys(given.key or known.key, given.auth_key or known.auth_key,
                                       given.password or known.password), made)  # fmt: skip
        warn_of_visible_keys(self._console)
        return made

    def _print_made(self, known: MeterKeys, made: MeterKeys) -> None:
        texts = (
            ("METERSPAN_KEY", known.key, made.key.hex()),
            ("METERSPAN_AUTH_KEY", known.auth_key, made.auth_key.hex()),
            ("METERSPAN_PASSWORD", known.password, made.password.decode("utf-8", "replace")),
        )
        new = [f"{name}={text}" for name, was, text in texts if text and not was]
        if new:
            self._console.print("[dim]made up for this run (--keys FILE keeps them):[/dim]")
            for line in new:
                self._console.print(f"  export {line}", highlight=False)

    async def electricity(
        self, state: StateFile, keys: MeterKeys, *, host: str, ports: dict[str, Endpoint], p1_port: int | None,
        uplink: Endpoint | None, pv_kw: float | None, timeout_s: float,
    ) -> None:  # fmt: skip
        """Run the electricity meter until a signal comes."""
        config = ElectricityMeterConfig(
            self.name, MANUFACTURER.encode() + self._seed.to_bytes(5, "big"), self._zone,
            opening_wh=2_500_000 + self._seed * 7_919 % 5_000_000,
        )  # fmt: skip
        now = self._begin()
        kept = kept_time(state)
        device = ElectricityMeter(config, now - self._history_s if kept is None else max(now, kept), state=state)
        household = self._household(pv_kw)
        time = MeterTime(self._clock, now if kept is None else max(now, kept), speed=self._speed)

        def pick(flows: Flows, step: int) -> ElectricityFlow:
            return flows.electricity(step)

        limits = HostLimits(inactivity_timeout_s=timeout_s, silence_s=min(30.0, timeout_s))
        running = ElectricityHost(
            device, keys=SecurityKeys(keys.key, keys.auth_key), password=keys.password, state=state, time=time,
            clock=self._clock, supply=_supply(household, pick), limits=limits, on_note=self._note,
        )  # fmt: skip
        if kept is not None:
            running.pass_over(time())
        running.advance()
        opened, places = {}, {}
        for kind, wanted in ports.items():
            opened[kind] = await running.listen(TRANSPORTS[wanted.scheme], wanted.host, wanted.port)
            places[kind] = str(replace(wanted, port=opened[kind]))
        if p1_port is not None:
            opened["p1"] = await running.listen_p1(host, p1_port)
            places["p1"] = str(Endpoint("tcp", host, opened["p1"]))
        self._heed_signals()
        self._announce(opened, places, household)
        living = running.run()
        if uplink is not None:
            living = together(living, self._pushing(device, running, state, uplink).run())
        await self._live(living, running.close, lambda: _face(device.indication, time(), self._zone), places)

    def _pushing(
        self, device: ElectricityMeter, running: ElectricityHost, state: StateFile, endpoint: Endpoint
    ) -> UplinkHost:
        """Push what is captured from here on; a new meter's history is left to reads."""
        rows = MeterPush(device, state.outbox("push"), state=state)
        link = TRANSPORTS[endpoint.scheme].client(PUSH_ADDRESSES)
        machine = Uplink(rows, running.security.context(), link)
        uplink = UplinkHost(machine, endpoint, clock=self._clock, on_note=self._note)

        def captured() -> None:
            rows.collect()
            uplink.wake()

        running.on_captured = captured
        rows.collect()
        return uplink

    async def radio(
        self, state: StateFile, keys: MeterKeys, *, ports: dict[str, Endpoint], to: str, interval_s: float,
        mode: SecurityMode,
    ) -> None:  # fmt: skip
        """Run the radio meter until a signal comes."""
        receiver = parse_endpoint(f"udp://{to.removeprefix('udp://')}", ["udp"])
        config = self._radio_config(keys.key, interval_s, mode)
        now = self._begin()
        kept = kept_time(state)
        start = now - _DUE_PERIOD_S if kept is None else max(now, kept)  # so that there is a due value at once
        time = MeterTime(self._clock, now if kept is None else max(now, kept), speed=self._speed)
        device = RadioMeter(config, start, state, state=state)
        household = self._household(None)
        running = RadioHost(
            device, state=state, time=time, clock=self._clock, supply=_supply(household, self._pick), receiver=receiver,
            on_sent=lambda octets: self._note(f"sent {len(octets)} octets to {receiver}"),
        )  # fmt: skip
        if kept is not None:
            running.pass_over(time())
        running.advance()
        await running.open()
        opened, places = {}, {"radio": str(receiver)}
        for kind, wanted in ports.items():
            opened[kind] = await running.listen(TRANSPORTS[wanted.scheme], wanted)
            places[kind] = str(replace(wanted, port=opened[kind]))
        self._heed_signals()
        self._announce(opened, places, household)
        await self._live(running.run(), running.close, lambda: _face(device.indication, time(), self._zone), places)

    def _begin(self) -> float:
        return self._clock() if self._start is None else self._start.replace(tzinfo=UTC).timestamp()

    def _pick(self, flows: Flows, step: int) -> Flow:
        match self._medium:
            case MediumChoice.GAS:
                return flows.gas(step)
            case MediumChoice.HEAT:
                return flows.heat(step)
            case _:
                return flows.water(step)

    def _radio_config(self, key: bytes, interval_s: float, mode: SecurityMode) -> RadioMeterConfig:
        opening = {MediumChoice.GAS: 120_000, MediumChoice.WATER: 350_000, MediumChoice.HEAT: 9_000_000}
        standard = datetime(2026, 1, 1, tzinfo=UTC).astimezone(self._zone).utcoffset()
        return RadioMeterConfig(
            RadioMedium[self._medium.name], MANUFACTURER, self._number, key, mode, interval_s=interval_s,
            standard_offset_s=0 if standard is None else int(standard.total_seconds()),
            opening=opening[self._medium] + self._seed * 101,
        )  # fmt: skip

    def _household(self, pv_kw: float | None) -> Household:
        drawn = Household.drawn(self._seed, zone=self._zone.key)
        heating = {MediumChoice.GAS: Heating.GAS, MediumChoice.HEAT: Heating.DISTRICT}.get(self._medium)
        own = drawn.equipment
        if heating is None and pv_kw is None:
            return drawn
        equipment = Equipment(
            own.heating if heating is None else heating, own.pv_kw if pv_kw is None else pv_kw, own.ev, own.dryer,
            own.dishwasher, own.garden,
        )  # fmt: skip
        return Household(self._seed, drawn.profile, zone=self._zone.key, equipment=equipment)

    def _note(self, text: str) -> None:
        line = f"{self._now():%H:%M:%S}  {text}"
        self._notes.append(line)
        if not self._is_live and not self._as_json:
            self._console.print(line, highlight=False, style="dim")

    def _now(self) -> datetime:
        return datetime.fromtimestamp(self._clock(), self._zone)

    def _heed_signals(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)

    def _announce(self, ports: dict[str, int], places: dict[str, str], household: Household) -> None:
        if self._as_json:
            sys.stdout.write(json.dumps({"meter": self.name, "ports": ports}) + "\n")
            sys.stdout.flush()
            return
        people = "one person" if household.persons == 1 else f"{household.persons} people"
        sun = f", {household.equipment.pv_kw:g} kW of sun" if household.equipment.pv_kw else ""
        self._console.print(f"[bold]{self.name}[/bold]  {self._medium} of {people}{sun}", highlight=False)
        for kind, place in places.items():
            self._console.print(f"  [cyan]{place}[/cyan]  [dim]{_kind_text(kind, place)}[/dim]", highlight=False)

    async def _live(
        self, living: Any, close: Callable[[], Any], face: Callable[[], RenderableType], places: dict[str, str]
    ) -> None:
        task = asyncio.create_task(living)
        waiting = asyncio.create_task(self._stop.wait())
        try:
            if self._is_live:
                await self._paint(task, waiting, face, places)
            else:
                await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
            task.cancel()
            await asyncio.wait((task, waiting))
            await close()
        if not task.cancelled():
            task.result()

    async def _paint(
        self, task: asyncio.Task[None], waiting: asyncio.Task[bool], face: Callable[[], RenderableType],
        places: dict[str, str],
    ) -> None:  # fmt: skip
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            while not task.done() and not waiting.done():
                notes = Text("\n".join(self._notes) or "nobody has called yet", style="dim")
                ports = "  ".join(places.values())
                live.update(
                    Panel(Group(face(), "", notes), title=f"[bold]{self.name}[/bold]", subtitle=f"[dim]{ports}[/dim]",
                          border_style="blue", width=min(78, self._console.width)), refresh=True,
                )  # fmt: skip
                await asyncio.wait((task, waiting), timeout=1.0, return_when=asyncio.FIRST_COMPLETED)


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


_SCHEMES: Final = {"wrapper": "tcp", "hdlc": "hdlc+tcp"}


def _supply(household: Household, pick: Callable[[Flows, int], Any]) -> Supply[Any]:
    def supply(start: float, end: float) -> Iterable[tuple[Any, float]]:
        step_s = _LIVE_STEP_S if end - start <= 3_600 else _HISTORY_STEP_S
        flows = household.flows(start, end, step_s)
        for step in range(len(flows)):
            yield pick(flows, step), float(flows.edges[step + 1])

    return supply


def _face(shown: Indication, now: float, zone: ZoneInfo) -> Table:
    """Draw the meter's face: clock, registers, what flows."""
    table = Table(box=None, show_header=False, pad_edge=False, expand=True)
    table.add_column(style="cyan", no_wrap=True)
    table.add_column(style="dim", ratio=1)
    table.add_column(justify="right", style="bold", no_wrap=True)
    table.add_column(width=5)
    table.add_row("", "clock", f"{datetime.fromtimestamp(now, zone):%Y-%m-%d %H:%M:%S}", f"{_zone_name(now, zone)}")
    for obis, value in (*((register.obis, register.value) for register in shown.registers), *shown.instants):
        tariff = f" T{obis.e}" if obis.d == 8 and obis.e else ""
        number, unit = (value.decimal.scaleb(-3), f"k{value.unit}") if value.unit in _KILO else (
            value.decimal, str(value.unit))  # fmt: skip
        table.add_row(str(obis), f"{meaning_of(obis).quantity}{tariff}", f"{number:,f}".replace(",", "\u202f"), unit)
    return table


_KILO: Final = frozenset({UNITS["Wh"], UNITS["varh"]})


def _zone_name(now: float, zone: ZoneInfo) -> str:
    return f"{datetime.fromtimestamp(now, zone):%Z}"


@contextmanager
def _owned(folder: Path, name: str) -> Iterator[Path]:
    """Give the state file to one program at a time: two would measure twice and mix their counters."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise _stop(f"{name} is running already; take another --seed or --state") from error
        yield folder / f"{name}.sqlite"


def _stop(text: str) -> typer.Exit:
    Console(stderr=True).print(f"[red]{text}[/red]", highlight=False)
    return typer.Exit(1)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise typer.BadParameter(f"{name!r} is no time zone like Europe/Berlin", param_hint="--zone") from error


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
