"""The conservation law: intervals from registers, so that energy is neither made nor lost.

``sum(intervals) + sum(unexplained) == difference of the register over the chain of installations``, exactly and for
any order of arrival. Strategy: sort and settle duplicates, leave lone dips out, join rollovers and exchanges into one
rising curve, put every fall or spike that nothing explains aside by name, then cut the curve at the UTC grid.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from meterspan.quantities import Quality

__all__ = [
    "Conserved",
    "CountedRegisters",
    "GapPolicy",
    "Installation",
    "LeftOutReading",
    "Unexplained",
    "conserve",
    "installation_of",
    "share",
]

Times = NDArray[np.int64]
Values = NDArray[np.int64]

OFF_GRID_SHARE = 60
"""A register within a sixtieth of the period counts as read at the bound (15 s for quarter hours)."""
RESET_SHARE = 2
"""A register that falls below half of what it was has been reset; a smaller fall is a negative difference."""
RISE_SHARE = 2
"""A rise of which the next register takes more than half back was a lone rise and no consumption."""
ROLLOVER_SHARE = 2
"""A rollover that would need more than half the width is no rollover, where no ceiling says more."""
MAX_GRID = 10_000_000
"""Intervals of one call: a clock that jumped centuries must not fill the memory (285 years of quarter hours)."""

MAX_SUM = float(1 << 62)
"""Steps of consumption of one call: their sums must not leave 63 bits."""
WHOLE_PRODUCT_S = 1 << 31
"""Seconds below which a remainder times a length stays inside 63 bits: 68 years."""


class GapPolicy(StrEnum):
    """What becomes of registers that are more than a period apart."""

    SPREAD = "spread"
    """Equal shares, flagged ``SPREAD | ESTIMATED``, that meet the registers at both ends exactly."""
    LONG = "long"
    """One long interval, as measured."""


@dataclass(frozen=True, slots=True, eq=False)
class Installation:
    """The register of one device at the usage point, from its installation to its removal.

    Attributes:
        times: UTC seconds, in any order, with repeats.
        values: integer steps, one step size for the whole chain.
        quality: ``Quality`` bits of each reading.
        start: UTC seconds of the installation; earlier readings are left out; None is open.
        end: UTC seconds of the removal; later readings are left out; None is open.
        opening: the register at ``start``; needs ``start``.
        closing: the register at ``end``; needs ``end``.
        width: the register counts modulo this many steps; None is unknown, so that no fall is a rollover.
        multiplier: steps of consumption per step of the register (transformer ratio).
        ceiling_per_hour: most steps that the connection can carry in an hour; a rise above is a spike; None is unknown.

    """

    times: Times
    values: Values
    quality: NDArray[np.int32]
    start: int | None = None
    end: int | None = None
    opening: int | None = None
    closing: int | None = None
    width: int | None = None
    multiplier: int = 1
    ceiling_per_hour: int | None = None


def installation_of(readings: Iterable[tuple[int, int]], **fields: Any) -> Installation:
    """Build an installation from (UTC seconds, steps) pairs; ``fields`` are those of ``Installation``."""
    pairs = list(readings)
    times = np.array([time for time, _value in pairs], np.int64)
    values = np.array([value for _time, value in pairs], np.int64)
    return Installation(times, values, np.zeros(len(pairs), np.int32), **fields)


@dataclass(frozen=True, slots=True)
class Unexplained:
    """A register difference that no consumption explains.

    Attributes:
        start: UTC seconds of the register before.
        end: UTC seconds of the register after.
        value: the difference in steps.
        quality: ``METER_RESET``, ``NEGATIVE`` or ``SPIKE``.

    """

    start: int
    end: int
    value: int
    quality: Quality


@dataclass(frozen=True, slots=True)
class LeftOutReading:
    """A reading that the chain does not use; it stays raw in the store."""

    time: int
    value: int
    quality: Quality
    """``ZERO_GLITCH``, ``SPIKE``, ``CONFLICT`` or ``EXCHANGED`` (before the opening or after the closing)."""


@dataclass(frozen=True, slots=True, eq=False)
class CountedRegisters:
    """The registers that the intervals rest on, in order of time.

    At an exchange two of them have one time: the last of the old device and the first of the new one.

    Attributes:
        time: UTC seconds at which each was read.
        value: the register in steps, times the multiplier.
        owner: position of its installation in the chain.
        bounds: UTC seconds of the bounds for which a register stands, rising.
        at: the position of the register that stands for each bound: its nearest, within half a period.

    """

    time: Times
    value: Values
    owner: NDArray[np.intp]
    bounds: Times
    at: NDArray[np.intp]

    def at_bound(self, bound: int, owner: int | None) -> int | None:
        """Return the position of the register of an installation that stands for a bound; None where none does.

        Args:
            bound: UTC seconds.
            owner: position of the installation in the chain; None: any.

        """
        place = int(np.searchsorted(self.bounds, bound))
        if place == len(self.bounds) or self.bounds[place] != bound:
            return None
        first = int(self.at[place])
        seen = [at for at in (first, first + 1, first - 1) if 0 <= at < len(self.time)]
        same = (at for at in seen if self.time[at] == self.time[first])
        return next((at for at in same if owner is None or self.owner[at] == owner), None)


@dataclass(frozen=True, slots=True, eq=False)
class Conserved:
    """Intervals in order of time, and what they do not hold.

    Attributes:
        start: UTC seconds; on the grid but for the first and last, which may be parts of a period.
        end: UTC seconds.
        value: steps of consumption.
        quality: ``Quality`` bits; where ``MISSING`` is set the value is 0 and nothing is known.
        unexplained: register differences without consumption.
        left_out: readings without influence.
        difference: of the registers over the chain, rollovers added, in steps.
        counted: the registers that the intervals rest on.

    """

    start: Times
    end: Times
    value: Values
    quality: NDArray[np.int32]
    unexplained: tuple[Unexplained, ...]
    left_out: tuple[LeftOutReading, ...]
    difference: int
    counted: CountedRegisters

    def __len__(self) -> int:
        """Count the intervals."""
        return len(self.start)

    @property
    def total(self) -> int:
        """Sum of all intervals in steps."""
        return int(self.value.sum())

    @property
    def unexplained_total(self) -> int:
        """Sum of all unexplained differences in steps."""
        return sum(item.value for item in self.unexplained)


def conserve(installations: Sequence[Installation], *, period_s: int, gap: GapPolicy = GapPolicy.SPREAD) -> Conserved:
    """Derive intervals of ``period_s`` on the UTC grid from the registers of a usage point.

    Args:
        installations: one per device, in order of time.
        period_s: capture period in seconds.
        gap: what becomes of registers that are more than a period apart.

    Raises:
        ValueError: the period is not positive, the readings span more than ``MAX_GRID`` periods, or their differences
            do not add up in 63 bits.

    """
    if period_s <= 0:
        raise ValueError("a capture period is positive")
    curve = _join([_settle(installation) for installation in installations])
    if len(curve.time) and (int(curve.time[-1]) - int(curve.time[0])) // period_s > MAX_GRID:
        raise ValueError(f"readings from {curve.time[0]} to {curve.time[-1]} span more than {MAX_GRID} periods")
    if float(np.abs(curve.step).sum(dtype=np.float64)) > MAX_SUM:
        raise ValueError("the differences of the registers add up to more than any meter counts")
    anchors = _anchors(curve.time, period_s)
    return _cut(curve, anchors, period_s, gap)


# --- one installation -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, eq=False)
class _RegisterCurve:
    """Registers that count, with what happened between each and the next."""

    time: Times
    value: Values
    """Register of each node, times the multiplier."""
    owner: NDArray[np.intp]
    """Position of the installation of each node in the chain."""
    quality: NDArray[np.int32]
    step: Values
    """Consumption from each node to the next; one fewer than nodes."""
    step_quality: NDArray[np.int32]
    unexplained: list[Unexplained]
    left_out: list[LeftOutReading]
    difference: int


def _settle(installation: Installation) -> _RegisterCurve:
    times, values, quality, left_out = _chain(installation)
    times, values, quality = _without_conflicts(times, values, quality, left_out)
    times, values, quality = _without_dips(times, values, quality, left_out, installation)
    step = np.diff(values)
    step_quality = np.zeros(len(step), np.int32)
    unexplained: list[Unexplained] = []
    rolled = 0
    for at in np.flatnonzero(_suspicious(times, step, installation)):
        before, after, fall = int(values[at]), int(values[at + 1]), int(step[at])
        seconds = int(times[at + 1] - times[at])
        turned = fall + (installation.width or 0)
        if fall < 0 and _is_rollover(turned, seconds, installation):
            step[at] = turned
            step_quality[at] = Quality.ROLLOVER
            rolled += 1
            continue
        if fall >= 0:
            reason = Quality.SPIKE
        else:
            reason = Quality.METER_RESET if after * RESET_SHARE < before else Quality.NEGATIVE
        unexplained.append(Unexplained(int(times[at]), int(times[at + 1]), fall * installation.multiplier, reason))
        step[at] = 0
        step_quality[at] = reason | Quality.MISSING
    first, last = (int(values[0]), int(values[-1])) if len(values) else (0, 0)
    ratio = installation.multiplier
    difference = (last - first + rolled * (installation.width or 0)) * ratio
    owner = np.zeros(len(times), np.intp)  # of one installation; _join numbers them
    return _RegisterCurve(
        times, values * ratio, owner, quality, step * ratio, step_quality, unexplained, left_out, difference
    )


def _suspicious(times: Times, step: Values, installation: Installation) -> NDArray[np.bool_]:
    """Falls, and rises above what the connection can carry."""
    bad: NDArray[np.bool_] = step < 0
    if installation.ceiling_per_hour is not None:
        bad |= step > _ceiling(np.diff(times), installation.ceiling_per_hour)
    return bad


def _ceiling(seconds: Times, per_hour: int) -> Times:
    """Most steps in that many seconds; one more because registers are cut to whole steps."""
    hours, rest = np.divmod(seconds, 3_600)
    most: Times = hours * per_hour + (rest * per_hour + 3_599) // 3_600 + 1
    return most


def _is_rollover(turned: int, seconds: int, installation: Installation) -> bool:
    if installation.width is None or turned < 0:
        return False
    if installation.ceiling_per_hour is not None:
        return turned <= int(_ceiling(np.array([seconds], np.int64), installation.ceiling_per_hour)[0])
    return turned * ROLLOVER_SHARE <= installation.width


def _chain(installation: Installation) -> tuple[Times, Values, NDArray[np.int32], list[LeftOutReading]]:
    """Cut to the installation, add opening and closing, sort by time and value."""
    times, values, quality = installation.times, installation.values, installation.quality
    low = installation.start if installation.start is not None else np.iinfo(np.int64).min
    high = installation.end if installation.end is not None else np.iinfo(np.int64).max
    inside = (times >= low) & (times <= high)
    if installation.opening is not None:
        inside &= times != low
    if installation.closing is not None:
        inside &= times != high
    left_out = [
        LeftOutReading(int(time), int(value), Quality.EXCHANGED)
        for time, value in zip(times[~inside], values[~inside], strict=True)
        if not (time == low and value == installation.opening) and not (time == high and value == installation.closing)
    ]
    times, values, quality = times[inside], values[inside], quality[inside]
    for time, value in ((installation.start, installation.opening), (installation.end, installation.closing)):
        if value is not None:
            if time is None:
                raise ValueError("an opening or closing register needs its time")
            times, values = np.append(times, np.int64(time)), np.append(values, np.int64(value))
            quality = np.append(quality, np.int32(0))
    order = np.lexsort((quality, values, times))
    return times[order], values[order], quality[order], sorted(left_out, key=lambda item: (item.time, item.value))


def _without_conflicts(
    times: Times, values: Values, quality: NDArray[np.int32], left_out: list[LeftOutReading]
) -> tuple[Times, Values, NDArray[np.int32]]:
    """Keep one value per instant: the least that does not fall below the register before, else the greatest."""
    if len(times) < 2 or np.all(np.diff(times) > 0):
        return times, values, quality
    heads = np.flatnonzero(np.concatenate(([True], np.diff(times) > 0)))
    ends = np.append(heads[1:], len(times))
    chosen = heads.copy()
    joined = np.bitwise_or.reduceat(quality, heads)
    before: int | None = None
    for index, (head, end) in enumerate(zip(heads, ends, strict=True)):
        candidates = values[head:end]
        if candidates[0] != candidates[-1]:  # sorted: different values at one instant
            good = np.flatnonzero(candidates >= before) if before is not None else np.array([0])
            chosen[index] = head + (int(good[0]) if len(good) else len(candidates) - 1)
            joined[index] |= int(Quality.CONFLICT)
            kept = int(values[chosen[index]])
            left_out.extend(
                LeftOutReading(int(times[head]), int(value), Quality.CONFLICT)
                for value in np.unique(candidates)
                if int(value) != kept
            )
        before = int(values[chosen[index]]) or before  # a zero may be a dip and says nothing of what comes
    return times[chosen], values[chosen], joined.astype(np.int32)


def _without_dips(
    times: Times, values: Values, quality: NDArray[np.int32], left_out: list[LeftOutReading], installation: Installation
) -> tuple[Times, Values, NDArray[np.int32]]:
    """Leave out lone falls, and runs of exact zeros, after which the register is back where it was or above.

    A lone rise that comes back is the same upside down: what it rose to is left out. A fall at the very end is not
    decided yet: it is left out until the next register tells a reset from a glitch.
    """
    if len(values) < 2 or np.all(np.diff(values) >= 0):
        return times, values, quality
    reason = np.zeros(len(values), np.int32)
    decided = 0
    for fall_at in np.flatnonzero(np.diff(values) < 0):
        at = int(fall_at)
        if at < decided:
            continue
        turned = int(values[at + 1]) - int(values[at]) + (installation.width or 0)
        is_rollover = _is_rollover(turned, int(times[at + 1] - times[at]), installation)
        end = at + 2
        while values[at + 1] == 0 and end < len(values) and values[end] == 0:
            end += 1
        if end == len(values):
            is_dip = end == at + 2 and installation.closing is None and not is_rollover
        else:  # a register that is back was never past its width: it would have counted all of it since
            is_dip = bool(values[end] >= values[at])
        if is_dip:
            reason[at + 1 : end] = Quality.ZERO_GLITCH
            decided = end
            continue
        before = at - 1
        while before >= 0 and reason[before]:
            before -= 1
        if before >= 0 and _is_lone_rise(int(values[before]), int(values[at]), int(values[at + 1])):
            rise = int(values[at]) - int(values[before])
            if not is_rollover or rise * ROLLOVER_SHARE > (installation.width or 0):
                reason[at] = Quality.SPIKE
    keep = reason == 0
    left_out.extend(
        LeftOutReading(int(time), int(value), Quality(int(why)))
        for time, value, why in zip(times[~keep], values[~keep], reason[~keep], strict=True)
    )
    return times[keep], values[keep], quality[keep]


def _is_lone_rise(before: int, top: int, after: int) -> bool:
    """Whether a register returned to its earlier value; from 0 it may as well be a young meter that was reset."""
    return 0 < before <= after and (after - before) * RISE_SHARE < top - before


# --- the chain of installations -------------------------------------------------------------------------------------


def _join(curves: list[_RegisterCurve]) -> _RegisterCurve:
    """Put the curves of the installations after each other; between them nothing was measured."""
    filled = [curve for curve in curves if len(curve.time)]
    owners = [np.full(len(curve.time), at, np.intp) for at, curve in enumerate(curves)]
    steps: list[Values] = [np.zeros(0, np.int64)]
    step_quality: list[NDArray[np.int32]] = [np.zeros(0, np.int32)]
    before: _RegisterCurve | None = None
    for curve in filled:
        if before is not None:
            if curve.time[0] < before.time[-1]:
                raise ValueError("installations at one usage point overlap or are out of order")
            seamless = curve.time[0] == before.time[-1]
            joint = Quality.EXCHANGED if seamless else Quality.EXCHANGED | Quality.MISSING
            steps.append(np.zeros(1, np.int64))
            step_quality.append(np.array([joint], np.int32))
        steps.append(curve.step)
        step_quality.append(curve.step_quality)
        before = curve
    return _RegisterCurve(
        np.concatenate([np.zeros(0, np.int64), *(curve.time for curve in filled)]),
        np.concatenate([np.zeros(0, np.int64), *(curve.value for curve in filled)]),
        np.concatenate([np.zeros(0, np.intp), *owners]),
        np.concatenate([np.zeros(0, np.int32), *(curve.quality for curve in filled)]),
        np.concatenate(steps),
        np.concatenate(step_quality),
        [item for curve in curves for item in curve.unexplained],
        [item for curve in curves for item in curve.left_out],
        sum(curve.difference for curve in curves),
    )


# --- the grid -------------------------------------------------------------------------------------------------------


def _anchors(times: Times, period: int) -> tuple[NDArray[np.intp], Times]:
    """Choose the node that stands for each bound: (node indices, their bound in UTC seconds).

    Inside, a bound takes its nearest register within half a period. The first and the last node take part as they
    are, at their own time, unless they lie at a bound.
    """
    if not len(times):
        return np.zeros(0, np.intp), np.zeros(0, np.int64)
    number = (2 * times + period - 1) // (2 * period)  # the nearest bound, a tie to the earlier one
    offset = np.abs(times - number * period)
    order = np.lexsort((np.arange(len(times)), offset, number))
    first_of_bound = np.concatenate(([True], np.diff(number[order]) > 0))
    nodes = np.sort(order[first_of_bound])
    bounds = number[nodes] * period
    near = offset[nodes] <= period // OFF_GRID_SHARE
    # The ends: a bound outside of what was read is no bound; the end itself is kept at its own time.
    if not near[0] and times[nodes[0]] > bounds[0]:
        nodes, bounds, near = nodes[1:], bounds[1:], near[1:]
    if len(nodes) and not near[-1] and times[nodes[-1]] < bounds[-1]:
        nodes, bounds = nodes[:-1], bounds[:-1]
    last = len(times) - 1
    if not len(nodes):
        ends = np.array([0, last] if last else [0], np.intp)
        return ends, times[ends]
    if nodes[0] != 0:
        nodes, bounds = np.concatenate(([0], nodes)), np.concatenate(([min(times[0], bounds[0])], bounds))
    if nodes[-1] != last:
        nodes, bounds = np.append(nodes, last), np.append(bounds, max(times[-1], bounds[-1]))
    return nodes, bounds


def _cut(curve: _RegisterCurve, anchors: tuple[NDArray[np.intp], Times], period: int, gap: GapPolicy) -> Conserved:
    nodes, bounds = anchors
    counted = CountedRegisters(curve.time, curve.value, curve.owner, bounds, nodes)
    rest = (tuple(curve.unexplained), tuple(curve.left_out), curve.difference, counted)
    if len(nodes) < 2:
        none = np.zeros(0, np.int64)
        return Conserved(none, none, none, np.zeros(0, np.int32), *rest)
    cumulated = np.concatenate((np.zeros(1, np.int64), np.cumsum(curve.step)))
    value = np.diff(cumulated[nodes])
    quality = _span_quality(curve, nodes, bounds, period)
    start, end = bounds[:-1], bounds[1:]
    # An end that was read at the same bound as its neighbour has no length of its own: join it to the neighbour.
    start, end, value, quality = _without_empty(start, end, value, quality)
    if gap is GapPolicy.SPREAD:
        start, end, value, quality = _spread(start, end, value, quality, period)
    return Conserved(start, end, value, quality, *rest)


def _span_quality(curve: _RegisterCurve, nodes: NDArray[np.intp], bounds: Times, period: int) -> NDArray[np.int32]:
    """Join the flags of everything between two anchors.

    A span is MISSING only where none of its steps is known.
    """
    missing = np.int32(Quality.MISSING)
    heads = nodes[:-1]
    if len(curve.step) == 0:
        return np.zeros(len(heads), np.int32)
    flags = np.bitwise_or.reduceat(curve.step_quality & ~missing, heads)
    all_missing = np.minimum.reduceat((curve.step_quality & missing).astype(np.int32), heads)
    read = np.bitwise_or.reduceat(curve.quality[1:], heads)
    off = np.abs(curve.time[nodes] - bounds) > period // OFF_GRID_SHARE
    off_grid = np.where(off[:-1] | off[1:], np.int32(Quality.OFF_GRID), np.int32(0))
    joined: NDArray[np.int32] = (flags | all_missing | read | off_grid).astype(np.int32)
    return joined


def _without_empty(
    start: Times, end: Times, value: Values, quality: NDArray[np.int32]
) -> tuple[Times, Times, Values, NDArray[np.int32]]:
    keep = end > start
    if np.all(keep):
        return start, end, value, quality
    value, quality = value.copy(), quality.copy()
    kept = np.flatnonzero(keep)
    for at in np.flatnonzero(~keep):
        if len(kept):
            neighbour = kept[min(int(np.searchsorted(kept, at)), len(kept) - 1)]
            value[neighbour] += value[at]
            quality[neighbour] |= quality[at]
    return start[keep], end[keep], value[keep], quality[keep]


def _spread(
    start: Times, end: Times, value: Values, quality: NDArray[np.int32], period: int
) -> tuple[Times, Times, Values, NDArray[np.int32]]:
    """Cut long spans at the grid, with equal shares per second that add up exactly."""
    first, last = start // period, (end - 1) // period
    pieces = last - first + 1
    if np.all(pieces == 1):
        return start, end, value, quality
    owner = np.repeat(np.arange(len(start)), pieces)
    ordinal = np.arange(len(owner)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
    new_start = np.maximum(start[owner], (first[owner] + ordinal) * period)
    new_end = np.minimum(end[owner], (first[owner] + ordinal + 1) * period)
    long = pieces[owner] > 1
    known = (quality[owner] & int(Quality.MISSING)) == 0
    flags = np.where(long & known, np.int32(Quality.SPREAD | Quality.ESTIMATED), np.int32(0))
    new_value = share(value[owner], new_start - start[owner], new_end - start[owner], (end - start)[owner])
    return new_start, new_end, new_value, (quality[owner] | flags).astype(np.int32)


def share(value: Values, start: Times, end: Times, length: Times) -> Values:
    """Return the part of ``value`` between ``start`` and ``end`` of ``length``; parts that meet add up exactly.

    Part = floor(value x end / length) - floor(value x start / length), without overflow.

    Args:
        value: integer steps of whole intervals.
        start: start of the part, seconds after the start of its interval.
        end: end of the part, seconds after the start of its interval.
        length: length of each interval, seconds.

    """
    whole, rest = np.divmod(value, length)
    if len(length) and int(length.max()) >= WHOLE_PRODUCT_S:
        exact = rest.astype(object)
        beyond: Values = (exact * end // length - exact * start // length).astype(np.int64)
        long_part: Values = whole * (end - start) + beyond
        return long_part
    part: Values = whole * (end - start) + (rest * end) // length - (rest * start) // length
    return part
