"""Options that say what energy costs: a price, or a file with a tariff for each supply."""

from decimal import Decimal, InvalidOperation
from pathlib import Path

import typer

from meterspan.analytics.tariff import Tariff
from meterspan.app.home_tariffs import flat_tariff, tariffs_of_file
from meterspan.model.reasons import reason_of
from meterspan.quantities import Commodity

__all__ = ["tariffs_by_commodity"]


def tariffs_by_commodity(price: str | None, currency: str, path: Path | None) -> dict[Commodity, Tariff]:
    """Return the tariffs of a home by supply: those of a file, and ``price`` per kWh for electricity."""
    found: dict[Commodity, Tariff] = {}
    if path is not None:
        try:
            found = tariffs_of_file(path)
        except (OSError, ValueError) as error:
            raise typer.BadParameter(f"{path}: {reason_of(error)}", param_hint="--tariffs") from error
    if price is not None:
        try:
            found[Commodity.ELECTRICITY] = flat_tariff(Decimal(price), currency)
        except InvalidOperation as error:
            raise typer.BadParameter(f"{price!r} is no number", param_hint="--price") from error
    return found
