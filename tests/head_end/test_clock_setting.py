"""When a meter's clock may be set: a bound for each day, and never by a clock of ours that looks wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.head_end.clock_setting import OWN_STEP_MAX_S, RELEASED, ClockSetting
from meterspan.quantities import DAY_S

NOW = RELEASED + 86_400.0


@pytest.mark.finding("security low-14")
@given(st.lists(st.tuples(st.integers(0, 100_000), st.integers(-200, 200)), max_size=40))
def test_no_clock_is_moved_by_more_than_the_bound_within_any_day(checks):
    setting = ClockSetting(300, lambda: 0.0)
    moved = []
    now = NOW
    for later, error_s in checks:
        now += later
        if not setting.refusal("M1", error_s, now):
            setting.note("M1", error_s, now)
            moved.append((now, abs(error_s)))
    for end, _ in moved:
        assert sum(by for at, by in moved if 0 <= end - at < DAY_S) <= 300


def test_each_meter_has_a_bound_of_its_own_and_a_clock_without_a_date_may_be_set():
    setting = ClockSetting(300, lambda: 0.0)
    setting.note("M1", 300, NOW)
    assert "300 s a day" in setting.refusal("M1", 10, NOW)
    assert setting.refusal("M1", None, NOW) == setting.refusal("M2", 10, NOW) == ""
    assert setting.refusal("M1", 10, NOW + DAY_S) == ""


@pytest.mark.finding("security low-14")
@pytest.mark.parametrize("step_s", [-OWN_STEP_MAX_S - 1, OWN_STEP_MAX_S + 1])
def test_a_clock_of_ours_that_looks_wrong_sets_none(step_s):
    assert "before the release" in ClockSetting(300, lambda: 0.0).refusal("M1", 10, RELEASED - 1)
    assert "was stepped" in ClockSetting(300, lambda: step_s).refusal("M1", 10, NOW)
    assert ClockSetting(300, lambda: OWN_STEP_MAX_S).refusal("M1", 10, NOW) == ""
