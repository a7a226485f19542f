"""``meterspan doctor``: a read-only look at a data folder; the exit code says whether it is healthy."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.table import Table

from meterspan.app.doctor import Finding, Health, examine, is_healthy
from meterspan.cli.key_files import state_home
from meterspan.cli.terminal import Terminal, cell

__all__ = ["EPILOG", "doctor"]

EPILOG = """\
[bold]Examples[/bold]

meterspan doctor                      [dim]the folder of meterspan home[/dim]

meterspan doctor ~/meterspan --json   [dim]the folder of meterspan serve, for a machine[/dim]
"""

_SIGNS: Final = {Health.GOOD: "[green]✓[/green]", Health.NOTE: "[yellow]![/yellow]", Health.FAULT: "[red]✗[/red]"}


def doctor(
    data: Annotated[
        Path | None, typer.Argument(help="Data folder [dim](~/.local/state/meterspan/home)[/dim].", metavar="[DATA]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Check a data folder: formats, damaged batches and segments by name, quarantine, counters, permissions, room.

    Nothing is changed, and a program may run on the folder meanwhile. Exit code 0: healthy; 1: something is wrong.
    """
    findings = examine(state_home() / "home" if data is None else data)
    healthy = is_healthy(findings)
    if as_json:
        typer.echo(json.dumps({"healthy": healthy, "findings": [asdict(finding) for finding in findings]}))
    else:
        _show(findings, healthy=healthy)
    raise typer.Exit(0 if healthy else 1)


def _show(findings: list[Finding], *, healthy: bool) -> None:
    console = Terminal(highlight=False)
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        table.add_row(_SIGNS[finding.health], cell(finding.what, "bold"), cell(finding.detail))
    console.print(table)
    faults = sum(finding.health is Health.FAULT for finding in findings)
    console.print("[green]healthy[/green]" if healthy else f"[red]faults: {faults:d}[/red]")
