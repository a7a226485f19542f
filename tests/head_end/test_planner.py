"""The planner reads what is missing, backs off, throttles, and never lets an order go silent."""

import itertools
import sys
from collections.abc import Sequence

import pytest

from meterspan.head_end import planner as planner_module
from meterspan.head_end.planner import (
    ORDERS_PER_TARGET_MAX,
    Hole,
    NetworkPolicy,
    Planner,
    ReadPolicy,
    SessionJob,
    TaskKind,
)
from meterspan.model.order_errors import TooManyOrdersError
from meterspan.quantities import Obis

PROFILE = Obis(1, 0, 99, 1, 0)
ENERGY = Obis(1, 0, 1, 8, 0)
HOUR_S = 3_600
NOW = 1_800_000_000.0


class Holes:
    """What each target owes, as a test sets it."""

    def __init__(self) -> None:
        self.of: dict[str, list[Hole]] = {}

    def __call__(self, target: str, until: int) -> Sequence[Hole]:
        return [hole for hole in self.of.get(target, []) if hole.end <= until]

    def owe(self, target: str, start: float, end: float) -> Hole:
        hole = Hole(target, PROFILE, (ENERGY,), int(start), int(end))
        self.of.setdefault(target, []).append(hole)
        return hole


@pytest.fixture
def holes() -> Holes:
    return Holes()


def drain(planner: Planner, now: float) -> list[SessionJob]:
    jobs = []
    while (job := planner.next_job(now)) is not None:
        jobs.append(job)
    return jobs


def test_a_hole_becomes_a_task_and_old_holes_are_recovery(holes: Holes) -> None:
    planner = Planner(ReadPolicy(), holes)
    old = holes.owe("A", NOW - 30 * HOUR_S, NOW - 29 * HOUR_S)
    new = holes.owe("A", NOW - 600, NOW - 300)
    planner.add("A", "cell", NOW - 1_000)
    (job,) = drain(planner, NOW)
    assert [(task.kind, task.hole) for task in job.tasks] == [
        (TaskKind.SCHEDULED, new),
        (TaskKind.RECOVERY, old),
        (TaskKind.CLOCK, None),
    ]
    assert planner.open_count == 1


def test_nothing_owed_holds_no_session(holes: Holes) -> None:
    planner = Planner(ReadPolicy(), holes)
    planner.add("A", "cell", NOW - 1_000)
    (first,) = drain(planner, NOW)
    planner.finished(first, ok=True, now=NOW)
    assert drain(planner, NOW + 2 * HOUR_S) == []
    deadline = planner.deadline()
    assert deadline is not None
    assert NOW + 2 * HOUR_S < deadline <= NOW + 4 * HOUR_S


def test_failures_back_off_and_a_success_forgets_them(holes: Holes) -> None:
    planner = Planner(ReadPolicy(retry_first_s=30, retry_factor=2, retry_max_s=100), holes)
    holes.owe("A", NOW - HOUR_S, NOW - 600)
    planner.add("A", "cell", NOW - 1_000)
    now, waits = NOW, []
    for _ in range(4):
        (job,) = drain(planner, now)
        planner.finished(job, ok=False, now=now)
        later = planner.deadline()
        assert later is not None
        waits.append(later - now)
        now = later
    assert [20 <= waits[0] <= 40, 45 <= waits[1] <= 75, 80 <= waits[2] <= 120, 80 <= waits[3] <= 120] == [True] * 4
    (job,) = drain(planner, now)
    assert job.attempt == 5
    planner.finished(job, ok=True, now=now)
    assert planner.failures("A") == 0


def test_a_segment_bounds_its_open_sessions(holes: Holes) -> None:
    planner = Planner(ReadPolicy(), holes, {"cell": NetworkPolicy(sessions_max=3)})
    for number in range(10):
        holes.owe(f"M{number}", NOW - HOUR_S, NOW - 600)
        planner.add(f"M{number}", "cell", NOW - 1_000)
    jobs = drain(planner, NOW)
    assert len(jobs) == 3
    planner.finished(jobs[0], ok=True, now=NOW)
    assert len(drain(planner, NOW)) == 1
    assert planner.open_count == 3


def test_a_segment_bounds_its_starts_per_second(holes: Holes) -> None:
    planner = Planner(ReadPolicy(), holes, {"cell": NetworkPolicy(starts_per_s_max=4)})
    for number in range(10):
        holes.owe(f"M{number}", NOW - HOUR_S, NOW - 600)
        planner.add(f"M{number}", "cell", NOW - 1_000)
    assert len(drain(planner, NOW)) == 4
    assert planner.deadline() == NOW + 1.0
    assert len(drain(planner, NOW + 1.0)) == 4
    assert len(drain(planner, NOW + 2.0)) == 2


def test_an_order_starts_a_session_at_once_and_goes_first(holes: Holes) -> None:
    planner = Planner(ReadPolicy(), holes)
    planner.add("A", "cell", NOW)
    order = planner.order("A", "A", [ENERGY], now=NOW, deadline=NOW + 20)
    (job,) = drain(planner, NOW)
    assert job.tasks[0].order == order
    planner.finished(job, ok=True, now=NOW + 1)
    assert planner.overdue_orders(NOW + 60) == []


