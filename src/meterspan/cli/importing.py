"""``meterspan import``: a table of readings into a data folder, the list of such imports, and the way back."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from meterspan.app.importing import (
    ImportAnswer,
    ImportOutcome,
    ImportRequest,
    import_into,
    list_imports,
    undo_import_of,
)
from meterspan.app.table_files import encoding_of, parquet_lines
from meterspan.cli.key_files import state_home
from meterspan.cli.options import RegistryOption, name_option, obis_option, require_taken, zone_option
from meterspan.cli.terminal import Terminal, cell, plain
from meterspan.mdm import ImportReport
from meterspan.mdm.imports import FileConflict
from meterspan.mdm.table_reader import TableDefaults
from meterspan.model.reasons import trouble_of
from meterspan.model.storage.errors import StorageError
from meterspan.model.storage.readings import ImportRecord
from meterspan.quantities import Scaled, utc, utc_text

__all__ = ["EPILOG", "import_table"]

EPILOG = """\
[bold]Columns[/bold], in any order and by their usual English or German names: device (or usage point, or --device),
obis (or --obis: 1-0:1.8.0, import, gas …), time (or date and time), value, unit (or --unit, or value (kWh)), home.

[bold]Intervals[/bold]: start and end (von;bis) and one or many columns of consumption in kWh, named by OBIS code or
by meter.

[bold]All or nothing[/bold]: a line that is not certain is refused, and then nothing is stored; with --rejects the
others are. Each import has a number: --list shows them, --undo takes one back.

[bold]Exit status[/bold]: 0 all is stored; 1 lines were refused; 2 not imported (file, home, folder); 3 stored, and some
values contradict stored ones (both are kept); 4 the time zone is doubtful. Refused for 2 and 4: nothing is stored.

The folder is the one of [bold]meterspan home[/bold] or [bold]meterspan serve[/bold] (--data); neither may run on it
meanwhile. Times without an offset are local to --zone.
"""

_TAKEN: Final = {
    "FILE": frozenset(
        {
            *("file", "zone", "device", "obis", "unit", "home", "home_each"),
            *("dry_run", "rejects", "zone_is_right"),
        }
    ),
    "--list": frozenset({"listed", "page"}),
    "--undo": frozenset({"undo"}),
}
"""Which options each use of the command takes, beside those that all take."""
_ALL_TAKE: Final = frozenset({"data", "registry", "as_json"})
SHOWN: Final = 12
TEXT_MAX: Final = 160
"""Characters of a refused line that are shown."""
PAGE_ROWS: Final = 20
REFUSED, NOT_IMPORTED, CONFLICTS, DOUBTFUL = 1, 2, 3, 4
"""Exit status."""
_UNTAKEN: Final = {
    ImportOutcome.REFUSED_LINES: "nothing is stored: lines were refused; mend them, or give --rejects FILE",
    ImportOutcome.DOUBTFUL_ZONE: "nothing is stored: the time zone is doubtful; --zone-is-right takes it nevertheless",
    ImportOutcome.EMPTY: "nothing is stored: the table has no reading",
    ImportOutcome.TRIED: "nothing is stored: --dry-run",
}


def import_table(  # noqa: PLR0917 - typer calls it by name
    ctx: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="CSV with a header, or Parquet; - reads CSV from standard input.")
    ] = None,
    data: Annotated[
        Path | None, typer.Option(help="Folder of the readings [dim](~/.local/state/meterspan/home)[/dim].")
    ] = None,
    registry: RegistryOption = None,
    zone: Annotated[str | None, typer.Option(help="Time zone of times without an offset; this machine's.")] = None,
    device: Annotated[str | None, typer.Option(help="The meter, where the file names none.")] = None,
    obis: Annotated[str | None, typer.Option(help="The register, where the file names none: 1-0:1.8.0.")] = None,
    unit: Annotated[str | None, typer.Option(help="The unit, where the file names none: kWh.")] = None,
    home: Annotated[str | None, typer.Option(help="Home of new meters, where the file names none.")] = None,
    home_each: Annotated[bool, typer.Option("--home-each", help="Give each new meter a home of its own name.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be stored, and store nothing.")] = False,
    rejects: Annotated[
        Path | None, typer.Option(help="Write refused lines there, with the reason, and take the others.")
    ] = None,
    zone_is_right: Annotated[
        bool, typer.Option("--zone-is-right", help="Take the times though they look like another zone.")
    ] = False,
    listed: Annotated[bool, typer.Option("--list", help="List the imports, the newest first.")] = False,
    page: Annotated[int, typer.Option(help="Page of the list, from 1 on.", min=1)] = 1,
    undo: Annotated[int | None, typer.Option(help="Take the import of this number back.", metavar="NUMBER")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Import readings from a table; list imports; take one back.

    Separators, decimal commas, column names, encodings and time formats are recognised; readings are on disk at the
    end.
    """
    console = Terminal(stderr=True, highlight=False)
    folder = state_home() / "home" if data is None else data
    if undo is not None or listed:
        if file is not None or (undo is not None and listed):
            raise typer.BadParameter("give one of FILE, --list, --undo")
        require_taken(ctx, "--list" if listed else "--undo", _TAKEN, _ALL_TAKE)
        _past(folder, registry or "", undo, page, console, as_json=as_json)
        return
    if file is None:
        raise typer.BadParameter("give the table to import, or --list, or --undo NUMBER", param_hint="FILE")
    require_taken(ctx, "FILE", _TAKEN, _ALL_TAKE)
    register = None if obis is None else obis_option(obis, "--obis")
    place = zone_option(zone)
    request = ImportRequest(
        file.name if str(file) != "-" else "standard input",
        TableDefaults(
            place.key,
            name_option(device, "--device"),
            register,
            unit,
            name_option(home, "--home"),
            home_each,
        ),
        registry or "",
        is_trial=dry_run,
        rejects=rejects,
        trusts_zone=zone_is_right,
    )
    with _failures(console), _lines(file, console, is_quiet=as_json) as lines:
        answer = import_into(folder, lines, request)
    if as_json:
        typer.echo(json.dumps(_as_json(answer)))
    else:
        _show(answer, console, place, is_trial=dry_run)
    status = _status(answer)
    if status:
        raise typer.Exit(status)


