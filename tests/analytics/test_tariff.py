"""Tariffs follow the local wall clock, and their parts add up to the bill."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.analytics.calendar import day_bounds
from meterspan.analytics.tariff import (
    Band,
    GasConversion,
    Tariff,
    TariffWindow,
    bands_at,
    bands_of_day,
    cost,
    exact_decimal,
    rounded,
)

ZONE = "Europe/Berlin"
WH = Fraction(1, 1_000)
NIGHT = TariffWindow("night", time(22), time(6))
TWO = Tariff("two", "EUR", "kWh", (Band("day", Decimal("0.3012")), Band("night", Decimal("0.2"))), (NIGHT,))


def hours(tariff, day, band, zone=ZONE):
    return sum(span.end - span.start for span in bands_of_day(tariff, day, zone) if span.band == band) / 3_600


def quarters(day, zone=ZONE, value=250):
    start, end = day_bounds(day, zone)
    lows = np.arange(start, end, 900, dtype=np.int64)
    return lows, lows + 900, np.full(len(lows), value, np.int64)


def test_the_night_lasts_an_hour_less_in_spring_and_more_in_autumn():
    assert [hours(TWO, date(2026, month, day), "night") for month, day in ((6, 1), (3, 29), (10, 25))] == [8, 7, 9]
    assert all(hours(TWO, date(2026, month, day), "day") == 16 for month, day in ((6, 1), (3, 29), (10, 25)))


def test_a_window_inside_the_repeated_hour_holds_in_both_passes():
    cheap = Tariff(
        "x",
        "EUR",
        "kWh",
        (Band("day", Decimal(1)), Band("cheap", Decimal(0))),
        (TariffWindow("cheap", time(2), time(2, 30)),),
    )
    spans = [span for span in bands_of_day(cheap, date(2026, 10, 25), ZONE) if span.band == "cheap"]
    assert [(span.start % 86_400 // 60, (span.end - span.start) // 60) for span in spans] == [(0, 30), (60, 30)]
    assert hours(cheap, date(2026, 3, 29), "cheap") == 0


def test_a_window_over_midnight_belongs_to_the_weekday_of_its_begin():
    weekend = Tariff(
        "x",
        "EUR",
        "kWh",
        (Band("base", Decimal(1)), Band("party", Decimal(0))),
        (TariffWindow("party", time(22), time(4), weekdays=frozenset({6})),),
    )
    saturday = date(2026, 6, 6)
    assert [hours(weekend, saturday + timedelta(days=offset), "party") for offset in (-1, 0, 1, 2)] == [0, 2, 4, 0]


def test_seasons_may_pass_the_years_end_and_holidays_take_part_or_not():
    winter = TariffWindow("winter", season=((11, 1), (2, 28)))
    free = TariffWindow("free", holidays=True)
    work = TariffWindow("work", time(8), time(18), weekdays=frozenset(range(1, 6)), holidays=False)
    tariff = Tariff(
        "x",
        "EUR",
        "kWh",
        tuple(Band(name, Decimal(1)) for name in ("base", "winter", "free", "work")),
        (free, work, winter),
        holidays=frozenset({date(2026, 12, 25)}),
    )
    assert hours(tariff, date(2026, 12, 25), "free") == 24
    assert hours(tariff, date(2026, 12, 24), "work") == 10
    assert hours(tariff, date(2026, 12, 24), "winter") == 14
    assert [hours(tariff, date(2026, month, 28), "winter") > 0 for month in (1, 2, 3, 10, 11)] == [
        True,
        True,
        False,
        False,
        True,
    ]


def test_a_day_costs_what_its_bands_say():
    found = cost(*quarters(date(2026, 6, 1)), TWO, zone=ZONE, unit_per_step=WH, days=1)
    assert [(line.band, line.quantity, line.amount) for line in found.bands] == [
        ("day", Decimal(16), Decimal("4.8192")),
        ("night", Decimal(8), Decimal("1.6")),
    ]
    assert (found.usage, found.total, rounded(found.total)) == (Decimal("6.4192"),) * 2 + (Decimal("6.42"),)


def test_standing_charge_and_tax_are_lines_of_their_own():
    tariff = Tariff(
        "x", "EUR", "kWh", (Band("all", Decimal("0.25")),), standing_charge_per_day=Decimal("0.4"), tax=Decimal("0.19")
    )
    found = cost(*quarters(date(2026, 6, 1)), tariff, zone=ZONE, unit_per_step=WH, days=2)
    assert (found.usage, found.standing, found.tax) == (Decimal(6), Decimal("0.8"), Decimal("1.292"))
    assert found.total == Decimal("8.092")


def test_gas_in_litres_is_billed_in_kwh():
    tariff = Tariff(
        "x", "EUR", "kWh", (Band("all", Decimal("0.1")),), conversion=GasConversion(Decimal("11.2"), Decimal("0.95"))
    )
    start = np.array([0], np.int64)
    found = cost(start, start + 3_600, np.array([1_500]), tariff, zone=ZONE, unit_per_step=Fraction(1, 1_000))
    assert (found.bands[0].quantity, found.total) == (Decimal("15.96"), Decimal("1.596"))


def test_an_hour_over_a_change_of_bands_is_cut_and_adds_up():
    tariff = Tariff(
        "x", "EUR", "kWh", (Band("a", Decimal(1)), Band("b", Decimal(2))), (TariffWindow("b", time(7, 30), time(8)),)
    )
    begin = np.array([int(datetime(2026, 6, 1, 5, tzinfo=UTC).timestamp())], np.int64)  # 07:00 local
    found = cost(begin, begin + 3_600, np.array([1_001]), tariff, zone=ZONE, unit_per_step=WH)
    assert [line.quantity for line in found.bands] == [Decimal("0.5"), Decimal("0.501")]


@given(
    st.dates(date(2024, 1, 1), date(2027, 12, 31)),
    st.sampled_from(("Europe/Berlin", "Asia/Kathmandu", "Australia/Lord_Howe", "America/St_Johns", "Asia/Beirut")),
    st.lists(st.integers(0, 10**6), min_size=100, max_size=100),
    st.decimals(0, 1, places=5),
    st.decimals(0, 1, places=5),
)
def test_bands_add_up_to_the_cost_and_days_to_the_span(day, zone, values, high, low):
    tariff = Tariff("x", "EUR", "kWh", (Band("day", high), Band("night", low)), (NIGHT,))
    spans = bands_of_day(tariff, day, zone)
    start, end = day_bounds(day, zone)
    assert (spans[0].start, spans[-1].end) == (start, end)
    assert all(one.end == two.start and one.band != two.band for one, two in pairwise(spans))
    lows = np.arange(start, end, 900, dtype=np.int64)
    highs = np.minimum(lows + 900, end)
    amounts = np.resize(np.array(values, np.int64), len(lows))
    found = cost(lows, highs, amounts, tariff, zone=zone, unit_per_step=WH)
    assert sum(line.quantity for line in found.bands) == Decimal(int(amounts.sum())).scaleb(-3)
    assert found.total == sum(line.quantity * line.price for line in found.bands)
    for instant, band in zip(lows.tolist(), bands_at(lows, tariff, zone=zone), strict=True):
        assert next(span.band for span in spans if span.start <= instant < span.end) == band


@given(st.fractions())
def test_a_decimal_is_the_fraction_or_within_half_of_the_last_place(number):
    assert abs(Fraction(exact_decimal(number)) - number) <= Fraction(1, 2 * 10**12)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=9, min_value=-(10**15), max_value=10**15))
def test_a_terminating_fraction_stays_exact(number):
    assert exact_decimal(Fraction(number)) == number


def test_money_is_rounded_half_up():
    assert [rounded(Decimal(text)) for text in ("0.005", "-0.005", "1.0049", "2.675")] == [
        Decimal("0.01"),
        Decimal("-0.01"),
        Decimal("1.00"),
        Decimal("2.68"),
    ]


def test_a_tariff_that_names_no_band_of_its_own_is_refused():
    with pytest.raises(ValueError, match="no band"):
        Tariff("x", "EUR", "kWh", (Band("a", Decimal(1)),), (TariffWindow("b"),))
    with pytest.raises(ValueError, match="different names"):
        Tariff("x", "EUR", "kWh", (Band("a", Decimal(1)), Band("a", Decimal(2))))
    assert TWO.price("night") == Decimal("0.2")
    assert bands_at(np.zeros(0, np.int64), TWO, zone=ZONE) == []
