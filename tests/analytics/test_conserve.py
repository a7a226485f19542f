"""The conservation law, and the complaints of users that it answers (each with its figures)."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.analytics.conserve import GapPolicy, Installation, conserve, installation_of, share
from meterspan.quantities import Quality
from tests.strategies import chains

QUARTER = 900
HOUR = 3_600
T0 = 1_700_000_000 // 86_400 * 86_400  # a UTC midnight


def law_holds(outcome) -> bool:
    return outcome.total + outcome.unexplained_total == outcome.difference


def hourly(values, start=T0):
    return [(start + HOUR * index, value) for index, value in enumerate(values)]


# --- the law --------------------------------------------------------------------------------------------------------


@given(chains())
def test_intervals_and_unexplained_are_the_register_difference(chain):
    outcome = conserve(chain.installations, period_s=chain.period_s)
    assert law_holds(outcome)


@given(chains(), st.randoms(use_true_random=False))
def test_the_order_of_arrival_changes_nothing(chain, random):
    shuffled = []
    for item in chain.installations:
        order = list(range(len(item.times))) * 2  # every reading twice: duplicates change nothing either
        random.shuffle(order)
        shuffled.append(
            Installation(
                item.times[order],
                item.values[order],
                item.quality[order],
                start=item.start,
                end=item.end,
                opening=item.opening,
                closing=item.closing,
                width=item.width,
                multiplier=item.multiplier,
                ceiling_per_hour=item.ceiling_per_hour,
            )
        )
    one = conserve(chain.installations, period_s=chain.period_s)
    two = conserve(shuffled, period_s=chain.period_s)
    for name in ("start", "end", "value", "quality"):
        assert np.array_equal(getattr(one, name), getattr(two, name))
    assert one.unexplained == two.unexplained
    assert one.difference == two.difference
    assert set(one.left_out) == set(two.left_out)


@given(chains())
def test_intervals_touch_and_lie_on_the_grid(chain):
    outcome = conserve(chain.installations, period_s=chain.period_s)
    assert np.all(outcome.end > outcome.start)
    assert np.array_equal(outcome.end[:-1], outcome.start[1:])
    assert np.all(outcome.start[1:] % chain.period_s == 0)
    assert np.all(outcome.end - outcome.start <= chain.period_s)


@given(chains())
def test_long_intervals_hold_the_same_energy_as_spread_ones(chain):
    spread = conserve(chain.installations, period_s=chain.period_s)
    long = conserve(chain.installations, period_s=chain.period_s, gap=GapPolicy.LONG)
    assert law_holds(long)
    assert long.total == spread.total
    for start, end, value in zip(long.start, long.end, long.value, strict=True):
        inside = (spread.start >= start) & (spread.end <= end)
        assert int(spread.value[inside].sum()) == value


@given(chains())
def test_a_rising_register_gives_no_negative_interval_and_nothing_unexplained(chain):
    for item in chain.installations:
        for before, after in pairwise(sorted(set(zip(item.times.tolist(), item.values.tolist(), strict=True)))):
            if after[1] < before[1] or after[0] == before[0]:
                return
    outcome = conserve(chain.installations, period_s=chain.period_s)
    if all(item.opening is None and item.closing is None for item in chain.installations):
        assert np.all(outcome.value >= 0)
        assert not [item for item in outcome.unexplained if item.quality is not Quality.SPIKE]


# --- complaints -----------------------------------------------------------------------------------------------------


def test_rollover_from_999984_to_20_is_36_steps():
    outcome = conserve([installation_of(hourly([999_950, 999_984, 20, 60]), width=1_000_000)], period_s=HOUR)
    assert outcome.value.tolist() == [34, 36, 40]
    assert Quality(int(outcome.quality[1])) == Quality.ROLLOVER
    assert (outcome.difference, outcome.unexplained) == (110, ())


def test_a_zero_near_the_width_is_a_glitch_and_not_two_rollovers():
    outcome = conserve([installation_of(hourly([99_000, 0, 99_200, 99_300]), width=100_000)], period_s=HOUR)
    assert (outcome.total, outcome.unexplained) == (300, ())
    outcome = conserve([installation_of(hourly([99_900, 0, 0, 40]), width=100_000)], period_s=HOUR)
    assert (outcome.total, outcome.left_out) == (140, ())


def test_a_lone_rise_near_the_width_is_no_rollover():
    outcome = conserve([installation_of(hourly([500, 99_500, 600, 700]), width=100_000)], period_s=HOUR)
    assert (outcome.total, [item.quality for item in outcome.left_out]) == (200, [Quality.SPIKE])


def test_a_fall_without_a_known_width_is_a_reset_and_shown():
    outcome = conserve([installation_of(hourly([999_950, 999_984, 20, 60]))], period_s=HOUR)
    assert outcome.value.tolist() == [34, 0, 40]
    assert Quality.MISSING in Quality(int(outcome.quality[1]))
    (reset,) = outcome.unexplained
    assert (reset.value, reset.quality) == (20 - 999_984, Quality.METER_RESET)
    assert law_holds(outcome)


def test_zero_for_3_seconds_after_a_reboot_does_not_count_the_register_again():
    readings = [(T0, 3_700), (T0 + 1_800, 3_746), (T0 + 1_803, 0), (T0 + 1_807, 3_746), (T0 + HOUR, 3_790)]
    outcome = conserve([installation_of(readings)], period_s=HOUR)
    assert outcome.value.tolist() == [90]
    assert outcome.unexplained == ()
    assert [(item.time, item.quality) for item in outcome.left_out] == [(T0 + 1_803, Quality.ZERO_GLITCH)]


def test_months_at_zero_and_back_is_neither_minus_12_kwh_nor_plus():
    readings = [(T0, 12_000), *((T0 + 86_400 * day, 0) for day in range(1, 90)), (T0 + 86_400 * 90, 12_000)]
    outcome = conserve([installation_of(readings)], period_s=86_400)
    assert outcome.total == 0
    assert outcome.unexplained == ()
    assert len(outcome.left_out) == 89


def test_35_mwh_after_a_restart_is_a_spike_and_not_consumption():
    readings = hourly([0, 35_000_000, 35_000_400])
    outcome = conserve([installation_of(readings, ceiling_per_hour=17_250)], period_s=HOUR)
    assert outcome.value.tolist() == [0, 400]
    (spike,) = outcome.unexplained
    assert (spike.value, spike.quality) == (35_000_000, Quality.SPIKE)
    assert law_holds(outcome)


def test_a_zero_between_35_mwh_registers_is_left_out_without_any_ceiling():
    outcome = conserve([installation_of(hourly([35_000_000, 0, 35_000_400]))], period_s=HOUR)
    assert outcome.total == 400
    assert outcome.unexplained == ()


def test_catch_up_after_an_outage_keeps_every_step():
    readings = [(T0, 1_000), (T0 + HOUR, 1_200), (T0 + 6 * HOUR, 2_203), (T0 + 7 * HOUR, 2_300)]
    outcome = conserve([installation_of(readings, ceiling_per_hour=500)], period_s=HOUR)
    assert outcome.value.tolist() == [200, 200, 201, 200, 201, 201, 97]
    estimated = Quality.SPREAD | Quality.ESTIMATED
    assert [Quality(int(word)) for word in outcome.quality] == [Quality(0), *[estimated] * 5, Quality(0)]
    assert outcome.unexplained == ()


def test_a_month_away_is_spread_and_not_minus_1400_kwh():
    readings = [(T0, 1_400_000), (T0 + 30 * 86_400, 1_400_000 + 90_001)]
    outcome = conserve([installation_of(readings)], period_s=86_400)
    assert outcome.total == 90_001
    assert outcome.value.max() - outcome.value.min() <= 1
    long = conserve([installation_of(readings)], period_s=86_400, gap=GapPolicy.LONG)
    assert long.value.tolist() == [90_001]


def test_the_first_slot_of_a_new_meter_counts_from_its_opening():
    outcome = conserve([installation_of(hourly([130, 190], T0 + HOUR), start=T0, opening=7)], period_s=HOUR)
    assert outcome.value.tolist() == [123, 60]


def test_no_data_is_missing_and_not_zero():
    outcome = conserve(
        [
            installation_of(hourly([5, 8]), end=T0 + HOUR),
            installation_of(hourly([100, 101], T0 + 4 * HOUR), start=T0 + 4 * HOUR),
        ],
        period_s=HOUR,
    )
    assert outcome.value.tolist() == [3, 0, 0, 0, 1]
    assert [bool(word & Quality.MISSING) for word in outcome.quality.tolist()] == [False, True, True, True, False]
    assert not outcome.quality[1] & int(Quality.ESTIMATED)


def test_statistics_go_on_after_a_meter_exchange():
    old = installation_of(hourly([9_000, 9_100]), end=T0 + HOUR + 1_800, closing=9_130)
    new = installation_of(hourly([40, 100], T0 + 2 * HOUR), start=T0 + HOUR + 1_800, opening=2)
    outcome = conserve([old, new], period_s=HOUR)
    assert outcome.value.tolist() == [100, 30 + 38, 60]
    assert [bool(word & Quality.EXCHANGED) for word in outcome.quality.tolist()] == [False, True, False]
    assert (outcome.difference, outcome.unexplained) == (130 + 98, ())


def test_deltas_add_up_to_the_register_difference():
    # 3 627.90 against 3 528.55 in a day: telegrams off the grid, several in one second, out of order
    rng = np.random.default_rng(7)
    times = np.sort(rng.integers(T0, T0 + 86_400, 5_000))
    values = np.cumsum(rng.integers(0, 3, 5_000)) + 362_790
    order = rng.permutation(5_000)
    outcome = conserve([Installation(times[order], values[order], np.zeros(5_000, np.int32))], period_s=QUARTER)
    assert law_holds(outcome)
    assert outcome.unexplained == ()
    kept = {int(time): int(value) for time, value in zip(times[::-1], values[::-1], strict=True)}  # least per instant
    assert outcome.difference == kept[int(times[-1])] - kept[int(times[0])]


def test_an_hourly_report_stamped_at_the_end_belongs_to_the_hour_before():
    outcome = conserve([installation_of(hourly([100, 150, 400]))], period_s=HOUR)
    assert [
        (int(start - T0) // HOUR, int(value)) for start, value in zip(outcome.start, outcome.value, strict=True)
    ] == [
        (0, 50),
        (1, 250),
    ]


def test_registers_off_the_grid_are_bounded_by_the_nearest_true_registers():
    readings = [(T0 + 3, 100), (T0 + 896, 110), (T0 + 1_830, 130), (T0 + 2_699, 145)]
    outcome = conserve([installation_of(readings)], period_s=QUARTER)
    assert outcome.start.tolist() == [T0, T0 + 900, T0 + 1_800]
    assert outcome.value.tolist() == [10, 20, 15]
    assert [bool(word & Quality.OFF_GRID) for word in outcome.quality.tolist()] == [False, True, True]


def test_the_running_quarter_is_shown_up_to_its_last_register():
    outcome = conserve([installation_of([(T0, 10), (T0 + 900, 20), (T0 + 1_500, 26)])], period_s=QUARTER)
    assert (outcome.start.tolist(), outcome.end.tolist()) == ([T0, T0 + 900], [T0 + 900, T0 + 1_500])
    assert outcome.value.tolist() == [10, 6]


def test_two_values_at_one_instant_keep_the_register_rising_and_are_flagged():
    readings = [(T0, 100), (T0 + 900, 500), (T0 + 900, 110), (T0 + 900, 90), (T0 + 1_800, 120)]
    outcome = conserve([installation_of(readings)], period_s=QUARTER)
    assert outcome.value.tolist() == [10, 10]
    assert Quality.CONFLICT in Quality(int(outcome.quality[0]))
    assert {(item.value, item.quality) for item in outcome.left_out} == {
        (500, Quality.CONFLICT),
        (90, Quality.CONFLICT),
    }


def test_a_fall_at_the_very_end_waits_for_the_next_register():
    waiting = conserve([installation_of(hourly([100, 150, 2]))], period_s=HOUR)
    assert (waiting.value.tolist(), waiting.unexplained) == ([50], ())
    decided = conserve([installation_of(hourly([100, 150, 2, 9]))], period_s=HOUR)
    assert decided.value.tolist() == [50, 0, 7]
    assert decided.unexplained[0].value == -148


def test_a_small_fall_that_stays_is_negative_and_not_a_reset():
    outcome = conserve([installation_of(hourly([1_000, 990, 995]))], period_s=HOUR)
    assert outcome.unexplained[0].quality == Quality.NEGATIVE
    assert law_holds(outcome)


def test_the_transformer_ratio_applies_to_consumption_and_to_what_is_unexplained():
    outcome = conserve([installation_of(hourly([100, 110, 5, 6]), multiplier=40)], period_s=HOUR)
    assert outcome.value.tolist() == [400, 0, 40]
    assert outcome.unexplained_total == -105 * 40
    assert law_holds(outcome)


def test_readings_outside_of_the_installation_are_left_out():
    outcome = conserve([installation_of(hourly([1, 2, 3, 4]), start=T0 + HOUR, end=T0 + 2 * HOUR)], period_s=HOUR)
    assert outcome.value.tolist() == [1]
    assert [item.time for item in outcome.left_out] == [T0, T0 + 3 * HOUR]


@pytest.mark.parametrize("readings", [[], [(T0, 5)], [(T0, 5), (T0, 5)]])
def test_without_two_registers_there_is_no_interval(readings):
    outcome = conserve([installation_of(readings)], period_s=QUARTER)
    assert (len(outcome), outcome.difference) == (0, 0)


def test_a_clock_that_jumped_centuries_is_refused_and_not_allocated():
    with pytest.raises(ValueError, match="span more than"):
        conserve([installation_of([(0, 1), (1 << 40, 2)])], period_s=1)


def test_overlapping_installations_are_refused():
    with pytest.raises(ValueError, match="overlap"):
        conserve([installation_of(hourly([1, 2, 3])), installation_of(hourly([1, 2], T0 + HOUR))], period_s=HOUR)


@given(st.integers(-(10**15), 10**15), st.lists(st.integers(1, 10**6), min_size=1, max_size=20))
def test_shares_add_up_exactly(value, lengths):
    edges = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    count = len(lengths)
    total = np.full(count, edges[-1])
    parts = share(np.full(count, value), edges[:-1], edges[1:], total)
    assert int(parts.sum()) == value


@given(st.integers(-(2**55), 2**55), st.integers(1, 2**34), st.data())
def test_parts_of_an_interval_of_centuries_add_up_to_it(value, length, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, length), max_size=4)))
    edges = np.array([0, *cuts, length], np.int64)
    count = len(edges) - 1
    parts = share(np.full(count, value), edges[:-1], edges[1:], np.full(count, length))
    assert parts.tolist() == [
        value * end // length - value * start // length for start, end in pairwise(edges.tolist())
    ]


def test_differences_that_leave_63_bits_are_refused_and_not_wrapped():
    times = np.arange(1_200, dtype=np.int64) * HOUR
    values = np.where(np.arange(1_200) // 2 % 2, 1 << 55, 1)
    with pytest.raises(ValueError, match="more than any meter counts"):
        conserve([Installation(times, values, np.zeros(1_200, np.int32))], period_s=HOUR)
