"""Weather of a made-up place: outdoor temperature, clouds and sun, the same for every question about one instant.

Strategy: everything is a function of absolute time. Chance is value noise: a hash of (seed, knot number) gives a knot
its number, and a smooth curve runs through the knots, so any instant of any year can be asked for without history.
Sun position: declination and equation of time after Spencer (1971); clear sky after Haurwitz (1945), as in pvlib's
``clearsky.haurwitz``.
"""

from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from meterspan.quantities import DAY_S

__all__ = ["Place", "Weather", "WeatherSpan", "hash_noise", "smooth_noise"]

Floats = NDArray[np.float64]

_YEAR_S = 365.2425 * DAY_S
_FELT_LAGS_H = (0, 6, 14, 24, 36)
_SPANS_KEPT_MAX = 128
"""The households of a district ask for the same days again and again; 128 of them are 9 MB."""


def hash_noise(seed: int, knots: NDArray[np.int64]) -> Floats:
    """Return a number in 0..1 for each knot, always the same for (seed, knot) (splitmix64)."""
    start = (seed * 0x9E37_79B9_7F4A_7C15 + 0x5851_F42D_4C95_7F2D) & 0xFFFF_FFFF_FFFF_FFFF
    mixed = knots.astype(np.uint64) * np.uint64(0x9E37_79B9_7F4A_7C15) + np.uint64(start)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58_476D_1CE4_E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D0_49BB_1331_11EB)
    mixed ^= mixed >> np.uint64(31)
    return (mixed >> np.uint64(11)).astype(np.float64) * 2.0**-53


def smooth_noise(seed: int, times: Floats, period_s: float) -> Floats:
    """Return a smooth curve in -1..1 through random knots that are ``period_s`` apart."""
    position = times / period_s
    knots = np.floor(position).astype(np.int64)
    fraction = position - knots
    weight = fraction * fraction * (3 - 2 * fraction)
    first, last = int(knots.min()), int(knots.max()) + 1
    if last - first < len(knots):  # a dense span: hash each knot once
        table = hash_noise(seed, np.arange(first, last + 1))
        before, after = table[knots - first], table[knots - first + 1]
    else:
        before, after = hash_noise(seed, knots), hash_noise(seed, knots + 1)
    return 2 * (before + (after - before) * weight) - 1


@dataclass(frozen=True, slots=True)
class Place:
    """Where the weather is made up.

    Attributes:
        latitude: degrees north.
        longitude: degrees east.
        mean_c: mean temperature of the year, °C.
        season_c: half the difference between midsummer and midwinter, K.

    """

    latitude: float = 52.5
    longitude: float = 13.4
    mean_c: float = 10.0
    season_c: float = 9.5


@dataclass(frozen=True, slots=True, eq=False)
class WeatherSpan:
    """Weather at given instants, one row each.

    Attributes:
        times: UTC seconds.
        temperature_c: outdoor air, °C.
        cloud: cover, 0 clear .. 1 overcast.
        elevation_rad: height of the sun above the horizon.
        azimuth_rad: of the sun, from north over east.
        global_w_m2: irradiance on the level ground.

    """

    times: Floats
    temperature_c: Floats
    cloud: Floats
    elevation_rad: Floats
    azimuth_rad: Floats
    global_w_m2: Floats

    def tilted_w_m2(self, tilt_rad: float, facing_rad: float) -> Floats:
        """Return irradiance on a tilted plane: the sun's beam by geometry, the sky's light evenly from all sides."""
        diffuse_share = 0.2 + 0.8 * self.cloud
        sin_elevation = np.sin(self.elevation_rad)
        beam_normal = self.global_w_m2 * (1 - diffuse_share) / np.maximum(sin_elevation, 0.08)
        incidence = sin_elevation * np.cos(tilt_rad) + np.cos(self.elevation_rad) * np.sin(tilt_rad) * np.cos(
            self.azimuth_rad - facing_rad
        )
        sky = self.global_w_m2 * diffuse_share * (1 + np.cos(tilt_rad)) / 2
        tilted: Floats = beam_normal * np.maximum(incidence, 0) + sky
        return tilted


