import json

import pytest

from meterspan.sim.channel import MediumEffects
from meterspan.sim.clock import VirtualClock
from meterspan.sim.faults import INSTANT_KINDS, Fault, FaultKind, FaultPlan

DAY = 86_400.0
PLAN = FaultPlan.of(
    [
        Fault(kind, f"meter{index}", 1e9 + 60 * index, 1e9 + 60 * index + (0 if kind in INSTANT_KINDS else 3_600), 0.25)
        for index, kind in enumerate(FaultKind)
    ]
)


def test_a_plan_survives_json():
    assert FaultPlan.from_json(json.loads(json.dumps(PLAN.to_json()))) == PLAN


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


def test_the_medium_of_a_target_takes_on_its_faults():
    faults = FaultPlan.of(
        [
            Fault(FaultKind.LOST_FRAMES, "m", 0, 10, 0.5),
            Fault(FaultKind.DAMAGED_FRAMES, "m", 5, 10, 0.25),
            Fault(FaultKind.OUTAGE, "m", 20, 30),
        ]
    )
    base = MediumEffects(loss=0.1)
    early, late = faults.medium("m", base, 1), faults.medium("m", base, 50)
    assert (early.loss, early.damage, early.outages) == (0.5, 0.0, ((20, 30),))
    assert (faults.medium("m", base, 7).damage, late.loss) == (0.25, 0.1)
    assert faults.medium("other", base, 7) == base


def test_a_schedule_calls_begin_and_end_in_time():
    clock, calls = VirtualClock(1e9), []
    PLAN.schedule(
        clock,
        lambda fault: calls.append(("begin", clock.now, fault)),
        lambda fault: calls.append(("end", clock.now, fault)),
    )
    clock.run_until(1e9 + DAY)
    begins = [(at, fault) for what, at, fault in calls if what == "begin"]
    assert begins == [(fault.start, fault) for fault in PLAN.faults]
    ends = {fault for what, at, fault in calls if what == "end" and at == fault.end}
    assert ends == {fault for fault in PLAN.faults if fault.kind not in INSTANT_KINDS}