def test_an_order_that_fails_is_retried_until_it_times_out(holes: Holes) -> None:
    planner = Planner(ReadPolicy(retry_first_s=5), holes)
    planner.add("A", "cell", NOW)
    order = planner.order("A", "A", [ENERGY], now=NOW, deadline=NOW + 20)
    (job,) = drain(planner, NOW)
    planner.finished(job, ok=False, now=NOW)
    (again,) = drain(planner, NOW + 8)
    assert again.tasks[0].order == order
    planner.finished(again, ok=False, now=NOW + 8)
    assert planner.overdue_orders(NOW + 19) == []
    assert planner.overdue_orders(NOW + 20) == [order]
    assert planner.overdue_orders(NOW + 21) == []


def test_an_order_for_an_unknown_device_is_refused(holes: Holes) -> None:
    with pytest.raises(KeyError):
        Planner(ReadPolicy(), holes).order("nobody", "nobody", [ENERGY], now=NOW, deadline=NOW + 1)


def test_a_hole_that_stays_empty_is_not_asked_for_for_ever(holes: Holes) -> None:
    planner = Planner(ReadPolicy(empty_reads_max=2), holes)
    hole = holes.owe("A", NOW - HOUR_S, NOW - 600)
    planner.add("A", "cell", NOW - 1_000)
    now = NOW
    for _ in range(2):
        (job,) = drain(planner, now)
        assert hole in {task.hole for task in job.tasks}
        planner.finished(job, ok=True, now=now)
        now += 2 * HOUR_S
    assert drain(planner, now) == []


def test_a_long_hole_is_asked_for_in_parts(holes: Holes) -> None:
    planner = Planner(ReadPolicy(hole_span_max_s=86_400), holes)
    holes.owe("A", NOW - 3 * 86_400, NOW - 600)
    planner.add("A", "cell", NOW - 1_000)
    (job,) = drain(planner, NOW)
    spans = sorted((task.hole.start, task.hole.end) for task in job.tasks if task.hole is not None)
    assert spans[0][0] == NOW - 3 * 86_400
    assert spans[-1][1] == NOW - 600
    assert all(end - start <= 86_400 for start, end in spans)
    assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))


def test_a_dropped_target_is_planned_no_more(holes: Holes) -> None:
    planner = Planner(ReadPolicy(), holes)
    holes.owe("A", NOW - HOUR_S, NOW - 600)
    planner.add("A", "cell", NOW - 1_000)
    (job,) = drain(planner, NOW)
    planner.drop("A")
    planner.finished(job, ok=True, now=NOW)
    assert drain(planner, NOW + 10 * HOUR_S) == []
    assert planner.open_count == 0


def test_ten_thousand_targets_are_handed_out_without_scanning(holes: Holes) -> None:
    planner = Planner(ReadPolicy(), holes, {"cell": NetworkPolicy(sessions_max=100, starts_per_s_max=1e9)})
    for number in range(10_000):
        holes.owe(f"M{number}", NOW - HOUR_S, NOW - 600)
        planner.add(f"M{number}", "cell", NOW - 1_000)
    seen = set()
    jobs = drain(planner, NOW)
    while jobs:
        seen |= {job.target for job in jobs}
        for job in jobs:
            holes.of[job.target] = []
            planner.finished(job, ok=True, now=NOW)
        jobs = drain(planner, NOW)
    assert len(seen) == 10_000


@pytest.mark.attack(2)
@pytest.mark.finding("security M3")
def test_the_orders_of_a_target_are_bounded_and_one_that_ended_frees_a_place(holes: Holes) -> None:
    planner = Planner(ReadPolicy(), holes)
    planner.add("meter", "cell", NOW)
    for _ in range(ORDERS_PER_TARGET_MAX):
        planner.order("meter", "meter", [ENERGY], now=NOW, deadline=NOW + 60)
    with pytest.raises(TooManyOrdersError) as full:
        planner.order("meter", "meter", [ENERGY], now=NOW, deadline=NOW + 60)
    assert (full.value.waiting, full.value.device) == (ORDERS_PER_TARGET_MAX, "meter")
    assert len(planner.overdue_orders(NOW + 61)) == ORDERS_PER_TARGET_MAX
    assert planner.order("meter", "meter", [ENERGY], now=NOW + 61, deadline=NOW + 90).device == "meter"


@pytest.mark.attack(2)
@pytest.mark.finding("security M3")
def test_the_orders_of_all_targets_are_bounded(holes: Holes, monkeypatch) -> None:
    monkeypatch.setattr(planner_module, "ORDERS_MAX", 5)
    planner = Planner(ReadPolicy(), holes)
    for number in range(6):
        planner.add(str(number), "cell", NOW)
    for number in range(5):
        planner.order(str(number), str(number), [ENERGY], now=NOW, deadline=NOW + 60)
    with pytest.raises(TooManyOrdersError) as full:
        planner.order("5", "5", [ENERGY], now=NOW, deadline=NOW + 60)
    assert (full.value.waiting, full.value.device) == (5, "")


@pytest.mark.attack(2)
@pytest.mark.finding("security M3")
def test_overdue_orders_cost_no_more_each_however_many_there_are(holes: Holes, monkeypatch) -> None:
    def visited(count: int) -> int:
        planner = Planner(ReadPolicy(), holes)
        planner.add("meter", "cell", NOW)
        orders = [planner.order("meter", "meter", [ENERGY], now=NOW, deadline=NOW + 60) for _ in range(count)]
        lines = 0

        def count_lines(frame, event, argument):
            nonlocal lines
            lines += event == "line"
            return count_lines

        sys.settrace(count_lines)
        try:
            assert planner.overdue_orders(NOW + 61) == orders
        finally:
            sys.settrace(None)
        return lines

    monkeypatch.setattr(planner_module, "ORDERS_PER_TARGET_MAX", 10_000)
    assert visited(800) <= 9 * visited(100)
