from datetime import datetime, time
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterspan.analytics.tariff import Band, GasConversion, Tariff, TariffWindow
from meterspan.display.model import Connection, DisplayModel
from meterspan.quantities import CATALOGUE, UNITS, Commodity, Direction, Scaled
from meterspan.readings.rows import DeviceRows, HeardTelegram, Row

ZONE = "Europe/Berlin"
BERLIN = ZoneInfo(ZONE)
POWER = Tariff(
    "two bands",
    "EUR",
    "kWh",
    (Band("night", Decimal("0.20")), Band("day", Decimal("0.40"))),
    (TariffWindow("day", time(6), time(22)),),
    tax=Decimal("0.25"),
)
GAS = Tariff("gas", "EUR", "kWh", (Band("all", Decimal("0.10")),), conversion=GasConversion(Decimal(10)))


def utc(*local):
    return int(datetime(*local, tzinfo=BERLIN).timestamp())


def model(**keywords):
    return DisplayModel(ZONE, tariffs={Commodity.ELECTRICITY: POWER, Commodity.GAS: GAS}, **keywords)


def row(commodity, direction, value, at, width=None):
    """A register in kWh or m3 with three decimals."""
    unit = "Wh" if commodity is Commodity.ELECTRICITY else "m3"
    exponent = 0 if unit == "Wh" else -3
    steps = Fraction(str(value)) * 1000
    assert steps.denominator == 1
    return Row(CATALOGUE[commodity].registers[direction], Scaled(int(steps), exponent, UNITS[unit]), at, width=width)


def say(display, at, kwh=None, *, meter="E1", gas=None, power=None, export=None, **more):
    electricity, devices = [], []
    if kwh is not None:
        electricity.append(row(Commodity.ELECTRICITY, Direction.IMPORT, kwh, at, 10**9))
    if export is not None:
        electricity.append(row(Commodity.ELECTRICITY, Direction.EXPORT, export, at))
    if electricity:
        devices.append(DeviceRows(meter, Commodity.ELECTRICITY, tuple(electricity)))
    if gas is not None:
        volume = row(Commodity.GAS, Direction.IMPORT, gas[1], gas[0])
        devices.append(DeviceRows("G1", Commodity.GAS, (volume,), 1))
    display.heard(HeardTelegram("p1", b"", at, tuple(devices), power_w=power, **more), at)
    return display.view(at)


def test_today_is_register_now_minus_register_at_midnight():
    display = model()
    say(display, utc(2025, 1, 13, 23, 59, 50), 1000)
    say(display, utc(2025, 1, 14, 0, 0, 0), "1000.010")
    view = say(display, utc(2025, 1, 14, 5, 0, 0), "1005.010")
    (supply,) = view.today
    assert (supply.consumed, supply.unit, supply.since) == (Decimal(5), "kWh", None)
    assert [bar.value for bar in view.hours][:6] == [None] * 6  # five hours unheard: how it was spread is not known
    assert supply.cost == Decimal("1.25")  # 5 kWh x 0.20 + 25 % tax
    assert view.cost_today == Decimal("1.25")


def test_a_difference_over_midnight_is_shared_out_by_time():
    display = model()
    say(display, utc(2025, 1, 13, 23, 30), 100)
    view = say(display, utc(2025, 1, 14, 0, 30), 102)
    assert view.today[0].consumed == 1
    assert view.today[0].since is None


def test_a_restart_says_since_when_it_counts():
    display = model()
    say(display, utc(2025, 1, 14, 7, 15), 100)
    view = say(display, utc(2025, 1, 14, 8, 0), 101)
    assert view.today[0].consumed == 1
    assert view.today[0].since == datetime(2025, 1, 14, 7, 15, tzinfo=BERLIN)


