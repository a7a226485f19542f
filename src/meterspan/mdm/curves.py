"""The consumption curve of a usage point, computed from a window of readings handed in; nothing is read here.

A span is derived from a window around it that is wide enough: registers on both sides bracket it, so that the result
is that of the whole history. ``CurveWindow.depends`` is the span of readings it depends on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from meterspan.analytics.calendar import cut_at
from meterspan.analytics.conserve import Conserved, Installation, LeftOutReading, Unexplained, conserve
from meterspan.mdm.chains import EVER, MAX_STEPS, NEVER, Chain, ChainRegister, RefusedRegister
from meterspan.mdm.channels import TOTAL_TARIFF
from meterspan.model.storage.readings import Readings
from meterspan.quantities import DAY_S

__all__ = ["BRACKET", "MAX_AHEAD_S", "Curve", "CurveWindow", "derive", "is_bracketed", "window_of"]

BRACKET = 3
"""Registers wanted on each side of a span: the bracketing one and those that separate a dip or a rise from a reset."""
MAX_AHEAD_S = DAY_S
"""A register stamped further ahead of its arrival has no usable time; it stays raw and is not counted."""

Pieces = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]
"""Start, end, value and quality of intervals."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Intervals of a span of time.

    Attributes:
        start: UTC seconds of each interval, cut to the span.
        end: UTC seconds.
        value: steps.
        quality: ``Quality`` bits.
        step: size of a step in the shown unit (kWh, m3).
        unexplained: register differences without consumption that end in the span, in steps.
        left_out: readings in the span without influence.
        opening: register at the begin of the span in the shown unit, None where unknown.
        closing: register at its end.
        last: UTC seconds of the last register in the span, or None.
        depends: first and last instant of readings that may change the curve.
        refused: registers of the supply that are stored and do not bill.

    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    value: NDArray[np.int64]
    quality: NDArray[np.int32]
    step: Fraction
    unexplained: tuple[Unexplained, ...] = ()
    left_out: tuple[LeftOutReading, ...] = ()
    opening: Fraction | None = None
    closing: Fraction | None = None
    last: int | None = None
    depends: tuple[int, int] = (EVER, NEVER)
    refused: tuple[RefusedRegister, ...] = ()

    @property
    def total(self) -> Fraction:
        """Sum in the shown unit."""
        return int(self.value.sum()) * self.step


@dataclass(frozen=True, slots=True, eq=False)
class CurveWindow:
    """The chain's readings between two instants, by tariff, ready for the conservation law.

    Attributes:
        installations: the installations of each tariff, in order of time.
        depends: first and last instant of readings that may change the derived intervals.

    """

    installations: Mapping[int, Sequence[Installation]]
    depends: tuple[int, int]


def window_of(chain: Chain, readings: Readings, low: int, high: int) -> CurveWindow:
    """Make the window of the chain's readings of ``low <= time < high``.

    Args:
        chain: the installations of the supply.
        readings: registers of the chain's series.
        low: UTC seconds.
        high: UTC seconds, not included.

    """
    first, last = chain.extent
    depends = (EVER if low <= first else low, NEVER if high > last else high)
    installations: dict[int, list[Installation]] = {}
    for register in chain.registers:
        installations.setdefault(register.tariff, []).append(_installation(register, readings, chain, depends))
    return CurveWindow(installations, depends)


def is_bracketed(chain: Chain, window: CurveWindow, start: int, end: int) -> bool:
    """Whether the window holds enough registers on both sides of ``start <= time < end``.

    Args:
        chain: the installations of the supply.
        window: the registers read so far.
        start: UTC seconds.
        end: UTC seconds, not included.

    """
    low, high = window.depends
    if low == EVER and high == NEVER:
        return True
    for tariff, installations in window.installations.items():
        times = np.concatenate([_nodes(item) for item in installations])
        if low != EVER and chain.first_of(tariff) < low and int((times < start).sum()) < BRACKET:
            return False
        if high != NEVER and chain.last_of(tariff) >= high and int((times >= end).sum()) < BRACKET:
            return False
    return True


def derive(chain: Chain, window: CurveWindow, bounds: Sequence[int]) -> Curve:
    """Derive the curve from the first to the last of the rising ``bounds``, cut at all of them.

    A month is cut at its midnights here, where intervals are whole, so that its days are those derived alone.

    Args:
        chain: the registers that bill the supply; without one the curve is empty.
        window: their readings, bracketing the span.
        bounds: UTC seconds.

    Raises:
        ValueError: the readings span more periods than ``conserve`` accepts, or installations overlap.

    """
    start, end = bounds[0], bounds[-1]
    if not chain.registers or start >= end:
        empty = np.zeros(0, np.int64)
        nothing = np.zeros(0, np.int32)
        return Curve(empty, empty, empty, nothing, Fraction(1), depends=window.depends, refused=chain.refused)
    step, period_s = chain.step, chain.period_s
    chains = window.installations
    outcomes = {tariff: conserve(items, period_s=period_s) for tariff, items in chains.items()}
    pieces = _sum_pieces([_cut_to(outcome, bounds) for outcome in outcomes.values()])
    tolerance = period_s // 60
    counted = {tariff: _counted(items, outcomes[tariff]) for tariff, items in chains.items()}
    times = np.concatenate([time for time, _value in counted.values()])
    within = times[(times >= start) & (times < end + tolerance)]
    return Curve(
        *pieces,
        step,
        tuple(item for outcome in outcomes.values() for item in outcome.unexplained if start < item.end <= end),
        tuple(item for outcome in outcomes.values() for item in outcome.left_out if start <= item.time < end),
        _register_at(counted, start + tolerance, start - period_s, step),
        _register_at(counted, end + tolerance, start, step),
        int(within.max()) if len(within) else None,
        window.depends,
        chain.refused,
    )


