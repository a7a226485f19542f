"""Generations say which readings changed when, to the hour, and let an answer find one state."""

import contextlib
import threading
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from meterspan.mdm.generations import HOURS_KEPT, Generations
from meterspan.quantities import HOUR_S

HOURS = st.integers(-50, 2_000)


def changed(generations, device, *hours):
    with generations.changing({device}) as change:
        change.readings(device, hours)
    return generations.now


def test_each_change_is_a_generation_and_a_change_of_nothing_is_none():
    generations = Generations()
    assert [changed(generations, "M1", 5), changed(generations, "M2", 6)] == [1, 2]
    with generations.changing({"M1"}):
        pass
    with generations.changing(()) as change:
        change.registration()
    assert generations.now == 3
    assert generations.last_change(["M1"]) == 1
    assert generations.last_change(["M1", "M2", "none"]) == 2


@given(st.lists(st.tuples(st.sets(HOURS, min_size=1, max_size=6), st.booleans()), max_size=80), HOURS, HOURS)
def test_no_change_within_a_span_is_overlooked(changes, one, other):
    low, high = min(one, other) * HOUR_S, max(one, other) * HOUR_S + HOUR_S - 1
    generations, expected = Generations(), 0
    for hours, is_other in changes:
        number = changed(generations, "M2" if is_other else "M1", *hours)
        if not is_other and any(low <= hour * HOUR_S <= high for hour in hours):
            expected = number
    found = generations.last_change_within(["M1"], low, high)
    assert expected <= found <= generations.last_change(["M1"])
    if sum(len(hours) for hours, _is_other in changes) <= HOURS_KEPT:
        assert found == expected


@given(st.lists(st.sets(HOURS, min_size=1, max_size=6), min_size=1, max_size=80), st.data())
def test_the_span_since_a_generation_holds_every_later_change(changes, data):
    generations = Generations()
    for hours in changes:
        changed(generations, "M1", *hours)
    since = data.draw(st.integers(0, len(changes)))
    span = generations.span_since(["M1"], since)
    later = [hour for hours in changes[since:] for hour in hours]
    assert (span is None) == (not later)
    if span is not None:
        assert span[0] <= min(later) * HOUR_S
        assert span[1] >= max(later) * HOUR_S + HOUR_S - 1


def test_a_change_that_fails_has_changed_everything_of_its_devices():
    generations = Generations()
    changed(generations, "M1", 5)
    with contextlib.suppress(OSError), generations.changing({"M1"}):
        Path("/nowhere/at/all").read_bytes()
    assert generations.last_change_within(["M1"], 0, 1) == 2
    assert generations.unchanged(["M1"], 2)


def test_devices_are_not_unchanged_while_they_are_being_changed():
    generations = Generations()
    with generations.changing({"M1"}):
        assert not generations.unchanged(["M1"], 0)
        assert generations.unchanged(["M2"], 0)
    assert generations.unchanged(["M1"], 0)


def test_writers_wait_while_an_answer_holds_them_back():
    generations, order = Generations(), []

    def write():
        changed(generations, "M1", 1)
        order.append("written")

    with generations.held():
        thread = threading.Thread(target=write)
        thread.start()
        thread.join(0.1)
        assert generations.now == 0
        order.append("answered")
    thread.join()
    assert order == ["answered", "written"]
