"""Days and months of a supply: cells, bands and costs of a day add up to its curve, whatever the curve is."""

from dataclasses import replace
from datetime import date, time
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterspan.analytics.calendar import day_bounds
from meterspan.analytics.conserve import Unexplained
from meterspan.analytics.tariff import Band, GasConversion, Tariff, TariffWindow
from meterspan.mdm.curves import Curve
from meterspan.mdm.periods import (
    bands_of,
    covers,
    day_cost,
    day_view,
    gross_price,
    known_share,
    month_view,
    tariff_view,
)
from meterspan.mdm.supplies import Supply
from meterspan.model.storage.registry import InstallationRow
from meterspan.quantities import Commodity, Quality

ZONE = "Europe/Berlin"
DAYS = [date(2026, 10, 25), date(2026, 3, 29), date(2026, 7, 1)]
DAY_AND_NIGHT = Tariff(
    "Day and night",
    "EUR",
    "kWh",
    (Band("day", Decimal("0.30")), Band("night", Decimal("0.20"))),
    (TariffWindow("night", time(22), time(6)),),
    standing_charge_per_day=Decimal("0.5"),
)
GAS = Tariff(
    "Gas",
    "EUR",
    "kWh",
    (Band("all day", Decimal("0.10")),),
    standing_charge_per_day=Decimal("0.5"),
    conversion=GasConversion(Decimal(10), Decimal(1)),
)
STEP = Fraction(1, 1_000)
MISSING = int(Quality.MISSING)


def supply(tariff=DAY_AND_NIGHT, commodity=Commodity.ELECTRICITY, devices=("M1",), starts=(0,)):
    tariffs = () if tariff is None else ((date(2020, 1, 1), tariff),)
    chain = tuple(
        InstallationRow("MP1", name, start, None, 1, {}, {}, {}) for name, start in zip(devices, starts, strict=True)
    )
    return Supply("MP1", "h1", commodity, ZONE, "EUR", 900, tariffs, chain, ())


@st.composite
def days(draw):
    """A local day and a curve over it: pieces of a quarter of an hour or more, some known to be without data."""
    day = draw(st.sampled_from(DAYS))
    low, high = day_bounds(day, ZONE)
    now, rows = low, []
    while now < high:
        end = min(high, now + 900 * draw(st.sampled_from((1, 1, 4, 30))))
        quality = draw(st.sampled_from((0, 0, int(Quality.ESTIMATED), MISSING)))
        if draw(st.integers(0, 5)):
            rows.append((now, end, 0 if quality == MISSING else draw(st.integers(0, 5_000)), quality))
        now = end
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    start, end, value = (np.array(column, np.int64) for column in columns[:3])
    return day, Curve(start, end, value, np.array(columns[3], np.int32), STEP)


@settings(max_examples=40)
@given(days())
def test_the_intervals_of_a_day_are_its_grid_and_add_up_to_its_total(both):
    day, curve = both
    view = day_view(supply(), curve, day, ())
    low, high = day_bounds(day, ZONE)
    assert len(view.intervals) == (high - low) // 900
    known = [point.value for point in view.intervals if point.value is not None]
    assert view.total == (sum(known) if known else None)
    assert (view.total or 0) == curve.total
    assert (view.known, view.parts) == (len(known), len(view.intervals))
    ends = [point.end for point in view.intervals]
    assert [point.start for point in view.intervals] == [view.start, *ends[:-1]]
    for point in view.intervals:
        assert (point.value is None) == bool(point.quality & Quality.MISSING)
        assert (point.cost is None) == (point.value is None)


@settings(max_examples=40)
@given(days())
def test_the_cost_of_a_day_is_that_of_its_intervals_and_the_standing_charge_where_anything_is_known(both):
    day, curve = both
    view = day_view(supply(), curve, day, ())
    is_known = any(point.value is not None for point in view.intervals)
    priced = sum((point.cost for point in view.intervals if point.cost is not None), Decimal(0))
    assert view.cost == (priced + Decimal("0.5") if is_known else None)
    for point in view.intervals:
        if point.value is not None:
            assert point.cost == point.value * gross_price(DAY_AND_NIGHT, point.band)


@settings(max_examples=15)
@given(days())
def test_a_day_of_a_month_is_the_day_alone(both):
    day, curve = both
    alone = day_view(supply(), curve, day, ())
    month = month_view(supply(), curve, day, seen_until=1 << 40)
    point = next(point for point in month.points if point.start == day)
    is_known = any(item.value is not None for item in alone.intervals)
    assert (point.value, point.cost) == ((alone.total, alone.cost) if is_known else (None, None))
    assert sum(amount for _, amount in point.by_band) == curve.total
    assert point.complete == (point.received == point.expected == len(alone.intervals))
    assert (month.total, month.cost) == (alone.total, alone.cost)


@pytest.mark.finding("users C-2", "users F3")
def test_without_a_tariff_no_cost_is_known_and_nothing_is_priced():
    day = DAYS[2]
    low, _ = day_bounds(day, ZONE)
    curve = Curve(np.array([low]), np.array([low + 900]), np.array([70]), np.zeros(1, np.int32), STEP)
    view = day_view(supply(None), curve, day, ())
    assert (view.cost, view.tariff, view.intervals[0].cost) == (None, None, None)
    assert view.intervals[0].value == Decimal("0.07")
    assert day_cost(supply(None), curve, day) is None


@pytest.mark.parametrize("day", DAYS)
def test_the_windows_of_a_tariff_cover_the_local_day_without_a_hole(day):
    view = tariff_view(supply(), DAY_AND_NIGHT, day)
    low, high = day_bounds(day, ZONE)
    assert (view.windows[0].start.timestamp(), view.windows[-1].end.timestamp()) == (low, high)
    assert [window.end for window in view.windows[:-1]] == [window.start for window in view.windows[1:]]
    assert [(window.band, window.price) for window in view.windows] == [
        ("night", Decimal("0.20")),
        ("day", Decimal("0.30")),
        ("night", Decimal("0.20")),
    ]


