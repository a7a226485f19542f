"""``meterspan meters``: list, add, exchange, move, remove and delete meters, or read one now."""

import getpass
import json
from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.table import Table

from meterspan.app.meter_commands import CommandFailedError, MeterPortal, change_at_rest
from meterspan.cli.options import require_taken
from meterspan.cli.serve import source_of
from meterspan.cli.terminal import Terminal, cell, plain
from meterspan.crypto.mechanisms import Security
from meterspan.model.lookup_errors import UnknownMeterError
from meterspan.model.meter_changes import ChangeKind, ChangeRefusedError, ChangeWish
from meterspan.model.storage.errors import StorageError
from meterspan.quantities import Commodity
from meterspan.runtime.declared import ConfigError
from meterspan.runtime.master_key import MasterKeyError

__all__ = ["EPILOG", "meters"]

EPILOG = """\
[bold]Examples[/bold]

meterspan meters list

meterspan meters exchange MSP41 --new MSP42 --closing "1-0:1.8.0 6504.555 kWh" --opening "1-0:1.8.0 0 kWh"

meterspan meters move MSP42 --home flat-7 --register "1-0:1.8.0 12.5 kWh"

meterspan meters remove MSP42 --closing "1-0:1.8.0 99.1 kWh"   [dim]its readings stay[/dim]

meterspan meters delete MSP43   [dim]one that has never given a reading[/dim]

meterspan meters read MSP42   [dim]read it now[/dim]

meterspan meters exchange MSP41 --new MSP42 --config serve.toml   [dim]while serve does not run[/dim]
"""

PORTAL: Final = "http://127.0.0.1:8080"
_PILLS: Final = {"ok": "green", "late": "yellow", "failing": "red", "unknown": "red"}


class MeterAction(StrEnum):
    """What is to be done."""

    LIST = "list"
    ADD = "add"
    EXCHANGE = "exchange"
    MOVE = "move"
    REMOVE = "remove"
    DELETE = "delete"
    READ = "read"


_AT_REST: Final = frozenset({"at", "config", "data", "master_key_file"})
_NEW_METER: Final = frozenset({"endpoint", "security", "system_title", "network", "mbus_channel", "opening"})
_TAKEN: Final = {
    MeterAction.LIST: frozenset[str](),
    MeterAction.ADD: _AT_REST | _NEW_METER | {"home", "usage_point", "commodity"},
    MeterAction.EXCHANGE: _AT_REST | _NEW_METER | {"new", "commodity", "closing"},
    MeterAction.MOVE: _AT_REST | {"home", "usage_point", "closing"},
    MeterAction.REMOVE: _AT_REST | {"closing"},
    MeterAction.DELETE: _AT_REST,
    MeterAction.READ: frozenset[str](),
}
"""Which options an action takes, beside those that all take; another one that is given is refused, not left unused."""
_ALL_TAKE: Final = frozenset({"action", "device", "url", "by", "as_json"})


