"""The purpose of a channel: which OBIS codes are registers, which bill a supply, in which unit people read them.

OBIS value groups after IEC 62056-6-1; M-Bus values behind an electricity meter are 0-n:24.2.x.
"""

from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Protocol, TypeVar

from meterspan.model.readings import SeriesKind
from meterspan.quantities import CATALOGUE, UNITS, Commodity, Direction, Obis, Unit, parse_obis
from meterspan.quantities.codes import CURRENT_VALUE

__all__ = [
    "StepError",
    "billing_registers",
    "canonical",
    "direction_of",
    "interval_registers",
    "kind_of",
    "step_fault",
    "unit_step",
]

STEP_LEAST, STEP_MOST = Fraction(1, 10**9), Fraction(10**6)
"""Steps of a register that bills, in kWh or m3: from a microwatt-hour or a millionth of a litre to a gigawatt-hour."""
EXPONENT_MAX = 30
"""A greater power of ten is outside with every unit of the table, and is not computed."""

TIME_INTEGRAL_1 = 8
LAST_AVERAGE, TIME_INTEGRAL_2, TIME_INTEGRAL_5 = 5, 9, 29
ACTIVE_IMPORT, ACTIVE_EXPORT, ACTIVE_ABSOLUTE = 1, 2, 15
MBUS_VALUE_C, MBUS_VALUE_D = 24, 2
TOTAL_TARIFF, LAST_TARIFF = 0, 63

_CUMULATED = {
    "energy",
    "apparent energy",
    "reactive energy",
    "volume",
    "volume at base conditions",
    "mass",
    "pulses",
    "charge",
}


class StepError(ValueError):
    """The step of a register is one that no meter counts in: its readings are stored and do not bill."""

    def __init__(self, unit: str, exponent: int, shown: str) -> None:
        super().__init__(
            f"its step of 10^{exponent} {unit} is not between {float(STEP_LEAST):g} and {float(STEP_MOST):g} {shown}"
        )
        self.unit = unit
        self.exponent = exponent
        self.shown = shown


class ChannelRow(Protocol):
    """The fields of a registry row that name a channel."""

    @property
    def obis(self) -> str:
        """OBIS as text."""
        ...

    @property
    def unit(self) -> str:
        """Symbol of the unit."""
        ...


ChannelT = TypeVar("ChannelT", bound=ChannelRow)


def canonical(unit: Unit, exponent: int) -> tuple[Unit, int]:
    """Put litres into cubic metres, so that one quantity has one unit."""
    if unit.symbol == "L":
        return UNITS["m3"], exponent - 3
    if unit.symbol == "L/h":
        return UNITS["m3/h"], exponent - 3
    return unit, exponent


def kind_of(obis: Obis, unit: Unit) -> SeriesKind:
    """Return whether a channel holds registers, interval values or momentary values."""
    if unit.dimension not in _CUMULATED:
        return SeriesKind.INSTANT
    if obis.a == 1 and obis.d in {LAST_AVERAGE, TIME_INTEGRAL_2, TIME_INTEGRAL_5}:
        return SeriesKind.INTERVAL
    return SeriesKind.REGISTER


def direction_of(obis: Obis) -> Direction:
    """Return the direction: import, or export (only of electricity)."""
    return Direction.EXPORT if obis.a == 1 and obis.c == ACTIVE_EXPORT else Direction.IMPORT


def unit_step(unit: str, exponent: int, shown: str) -> Fraction:
    """Return the size of one integer step in the shown unit, ``kWh`` or ``m3``: 1/1000 for Wh.

    Raises:
        StepError: the step is outside of ``STEP_LEAST`` to ``STEP_MOST``.
        ValueError: no such unit, or another dimension.

    """
    own = UNITS.get(unit)
    if own is None:
        raise ValueError(f"{unit!r} is not a unit of the table")
    reference, power = (UNITS["Wh"], 3) if shown == "kWh" else (UNITS["m3"], 0)
    if own.dimension.removesuffix(" at base conditions") != reference.dimension:
        raise ValueError(f"{unit} is not shown in {shown}")
    if abs(exponent) > EXPONENT_MAX:
        raise StepError(unit, exponent, shown)
    step = Fraction(10) ** (exponent - power) * own.factor / reference.factor
    if not STEP_LEAST <= step <= STEP_MOST:
        raise StepError(unit, exponent, shown)
    return step


