"""Time-of-use tariffs as declarations: bands by local wall time, exact prices, cost per band.

Rounding: none while counting (exact fractions); an amount becomes a ``Decimal`` once per line (band, standing
charge, tax), exact where it terminates within 12 places, else rounded half up at the 12th; money is rounded to the
currency's cent only by ``rounded``, per line, and a bill's total is the sum of its rounded lines.
"""

from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal

__all__ = ["Band", "GasConversion", "Tariff", "Window"]

ALL_WEEK = frozenset(range(1, 8))


@dataclass(frozen=True, slots=True)
class Band:
    """One price level.

    Attributes:
        name: as shown: ``day``, ``night``, ``peak``.
        price: currency per unit of the tariff.

    """

    name: str
    price: Decimal


@dataclass(frozen=True, slots=True)
class Window:
    """When a band applies, in local wall time; the first window that holds wins.

    Attributes:
        band: name of the band.
        start: wall time of the begin.
        end: wall time of the end; not after ``start`` means over midnight (the weekday is that of the begin).
        weekdays: ISO weekdays 1 Monday .. 7 Sunday.
        season: first and last (month, day), both included; may pass the year's end; None is all year.
        holidays: True only on holidays, False never on holidays, None regardless.

    """

    band: str
    start: time = time(0)
    end: time = time(0)
    weekdays: frozenset[int] = ALL_WEEK
    season: tuple[tuple[int, int], tuple[int, int]] | None = None
    holidays: bool | None = None


@dataclass(frozen=True, slots=True)
class GasConversion:
    """From metered volume to billed energy: kWh = m3 x calorific value x state number.

    Attributes:
        calorific_value: kWh per m3 at base conditions.
        state_number: m3 at base conditions per metered m3.

    """

    calorific_value: Decimal
    state_number: Decimal = Decimal(1)


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a unit costs when.

    Attributes:
        name: as shown.
        currency: ISO 4217 code.
        unit: ``kWh`` or ``m3``: what the prices are per.
        bands: the price levels; the first is the one where no window holds.
        windows: when the others hold.
        standing_charge_per_day: per local calendar day.
        tax: share added to the net amount: 0.19 is 19 %; 0 where prices are gross.
        holidays: local dates.
        conversion: for gas billed in kWh.

    """

    name: str
    currency: str
    unit: str
    bands: tuple[Band, ...]
    windows: tuple[Window, ...] = ()
    standing_charge_per_day: Decimal = Decimal(0)
    tax: Decimal = Decimal(0)
    holidays: frozenset[date] = frozenset()
    conversion: GasConversion | None = None
