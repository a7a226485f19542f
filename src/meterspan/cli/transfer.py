"""``meterspan import`` and ``meterspan export``: readings in and out of a data folder, as CSV, Parquet or JSON."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime, time, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from meterspan.app.transfer import (
    BEGINNING,
    END,
    Extract,
    ImportDefaults,
    Resolution,
    What,
    export_from,
    import_into,
    parquet_lines,
)
from meterspan.cli.key_files import state_home
from meterspan.cli.options import RegistryOption, day_option, obis_option, zone_option
from meterspan.cli.terminal import Terminal, plain
from meterspan.mdm import ImportReport, TableFormat
from meterspan.model.lookup_errors import UnknownHomeError
from meterspan.model.storage.errors import StorageError

__all__ = ["EPILOG", "export_table", "import_table"]

EPILOG = """\
[bold]Columns of an import[/bold], in any order: device (or usage point), obis (the register: 1-0:1.8.0, import, gas …),
time (or date and time), value, unit. Common spellings and German names are recognised; --device, --obis and --unit
stand in for a column that is not there.

The folder is the one of [bold]meterspan home[/bold] or [bold]meterspan serve[/bold] (--data); neither may run on it
meanwhile. Times without an offset are local to --zone; a line that is not certain is refused, never guessed.
"""

REFUSED_SHOWN: Final = 12

DataOption = Annotated[
    Path | None, typer.Option(help="Folder of the readings [dim](~/.local/state/meterspan/home)[/dim].")
]


def import_table(  # noqa: PLR0917 - typer calls it by name
    file: Annotated[Path, typer.Argument(help="CSV with a header, or Parquet; - reads CSV from standard input.")],
    data: DataOption = None,
    registry: RegistryOption = None,
    zone: Annotated[str | None, typer.Option(help="Time zone of times without an offset; this machine's.")] = None,
    device: Annotated[str | None, typer.Option(help="The meter, where the file names none.")] = None,
    obis: Annotated[str | None, typer.Option(help="The register, where the file names none: 1-0:1.8.0.")] = None,
    unit: Annotated[str | None, typer.Option(help="The unit, where the file names none: kWh.")] = None,
    home: Annotated[str | None, typer.Option(help="Install new meters of the file at this home.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> None:
    """Import readings from a table.

    Separators, decimal commas, column names and time formats are recognised; accepted readings are on disk at the end.
    A line that is refused is named with its number and reason, and the others are taken.
    """
    console = Terminal(stderr=True, highlight=False)
    register = None if obis is None else obis_option(obis, "--obis")
    defaults = ImportDefaults(zone_option(zone).key, device, register, unit)
    try:
        with _lines(file, console, is_quiet=as_json) as lines:
            report, installed = import_into(_folder(data), lines, defaults, home_id=home, registry=registry or "")
    except (StorageError, ValueError, OSError) as error:
        console.print(f"[red]not imported[/red]: {plain(error)}", soft_wrap=True)
        raise typer.Exit(2) from error
    if as_json:
        refused = [{"line": item.line, "reason": item.reason, "text": item.text} for item in report.refused]
        typer.echo(
            json.dumps(
                {
                    "lines": report.lines,
                    "accepted": report.accepted,
                    "blank": report.blank,
                    "refused": refused,
                    "refused_count": report.refused_count,
                    "installed": installed,
                }
            )
        )
    else:
        _show(report, installed, console)
    if report.refused and not report.accepted:
        raise typer.Exit(1)


def export_table(  # noqa: PLR0917 - typer calls it by name
    file: Annotated[Path, typer.Argument(help="Where to write: .csv, .parquet or .json; - writes to standard output.")],
    what: Annotated[What, typer.Option(help="Raw readings, derived intervals, or totals with cost.")] = What.READINGS,
    data: DataOption = None,
    registry: RegistryOption = None,
    home: Annotated[str | None, typer.Option(help="Only this home.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="First local day.", metavar="YYYY-MM-DD")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last local day, included.", metavar="YYYY-MM-DD")] = None,
    resolution: Annotated[Resolution, typer.Option(help="Length of a total: day or month.")] = Resolution.DAY,
    form: Annotated[TableFormat | None, typer.Option("--format", help="csv, parquet or json; by the name.")] = None,
    zone: Annotated[str | None, typer.Option(help="Time zone of --from and --to; this machine's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> None:
    """Export readings, intervals or totals.

    Values are exact decimals with their unit, times are UTC. Exported readings can be imported again.
    """
    console = Terminal(stderr=True, highlight=False)
    chosen = _form(file, form)
    place = zone_option(zone)
    start = BEGINNING if first is None else datetime.combine(day_option(first, "--from"), time(), place)
    after = None if last is None else day_option(last, "--to") + timedelta(days=1)
    end = END if after is None else datetime.combine(after, time(), place)
    try:
        with _target(file) as target:
            extract = Extract(what, start, end, home, resolution)
            count, damage = export_from(_folder(data), target, extract, chosen, registry=registry or "")
    except UnknownHomeError as error:
        raise typer.BadParameter(str(error), param_hint="--home") from error
    except (StorageError, ValueError, OSError) as error:
        console.print(f"[red]not exported[/red]: {plain(error)}", soft_wrap=True)
        raise typer.Exit(2) from error
    for item in damage:
        console.print(f"[yellow]damaged[/yellow]: {plain(item.item)}: {plain(item.reason)}", soft_wrap=True)
    if as_json:
        named = [item.item for item in damage]
        typer.echo(json.dumps({"file": str(file), "what": what, "rows": count, "format": chosen, "damaged": named}))
    elif str(file) != "-":
        console.print(f"[green]{count:,}[/green] {plain(what)} in {plain(file)}")


# --- import ---------------------------------------------------------------------------------------------------------


@contextmanager
def _lines(file: Path, console: Console, *, is_quiet: bool) -> Iterator[Iterable[str]]:
    """Open the table as lines of CSV, with a progress bar where somebody looks."""
    if str(file) == "-":
        yield sys.stdin
    elif file.suffix == ".parquet":
        yield parquet_lines(file)
    else:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        progress = Progress(*columns, console=console, transient=True, disable=is_quiet or not console.is_terminal)
        with progress, progress.open(file, "rt", encoding="utf-8-sig", errors="replace", description=file.name) as text:
            yield text


def _show(report: ImportReport, installed: list[str], console: Console) -> None:
    console.print(f"[green]{report.accepted:,}[/green] of {report.lines - report.blank:,} readings taken")
    if installed:
        console.print(f"installed: {plain(', '.join(installed))}")
    if not report.refused:
        return
    console.print(f"[yellow]{report.refused_count:,} lines refused[/yellow]; they are not stored:")
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("line", justify="right")
    table.add_column("why")
    table.add_column("text", overflow="ellipsis", no_wrap=True)
    for item in report.refused[:REFUSED_SHOWN]:
        table.add_row(str(item.line), Text(item.reason), Text(item.text))
    console.print(table)
    if report.refused_count > REFUSED_SHOWN:
        console.print(f"[dim]and {report.refused_count - REFUSED_SHOWN:,} more; --json lists the first 1,000[/dim]")


# --- export ---------------------------------------------------------------------------------------------------------


@contextmanager
def _target(file: Path) -> Iterator[Path]:
    """Yield the file to write; standard output gets it once it is whole."""
    if str(file) != "-":
        yield file
        return
    with TemporaryDirectory() as folder:
        scratch = Path(folder) / "table"
        yield scratch
        sys.stdout.buffer.write(scratch.read_bytes())
        sys.stdout.flush()


def _form(file: Path, form: TableFormat | None) -> TableFormat:
    if form is not None:
        return form
    try:
        return TableFormat(file.suffix.removeprefix(".").lower()) if file.suffix else TableFormat.CSV
    except ValueError as error:
        raise typer.BadParameter(f"{file.suffix} is not one of .csv, .parquet, .json; say --format") from error


def _folder(data: Path | None) -> Path:
    return state_home() / "home" if data is None else data