def _nodes(item: Installation) -> NDArray[np.int64]:
    """Return the instants at which an installation's register counts; zeros may be a dip and do not."""
    usable = item.values != 0
    if item.start is not None:
        usable &= item.times >= item.start
    if item.end is not None:
        usable &= item.times <= item.end
    given = [
        time
        for time, value in ((item.start, item.opening), (item.end, item.closing))
        if time is not None and value is not None
    ]
    return np.unique(np.concatenate((item.times[usable], np.array(given, np.int64))))


def _installation(register: ChainRegister, readings: Readings, chain: Chain, depends: tuple[int, int]) -> Installation:
    row = register.installation
    times, values, quality = [], [], []
    for channel, size in register.channels:
        factor = int(size / chain.step)
        most = MAX_STEPS // (factor * row.multiplier)  # the consumption, too, must not leave 63 bits
        own = (readings.series == channel.series_id) & (readings.time <= readings.received_at + MAX_AHEAD_S)
        own &= (readings.value <= most) & (readings.value >= -most)
        times.append(readings.time[own])
        values.append(readings.value[own] * factor)
        quality.append(readings.quality[own])
    opening = None if register.opening is None else register.opening.in_steps(chain.step)
    closing = None if register.closing is None else register.closing.in_steps(chain.step)
    inside_opening = opening is not None and row.start >= depends[0]
    inside_closing = closing is not None and row.end is not None and row.end <= depends[1]
    return Installation(
        np.concatenate(times),
        np.concatenate(values),
        np.concatenate(quality),
        start=row.start,
        end=row.end,
        opening=opening if inside_opening else None,
        closing=closing if inside_closing else None,
        width=_width(register, chain),
        multiplier=row.multiplier,
    )


def _width(register: ChainRegister, chain: Chain) -> int | None:
    """Return after how many steps of the chain the register begins anew; None where no meter is so wide."""
    steps = register.installation.width.get(register.obis)
    width = 0 if steps is None else steps * int(register.channels[0][1] / chain.step)
    return width if 0 < width * register.installation.multiplier <= MAX_STEPS else None


def _cut_to(outcome: Conserved, bounds: Sequence[int]) -> Pieces:
    low, high, value, owner = cut_at(outcome.start, outcome.end, outcome.value, bounds)
    inside = (low >= bounds[0]) & (high <= bounds[-1])
    return low[inside], high[inside], value[inside], outcome.quality[owner[inside]]


def _sum_pieces(
    parts: Sequence[Pieces],
) -> Pieces:
    """Add the curves of several registers on the union of their bounds; a span is known as far as one of them is."""
    if len(parts) == 1:
        return parts[0]
    edges = np.unique(np.concatenate([edge for part in parts for edge in part[:2]]))
    value = np.zeros(max(len(edges) - 1, 0), np.int64)
    quality = np.zeros(len(value), np.int32)
    covered = np.zeros(len(value), bool)
    for part in parts:
        low, _high, amount, owner = cut_at(*part[:3], edges)
        at = np.searchsorted(edges, low)
        np.add.at(value, at, amount)
        np.bitwise_or.at(quality, at, part[3][owner])
        covered[at] = True
    return edges[:-1][covered], edges[1:][covered], value[covered], quality[covered]


def _counted(chain: Sequence[Installation], outcome: Conserved) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return time and value of the registers that the chain rests on, in order of time."""
    times, values = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for item in chain:
        low = item.start if item.start is not None else EVER
        high = item.end if item.end is not None else NEVER
        inside = (item.times >= low) & (item.times <= high)
        times.append(item.times[inside])
        values.append(item.values[inside])
    time, value = np.concatenate(times), np.concatenate(values)
    dropped = {(item.time, item.value) for item in outcome.left_out}
    suspects = np.flatnonzero(np.isin(time, [at for at, _value in dropped]))
    gone = [at for at in suspects if (int(time[at]), int(value[at])) in dropped]
    time, value = np.delete(time, gone), np.delete(value, gone)
    order = np.argsort(time, kind="stable")  # at an exchange the new meter's register is last
    return time[order], value[order]


def _register_at(
    counted: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]], time: int, not_before: int, step: Fraction
) -> Fraction | None:
    """Return the register as last counted up to an instant: the total, or the sum of the tariff registers."""
    latest: dict[bool, list[tuple[int, int]]] = {}
    for tariff, (times, values) in counted.items():
        at = int(np.searchsorted(times, time, side="right")) - 1
        if at >= 0 and times[at] >= not_before:
            latest.setdefault(tariff == TOTAL_TARIFF, []).append((int(times[at]), int(values[at])))
    if not latest:
        return None
    # Where a meter changed from one to the other, the one that was read last; the total where both were.
    _at, _is_total, registers = max((max(rows)[0], is_total, rows) for is_total, rows in latest.items())
    return sum(value for _time, value in registers) * step