class Weather:
    """The weather of one place.

    Args:
        seed: of all chance.
        place: where it is.

    """

    def __init__(self, seed: int, place: Place | None = None) -> None:
        self._seed = seed
        self.place = place or Place()
        self._kept: OrderedDict[tuple[float, float, float], WeatherSpan] = OrderedDict()

    def span(self, start: float, end: float, step_s: float = 60.0) -> WeatherSpan:
        """Return the weather in the middle of each step from ``start`` to ``end`` (UTC seconds)."""
        key = (start, end, step_s)
        span = self._kept.get(key)
        if span is None:
            span = self._kept[key] = self.at(np.arange(start + step_s / 2, end, step_s))
            if len(self._kept) > _SPANS_KEPT_MAX:
                self._kept.popitem(last=False)
        return span

    def at(self, times: Floats) -> WeatherSpan:
        """Return the weather at these instants (UTC seconds)."""
        elevation, azimuth = self._sun(times)
        cloud = self._cloud(times)
        sin_elevation = np.sin(elevation)
        shining = sin_elevation > 0.01
        up = np.where(shining, sin_elevation, 1.0)
        clear = np.where(shining, 1098.0 * up * np.exp(-0.057 / up), 0.0)
        return WeatherSpan(
            times, self._temperature(times, cloud), cloud, elevation, azimuth, clear * (1 - 0.75 * cloud**3.4)
        )

    def felt_c(self, start: float, end: float) -> Floats:
        """Return the outdoor temperature that a house feels, damped over a day and a half, °C, for each full hour.

        Rows are ``start``, one hour later, and so on, up to and including ``end``.
        """
        hours = np.arange(start - 3600 * _FELT_LAGS_H[-1], end + 1, 3600.0)
        outdoor = self._temperature(hours, self._cloud(hours))
        count = len(hours) - _FELT_LAGS_H[-1]
        damped: Floats = np.mean([outdoor[len(hours) - count - lag : len(hours) - lag] for lag in _FELT_LAGS_H], axis=0)
        return damped

    def _cloud(self, times: Floats) -> Floats:
        fronts = smooth_noise(self._seed + 1, times, 2.3 * DAY_S)
        fields = smooth_noise(self._seed + 2, times, 5 * 3600.0)
        flecks = smooth_noise(self._seed + 3, times, 420.0)
        winter = np.cos(2 * np.pi * (times / _YEAR_S - 0.01))
        broken = 0.63 + 0.1 * winter + 0.75 * fronts + 0.35 * fields
        # flecks of cloud pass the sun under a broken sky, not under a clear or a closed one
        patchy = np.clip(1 - np.abs(broken - 0.5) / 0.5, 0, 1)
        return np.clip(broken + 0.5 * patchy * flecks, 0, 1)

    def _temperature(self, times: Floats, cloud: Floats) -> Floats:
        place = self.place
        coldest = 0.055  # about 20 January
        season = -place.season_c * np.cos(2 * np.pi * (times / _YEAR_S - coldest))
        fronts = 3.8 * smooth_noise(self._seed + 4, times, 3.1 * DAY_S)
        spells = 4.0 * smooth_noise(self._seed + 5, times, 11.0 * DAY_S)
        local_hour = (times / 3600 + place.longitude / 15) % 24
        summer = 0.5 - 0.5 * np.cos(2 * np.pi * (times / _YEAR_S - coldest))
        swing = (1.4 + 3.6 * summer) * (1.3 - 0.8 * cloud)
        daily = -swing * np.cos(2 * np.pi * (local_hour - 3.5) / 24)
        gusts = 0.3 * smooth_noise(self._seed + 6, times, 1800.0)
        total: Floats = place.mean_c + season + fronts + spells + daily + gusts
        return total

    def _sun(self, times: Floats) -> tuple[Floats, Floats]:
        year_angle = 2 * np.pi * ((times / _YEAR_S) % 1.0)
        declination = (
            0.006918
            - 0.399912 * np.cos(year_angle)
            + 0.070257 * np.sin(year_angle)
            - 0.006758 * np.cos(2 * year_angle)
            + 0.000907 * np.sin(2 * year_angle)
        )
        equation_min = 229.18 * (
            0.000075
            + 0.001868 * np.cos(year_angle)
            - 0.032077 * np.sin(year_angle)
            - 0.014615 * np.cos(2 * year_angle)
            - 0.040849 * np.sin(2 * year_angle)
        )
        solar_hour = (times / 3600 + self.place.longitude / 15 + equation_min / 60) % 24
        hour_angle = np.pi * (solar_hour - 12) / 12
        latitude = np.radians(self.place.latitude)
        sin_elevation = np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(declination) * np.cos(
            hour_angle
        )
        elevation = np.arcsin(np.clip(sin_elevation, -1, 1))
        azimuth = np.pi + np.arctan2(
            np.sin(hour_angle), np.cos(hour_angle) * np.sin(latitude) - np.tan(declination) * np.cos(latitude)
        )
        return elevation, azimuth
