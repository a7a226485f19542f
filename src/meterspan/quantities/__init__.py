"""Exact values: OBIS, units, scaled integers, clock times, intervals and quality flags. Imports nothing above it."""

from meterspan.quantities.clock_time import ClockStatus, ClockTime
from meterspan.quantities.commodities import (
    CATALOGUE,
    Commodity,
    CommodityFacts,
    Direction,
    commodity_of_mbus_medium,
    commodity_of_obis,
)
from meterspan.quantities.instants import (
    DAY_S,
    DAY_ZERO,
    FIRST_SECOND,
    HOUR_S,
    LAST_SECOND,
    QUARTER_S,
    SHIFT_MAX_S,
    standard_offset_s,
    utc,
    utc_seconds,
    utc_text,
)
from meterspan.quantities.interval import Interval
from meterspan.quantities.known import known_sum
from meterspan.quantities.obis import Medium, Obis, parse_obis
from meterspan.quantities.quality import Quality
from meterspan.quantities.scaled import Scaled, sum_of
from meterspan.quantities.units import UNITS, Unit, in_few_digits, in_thousands, parse_unit, unit_of_code

__all__ = [
    "CATALOGUE",
    "DAY_S",
    "DAY_ZERO",
    "FIRST_SECOND",
    "HOUR_S",
    "LAST_SECOND",
    "QUARTER_S",
    "SHIFT_MAX_S",
    "UNITS",
    "ClockStatus",
    "ClockTime",
    "Commodity",
    "CommodityFacts",
    "Direction",
    "Interval",
    "Medium",
    "Obis",
    "Quality",
    "Scaled",
    "Unit",
    "commodity_of_mbus_medium",
    "commodity_of_obis",
    "in_few_digits",
    "in_thousands",
    "known_sum",
    "parse_obis",
    "parse_unit",
    "standard_offset_s",
    "sum_of",
    "unit_of_code",
    "utc",
    "utc_seconds",
    "utc_text",
]
