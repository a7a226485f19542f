"""A meter's clock may drift, be set and be invalid; true time is never touched."""

from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.meter.clock import MeterClock
from meterspan.quantities import ClockStatus

BERLIN = ZoneInfo("Europe/Berlin")
NOW = 1_780_000_000.0
ERRORS, DRIFTS = st.floats(-1e5, 1e5), st.floats(-500, 500)


@given(ERRORS, DRIFTS, st.floats(0, 1e7), ERRORS)
def test_a_clock_shows_what_it_was_set_to_and_drifts_from_there(error, drift, elapsed, own):
    clock = MeterClock(BERLIN, error, drift)
    clock.time(NOW)
    before = clock.time(NOW + elapsed)
    step = clock.set(NOW + own, NOW + elapsed)
    assert clock.time(NOW + elapsed) == pytest.approx(NOW + own, abs=1e-3)
    assert step == pytest.approx(NOW + own - before, abs=1e-3)
    later = clock.time(NOW + elapsed + 1e6)
    assert later == pytest.approx(NOW + own + 1e6 + drift, abs=1e-2)


@given(ERRORS)
def test_true_time_is_found_from_the_clocks_own_time(error):
    clock = MeterClock(BERLIN, error)
    assert clock.true_time(clock.time(NOW), NOW) == pytest.approx(NOW, abs=1e-3)


def test_the_clock_says_that_daylight_saving_is_active_and_that_it_is_invalid():
    summer, winter = 1_782_900_000.0, 1_767_300_000.0
    clock = MeterClock(BERLIN)
    assert clock.indicate(summer).status == ClockStatus.DAYLIGHT_SAVING_ACTIVE
    assert clock.indicate(winter).status == ClockStatus(0)
    clock.is_valid = False
    assert ClockStatus.INVALID_VALUE in clock.indicate(winter).status
    clock.set(winter, winter)
    assert clock.indicate(winter).status == ClockStatus(0)


@pytest.mark.parametrize("seconds", [1_774_745_999, 1_774_746_000, 1_792_886_400, 1_792_890_000])
def test_local_time_leads_back_to_the_same_instant_on_both_sides_of_a_clock_change(seconds):
    shown = MeterClock(BERLIN).local(seconds)
    assert shown.to_utc().timestamp() == seconds