@pytest.mark.finding("users C-6", "users F4")
def test_every_price_that_is_shown_has_the_tax_in_it_that_the_cost_has():
    tariff = replace(DAY_AND_NIGHT, tax=Decimal("0.19"))
    low, high = day_bounds(DAYS[2], ZONE)
    curve = Curve(np.array([low]), np.array([high]), np.array([24_000]), np.zeros(1, np.int32), STEP)
    view = day_view(supply(tariff), curve, DAYS[2], ())
    prices = {window.band: window.price for window in view.tariff.windows}
    assert prices == {"day": Decimal("0.357"), "night": Decimal("0.238")}
    assert view.tariff.tax == Decimal("0.19")
    assert all(point.cost == point.value * prices[point.band] for point in view.intervals)
    assert view.cost == sum(point.cost for point in view.intervals) + view.tariff.standing_charge_per_day


@pytest.mark.finding("users F1")
def test_bands_have_one_order_on_all_days_and_months_of_a_supply():
    weekend = replace(DAY_AND_NIGHT, windows=(TariffWindow("night", weekdays=frozenset({6, 7})),))
    first = date(2026, 7, 15)
    known = replace(supply(None), tariffs=((first, weekend),))
    empty = Curve(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.int32), STEP)
    views = [day_view(known, empty, date(2026, 7, day), ()) for day in range(1, 32)]
    months = [month_view(known, empty, date(2026, month, 1), seen_until=0) for month in (6, 7, 8)]
    assert {view.bands for view in [*views, *months]} == {("night", "day")}
    assert [month.tariff is not None for month in months] == [False, True, True]


def test_the_order_of_bands_is_that_of_their_latest_prices():
    dearer = replace(DAY_AND_NIGHT, bands=(Band("day", Decimal("0.30")), Band("night", Decimal("0.31"))))
    both = replace(supply(), tariffs=((date(2020, 1, 1), DAY_AND_NIGHT), (date(2021, 1, 1), dearer)))
    assert bands_of(both) == ("day", "night")
    assert bands_of(supply(None)) == ()


@given(days())
def test_the_known_share_of_a_day_is_1_only_where_every_second_is_known(both):
    day, curve = both
    low, high = day_bounds(day, ZONE)
    share = known_share(curve, low, high)
    assert (share == 1) == covers(curve, low, high)
    assert 0 <= share <= 1
    assert known_share(curve, low, low) is None


def test_gas_is_priced_per_m3_by_its_conversion():
    assert gross_price(GAS, "all day") == Decimal("1.0")


def test_changed_intervals_show_the_newest_version_that_touches_them():
    day = DAYS[2]
    low, _ = day_bounds(day, ZONE)
    empty = np.zeros(0, np.int64)
    versions = [(low, low + 900, 2), (low, low + 1_800, 3)]
    view = day_view(supply(), Curve(empty, empty, empty, empty.astype(np.int32), STEP), day, versions)
    assert [point.version for point in view.intervals[:3]] == [3, 3, 1]


def test_what_happened_to_the_data_is_told_in_words():
    day = DAYS[2]
    low, high = day_bounds(day, ZONE)
    quality = np.array([int(Quality.ESTIMATED), int(Quality.LATE), int(Quality.ESTIMATED)], np.int32)
    starts = np.array([low, low + 900, low + 1_800])
    lost = Unexplained(low, low + 900, 1_500, Quality.METER_RESET)
    curve = Curve(starts, starts + 900, np.array([1, 2, 3]), quality, STEP, unexplained=(lost,))
    chain = supply(devices=("M1", "M2"), starts=(0, low + 7_200))
    view = day_view(chain, curve, day, ())
    assert view.unexplained == Decimal("1.5")
    notes = "\n".join(map(str, view.notes))
    assert "Meter M1 was exchanged for M2 on 2026-07-01 02:00." in notes
    assert "1.5 kWh unexplained between 2026-07-01 00:00 and 2026-07-01 00:15: register fell" in notes
    assert "2 intervals estimated" in notes
    assert "1 intervals changed by readings that came after" in notes
    assert high - low == 86_400


@pytest.mark.finding("users D-9")
def test_a_span_of_which_nothing_is_known_has_no_total_no_cost_and_no_unexplained_part():
    day = DAYS[2]
    low, _high = day_bounds(day, ZONE)
    empty = np.zeros(0, np.int64)
    nothing = Curve(empty, empty, empty, empty.astype(np.int32), STEP)
    gap = Curve(np.array([low]), np.array([low + 900]), np.array([0]), np.array([int(Quality.MISSING)], np.int32), STEP)
    for curve in (nothing, gap):
        for view in (day_view(supply(), curve, day, ()), month_view(supply(), curve, day, seen_until=1 << 40)):
            assert (view.total, view.cost, view.unexplained, view.known) == (None, None, None, 0)
            assert {point.value for point in view.points} <= {None}
            assert {point.by_band for point in view.points} <= {()}


def test_a_span_is_covered_where_every_second_of_it_is_known():
    quality = np.array([0, int(Quality.MISSING), 0], np.int32)
    curve = Curve(np.array([0, 900, 1_800]), np.array([900, 1_800, 2_700]), np.array([1, 0, 1]), quality, STEP)
    assert covers(curve, 0, 900)
    assert covers(curve, 1_900, 2_700)
    assert not covers(curve, 0, 901)
    assert not covers(curve, 1_800, 2_701)
    assert not covers(curve, 0, 0), "nothing is known of no time"
