"""Power: what flows through a home's connection now and in the last hours, from momentary values and intervals.

Nothing is drawn across a hole: a minute without a value has no point, and an interval that was estimated has no mean.
"""

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from meterspan.analytics.calendar import cut_at
from meterspan.mdm.curve_book import Momentary
from meterspan.mdm.curves import Curve
from meterspan.model.views import PowerPoint
from meterspan.quantities import Obis, Quality, parse_obis, utc
from meterspan.quantities.codes import EXPORT_POWER, IMPORT_POWER, NET_POWER

__all__ = ["LIVE_AHEAD_S", "LIVE_S", "interval_means", "minute_means", "power_now"]

LIVE_S = 1_800
"""A power value older than this is not "now" any more."""
LIVE_AHEAD_S = 300
"""A power value stamped further ahead of its arrival, by a clock that is wrong, is never "now"."""
POWER_EXPONENT_MAX, POWER_MAX_W = 9, 10**10
"""Scales from nanowatts to gigawatts, and more watts than any connection carries: the rest is no power of a home."""
MINUTE_S = 60
HOLDS_S = 60
"""How long a mean holds after its minute while the next value is due: meters send at least every two minutes."""
NOT_MEASURED = int(Quality.MISSING | Quality.ESTIMATED | Quality.SPREAD)


def power_now(series: Sequence[Momentary]) -> tuple[int, int] | None:
    """Return import minus export in W with its UTC seconds, from the newest momentary values; None where none is known.

    A meter that says nothing of its import tells the power only while it exports.
    """
    values: dict[Obis, tuple[int, Fraction]] = {}
    for obis, item in _usable(series):
        newest = int(item.readings.time[-1]), int(item.readings.value[-1]) * Fraction(10) ** item.exponent
        if abs(newest[1]) <= POWER_MAX_W:
            values[obis] = max(values.get(obis, newest), newest)
    if IMPORT_POWER in values or EXPORT_POWER in values:
        zero = (0, Fraction(0))
        bought, sold = values.get(IMPORT_POWER, zero), values.get(EXPORT_POWER, zero)
        if IMPORT_POWER in values or sold[1]:
            return round(bought[1] - sold[1]), max(bought[0], sold[0])
    if NET_POWER in values:
        return round(values[NET_POWER][1]), values[NET_POWER][0]
    return None


def _usable(series: Sequence[Momentary]) -> list[tuple[Obis, Momentary]]:
    """Return the series of power, without values whose clock ran ahead and without scales that no power has."""
    usable = []
    for item in series:
        obis = parse_obis(item.obis)
        if obis not in {IMPORT_POWER, EXPORT_POWER, NET_POWER} or abs(item.exponent) > POWER_EXPONENT_MAX:
            continue
        readings = item.readings[item.readings.time <= item.readings.received_at + LIVE_AHEAD_S]
        if len(readings):
            usable.append((obis, Momentary(item.obis, item.exponent, readings)))
    return usable


def minute_means(series: Sequence[Momentary], low: int, high: int) -> tuple[PowerPoint, ...]:
    """Return the mean power of each minute in which a value was heard, ``low <= time < high``.

    A point ends where the next begins, where that is the next minute or the one after; else there is a hole.

    Args:
        series: momentary values of the home's meter.
        low: UTC seconds.
        high: UTC seconds, not included.

    """
    first = low // MINUTE_S
    minutes = -(-high // MINUTE_S) - first
    means = {obis: _means(item, first, minutes) for obis, item in _usable(series)}
    watts = _net(means, minutes)
    heard = np.flatnonzero(~np.isnan(watts))
    starts = (first + heard) * MINUTE_S
    ends = np.minimum(starts + MINUTE_S, high)
    is_next = np.zeros(len(heard), bool)
    is_next[:-1] = starts[1:] - ends[:-1] <= HOLDS_S
    ends[:-1] = np.where(is_next[:-1], starts[1:], ends[:-1])
    return tuple(
        PowerPoint(utc(start), utc(end), round(power))
        for start, end, power in zip(starts.tolist(), ends.tolist(), watts[heard].tolist(), strict=True)
    )


def _means(item: Momentary, first: int, minutes: int) -> NDArray[np.float64]:
    """Return the mean of each minute in W, NaN where nothing was heard."""
    at = item.readings.time // MINUTE_S - first
    value = item.readings.value.astype(np.float64) * 10.0**item.exponent
    inside = (at >= 0) & (at < minutes) & (np.abs(value) <= POWER_MAX_W)
    counts = np.bincount(at[inside], minlength=minutes)
    sums = np.bincount(at[inside], weights=value[inside], minlength=minutes)
    means = np.full(minutes, np.nan)
    np.divide(sums, counts, out=means, where=counts > 0)
    return means


def _net(means: dict[Obis, NDArray[np.float64]], minutes: int) -> NDArray[np.float64]:
    """Return import minus export; what one of both does not say is known only while the other flows."""
    unknown = np.full(minutes, np.nan)
    net = means.get(NET_POWER, unknown)
    bought = means.get(IMPORT_POWER, unknown)
    sold = means.get(EXPORT_POWER, np.zeros(minutes))
    one_way = np.where(bought > 0, bought, np.where(sold > 0, -sold, net))
    watts: NDArray[np.float64] = np.where(np.isnan(bought) | np.isnan(sold), one_way, bought - sold)
    return watts


def interval_means(bought: Curve, sold: Curve | None) -> tuple[PowerPoint, ...]:
    """Return the mean power of each measured interval: import minus export, where both are known.

    Args:
        bought: energy from the grid, kWh.
        sold: energy into the grid; None where the meter counts none.

    """
    points = []
    edges = np.unique(np.concatenate([bought.start, bought.end]))
    back = {} if sold is None else _measured(sold, edges)
    for (start, end), energy in _measured(bought, edges).items():
        if sold is not None and (start, end) not in back:
            continue
        watts = (energy - back.get((start, end), Fraction(0))) * 3_600_000 / (end - start)
        points.append(PowerPoint(utc(start), utc(end), round(watts)))
    return tuple(points)


def _measured(curve: Curve, edges: NDArray[np.int64]) -> dict[tuple[int, int], Fraction]:
    """Return the measured energy between neighbouring edges, in order of time."""
    if not len(curve.start) or not len(edges):
        return {}
    low, high, value, owner = cut_at(curve.start, curve.end, curve.value, edges)
    measured = (curve.quality[owner] & NOT_MEASURED) == 0
    rows = zip(low[measured].tolist(), high[measured].tolist(), value[measured].tolist(), strict=True)
    return {(start, end): amount * curve.step for start, end, amount in rows}
