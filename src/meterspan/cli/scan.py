"""``meterspan scan``: find the slaves of a wired M-Bus, by primary or secondary address."""

import json
import sys
from datetime import datetime
from fractions import Fraction
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from meterspan.app.mbus_scanning import (
    RETRIES,
    WAIT_S,
    BusScan,
    ScanRequest,
    parse_addresses,
    read_place,
    run_scan,
    secondary_address,
)
from meterspan.cli.hints import MBUS_OPTIONS, hints_for
from meterspan.cli.reading_pages import trace_lines
from meterspan.cli.terminal import Terminal, plain
from meterspan.engine.frame_trace import TracedFrame
from meterspan.engine.mbus_search import SlaveFound, SlavesCollided
from meterspan.model.failures import Failure
from meterspan.model.identity import mbus_device
from meterspan.runtime.endpoints import Endpoint, EndpointError, parse_transport
from meterspan.runtime.mbus_client import MBUS_TRANSPORTS, MbusError

__all__ = ["EPILOG", "scan"]

EPILOG = """\
[bold]Examples[/bold]

meterspan scan mbus+tcp://192.168.1.60:10001               [dim]ask the primary addresses 0 to 250: six minutes[/dim]

meterspan scan mbus+serial:///dev/ttyUSB0?baud=2400 --addresses 1-20

meterspan scan mbus+tcp://192.168.1.60:10001 --secondary --decimal  [dim]by number, also where addresses collide[/dim]

meterspan scan mbus+tcp://192.168.1.60:10001 --number 1234  [dim]only slaves whose number begins so[/dim]

meterspan read mbus+tcp://192.168.1.60:10001?address=5     [dim]read what was found: the table has each line[/dim]

[bold]Which search?[/bold]  Slaves leave the factory with primary address 0 or 1, so new ones answer all at once: a
collision. Their secondary addresses (number, manufacturer, version, medium) differ. The secondary search asks for all
numbers, and wherever several slaves answer, for each next digit: some ten seconds for each digit that they share.

Exit status: 0 slaves were found, 1 none or the search failed, 2 wrong options, 130 interrupted.
"""
_WHOLE: Final = 1_000


def scan(  # noqa: PLR0917 - typer calls it by name
    endpoint: Annotated[
        str, typer.Argument(help=", ".join(row.example.split("?")[0] for row in MBUS_TRANSPORTS.values()))
    ],
    secondary: Annotated[
        bool, typer.Option("--secondary", help="Search by secondary address, narrowing wildcards digit by digit.")
    ] = False,
    addresses: Annotated[
        str | None, typer.Option(help="Primary addresses to ask [dim](0-250)[/dim].", metavar="1-20,30")
    ] = None,
    number: Annotated[
        str | None,
        typer.Option(help="Only slaves whose identification number begins so; implies --secondary.", metavar="DIGITS"),
    ] = None,
    decimal: Annotated[
        bool, typer.Option("--decimal", help="Numbers have no digits A to E: a third fewer probes.")
    ] = False,
    wait: Annotated[
        float,
        typer.Option(help="Seconds that the gateway adds to an answer; more on slow networks.", min=0.0, max=60.0),
    ] = WAIT_S,
    retries: Annotated[int, typer.Option(help="How often silence is asked again.", min=0, max=9)] = RETRIES,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    trace: Annotated[bool, typer.Option("--trace", help="Show each frame with its meaning.")] = False,
) -> None:
    """Find the slaves of a wired M-Bus, and how each of them is read.

    Only asks: no slave is given another address or setting. Ctrl-C ends the search and prints what was found.
    """
    by_primary = not secondary and number is None
    if not by_primary and addresses is not None:
        raise typer.BadParameter(
            "is for a search by primary address; leave --secondary and --number out", param_hint="--addresses"
        )
    request = ScanRequest(
        _endpoint(endpoint),
        _addresses(addresses or "0-250") if by_primary else None,
        _digits(number or ""),
        not decimal,
        wait,
        retries,
    )
    errors = Terminal(stderr=True)
    with _progress(errors, is_quiet=as_json or trace or not errors.is_terminal) as bar:
        task = bar.add_task("", total=_WHOLE)

        def show(asking: str, share: Fraction) -> None:
            text = f"address {asking}" if by_primary else f"numbers {asking.ljust(8, '*')}"
            bar.update(task, completed=float(share * _WHOLE), description=text)

        found = BusScan(show)
        failure, status = _run(request, found, errors if trace else None)
    _show(request, found, failure, errors, as_json=as_json)
    if status:
        raise typer.Exit(status)


