from datetime import UTC, datetime

import numpy as np
import pytest

from meterspan.sim.weather import Place, Weather, hash_noise, smooth_noise

YEAR = datetime(2025, 1, 1, tzinfo=UTC).timestamp()


def at(*when):
    return np.array([datetime(*when, tzinfo=UTC).timestamp()])


def test_a_hash_is_even_and_repeats():
    noise = hash_noise(5, np.arange(100_000))
    assert 0 <= noise.min() < 0.001
    assert 0.999 < noise.max() < 1
    assert abs(noise.mean() - 0.5) < 0.005
    assert np.array_equal(noise[77:90], hash_noise(5, np.arange(77, 90)))
    assert not np.array_equal(noise[:10], hash_noise(6, np.arange(10)))


def test_smooth_noise_is_the_same_alone_and_in_a_dense_span():
    times = YEAR + np.arange(0, 7200, 60.0)
    alone = [smooth_noise(3, times[index : index + 1], 900.0)[0] for index in range(len(times))]
    assert np.array_equal(smooth_noise(3, times, 900.0), np.array(alone))
    assert np.abs(np.diff(alone)).max() < 0.3


@pytest.mark.parametrize(
    ("moment", "elevation", "azimuth"),
    [((2025, 6, 21, 11, 8), 60.9, 180), ((2025, 12, 21, 11, 4), 14.1, 180), ((2025, 3, 20, 5, 14), 0.0, 90)],
)
def test_the_sun_stands_over_berlin_where_the_almanac_says(moment, elevation, azimuth):
    sun = Weather(1).at(at(*moment))
    assert np.degrees(sun.elevation_rad[0]) == pytest.approx(elevation, abs=0.8)
    assert np.degrees(sun.azimuth_rad[0]) == pytest.approx(azimuth, abs=1.5)


def test_a_year_looks_like_central_europe():
    year = Weather(3).at(np.arange(YEAR, YEAR + 365 * 86_400, 3600.0))
    monthly = [part.mean() for part in np.array_split(year.temperature_c, 12)]
    assert 8 < year.temperature_c.mean() < 12
    assert min(monthly) == min(monthly[0], monthly[1], monthly[11]) < 5
    assert max(monthly) == max(monthly[5:8]) > 16
    assert -25 < year.temperature_c.min() < year.temperature_c.max() < 40
    assert 900 < year.global_w_m2.sum() / 1000 < 1300
    south = year.tilted_w_m2(0.61, np.pi).sum()
    assert south > 1.05 * year.global_w_m2.sum()
    assert south > 1.3 * year.tilted_w_m2(0.61, 0.0).sum()


def test_nights_are_dark_and_afternoons_are_warm():
    week = Weather(3).at(np.arange(at(2025, 7, 1, 0, 0)[0], at(2025, 7, 8, 0, 0)[0], 600.0))
    assert (week.global_w_m2[week.elevation_rad < 0] == 0).all()
    hours = (week.times / 3600) % 24
    assert (
        week.temperature_c[(hours > 12) & (hours < 16)].mean()
        > week.temperature_c[(hours > 1) & (hours < 4)].mean() + 3
    )


def test_what_a_house_feels_is_damped_and_has_one_value_per_hour():
    weather, start = Weather(3), at(2025, 4, 1, 0, 0)[0]
    felt = weather.felt_c(start, start + 86_400)
    air = weather.at(start + 3600.0 * np.arange(-36, 25)).temperature_c
    assert len(felt) == 25
    assert felt[0] == pytest.approx(np.mean([air[36 - lag] for lag in (0, 6, 14, 24, 36)]))
    assert np.ptp(felt) < np.ptp(air)


def test_seed_and_place_make_the_weather():
    times = np.arange(YEAR, YEAR + 86_400, 600.0)
    assert np.array_equal(Weather(1).at(times).cloud, Weather(1).at(times).cloud)
    assert not np.array_equal(Weather(1).at(times).cloud, Weather(2).at(times).cloud)
    north = Weather(1, Place(latitude=65.0, longitude=25.0, mean_c=2.0))
    assert north.at(times).temperature_c.mean() < Weather(1).at(times).temperature_c.mean()


def test_kept_spans_are_bounded():
    weather = Weather(1)
    for day in range(200):
        weather.span(YEAR + 86_400 * day, YEAR + 86_400 * (day + 1), 3600.0)
    assert len(weather._kept) <= 128
