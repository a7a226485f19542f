"""``meterspan demo``: a district read over real protocols; with ``--check`` its numbers are proved."""

import json
import sys
import webbrowser
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console, Group
from rich.panel import Panel
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from meterspan.app.demo import check_days, live
from meterspan.cli.terminal import Terminal, plain
from meterspan.model.storage.errors import ConcurrentWriterError

__all__ = ["EPILOG", "demo"]

EPILOG = """\
[bold]Examples[/bold]

meterspan demo --open                 [dim]a living district in the browser[/dim]

meterspan demo --check                [dim]one bad day of 24 homes; its numbers, and exit 0 only if all are right[/dim]

meterspan demo --check --json         [dim]the same for a machine[/dim]
"""

DEFAULT_DATA: Final = Path("~/.local/share/meterspan/demo")


def demo(  # noqa: PLR0917 (options, given by name)
    check: Annotated[bool, typer.Option("--check", help="Run one day, prove its numbers, and end.")] = False,
    homes: Annotated[int, typer.Option(help="How many homes.", min=1, max=200)] = 24,
    days: Annotated[
        int | None, typer.Option(help="Days of history; by default 2, and 1 with --check.", min=1, max=60)
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed is another district.", min=0)] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="With --check: print JSON only.")] = False,
    data: Annotated[Path, typer.Option(help="Where a living demo keeps its readings.", metavar="DIR")] = DEFAULT_DATA,
    port: Annotated[int, typer.Option(help="Port of the portal; the next free one where it is taken.")] = 8050,
    open_browser: Annotated[bool, typer.Option("--open", help="Open the portal in a browser.")] = False,
) -> None:
    """Run a simulated district of homes, read over real protocols, with faults that heal.

    Electricity over DLMS/COSEM (wrapper and HDLC, HLS-GMAC) and P1; water, gas and heat over encrypted wireless M-Bus
    through access points. All of it lives in this process; nothing leaves this machine.
    """
    errors = Terminal(stderr=True)
    if not check:
        raise typer.Exit(
            _live(errors, homes=homes, days=days or 2, seed=seed, data=data, port=port, opens=open_browser)
        )
    found = check_days(homes, days or 1, seed, partial(_progress, errors))
    _print_check(found, errors, as_json=as_json)
    raise typer.Exit(0 if found["passed"] else 1)


# --- the check --------------------------------------------------------------------------------------------------


def _print_check(found: dict[str, Any], errors: Console, *, as_json: bool) -> None:
    sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
    if as_json:
        return
    verdict = "[bold green]every number is right[/]" if found["passed"] else "[bold red]the numbers are not right[/]"
    complete = found["completeness"]
    errors.print(
        Panel(
            f"{found['meters']['total']} meters, {complete['expected']:,} values due, "
            f"{_percent(complete['before_gap_recovery'])} before and {_percent(complete['after_gap_recovery'])} "
            f"after gap recovery, {found['unexplained']['energy_wh']} Wh unexplained,\n"
            f"{found['verification']['differences']} differences from the measured registers, "
            f"{len(found['faults'])} faults, in {found['run_time_s']} s: {verdict}",
            title="meterspan demo --check",
            expand=False,
        )
    )


def _percent(share: float | None) -> str:
    """Write a share that was rounded down to four digits; one that is not known is no number."""
    return "an unknown share" if share is None else f"{100 * share:.2f} %"


# --- the living demo --------------------------------------------------------------------------------------------


def _live(errors: Console, *, homes: int, days: int, seed: int, data: Path, port: int, opens: bool) -> int:
    """Live until interrupted; return the exit code."""

    def show(url: str, is_lapsing: bool) -> None:
        errors.print(_invitation(url, is_lapsing=is_lapsing))
        if opens:
            webbrowser.open(url)

    progress = partial(_progress, errors)
    try:
        fault = live(data.expanduser(), homes=homes, days=days, seed=seed, port=port, progress=progress, on_up=show)
    except (ConcurrentWriterError, FileExistsError) as error:
        errors.print(f"[red]{plain(error)}[/red]", highlight=False)
        return 1
    if fault is not None:
        errors.print(f"[red]the simulation stopped: {plain(repr(fault))}[/red]", highlight=False)
        return 1
    errors.print("[dim]ended; the readings stay until the next demo[/dim]")
    return 0


def _invitation(url: str, *, is_lapsing: bool) -> Panel:
    places = (
        ("homes", url, "power now, cost today, days and months"),
        ("operator", f"{url}operator", "completeness map, quarantine, stories"),
        ("machines", f"{url}api", "JSON interface and event streams"),
    )
    lines = [
        f"[bold]{name}[/]{' ' * (10 - len(name))}[link={place}]{place}[/]\n{' ' * 10}[dim]{text}[/]"
        for name, place, text in places
    ]
    hint = (
        "[dim]Still running through the past days, as a time lapse. Ctrl-C ends.[/]"
        if is_lapsing
        else "[dim]Meters send their power every five seconds. Ctrl-C ends.[/]"
    )
    return Panel(
        Group(*lines, "", hint), title="[bold]meterspan demo[/]: a district that lives", expand=False, padding=(1, 2)
    )


# --- progress ---------------------------------------------------------------------------------------------------


class _Advance:
    """Moves the bar of a run of virtual time."""

    def __init__(self, bar: Progress, total_s: float) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=total_s)
        self.stop = bar.stop

    def __call__(self, done_s: float, words: str) -> None:
        self._bar.update(self._task, completed=done_s, description=words)


@contextmanager
def _progress(errors: Console, total_s: float) -> Iterator[_Advance]:
    columns = (TextColumn("[bold]district[/]"), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True, disable=not errors.is_terminal) as bar:
        yield _Advance(bar, total_s)
