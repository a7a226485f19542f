"""Oddities of SML meters, as data: quirks that a reader may correct where an option says so."""

from dataclasses import dataclass

from meterspan.quantities import Obis
from meterspan.quantities.codes import NET_POWER

__all__ = ["UNSIGNED_POWER", "UnsignedPower"]


@dataclass(frozen=True, slots=True)
class UnsignedPower:
    """A meter that sends an unsigned power under a signed type, recognised by maker, object and scaler."""

    manufacturer: str
    obis: Obis
    scaler: int


UNSIGNED_POWER = (UnsignedPower("DZG", NET_POWER, -2),)
"""DZG DVS74 and DWS76: powers above 327.67 W come out negative, as does honest feed-in, so that nobody can tell."""
