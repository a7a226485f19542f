"""A wrong zone is told by what only it can explain, and a right one is not doubted."""

import pytest

from meterspan.mdm.imports import FileChannel, FileConflict
from meterspan.mdm.table_reader import ClockSigns
from meterspan.mdm.zone_doubts import doubts_of_clock, doubts_of_shift
from meterspan.quantities import HOUR_S, UNITS, Obis

CHANNEL = FileChannel("E1", Obis(1, 0, 1, 8, 0), UNITS["Wh"], 0)


def conflicts(count):
    return [FileConflict(CHANNEL, 900 * at, 100 + at, (99,)) for at in range(count)]


@pytest.mark.finding("users D-3")
@pytest.mark.parametrize(("hours", "where"), [(1, "1 h later"), (-2, "2 h earlier")])
def test_the_stored_values_of_another_hour_are_recognised(hours, where):
    (doubt,) = doubts_of_shift(conflicts(9), lambda item, _span: [(hours * HOUR_S, item.value), (0, 99)], "UTC")
    assert where in doubt
    assert "--zone" in doubt


def test_conflicts_without_such_a_shift_are_no_matter_of_the_zone():
    assert doubts_of_shift(conflicts(9), lambda item, _span: [(900, item.value)], "UTC") == []
    assert doubts_of_shift(conflicts(9), lambda _item, _span: [(HOUR_S, 1)], "UTC") == []
    assert doubts_of_shift(conflicts(2), lambda item, _span: [(HOUR_S, item.value)], "UTC") == [], "two are too few"
    assert doubts_of_shift([], lambda _item, _span: [], "UTC") == []


def test_one_step_back_is_a_clock_and_many_are_lines_without_an_order():
    signs = ClockSigns()
    signs.step_back(2_700, "25.10.2026 02:00")
    (doubt,) = doubts_of_clock(signs, "UTC", registers=1)
    assert "step back at 25.10.2026 02:00" in doubt
    for _ in range(9):
        signs.step_back(900, "25.10.2026 02:00")
    assert doubts_of_clock(signs, "UTC", registers=1) == []
    assert doubts_of_clock(ClockSigns(), "UTC", registers=1) == []


def test_a_repeated_hour_that_comes_once_is_no_summer_time():
    (doubt,) = doubts_of_clock(ClockSigns(single_passes=1), "Europe/Berlin", registers=1)
    assert "no summer time" in doubt
