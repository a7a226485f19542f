"""What the portal asks of its views: at the present time, and within the metering era."""

from datetime import UTC, date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.views import Home
from meterspan.portal.problems import ProblemError
from meterspan.portal.sources import Sources, parse_month
from meterspan.quantities import Commodity

NOW = datetime(2026, 10, 24, 23, 30, tzinfo=UTC)


class Asked:
    """Views that give back what they are asked."""

    def __getattr__(self, name):
        return lambda *what: (name, *what)


def sources(orders=None):
    return Sources(Asked(), Asked(), lambda: NOW, orders)


@given(st.dates(date(1, 1, 1), date(9999, 12, 31)))
def test_days_and_months_of_the_metering_era_are_asked_for_and_others_refused(day):
    for name in ("day", "month"):
        ask = getattr(sources(), name)
        if 2000 <= day.year <= 2099:
            assert ask("h1", Commodity.GAS, day) == (name, "h1", Commodity.GAS, day)
        else:
            with pytest.raises(ProblemError) as refused:
                ask("h1", Commodity.GAS, day)
            assert (refused.value.status, refused.value.kind) == (422, "date-out-of-range")


def test_what_is_of_now_is_asked_with_the_time_of_the_clock():
    assert sources().live("h1") == ("live", "h1", NOW)
    assert sources().story("M1") == ("story", "M1", NOW)
    assert sources(Asked()).order("M1", 30.0, "anna") == ("order", "M1", NOW, 30.0, "anna")
    assert sources().home("h1") == ("home", "h1")


def test_without_a_head_end_an_order_is_a_problem_with_a_remedy():
    with pytest.raises(ProblemError) as refused:
        sources().order("M1", 30.0, "anna")
    assert (refused.value.status, refused.value.kind) == (501, "no-head-end")


@pytest.mark.parametrize(
    ("zone", "day"),
    [("Europe/Berlin", date(2026, 10, 25)), ("UTC", date(2026, 10, 24)), ("Asia/Tokyo", date(2026, 10, 25))],
)
def test_today_is_the_local_date_of_the_home(zone, day):
    assert sources().local_today(Home("h1", "Home", zone)) == day


@given(st.integers(0, 9999), st.integers(1, 12))
def test_a_month_is_its_first_day(year, month):
    assert parse_month(f"{year:04d}-{month:02d}") == date(max(1, year), month, 1)
