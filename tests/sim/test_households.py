from datetime import date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from meterspan.meter.metrology import Metrology, electricity_block, heat_block, water_block
from meterspan.quantities import Obis
from meterspan.sim.daily_life import Equipment, Heating, Residents
from meterspan.sim.households import GAS_WH_PER_L, Household
from meterspan.sim.weather import Weather

BERLIN = ZoneInfo("Europe/Berlin")
WEATHER = Weather(3)
ALL = Equipment(heating=Heating.GAS, pv_kw=6.0, ev=True, dryer=True, garden=True)


def utc(*local):
    return datetime(*local, tzinfo=BERLIN).timestamp()


def house(seed=1, profile=Residents.FAMILY, **equipment):
    return Household(seed, profile, weather=WEATHER, equipment=Equipment(**equipment))


def hourly(values):
    return values.reshape(-1, 60).mean(axis=1)


@pytest.mark.parametrize("profile", Residents)
def test_a_year_of_a_household_is_plausible(profile):
    home = house(11, profile)
    year = home.flows(utc(2025, 1, 1), utc(2026, 1, 1), 3600.0)
    assert 1500 < year.power_w.sum() / 1000 < 5500
    assert 80 < year.water_l.sum() / 365 / home.persons < 160
    assert 8000 < year.gas_l.sum() * GAS_WH_PER_L / 1000 < 18_000
    assert not year.heat_w.any()
    assert year.power_w.min() > 20


def test_district_heat_follows_the_seasons_and_carries_temperatures():
    home = house(4, Residents.COUPLE, heating=Heating.DISTRICT)
    year = home.flows(utc(2025, 1, 1), utc(2026, 1, 1), 3600.0)
    months = [part.mean() for part in np.array_split(year.heat_w, 12)]
    assert 8000 < year.heat_w.sum() / 1000 < 18_000
    assert min(months[0], months[1], months[11]) > 5 * max(months[5:8])
    assert ((year.supply_c - year.return_c) > 15).all()
    assert (year.supply_c < 100).all()
    assert year.gas_l.sum() == 0


def test_the_sun_on_the_roof_exports_at_noon_and_never_at_night():
    home = house(3, pv_kw=7.0)
    june = home.flows(utc(2025, 6, 1), utc(2025, 7, 1))
    assert (june.power_w < -1000).mean() > 0.15
    night = june.pv_w.reshape(-1, 1440)[:, :180]
    assert night.max() == 0
    assert 800 < home.flows(utc(2025, 1, 1), utc(2026, 1, 1), 3600.0).pv_w.sum() / 1000 / 7 < 1150


def test_a_heat_pump_and_a_car_are_seen_in_the_bill():
    plain = house(5, heating=Heating.NONE).flows(utc(2025, 2, 1), utc(2025, 3, 1)).power_w.sum()
    pump = house(5, heating=Heating.HEAT_PUMP).flows(utc(2025, 2, 1), utc(2025, 3, 1)).power_w.sum()
    car = house(5, heating=Heating.NONE, ev=True).flows(utc(2025, 2, 1), utc(2025, 3, 1))
    assert pump > 1.8 * plain
    assert car.power_w.max() > 11_000
    assert 50 < (car.power_w.sum() - plain) / 60_000 < 500


def test_people_sleep_at_night_and_workers_are_out_by_day():
    weekdays = house(2, Residents.SINGLE, heating=Heating.NONE).flows(utc(2025, 3, 3), utc(2025, 3, 29))
    days = weekdays.water_l.reshape(-1, 1440)
    workdays = np.array([day for day in range(26) if day % 7 < 5])
    by_hour = days[workdays].reshape(len(workdays), 24, 60).sum(axis=(0, 2))
    assert by_hour[1:5].sum() < 0.05 * by_hour.sum()
    assert by_hour[10:16].sum() < 0.35 * by_hour.sum()
    assert by_hour[6:9].sum() > 0.15 * by_hour.sum()
    assert by_hour[17:24].sum() > 0.3 * by_hour.sum()


def test_retired_people_are_at_home_by_day():
    month = utc(2025, 3, 3), utc(2025, 3, 29)
    shares = []
    for profile in (Residents.RETIRED, Residents.SINGLE):
        power = house(2, profile, heating=Heating.NONE).flows(*month).power_w.reshape(-1, 1440)
        shares.append(power[:, 540:960].sum() / power.sum())
    assert shares[0] > shares[1]


def test_weekends_start_later():
    home = house(6)
    friday, sunday = (home.habits(date(2025, 3, day)) for day in (7, 9))
    assert sunday.wake > friday.wake + 30


def test_a_holiday_leaves_the_fridge_on_and_the_taps_shut():
    home = house(8, heating=Heating.NONE)
    monday = datetime.fromisocalendar(2025, home._holiday_week, 1).replace(tzinfo=BERLIN).timestamp()
    away = home.flows(monday + 86_400, monday + 12 * 86_400)
    assert away.water_l.sum() < 0.5
    assert 50 < away.power_w.mean() < 260


def test_power_has_the_grain_of_appliances():
    day = house(9, heating=Heating.NONE).flows(utc(2025, 3, 5), utc(2025, 3, 6))
    jumps = np.abs(np.diff(day.power_w))
    assert (jumps > 800).sum() > 10
    assert np.median(jumps) < 40
    assert day.power_w.max() > 10 * np.median(day.power_w[:240])


