"""The charts as the server draws them, in percent of their plot: the first paint, and the chart without scripts.

The scripts draw the same figures anew in pixels, with a cursor and the reader's numbers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from itertools import pairwise
from typing import Final

from meterspan.model.views import PeriodView, PowerPoint, PowerView

__all__ = ["Bar", "Chart", "Mark", "PowerLine", "Tick", "chart_of", "power_line", "round_steps"]

_STEPS: Final = (Decimal(1), Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10))
TICKS: Final = 4
HOURS_MARKED, DAYS_APART = 4, 5
SMALLEST: Final = Decimal("0.001")
"""A chart of less than this, in kWh or m3, has the scale of this."""
LOW_W, HIGH_W = 0, 100
"""The power line shows at least this span."""


@dataclass(frozen=True, slots=True)
class Bar:
    """One rectangle of a chart, in percent from the left and the top; ``state`` says how far it is known."""

    x: float
    y: float
    width: float
    height: float
    slot: str
    state: str


@dataclass(frozen=True, slots=True)
class Tick:
    """One step of the scale."""

    y: float
    value: Decimal


@dataclass(frozen=True, slots=True)
class Mark:
    """One label of the time below the chart: the begin of an interval, or a day."""

    x: float
    start: datetime | date


@dataclass(frozen=True, slots=True)
class Chart:
    """A day or a month as bars."""

    bars: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    marks: tuple[Mark, ...]


def chart_of(view: PeriodView, states: Sequence[str], slots: Mapping[str, str]) -> Chart:
    """Draw the intervals of a day or the days of a month; what is not known has a hatched ground and no bar.

    Args:
        view: the period.
        states: one word for each of its parts (``shapes.states_of``, ``shapes.day_state``).
        slots: the colour of each band.

    """
    columns = _columns(view, slots)
    steps = round_steps(max([SMALLEST, *(sum(_heights(parts), Decimal(0)) for _, _, parts in columns)]))
    scale = steps[-1]
    bars: list[Bar] = []
    for (x, width, parts), state in zip(columns, states, strict=True):
        if state == "missing":
            bars.append(Bar(x, 0.0, width, 100.0, "none", state))
        else:
            bars.extend(_stacked(x, width, parts, scale, state))
    is_known = any(parts for _, _, parts in columns)
    ticks = tuple(Tick(_share(scale - step, scale), step) for step in steps) if is_known else ()
    return Chart(tuple(bars), ticks, _marks(view, [x for x, _, _ in columns]))


def _marks(view: PeriodView, places: Sequence[float]) -> tuple[Mark, ...]:
    """Label four intervals of a day, or every fifth day of a month."""
    if view.points:
        return tuple(Mark(x, point.start) for x, point in list(zip(places, view.points, strict=True))[::DAYS_APART])
    apart = max(1, len(view.intervals) // HOURS_MARKED)
    return tuple(Mark(x, item.start) for x, item in list(zip(places, view.intervals, strict=True))[::apart])


_Parts = tuple[tuple[str, Decimal], ...]


def _columns(view: PeriodView, slots: Mapping[str, str]) -> list[tuple[float, float, _Parts]]:
    """Return place, width and coloured amounts of each part of a period; no amounts where nothing is known."""
    span = (view.end - view.start) / timedelta(seconds=1)
    columns: list[tuple[float, float, _Parts]] = []
    for interval in view.intervals:
        x = 100 * ((interval.start - view.start) / timedelta(seconds=1)) / span
        width = 100 * ((interval.end - interval.start) / timedelta(seconds=1)) / span
        parts: _Parts = () if interval.value is None else ((slots[interval.band], interval.value),)
        columns.append((x, width, parts))
    for index, point in enumerate(view.points):
        parts = tuple((slots[band], amount) for band, amount in point.by_band)
        if point.value is not None and not parts:
            parts = (("flat", point.value),)
        columns.append((100 * index / len(view.points), 100 / len(view.points), parts))
    return columns


def _heights(parts: _Parts) -> list[Decimal]:
    return [max(Decimal(0), amount) for _, amount in parts]


def _stacked(x: float, width: float, parts: _Parts, scale: Decimal, state: str) -> list[Bar]:
    bars, below = [], Decimal(0)
    for (slot, _), height in zip(parts, _heights(parts), strict=True):
        if height:
            y = _share(scale - below - height, scale)
            bars.append(Bar(round(x + 0.1 * width, 2), y, round(0.8 * width, 2), _share(height, scale), slot, state))
            below += height
    return bars


def _share(part: Decimal, whole: Decimal) -> float:
    return round(float(100 * part / whole), 2)


def round_steps(top: Decimal, count: int = TICKS) -> tuple[Decimal, ...]:
    """Return steps of 1, 2, 2.5 or 5 times a power of ten, about ``count`` of them, from 0 to at least ``top`` > 0."""
    raw = top / count
    power = Decimal(1).scaleb(raw.adjusted())
    step = next(factor * power for factor in _STEPS if factor * power >= raw)
    last = int((top / step).to_integral_value(ROUND_CEILING))
    return tuple(step * number for number in range(last + 1))


@dataclass(frozen=True, slots=True)
class PowerLine:
    """The power of the last hours in a box of 1000 by 100: what was heard as lines, means of intervals as ground.

    Attributes:
        runs: SVG paths, one for each stretch without a hole.
        ground: SVG path of the means.
        zero: height of 0 W.
        low_w: lowest power, W; None where nothing is known.
        high_w: highest power, W.

    """

    runs: tuple[str, ...]
    ground: str
    zero: float
    low_w: int | None
    high_w: int | None


def power_line(view: PowerView) -> PowerLine:
    """Draw the power of the last hours; no line is drawn over a hole."""
    watts = [point.power_w for point in (*view.heard, *view.means)]
    low, high = min([LOW_W, *watts]), max([HIGH_W, *watts])
    span_s = (view.end - view.start) / timedelta(seconds=1)

    def x(moment: datetime) -> str:
        return f"{min(1.0, max(0.0, (moment - view.start) / timedelta(seconds=1) / span_s)) * 1000:.1f}"

    def y(power_w: float) -> str:
        return f"{100 * (high - power_w) / (high - low):.1f}"

    runs = tuple("M" + "L".join(f"{x(at)} {y(power)}" for at, power in _line(run)) for run in runs_of(view.heard))
    ground = "".join(f"M{x(p.start)} {y(0)}V{y(p.power_w)}H{x(p.end)}V{y(0)}Z" for p in view.means)
    known = (min(watts), max(watts)) if watts else (None, None)
    return PowerLine(runs, ground, float(y(0)), *known)


def runs_of(points: Sequence[PowerPoint]) -> list[list[PowerPoint]]:
    """Cut points into stretches without a hole."""
    runs: list[list[PowerPoint]] = [[point] for point in points[:1]]
    for point, following in pairwise(points):
        if following.start == point.end:
            runs[-1].append(following)
        else:
            runs.append([following])
    return runs


def _line(run: Sequence[PowerPoint]) -> list[tuple[datetime, int]]:
    """Return the corners of a stretch: its begin, the middle of each point, its end."""
    middles = [(point.start + (point.end - point.start) / 2, point.power_w) for point in run]
    return [(run[0].start, run[0].power_w), *middles, (run[-1].end, run[-1].power_w)]
