"""The consumption curve of a usage point: its chain of registers read from the store and put through the law.

A span is derived from a window around it that is widened until registers on both sides bracket it, so that the
result is that of the whole history; ``Curve.depends`` says which readings it rests on.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from meterspan.analytics.calendar import cut_at
from meterspan.analytics.conserve import Conserved, Installation, LeftOut, Unexplained, conserve
from meterspan.mdm.channels import billing_registers, unit_step
from meterspan.model.readings import Commodity, Direction
from meterspan.quantities import parse_obis
from meterspan.store.columns import Readings
from meterspan.store.reading_store import ReadingStore
from meterspan.store.registry import InstallationRow, SeriesRow

__all__ = ["Curve", "billing_series", "derive", "neighbours"]

HOUR_S, DAY_S = 3_600, 86_400
WIDENING = 8
BRACKET = 2
"""Registers wanted on each side of a span: the bracketing one and one that tells a dip from a reset."""
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
    store: ReadingStore, installations: Sequence[InstallationRow], series_of: Callable[[str], Sequence[SeriesRow]], *,
    commodity: Commodity, direction: Direction, shown: str, period_s: int, start: int, end: int,
) -> Curve:  # fmt: skip
    """Derive the curve of ``start <= t < end``."""
    registers: list[_Register] = []
    for installation in installations:
        live = [row for row in series_of(installation.device) if store.bounds(row.series_id) is not None]
        billing = billing_registers(live, commodity, direction)
        registers.extend(_registers(installation, billing, commodity, shown))
    empty = np.zeros(0, np.int64)
    if not registers or start >= end:
        return Curve(empty, empty, empty, np.zeros(0, np.int32), Fraction(1))
    step = _common_step(registers, shown)
    readings, depends = _window(store, registers, period_s, start, end)
    chains: dict[int, list[Installation]] = {}
    for register in registers:
        chains.setdefault(register.tariff, []).append(_installation(register, readings, step, shown, depends))
    outcomes = [conserve(chain, period_s=period_s) for chain in chains.values()]
    pieces = _sum_pieces([_cut_to(outcome, start, end) for outcome in outcomes])
    tolerance = period_s // 60
    within = (readings.time >= start) & (readings.time < end + tolerance)
    return Curve(
        *pieces,
        step,
        tuple(item for outcome in outcomes for item in outcome.unexplained if start < item.end <= end),
        tuple(item for outcome in outcomes for item in outcome.left_out if start <= item.time < end),
        _register_at(chains.values(), start + tolerance, start - period_s, step),
        _register_at(chains.values(), end + tolerance, start, step),
        int(readings.time[within].max()) if within.any() else None,
        depends,
    )


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
    store: ReadingStore, registers: Sequence[_Register], period_s: int, start: int, end: int
) -> tuple[Readings, tuple[int, int]]:
    ids = [row.series_id for register in registers for row, _step in register.channels]
    known = [bounds for number in ids if (bounds := store.bounds(number)) is not None]
    first, last = min(low for low, _high in known), max(high for _low, high in known) + 1
    margin = max(4 * period_s, HOUR_S)
    while True:
        low, high = max(start - margin, first), min(end + margin, last)
        readings = store.read(ids, low, high)
        before = low == first or _brackets(readings, registers, readings.time < start)
        after = high == last or _brackets(readings, registers, readings.time >= end)
        if before and after:
            return readings, (EVER if low == first else low, NEVER if high == last else high)
        margin *= WIDENING


def _brackets(readings: Readings, registers: Sequence[_Register], side: NDArray[np.bool_]) -> bool:
    """Whether every chain that is read here has enough values on one side; zeros may be a dip and do not count."""
    for tariff in {register.tariff for register in registers}:
        ids = [row.series_id for register in registers if register.tariff == tariff for row, _step in register.channels]
        own = np.isin(readings.series, ids)
        if own.any() and int((own & side & (readings.value != 0)).sum()) < BRACKET:
            return False
    return bool(side.any())


def _installation(
    register: _Register, readings: Readings, step: Fraction, shown: str, depends: tuple[int, int]
) -> Installation:
    row = register.installation
    times, values, quality = [], [], []
    for channel, size in register.channels:
        own = (readings.series == channel.series_id) & (readings.time <= readings.received_at + MAX_AHEAD_S)
        times.append(readings.time[own])
        values.append(readings.value[own] * int(size / step))
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
    outcome: Conserved, start: int, end: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    low, high, value, owner = cut_at(outcome.start, outcome.end, outcome.value, (start, end))
    inside = (low >= start) & (high <= end)
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


def _register_at(
    chains: Iterable[Sequence[Installation]], time: int, not_before: int, step: Fraction
) -> Fraction | None:
    """Give the register (sum of the tariff registers) as last read up to an instant."""
    total, found = 0, False
    for chain in chains:
        latest: tuple[int, int] | None = None
        for item in chain:
            usable = (item.times <= time) & (item.times >= not_before)
            if item.start is not None:
                usable &= item.times >= item.start
            if item.end is not None:
                usable &= item.times <= item.end
            if usable.any():
                at = int(np.flatnonzero(usable)[np.argmax(item.times[usable])])
                if latest is None or int(item.times[at]) >= latest[0]:
                    latest = int(item.times[at]), int(item.values[at])
        if latest is not None:
            total, found = total + latest[1], True
    return total * step if found else None


def billing_series(
    store: ReadingStore, rows: Sequence[SeriesRow], commodity: Commodity, direction: Direction = Direction.IMPORT
) -> list[int]:
    """Give the numbers of the series that bill what a device measures in one direction, at all their scales."""
    live = [row for row in rows if store.bounds(row.series_id) is not None]
    return [row.series_id for channels in billing_registers(live, commodity, direction) for row in channels]


def neighbours(store: ReadingStore, ids: Sequence[int], start: int, end: int) -> tuple[int, int]:
    """Give the times of the last register before ``start`` and the first at or after ``end``; else these themselves.

    Zeros are passed over: what comes after a run of them decides whether it is a dip or a reset.
    """
    known = [bounds for number in ids if (bounds := store.bounds(number)) is not None]
    if not known:
        return start, end - 1
    first, last = min(low for low, _high in known), max(high for _low, high in known)
    margin = HOUR_S
    while True:
        readings = store.read(ids, max(start - margin, first), min(end + margin, last + 1))
        counted = readings.time[readings.value != 0]
        before, after = counted[counted < start], counted[counted >= end]
        if (len(before) or start - margin <= first) and (len(after) or end + margin > last):
            return (
                int(before.max()) if len(before) else min(start, first),
                int(after.min()) if len(after) else max(end - 1, last),
            )
        margin *= WIDENING
