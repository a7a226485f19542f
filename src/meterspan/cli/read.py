"""``meterspan read``: a DLMS meter on the bench, from its name plate to its load profile.

Each error is printed with its remedy (``model.remedies``) and the options that help (``hints``).
"""

import sys
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from meterspan.app.bench_reading import ProfileRequest, ReadRequest
from meterspan.app.decoding import telegram_json
from meterspan.app.mbus_reading import read_bus
from meterspan.app.meter_keys import MeterKeys
from meterspan.app.reading import ReaderSettings, client_of, read_meter
from meterspan.cli.decode import is_incomplete, show_telegram
from meterspan.cli.hints import MBUS_OPTIONS, OPTIONS, hints_for
from meterspan.cli.key_files import given_keys, read_key_file, state_home, warn_of_visible_keys
from meterspan.cli.options import AfterRestoreOption, AuthKeyOption, KeyOption, obis_option, zone_option
from meterspan.cli.reading_pages import reading_json, show_reading, trace_lines
from meterspan.cli.terminal import Terminal, plain
from meterspan.crypto.mechanisms import MECHANISMS, Mechanism, Security
from meterspan.engine.frame_trace import TracedFrame
from meterspan.engine.links import TRANSPORTS, LinkAddresses
from meterspan.engine.scripts import ClockPolicy
from meterspan.model.identity import parse_system_title
from meterspan.runtime.dlms_client import AssociationFailedError, DlmsError, OnFrame
from meterspan.runtime.endpoints import Endpoint, EndpointError, parse_transport
from meterspan.runtime.mbus_client import MbusError

__all__ = ["EPILOG", "read"]

EPILOG = """\
[bold]Examples[/bold]

meterspan read tcp://192.168.1.50:4059                     [dim]as the public client[/dim]

meterspan read tcp://192.168.1.50:4059 --auth lls --client 2 --password @secret.txt

meterspan read hdlc+tcp://192.168.1.50:4001 --auth hls5 --keys bench.toml --view

meterspan read serial:///dev/ttyUSB0?baud=9600 --physical 17 --profile 1-0:99.1.0 --from 2026-10-24 --to 2026-10-26

meterspan read mbus+tcp://192.168.1.60:10001?address=5     [dim]a wired M-Bus slave; or by secondary=12345678[/dim]

meterspan read tcp://127.0.0.1:4059 --auth hls5 --keys bench.toml --trace  [dim]every frame, deciphered, in words[/dim]
"""


_NAMES: Final = ", ".join(row.short for row in MECHANISMS)


