"""The commodity catalogue: for each supply its OBIS media, M-Bus media, registers, profile, letter and units.

This is the only table of its kind: a code, a letter or a unit that depends on the commodity is looked up here.
Sources: IEC 62056-6-1, tables 2 and 4 to 12 (OBIS); EN 13757-7:2018, table 13 (M-Bus device types).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType

from meterspan.quantities.obis import Medium, Obis
from meterspan.quantities.scaled import Scaled
from meterspan.quantities.units import parse_unit

__all__ = ["CATALOGUE", "Commodity", "CommodityFacts", "Direction", "commodity_of_mbus_medium", "commodity_of_obis"]


class Commodity(StrEnum):
    """What the meter measures the supply of."""

    ELECTRICITY = "electricity"
    GAS = "gas"
    WATER = "water"
    HEAT = "heat"


class Direction(StrEnum):
    """Seen from the premises."""

    IMPORT = "import"
    EXPORT = "export"


@dataclass(frozen=True, slots=True)
class CommodityFacts:
    """What is fixed for one commodity.

    Attributes:
        commodity: the supply.
        letter: its letter in names of usage points: ``home-01-E``.
        display_unit: symbol of the unit in which people read it, ``kWh`` or ``m3``.
        base_unit: symbol of the unit in which its register is stored, ``Wh`` or ``m3``.
        registers: total register by direction; export only where the supply has one.
        profile: logical name of its load profile.
        obis_media: value groups A that belong to it.
        mbus_media: M-Bus device types (EN 13757-7, table 13) that belong to it.
        billed: dimensions of the registers that bill it, the best one first.

    """

    commodity: Commodity
    letter: str
    display_unit: str
    base_unit: str
    registers: Mapping[Direction, Obis]
    profile: Obis
    obis_media: tuple[Medium, ...]
    mbus_media: tuple[int, ...]
    billed: tuple[str, ...]

    @property
    def register(self) -> Obis:
        """The total import register."""
        return self.registers[Direction.IMPORT]

    def in_display_unit(self, value: Scaled) -> Fraction:
        """Return a value in the unit in which people read it, exact.

        Raises:
            ValueError: the value is of another dimension.

        """
        unit, exponent = parse_unit(self.display_unit)
        return Scaled(value.value, value.exponent - exponent, value.unit).to(unit)


CATALOGUE: Mapping[Commodity, CommodityFacts] = MappingProxyType(
    {
        supply.commodity: supply
        for supply in (
            CommodityFacts(
                Commodity.ELECTRICITY, "E", "kWh", "Wh",
                MappingProxyType({Direction.IMPORT: Obis(1, 0, 1, 8, 0), Direction.EXPORT: Obis(1, 0, 2, 8, 0)}),
                Obis(1, 0, 99, 1, 0), (Medium.ELECTRICITY,), (0x02,), ("energy",),
            ),
            CommodityFacts(
                Commodity.GAS, "G", "m3", "m3", MappingProxyType({Direction.IMPORT: Obis(7, 0, 3, 0, 0)}),
                Obis(7, 0, 99, 1, 0), (Medium.GAS,), (0x03,), ("volume", "volume at base conditions", "energy"),
            ),
            CommodityFacts(
                Commodity.WATER, "W", "m3", "m3", MappingProxyType({Direction.IMPORT: Obis(8, 0, 1, 0, 0)}),
                Obis(8, 0, 99, 1, 0), (Medium.COLD_WATER, Medium.HOT_WATER), (0x06, 0x07, 0x15, 0x16, 0x17),
                ("volume",),
            ),
            CommodityFacts(
                Commodity.HEAT, "H", "kWh", "Wh", MappingProxyType({Direction.IMPORT: Obis(6, 0, 1, 0, 0)}),
                Obis(6, 0, 99, 1, 0), (Medium.HEAT, Medium.COOLING), (0x04, 0x0A, 0x0B, 0x0C, 0x0D), ("energy",),
            ),
        )
    }
)  # fmt: skip
"""Every commodity, in the order in which people list them."""

_OF_OBIS = {medium: supply.commodity for supply in CATALOGUE.values() for medium in supply.obis_media}
_OF_MBUS = {medium: supply.commodity for supply in CATALOGUE.values() for medium in supply.mbus_media}


def commodity_of_obis(obis: Obis) -> Commodity | None:
    """Return the commodity of a code's value group A, or None where A names no supply (abstract codes)."""
    return _OF_OBIS.get(Medium(obis.a)) if obis.a in _MEDIA else None


def commodity_of_mbus_medium(medium: int) -> Commodity | None:
    """Return the commodity of an M-Bus device type, or None where it is no supply (sensors, radio converters)."""
    return _OF_MBUS.get(medium)


_MEDIA = frozenset(map(int, Medium))
