"""The tariffs of one home: a flat price, or a file with a tariff for each supply."""

from decimal import Decimal
from pathlib import Path
from typing import Final

from meterspan.analytics.tariff import Band, Tariff
from meterspan.mdm.tariffs import read_tariffs
from meterspan.quantities import Commodity

__all__ = ["flat_tariff", "tariffs_of_file"]


FLAT: Final = "flat"
"""Name of the tariff and of its one band; pages name it in the reader's language."""


def flat_tariff(price: Decimal, currency: str) -> Tariff:
    """Return a tariff with one price for electricity, in ``currency`` per kWh, as the reader pays it."""
    return Tariff(FLAT, currency, "kWh", (Band(FLAT, price),))


def tariffs_of_file(path: Path) -> dict[Commodity, Tariff]:
    """Read the tariffs of a home by supply; of two for one supply the later counts.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is not a tariff file.

    """
    return {_commodity(tariff): tariff for tariff in read_tariffs(path)}


def _commodity(tariff: Tariff) -> Commodity:
    """Return the supply of a tariff: with a conversion it is gas, by the cubic metre water, else electricity."""
    if tariff.conversion is not None:
        return Commodity.GAS
    return Commodity.WATER if tariff.unit == "m3" else Commodity.ELECTRICITY