def _auth(text: str) -> Security:
    """Return the mechanism of a short or long name."""
    try:
        return Security(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not one of {_NAMES}") from error


def read(  # noqa: PLR0917 - typer calls it by name
    endpoint: Annotated[str, typer.Argument(help=", ".join(row.example for row in TRANSPORTS.values()))],
    auth: Annotated[
        Security,
        typer.Option(
            help=f"How to associate: {_NAMES}; hls5 is GMAC, with ciphering.", parser=_auth, metavar="MECHANISM"
        ),
    ] = Security.NONE,
    key: KeyOption = None,
    auth_key: AuthKeyOption = None,
    password: Annotated[
        str | None,
        typer.Option(
            help="Password of lls, secret of hls3 and hls4: text, hex:… or @FILE.", envvar="METERSPAN_PASSWORD"
        ),
    ] = None,
    keys: Annotated[Path | None, typer.Option(help="Key file.", metavar="FILE")] = None,
    meter: Annotated[str | None, typer.Option(help="Which meter of the key file, if it has several.")] = None,
    client: Annotated[
        int | None, typer.Option(help="Client address [dim](16 for none, 2 for lls, 1 for hls)[/dim].", min=1, max=127)
    ] = None,
    server: Annotated[int, typer.Option(help="Logical device.", min=0, max=0x3FFF)] = 1,
    physical: Annotated[int | None, typer.Option(help="Physical HDLC address.", min=0, max=0x3FFF)] = None,
    title: Annotated[
        str | None, typer.Option(help="Our system title, 16 hex digits; made up once by default.", metavar="HEX")
    ] = None,
    view: Annotated[bool, typer.Option("--view", help="Show the association view: all objects with rights.")] = False,
    register: Annotated[
        list[str] | None, typer.Option(help="Only this register; may be repeated.", metavar="OBIS")
    ] = None,
    profile: Annotated[str | None, typer.Option(help="Rows of this profile.", metavar="OBIS")] = None,
    since: Annotated[
        str | None, typer.Option("--from", help="First time [dim](a day ago)[/dim].", metavar="TIME")
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help="Last time [dim](now)[/dim].", metavar="TIME")] = None,
    events: Annotated[int, typer.Option(help="Show so many of the newest events.", min=0, max=10_000)] = 0,
    zone: Annotated[
        str | None, typer.Option(help="Time zone of a meter that sends none, and of the printed times.")
    ] = None,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for each answer.", min=0.1)] = 10.0,
    recover: Annotated[bool, typer.Option(help="Catch our invocation counter up.")] = True,
    state: Annotated[Path | None, typer.Option(help="Folder of our counters [dim](~/.local/state)[/dim].")] = None,
    after_restore: AfterRestoreOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    trace: Annotated[bool, typer.Option("--trace", help="Show each frame with its meaning.")] = False,
) -> None:
    """Read a DLMS/COSEM meter: identification, clock, registers, profiles, events; or a wired M-Bus slave.

    Only reading: nothing is written to the meter. Exit status: 0 where all that was asked for was read, else 1.
    """
    place = _endpoint(endpoint)
    local: tzinfo = zone_option(zone) if zone else datetime.now().astimezone().tzinfo or UTC
    order = ReadRequest(
        None if profile is None else ProfileRequest(obis_option(profile, "--profile"), *_span(since, until, local)),
        events,
        tuple(obis_option(text, "--register") for text in register or ()),
        ClockPolicy(UTC if zone is None else local),
    )
    given = given_keys(key, auth_key, password)
    secret = given.completed(_filed(keys, meter))
    _require(auth.mechanism, secret)
    output = _Output(zone=local, as_json=as_json, with_trace=trace, with_view=view)
    if TRANSPORTS[place.scheme].link is None:
        _read_mbus(place, secret, auth, output)
        return
    warn_of_visible_keys(Terminal(stderr=True))
    addresses = LinkAddresses(client_of(auth) if client is None else client, server, physical)
    settings = ReaderSettings(place, addresses, auth, secret, _title(title), timeout, recover)
    _read_dlms(settings, order, state_home() if state is None else state, output, after_restore=after_restore)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Output:
    """How what was read is printed, in which time zone."""

    zone: tzinfo
    as_json: bool
    with_trace: bool
    with_view: bool

    def tracing(self, console: Console) -> OnFrame | None:
        """Return what prints each frame, where this was asked for."""
        return _tracing(console, self.zone) if self.with_trace else None


def _read_dlms(
    settings: ReaderSettings, order: ReadRequest, folder: Path, output: _Output, *, after_restore: bool
) -> None:
    """Read a DLMS meter, and print what it has."""
    errors = Terminal(stderr=True)
    quiet = output.with_trace or output.as_json or not errors.is_terminal
    status = nullcontext() if quiet else errors.status(f"connecting to {settings.place} …")
    on_frame = output.tracing(errors)
    try:
        with status as shown:
            say = (lambda _text: None) if shown is None else (lambda text: shown.update(f"reading {text} …"))
            found, recovered = read_meter(
                settings, order, folder, after_restore=after_restore, on_step=say, on_frame=on_frame
            )
    except DlmsError as error:
        raise _failed(errors, str(error), _hints(error, settings, is_traced=output.with_trace)) from error
    except KeyboardInterrupt as error:
        raise typer.Exit(130) from error
    if output.as_json:
        sys.stdout.write(reading_json(found, str(settings.place)) + "\n")
    else:
        show_reading(Terminal(), found, place=str(settings.place), zone=output.zone, with_view=output.with_view)
    if recovered is not None and not output.as_json:
        errors.print(f"[dim]our counter was behind: went on after {plain(recovered)}[/dim]", highlight=False)
    if found.troubles:
        raise typer.Exit(1)


