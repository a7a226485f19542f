"""The consumption curve of a usage point: its chain of registers read from the store and put through the law.

A span is derived from a window around it that is widened until registers on both sides bracket it, so that the
result is that of the whole history; ``Curve.depends`` says which readings it rests on.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from meterspan.analytics.calendar import cut_at
from meterspan.analytics.conserve import Conserved, Installation, LeftOut, Unexplained, conserve
from meterspan.mdm.channels import TOTAL_TARIFF, billing_registers, unit_step
from meterspan.model.storage.ports import ReadingSource
from meterspan.model.storage.readings import Readings
from meterspan.model.storage.registry import InstallationRow, SeriesRow
from meterspan.quantities import DAY_S, HOUR_S, Commodity, Direction, parse_obis

__all__ = ["MAX_AHEAD_S", "Curve", "billing_parts", "billing_series", "derive", "neighbours"]

WIDENING = 8
BRACKET = 3
"""Registers wanted on each side of a span: the bracketing one and those that tell a dip or a rise from a reset."""
SAME_EXTENT_S = DAY_S
"""A total that begins and ends within a day of its tariff registers tells all that they tell."""
MAX_STEPS = 1 << 55
"""A register above is damage (36 TWh in mWh), and its differences must not leave 63 bits."""
MAX_AHEAD_S = DAY_S
"""A register stamped further ahead of its arrival has no usable time; it stays raw and is not counted."""
EVER, NEVER = -(1 << 62), 1 << 62


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

    """

    start: NDArray[np.int64]
    end: NDArray[np.int64]
    value: NDArray[np.int64]
    quality: NDArray[np.int32]
    step: Fraction
    unexplained: tuple[Unexplained, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    opening: Fraction | None = None
    closing: Fraction | None = None
    last: int | None = None
    depends: tuple[int, int] = (EVER, NEVER)

    @property
    def total(self) -> Fraction:
        """Sum in the shown unit."""
        return int(self.value.sum()) * self.step


@dataclass(frozen=True, slots=True)
class _Register:
    """One register of one installation: its channels with the size of their steps."""

    tariff: int
    installation: InstallationRow
    channels: tuple[tuple[SeriesRow, Fraction], ...]

    @property
    def obis(self) -> str:
        return self.channels[0][0].obis


def derive(
    store: ReadingSource, installations: Sequence[InstallationRow], series_of: Callable[[str], Sequence[SeriesRow]], *,
    commodity: Commodity, direction: Direction, shown: str, period_s: int, bounds: Sequence[int],
) -> Curve:  # fmt: skip
    """Derive the curve from the first to the last of the rising ``bounds``, cut at all of them.

    A month is cut at its midnights here, where intervals are whole, so that its days are those derived alone.
    """
    start, end = bounds[0], bounds[-1]
    registers: list[_Register] = []
    for installation in installations:
        for part, billing in _billing(store, installation, series_of(installation.device), commodity, direction):
            registers.extend(_registers(part, billing, commodity, shown))
    empty = np.zeros(0, np.int64)
    if not registers or start >= end:
        return Curve(empty, empty, empty, np.zeros(0, np.int32), Fraction(1))
    step = _common_step(registers, shown)
    chains, depends = _window(store, registers, period_s, start, end, step=step, shown=shown)
    outcomes = {tariff: conserve(chain, period_s=period_s) for tariff, chain in chains.items()}
    pieces = _sum_pieces([_cut_to(outcome, bounds) for outcome in outcomes.values()])
    tolerance = period_s // 60
    counted = {tariff: _counted(chain, outcomes[tariff]) for tariff, chain in chains.items()}
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
        depends,
    )


