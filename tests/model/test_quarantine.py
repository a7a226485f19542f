"""The quarantine loses no count and never grows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.quarantine import (
    REFUSED_ALARM_AFTER_S,
    REFUSED_ALARM_AT,
    FrameFault,
    FrameQuarantine,
    QuarantinedFrame,
    RefusalTally,
    fault_of,
)
from meterspan.wire import ChecksumError, KeyMissingError, KeyWrongError, ReplayError, UnsupportedError, WireError


def frame(number: int, octets: bytes = b"\x00") -> QuarantinedFrame:
    return QuarantinedFrame(float(number), "radio", FrameFault.DAMAGED, "CRC differs", octets)


def test_a_flood_is_counted_in_full_and_kept_in_part() -> None:
    quarantine = FrameQuarantine(frame_count_max=10)
    for number in range(1_000):
        quarantine.keep(frame(number))
    assert quarantine.total == quarantine.counts[FrameFault.DAMAGED] == 1_000
    assert [kept.time for kept in quarantine.newest(100)] == [float(number) for number in range(999, 989, -1)]


def test_an_oversized_frame_is_cut_and_says_so() -> None:
    quarantine = FrameQuarantine(frame_size_max=4)
    quarantine.keep(frame(1, b"123456"))
    (kept,) = quarantine.newest()
    assert kept.octets == b"1234"
    assert "first 4 of 6 octets" in kept.reason


@pytest.mark.parametrize(
    ("error", "fault"),
    [
        (KeyMissingError("k"), FrameFault.MISSING_KEY),
        (KeyWrongError("k"), FrameFault.WRONG_KEY),
        (ReplayError("r"), FrameFault.REPLAYED),
        (ChecksumError("c"), FrameFault.DAMAGED),
        (UnsupportedError("u"), FrameFault.UNREADABLE),
        (WireError("w"), FrameFault.UNREADABLE),
    ],
)
def test_an_error_tells_its_fault(error: WireError, fault: FrameFault) -> None:
    assert fault_of(error) is fault


@pytest.mark.finding("security M10")
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 600)), max_size=60))
def test_each_row_of_refusals_raises_one_alarm_and_what_is_taken_ends_it(outcomes: list[tuple[bool, int]]) -> None:
    tally, row, now, begun, was_taken, is_said = RefusalTally(), 0, 0.0, 0.0, False, False
    for is_taken, passed in outcomes:
        now += passed
        row, begun = (0, now) if is_taken else (row + 1, now if row == 0 else begun)
        was_taken, is_said = was_taken or is_taken, is_said and not is_taken
        tally.taken("M1") if is_taken else tally.refused("M1", now)
        is_alarm = row >= REFUSED_ALARM_AT and (not was_taken or now - begun >= REFUSED_ALARM_AFTER_S)
        assert [alarm.count for alarm in tally.take_alarms()] == [row] * (is_alarm and not is_said)
        assert tally.alarming("M1") == (row if is_alarm else 0)
        is_said = is_said or is_alarm


@pytest.mark.attack(2)
def test_in_a_flood_in_the_name_of_a_meter_that_is_heard_nothing_says_that_all_is_refused() -> None:
    tally = RefusalTally()
    for second in range(7_200):
        if second % 900 == 0:
            tally.taken("M1")
        for _ in range(2):
            tally.refused("M1", float(second))
        assert tally.alarming("M1") == 0
    assert tally.take_alarms() == []
    for second in range(7_200, 9_000):
        tally.refused("M1", float(second))
    assert [alarm.device for alarm in tally.take_alarms()] == ["M1"], "it is silent"
