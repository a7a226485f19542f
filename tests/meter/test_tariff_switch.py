"""The calendar that clients read and the tariff that counts are one table."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.meter.tariff_switch import CALENDAR, TARIFF_SCRIPTS, TariffSwitch
from meterspan.model.cosem.classes import ActivityCalendar, ScriptTable

BERLIN = ZoneInfo("Europe/Berlin")
MINUTES = st.sets(st.integers(1, 1439), max_size=8)


@st.composite
def programmes(draw):
    starts = [0, *sorted(draw(MINUTES))]
    return TariffSwitch(tuple((minute, draw(st.integers(1, 63))) for minute in starts))


@given(programmes(), st.datetimes(datetime.fromisoformat("2026-01-01"), datetime.fromisoformat("2027-01-01")))
def test_the_tariff_that_counts_is_the_one_that_the_calendar_shows(switch, local):
    moment = local.replace(tzinfo=BERLIN)
    calendar, scripts = switch.objects()
    number = ActivityCalendar.day_profile_table_active.number
    (day,) = calendar.read(number, 0.0).items
    shown = [(action.items[0].clock_time, action.items[2].integer) for action in day.items[1].items]
    wall = datetime.fromtimestamp(moment.timestamp(), BERLIN)
    due = [tariff for start, tariff in shown if (start.hour, start.minute) <= (wall.hour, wall.minute)]
    assert switch.tariff(moment.timestamp(), BERLIN) == due[-1]
    listed = {script.items[0].integer for script in scripts.read(ScriptTable.scripts.number, 0.0).items}
    assert listed == {tariff for _, tariff in switch.windows}


def test_the_objects_are_the_calendar_and_the_scripts_that_it_runs():
    calendar, scripts = TariffSwitch().objects()
    assert (calendar.logical_name, scripts.logical_name) == (CALENDAR, TARIFF_SCRIPTS)
    assert calendar.read(ActivityCalendar.calendar_name_active.number, 0.0).octets == b"HT-NT"


@pytest.mark.parametrize("windows", [(), ((60, 1),), ((0, 1), (0, 2)), ((0, 1), (90, 2), (30, 1)), ((0, 1), (1440, 2))])
def test_a_programme_that_leaves_a_minute_open_cannot_be_made(windows):
    with pytest.raises(ValueError, match="start at minute 0"):
        TariffSwitch(windows)
