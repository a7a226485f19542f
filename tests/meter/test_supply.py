"""The disconnect switch obeys its table, and the limiter opens it only after its time."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from meterspan.meter.supply import TRANSITIONS, ControlState, PowerLimiter, Switch, SwitchTrigger

OFF_TRIGGERS = {SwitchTrigger.REMOTE_DISCONNECT, SwitchTrigger.MANUAL_DISCONNECT, SwitchTrigger.LOCAL_DISCONNECT}


@pytest.mark.parametrize("mode", TRANSITIONS)
def test_no_trigger_of_a_mode_connects_where_it_should_disconnect(mode):
    for (_, trigger), after in TRANSITIONS[mode].items():
        assert (after is ControlState.CONNECTED) <= (trigger not in OFF_TRIGGERS)


def test_mode_0_never_disconnects():
    switch = Switch(mode=0)
    assert not any(switch.trigger(trigger) for trigger in SwitchTrigger)
    assert switch.is_connected


@pytest.mark.parametrize(("mode", "state"), [(1, ControlState.READY_FOR_RECONNECTION), (4, ControlState.CONNECTED)])
def test_a_remote_reconnection_needs_a_person_where_the_mode_says_so(mode, state):
    switch = Switch(mode=mode)
    assert switch.trigger(SwitchTrigger.REMOTE_DISCONNECT)
    assert switch.trigger(SwitchTrigger.REMOTE_RECONNECT)
    assert switch.state is state


class SwitchLife(RuleBasedStateMachine):
    """Any triggers in any mode."""

    @initialize(mode=st.sampled_from(sorted(TRANSITIONS)))
    def begin(self, mode):
        self.switch = Switch(mode=mode)
        self.expected = ControlState.CONNECTED

    @rule(trigger=st.sampled_from(SwitchTrigger))
    def trigger(self, trigger):
        after = TRANSITIONS[self.switch.mode].get((self.expected, trigger))
        assert self.switch.trigger(trigger) is (after is not None)
        self.expected = self.expected if after is None else after

    @invariant()
    def the_premises_are_supplied_in_one_state_alone(self):
        assert self.switch.state is self.expected
        assert self.switch.is_connected == (self.expected is ControlState.CONNECTED)


TestSwitchLife = SwitchLife.TestCase


def test_a_limiter_waits_its_time_and_begins_anew_after_each_pause():
    limiter = PowerLimiter(threshold_w=5_000, over_duration_s=60)
    assert not limiter.watch(6_000, 0.0)
    assert not limiter.watch(5_000, 30.0)  # at the threshold is not above it
    assert not limiter.watch(6_000, 40.0)
    assert not limiter.watch(6_000, 99.0)
    assert limiter.watch(6_000, 100.0)
    assert not limiter.watch(6_000, 101.0)


def test_a_limiter_without_threshold_is_off():
    assert not any(PowerLimiter(over_duration_s=0).watch(10**9, float(second)) for second in range(3))
