"""Tariffs as users give them: a price, or a TOML file with a tariff for each supply."""

from decimal import Decimal, InvalidOperation
from pathlib import Path

import typer

from meterspan.analytics.tariff import Band, Tariff
from meterspan.mdm.tariffs import read_tariffs
from meterspan.quantities import Commodity

__all__ = ["local_zone", "tariffs_by_commodity"]


def tariffs_by_commodity(price: str | None, currency: str, path: Path | None) -> dict[Commodity, Tariff]:
    """Give the tariffs of a home by supply; ``price`` is a flat one for electricity, per kWh.

    Raises:
        typer.BadParameter: the file cannot be read, or the price is no number.

    """
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


def local_zone() -> str:
    """Give this machine's zone by its IANA name; UTC where it has none."""
    link = Path("/etc/localtime")
    _, found, name = str(link.resolve()).partition("zoneinfo/") if link.exists() else ("", "", "")
    return name if found else "UTC"


def _commodity(tariff: Tariff) -> Commodity:
    """Say what a tariff is of: with a conversion it is gas, by the cubic metre water, else electricity."""
    if tariff.conversion is not None:
        return Commodity.GAS
    return Commodity.WATER if tariff.unit == "m3" else Commodity.ELECTRICITY
