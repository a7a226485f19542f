"""What people see of the meters that ``listen`` hears: their order, their values and why they are not read."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from itertools import accumulate
from typing import Final

from meterspan.app.listening import HeardMeter, Outcome
from meterspan.model.telegram import DecodedReading
from meterspan.quantities import Medium, in_few_digits, in_thousands

__all__ = [
    "RowOrder",
    "age_text",
    "amount_text",
    "fitting",
    "label_text",
    "main_readings",
    "names_in_order",
    "why_not_read",
]

_EXPORT: Final = 2
"""Value group C of active energy and power that flows into the network (IEC 62056-6-1, table 5)."""
_GAP: Final = "   "


class RowOrder(StrEnum):
    """Orders of meters."""

    NAME = "by name"
    LAST_HEARD = "last heard first"
    TROUBLE = "not read first"

    @property
    def following(self) -> "RowOrder":
        """The order after this one, the first after the last."""
        orders = list(RowOrder)
        return orders[(orders.index(self) + 1) % len(orders)]


def names_in_order(meters: Mapping[str, HeardMeter], order: RowOrder) -> list[str]:
    """Return the names of meters, which are in the order in which they were last heard, in another order."""
    if order is RowOrder.LAST_HEARD:
        return list(meters)[::-1]
    names = sorted(meters)
    if order is RowOrder.TROUBLE:
        names.sort(key=lambda name: meters[name].last.outcome is Outcome.READ)
    return names


def main_readings(meter: HeardMeter) -> list[DecodedReading]:
    """Return the present readings that have a unit: registers, then powers and flows, then others; zeros are last."""
    readings = () if meter.read is None else meter.read.telegram.readings
    return sorted((item for item in readings if item.unit in _RANKS and item.storage == 0), key=_rank)


def label_text(reading: DecodedReading) -> str:
    """Return what tells a reading from others of its quantity: ``export T1``; "" for the total."""
    is_export = reading.obis is not None and reading.obis.a == Medium.ELECTRICITY and reading.obis.c == _EXPORT
    return " ".join([*(["export"] if is_export else []), *([f"T{reading.tariff}"] if reading.tariff else [])])


def amount_text(reading: DecodedReading) -> str:
    """Return a value with its unit, in as few digits as people read; text as it is."""
    value, unit = reading.value, reading.unit
    if isinstance(value, str):
        return f"{value} {unit}".rstrip()
    number, unit = in_thousands(in_few_digits(Decimal(value)), unit)
    return f"{number:f} {'' if unit == '1' else unit}".rstrip()


def fitting(texts: Iterable[str], width: int) -> str:
    """Return as many texts as fit a width, each whole, and how many more there are: ``1.5 kWh   230 V   +4``."""
    found = list(texts)
    whole = _GAP.join(found)
    if len(whole) <= width:
        return whole
    room = width - len(f"{_GAP}+{len(found)}")
    ends = accumulate((len(text) + len(_GAP) for text in found), initial=-len(_GAP))
    count = sum(end <= room for end in ends) - 1
    return f"{_GAP.join(found[:count])}{_GAP}+{len(found) - count}" if count > 0 else f"{len(found)} values"


def why_not_read(meter: HeardMeter) -> str:
    """Return why the last telegram of a meter was not read, in few words; "" where it was."""
    last = meter.last
    return "" if last.outcome is Outcome.READ else _WHY.get(last.outcome) or last.telegram.error or ""


def age_text(seconds: float) -> str:
    """Return a time span in its largest unit: ``5 s``, ``3 min``, ``7 h``."""
    if seconds < 60:
        return f"{max(0, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 3_600 else f"{seconds / 3_600:.0f} h"


_RANKS: Final = {
    unit: rank
    for rank, units in enumerate(
        (
            ("Wh", "kWh", "MWh", "J", "MJ", "GJ", "m3", "L", "hca"),
            ("W", "kW", "m3/h", "L/h"),
            ("°C", "bar", "V", "A", "%"),
        )
    )
    for unit in units
}
"""Registers are shown first, then powers and flows, then the rest."""
_WHY: Final = {
    Outcome.NO_KEY: "its key is not in the key file",
    Outcome.NOT_PROTECTED: "is not protected as its meter requires",
    Outcome.WRONG_KEY: "its key in the file does not fit",
}


def _rank(reading: DecodedReading) -> tuple[bool, int]:
    return reading.value == 0, _RANKS[reading.unit]
