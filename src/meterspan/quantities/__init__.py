"""Exact values: OBIS, units, scaled integers, clock times, intervals and quality flags. Imports nothing above it."""

from meterspan.quantities.clock_time import ClockStatus, ClockTime
from meterspan.quantities.interval import Interval
from meterspan.quantities.obis import Medium, Obis, parse_obis
from meterspan.quantities.quality import Quality
from meterspan.quantities.scaled import Scaled
from meterspan.quantities.units import UNITS, Unit, parse_unit, unit_of_code

__all__ = [
    "UNITS",
    "ClockStatus",
    "ClockTime",
    "Interval",
    "Medium",
    "Obis",
    "Quality",
    "Scaled",
    "Unit",
    "parse_obis",
    "parse_unit",
    "unit_of_code",
]
