"""The commands."""

import typer

from meterspan.cli.decode import EPILOG, decode

__all__ = ["app", "main"]

app = typer.Typer(
    name="meterspan",
    help="An open smart metering system.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
)
app.command(epilog=EPILOG)(decode)


@app.callback()
def _meterspan() -> None:
    """Keep ``meterspan decode`` a sub-command also where it is the only one."""


def main() -> None:
    """Run the command line."""
    app()
