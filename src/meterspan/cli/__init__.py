"""The commands: each lives in a module of its own, which is imported when the command is asked for.

``COMMANDS`` is the one table: name, where the function is, and its line of help, so that ``meterspan --help`` and
``meterspan decode`` do not load what ``meterspan serve`` needs. A module may have an ``EPILOG`` for its help page.
"""

import inspect
import re
import resource
import sys
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from meterspan import __version__
from meterspan.model.plain_text import one_line
from meterspan.model.reasons import trouble_of
from meterspan.model.storage.errors import StorageError

__all__ = ["COMMANDS", "app", "main"]

COMMANDS: Final = {
    "demo": ("meterspan.cli.demo:demo", "Run a simulated district over real protocols, with a portal that lives."),
    "decode": ("meterspan.cli.decode:decode", "Decode frames of any meter: P1, DLMS push, SML, M-Bus."),
    "meter": ("meterspan.cli.meter:meter", "Run one simulated meter as a real program: DLMS, P1, wireless M-Bus."),
    "read": ("meterspan.cli.read:read", "Read a DLMS meter: identification, clock, registers, profiles, events."),
    "scan": ("meterspan.cli.scan:scan", "Find the slaves of a wired M-Bus, by primary or secondary address."),
    "listen": ("meterspan.cli.listen:listen", "Listen to meters: wireless M-Bus, P1, receivers that print hex lines."),
    "display": ("meterspan.cli.display:display", "Show a home on the in-home display, live from its P1 port."),
    "home": ("meterspan.cli.home:home", "Show one home its power, consumption and cost, without a head end."),
    "serve": ("meterspan.cli.serve:serve", "Run a head end with data management and portal in one process."),
    "meters": ("meterspan.cli.meters:meters", "List, add, exchange, move, remove or read meters of a head end."),
    "import": ("meterspan.cli.importing:import_table", "Import readings from CSV or Parquet."),
    "export": ("meterspan.cli.transfer:export_table", "Export readings, intervals or totals as CSV, Parquet or JSON."),
    "doctor": ("meterspan.cli.doctor:doctor", "Check a data folder without changing it; name what is damaged."),
}
"""Name to function and help, in the order of the help page."""


_LIBRARY_WORDS: Final = re.compile(r"^Value error, |^Input (?=should be)|, unable to parse string as an? \w+$")


class LazyGroup(TyperGroup):
    """Lists commands from the table, and imports the one that runs."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> TyperCommand | None:  # noqa: ARG002 - likewise
        """Return what help pages need to know about a command."""
        entry = COMMANDS.get(cmd_name)
        return None if entry is None else TyperCommand(cmd_name, help=entry[1])

    def invoke(self, ctx: Any) -> Any:
        """Run the command; what is wrong with a value is said without the words of the library that found it."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = _LIBRARY_WORDS.sub("", error.message)
            raise

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Import the command that was asked for."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, None if command is None or name is None else _load(name), rest


app = typer.Typer(
    name="meterspan",
    cls=LazyGroup,
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_show_locals=False,  # they may be keys
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"meterspan {__version__}")
        raise typer.Exit


@app.callback(help="An open smart metering system, from a meter's register to the consumer's display.")
def _meterspan(
    version: Annotated[
        bool, typer.Option("--version", help="Print name and version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Hold the options before a command's name."""


def main() -> None:
    """Run the command line; data that cannot be stored or read are one sentence and exit status 1, not a traceback.

    A program that ends badly leaves no core: its memory holds keys.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    try:
        app(prog_name="meterspan")
    except (StorageError, OSError) as error:
        if isinstance(error, OSError) and error.filename is None:
            raise
        typer.echo(f"error: {one_line(trouble_of(error))}", err=True)
        sys.exit(1)


def _load(name: str) -> Any:
    path, _ = COMMANDS[name]
    module_name, _, function = path.partition(":")
    module = import_module(module_name)
    single = typer.Typer(rich_markup_mode="rich", add_completion=False, pretty_exceptions_show_locals=False)
    command = getattr(module, function)
    single.command(name, help=_flowing(command), epilog=getattr(module, "EPILOG", None))(command)
    return get_command(single)


def _flowing(function: Any) -> str:
    """Return what a function says of itself, each paragraph in one line, which the help page breaks where it must."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in (inspect.getdoc(function) or "").split("\n\n"))
