"""What a register can show: the units that fit its OBIS code, its commodity, and no value below 0.

Source: IEC 62056-6-1, tables 5 and 8 to 12: value group C names the quantity, group D what is counted of it.
"""

from functools import lru_cache
from typing import Final

from meterspan.quantities.commodities import CATALOGUE, Commodity, commodity_of_obis
from meterspan.quantities.obis import Obis
from meterspan.quantities.scaled import Scaled
from meterspan.quantities.units import Unit

__all__ = ["register_fault", "unit_fault"]

_TIME_INTEGRALS: Final = frozenset({8, 9, 29})
_ENERGIES: Final = {
    **dict.fromkeys((1, 2, 15, 16, 21, 22, 41, 42, 61, 62), "energy"),
    **dict.fromkeys((3, 4, 5, 6, 7, 8), "reactive energy"),
    **dict.fromkeys((9, 10), "apparent energy"),
}
"""Dimension of an electricity register by value group C (IEC 62056-6-1, table 5)."""


def register_fault(obis: Obis, shown: Scaled, commodity: Commodity | None = None) -> str:
    """Return why a register of this code cannot show a value, in words; "" where it can.

    Args:
        obis: of the register.
        shown: its value.
        commodity: what its meter measures; None where that is not known.

    """
    known = commodity_of_obis(obis)
    if commodity is not None and known not in {None, commodity}:
        return f"{obis} is a register of {known}, and the meter measures {commodity}"
    if shown.value < 0:
        return f"the value of {obis} is less than 0, and a register never is"
    return unit_fault(obis, shown.unit)


@lru_cache(maxsize=1_024)
def unit_fault(obis: Obis, unit: Unit) -> str:
    """Return why a register of this code cannot have a unit: cubic metres of electricity; "" where it can."""
    commodity = commodity_of_obis(obis)
    if commodity is None:
        return ""
    wanted: tuple[str, ...] = ()
    if commodity is Commodity.ELECTRICITY:
        wanted = (_ENERGIES[obis.c],) if obis.d in _TIME_INTEGRALS and obis.c in _ENERGIES else ()
    elif (obis.c, obis.d) == (CATALOGUE[commodity].register.c, CATALOGUE[commodity].register.d):
        wanted = CATALOGUE[commodity].billed
    if not wanted or unit.dimension in wanted:
        return ""
    return f"{obis} is counted in units of {' or '.join(wanted)}, {unit.symbol} is one of {unit.dimension}"