def _billing(
    store: ReadingSource, installation: InstallationRow, rows: Sequence[SeriesRow], commodity: Commodity,
    direction: Direction,
) -> list[tuple[InstallationRow, list[list[SeriesRow]]]]:  # fmt: skip
    """Choose the registers that bill an installation: the total where it was read, its tariff registers elsewhere.

    Where a meter told its total only later, or for a while, its tariff registers bill the rest: what was counted
    once must not vanish because a total came.
    """
    live = [row for row in rows if store.bounds(row.series_id) is not None]
    best = billing_registers(live, commodity, direction)
    chosen = {row.series_id for channels in best for row in channels}
    if commodity is not Commodity.ELECTRICITY or len(best) != 1 or parse_obis(best[0][0].obis).e != TOTAL_TARIFF:
        return [(installation, best)]
    quantity = parse_obis(best[0][0].obis).c
    others = [
        row for row in live if row.series_id not in chosen and parse_obis(row.obis).c == quantity
        and parse_obis(row.obis).e != TOTAL_TARIFF
    ]  # fmt: skip
    parts = billing_registers(others, commodity, direction)
    if not parts:
        return [(installation, best)]
    (first, last), (low, high) = _extent(store, best), _extent(store, parts)
    starts_earlier, ends_later = low < first - SAME_EXTENT_S, high > last + SAME_EXTENT_S
    if starts_earlier and ends_later:
        return [(installation, parts)]
    if starts_earlier and installation.start < first:
        before, after = replace(installation, end=first, closing={}), replace(installation, start=first, opening={})
        return [(before, parts), (after, best)]
    if ends_later and (installation.end is None or last < installation.end):
        before, after = replace(installation, end=last, closing={}), replace(installation, start=last, opening={})
        return [(before, best), (after, parts)]
    return [(installation, best)]


def _extent(store: ReadingSource, billing: Sequence[Sequence[SeriesRow]]) -> tuple[int, int]:
    known = [bounds for channels in billing for row in channels if (bounds := store.bounds(row.series_id)) is not None]
    return min(low for low, _high in known), max(high for _low, high in known)


def _registers(
    installation: InstallationRow, billing: Sequence[Sequence[SeriesRow]], commodity: Commodity, shown: str
) -> list[_Register]:
    found = []
    for channels in billing:
        obis = parse_obis(channels[0].obis)
        steps = []
        for row in channels:
            try:
                steps.append((row, unit_step(row.unit, row.exponent, shown)))
            except ValueError:
                continue  # gas counted in energy, shown in m3: another quantity
        if steps:
            tariff = obis.e if commodity is Commodity.ELECTRICITY else 0
            found.append(_Register(tariff, installation, tuple(steps)))
    return found


def _common_step(registers: Iterable[_Register], shown: str) -> Fraction:
    """Find the greatest step that all scales of the chain are multiples of."""
    steps = [step for register in registers for _row, step in register.channels]
    for register in registers:
        for given in (register.installation.opening, register.installation.closing):
            if register.obis in given:
                _value, exponent, unit = given[register.obis]
                steps.append(unit_step(unit, exponent, shown))
    common = steps[0]
    for step in steps[1:]:
        numerator = math.gcd(common.numerator * step.denominator, step.numerator * common.denominator)
        common = Fraction(numerator, common.denominator * step.denominator)
    return common


def _window(
    store: ReadingSource, registers: Sequence[_Register], period_s: int, start: int, end: int, *, step: Fraction,
    shown: str,
) -> tuple[dict[int, list[Installation]], tuple[int, int]]:  # fmt: skip
    """Read the chains of the registers, by tariff, around a span: wide enough that they are bracketed."""
    ids = [row.series_id for register in registers for row, _step in register.channels]
    first, last = _extent(store, [[row for row, _step in register.channels] for register in registers])
    last += 1
    margin = max(4 * period_s, HOUR_S)
    while True:
        low, high = max(start - margin, first), min(end + margin, last)
        readings = store.read(ids, low, high)
        depends = (EVER if low == first else low, NEVER if high == last else high)
        chains: dict[int, list[Installation]] = {}
        for register in registers:
            chains.setdefault(register.tariff, []).append(_installation(register, readings, step, shown, depends))
        known = {tariff: np.concatenate([_nodes(item) for item in chain]) for tariff, chain in chains.items()}
        before = low == first or all(
            _first_of(store, registers, tariff) >= low or int((times < start).sum()) >= BRACKET
            for tariff, times in known.items()
        )
        after = high == last or all(
            _last_of(store, registers, tariff) < high or int((times >= end).sum()) >= BRACKET
            for tariff, times in known.items()
        )
        if before and after:
            return chains, depends
        margin *= WIDENING


def _nodes(item: Installation) -> NDArray[np.int64]:
    """Give the instants at which an installation's register counts; zeros may be a dip and do not."""
    usable = item.values != 0
    if item.start is not None:
        usable &= item.times >= item.start
    if item.end is not None:
        usable &= item.times <= item.end
    given = [
        time for time, value in ((item.start, item.opening), (item.end, item.closing))
        if time is not None and value is not None
    ]  # fmt: skip
    return np.unique(np.concatenate((item.times[usable], np.array(given, np.int64))))


