"""``meterspan export``: readings, intervals and totals out of a data folder, as CSV, Parquet or JSON."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from meterspan.app.transfer import (
    Extract,
    Resolution,
    What,
    export_from,
)
from meterspan.cli.key_files import state_home
from meterspan.cli.options import RegistryOption, day_option, zone_option
from meterspan.cli.tariff_options import tariffs_by_commodity
from meterspan.cli.terminal import Terminal, plain
from meterspan.mdm import TableFormat
from meterspan.model.lookup_errors import UnknownHomeError
from meterspan.model.reasons import trouble_of
from meterspan.model.storage.errors import StorageError

__all__ = ["export_table"]

DataOption = Annotated[
    Path | None, typer.Option(help="Folder of the readings [dim](~/.local/state/meterspan/home)[/dim].")
]


def export_table(  # noqa: PLR0917 - typer calls it by name
    file: Annotated[Path, typer.Argument(help="Where to write: .csv, .parquet or .json; - writes to standard output.")],
    what: Annotated[What, typer.Option(help="Raw readings, derived intervals, or totals with cost.")] = What.READINGS,
    data: DataOption = None,
    registry: RegistryOption = None,
    home: Annotated[str | None, typer.Option(help="Only this home.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="First local day.", metavar="YYYY-MM-DD")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last local day, included.", metavar="YYYY-MM-DD")] = None,
    resolution: Annotated[Resolution, typer.Option(help="Length of a total: day or month.")] = Resolution.DAY,
    tariffs: Annotated[Path | None, typer.Option(help="Price totals by this tariff file (TOML).")] = None,
    price: Annotated[str | None, typer.Option(help="Price of electricity per kWh, in place of a tariff file.")] = None,
    currency: Annotated[str, typer.Option(help="Currency of --price.")] = "EUR",
    form: Annotated[TableFormat | None, typer.Option("--format", help="csv, parquet or json; by the name.")] = None,
    zone: Annotated[str | None, typer.Option(help="Time zone of --from and --to; the home's own.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a summary as JSON.")] = False,
) -> None:
    """Export readings, intervals or totals.

    Values are exact decimals with their unit, times are UTC. Exported readings can be imported again. Totals have their
    cost without tax (cost_net) and with it (cost_gross), where the folder or --tariffs or --price has a tariff.
    """
    console = Terminal(stderr=True, highlight=False)
    chosen = _form(file, form)
    place = None if zone is None else zone_option(zone).key
    first_day = None if first is None else day_option(first, "--from")
    last_day = None if last is None else day_option(last, "--to")
    prices = tariffs_by_commodity(price, currency, tariffs)
    if prices and what is not What.TOTALS:
        raise typer.BadParameter("only totals have a cost; give --what totals", param_hint="--tariffs")
    try:
        with _target(file) as target:
            extract = Extract(what, first_day, last_day, home, resolution, prices, place)
            count, damage = export_from(_folder(data), target, extract, chosen, registry=registry or "")
    except UnknownHomeError as error:
        raise typer.BadParameter(str(error), param_hint="--home") from error
    except (StorageError, ValueError, OSError) as error:
        console.print(f"[red]not exported[/red]: {plain(trouble_of(error))}", soft_wrap=True)
        raise typer.Exit(2) from error
    for item in damage:
        console.print(f"[yellow]damaged[/yellow]: {plain(item.item)}: {plain(item.reason)}", soft_wrap=True)
    if as_json:
        named = [item.item for item in damage]
        typer.echo(json.dumps({"file": str(file), "what": what, "rows": count, "format": chosen, "damaged": named}))
    elif str(file) != "-":
        console.print(f"[green]{count:,}[/green] {plain(what)} in {plain(file)}")


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
