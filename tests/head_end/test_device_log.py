"""The story of a meter under any sequence of notes: bounded, newest first, repeats joined."""

from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.head_end.device_log import DeviceLog, Entry, Frame
from meterspan.model.failures import Failure, FailureKind

notes = st.lists(st.tuples(st.sampled_from("AB"), st.sampled_from(["read", "failed"]), st.sampled_from("xy")))


def runs(device, told):
    """What a person would write down: one line for each run of the same thing, with its last time."""
    numbered = [(time, kind, title) for time, (name, kind, title) in enumerate(told) if name == device]
    for (kind, title), run in groupby(numbered, key=lambda note: note[1:]):
        times = [time for time, _, _ in run]
        yield times[-1], kind, title, len(times)


@given(notes, st.integers(1, 4))
def test_a_story_holds_the_newest_runs_of_the_same_thing_with_their_count_and_last_time(told, bound):
    log = DeviceLog(entry_count_max=bound)
    for time, (device, kind, title) in enumerate(told):
        log.note(device, Entry(time, kind, title))
    for device in "AB":
        found = [(entry.time, entry.kind, entry.title, entry.count) for entry in log.entries(device)]
        assert found == list(runs(device, told))[::-1][:bound]


@given(st.lists(st.tuples(st.sampled_from("AB"), st.binary(max_size=3))), st.integers(1, 4))
def test_only_the_newest_frames_of_each_meter_are_kept_newest_first(heard, bound):
    log = DeviceLog(frame_count_max=bound)
    frames = [(device, Frame(time, time % 2 == 0, "P1", octets)) for time, (device, octets) in enumerate(heard)]
    for device, frame in frames:
        log.frame(device, frame)
    for device in "AB":
        assert list(log.frames(device)) == [frame for name, frame in frames if name == device][::-1][:bound]


def test_a_joined_entry_has_the_detail_and_the_failure_of_the_last_time():
    log = DeviceLog()
    last = Failure(FailureKind.TIMEOUT, "after 10 s")
    log.note("A", Entry(1, "failed", "Session failed", "no route", failure=Failure(FailureKind.UNREACHABLE)))
    log.note("A", Entry(2, "failed", "Session failed", "no answer", failure=last))
    assert log.entries("A") == (Entry(2, "failed", "Session failed", "no answer", count=2, failure=last),)


@pytest.mark.finding("security M6")
def test_no_flood_of_what_anybody_can_cause_pushes_out_what_was_proved():
    log = DeviceLog(entry_count_max=4)
    log.note("A", Entry(1, "exchanged", "Exchanged for MSP2"))
    for time in range(2, 1_000, 2):
        log.note("A", Entry(time, "quarantined", "A frame was quarantined: wrong key", is_proved=False))
        log.note("A", Entry(time + 1, "quarantined", "A frame was quarantined: replayed", is_proved=False))
        log.note("A", Entry(time + 1, "read", "Read on schedule"))
    entries = log.entries("A")
    assert entries[-1].kind == "exchanged"
    assert len(entries) == 4 + 2
    assert entries[0] == Entry(999, "read", "Read on schedule", count=499)


def test_proved_and_unproved_entries_are_told_in_the_order_in_which_they_happened():
    log = DeviceLog()
    for time in range(6):
        log.note("A", Entry(0.0, "read" if time % 2 else "failed", f"number {time}", is_proved=bool(time % 2)))
    assert [entry.title for entry in log.entries("A")] == [f"number {time}" for time in range(5, -1, -1)]
