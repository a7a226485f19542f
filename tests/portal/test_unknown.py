"""Unknown is never 0 and never 100 %: pages and JSON of views in which nothing is known name no such number.

Counts that are facts (meters, frames, octets) are drawn so that none of them is 0 or 100.
"""

import json
import re
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from html import unescape
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meterspan.analytics.tariff import Band, Tariff, TariffWindow
from meterspan.mdm import MeterDataManagement
from meterspan.model.readings import CaptureBlock, CaptureColumn, Source
from meterspan.model.remedies import Reason, Situation
from meterspan.model.views import CompletenessCell, MeterState
from meterspan.quantities import UNITS, Commodity, Obis, Quality
from tests.portal.sample_views import METERS, SampleDesk, SampleHomes, SampleNetwork
from tests.portal.test_pages import render
from tests.store.memory_backends import MemoryJournal, MemoryRegistry

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


@pytest.mark.attack(7)
@pytest.mark.finding("users F3")
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


@pytest.mark.attack(7)
@pytest.mark.parametrize("path", JSON)
def test_json_of_which_nothing_is_known_has_null_where_a_number_would_be_0_or_1(path):
    answer = json.loads(render(UnknownHomes(), UnknownNetwork(), path=path).text)
    assert [(name, number) for name, number in numbers(answer) if name not in COUNTS and number in {0, 1, 100}] == []


# --- a real data management, fed with random parts of a day ---------------------------------------------------------

DAY = date(2026, 11, 20)
MIDNIGHT = datetime(2026, 11, 19, 23, tzinfo=UTC)
PERIOD_S = {Commodity.ELECTRICITY: 900, Commodity.GAS: 3_600}
REGISTER = {Commodity.ELECTRICITY: Obis(1, 0, 1, 8, 0), Commodity.GAS: Obis(7, 0, 3, 0, 0)}
UNIT_OF = {Commodity.ELECTRICITY: "Wh", Commodity.GAS: "L"}
FLAT = Tariff(
    "T",
    "EUR",
    "kWh",
    (Band("day", Decimal("0.30")), Band("night", Decimal("0.20"))),
    (TariffWindow("night", time(22), time(6)),),
    Decimal("0.5"),
    tax=Decimal("0.19"),
)
HEARD = st.dictionaries(st.integers(0, 95), st.integers(0, 900), max_size=12)


@dataclass(frozen=True)
class PartOfADay:
    """What was heard of a home on one day: registers by quarter of an hour (a rise each), and power by second."""

    heard: dict[Commodity, dict[int, int]]
    power: dict[int, int]
    now: datetime
    has_tariff: bool

    def registers(self, commodity):
        """Return the heard registers by their seconds since midnight; those after now are not heard yet."""
        value, found = 5_000, {}
        step = PERIOD_S[commodity]
        for number, rise in sorted(self.heard[commodity].items()):
            value += rise
            if MIDNIGHT + timedelta(seconds=number * step) <= self.now:
                found[number * step] = value
        return found


@st.composite
def parts_of_a_day(draw):
    hours = {number % 24: rise for number, rise in draw(HEARD).items()}
    power = draw(st.dictionaries(st.integers(-7_300, -1), st.integers(0, 9_000), max_size=8))
    now = MIDNIGHT + timedelta(seconds=draw(st.integers(8_000, 86_000)))
    return PartOfADay(
        {Commodity.ELECTRICITY: draw(HEARD), Commodity.GAS: hours}, power, now, has_tariff=draw(st.booleans())
    )


@contextmanager
def fed(part):
    """Open a data management that has taken a part of a day."""
    place: dict = {}
    with (
        tempfile.TemporaryDirectory() as folder,
        MeterDataManagement(Path(folder), stores=lambda _: (MemoryJournal(place), MemoryRegistry(place))) as data,
    ):
        data.register_home("h", "Home", zone="Europe/Berlin")
        for commodity, period_s in PERIOD_S.items():
            data.install_meter(
                "h", commodity.value, device=commodity.value, commodity=commodity, at=MIDNIGHT, period_s=period_s
            )
            if found := part.registers(commodity):
                data.take([_block(commodity.value, REGISTER[commodity], UNIT_OF[commodity], found, MIDNIGHT)])
        if part.power:
            data.take([_block(Commodity.ELECTRICITY.value, Obis(1, 0, 1, 7, 0), "W", part.power, part.now)])
        if part.has_tariff:
            data.assign_tariff(Commodity.ELECTRICITY.value, FLAT, first_day=date(2026, 1, 1))
        yield data