def test_a_long_gap_over_midnight_loses_the_midnight_but_a_gap_by_day_loses_nothing():
    display = model()
    say(display, utc(2025, 1, 13, 20, 0), 100)
    say(display, utc(2025, 1, 14, 6, 0), 110)
    view = say(display, utc(2025, 1, 14, 18, 0), 122)
    assert view.today[0].consumed == 12
    assert view.today[0].since == datetime(2025, 1, 14, 6, 0, tzinfo=BERLIN)
    assert {bar.value for bar in view.hours} == {None}
    assert "not heard 06:00 to 18:00" not in view.today[0].note  # one price or none: nothing was shared out


def test_cost_is_cut_at_the_band_change():
    display = model()
    say(display, utc(2025, 1, 14, 0, 0), 100)
    say(display, utc(2025, 1, 14, 5, 30), 100)
    view = say(display, utc(2025, 1, 14, 6, 30), 102)
    assert view.today[0].cost == Decimal("0.75")  # (1 x 0.20 + 1 x 0.40) x 1.25
    assert view.band.name == "day"
    assert (view.band.price, view.band.next_name, view.band.next_price) == (Decimal("0.50"), "night", Decimal("0.25"))
    assert view.band.until == datetime(2025, 1, 14, 22, 0, tzinfo=BERLIN)
    assert (view.hours[5].band, view.hours[6].band) == ("night", "day")


def test_the_next_band_is_found_over_midnight():
    view = say(model(), utc(2025, 1, 14, 23, 0), 1)
    assert view.band.until == datetime(2025, 1, 15, 6, 0, tzinfo=BERLIN)


def test_a_reset_costs_nothing_and_is_said():
    display = model()
    say(display, utc(2025, 1, 14, 0, 0), 100)
    say(display, utc(2025, 1, 14, 1, 0), 105)
    say(display, utc(2025, 1, 14, 1, 30), "0.5")
    view = say(display, utc(2025, 1, 14, 2, 0), "1.5")
    assert view.today[0].consumed == 6
    assert view.today[0].note == "meter changed at 01:30"


def test_an_exchanged_meter_with_a_higher_register_is_no_consumption():
    display = model()
    say(display, utc(2025, 1, 14, 0, 0), 100)
    view = say(display, utc(2025, 1, 14, 1, 0), 5000, meter="E2")
    assert view.today[0].consumed == 0
    assert "changed at 01:00" in view.today[0].note
    assert say(display, utc(2025, 1, 14, 2, 0), 5001, meter="E2").today[0].consumed == 1


def test_a_register_that_rolls_over_goes_on():
    display = model()
    say(display, utc(2025, 1, 14, 0, 0), "999999.5")
    assert say(display, utc(2025, 1, 14, 1, 0), "0.5").today[0].consumed == 1


def test_values_that_are_not_newer_say_nothing():
    display = model()
    say(display, utc(2025, 1, 14, 1, 0), 100, gas=(utc(2025, 1, 14, 0, 0), 50))
    say(display, utc(2025, 1, 14, 1, 10), 101, gas=(utc(2025, 1, 14, 0, 0), 50))
    view = say(display, utc(2025, 1, 14, 1, 5), 200, gas=(utc(2025, 1, 14, 1, 0), 51))
    electricity, gas = view.today
    assert electricity.consumed == 1
    assert (gas.consumed, gas.unit, gas.cost, gas.since) == (1, "m3", Decimal(1), None)


def test_gas_of_yesterday_is_not_todays():
    display = model()
    say(display, utc(2025, 1, 13, 23, 30), 100, gas=(utc(2025, 1, 13, 23, 0), 50))
    view = say(display, utc(2025, 1, 14, 0, 10), 101, gas=(utc(2025, 1, 13, 23, 0), 50))
    assert view.today[1].consumed is None
    assert view.today[1].last == datetime(2025, 1, 13, 23, 0, tzinfo=BERLIN)
    view = say(display, utc(2025, 1, 14, 1, 10), 101, gas=(utc(2025, 1, 14, 1, 0), 54))
    assert view.today[1].consumed == 2


