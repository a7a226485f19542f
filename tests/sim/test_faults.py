import json

import pytest

from meterspan.sim.channel import Medium
from meterspan.sim.clock import VirtualClock
from meterspan.sim.faults import INSTANT_KINDS, Fault, FaultKind, FaultPlan

METERS = [f"meter{index}" for index in range(20)]
DAY = 86_400.0


def plan(seed=3):
    return FaultPlan.seeded(seed, 1e9, 1e9 + DAY, meters=METERS, networks=["lnap1", "lnap2"])


def test_a_seeded_plan_has_every_kind_within_the_run_and_repeats():
    faults = plan().faults
    assert {fault.kind for fault in faults} == set(FaultKind)
    assert all(1e9 <= fault.start <= fault.end <= 1e9 + DAY for fault in faults)
    assert sorted(fault.target for fault in faults if fault.kind is FaultKind.OUTAGE) == ["lnap1", "lnap2"]
    assert all((fault.start == fault.end) == (fault.kind in INSTANT_KINDS) for fault in faults)
    assert len({fault.target for fault in faults}) == len(faults)
    assert plan() == plan() != plan(4)


def test_a_plan_survives_json():
    assert FaultPlan.from_json(json.loads(json.dumps(plan().to_json()))) == plan()


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"kind": "gremlins", "target": "m", "start": 0, "end": 1},
        {"kind": "outage", "target": "m", "start": 2, "end": 1},
        {"kind": "outage", "target": "m", "start": 1, "end": 1},
        {"kind": "replay", "target": "m", "start": 1, "end": 2},
        {"kind": "outage", "target": "m", "start": 1, "end": 2, "more": 3},
    ],
)
def test_what_is_not_a_fault_is_refused(row):
    with pytest.raises(ValueError, match=r"fault|gremlins|ends before|an instant"):
        FaultPlan.from_json([row])


def test_a_fault_is_active_from_start_to_before_its_end():
    outage = Fault(FaultKind.OUTAGE, "lnap1", 10, 20)
    one = FaultPlan.of([outage])
    assert [one.active(FaultKind.OUTAGE, "lnap1", at) for at in (9.9, 10, 19.9, 20)] == [None, outage, outage, None]
    assert one.active(FaultKind.OUTAGE, "lnap2", 15) is None
    assert one.active(FaultKind.WRONG_KEY, "lnap1", 15) is None


def test_clock_drift_adds_up_and_stays():
    drift = FaultPlan.of([Fault(FaultKind.CLOCK_DRIFT, "m", 0, 10_000, 100.0)])
    assert drift.clock_error_s("m", 5_000) == pytest.approx(0.5)
    assert drift.clock_error_s("m", 99_000) == pytest.approx(1.0)
    assert drift.clock_error_s("other", 5_000) == 0


def test_the_medium_of_a_target_takes_on_its_faults():
    faults = FaultPlan.of([
        Fault(FaultKind.LOST_FRAMES, "m", 0, 10, 0.5),
        Fault(FaultKind.DAMAGED_FRAMES, "m", 5, 10, 0.25),
        Fault(FaultKind.OUTAGE, "m", 20, 30),
    ])  # fmt: skip
    base = Medium(loss=0.1)
    early, late = faults.medium("m", base, 1), faults.medium("m", base, 50)
    assert (early.loss, early.damage, early.outages) == (0.5, 0.0, ((20, 30),))
    assert (faults.medium("m", base, 7).damage, late.loss) == (0.25, 0.1)
    assert faults.medium("other", base, 7) == base


def test_a_schedule_calls_begin_and_end_in_time():
    clock, calls = VirtualClock(1e9), []
    plan().schedule(
        clock,
        lambda fault: calls.append(("begin", clock.now, fault)),
        lambda fault: calls.append(("end", clock.now, fault)),
    )
    clock.run_until(1e9 + DAY)
    begins = [(at, fault) for what, at, fault in calls if what == "begin"]
    assert begins == [(fault.start, fault) for fault in plan().faults]
    ends = {fault for what, at, fault in calls if what == "end" and at == fault.end}
    assert ends == {fault for fault in plan().faults if fault.kind not in INSTANT_KINDS}


def test_a_plan_needs_meters_and_time():
    with pytest.raises(ValueError, match="needs meters"):
        FaultPlan.seeded(1, 0, 1, meters=[], networks=[])
    with pytest.raises(ValueError, match="needs meters"):
        FaultPlan.seeded(1, 1, 1, meters=["m"], networks=[])
    few = FaultPlan.seeded(1, 0, DAY, meters=["m"], networks=[])
    assert {fault.target for fault in few.faults} == {"m"}
