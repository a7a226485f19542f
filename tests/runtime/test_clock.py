"""The runtime's clock: it follows the monotonic clock, and says how far the wall clock was stepped."""

import time
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.runtime.clock import SystemClock

steps = st.lists(
    st.tuples(st.integers(0, 10_000), st.integers(-100_000, 100_000)), max_size=20
)  # seconds that pass, and seconds by which the wall clock is set meanwhile


@given(steps)
def test_time_never_jumps_however_the_wall_clock_is_set(passing):
    wall, monotonic = 1_700_000_000.0, 500.0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(time, "time", lambda: wall)
        patch.setattr(time, "monotonic", lambda: monotonic)
        clock = SystemClock()
        assert (clock(), clock.step_s) == (wall, 0.0)
        elapsed = stepped = 0
        for passed, step in passing:
            wall, monotonic = wall + passed + step, monotonic + passed
            elapsed, stepped = elapsed + passed, stepped + step
            assert clock() == 1_700_000_000.0 + elapsed
            assert clock.step_s == stepped
            assert clock.utc().timestamp() == clock()
            assert clock.utc().tzinfo is UTC