@contextmanager
def _failures(console: Console) -> Iterator[None]:
    """Print in one sentence why nothing was imported."""
    try:
        yield
    except (StorageError, ValueError, LookupError, OSError) as error:
        console.print(f"[red]not imported[/red]: {plain(trouble_of(error))}", soft_wrap=True)
        raise typer.Exit(NOT_IMPORTED) from error


@contextmanager
def _lines(file: Path, console: Console, *, is_quiet: bool) -> Iterator[Iterable[str]]:
    """Open the table as lines of CSV, with a progress bar where somebody looks."""
    if str(file) == "-":
        yield sys.stdin
    elif file.suffix == ".parquet":
        yield parquet_lines(file)
    else:
        encoding = encoding_of(file)
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        progress = Progress(*columns, console=console, transient=True, disable=is_quiet or not console.is_terminal)
        with progress, progress.open(file, "rt", encoding=encoding, errors="replace", description=file.name) as text:
            yield text


def _status(answer: ImportAnswer) -> int:
    if answer.outcome is ImportOutcome.DOUBTFUL_ZONE:
        return DOUBTFUL
    if answer.outcome is ImportOutcome.EMPTY:
        return NOT_IMPORTED
    if answer.outcome is ImportOutcome.TAKEN_BEFORE:
        return 0
    if answer.report.refused_count:
        return REFUSED
    return CONFLICTS if answer.report.conflicts else 0


# --- what became of it ----------------------------------------------------------------------------------------------


