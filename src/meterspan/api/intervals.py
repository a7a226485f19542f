"""Registers to intervals by the conservation law, as Arrow tables, for library users."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, Final

import numpy as np
import pyarrow as pa

from meterspan.analytics.conserve import Conserved, GapPolicy, conserve, installation_of
from meterspan.analytics.tables import TIME, exact_column, exact_field, quality_column, time_column
from meterspan.quantities import Quality
from meterspan.readings.rows import STORED_MAX

__all__ = ["Intervals", "intervals"]

QUARTER_HOUR: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True, eq=False)
class Intervals:
    """Consumption per interval, and the unexplained differences; nothing is lost between the two.

    ``total + unexplained_total == difference``, exactly.

    Attributes:
        table: ``start`` and ``end`` (UTC), ``value`` (decimal; null where unknown), ``quality`` (list of words).
        unexplained: ``start``, ``end``, ``value``, ``quality``: resets, falls and spikes of the register.
        left_out: ``time``, ``value``, ``quality``: readings that the chain does not use (conflicts, zero glitches).
        difference: of the register over all readings, rollovers added.
        unit: of all values, as given.

    """

    table: Any = field(repr=False)
    unexplained: Any
    left_out: Any
    difference: Decimal
    unit: str

    @property
    def total(self) -> Decimal:
        """Sum of all intervals."""
        return _sum(self.table)

    @property
    def unexplained_total(self) -> Decimal:
        """Sum of all unexplained differences."""
        return _sum(self.unexplained)


def intervals(
    readings: Iterable[tuple[datetime, Decimal | int]],
    *,
    period: timedelta = QUARTER_HOUR,
    unit: str = "",
    register_width: Decimal | int | None = None,
    ceiling_per_hour: Decimal | int | None = None,
    spread_gaps: bool = True,
) -> Intervals:
    """Derive intervals from the readings of one register, in any order, with repeats, gaps and resets.

    Args:
        readings: aware times and register values, all in one unit.
        period: length of an interval; intervals are on its UTC grid.
        unit: symbol that the result carries.
        register_width: the register restarts at 0 after this value; without it, no fall counts as a rollover.
        ceiling_per_hour: the most that the connection can carry in an hour; a steeper rise is unexplained.
        spread_gaps: share a gap equally over its intervals, marked as estimated; else one long interval.

    Raises:
        ValueError: a time is naive, a value is not finite or has more digits than a register, or the span is too long.

    >>> from datetime import UTC, datetime
    >>> noon = datetime(2026, 6, 1, 12, tzinfo=UTC)
    >>> found = intervals([(noon, 100), (noon + QUARTER_HOUR, 103), (noon + 3 * QUARTER_HOUR, 107)], unit="Wh")
    >>> [int(value) for value in found.table["value"].to_pylist()]
    [3, 2, 2]
    >>> found.table["quality"].to_pylist()
    [[], ['spread', 'estimated'], ['spread', 'estimated']]
    >>> found.total + found.unexplained_total == found.difference
    True

    """
    pairs = [(_seconds(time), _exact(value)) for time, value in readings]
    limits = [_exact(limit) for limit in (register_width, ceiling_per_hour) if limit is not None]
    exponent = min((_exponent(value) for value in [*(value for _, value in pairs), *limits]), default=0)
    installation = installation_of(
        [(time, _steps(value, exponent)) for time, value in pairs],
        width=None if register_width is None else _steps(_exact(register_width), exponent),
        ceiling_per_hour=None if ceiling_per_hour is None else _steps(_exact(ceiling_per_hour), exponent),
    )
    gap = GapPolicy.SPREAD if spread_gaps else GapPolicy.LONG
    found = conserve([installation], period_s=int(period.total_seconds()), gap=gap)
    return _tables(found, exponent, unit)


def _tables(found: Conserved, exponent: int, unit: str) -> Intervals:
    spans = found.unexplained
    outside = found.left_out
    return Intervals(
        _spans(found.start, found.end, found.value, found.quality.tolist(), exponent=exponent, unit=unit),
        _spans(
            np.array([item.start for item in spans], np.int64),
            np.array([item.end for item in spans], np.int64),
            np.array([item.value for item in spans], np.int64),
            [int(item.quality) for item in spans],
            exponent=exponent,
            unit=unit,
        ),
        pa.table(
            [
                time_column(np.array([item.time for item in outside], np.int64)),
                exact_column(np.array([item.value for item in outside], np.int64), exponent),
                quality_column([int(item.quality) for item in outside]),
            ],
            pa.schema([("time", TIME), exact_field("value", exponent, unit), ("quality", pa.list_(pa.string()))]),
        ),
        Decimal(found.difference).scaleb(exponent),
        unit,
    )


def _spans(start: Any, end: Any, value: Any, quality: list[int], *, exponent: int, unit: str) -> Any:
    """Build the table of values with bounds; a value that is missing is null, never 0."""
    is_missing = np.array([bool(bits & Quality.MISSING) for bits in quality], np.bool_)
    known = exact_column(value, exponent, missing=is_missing)
    schema = pa.schema(
        [("start", TIME), ("end", TIME), exact_field("value", exponent, unit), ("quality", pa.list_(pa.string()))]
    )
    return pa.table([time_column(start), time_column(end), known, quality_column(quality)], schema)


def _seconds(moment: datetime) -> int:
    if moment.tzinfo is None:
        raise ValueError(f"{moment} is naive; give it a time zone")
    return int(moment.astimezone(UTC).timestamp())


def _exact(value: Decimal | int) -> Decimal:
    try:
        exact = Decimal(value)
    except ArithmeticError as error:
        raise ValueError(f"{value!r} is not a register") from error
    if not exact.is_finite():
        raise ValueError(f"{value} is not a register")
    return exact


def _exponent(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0


def _steps(value: Decimal, exponent: int) -> int:
    steps = int(value.scaleb(-exponent))
    if abs(steps) > STORED_MAX:
        raise ValueError(f"{value} has more digits than a register")
    return steps


def _sum(table: Any) -> Decimal:
    return sum((value for value in table["value"].to_pylist() if value is not None), Decimal(0))
