"""The consumption curve of a usage point, computed from a window of readings handed in; nothing is read here.

A span is derived from a window around it that is wide enough: registers on both sides bracket it, so that the result
is that of the whole history. ``CurveWindow.depends`` is the span of readings it depends on.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from meterspan.analytics.calendar import cut_at
from meterspan.analytics.conserve import OFF_GRID_SHARE, Conserved, Installation, LeftOutReading, Unexplained, conserve
from meterspan.mdm.chains import EVER, MAX_STEPS, NEVER, Chain, ChainRegister, RefusedRegister
from meterspan.mdm.channels import TOTAL_TARIFF
from meterspan.model.storage.readings import Readings
from meterspan.quantities import DAY_S

__all__ = ["BRACKET", "MAX_AHEAD_S", "Curve", "CurveWindow", "derive", "is_bracketed", "unexplained_in", "window_of"]

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
        opening: register at the begin of the span in the shown unit, times the transformer ratio: the one that the
            intervals rest on there, of the device that bills from then on. None where none was read within half a
            period, where the bound lies inside an interval, or where the curve has not come so far.
        closing: register at its end, of the device that billed until then.
        last: UTC seconds of the last register in the span, or None.
        depends: first and last instant of readings that may change the curve.
        refused: registers of the supply that are stored and do not bill.
        of_intervals: whether it is the sum of reported intervals that no register checks.

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
    of_intervals: bool = False

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
    outcomes = _outcomes(chain, window)
    pieces = _sum_pieces([_cut_to(outcome, bounds) for outcome in outcomes.values()])
    opened, closed = (_registers_at(chain, outcomes, bound, is_opening=bound == start) for bound in (start, end))
    times = np.concatenate([outcome.counted.time for outcome in outcomes.values()])
    within = times[(times >= start) & (times < end + chain.period_s // OFF_GRID_SHARE)]
    return Curve(
        *pieces,
        chain.step,
        tuple(item for outcome in outcomes.values() for item in _unexplained_between(outcome, start, end)),
        tuple(item for outcome in outcomes.values() for item in outcome.left_out if start <= item.time < end),
        _sum_of(opened, chain.step),
        _sum_of(closed, chain.step) if _are_comparable(opened, closed) else None,
        int(within.max()) if len(within) else None,
        window.depends,
        chain.refused,
    )


def unexplained_in(chain: Chain, window: CurveWindow, low: int, high: int) -> list[Unexplained]:
    """List the register differences that no consumption explains and that end in ``low < time <= high``.

    Args:
        chain: the registers that bill the supply.
        window: their readings, bracketing the span.
        low: UTC seconds.
        high: UTC seconds.

    Raises:
        ValueError: as ``derive``.

    """
    found = _outcomes(chain, window).values()
    return [item for outcome in found for item in outcome.unexplained if low < item.end <= high]


def _outcomes(chain: Chain, window: CurveWindow) -> dict[int, Conserved]:
    """Derive the intervals of each tariff's registers."""
    return {tariff: conserve(items, period_s=chain.period_s) for tariff, items in window.installations.items()}


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


# --- the registers at the ends ----------------------------------------------------------------------------------

TariffRegisters = dict[int, int]
"""The register of each tariff that bills at an instant, in steps; empty where one of them is not known."""


def _registers_at(chain: Chain, outcomes: Mapping[int, Conserved], bound: int, *, is_opening: bool) -> TariffRegisters:
    """Return the registers that the intervals rest on at a bound, of the device that bills after or before it.

    A register that was read further than half a period from the bound says nothing about it, and neither does that of
    another device: the total at that bound is not known then.
    """
    found: TariffRegisters = {}
    for tariff, outcome in outcomes.items():
        own = [register for register in chain.registers if register.tariff == tariff]
        billing = (
            at for at, register in enumerate(own) if _bills_at(register, bound, chain.period_s, is_opening=is_opening)
        )
        owner = next(billing, None)
        if owner is None:
            continue
        at = outcome.counted.at_bound(bound, owner)
        if at is None:
            return {}
        found[tariff] = int(outcome.counted.value[at])
    return found


def _bills_at(register: ChainRegister, bound: int, period_s: int, *, is_opening: bool) -> bool:
    row, (first, last) = register.installation, register.extent
    end = NEVER if row.end is None else row.end
    is_installed = row.start <= bound < end if is_opening else row.start < bound <= end
    return is_installed and 2 * (first - bound) <= period_s and 2 * (bound - last) <= period_s


def _are_comparable(opened: TariffRegisters, closed: TariffRegisters) -> bool:
    """Whether both are sums of the same tariffs; from tariff registers to a total the sum goes on."""
    return not opened or opened.keys() == closed.keys() or (TOTAL_TARIFF in opened) != (TOTAL_TARIFF in closed)


def _sum_of(registers: TariffRegisters, step: Fraction) -> Fraction | None:
    return sum(registers.values()) * step if registers else None


def _unexplained_between(outcome: Conserved, start: int, end: int) -> Iterator[Unexplained]:
    """Yield what happened from the register at the start to the register at the end: they may lie beside the bounds."""
    low, high = (
        bound if at is None else int(outcome.counted.time[at])
        for bound, at in ((bound, outcome.counted.at_bound(bound, None)) for bound in (start, end))
    )
    return (item for item in outcome.unexplained if low < item.end <= high)