def _read_mbus(place: Endpoint, keys: MeterKeys, auth: Security, output: _Output) -> None:
    """Read a slave of wired M-Bus, and print its readings."""
    if auth is not Security.NONE:
        raise typer.BadParameter("wired M-Bus has no associations; leave --auth out", param_hint="--auth")
    errors = Terminal(stderr=True)
    try:
        telegram = read_bus(place, key=keys.key or None, on_frame=output.tracing(errors))
    except EndpointError as error:
        raise typer.BadParameter(str(error), param_hint="ENDPOINT") from error
    except MbusError as error:
        raise _failed(errors, str(error), hints_for(error.failure.kind, MBUS_OPTIONS)) from error
    if output.as_json:
        sys.stdout.write(telegram_json(telegram) + "\n")
    else:
        show_telegram(telegram)
    if is_incomplete(telegram):
        raise typer.Exit(1)


def _failed(console: Console, reason: str, hints: Iterable[str]) -> typer.Exit:
    """Print why nothing was read and what to do about it; return the end of the command."""
    console.print(f"[red]{plain(reason)}[/red]", highlight=False)
    for hint in hints:
        console.print(f"  [dim]→[/dim] {plain(hint)}", highlight=False)
    return typer.Exit(1)


def _hints(error: DlmsError, settings: ReaderSettings, *, is_traced: bool) -> list[str]:
    """Return what to do about a failure."""
    found = hints_for(error.failure.kind, OPTIONS)
    if isinstance(error, AssociationFailedError):
        found.append(f"tried: client {settings.addresses.client}, --auth {settings.auth.mechanism.short}")
        if not is_traced:
            found.append("--trace shows each frame")
    return found


def _tracing(console: Console, zone: tzinfo) -> OnFrame:
    def show(frame: TracedFrame) -> None:
        for line in trace_lines(frame, zone, whole=not console.is_terminal):
            console.print(line, highlight=False, soft_wrap=True)

    return show


def _endpoint(text: str) -> Endpoint:
    try:
        return parse_transport(text)
    except EndpointError as error:
        raise typer.BadParameter(str(error), param_hint="ENDPOINT") from error


def _filed(path: Path | None, name: str | None) -> MeterKeys:
    if path is None:
        return MeterKeys()
    filed = read_key_file(path)
    dlms = {known: keys for known, keys in filed.items() if keys.auth_key or keys.password} or filed
    if name is None and len(dlms) == 1:
        return next(iter(dlms.values()))
    if name not in filed:
        known = ", ".join(filed) or "none"
        raise typer.BadParameter(f"say which meter of {path}: {known}", param_hint="--meter")
    return filed[name]


def _require(mechanism: Mechanism, keys: MeterKeys) -> None:
    if mechanism.needs_keys and not (keys.key and keys.auth_key):
        raise typer.BadParameter(f"{mechanism.short} needs --key and --auth-key, or --keys FILE", param_hint="--auth")
    if mechanism.needs_secret and not keys.password:
        raise typer.BadParameter(f"{mechanism.short} needs --password, or --keys FILE", param_hint="--auth")


def _title(text: str | None) -> bytes:
    """Return our system title as given, or b"" for the one of our own."""
    if text is None:
        return b""
    try:
        return parse_system_title(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--title") from error


def _span(since: str | None, until: str | None, zone: tzinfo) -> tuple[int, int]:
    end = datetime.now(UTC) if until is None else _moment(until, zone, "--to")
    start = end - timedelta(days=1) if since is None else _moment(since, zone, "--from")
    if start > end:
        raise typer.BadParameter("is after --to", param_hint="--from")
    return int(start.timestamp()), int(end.timestamp())


def _moment(text: str, zone: tzinfo, option: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(
            f"{text!r} is no time like 2026-10-25 or 2026-10-25T06:15", param_hint=option
        ) from error
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=zone)
