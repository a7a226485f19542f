"""``meterspan serve``: head end, data management, portal and push port in one process, from one configuration."""

import json
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.panel import Panel
from rich.table import Table

from meterspan.app.programs import ProgramStoppedError
from meterspan.app.serve import CentralSystemReady, check_source
from meterspan.app.serve import serve as run
from meterspan.app.start_check import StartPlan, StartSource
from meterspan.cli.key_files import load_key_file
from meterspan.cli.logs import log_to_stderr
from meterspan.cli.options import AfterRestoreOption, RegistryOption, port_option
from meterspan.cli.terminal import Terminal, cell, plain
from meterspan.model.reasons import reason_of, trouble_of
from meterspan.model.storage.errors import StorageError
from meterspan.runtime.config import ServeConfig
from meterspan.runtime.declared import ConfigError, ConfigFault, annotated_example
from meterspan.runtime.master_key import MasterKeyError

__all__ = ["EPILOG", "serve", "source_of"]

EPILOG = """\
[bold]Examples[/bold]

meterspan serve --print-config > meterspan.toml   [dim]an annotated example; then edit it[/dim]

meterspan serve meterspan.toml --check   [dim]name its errors, and start nothing[/dim]

meterspan serve meterspan.toml   [dim]read the meters, take pushes, show the portal[/dim]

meterspan serve --data ~/meterspan   [dim]the same, from the inventory of an earlier start[/dim]
"""

_log = logging.getLogger("meterspan.serve")


def serve(  # noqa: PLR0917 - typer calls it by name
    config: Annotated[Path | None, typer.Argument(help="Configuration, TOML.", metavar="[CONFIG.toml]")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of readings and state; before the configuration's.")] = None,
    registry: RegistryOption = None,
    port: Annotated[int | None, port_option("Port of the portal; 0 takes a free one.")] = None,
    push_port: Annotated[int | None, port_option("Port for pushes; 0 takes a free one.")] = None,
    master_key_file: Annotated[
        Path | None,
        typer.Option(
            help="Master key, made at the first start [dim](~/.config/meterspan/master.key)[/dim].",
            envvar="METERSPAN_MASTER_KEY_FILE",
        ),
    ] = None,
    print_config: Annotated[bool, typer.Option("--print-config", help="Print an annotated example and end.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Check the configuration and end.")] = False,
    after_restore: AfterRestoreOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="One line of JSON when up; logs as JSON lines.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log every session.")] = False,
) -> None:
    """Run a head end: read meters, take pushes, store, and show it all in a portal.

    One process. Readings are on disk before they are confirmed to a meter or access point, and survive even kill -9.
    """
    if print_config:
        typer.echo(annotated_example(ServeConfig), nl=False)
        return
    console = Terminal(stderr=True, highlight=False)
    adjust = partial(_with_options, data=data, registry=registry, port=port, push_port=push_port)
    source = source_of(config, data, adjust, master_key_file)
    try:
        if check:
            _show_checked(check_source(source), console)
            return
        log_to_stderr(as_json=as_json, verbose=verbose)
        run(source, after_restore=after_restore, on_ready=lambda ready: _announce(ready, console, as_json=as_json))
    except ConfigError as error:
        raise _stop(
            console, f"{config or 'configuration'} cannot be used", [str(fault) for fault in error.faults]
        ) from error
    except (MasterKeyError, StorageError, ValueError, OSError) as error:
        raise _stop(console, "cannot start", [trouble_of(error)]) from error
    except ProgramStoppedError as error:
        raise _stop(console, "stopped", error.reasons) from error
    _log.info("stopped in order")


def source_of(
    path: Path | None, data: Path | None, adjust: Callable[[ServeConfig], ServeConfig], master_key_file: Path | None
) -> StartSource:
    """Return where a start is read from.

    Args:
        path: the configuration; None where there is only a data folder.
        data: that folder.
        adjust: puts the options of the command line in the place of the configuration's.
        master_key_file: the master key of the command line.

    Raises:
        typer.BadParameter: there is neither, or the configuration cannot be read.

    """
    if path is None and data is None:
        raise typer.BadParameter("give a configuration, or --data; serve --print-config shows an example")
    try:
        if path is not None:
            _text(path)
    except (ConfigError, OSError) as error:
        raise typer.BadParameter(trouble_of(error), param_hint="CONFIG") from error
    read = None if path is None else partial(_text, path)
    return StartSource(read, data or Path(), adjust, load_key_file, master_key_file or _default_master_key())


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError([ConfigFault(None, "", reason_of(error), str(path))]) from error


def _with_options(
    config: ServeConfig, *, data: Path | None, registry: str | None, port: int | None, push_port: int | None
) -> ServeConfig:
    if registry is not None:
        config = replace(config, registry=registry)
    if data is not None:
        config = replace(config, data=data)
    if port is not None:
        config = replace(config, portal=replace(config.portal, port=port))
    if push_port is not None:
        config = replace(config, push=replace(config.push, port=push_port))
    return config


def _default_master_key() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "meterspan" / "master.key"


def _announce(ready: CentralSystemReady, console: Console, *, as_json: bool) -> None:
    fields = {"portal": ready.portal, "push": ready.pushes[0], "pushes": ready.pushes, "meters": ready.meters}
    _log.info("up", extra=fields)
    if as_json:
        typer.echo(json.dumps({"ready": True, **fields}))
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(style="dim")
    for name, text in (
        ("portal", f"{ready.portal}/"),
        ("operator", f"{ready.portal}/operator"),
        ("JSON", f"{ready.portal}/api/v1/openapi.json"),
        ("pushes", "  ".join(ready.pushes)),
        ("data", ready.data),
        ("meters", str(ready.meters)),
    ):
        table.add_row(name, cell(text))
    console.print(Panel(table, title="meterspan serve", title_align="left", border_style="green", expand=False))
    console.print("[dim]Ctrl-C ends it in order.[/dim]")


def _show_checked(plan: StartPlan, console: Console) -> None:
    config = plan.config
    for note in plan.notes:
        console.print(f"[yellow]note[/yellow]: {plain(note)}", soft_wrap=True)
    console.print(
        f"[green]fine[/green]: {len(config.meters)} meters, {len(config.access_points)} access points,"
        f" {len(config.homes)} homes"
    )


def _stop(console: Console, title: str, lines: Sequence[str]) -> typer.Exit:
    console.print(f"[red]{plain(title)}[/red]")
    for line in lines:
        console.print(f"  {plain(line)}", soft_wrap=True)
    return typer.Exit(2)
