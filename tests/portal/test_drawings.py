"""The server's charts: bars of what is known and of nothing else, within the plot, and no line over a hole."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.views import PowerPoint, PowerView
from meterspan.portal import drawings, shapes
from meterspan.quantities import Commodity
from tests.portal.sample_views import NOW, SampleHomes

DAY = SampleHomes().day("lindenhof-3", Commodity.ELECTRICITY, date(2026, 11, 18))
MONTH = SampleHomes().month("lindenhof-3", Commodity.ELECTRICITY, date(2026, 11, 1))
AMOUNTS = st.lists(st.none() | st.decimals("0", "9", places=3), min_size=96, max_size=96)


def chart_of_day(values):
    intervals = tuple(replace(item, value=value) for item, value in zip(DAY.intervals, values, strict=True))
    view = replace(DAY, intervals=intervals)
    return drawings.chart_of(view, shapes.states_of(view, NOW), shapes.band_slots(view))


@pytest.mark.attack(7)
@pytest.mark.attack(12)
@given(AMOUNTS)
def test_a_chart_has_a_bar_for_what_is_known_hatching_for_what_is_not_and_all_of_it_is_within_the_plot(values):
    chart = chart_of_day(values)
    known = [bar for bar in chart.bars if bar.state != "missing"]
    assert len(known) == sum(bool(value) for value in values)
    assert len(chart.bars) - len(known) == values.count(None)
    for bar in chart.bars:
        assert bar.width > 0
        assert bar.height >= 0
        assert bar.x >= 0
        assert bar.y >= -0.01
        assert bar.x + bar.width <= 100.01
        assert bar.y + bar.height <= 100.02
    assert bool(chart.ticks) == any(value is not None for value in values)


@given(st.decimals("0.001", "100000", places=3))
def test_the_scale_begins_at_0_reaches_the_highest_bar_and_has_few_round_steps(top):
    steps = drawings.round_steps(top)
    assert steps[0] == 0
    assert steps[-2] < top <= steps[-1]
    assert 2 <= len(steps) <= 6


def test_a_month_is_drawn_by_its_bands_and_a_day_without_a_tariff_in_one_colour():
    slots = shapes.band_slots(MONTH)
    states = shapes.days_states(MONTH, NOW.date())
    assert {bar.slot for bar in drawings.chart_of(MONTH, states, slots).bars} == {"low", "mid", "high"}
    plain = replace(MONTH, points=tuple(replace(point, by_band=()) for point in MONTH.points))
    assert {bar.slot for bar in drawings.chart_of(plain, states, slots).bars} == {"flat"}


def test_what_is_estimated_or_incomplete_is_said_to_be():
    today = SampleHomes().day("lindenhof-3", Commodity.ELECTRICITY, NOW.date())
    chart = drawings.chart_of(today, shapes.states_of(today, NOW), shapes.band_slots(today))
    assert sum(bar.state == "estimated" for bar in chart.bars) == 3


POINTS = st.lists(st.tuples(st.integers(0, 119), st.integers(-5_000, 5_000)), unique_by=lambda point: point[0])


@pytest.mark.attack(7)
@given(POINTS)
def test_a_stretch_of_the_power_line_ends_where_a_minute_is_not_known(points):
    start = NOW - timedelta(hours=2)
    heard = tuple(
        PowerPoint(start + timedelta(minutes=number), start + timedelta(minutes=number + 1), power)
        for number, power in sorted(points)
    )
    line = drawings.power_line(PowerView("h", start, NOW, heard))
    minutes = sorted(number for number, _ in points)
    begins = [number for number in minutes if number - 1 not in minutes]
    assert len(line.runs) == len(begins)
    assert [float(run[1:].split(" ")[0]) for run in line.runs] == pytest.approx(
        [1000 * number / 120 for number in begins], abs=0.06
    )
    assert (line.low_w, line.high_w) == (
        (min(power for _, power in points), max(power for _, power in points)) if points else (None, None)
    )


def test_means_of_intervals_are_blocks_of_their_own():
    line = drawings.power_line(SampleHomes().power("lindenhof-3", NOW))
    assert line.ground.count("Z") == 8
    assert len(line.runs) == 2
    empty = drawings.power_line(PowerView("h", NOW - timedelta(hours=2), NOW))
    assert (empty.runs, empty.ground, empty.low_w) == ((), "", None)
    assert drawings.round_steps(Decimal("0.31"))[-1] == Decimal("0.4")