@lru_cache(maxsize=1_024)
def step_fault(unit: str, exponent: int) -> StepError | None:
    """Return why registers of this unit and scale cannot bill; None where they can, or are of what is never billed."""
    own = UNITS.get(unit)
    shown = None if own is None else _SHOWN.get(own.dimension.removesuffix(" at base conditions"))
    if shown is None:
        return None
    try:
        unit_step(unit, exponent, shown)
    except StepError as error:
        return error
    return None


_SHOWN = {"energy": "kWh", "volume": "m3"}
"""The unit that people read by the dimension of a register."""


def billing_registers(channels: Sequence[ChannelT], commodity: Commodity, direction: Direction) -> list[list[ChannelT]]:
    """Choose the registers that bill a supply: the total, or all tariff registers where a meter has no total.

    Returns:
        One list per register, with its channels (one register may have several scales).

    """
    by_obis: dict[Obis, list[ChannelT]] = {}
    for channel in channels:
        obis = parse_obis(channel.obis)
        unit = UNITS.get(channel.unit)
        if unit is None or obis.f != CURRENT_VALUE or kind_of(obis, unit) is not SeriesKind.REGISTER:
            continue
        if unit.dimension in CATALOGUE[commodity].billed:
            by_obis.setdefault(obis, []).append(channel)
    if commodity is Commodity.ELECTRICITY:
        return _electricity(by_obis, direction)
    if direction is Direction.EXPORT:
        return []
    own = [obis for obis in by_obis if _is_supply(obis, commodity)]
    shown = CATALOGUE[commodity].billed
    best = min(own, key=lambda obis: (shown.index(UNITS[by_obis[obis][0].unit].dimension), obis.e, obis), default=None)
    return [] if best is None else [by_obis[best]]


def _electricity(by_obis: dict[Obis, list[ChannelT]], direction: Direction) -> list[list[ChannelT]]:
    quantities = (ACTIVE_EXPORT,) if direction is Direction.EXPORT else (ACTIVE_IMPORT, ACTIVE_ABSOLUTE)
    for quantity in quantities:
        found = sorted(obis for obis in by_obis if (obis.a, obis.c, obis.d) == (1, quantity, TIME_INTEGRAL_1))
        totals = [obis for obis in found if obis.e == TOTAL_TARIFF]
        chosen = totals[:1] or [obis for obis in found if obis.e <= LAST_TARIFF]
        if chosen:
            return [by_obis[obis] for obis in chosen]
    return []


def interval_registers(channels: Sequence[ChannelT], direction: Direction) -> list[list[ChannelT]]:
    """Choose the series of an electricity meter that hold the consumption of intervals: the total, or all tariffs.

    Returns:
        One list per OBIS code, with its channels (one code may have several scales).

    """
    quantity = ACTIVE_EXPORT if direction is Direction.EXPORT else ACTIVE_IMPORT
    by_obis: dict[Obis, list[ChannelT]] = {}
    for channel in channels:
        obis, unit = parse_obis(channel.obis), UNITS.get(channel.unit)
        if (
            unit is not None
            and unit.dimension == "energy"
            and (obis.a, obis.c, obis.d) == (1, quantity, TIME_INTEGRAL_5)
        ):
            by_obis.setdefault(obis, []).append(channel)
    totals = [obis for obis in by_obis if obis.e == TOTAL_TARIFF]
    return [by_obis[obis] for obis in totals[:1] or sorted(by_obis)]


def _is_supply(obis: Obis, commodity: Commodity) -> bool:
    if obis.a == 0 and (obis.c, obis.d) == (MBUS_VALUE_C, MBUS_VALUE_D):
        return True
    return obis.a in CATALOGUE[commodity].obis_media and obis.c in {1, 2, 3, 13}
