"""A diary is one local day of people: by the wall clock, the same for the same seed, empty while they are away."""

from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from meterspan.sim.daily_life import (
    PEOPLE,
    Diary,
    Equipment,
    Habits,
    Heating,
    Residents,
    midnights_of,
    offset_change,
)

BERLIN = ZoneInfo("Europe/Berlin")
GAS = Equipment()
AT_HOME = Habits(420, 780, 780, 1380, away=False, at_home=True)


def events(day, habits=AT_HOME, *, seed=3, equipment=GAS):
    return Diary(seed, day, habits, people=PEOPLE[Residents.FAMILY], equipment=equipment, zone=BERLIN).write()


def test_a_diary_depends_on_seed_and_day_only():
    first, again = events(date(2025, 3, 5)), events(date(2025, 3, 5))
    for name in ("load", "water", "hot"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
    assert not np.array_equal(first.load[:5], events(date(2025, 3, 6)).load[:5])
    assert not np.array_equal(first.load[:5], events(date(2025, 3, 5), seed=4).load[:5])


def test_nobody_switches_anything_on_while_they_are_away():
    away = events(date(2025, 7, 5), Habits(420, 780, 780, 1380, away=True, at_home=False))
    assert [len(rows) for rows in (away.load, away.water, away.hot)] == [0, 0, 0]


def test_a_heat_pump_heats_tap_water_by_itself():
    assert len(events(date(2025, 3, 5)).hot)
    assert not len(events(date(2025, 3, 5), equipment=Equipment(Heating.HEAT_PUMP)).hot)


@pytest.mark.parametrize(
    ("day", "hours", "change_h"), [(date(2025, 3, 30), 23, 2), (date(2025, 10, 26), 25, 3), (date(2025, 3, 5), 24, 24)]
)
def test_a_day_is_as_long_as_its_zone_has_it(day, hours, change_h):
    start, end = midnights_of(day, BERLIN)
    assert (end - start, offset_change(start, end, BERLIN) - start) == (3600 * hours, 3600 * change_h)


@pytest.mark.parametrize("day", [date(2025, 3, 30), date(2025, 10, 26), date(2025, 3, 5)])
def test_people_get_up_by_the_wall_clock(day):
    start, end = midnights_of(day, BERLIN)
    taps = events(day).water[:, 0]
    first_min = (taps.min() - start - (end - start - 86_400)) / 60
    assert AT_HOME.wake - 5 < first_min < AT_HOME.wake + 60
