"""``meterspan display``: the in-home display in a terminal, on a P1 port (interface H1)."""

from pathlib import Path
from typing import Annotated

import typer

from meterspan.app.display import show_home
from meterspan.cli.key_files import state_home
from meterspan.cli.options import zone_option
from meterspan.cli.tariff_options import tariffs_by_commodity
from meterspan.runtime.endpoints import EndpointError, parse_endpoint

__all__ = ["EPILOG", "display"]

EPILOG = """\
[bold]Examples[/bold]

meterspan display serial:///dev/ttyUSB0?baud=115200 --price 0.32

meterspan display tcp://127.0.0.1:2001 --tariffs tariffs.toml   [dim]the P1 port of meterspan meter --p1 2001[/dim]

A tariff file is TOML with [bold]\\[\\[tariff]][/bold] tables; see docs/bench.md.
"""


def display(  # noqa: PLR0917 - typer calls it by name
    source: Annotated[str, typer.Argument(help="tcp://host:port or serial:///dev/…?baud=115200")],
    title: Annotated[str, typer.Option(help="Name of the home.")] = "Home",
    price: Annotated[str | None, typer.Option(help="Price of electricity per kWh.", metavar="NUMBER")] = None,
    currency: Annotated[str, typer.Option(help="Currency of --price, ISO 4217.")] = "EUR",
    tariffs: Annotated[Path | None, typer.Option(help="Tariffs with bands, TOML.", metavar="FILE")] = None,
    contract_w: Annotated[
        int | None, typer.Option("--contract-power", help="Power of the connection, W.", min=1, metavar="W")
    ] = None,
    zone: Annotated[str | None, typer.Option(help="Time zone of the home.")] = None,
    light: Annotated[bool, typer.Option("--light", help="Begin with the light theme.")] = False,
) -> None:
    """Show a home's power now, today's consumption and cost, live from the meter's P1 port.

    The display only listens; nothing is ever sent to the meter.
    """
    try:
        place = parse_endpoint(source, ["tcp", "serial"])
    except EndpointError as error:
        raise typer.BadParameter(str(error), param_hint="SOURCE") from error
    known = tariffs_by_commodity(price, currency, tariffs)
    home_zone = zone_option(zone).key
    show_home(place, state_home(), zone=home_zone, tariffs=known, contract_w=contract_w, title=title, dark=not light)