def _as_json(answer: ImportAnswer) -> dict[str, Any]:
    report = answer.report
    return {
        "outcome": answer.outcome,
        "stored": answer.is_stored,
        "import": report.record.number if report.record is not None and answer.is_stored else None,
        "taken_before": None if answer.before is None else answer.before.number,
        "lines": report.lines,
        "accepted": report.accepted,
        "blank": report.blank,
        "readings": report.readings,
        "taken": report.taken,
        "duplicates": report.duplicates,
        "conflicts": report.conflicts,
        "conflicting": [_conflict_as_json(item) for item in report.named_conflicts],
        "refused": [
            {"line": item.line, "column": item.column, "reason": item.reason, "remedy": item.remedy, "text": item.text}
            for item in report.refused
        ],
        "refused_count": report.refused_count,
        "registers": [
            {"device": item.device, "obis": str(item.obis), "unit": item.unit.symbol} for item in report.channels
        ],
        "first": None if report.first_time is None else utc_text(utc(report.first_time)),
        "last": None if report.last_time is None else utc_text(utc(report.last_time)),
        "installed": [meter.device for meter in answer.installed],
        "doubts": list(answer.doubts),
        "notes": list(report.notes),
    }


def _conflict_as_json(item: FileConflict) -> dict[str, Any]:
    channel = item.channel
    return {
        "device": channel.device,
        "obis": str(channel.obis),
        "time": utc_text(utc(item.time)),
        "value": _value(item, item.value),
        "stored": [_value(item, value) for value in item.stored],
        "unit": channel.unit.symbol,
    }


def _value(item: FileConflict, steps: int) -> str:
    return f"{Scaled(steps, item.channel.exponent, item.channel.unit).decimal:f}"


def _show_installed(answer: ImportAnswer, console: Console, *, is_done: bool) -> None:
    if answer.installed:
        verb = "installed" if is_done else "would be installed"
        names = (f"{meter.device} at home {meter.home_id}" for meter in answer.installed[:SHOWN])
        console.print(f"{plain(verb)}: {plain(', '.join(names))}{plain(' …' if len(answer.installed) > SHOWN else '')}")


def _show(answer: ImportAnswer, console: Console, place: ZoneInfo, *, is_trial: bool) -> None:
    report = answer.report
    _show_content(report, console, place)
    if answer.outcome is ImportOutcome.TAKEN_BEFORE and answer.before is not None:
        at = f"{utc(answer.before.taken_at).astimezone(place):%Y-%m-%d %H:%M}"
        console.print(f"nothing is stored: the same file is import {plain(answer.before.number)}, taken on {plain(at)}")
        _show_installed(answer, console, is_done=not is_trial)
        return
    is_stored = answer.is_stored
    counts = f"{report.taken:,} new, {report.duplicates:,} known, {report.conflicts:,} in conflict with stored values"
    number = f" as import {report.record.number}" if report.record is not None and is_stored else ""
    console.print(f"{plain('stored' if is_stored else 'would be stored')}{plain(number)}: {plain(counts)}")
    _show_installed(answer, console, is_done=is_stored)
    for note in report.notes[:SHOWN]:
        console.print(f"[dim]note:[/dim] {plain(note)}")
    _show_conflicts(report, console)
    _show_refused(report, console)
    for doubt in answer.doubts:
        console.print(f"[yellow]time zone:[/yellow] {plain(doubt)}")
    if answer.outcome in _UNTAKEN:
        console.print(f"[yellow]{plain(_UNTAKEN[answer.outcome])}[/yellow]")


def _show_content(report: ImportReport, console: Console, place: ZoneInfo) -> None:
    """Print what the file holds: readings, meters, registers, and from when to when."""
    taken = f"{report.readings:,} readings in {report.accepted:,} of {report.lines - report.blank:,} lines"
    meters = len({item.device for item in report.channels})
    if report.first_time is None or report.last_time is None:
        console.print(plain(taken))
        return
    first, last = (utc(at).astimezone(place) for at in (report.first_time, report.last_time))
    console.print(f"{plain(taken)}, {plain(meters)} {plain('meter' if meters == 1 else 'meters')}")
    console.print(f"from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M}, {plain(place.key)}")
    for item in report.channels[:SHOWN]:
        console.print(f"  {plain(item.device)}  {plain(item.obis)}  {plain(item.unit.symbol)}")
    if len(report.channels) > SHOWN:
        console.print(f"  [dim]and {len(report.channels) - SHOWN:,} more[/dim]")