@pytest.mark.parametrize(("day", "hours"), [((2025, 3, 30), 23), ((2025, 10, 26), 25)])
def test_a_day_of_a_clock_change_has_its_own_hours(day, hours):
    display = model()
    start = utc(*day)
    for hour in range(hours):
        say(display, start + 3600 * hour, 100 + hour)
    view = say(display, start + 3600 * hours - 1, 99 + hours + 0.5)
    assert len(view.hours) == hours
    assert [bar.value for bar in view.hours[:-1]] == [1] * (hours - 1)
    assert view.today[0].consumed == Decimal(str(hours - 0.5))
    assert view.hours[-1].start.hour == 23


def test_two_water_meters_are_added_not_mixed_up():
    display = model()
    for at, cold, hot in ((utc(2025, 1, 14, 0, 0), 10, 5), (utc(2025, 1, 14, 3, 0), 11, 7)):
        devices = tuple(
            DeviceRows(f"W{channel}", Commodity.WATER, (row(Commodity.WATER, Direction.IMPORT, value, at),), channel)
            for channel, value in ((1, cold), (2, hot))
        )
        display.heard(HeardTelegram("p1", b"", at, devices), at)
    (water,) = display.view(utc(2025, 1, 14, 3, 0)).today
    assert (water.consumed, water.note, water.cost) == (3, "", None)


def test_export_is_shown_beside_consumption():
    display = model()
    say(display, utc(2025, 6, 14, 0, 0), 100, export=50)
    view = say(display, utc(2025, 6, 14, 12, 0), 101, export=62, power=-3000)
    assert (view.today[0].consumed, view.today[0].exported, view.power_w) == (1, 12, -3000)
    assert say(model(), utc(2025, 6, 14, 0, 0), 100, export=0).today[0].exported is None


def test_the_view_tells_how_old_it_is():
    display = model(stale_s=30, lost_s=300)
    start = utc(2025, 1, 14, 12, 0)
    assert display.view(start).connection is Connection.WAITING
    say(display, start, 100, power=450)
    states = [(display.view(start + age).connection, display.view(start + age).power_w) for age in (1, 30, 300)]
    assert states == [(Connection.LIVE, 450), (Connection.STALE, 450), (Connection.LOST, None)]
    assert display.view(start + 42).age_s == 42


def test_power_is_measured_against_the_contract_or_the_limiter():
    view = say(model(contract_w=6000), utc(2025, 1, 14, 12, 0), power=1500)
    assert (view.power_share, view.contract_w) == (0.25, 6000)
    view = say(model(), utc(2025, 1, 14, 12, 0), power=1500, limit_w=3000)
    assert view.power_share == 0.5
    assert say(model(), utc(2025, 1, 14, 12, 0), power=1500).power_share is None