def _block(device, obis, unit, values, since):
    times = np.array([int(since.timestamp()) + second for second in sorted(values)], np.int64)
    nothing = np.zeros(len(times), np.int32)
    column = CaptureColumn(obis, UNITS[unit], 0, np.array([values[second] for second in sorted(values)], np.int64))
    return CaptureBlock(device, Source.SCHEDULED_READ, int(times.max()), times, (column,), nothing, nothing)


def known_of(part, commodity):
    """Return total, first and last known second of the day, by the registers alone; None where nothing is known."""
    found = part.registers(commodity)
    if len(found) < 2:
        return None, None, None
    first, last = min(found), max(found)
    return Decimal(found[last] - found[first]) / 1000, first, last


@pytest.mark.attack(7)
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(parts_of_a_day())
def test_of_random_parts_of_a_day_every_figure_is_a_sum_of_what_is_known_with_its_coverage_or_unknown(part):
    with fed(part) as data:
        live = data.live("h", part.now)
        for today in live.today:
            total, first, last = known_of(part, today.commodity)
            view = data.day("h", today.commodity, DAY)
            month = data.month("h", today.commodity, DAY)
            assert today.consumed == view.total == month.total == total
            assert [point.value for point in month.points if point.value is not None] == [total] * (total is not None)
            inside = [
                total is not None
                and first <= (point.start - view.start).total_seconds()
                and (point.end - view.start).total_seconds() <= last
                for point in view.intervals
            ]
            assert [point.value is not None for point in view.intervals] == inside
            assert (view.known, view.parts) == (sum(inside), len(inside))
            is_priced = part.has_tariff and today.commodity is Commodity.ELECTRICITY and total is not None
            known = [point for point in view.intervals if point.value is not None]
            costs = [today.cost, view.cost, month.cost, *(point.cost for point in known)]
            assert {cost is not None for cost in costs} == {is_priced}
            assert view.priced == (view.known if is_priced else 0)
            assert (today.known_share is None) == (total is None or last == 0)
            assert (today.known_share == 1) == (total is not None and first == 0)
            assert (today.commodity in live.incomplete) == (total is not None and first > 0)
            assert today.yesterday_same_time is None
        _check_power(part, data, live)


@pytest.mark.attack(7)
@settings(max_examples=4, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(parts_of_a_day())
def test_the_page_of_random_parts_of_a_day_shows_their_figures_and_dashes(part):
    with fed(part) as data:
        _check_page(part, data, data.live("h", part.now))


def _check_power(part, data, live):
    seconds = {int(part.now.timestamp()) + second: watts for second, watts in part.power.items()}
    shown = data.power("h", part.now)
    minutes = {second // 60 for second in seconds if shown.start.timestamp() <= second < shown.end.timestamp()}
    assert {int(point.start.timestamp()) // 60 for point in shown.heard} == minutes
    recent = [second for second in part.power if second >= -1_800]
    assert live.power_w == (part.power[max(recent)] if recent else None)
    quarters = part.registers(Commodity.ELECTRICITY)
    for point in shown.means:  # a mean of a quarter of an hour that has a register at both ends
        start = int((point.start - MIDNIGHT).total_seconds())
        assert point.power_w == round(Decimal(quarters[start + 900] - quarters[start]) * 4)


def _check_page(part, data, live):
    html = render(data, UnknownNetwork(), path="/homes/h", now=part.now).text
    written = re.findall(r'<data class="q" value="([^"]*)"[^>]*data-live="([^"]*)"', html)
    figures = {name: value for value, name in written}
    for today in live.today:
        assert figures[f"consumed.{today.commodity}"] == ("" if today.consumed is None else f"{today.consumed:f}")
        assert figures.get(f"cost.{today.commodity}", "") == ("" if today.cost is None else f"{today.cost:f}")
    for commodity in live.incomplete:
        assert re.search(rf'data-change="{commodity}".*?% of that time is known', html, re.DOTALL)