def _first_of(store: ReadingSource, registers: Sequence[_Register], tariff: int) -> int:
    own = [register for register in registers if register.tariff == tariff]
    given = [item.installation.start for item in own if item.obis in item.installation.opening]
    return min(_extent(store, [[row for row, _step in item.channels] for item in own])[0], *given, NEVER)


def _last_of(store: ReadingSource, registers: Sequence[_Register], tariff: int) -> int:
    own = [register for register in registers if register.tariff == tariff]
    return _extent(store, [[row for row, _step in item.channels] for item in own])[1]


def _installation(
    register: _Register, readings: Readings, step: Fraction, shown: str, depends: tuple[int, int]
) -> Installation:
    row = register.installation
    times, values, quality = [], [], []
    for channel, size in register.channels:
        factor = int(size / step)
        own = (readings.series == channel.series_id) & (readings.time <= readings.received_at + MAX_AHEAD_S)
        own &= (readings.value <= MAX_STEPS // factor) & (readings.value >= -(MAX_STEPS // factor))
        times.append(readings.time[own])
        values.append(readings.value[own] * factor)
        quality.append(readings.quality[own])
    width = row.width.get(register.obis)
    opening, closing = _given(row.opening, register, step, shown), _given(row.closing, register, step, shown)
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
        width=None if width is None else width * int(register.channels[0][1] / step),
        multiplier=row.multiplier,
    )


def _given(given: object, register: _Register, step: Fraction, shown: str) -> int | None:
    values = given.get(register.obis) if isinstance(given, dict) else None
    if values is None:
        return None
    value, exponent, unit = values
    return int(value * unit_step(unit, exponent, shown) / step)


def _cut_to(
    outcome: Conserved, bounds: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    low, high, value, owner = cut_at(outcome.start, outcome.end, outcome.value, bounds)
    inside = (low >= bounds[0]) & (high <= bounds[-1])
    return low[inside], high[inside], value[inside], outcome.quality[owner[inside]]


def _sum_pieces(
    parts: Sequence[tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]],
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
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
    """Give time and value of the registers that the chain rests on, in order of time."""
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
    order = np.argsort(time, kind="stable")  # at an exchange the new meter's register comes last
    return time[order], value[order]


def _register_at(
    counted: dict[int, tuple[NDArray[np.int64], NDArray[np.int64]]], time: int, not_before: int, step: Fraction
) -> Fraction | None:
    """Give the register as last counted up to an instant: the total, or the sum of the tariff registers."""
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


def billing_series(
    store: ReadingSource, rows: Sequence[SeriesRow], commodity: Commodity, direction: Direction = Direction.IMPORT
) -> list[int]:
    """Give the numbers of the series that bill what a device measures in one direction, at all their scales."""
    parts = billing_parts(store, rows, commodity, direction)
    return [number for _start, _end, numbers in parts for number in numbers]


def billing_parts(
    store: ReadingSource, rows: Sequence[SeriesRow], commodity: Commodity, direction: Direction
) -> list[tuple[int, int | None, list[int]]]:
    """Give from when until when which series bill what a device measures."""
    anywhere = InstallationRow("", "", EVER, None, 1, {}, {}, {})
    return [
        (part.start, part.end, [row.series_id for channels in billing for row in channels])
        for part, billing in _billing(store, anywhere, rows, commodity, direction)
    ]


def neighbours(store: ReadingSource, ids: Sequence[int], start: int, end: int) -> tuple[int, int]:
    """Give the times between which a change in ``start <= t < end`` may be felt: some registers before and after.

    Zeros are passed over: what comes after a run of them decides whether it is a dip or a reset.
    """
    known = [bounds for number in ids if (bounds := store.bounds(number)) is not None]
    if not known:
        return start, end - 1
    first, last = min(low for low, _high in known), max(high for _low, high in known)
    margin = HOUR_S
    while True:
        readings = store.read(ids, max(start - margin, first), min(end + margin, last + 1))
        counted = np.unique(readings.time[readings.value != 0])
        before, after = counted[counted < start], counted[counted >= end]
        if (len(before) >= BRACKET or start - margin <= first) and (len(after) >= BRACKET or end + margin > last):
            return (
                int(before[-BRACKET:][0]) if len(before) else min(start, first),
                int(after[:BRACKET][-1]) if len(after) else max(end - 1, last),
            )
        margin *= WIDENING