def test_the_power_curve_is_an_hour_of_minute_means():
    display, start = model(), utc(2025, 1, 14, 12, 0)
    for second in range(0, 7200, 10):
        say(display, start + second, power=100 * (second // 60))
    curve = display.view(start + 7199).minutes_w
    assert curve == tuple(range(6000, 12_000, 100))
    assert display.view(start + 7199 + 600).minutes_w[-10:] == (None,) * 10


def test_messages_are_kept_newest_first_once_and_few():
    display, start = model(), utc(2025, 1, 14, 12, 0)
    for index, text in enumerate(["a", "a", "b", "", "c", "d", "e", "f"]):
        view = say(display, start + index, message=text)
    assert view.messages == ("f", "e", "d", "c", "b")


def test_without_a_tariff_there_is_no_cost_but_the_meters_own_band():
    display = DisplayModel(ZONE)
    say(display, utc(2025, 1, 14, 0, 0), 100)
    view = say(display, utc(2025, 1, 14, 1, 0), 101, tariff=2)
    assert (view.today[0].consumed, view.today[0].cost, view.cost_today, view.currency) == (1, None, None, "")
    assert (view.band.name, view.band.price) == ("tariff 2", None)
    display.damaged()
    assert display.view(utc(2025, 1, 14, 1, 0)).damaged == 1


def test_a_restart_with_a_saved_state_loses_nothing():
    first = model()
    say(first, utc(2025, 1, 14, 0, 0), 100, gas=(utc(2025, 1, 14, 0, 0), 10), export=3)
    before = say(first, utc(2025, 1, 14, 7, 0), 107, gas=(utc(2025, 1, 14, 7, 0), 11), export=4)
    again = model()
    again.restore(first.saved_state())
    assert again.view(utc(2025, 1, 14, 7, 0)).today == before.today
    view = say(again, utc(2025, 1, 14, 9, 0), 110, export=4)
    assert (view.today[0].consumed, view.today[0].since) == (10, None)
    assert view.hours[8].value == Decimal("1.5")


def test_a_saved_state_of_yesterday_counts_from_today():
    first, again = model(), model()
    say(first, utc(2025, 1, 13, 20, 0), 100)
    again.restore(first.saved_state())
    assert again.view(utc(2025, 1, 14, 8, 0)).today[0].consumed is None
    assert say(again, utc(2025, 1, 14, 8, 0), 107).today[0].since == datetime(2025, 1, 14, 8, 0, tzinfo=BERLIN)


@pytest.mark.parametrize("octets", [b"", b"[1]", b"{}x", b'[{"commodity": "steam"}]', b"\xff", b"[[]]", b"7", b"null"])
def test_what_is_no_saved_state_is_refused_and_changes_nothing(octets):
    display = model()
    say(display, utc(2025, 1, 14, 0, 0), 100)
    with pytest.raises(ValueError):  # noqa: PT011 - JSON and we word it differently
        display.restore(octets)
    assert display.view(utc(2025, 1, 14, 0, 0)).today[0].consumed == 0


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(1, 7000), st.integers(0, 5000)), min_size=1, max_size=40))
def test_hours_and_bands_always_add_up_to_the_register_difference(steps):
    display, at, wh = model(), utc(2025, 3, 30, 0, 0), 5000
    end = utc(2025, 3, 31, 0, 0)
    say(display, at, Fraction(wh, 1000))
    for seconds, used in steps:
        if at + seconds >= end:
            break
        at, wh = at + seconds, wh + used
        say(display, at, Fraction(wh, 1000))
    counter = display._counters[Commodity.ELECTRICITY, Direction.IMPORT, 0]
    assert (
        sum(counter.by_hour.values()) == sum(counter.by_band.values()) == counter.consumed == Fraction(wh - 5000, 1000)
    )


@pytest.mark.attack(7)
@pytest.mark.finding("users F2")
@given(st.integers(1, 12), st.integers(0, 5_000))
def test_an_hour_in_which_nothing_was_heard_has_no_bar_and_what_was_used_in_it_is_in_the_total(hours, used_wh):
    display = model()
    say(display, utc(2025, 1, 14, 7, 0), 100)
    say(display, utc(2025, 1, 14, 7, 0, 10), 100)
    view = say(display, utc(2025, 1, 14, 7 + hours, 0, 10), 100 + Decimal(used_wh) / 1000)
    assert view.today[0].consumed == Decimal(used_wh) / 1000
    shown = [bar.value for bar in view.hours if bar.value is not None]
    assert len(shown) == (1 if hours > 2 else hours + 1)
    assert sum(shown) == (0 if hours > 2 else Decimal(used_wh) / 1000)


def test_a_cost_that_was_shared_out_by_time_over_a_change_of_bands_says_so():
    display = model()
    say(display, utc(2025, 1, 14, 18, 0), 100)
    view = say(display, utc(2025, 1, 14, 23, 0), 105)
    assert view.today[0].note == "not heard 18:00 to 23:00: its cost is shared out by time"


@pytest.mark.finding("users F1")
def test_bands_have_one_order_on_every_day_and_prices_say_their_tax():
    views = [model().view(utc(2025, 1, day, 12)) for day in range(1, 8)]
    assert {(view.bands, view.tax) for view in views} == {(("night", "day"), Decimal("0.25"))}
