"""The story of a meter under any sequence of notes: bounded, newest first, repeats joined."""

from itertools import groupby

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