def _run(request: ScanRequest, found: BusScan, tracing: Console | None) -> tuple[Failure | None, int]:
    """Search, and return why it failed, and the exit status."""
    zone = datetime.now().astimezone().tzinfo

    def on_frame(frame: TracedFrame) -> None:
        if tracing is not None and zone is not None:
            for line in trace_lines(frame, zone, whole=not tracing.is_terminal):
                tracing.print(line, highlight=False, soft_wrap=True)

    try:
        run_scan(request, found, on_frame=on_frame)
    except EndpointError as error:
        raise typer.BadParameter(str(error), param_hint="ENDPOINT") from error
    except MbusError as error:
        return error.failure, 1
    except KeyboardInterrupt:
        return None, 130
    return None, 0 if found.slaves or found.collisions else 1


def _progress(console: Console, *, is_quiet: bool) -> Progress:
    columns = TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn()
    return Progress(*columns, console=console, transient=True, disable=is_quiet)


def _show(request: ScanRequest, found: BusScan, failure: Failure | None, errors: Console, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(_json(request, found, failure) + "\n")
    elif found.slaves:
        Terminal().print(_table(request, found.slaves))
    for collision in found.collisions:
        errors.print(f"[yellow]{plain(_says(collision))}[/yellow]", highlight=False)
        errors.print(f"  [dim]→[/dim] {plain(_remedy(collision, request.endpoint))}", highlight=False, soft_wrap=True)
    if failure is not None:
        errors.print(f"[red]{plain(failure)}[/red]", highlight=False)
        for hint in hints_for(failure.kind, MBUS_OPTIONS):
            errors.print(f"  [dim]→[/dim] {plain(hint)}", highlight=False, soft_wrap=True)
    elif not found.slaves and not found.collisions:
        errors.print("[red]no slave answered[/red]", highlight=False)
        errors.print(f"  [dim]→[/dim] {plain(_NOBODY)}", highlight=False, soft_wrap=True)


_NOBODY: Final = (
    "is the bus powered, and baud= its rate (2400 mostly, 300 for old slaves)? --wait 2 for a slow gateway;"
    " --secondary finds slaves that ignore primary addresses"
)


def _says(collision: SlavesCollided) -> str:
    where = f"have number {collision.digits}" if collision.primary is None else f"answer at address {collision.primary}"
    return f"several slaves {where}, or the line is disturbed"


def _remedy(collision: SlavesCollided, endpoint: Endpoint) -> str:
    if collision.primary is None:
        return "they cannot be told apart on one bus: connect them one by one, and give one another number"
    return f"meterspan scan {endpoint} --secondary tells them apart"


def _table(request: ScanRequest, slaves: list[SlaveFound]) -> Table:
    table = Table(title=f"{len(slaves)} slaves at {request.endpoint}", title_justify="left", title_style="bold")
    table.add_column("address", justify="right")
    for name in ("number", "manufacturer", "medium", "version"):
        table.add_column(name)
    table.add_column("to read it", overflow="fold")
    for slave in slaves:
        who = slave.identity
        shown = (
            ("gives no data", "", "", "")
            if who is None
            else (who.id, who.manufacturer, who.medium_name, f"{who.version:02X}")
        )
        table.add_row(str(slave.primary), *shown, _place(request, slave))
    return table


def _place(request: ScanRequest, slave: SlaveFound) -> str:
    return read_place(request.endpoint, slave, by_primary=request.addresses is not None)


def _json(request: ScanRequest, found: BusScan, failure: Failure | None) -> str:
    document = {
        "endpoint": str(request.endpoint),
        "search": "secondary" if request.addresses is None else "primary",
        "slaves": [_slave(request, slave) for slave in found.slaves],
        "collisions": [
            {"number": item.digits} if item.primary is None else {"address": item.primary} for item in found.collisions
        ],
        "error": None if failure is None else {"kind": failure.kind, "detail": str(failure)},
    }
    return json.dumps(document)


def _slave(request: ScanRequest, slave: SlaveFound) -> dict[str, Any]:
    who = slave.identity
    told: dict[str, Any] = {"address": slave.primary, "read": _place(request, slave)}
    if who is not None:
        told |= {
            "number": who.id,
            "manufacturer": who.manufacturer,
            "medium": who.medium_name,
            "version": f"{who.version:02X}",
            "secondary": secondary_address(who),
            "device": mbus_device(who),
        }
    return told


def _endpoint(text: str) -> Endpoint:
    try:
        return parse_transport(text, MBUS_TRANSPORTS)
    except EndpointError as error:
        raise typer.BadParameter(str(error), param_hint="ENDPOINT") from error


def _addresses(text: str) -> tuple[int, ...]:
    try:
        return parse_addresses(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--addresses") from error


def _digits(text: str) -> str:
    digits = text.upper()
    if len(digits) > 8 or any(digit not in "0123456789ABCDE" for digit in digits):
        raise typer.BadParameter(f"{text!r} is not the beginning of a number of eight digits", param_hint="--number")
    return digits