def _show_conflicts(report: ImportReport, console: Console) -> None:
    if not report.conflicts:
        return
    console.print(
        f"[yellow]{report.conflicts:,} values contradict others[/yellow]; both are kept, and the smaller counts"
    )
    for item in report.named_conflicts[:SHOWN]:
        other = " and ".join(_value(item, value) for value in item.stored) or "another value of the file"
        where = f"{item.channel.device} {item.channel.obis} at {utc_text(utc(item.time))}"
        words = f"{_value(item, item.value)} beside {other} {item.channel.unit.symbol}"
        console.print(f"  {plain(where)}: {plain(words)}")
    if report.conflicts > SHOWN:
        console.print(f"  [dim]and {report.conflicts - SHOWN:,} more; --json lists the first 1,000[/dim]")


def _show_refused(report: ImportReport, console: Console) -> None:
    if not report.refused:
        return
    lines = "line is" if report.refused_count == 1 else "lines are"
    console.print(f"[yellow]{report.refused_count:,} {plain(lines)} refused[/yellow]:")
    for item in report.refused[:SHOWN]:
        where = f"line {item.line}" + (f", column {item.column}" if item.column else "")
        remedy = f" ({item.remedy})" if item.remedy else ""
        console.print(f"  {plain(where)}: {plain(item.reason + remedy)}")
        shown = item.text if len(item.text) <= TEXT_MAX else f"{item.text[:TEXT_MAX]}…"
        text = cell(f"    {shown}", "dim")
        text.overflow, text.no_wrap = "ellipsis", True
        console.print(text)
    if report.refused_count > SHOWN:
        console.print(f"  [dim]and {report.refused_count - SHOWN:,} more; --json lists the first 1,000[/dim]")


# --- what was imported ----------------------------------------------------------------------------------------------


def _past(folder: Path, registry: str, undo: int | None, page: int, console: Console, *, as_json: bool) -> None:
    """List the imports, or take one back."""
    with _failures(console):
        records = list_imports(folder, registry=registry) if undo is None else []
        undone = None if undo is None else undo_import_of(folder, undo, registry=registry)
    if undone is not None and as_json:
        typer.echo(json.dumps(_record_as_json(undone)))
    elif undone is not None:
        console.print(f"import {plain(undone.number)} ({plain(undone.name)}) is undone: {undone.readings:,} readings")
    elif as_json:
        shown = records[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]
        typer.echo(json.dumps({"count": len(records), "page": page, "imports": [*map(_record_as_json, shown)]}))
    else:
        _show_records(records, page)


def _record_as_json(record: ImportRecord) -> dict[str, Any]:
    return {
        "import": record.number,
        "name": record.name,
        "digest": record.digest.hex(),
        "taken_at": utc_text(utc(record.taken_at)),
        "taken": record.readings,
        "duplicates": record.duplicates,
        "conflicts": record.conflicts,
        "first": None if record.first_time is None else utc_text(utc(record.first_time)),
        "last": None if record.last_time is None else utc_text(utc(record.last_time)),
        "undone_at": None if record.undone_at is None else utc_text(utc(record.undone_at)),
    }


def _show_records(records: Sequence[ImportRecord], page: int) -> None:
    console = Terminal(highlight=False)
    pages = max(-(-len(records) // PAGE_ROWS), 1)
    table = Table(box=None, padding=(0, 1), header_style="dim")
    for name, is_right in (("import", True), ("taken", False), ("new", True), ("known", True), ("conflicts", True)):
        table.add_column(name, justify="right" if is_right else "left", no_wrap=True)
    table.add_column("file", overflow="fold")
    for record in records[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]:
        counts = (f"{count:,}" for count in (record.readings, record.duplicates, record.conflicts))
        undone = "" if record.undone_at is None else f" (undone {utc(record.undone_at):%Y-%m-%d})"
        when = f"{utc(record.taken_at):%Y-%m-%d %H:%M}Z"
        table.add_row(str(record.number), when, *counts, cell(f"{record.name}{undone}"))
    console.print(table if records else "no imports")
    if pages > 1:
        console.print(f"[dim]page {plain(page)} of {plain(pages)}[/dim]")
