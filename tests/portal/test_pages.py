"""The pages as the server writes them: they say everything without a script."""

import asyncio
import re
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from html import unescape
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from time import process_time
from zoneinfo import ZoneInfo

import httpx
import pytest

from meterspan import portal
from meterspan.model.damage import LOSSES, REMEDIES
from meterspan.model.storage.errors import DamagedSupplyError
from meterspan.model.storage.readings import DamageKind
from meterspan.model.views import Home, LiveView, MeterState, TodayView, UsagePointView
from meterspan.portal import create_app
from meterspan.portal.paging import PAGE_ROWS
from meterspan.portal.words import languages
from meterspan.quantities import Commodity
from tests.portal.sample_views import DAMAGE, METERS, NOW, SampleDesk, SampleHomes, SampleNetwork

PAGES = (
    "/",
    "/homes/lindenhof-3",
    "/homes/lindenhof-3/gas/2026-11",
    "/homes/lindenhof-5/water/2026-10-25",
    "/operator",
    "/operator/meters/DME220817004",
    "/operator/meters",
    "/operator/orders",
    "/operator/damage",
    "/api",
)
VOID = {"meta", "link", "br", "input", "hr", "img"}


class Outline(HTMLParser):
    """Checks that elements close in order, and collects what a policy or a reader cares about."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.inline: list[str] = []
        self.sources: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag, attrs):
        self._note(tag, dict(attrs))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self._note(tag, dict(attrs))

    def _note(self, tag, attributes):
        self.inline += [f"{tag} {name}" for name in attributes if name == "style" or name.startswith("on")]
        if tag == "style" or (
            tag == "script" and "src" not in attributes and attributes.get("type") != "application/json"
        ):
            self.inline.append(tag)
        self.sources += [attributes[name] for name in ("src", "href") if attributes.get(name)]
        if "id" in attributes:
            self.ids.append(attributes["id"])

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes another element"


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("language", ["en", "de"])
def test_a_page_is_well_formed_without_inline_code_or_foreign_addresses(ask, path, language):
    response = ask(path, headers={"Accept-Language": language})
    assert response.status_code == 200
    assert response.headers["content-language"] == language
    outline = Outline()
    outline.feed(response.text)
    assert outline.open == []
    assert outline.inline == []
    assert all(source.startswith(("/", "#")) for source in outline.sources)
    assert len(outline.ids) == len(set(outline.ids))


def test_the_interface_is_listed_with_every_path(ask):
    html = ask("/api").text
    for path, item in ask("/api/v1/openapi.json").json()["paths"].items():
        for method in item:
            assert f"{method.upper()} {path}" in html
    assert "GET /api/v1/operator/completeness?first=&amp;last=" in html


def test_data_never_become_markup(ask):
    assert "Lindenhof 5 &lt;2nd floor&gt;" in ask("/").text
    assert "seal 4471 &lt;b&gt;" in ask("/operator/meters/DME220817004").text


def test_the_consumer_page_says_everything_without_scripts(ask):
    html = ask("/homes/lindenhof-3").text
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html))
    for words in (
        "from the grid",
        "until 20:00",
        "Peak",
        "Cost today",
        "8.28 kWh",
        "The sum of the intervals is the register difference",
    ):
        assert words in text
    assert html.count("<tr data-start=") == 96
    assert html.count('data-state="estimated"') == 3


def test_navigation_leads_to_the_days_and_months_around(ask):
    html = ask("/homes/lindenhof-3/water/2026-11-01").text
    assert 'href="/homes/lindenhof-3/water/2026-10-31"' in html
    assert 'href="/homes/lindenhof-3/water/2026-11-02"' in html
    assert 'href="/homes/lindenhof-3/water/2026-11"' in html
    today = ask("/homes/lindenhof-3").text
    assert 'data-step="previous"' in today
    assert 'data-step="following"' not in today
    october = ask("/homes/lindenhof-3/water/2026-10").text
    assert 'href="/homes/lindenhof-3/water/2026-10-31"' in october


def test_an_unexplained_part_is_said_in_the_proof(ask):
    html = ask("/homes/lindenhof-3/electricity/2026-11-18").text
    assert "No interval explains this part of the register difference" in html
    assert html.count('data-state="missing"') == 5


def test_after_a_meter_exchange_the_proof_points_to_the_notes():
    class Exchanged(SampleHomes):
        def day(self, home_id, commodity, day):
            return replace(super().day(home_id, commodity, day), closing=Decimal("3.5"))

    html = render(Exchanged(), path="/homes/lindenhof-3/electricity/2026-11-09").text
    assert "cannot be compared directly (see the notes)" in html
    assert "do not add up" not in html
    assert "do not add up" in render(Exchanged(), path="/homes/lindenhof-3/electricity/2026-11-10").text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/homes/nobody", 404),
        ("/homes/lindenhof-5/gas/2026-11-20", 404),
        ("/homes/lindenhof-3/electricity/yesterday", 404),
        ("/homes/lindenhof-3/electricity/2026-13", 404),
        ("/homes/lindenhof-3/electricity/1999-01-01", 422),
        ("/homes/lindenhof-3/electricity/0001-01-01", 422),
        ("/operator/meters/<script>", 404),
        ("/nowhere", 404),
    ],
)
def test_errors_are_pages_that_say_what_to_do(ask, path, status):
    response = ask(path)
    assert response.status_code == status
    assert response.headers["content-type"].startswith("text/html")
    assert 'class="card error"' in response.text
    assert "<script>" not in response.text


def test_every_word_that_the_scripts_say_is_in_the_catalogue():
    spoken = set()
    for script in files("meterspan.portal").joinpath("static/js").iterdir():
        source = script.read_text("utf-8")
        spoken |= set(re.findall(r'say\("(\w+)"', source)) | {
            key
            for pair in re.findall(r'say\([^"?]+\? "(\w+)"(?: : [^"]+\? "(\w+)")? : "(\w+)"', source)
            for key in pair
        }
    assert len(spoken) > 8
    assert spoken - {""} <= set(languages()["en"].part("script"))


def test_static_files_are_kept_for_ever_under_their_digest(ask):
    style = re.search(r'href="(/static/[0-9a-f]{12}/portal\.css)"', ask("/").text)
    response = ask(style.group(1), headers={"Accept-Encoding": "gzip"})
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert response.headers["content-encoding"] == "gzip"
    assert ask("/static/000000000000/portal.css").status_code == 404
    assert ask("/static/../app.py").status_code == 404


def render(homes=None, network=None, path="/", *, now=NOW, orders=None, language="en"):
    app = create_app(homes or SampleHomes(), network or SampleNetwork(), clock=lambda: now, orders=orders)

    async def run() -> httpx.Response:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.get(path, headers={"Accept-Language": language})

    return asyncio.run(run())


class HeatOnly(SampleHomes):
    """A home without electricity: no live source, no price, no register, no tariff."""

    def homes(self):
        return [self.home("flat")]

    def home(self, home_id):
        return Home("flat", "Flat", "Europe/London", (UsagePointView("U", Commodity.HEAT, "M", "kWh"),))

    def live(self, home_id, now):
        today = TodayView(Commodity.HEAT, None, "kWh", None, None, None)
        return LiveView("flat", now, None, None, "", None, None, (today,), None, "GBP")

    def day(self, home_id, commodity, day):
        view = super().day("lindenhof-3", Commodity.HEAT, day)
        return replace(view, opening=None, closing=None, tariff=None, total=None, cost=None, intervals=())

    def month(self, home_id, commodity, month):
        return replace(SampleHomes().month("lindenhof-3", Commodity.HEAT, month), opening=None, cost=None, tariff=None)


def test_a_home_that_knows_little_is_shown_with_what_it_knows():
    html = render(HeatOnly(), path="/homes/flat").text
    assert "no live source is heard" in html
    assert "No price is known." in html
    assert "Costs appear here once a tariff is assigned." in html
    assert 'class="proof' not in html
    assert render(HeatOnly(), path="/homes/flat/heat/2026-11").status_code == 200


def test_a_home_that_feeds_in_says_so():
    noon = NOW.replace(hour=11)
    html = render(path="/homes/lindenhof-3", now=noon).text
    assert "into the grid" in html
    assert 'class="card now export"' in html


def test_a_home_without_supplies_and_a_portal_without_homes_say_so():
    class Empty(HeatOnly):
        def homes(self):
            return []

        def home(self, home_id):
            return Home("empty", "Empty", "Europe/London")

    assert "No supply of this home is metered yet." in render(Empty(), path="/homes/empty").text
    assert "No home is connected yet." in render(Empty()).text


def test_the_operator_page_of_a_large_network_stays_light():
    meters = [
        (f"{device}-{n:03}", commodity, f"{network}-{n % 40}", state if n % 7 == 0 else MeterState.OK)
        for n in range(50)
        for device, commodity, network, state in METERS
    ]
    response = render(network=SampleNetwork(meters), path="/operator")
    other_scripts = {f"inter-{script}.woff2" for script in ("latin-ext", "greek", "cyrillic")}
    files = [path for path in Path(portal.__file__).parent.joinpath("static").rglob("*.*") if path.suffix != ".txt"]
    assert other_scripts < {path.name for path in files}
    static = sum(path.stat().st_size for path in files if path.name not in other_scripts)
    assert len(response.content) + static < 300_000
    assert "Networks with most gaps first" in response.text
    whole = render(network=SampleNetwork(meters), path="/operator?network=LNAP+A-Lindenhof-7").text
    assert "All networks" in whole
    assert whole.count('scope="row"') == 20


def test_a_network_without_meters_is_a_calm_page():
    class Bare(SampleNetwork):
        def summary(self, now, network=""):
            nothing = {"expected_today": 0, "received_today": 0}
            return replace(
                super().summary(now, network), **nothing, completeness_today=None, completeness_yesterday=None
            )

        def quarantine(self, limit=100):
            return []

    html = render(network=Bare(()), path="/operator").text
    assert "No meter is late or failing." in html
    assert "No frame is quarantined." in html
    assert "100.0 %" not in html, "nothing was due: the share is unknown"
    assert 'data-live="completeness_today"><span class="n">\u2013</span>' in html


class OneDamaged(SampleHomes):
    """A home whose gas readings are impossible."""

    def live(self, home_id, now):
        view = SampleHomes().live(home_id, now)
        rest = tuple(row for row in view.today if row.commodity is not Commodity.GAS)
        return replace(view, today=rest, left_out=(Commodity.GAS,))

    def day(self, home_id, commodity, day):
        if commodity is Commodity.GAS:
            raise DamagedSupplyError("usage point DE0001-gas: readings span more than 4,000,000 periods")
        return super().day(home_id, commodity, day)


def test_a_home_with_one_damaged_supply_names_it_and_shows_the_rest():
    html = render(OneDamaged(), path="/homes/lindenhof-3").text
    text = " ".join(re.sub(r"<[^>]+>", " ", html).split())
    assert "so far, without Gas" in text
    assert "data damaged" in text
    assert html.count("<tr data-start=") == 96
    damaged = render(OneDamaged(), path="/homes/lindenhof-3/gas/2026-11-20")
    assert damaged.status_code == 200
    assert "The readings of this supply are damaged" in damaged.text
    assert 'id="power"' in damaged.text
    answer = render(OneDamaged(), path="/api/v1/homes/lindenhof-3/gas/days/2026-11-20")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:meterspan:problem:damaged-supply")
    live = render(OneDamaged(), path="/api/v1/homes/lindenhof-3/live").json()
    assert (live["left_out"], live["without_cost"]) == (["gas"], ["gas"])


def test_a_total_over_a_hole_says_what_it_lacks(ask):
    assert "this day in total, missing intervals: 5" in ask("/homes/lindenhof-3/electricity/2026-11-18").text
    assert "this day in total</p>" in ask("/homes/lindenhof-3/electricity/2026-11-19").text
    assert "this month in total, incomplete days: 1" in ask("/homes/lindenhof-3/electricity/2026-11").text


def test_power_that_is_old_is_told_with_its_time_and_not_as_now():
    class Quiet(SampleHomes):
        def live(self, home_id, now):
            return replace(super().live(home_id, now), power_at=now - timedelta(minutes=12))

    html = render(Quiet(), path="/homes/lindenhof-3").text
    told = f"{(NOW - timedelta(minutes=12)).astimezone(ZoneInfo('Europe/Berlin')):%H:%M}"
    assert f"as of {told}" in html
    assert 'class="card now none"' in html
    assert f"as of {told}" not in render(path="/homes/lindenhof-3").text


def test_the_order_book_lists_every_read_with_its_result_or_its_reason(ask):
    html = ask("/operator/orders").text
    rows = re.findall(r"<tr>\s*<th scope=\"row.*?</tr>", html, re.DOTALL)
    assert len(rows) == 8
    texts = [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in rows]
    assert "waiting The meter is being asked." in texts[0]
    assert "waiting its address does not answer" in texts[1]
    assert "answered Import 6504.555 kWh · Export 120.000 kWh" in texts[2]
    assert "failed wrong key: the meter could not open our message" in texts[3]
    assert "timed out its address does not answer" in texts[5]
    assert "timed out No session with the meter was opened before the deadline." in texts[6]
    assert "answered The meter refused every register." in texts[7]
    assert "refused &lt;b&gt;" in html
    assert f'href="/operator/meters/{METERS[3][0]}"' in rows[3]


@pytest.mark.parametrize("path", ["/operator", "/operator/orders", "/operator/meters/DME220817004"])
def test_remedies_are_in_the_language_of_the_page(ask, path):
    german = ask(path, headers={"Accept-Language": "de"}).text
    assert "falscher Schlüssel" in german
    assert "wrong key: the meter" not in german
    assert "wrong key: the meter" in ask(path).text.replace("&#39;", "'")


def test_damage_at_rest_is_named_with_place_time_loss_and_remedy(ask):
    html = ask("/operator/damage").text
    items = [" ".join(re.sub(r"<[^>]+>", " ", item).split()) for item in re.findall(r"<li>.*?</li>", html, re.DOTALL)]
    batch, segment, days, row, supply = items
    assert "batch 4711 batch of the journal the checksum is wrong: 1 octet &lt;b&gt;" in batch
    assert "Found 2026-11-21T12:42:10Z Readings missing 1536 Between 2026-11-20T00:00:00Z" in batch
    assert LOSSES[DamageKind.BATCH] in batch
    assert REMEDIES[DamageKind.BATCH] in batch
    assert "Kept at /var/lib/meterspan/data/readings/journal.sqlite" in batch
    assert "Found not known" in segment
    assert "Kept at" not in segment
    assert "Readings missing" not in days
    assert LOSSES[DamageKind.DAYS] in days
    assert REMEDIES[DamageKind.ROW] in row
    assert REMEDIES[DamageKind.SUPPLY] in supply


def test_damage_is_counted_and_named_on_the_overview_and_nothing_is_where_nothing_is_damaged(ask):
    class Whole(SampleNetwork):
        def damage(self):
            return ()

    html = ask("/operator").text
    assert "5 items at rest are damaged" in html
    assert "<strong>batch 4711, 2026-03-01-00000017.parquet …</strong>" in html
    assert 'href="/operator/damage"' in html
    assert "items at rest are damaged" not in render(network=Whole(), path="/operator").text
    assert "Nothing that is stored is damaged." in render(network=Whole(), path="/operator/damage").text


LENGTH = 10_000


class ManyHomes(SampleHomes):
    def homes(self):
        return [Home(f"h{number}", f"Elm Street {number}", "Europe/Berlin") for number in range(LENGTH)]


class ManyMeters(SampleNetwork):
    def __init__(self):
        super().__init__()
        (first, *_) = super().meters(NOW)
        self.many = [replace(first, device=f"MSP{number:08}") for number in range(LENGTH)]

    def meters(self, now):
        return self.many


class ManyOrders(SampleDesk):
    def orders(self, limit=100):
        first, *_ = super().orders()
        return [replace(first, order_id=number, device=f"MSP{number:08}") for number in range(LENGTH)][:limit]


@pytest.mark.parametrize("path", ["/", "/operator/meters", "/operator/orders"])
def test_a_list_of_ten_thousand_is_cut_and_searched_on_the_server(path):
    many = {"homes": ManyHomes(), "network": ManyMeters(), "orders": ManyOrders()}
    before = process_time()
    first = render(**many, path=path)
    assert process_time() - before < 3
    assert len(first.content) < 120_000
    assert "page 1 of 200" in first.text
    name = "9999" if path == "/" else "MSP00009999"
    assert name not in first.text
    found = render(**many, path=f"{path}?q=9999").text
    assert name in found
    assert "page 1" not in found
    assert 'value="9999"' in found
    assert name in render(**many, path=f"{path}?page=200").text


def test_the_list_of_meters_is_of_one_state_where_that_is_asked_for_and_keeps_it_on_its_pages(ask):
    html = ask("/operator/meters?state=failing").text
    assert html.count('<span class="trouble-head">') == 1
    assert '<option value="failing" selected>' in html
    assert ask("/operator/meters?q=&state=").text.count('<span class="trouble-head">') == len(METERS)
    many = render(network=ManyMeters(), path="/operator/meters?state=failing").text
    assert 'href="?page=2&amp;state=failing"' in many


def test_a_list_of_damage_of_any_length_is_searched_and_cut_on_the_server():
    class Ruins(SampleNetwork):
        def damage(self):
            return [replace(DAMAGE[0], item=f"batch {number}") for number in range(10_000)]

    first = render(network=Ruins(), path="/operator/damage").text
    assert first.count("<li>") == PAGE_ROWS
    assert "1\u201350 of 10,000" in first
    assert 'href="?page=2"' in first
    found = render(network=Ruins(), path="/operator/damage?q=batch+77&page=3").text
    assert "of 280" in found
    assert 'value="batch 77"' in found
    assert 'href="?page=2&amp;q=batch%2077"' in found
    assert "Nothing fits this search." in render(network=Ruins(), path="/operator/damage?q=nosuch").text


def test_the_error_page_is_in_the_language_of_the_reader(ask):
    german = ask("/homes/nobody", headers={"Accept-Language": "de"}).text
    assert "Dieser Haushalt ist hier nicht bekannt" in german
    assert "Den Namen aus der Liste der Haushalte nehmen" in german
    assert "This home is not known here" in ask("/homes/nobody").text


def test_the_menu_offers_the_order_book_where_there_is_a_head_end(ask):
    assert '<a href="/operator/orders" aria-current="page">' in ask("/operator/orders").text
    assert '<a href="/operator" aria-current="page">' in ask("/operator").text
    without = render(path="/operator").text
    assert "/operator/orders" not in without


def test_an_order_book_without_orders_says_how_to_place_one():
    class Unasked(SampleDesk):
        def orders(self, limit: int = 100):
            return []

    assert "No meter has been asked yet" in render(path="/operator/orders", orders=Unasked()).text


@pytest.mark.finding("users F5")
@pytest.mark.parametrize("path", ["/", "/homes/lindenhof-3", "/operator"])
def test_a_page_whose_clock_runs_faster_than_time_says_so_and_no_other(path):
    def ask_at(*, is_time_lapse):
        app = create_app(SampleHomes(), SampleNetwork(), clock=lambda: NOW, is_time_lapse=lambda: is_time_lapse)

        async def run() -> str:
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
                return (await client.get(path)).text

        return asyncio.run(run())

    assert "Time lapse" in ask_at(is_time_lapse=True).split("<main")[1]
    assert "data-lapse" not in ask_at(is_time_lapse=False)


@pytest.mark.finding("users F6")
@pytest.mark.parametrize(
    ("language", "said"),
    [("en", "until 18:30 19 % more than yesterday by then"), ("de", "bis 18:30 19 % mehr als gestern bis dahin")],
)
def test_a_comparison_with_yesterday_says_until_when(language, said):
    html = render(path="/homes/lindenhof-3", language=language).text
    text = " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())
    assert said in text


@pytest.mark.finding("users F1")
def test_a_band_has_one_colour_on_the_day_in_the_month_and_in_every_legend():
    colours = set()
    for path in ("", "/electricity/2026-11-20", "/electricity/2026-11", "/electricity/2026-10"):
        html = render(path=f"/homes/lindenhof-3{path}").text
        colours |= set(
            re.findall(
                r'<span class="band (\w+)"[^>]*><i aria-hidden="true"></i>(?:<span>)?(Night|Standard|Peak)', html
            )
        )
    assert colours == {("low", "Night"), ("mid", "Standard"), ("high", "Peak")}


@pytest.mark.finding("users C-6", "users F4")
def test_a_price_says_what_tax_is_in_it():
    class Taxed(SampleHomes):
        def day(self, home_id, commodity, day):
            view = super().day(home_id, commodity, day)
            return replace(view, tariff=replace(view.tariff, tax=Decimal("0.19")))

    assert "prices include 19 % tax" in render(Taxed(), path="/homes/lindenhof-3").text
    assert "no tax added" in render(path="/homes/lindenhof-3").text
