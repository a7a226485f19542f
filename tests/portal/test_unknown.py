"""Unknown is never 0 and never 100 %: pages and JSON of views in which nothing is known name no such number.

Counts that are facts (meters, frames, octets) are drawn so that none of them is 0 or 100.
"""

import json
import re
from dataclasses import replace
from datetime import timedelta
from html import unescape

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meterspan.model.remedies import Reason, Situation
from meterspan.model.views import CompletenessCell, MeterState
from meterspan.quantities import Commodity, Quality
from tests.portal.sample_views import METERS, SampleDesk, SampleHomes, SampleNetwork
from tests.portal.test_pages import render

NUMBER_OF_THE_UNKNOWN = re.compile(r"(?<![\w.:,/\u2013-])(0+|100)([.,]0+)?(?![\w:,/-]|\.\d)")
"""0, 0.00, 100 and 100.0 as numbers of their own: no part of a time, a date, a name or a longer number."""
PAGES = (
    "/",
    "/homes/lindenhof-3",
    "/homes/lindenhof-3/gas/2026-11-20",
    "/homes/lindenhof-3/electricity/2026-11",
    "/operator",
    "/operator/meters/DME220817004",
)
JSON = (
    "/api/v1/homes/lindenhof-3/live",
    "/api/v1/homes/lindenhof-3/electricity/days/2026-11-20",
    "/api/v1/homes/lindenhof-3/water/months/2026-11",
    "/api/v1/operator/summary",
)
COUNTS = {
    "parts",
    "known",
    "priced",
    "missing",
    "expected",
    "received",
    "expected_today",
    "received_today",
    "version",
    "quarantined",
    "damaged",
    "meters",
}
"""Fields of JSON that count what is due and what is there: of nothing due, nothing is there, and that is known."""


class UnknownHomes(SampleHomes):
    """Homes whose meters were never heard; ``kept`` names the supplies that at least have a tariff."""

    def __init__(self, kept=frozenset()):
        super().__init__()
        self.kept = kept

    def live(self, home_id, now):
        view = super().live(home_id, now)
        today = tuple(
            replace(row, consumed=None, cost=None, yesterday_same_time=None, last_reading=None, known_share=None)
            for row in view.today
        )
        return replace(view, power_w=None, power_at=None, today=today, cost_today=None)

    def power(self, home_id, now):
        return replace(super().power(home_id, now), heard=(), means=())

    def day(self, home_id, commodity, day):
        view = super().day(home_id, commodity, day)
        return self._unknown(
            replace(
                view,
                intervals=tuple(
                    replace(point, value=None, cost=None, quality=Quality.MISSING) for point in view.intervals
                ),
            )
        )

    def month(self, home_id, commodity, month):
        view = SampleHomes().month(home_id, commodity, month)
        points = tuple(
            replace(point, value=None, cost=None, by_band=(), complete=False, received=0) for point in view.points
        )
        return self._unknown(replace(view, points=points))

    def _unknown(self, view):
        tariff = view.tariff if view.commodity in self.kept else None
        nothing = {"total": None, "cost": None, "unexplained": None, "opening": None, "closing": None}
        return replace(view, **nothing, tariff=tariff, notes=())


class UnknownNetwork(SampleNetwork):
    """A network just mounted: nothing was due, nothing was heard."""

    def __init__(self, count=11):
        super().__init__(tuple((row[0], row[1], row[2], MeterState.UNKNOWN) for row in METERS))
        self.count = count

    def summary(self, now, network=""):
        shares = {"completeness_today": None, "completeness_yesterday": None, "expected_today": 0, "received_today": 0}
        known = {"quarantined": self.count, "readings_stored": self.count, "damaged": self.count, "meters": self.count}
        states = ((MeterState.UNKNOWN, self.count),)
        view = super().summary(now, network)
        return replace(
            view, **shares, **known, by_state=states, by_commodity=(), unexplained_wh=None, sessions_open=None
        )

    def _status(self, row, now):
        reason = Reason(Situation.NEVER_HEARD)
        return replace(super()._status(row, now), last_heard=None, expected=0, received=0, missing=0, reason=reason)

    def _cells(self, row, first, last):
        return tuple(
            CompletenessCell(first + timedelta(days=number), 0, 0) for number in range((last - first).days + 1)
        )

    def quarantine(self, limit=100):
        return []

    def story(self, device, now):
        return replace(super().story(device, now), entries=(), frames=())


def shown(html: str) -> str:
    """Return what a reader sees and what scripts draw from: texts, and the values of numbers, bars and tables."""
    main = re.sub(r"<script.*?</script>", "", html[html.index("<main") : html.index("</main>")], flags=re.DOTALL)
    main = re.sub(r'<div class="day-strip".*?</div>', "", main, flags=re.DOTALL)  # times of a tariff, which is known
    main = re.sub(r"<p class=\"map-legend\".*?</p>", "", main, flags=re.DOTALL)
    drawn = re.findall(r'(?:data-value|data-cost|data-parts|data-points|value)="([^"]*)"', main)
    bars = re.findall(r'<rect class="part" width="([^"]*)"', main)
    return "\n".join([unescape(re.sub(r"<[^>]+>", " ", main)), *drawn, *bars])


@pytest.mark.parametrize("text", ["0", "0.00 kWh", "100.0 %", "0 EUR", "0 / 0", "100 %", "of 0 values", "0,00"])
def test_the_search_finds_the_numbers_that_it_is_for(text):
    assert NUMBER_OF_THE_UNKNOWN.search(text)


@settings(max_examples=6, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.sampled_from(PAGES), st.sets(st.sampled_from(Commodity)), st.integers(11, 99), st.sampled_from(["en", "de"]))
def test_a_page_of_which_nothing_is_known_shows_no_0_and_no_100(path, kept, count, language):
    html = render(UnknownHomes(kept), UnknownNetwork(count), path=path, language=language, orders=SampleDesk()).text
    assert NUMBER_OF_THE_UNKNOWN.findall(shown(html)) == []


@pytest.mark.parametrize("path", PAGES)
def test_every_page_of_which_nothing_is_known_shows_no_0_and_no_100(path):
    html = render(UnknownHomes(), UnknownNetwork(), path=path).text
    found = [match for line in shown(html).splitlines() for match in [NUMBER_OF_THE_UNKNOWN.search(line)] if match]
    assert [match.string for match in found] == []


def numbers(value, name=""):
    """Yield (field, number) for every number of a JSON value, decimal strings too."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from numbers(item, key)
    elif isinstance(value, list):
        for item in value:
            yield from numbers(item, name)
    elif _is_number(value):
        yield name, float(value)


def _is_number(value):
    if isinstance(value, str):
        return re.fullmatch(r"-?\d+(\.\d+)?", value) is not None
    return isinstance(value, int | float) and not isinstance(value, bool)


@pytest.mark.parametrize("path", JSON)
def test_json_of_which_nothing_is_known_has_null_where_a_number_would_be_0_or_1(path):
    answer = json.loads(render(UnknownHomes(), UnknownNetwork(), path=path).text)
    assert [(name, number) for name, number in numbers(answer) if name not in COUNTS and number in {0, 1, 100}] == []
