"""``meterspan display``: the in-home display in a terminal, on a P1 port (interface H1)."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from datetime import datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Final

import typer

from meterspan.analytics.tariff import Band, Tariff
from meterspan.cli.key_files import state_home
from meterspan.display.app import DisplayApp, Fed
from meterspan.display.model import DisplayModel
from meterspan.mdm.tariffs import read_tariffs
from meterspan.quantities import Commodity
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.endpoints import Endpoint, EndpointError, parse_endpoint
from meterspan.runtime.p1_source import p1_telegrams
from meterspan.runtime.state import StateFile

__all__ = ["EPILOG", "display"]

EPILOG = """\
[bold]Examples[/bold]

meterspan display serial:///dev/ttyUSB0?baud=115200 --price 0.32

meterspan display tcp://127.0.0.1:2001 --tariffs tariffs.toml   [dim]the P1 port of meterspan meter --p1 2001[/dim]

A tariff file is TOML with [bold]\\[\\[tariff]][/bold] tables; see docs/bench.md.
"""

KEPT_EVERY_S: Final = 60.0
"""Today's counting is kept so often, and at the end: a display that is unplugged loses a minute of it."""


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
    clock = SystemClock()
    known = _tariffs(price, currency, tariffs)
    try:
        model = DisplayModel(zone or _local_zone(), tariffs=known, contract_w=contract_w)
    except (KeyError, ValueError, OSError) as error:
        raise typer.BadParameter(f"{zone!r} is no time zone like Europe/Berlin", param_hint="--zone") from error
    with StateFile(state_home() / "display.sqlite") as state:
        kept = state.load(str(place))
        if kept is not None:
            with suppress(ValueError):  # of another version: today begins anew
                model.restore(kept)

        def keep() -> None:
            state.save(str(place), model.saved_state())

        DisplayApp(model, _feed(place, clock, keep), clock, title=title, dark=not light).run()
        keep()


async def _feed(place: Endpoint, clock: Callable[[], float], keep: Callable[[], None]) -> AsyncGenerator[Fed, None]:
    due = clock() + KEPT_EVERY_S
    async with aclosing(p1_telegrams(place)) as telegrams:
        async for telegram in telegrams:
            yield telegram
            if clock() >= due:
                keep()
                due = clock() + KEPT_EVERY_S


def _tariffs(price: str | None, currency: str, path: Path | None) -> dict[Commodity, Tariff]:
    found: dict[Commodity, Tariff] = {}
    if path is not None:
        try:
            found = {_commodity(tariff): tariff for tariff in read_tariffs(path)}
        except (OSError, ValueError) as error:
            raise typer.BadParameter(f"{path}: {error}", param_hint="--tariffs") from error
    if price is not None:
        try:
            flat = Tariff("price", currency, "kWh", (Band("price", Decimal(price)),))
        except InvalidOperation as error:
            raise typer.BadParameter(f"{price!r} is no number", param_hint="--price") from error
        found[Commodity.ELECTRICITY] = flat
    return found


def _commodity(tariff: Tariff) -> Commodity:
    """Say what a tariff is of: with a conversion it is gas, by the cubic metre water, else electricity."""
    if tariff.conversion is not None:
        return Commodity.GAS
    return Commodity.WATER if tariff.unit == "m3" else Commodity.ELECTRICITY


def _local_zone() -> str:
    """Give this machine's zone by name, for days must begin at its midnights."""
    link = Path("/etc/localtime")
    _, found, name = str(link.resolve()).partition("zoneinfo/") if link.exists() else ("", "", "")
    return name if found else str(datetime.now().astimezone().tzinfo)
