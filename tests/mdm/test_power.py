"""Power of a home: a point only where something was heard or measured, and no line over a hole."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.mdm.curve_book import Momentary
from meterspan.mdm.curves import Curve
from meterspan.mdm.power import interval_means, minute_means, power_now
from meterspan.model.storage.readings import Readings
from meterspan.quantities import Quality
from meterspan.quantities.codes import EXPORT_POWER, IMPORT_POWER, NET_POWER

LOW, HIGH = 6_000_000 * 60, 6_000_120 * 60
SECONDS = st.integers(LOW - 300, HIGH + 300)
WATTS = st.integers(0, 9_000)
SAMPLES = st.dictionaries(SECONDS, WATTS, max_size=12)


def momentary(obis, samples, exponent=0):
    times = np.array(sorted(samples), np.int64)
    empty = np.zeros(len(times), np.int32)
    values = np.array([samples[int(time)] for time in times], np.int64)
    return Momentary(str(obis), exponent, Readings(empty, times, values, empty, empty, empty.astype(np.int8), times))


def minute(time):
    return int(time) // 60


@pytest.mark.attack(7)
@pytest.mark.finding("users C-3", "users F2")
@given(SAMPLES)
def test_a_point_of_power_is_the_mean_of_the_values_of_its_minute_and_no_minute_without_one_has_a_point(samples):
    points = minute_means([momentary(IMPORT_POWER, samples)], LOW, HIGH)
    heard = {}
    for time, watts in samples.items():
        if LOW <= time < HIGH:
            heard.setdefault(minute(time), []).append(watts)
    assert {minute(point.start.timestamp()): point.power_w for point in points} == {
        number: round(sum(values) / len(values)) for number, values in heard.items()
    }


@pytest.mark.attack(7)
@given(SAMPLES)
def test_a_point_goes_on_into_the_next_only_where_less_than_two_minutes_lie_between_their_values(samples):
    points = minute_means([momentary(IMPORT_POWER, samples)], LOW, HIGH)
    for point, following in pairwise(points):
        between = minute(following.start.timestamp()) - minute(point.start.timestamp())
        assert point.start < point.end <= following.start
        assert (point.end == following.start) == (between <= 2)
    assert all(point.end.timestamp() <= HIGH for point in points)


@given(SAMPLES, SAMPLES)
def test_power_is_import_minus_export_and_unknown_where_one_of_them_is(bought, sold):
    series = [momentary(IMPORT_POWER, bought), momentary(EXPORT_POWER, sold)]
    points = {minute(p.start.timestamp()): p.power_w for p in minute_means(series, LOW, HIGH)}
    ours = [minute_means([item], LOW, HIGH) for item in series]
    by_minute = [{minute(p.start.timestamp()): p.power_w for p in found} for found in ours]
    for number in set(by_minute[0]) & set(by_minute[1]):
        assert abs(points[number] - (by_minute[0][number] + by_minute[1][number])) <= 1
    assert points.keys() <= by_minute[0].keys() | by_minute[1].keys()
    for number in (by_minute[1].keys() - by_minute[0].keys()) & points.keys():
        assert points[number] <= 0


def test_the_scale_of_a_series_counts_and_net_power_stands_alone():
    (point,) = minute_means([momentary(NET_POWER, {LOW: -25}, exponent=2)], LOW, HIGH)
    assert point.power_w == -2_500
    assert minute_means([momentary(NET_POWER, {LOW: 1}, exponent=10)], LOW, HIGH) == ()
    assert minute_means([], LOW, HIGH) == ()


def test_power_now_is_the_newest_value_and_none_where_there_is_none():
    assert power_now([]) is None
    assert power_now([momentary(IMPORT_POWER, {LOW: 5, LOW + 9: 7})]) == (7, LOW + 9)
    assert power_now([momentary(EXPORT_POWER, {LOW: 0})]) is None
    assert power_now([momentary(EXPORT_POWER, {LOW: 4})]) == (-4, LOW)


def curve(rows):
    columns = list(zip(*rows, strict=True)) or [(), (), (), ()]
    start, end, value = (np.array(column, np.int64) for column in columns[:3])
    return Curve(start, end, value, np.array([int(quality) for quality in columns[3]], np.int32), Fraction(1, 1_000))


@pytest.mark.parametrize("quality", [Quality.MISSING, Quality.ESTIMATED, Quality.SPREAD])
def test_an_interval_that_was_not_measured_has_no_mean(quality):
    bought = curve([(0, 900, 250, Quality(0)), (900, 1_800, 500, quality), (1_800, 2_700, 750, Quality(0))])
    assert [(p.start.timestamp(), p.power_w) for p in interval_means(bought, None)] == [(0, 1_000), (1_800, 3_000)]


def test_the_mean_of_an_interval_lacks_no_export_that_the_meter_counts():
    bought = curve([(0, 900, 250, Quality(0)), (900, 1_800, 500, Quality(0))])
    sold = curve([(0, 900, 1_000, Quality(0))])
    assert [point.power_w for point in interval_means(bought, sold)] == [-3_000]
    assert interval_means(curve([]), None) == ()
