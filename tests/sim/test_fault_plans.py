"""Fault plans: the same hours on any day, the same shares of a short run, and everything healed in time."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.sim.fault_plans import Places, bad_day, quiet_day, restless_hours
from meterspan.sim.faults import FaultKind

BERLIN = ZoneInfo("Europe/Berlin")
DAYS = [
    datetime(2026, 10, 25, tzinfo=BERLIN),
    datetime(2026, 3, 29, tzinfo=BERLIN),
    datetime(2026, 7, 1, tzinfo=BERLIN),
]


def names(letter, least):
    return st.integers(least, 5).map(lambda count: tuple(f"{letter}{number}" for number in range(count)))


places = st.builds(Places, names("L", 1), names("E", 1), names("P", 0), names("R", 1))
starts = st.sampled_from([day.timestamp() for day in DAYS])


@given(places, starts, st.floats(3.0, 60.0))
def test_a_bad_day_has_every_kind_of_fault_that_heals_and_each_begins_and_ends_within_the_run(where, start, hours):
    end = start + 3_600 * hours
    plan = bad_day(where, start, end, zone="Europe/Berlin")
    kinds = {fault.kind for fault in plan.faults}
    wired = {FaultKind.DAMAGED_FRAMES} if where.wired else set()
    assert kinds == set(FaultKind) - {FaultKind.REGISTER_RESET, FaultKind.DAMAGED_FRAMES} | wired
    assert all(start <= fault.start <= fault.end <= end + 900 for fault in plan.faults)
    known = {*where.access_points, *where.direct, *where.wired, *where.radios}
    assert {fault.target for fault in plan.faults} <= known


@pytest.mark.parametrize("day", DAYS, ids=["25 hours", "23 hours", "24 hours"])
def test_faults_of_a_whole_day_happen_at_the_same_local_hours_however_long_the_day_is(day):
    where = Places(("L0",), ("E0",), ("P0",), ("R0",))
    plan = bad_day(where, day.timestamp(), day.timestamp() + 90_000, zone="Europe/Berlin")
    spans = {
        fault.kind: tuple(datetime.fromtimestamp(at, UTC).astimezone(BERLIN).strftime("%H:%M") for at in span)
        for fault in plan.faults
        for span in [(fault.start, fault.end)]
        if fault.kind is not FaultKind.OUTAGE
    }
    assert spans == {
        FaultKind.WRONG_KEY: ("00:00", "06:12"),
        FaultKind.REPLAY: ("09:24", "09:24"),
        FaultKind.LOST_FRAMES: ("17:00", "20:00"),
        FaultKind.DAMAGED_FRAMES: ("10:01", "10:14"),
        FaultKind.POWER_OUTAGE: ("15:02", "15:10"),
        FaultKind.EXCHANGE: ("12:00", "12:00"),
        FaultKind.CLOCK_DRIFT: ("05:00", "09:00"),
    }


@given(st.integers(0, 100))
def test_a_short_run_meets_the_faults_of_a_day_at_the_same_shares_of_its_time(number):
    where = Places(("L0",), ("E0",), (), ("R0",))
    start = DAYS[2].timestamp()
    day = quiet_day(where, start, start + 86_400, zone="Europe/Berlin", number=number)
    short = quiet_day(where, start, start + 8_640, zone="Europe/Berlin", number=number)
    assert [fault.start - start for fault in short.faults] == pytest.approx(
        [(fault.start - start) / 10 for fault in day.faults], abs=1.0
    )


@given(places, st.integers(0, 10))
def test_quiet_days_turn_the_faults_from_one_place_to_the_next(where, number):
    start = DAYS[2].timestamp()
    plan = quiet_day(where, start, start + 86_400, zone="Europe/Berlin", number=number)
    hit = {fault.target for fault in plan.faults}
    assert hit == {
        where.access_points[number % len(where.access_points)],
        where.direct[number % len(where.direct)],
        where.radios[number % len(where.radios)],
    }


@given(places, st.integers(0, 86_400), st.integers(0, 20_000))
def test_each_full_hour_of_a_living_demo_finds_exactly_one_meter_that_is_not_reached(where, late, span):
    start = DAYS[2].timestamp() + late
    plan = restless_hours(where, start, start + span)
    for hour in range(int(-(-start // 3_600)), int((start + span) // 3_600) + 1):
        cut = [meter for meter in where.direct if plan.active(FaultKind.OUTAGE, meter, 3_600.0 * hour)]
        assert cut == [where.direct[hour % len(where.direct)]]