def meters(  # noqa: PLR0917 - typer calls it by name
    ctx: typer.Context,
    action: Annotated[MeterAction, typer.Argument(help="What to do.")],
    device: Annotated[str, typer.Argument(help="Which meter; the new one for add.", metavar="[METER]")] = "",
    new: Annotated[str, typer.Option(help="exchange: the meter that takes its place.")] = "",
    home: Annotated[str, typer.Option(help="add, move: the home.")] = "",
    usage_point: Annotated[str, typer.Option(help="add, move: where; by default the home's own.")] = "",
    at: Annotated[str, typer.Option(help="When, as 2026-11-21T09:30+01:00 [dim](now)[/dim].")] = "",
    closing: Annotated[
        list[str] | None,
        typer.Option(
            "--closing", "--register", help="exchange, move, remove: last register: OBIS code, value, unit; repeat."
        ),
    ] = None,
    opening: Annotated[
        list[str] | None, typer.Option(help="add, exchange: first register of the new meter; repeat for each.")
    ] = None,
    endpoint: Annotated[str | None, typer.Option(help="add, exchange: where the new meter is read.")] = None,
    commodity: Annotated[Commodity | None, typer.Option(help="add: what it measures.")] = None,
    security: Annotated[Security | None, typer.Option(help="add, exchange: how it is protected.")] = None,
    system_title: Annotated[str | None, typer.Option(help="add, exchange: of a meter that pushes itself.")] = None,
    network: Annotated[str | None, typer.Option(help="add, exchange: network segment.")] = None,
    mbus_channel: Annotated[int | None, typer.Option(help="add, exchange: channel at the access point.")] = None,
    url: Annotated[str, typer.Option(help="Portal of the program that runs.", envvar="METERSPAN_URL")] = PORTAL,
    config: Annotated[Path | None, typer.Option(help="Configuration of the program, while it does not run.")] = None,
    data: Annotated[Path | None, typer.Option(help="Its data folder, while it does not run.")] = None,
    master_key_file: Annotated[
        Path | None, typer.Option(help="Master key, with --config or --data.", envvar="METERSPAN_MASTER_KEY_FILE")
    ] = None,
    by: Annotated[str | None, typer.Option(help="Who orders it [dim](you)[/dim].")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """List meters, add, exchange, move, remove or delete one, or read it now.

    A program that runs is asked at its portal; the data folder of one that does not run is changed with --config or
    --data. Keys of new meters are taken from the program's key file. What is refused changes nothing (exit code 2).
    """
    console = Terminal(highlight=False)
    require_taken(ctx, action, _TAKEN, _ALL_TAKE)
    portal, author = _portal(url), by or _user()
    if not device and action is not MeterAction.LIST:
        raise typer.BadParameter("say which meter", param_hint="METER")
    given = {
        "endpoint": endpoint,
        "commodity": commodity,
        "security": security,
        "system_title": system_title,
        "network": network,
        "mbus_channel": mbus_channel,
    }
    try:
        if action is MeterAction.LIST:
            _show_meters(portal.meters(), console, as_json=as_json)
            return
        if action is MeterAction.READ:
            _show_order(portal.read(device, 60, author), console, as_json=as_json)
            return
        entry = _entry(action, device, new, {"home": home, "usage_point": usage_point, **given})
        wish = ChangeWish(
            ChangeKind(action), device, entry, home, usage_point, _time(at), closing or (), opening or (), author
        )
        if config is None and data is None:
            answer = portal.change(wish)
        else:
            answer = change_at_rest(source_of(config, data, lambda found: found, master_key_file), wish)
        _show_change(answer, console, as_json=as_json)
    except ChangeRefusedError as error:
        raise _refused(error.reasons) from error
    except ConfigError as error:
        raise _refused([str(fault) for fault in error.faults]) from error
    except (CommandFailedError, UnknownMeterError, StorageError, MasterKeyError) as error:
        raise _refused([str(error)]) from error


def _entry(action: MeterAction, device: str, new: str, given: dict[str, Any]) -> dict[str, object] | None:
    """Return the fields of a new meter as they are given; None where there is none.

    Args:
        action: what is done.
        device: the meter that is named first.
        new: the meter that takes its place.
        given: further fields; None or empty where one is not given.

    """
    fields: dict[str, object] = {name: value for name, value in given.items() if value}
    if action is MeterAction.ADD:
        return {"device": device, "home": "", "endpoint": ""} | fields
    if action is MeterAction.EXCHANGE:
        if not new:
            raise typer.BadParameter("say which meter takes its place", param_hint="--new")
        return {"device": new} | fields
    return None


def _time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no time like 2026-11-21T09:30+01:00", param_hint="--at") from error
    if time.tzinfo is None:
        raise typer.BadParameter(f"{text} has no offset; write {text}+01:00 or {text}Z", param_hint="--at")
    return time


def _portal(url: str) -> MeterPortal:
    try:
        return MeterPortal(url)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--url") from error


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return ""


def _show_meters(found: Sequence[dict[str, Any]], console: Terminal, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found))
        return
    table = Table.grid(padding=(0, 2))
    for meter in found:
        style = _PILLS.get(meter["state"], "dim")
        table.add_row(
            cell(meter["device"], "bold"),
            cell(meter["state"], style),
            cell(meter["usage_point"]),
            cell(meter["reason"]),
        )
    console.print(table)


def _show_change(change: dict[str, Any], console: Terminal, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(change))
        return
    console.print(f"[green]done[/green]: {plain(change['text'])}", soft_wrap=True)
    for note in change["notes"]:
        console.print(f"[yellow]note[/yellow]: {plain(note)}", soft_wrap=True)


def _show_order(order: dict[str, Any], console: Terminal, *, as_json: bool) -> None:
    is_answered = order["state"] == "answered"
    if as_json:
        typer.echo(json.dumps(order))
    elif not is_answered:
        console.print(f"[red]{plain(order['state'])}[/red]: {plain(order['reason'])}", soft_wrap=True)
    for value in () if as_json else order["values"]:
        console.print(f"{plain(value['name'])}  {plain(value['value'])} {plain(value['unit'])}", soft_wrap=True)
    if not is_answered:
        raise typer.Exit(1)


def _refused(reasons: Sequence[str]) -> typer.Exit:
    console = Terminal(stderr=True, highlight=False)
    console.print("[red]not done[/red]")
    for reason in reasons:
        console.print(f"  {plain(reason)}", soft_wrap=True)
    return typer.Exit(2)
