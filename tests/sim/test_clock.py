import pytest

from meterspan.sim.clock import RunawayError, VirtualClock


def test_actions_run_by_time_then_by_order_of_scheduling():
    clock, ran = VirtualClock(100.0), []
    for name, at in (("c", 103), ("a", 101), ("b1", 102), ("b2", 102), ("past", 1)):
        clock.schedule(at, lambda name=name: ran.append((name, clock.now)))
    assert clock.run_until(102) == 4
    assert ran == [("past", 100.0), ("a", 101), ("b1", 102), ("b2", 102)]
    assert clock.now == 102
    assert clock.run_until(103) == 1


def test_an_action_may_schedule_more_at_the_same_instant():
    clock, ran = VirtualClock(0.0), []
    clock.schedule(1, lambda: clock.schedule(clock.now, lambda: ran.append(clock.now)))
    clock.run_until(1)
    assert ran == [1]


def test_a_cancelled_action_does_not_run():
    clock, ran = VirtualClock(0.0), []
    ticket = clock.schedule(1, lambda: ran.append(1))
    ticket.cancel()
    assert clock.run_until(5) == 0
    assert (ran, clock.now) == ([], 5)


def test_a_beat_stays_on_its_grid_until_it_is_cancelled():
    clock, beats = VirtualClock(0.0), []
    ticket = clock.every(0.1, lambda: beats.append(clock.now), start=0.3)
    clock.run_until(100.35)
    assert len(beats) == 1001
    assert beats[1000] == 0.3 + 1000 * 0.1
    ticket.cancel()
    clock.run_until(200)
    assert len(beats) == 1001
    with pytest.raises(ValueError, match="positive"):
        clock.every(0, beats.clear, start=0)


def test_virtual_time_that_stands_still_is_told(monkeypatch):
    monkeypatch.setattr("meterspan.sim.clock.ACTIONS_PER_INSTANT_MAX", 100)
    clock = VirtualClock(0.0)

    def again():
        clock.schedule(clock.now, again)

    clock.schedule(1.0, again)
    with pytest.raises(RunawayError, match=r"virtual time 1\.0"):
        clock.run_until(2)
