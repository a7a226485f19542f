"""``meterspan import`` and ``meterspan export``: readings in and out of a data folder, as CSV, Parquet or JSON."""

import csv
import io
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from meterspan.cli.key_files import state_home
from meterspan.cli.tariff_options import local_zone
from meterspan.mdm import (
    ImportReport,
    MeterDataManagement,
    TableFormat,
    export_intervals,
    export_readings,
    import_csv,
    write_table,
)
from meterspan.model.readings import SeriesKind
from meterspan.model.storage.errors import StorageError
from meterspan.model.views import Home, PeriodPoint, PeriodView
from meterspan.quantities import Commodity, Obis, parse_obis

__all__ = ["EPILOG", "export_table", "import_table"]

EPILOG = """\
The folder is the one of [bold]meterspan home[/bold] or [bold]meterspan serve[/bold] (--data); neither may run on it
meanwhile. Times without an offset are local to --zone; a line that is not certain is refused, never guessed.
"""

REFUSED_SHOWN: Final = 12
BEGINNING: Final = datetime(1980, 1, 1, tzinfo=UTC)
EPOCHS_END: Final = datetime(2200, 1, 1, tzinfo=UTC)
PARQUET_ROWS: Final = 10_000
TOTAL_COLUMNS: Final = (
    "home", "commodity", "start", "opening", "closing", "total", "unexplained", "unit", "cost", "currency", "expected",
    "received",
)  # fmt: skip
_LETTERS: Final = {Commodity.ELECTRICITY: "E", Commodity.GAS: "G", Commodity.WATER: "W", Commodity.HEAT: "H"}

DataOption = Annotated[
    Path | None, typer.Option(help="Folder of the readings [dim](~/.local/state/meterspan/home)[/dim].")
]


class What(StrEnum):
    """What is exported."""

    READINGS = "readings"
    INTERVALS = "intervals"
    TOTALS = "totals"


class Resolution(StrEnum):
    """How long one total is."""

    DAY = "day"
    MONTH = "month"


