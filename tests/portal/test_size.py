"""Size is expected: every list of the portal is seen with ten thousand rows, whatever names they have.

The routes are walked, so that a new list is in this test before it is on anybody's screen.
"""

import asyncio
import re
from dataclasses import replace
from datetime import timedelta
from functools import cache
from types import SimpleNamespace

import httpx
import pytest
from fastapi import APIRouter

from meterspan.model.remedies import NO_REASON, Reason, Situation
from meterspan.model.storage.readings import DamageKind
from meterspan.model.views import (
    CompletenessCell,
    CompletenessView,
    DamageView,
    GroupCompleteness,
    Home,
    MeterState,
    MeterStatus,
    OrderState,
    OrderView,
    QuarantineView,
    UsagePointView,
)
from meterspan.portal import create_app
from meterspan.portal.consumer_pages import add_consumer_pages
from meterspan.portal.feeds import Feeds
from meterspan.portal.operator_pages import add_operator_pages
from meterspan.quantities import Commodity
from tests.portal.sample_views import NOW, SampleDesk, SampleHomes, SampleNetwork

ROWS = 10_000
OCTETS_MAX = 300_000
LONG = 'Ä<&"' * 49
"""With a number, two hundred characters, most of which are escaped."""


class Large:
    """Homes, meters and all that an operator can list, ten thousand of each.

    Args:
        name: begins every name.
        networks: how many networks the meters are in.

    """

    def __init__(self, name: str, networks: int) -> None:
        self.names = [f"{name}{number:04}" for number in range(ROWS)]
        self.networks = [f"{name}N{number % networks:03}" for number in range(ROWS)]
        self.states = [tuple(MeterState)[number % len(MeterState)] for number in range(ROWS)]
        self.touched = 0
        """Rows of the completeness map that were asked for."""


class LargeHomes(SampleHomes):
    def __init__(self, large: Large) -> None:
        super().__init__()
        self.all = [
            Home(name, name, "Europe/Berlin", (UsagePointView(name, Commodity.ELECTRICITY, name, "kWh"),))
            for name in large.names
        ]

    def homes(self):
        return self.all


class LargeNetwork(SampleNetwork):
    def __init__(self, large: Large) -> None:
        super().__init__()
        self.large = large
        reason = Reason(Situation.VALUES_DUE, count=7)
        self.lines = [
            MeterStatus(
                name,
                Commodity.ELECTRICITY,
                "DLMS",
                "G1",
                network,
                name,
                state,
                NO_REASON if state is MeterState.OK else reason,
                NOW,
                2_688,
                2_681,
                7,
                missing_lately=number % 97,
            )
            for number, (name, network, state) in enumerate(zip(large.names, large.networks, large.states, strict=True))
        ]

    def meters(self, now):
        return self.lines

    def _row(self, line, first, last):
        self.large.touched += 1
        days = range((last - first).days + 1)
        cells = tuple(CompletenessCell(first + timedelta(days=day), 96, 90) for day in days)
        return CompletenessView(line.device, line.commodity, line.network, cells)

    def completeness(self, first, last, devices=None):
        wanted = {line.device: line for line in self.lines}
        return [self._row(wanted[name], first, last) for name in (devices or wanted) if name in wanted]

    def groups(self, first, last):
        networks = dict(zip(self.large.networks, self.lines, strict=True))
        found = GroupCompleteness.of([self._row(line, first, last) for line in networks.values()])
        self.large.touched -= len(found)
        return found

    def story(self, device, now):
        return replace(super().story("LGZ1030655001", now), status=self.lines[0])

    def quarantine(self, limit=100):
        return [QuarantineView(NOW, name, "damaged", name, "7E" * 60, name) for name in self.large.names[:limit]]

    def damage(self):
        return [DamageView(name, DamageKind.ROW, name, NOW, name, None, None, None) for name in self.large.names]


class LargeDesk(SampleDesk):
    def __init__(self, large: Large) -> None:
        super().__init__()
        self.names = large.names

    def orders(self, limit=100, device=""):
        return [
            OrderView(number, name, OrderState.WAITING, NOW, NOW + timedelta(minutes=1), author=name)
            for number, name in enumerate(self.names[:limit])
            if device in {"", name}
        ]


KINDS = {
    "short names": ("m", 40),
    "long names": (LONG, 40),
    "one network": ("m", 1),
    "long names, one network": (LONG, 1),
}


@cache
def portal_of(kind: str):
    large = Large(*KINDS[kind])
    app = create_app(
        LargeHomes(large), LargeNetwork(large), clock=lambda: NOW, orders=LargeDesk(large), feeds=Feeds(period_s=60)
    )
    return large, app


def ask(app, path: str, **options) -> httpx.Response:
    async def run() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.get(path, **options)

    return asyncio.run(run())


def paths_of(app) -> list[str]:
    """Every address that answers a question, its parameters filled in."""
    values = {
        "home_id": "lindenhof-3",
        "commodity": "electricity",
        "day": "2026-11-20",
        "month": "2026-11",
        "when": "2026-11",
        "device": "LGZ1030655001",
        "order_id": "1",
    }
    pages = APIRouter()
    for add in (add_consumer_pages, add_operator_pages):
        add(pages, SimpleNamespace(sources=None))
    paths = {*app.openapi()["paths"], *(route.path_format for route in pages.routes)}
    return [path.format(**values) for path in sorted(paths) if not path.endswith(("/events", "{device}/orders"))]