def test_an_answer_depends_on_seed_and_time_only():
    start = utc(2025, 5, 14, 7)
    fresh = Household(12, Residents.COUPLE, weather=Weather(3), equipment=ALL).flows(start, start + 7200)
    used = Household(12, Residents.COUPLE, weather=WEATHER, equipment=ALL)
    used.flows(utc(2024, 1, 1), utc(2024, 2, 1), 900.0)
    long = used.flows(utc(2025, 5, 13), utc(2025, 5, 16))
    offset = (24 + 7) * 60
    np.testing.assert_allclose(fresh.power_w, long.power_w[offset : offset + 120], atol=1e-6)
    np.testing.assert_allclose(fresh.gas_l, long.gas_l[offset : offset + 120], atol=1e-9)
    np.testing.assert_allclose(fresh.water_l, long.water_l[offset : offset + 120], atol=1e-9)
    other = Household(13, Residents.COUPLE, weather=WEATHER, equipment=ALL).flows(start, start + 7200)
    assert not np.allclose(fresh.power_w, other.power_w)


def test_energy_is_the_same_at_every_resolution():
    home = Household(12, Residents.FAMILY, weather=WEATHER, equipment=ALL)
    span = utc(2025, 3, 30), utc(2025, 4, 2)
    sums = [
        [(flows.power_w * np.diff(flows.edges)).sum(), flows.water_l.sum(), flows.gas_l.sum()]
        for flows in (home.flows(*span, step_s=step) for step in (10.0, 60.0, 700.0, 3600.0))
    ]
    for row in sums[1:]:
        np.testing.assert_allclose(row, sums[0], rtol=1e-9)


@pytest.mark.parametrize(("day", "hours"), [((2025, 3, 30), 23), ((2025, 10, 26), 25)])
def test_habits_follow_the_wall_clock_over_a_clock_change(day, hours):
    home = house(2, Residents.SINGLE, heating=Heating.NONE)
    start = utc(*day)
    flows = home.flows(start, start + 3600 * hours)
    assert len(flows) == 60 * hours
    wake = home.habits(date(*day)).wake
    first_tap_s = float(flows.edges[np.flatnonzero(flows.water_l > 0.1)[0]])
    local = datetime.fromtimestamp(first_tap_s, BERLIN)
    assert wake - 5 < 60 * local.hour + local.minute < wake + 120


def test_evening_goes_on_over_midnight():
    home = house(7, Residents.COUPLE, heating=Heating.NONE, ev=True)
    days = [home._events_of(date(2025, 3, day)) for day in range(1, 29)]
    spilled = [
        utc(2025, 3, day + 1)
        for day, events in enumerate(days, start=1)
        if (events.load[:, 1] > utc(2025, 3, day + 1)).any()
    ]
    assert spilled
    midnight = spilled[0]
    around = home.flows(midnight - 60, midnight + 60, 60.0).power_w
    assert abs(around[1] - around[0]) < 0.6 * max(around)


def test_flows_fit_the_meters():
    home = Household(21, Residents.FAMILY, weather=WEATHER, equipment=Equipment(heating=Heating.DISTRICT, pv_kw=5.0))
    start = utc(2025, 5, 1)
    flows = home.flows(start, start + 86_400)
    electricity, water, heat = (
        Metrology(block, start) for block in (electricity_block(1), water_block(), heat_block())
    )
    for step in range(len(flows)):
        until = float(flows.edges[step + 1])
        electricity.advance(flows.electricity(step), until)
        water.advance(flows.water(step), until)
        heat.advance(flows.heat(step), until)
    seen = electricity.indicate()
    assert seen[Obis(1, 0, 1, 8, 0)].value == pytest.approx(np.clip(flows.power_w, 0, None).sum() / 60, abs=1)
    assert seen[Obis(1, 0, 2, 8, 0)].value == pytest.approx(np.clip(-flows.power_w, 0, None).sum() / 60, abs=1)
    assert water.indicate()[Obis(8, 0, 1, 0, 0)].value == pytest.approx(flows.water_l.sum(), abs=1)
    assert heat.indicate()[Obis(6, 0, 1, 0, 0)].value == pytest.approx(flows.heat_w.sum() / 60, abs=1)
    one = flows.electricity(600)
    assert all(220_000 < voltage < 240_000 for voltage in one.voltage_mv)
    assert sum(one.active_mw) == round(float(flows.power_w[600]) * 1000)
    assert len(flows.electricity(0, phases=1).active_mw) == 1


def test_gas_counts_like_its_meter_sees_it():
    flows = house(3).flows(utc(2025, 1, 8), utc(2025, 1, 9))
    assert sum(flows.gas(step).volume_ml_h for step in range(1440)) / 60_000 == pytest.approx(
        flows.gas_l.sum(), abs=0.1
    )


def test_drawn_households_differ_as_a_street_does():
    street = [Household.drawn(seed, weather=WEATHER) for seed in range(40)]
    assert {home.profile for home in street} == set(Residents)
    assert {home.equipment.heating for home in street} == {Heating.GAS, Heating.DISTRICT, Heating.HEAT_PUMP}
    assert 2 <= sum(home.equipment.pv_kw > 0 for home in street) <= 20
    assert Household.drawn(5).equipment == Household.drawn(5).equipment


def test_flows_need_a_span():
    with pytest.raises(ValueError, match="span"):
        house().flows(10.0, 10.0)
    with pytest.raises(ValueError, match="span"):
        house().flows(0.0, 10.0, 0)
