"""A channel captures each period once, exactly, however fine its meter becomes and in whatever order telegrams come."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.lnap.channel import PERIODS_KNOWN, LocalMeter, MBusChannel, Observation, RowsAtScale
from meterspan.quantities import UNITS, Commodity, Obis, Scaled

WH, J, M3 = UNITS["Wh"], UNITS["J"], UNITS["m3"]
START = 20_000 * 86_400
IMPORT, EXPORT = Obis(1, 0, 1, 8, 0), Obis(1, 0, 2, 8, 0)


def channel(*registers: Obis) -> MBusChannel:
    return MBusChannel(3, LocalMeter("MSP1000000001", Commodity.ELECTRICITY, "home", registers or (IMPORT,)))


def observed(number: int, *values: Scaled | None) -> Observation:
    return Observation(START + 900 * number, values)


def profile(rows) -> list[tuple[int, list[int | None]]]:
    return [
        (int(row[0].clock_time.to_utc().timestamp()), [item.value for item in row[2:]])
        for row in rows.entries(1, len(rows))
    ]


@given(st.lists(st.tuples(st.integers(0, 10**9), st.integers(-6, 3)), min_size=1, max_size=30))
def test_the_profile_shows_every_value_exactly_at_one_scale(found):
    meter = channel()
    for number, (value, exponent) in enumerate(found):
        assert meter.observe(observed(number, Scaled(value, exponent, WH)))
    unit, exponent = meter.scales[0]
    shown = [Fraction(values[0]) * Fraction(10) ** exponent for _, values in profile(meter.rows)]
    assert unit is WH
    assert shown == [Scaled(value, power, WH).to(WH) for value, power in found]
    assert meter.not_in_profile == 0


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(-4, 0)), min_size=2, max_size=20), st.data())
def test_an_association_sees_one_scale_and_no_wrong_value(found, data):
    meter, cut = channel(), data.draw(st.integers(0, len(found)))
    for number, (value, exponent) in enumerate(found[:cut]):
        meter.observe(observed(number, Scaled(value, exponent, WH)))
    view = RowsAtScale(meter)
    scale = view.scales
    for number, (value, exponent) in enumerate(found[cut:], start=cut):
        meter.observe(observed(number, Scaled(value, exponent, WH)))
    assert view.scales == scale
    true = {START + 900 * number: Scaled(value, power, WH).to(WH) for number, (value, power) in enumerate(found)}
    for time, values in profile(view):
        assert scale[0] is not None
        assert Fraction(values[0]) * Fraction(10) ** scale[0][1] == true[time]
    assert [time for time, _ in profile(view)][:cut] == [START + 900 * number for number in range(cut)]
    assert profile(RowsAtScale(meter)) == profile(meter.rows)
    inside = [row[0] for row in view.between(START, START + 900 * len(found))]
    assert len(inside) == len(view)


@given(st.permutations(range(12)), st.integers(1, 3))
def test_every_period_makes_one_row_in_any_order(order, times):
    meter = channel()
    rows = [number for number in list(order) * times if meter.observe(observed(number, Scaled(number, 0, WH)))]
    assert rows == list(order)
    assert sorted(time for time, _ in profile(meter.rows)) == [START + 900 * number for number in range(12)]


@given(st.lists(st.integers(0, 40), max_size=40), st.integers(0, 40))
def test_a_restart_captures_no_period_again(numbers, cut):
    meter = channel()
    before = [number for number in numbers[:cut] if meter.observe(observed(number, Scaled(number, 0, WH)))]
    again = channel()
    again.restore(meter.rows.pack(), meter.scales)
    after = [number for number in numbers[cut:] if again.observe(observed(number, Scaled(number, 0, WH)))]
    assert sorted(before + after) == sorted(set(numbers))
    assert again.scales == (((WH, 0),) if numbers else (None,))


def test_a_telegram_from_too_long_ago_makes_no_row():
    meter = channel()
    assert meter.observe(observed(PERIODS_KNOWN, Scaled(1, 0, WH)))
    assert not meter.observe(observed(0, Scaled(0, 0, WH)))
    assert meter.observe(observed(1, Scaled(0, 0, WH)))


def test_the_first_value_of_a_period_is_captured_at_its_own_time():
    meter = channel()
    assert [meter.observe(Observation(START + second, (Scaled(second, 0, WH),))) for second in (10, 20, 899, 905)] == [
        True,
        False,
        False,
        True,
    ]
    assert [time - START for time, _ in profile(meter.rows)] == [10, 905]
    assert meter.latest.time == START + 905


def test_a_register_that_a_telegram_does_not_have_is_no_zero():
    meter = channel(IMPORT, EXPORT)
    meter.observe(observed(0, Scaled(5, 0, WH), None))
    meter.observe(observed(1, Scaled(6, 0, WH), Scaled(10, -1, WH)))
    assert profile(meter.rows) == [(START, [5, None]), (START + 900, [6, 10])]
    assert meter.values_of(meter.latest) == ((IMPORT, Scaled(6, 0, WH)), (EXPORT, Scaled(10, -1, WH)))


def test_a_value_that_no_decimal_shows_is_a_row_all_the_same_but_not_of_the_profile():
    meter = channel()
    meter.observe(observed(0, Scaled(5, 0, WH)))
    assert meter.observe(observed(1, Scaled(1, 0, J)))
    assert meter.not_in_profile == 1
    assert meter.observe(observed(2, Scaled(7_200, 0, J)))
    assert profile(meter.rows) == [(START, [5]), (START + 1_800, [2])]


@pytest.mark.parametrize("value", [Scaled(2**63 - 1, 12, WH), Scaled(-1, 0, WH)])
def test_a_value_beyond_the_profiles_range_is_left_out_of_it(value):
    meter = channel()
    meter.observe(observed(0, Scaled(1, -6, WH)))
    assert meter.observe(observed(1, value))
    assert (len(meter.rows), meter.not_in_profile) == (1, 1)


def test_another_dimension_or_no_date_is_refused_and_changes_nothing():
    meter = channel()
    meter.observe(observed(0, Scaled(1, 0, WH)))
    for wrong in (observed(1, Scaled(1, 0, M3)), Observation(10**15, (Scaled(1, 0, WH),)), Observation(-1, (None,))):
        with pytest.raises(ValueError, match=r"convert|date"):
            meter.observe(wrong)
    assert (len(meter.rows), meter.latest.time) == (1, START)