LISTS = ("/", "/operator", "/operator/meters", "/operator/orders", "/operator/damage")
API_LISTS = (
    "/api/v1/homes",
    "/api/v1/operator/meters",
    "/api/v1/operator/completeness",
    "/api/v1/operator/completeness?first=2025-11-22&last=2026-11-21",
    "/api/v1/operator/quarantine",
    "/api/v1/operator/damage",
    "/api/v1/operator/orders",
)


@pytest.mark.finding("users F-size")
@pytest.mark.attack(10)
@pytest.mark.parametrize("kind", ["short names", "long names"])
def test_every_answer_of_a_system_of_ten_thousand_is_bounded(kind):
    _, app = portal_of(kind)
    answered = {path: ask(app, path) for path in {*paths_of(app), *LISTS, *API_LISTS}}
    assert len(answered) > 20
    sizes = {path: len(answer.content) for path, answer in answered.items()}
    assert {path: size for path, size in sizes.items() if size > OCTETS_MAX and "openapi" not in path} == {}
    assert all(answered[path].status_code == 200 for path in (*LISTS, *API_LISTS))


@pytest.mark.attack(10)
def test_the_page_of_one_network_of_ten_thousand_is_bounded():
    _, app = portal_of("long names, one network")
    assert len(ask(app, "/operator").content) < OCTETS_MAX


@pytest.mark.finding("users F-size")
@pytest.mark.attack(10)
def test_every_list_of_ten_thousand_is_a_page_that_leads_to_the_next_one_and_never_to_json():
    _, app = portal_of("short names")
    for path in LISTS:
        html = ask(app, path).text
        if path != "/operator":  # forty networks are one page
            assert 'rel="next"' in html, path
            assert ask(app, f"{path}?page=3").text != html
        assert not re.search(r'<a [^>]*href="/api/v1/', html), path
    for path in API_LISTS:
        answer = ask(app, path)
        assert answer.links["next"]["url"], path


@pytest.mark.attack(10)
@pytest.mark.parametrize("kind", ["short names", "long names"])
def test_the_parts_of_an_answer_are_together_the_list(kind):
    large, app = portal_of(kind)
    path, found = "/api/v1/operator/meters?limit=2000", []
    while path:
        answer = ask(app, path)
        found += [row["device"] for row in answer.json()]
        path = answer.links.get("next", {}).get("url", "")
    assert found == large.names


@pytest.mark.finding("security H5")
@pytest.mark.attack(10)
@pytest.mark.parametrize(("kind", "rows"), [("short names", 0), ("one network", 50)])
def test_the_map_counts_no_more_meters_than_a_page_shows(kind, rows):
    large, app = portal_of(kind)
    large.touched = 0
    ask(app, "/operator")
    assert large.touched == rows
    ask(app, "/api/v1/operator/completeness?limit=7&offset=9000")
    assert large.touched == rows + 7
    large.touched = 0
    ask(app, f"/operator?network={large.networks[3]}")
    assert large.touched == 50


@pytest.mark.finding("users F-size")
def test_one_network_is_shown_with_its_own_numbers_and_problems_only():
    large, app = portal_of("short names")
    chosen, others = large.networks[3], large.networks[4]
    html = ask(app, f"/operator?network={chosen}").text
    assert f"/api/v1/operator/events?network={chosen}" in html
    assert f"<h1>{chosen}</h1>" in html
    assert others not in html
    assert f'href="/operator/meters?q={chosen}"' in html


@pytest.mark.finding("users F-size")
def test_a_meter_is_found_among_ten_thousand_by_name_home_state_and_order():
    _, app = portal_of("short names")
    assert re.findall(r"m\d{4}(?=</strong>)", ask(app, "/?q=m7123").text) == ["m7123"]
    rows = re.findall(r'href="/operator/meters/(m\d{4})"', ask(app, "/operator/meters?q=m71&sort=name").text)
    assert rows == [f"m71{number:02}" for number in range(50)]
    late = re.findall(r"pill (\w+)", ask(app, "/operator/meters?state=late&sort=name&page=2").text)
    assert late == ["late"] * 50
    assert [row["device"] for row in ask(app, "/api/v1/operator/meters?q=M7123").json()] == ["m7123"]
    assert [row["home_id"] for row in ask(app, "/api/v1/homes?q=m7123").json()] == ["m7123"]


@pytest.mark.finding("users F-size")
def test_homes_are_sorted_as_people_count_and_homes_of_one_name_are_told_apart():
    class Counted(SampleHomes):
        def homes(self):
            return [Home(f"h{number}", f"Mill Lane {number // 2}", "UTC") for number in range(24)]

    app = create_app(Counted(), SampleNetwork(), clock=lambda: NOW)
    html = ask(app, "/").text
    assert re.findall(r'href="/homes/(h\d+)"', html) == [f"h{number}" for number in range(24)]
    assert html.count('<span class="muted">h') == 24