def import_table(  # noqa: PLR0917 - typer calls it by name
    file: Annotated[Path, typer.Argument(help="CSV with a header, or Parquet; - reads CSV from standard input.")],
    data: DataOption = None,
    zone: Annotated[str | None, typer.Option(help="Time zone of times without an offset; this machine's.")] = None,
    device: Annotated[str | None, typer.Option(help="The meter, where the file names none.")] = None,
    obis: Annotated[str | None, typer.Option(help="The register, where the file names none: 1-0:1.8.0.")] = None,
    unit: Annotated[str | None, typer.Option(help="The unit, where the file names none: kWh.")] = None,
    home: Annotated[str | None, typer.Option(help="Install new meters of the file at this home.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> None:  # fmt: skip
    """Import readings from a table.

    Separators, decimal commas, column names and time formats are recognised; what was accepted is on disk at the end.
    A line that is refused is named with its number and reason, and the others are taken.
    """
    console = Console(stderr=True, highlight=False)
    register = _obis(obis)
    try:
        with _opened(data) as held, _lines(file, console, is_quiet=as_json) as lines:
            report = import_csv(
                held, lines, zone=_zone(zone), received_at=datetime.now(UTC), device=device, obis=register, unit=unit
            )
            installed = [] if home is None else _install(held, home, _zone(zone))
    except (ValueError, OSError) as error:
        console.print("[red]not imported[/red]:", str(error), soft_wrap=True)
        raise typer.Exit(2) from error
    if as_json:
        refused = [{"line": item.line, "reason": item.reason, "text": item.text} for item in report.refused]
        typer.echo(json.dumps({"lines": report.lines, "accepted": report.accepted, "blank": report.blank,
                               "refused": refused, "installed": installed}))  # fmt: skip
    else:
        _show(report, installed, console)
    if report.refused and not report.accepted:
        raise typer.Exit(1)


def export_table(  # noqa: PLR0917 - typer calls it by name
    file: Annotated[Path, typer.Argument(help="Where to write: .csv, .parquet or .json; - writes to standard output.")],
    what: Annotated[What, typer.Option(help="Raw readings, derived intervals, or totals with cost.")] = What.READINGS,
    data: DataOption = None,
    home: Annotated[str | None, typer.Option(help="Only this home.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="First local day.", metavar="YYYY-MM-DD")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last local day, included.", metavar="YYYY-MM-DD")] = None,
    resolution: Annotated[Resolution, typer.Option(help="Length of a total: day or month.")] = Resolution.DAY,
    form: Annotated[TableFormat | None, typer.Option("--format", help="csv, parquet or json; by the name.")] = None,
    zone: Annotated[str | None, typer.Option(help="Time zone of --from and --to; this machine's.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> None:  # fmt: skip
    """Export readings, intervals or totals.

    Values are exact decimals with their unit, times are UTC. What is exported as readings can be imported again.
    """
    console = Console(stderr=True, highlight=False)
    chosen = _form(file, form)
    place = ZoneInfo(_zone(zone))
    start = BEGINNING if first is None else datetime.combine(_day(first, "--from"), time(), place)
    end = EPOCHS_END if last is None else datetime.combine(_day(last, "--to") + timedelta(days=1), time(), place)
    try:
        with _opened(data, must_exist=True) as held, _target(file) as target:
            if home is not None and home not in {known.home_id for known in held.homes()}:
                raise typer.BadParameter(f"no home is called {home!r}", param_hint="--home")
            if what is What.READINGS:
                count = export_readings(held, target, start, end, form=chosen, home_id=home)
            elif what is What.INTERVALS:
                count = export_intervals(held, target, start, end, form=chosen, home_id=home)
            else:
                count = write_table(target, TOTAL_COLUMNS, _totals(held, home, start, end, resolution), chosen)
    except (ValueError, OSError) as error:
        console.print("[red]not exported[/red]:", str(error), soft_wrap=True)
        raise typer.Exit(2) from error
    if as_json:
        typer.echo(json.dumps({"file": str(file), "what": what, "rows": count, "format": chosen}))
    elif str(file) != "-":
        console.print(f"[green]{count:,}[/green] {what} in {file}")


# --- import ---------------------------------------------------------------------------------------------------------


@contextmanager
def _lines(file: Path, console: Console, *, is_quiet: bool) -> Iterator[Iterable[str]]:
    """Open the table as lines of CSV, with a progress bar where somebody looks."""
    if str(file) == "-":
        yield sys.stdin
    elif file.suffix == ".parquet":
        yield _parquet_lines(file)
    else:
        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
        progress = Progress(*columns, console=console, transient=True, disable=is_quiet or not console.is_terminal)
        with progress, progress.open(file, "rt", encoding="utf-8-sig", errors="replace", description=file.name) as text:
            yield text


def _parquet_lines(file: Path) -> Iterator[str]:
    """Give the rows of a Parquet file as CSV lines."""
    import pyarrow.parquet as pq  # noqa: PLC0415 - only this kind of file needs it

    table = pq.ParquetFile(file)
    yield _row(table.schema_arrow.names)
    for batch in table.iter_batches(batch_size=PARQUET_ROWS):
        for values in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield _row(values)


def _row(values: Iterable[Any]) -> str:
    texts = [value.isoformat() if isinstance(value, datetime) else "" if value is None else value for value in values]
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow(texts)
    return line.getvalue()


def _install(held: MeterDataManagement, home_id: str, zone: str) -> list[str]:
    """Install what is not installed yet, from its first reading on; gives the meters."""
    if home_id not in {known.home_id for known in held.homes()}:
        held.register_home(home_id, home_id, zone=zone)
    installed = []
    for series in held.series():
        if series.usage_point or series.kind is not SeriesKind.REGISTER or series.device in installed:
            continue
        readings = held.readings([series.series_id], BEGINNING, EPOCHS_END)
        if len(readings.time):
            held.install_meter(
                home_id, f"{home_id}-{_LETTERS[series.commodity]}", device=series.device, commodity=series.commodity,
                at=datetime.fromtimestamp(int(readings.time.min()), UTC),
            )  # fmt: skip
            installed.append(series.device)
    return installed


def _show(report: ImportReport, installed: list[str], console: Console) -> None:
    console.print(f"[green]{report.accepted:,}[/green] of {report.lines - report.blank:,} readings taken")
    if installed:
        console.print(f"installed: {', '.join(installed)}")
    if not report.refused:
        return
    console.print(f"[yellow]{len(report.refused):,} lines refused[/yellow]; they are not stored:")
    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("line", justify="right")
    table.add_column("why")
    table.add_column("text", overflow="ellipsis", no_wrap=True)
    for item in report.refused[:REFUSED_SHOWN]:
        table.add_row(str(item.line), Text(item.reason), Text(item.text))
    console.print(table)
    if len(report.refused) > REFUSED_SHOWN:
        console.print(f"[dim]and {len(report.refused) - REFUSED_SHOWN:,} more; --json lists all[/dim]")


# --- export ---------------------------------------------------------------------------------------------------------


@contextmanager
def _target(file: Path) -> Iterator[Path]:
    """Give the file to write; standard output gets it once it is whole."""
    if str(file) != "-":
        yield file
        return
    with TemporaryDirectory() as folder:
        scratch = Path(folder) / "table"
        yield scratch
        sys.stdout.buffer.write(scratch.read_bytes())
        sys.stdout.flush()


def _totals(
    held: MeterDataManagement, home_id: str | None, start: datetime, end: datetime, resolution: Resolution
) -> Iterator[dict[str, Any]]:
    """Give a row per home, supply, and day or month in which something is known."""
    for home in held.homes():
        if home_id is not None and home.home_id != home_id:
            continue
        for point in home.usage_points:
            for month in _months(held, home, point.usage_point, start, end):
                view = held.month(home.home_id, point.commodity, month)
                same = {"home": home.home_id, "commodity": str(point.commodity), "unit": view.unit,
                        "currency": view.currency}  # fmt: skip
                low = start.astimezone(ZoneInfo(home.zone)).date()
                high = (end - timedelta(seconds=1)).astimezone(ZoneInfo(home.zone)).date()
                days = [day for day in view.points if low <= day.start <= high and day.value is not None]
                views = [held.day(home.home_id, point.commodity, day.start) for day in days]
                if resolution is Resolution.MONTH and days:
                    yield same | _total(month, days, views)
                elif resolution is Resolution.DAY:
                    for day, shown in zip(days, views, strict=True):
                        yield same | _total(day.start, [day], [shown])


def _total(start: date, days: Sequence[PeriodPoint], views: Sequence[PeriodView]) -> dict[str, Any]:
    """Sum days up so that opening + total + unexplained can be held against closing."""
    costs = [day.cost for day in days if day.cost is not None]
    opening, closing = views[0].opening, views[-1].closing
    return {
        "start": start.isoformat(),
        "opening": "" if opening is None else f"{opening:f}",
        "closing": "" if closing is None else f"{closing:f}",
        "total": f"{sum((day.value for day in days if day.value is not None), Decimal(0)):f}",
        "unexplained": f"{sum((view.unexplained for view in views), Decimal(0)):f}",
        "cost": f"{sum(costs, Decimal(0)):f}" if costs else "",
        "expected": sum(day.expected for day in days),
        "received": sum(day.received for day in days),
    }


def _months(
    held: MeterDataManagement, home: Home, usage_point: str, start: datetime, end: datetime
) -> Iterator[date]:  # fmt: skip
    """Give the first days of the months in which the usage point has readings."""
    devices = {row.device for row in held.installations(usage_point)}
    ids = [series.series_id for series in held.series() if series.device in devices]
    times = held.readings(ids, start, end).time
    if not len(times):
        return
    zone = ZoneInfo(home.zone)
    month = datetime.fromtimestamp(int(times.min()), zone).date().replace(day=1)
    newest = datetime.fromtimestamp(int(times.max()), zone).date()
    while month <= newest:
        yield month
        month = (month + timedelta(days=32)).replace(day=1)


def _form(file: Path, form: TableFormat | None) -> TableFormat:
    if form is not None:
        return form
    try:
        return TableFormat(file.suffix.removeprefix(".").lower()) if file.suffix else TableFormat.CSV
    except ValueError as error:
        raise typer.BadParameter(f"{file.suffix} is none of .csv, .parquet, .json; say --format") from error


# --- both -----------------------------------------------------------------------------------------------------------


@contextmanager
def _opened(data: Path | None, *, must_exist: bool = False) -> Iterator[MeterDataManagement]:
    """Open the data management of a folder.

    Raises:
        ValueError: it is in use, or must exist and does not.

    """
    folder = data or state_home() / "home"
    if must_exist and not (folder / "data" / "registry.sqlite").is_file():
        raise ValueError(f"{folder} holds no readings of meterspan; name the folder of home or serve with --data")
    try:
        held = MeterDataManagement(folder / "data")
    except StorageError as error:
        raise ValueError(str(error)) from error
    with held:
        yield held


def _zone(name: str | None) -> str:
    chosen = name or local_zone()
    try:
        ZoneInfo(chosen)
    except (KeyError, ValueError, OSError) as error:
        raise typer.BadParameter(f"{chosen!r} is no time zone like Europe/Berlin", param_hint="--zone") from error
    return chosen


def _obis(text: str | None) -> Obis | None:
    if text is None:
        return None
    try:
        return parse_obis(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--obis") from error


def _day(text: str, option: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is no day like 2026-10-25", param_hint=option) from error
