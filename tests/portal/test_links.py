"""Every link that a page draws leads to a page, and every name that is stored is shown harmless and has its address."""

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from html import unescape
from importlib.resources import files
from time import process_time
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from fastapi import APIRouter, FastAPI
from fastapi.responses import PlainTextResponse
from starlette.requests import Request

from meterspan.model.names import name_fault
from meterspan.portal import create_app
from meterspan.portal.links import WholeNames, href, quoted
from tests.portal.sample_views import HOMES, METERS, NOW, SampleDesk, SampleHomes, SampleNetwork

STRANGE = (
    "a/b",
    "a/b/orders",
    "a/installations",
    "lindenhof-3/live",
    "lindenhof-3/electricity/2026-11",
    "<script>alert(1)</script>",
    "esc\x1b[2J",
    "nul\x00",
    "egnp\u202egnp",
    "arabic\u061c mark",
    "zero\u200bwidth",
    "two\u2028lines",
    "line\nfeed\n",
    "per%2Fcent%",
    "ask?q#part",
    "back\\slash",
    "...",
    " ",
    "Mühlweg 12",
    "n" * 150,
)
"""Names that an older release took; most of them no rule takes now."""
NAMELESS = ("", ".", "..")
COMMANDS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2066-\u2069]")
PAGES_MAX = 300


class OldHomes(SampleHomes):
    """Homes with names of an older release; each answers as the first of the sample does."""

    def homes(self):
        own = [replace(HOMES[1], home_id=name, name=name or "nameless") for name in (*STRANGE, *NAMELESS)]
        return [*HOMES, *own]

    def home(self, home_id):
        known = {home.home_id: home for home in self.homes()}
        return known[home_id] if home_id in known else super().home(home_id)

    def live(self, home_id, now):
        return replace(SampleHomes().live(self._like(home_id), now), home_id=home_id)

    def power(self, home_id, now):
        return replace(SampleHomes().power(self._like(home_id), now), home_id=home_id)

    def day(self, home_id, commodity, day):
        return SampleHomes().day(self._like(home_id), commodity, day)

    def month(self, home_id, commodity, month):
        return SampleHomes().month(self._like(home_id), commodity, month)

    def _like(self, home_id):
        return HOMES[1].home_id if home_id in STRANGE else home_id


class OldDesk(SampleDesk):
    """Takes an order for every meter."""

    def order(self, device, now, deadline_s, author=""):
        return replace(self.order_view(7), device=device)


def old_network() -> SampleNetwork:
    rows = [(name, *METERS[index][1:]) for index, name in enumerate((*STRANGE, *NAMELESS))]
    return SampleNetwork((*METERS[:8], *rows))


def portal_of(*, has_orders: bool) -> FastAPI:
    return create_app(OldHomes(), old_network(), clock=lambda: NOW, orders=OldDesk() if has_orders else None)


def asking(app: FastAPI, method: str = "GET") -> Callable[[str], httpx.Response]:
    async def run(path: str) -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path)

    return lambda path: asyncio.run(run(path))


def addresses_of(page: str, html: str) -> Iterator[str]:
    """Yield each address within the portal that a page links to or that its scripts ask, without its fragment."""
    for found in re.findall(r'\s(?:href|data-url|data-href|src)="([^"]*)"', html):
        parts = urlsplit(urljoin(f"http://localhost{page}", unescape(found)))
        if parts.netloc == "localhost":
            yield f"{parts.path}?{parts.query}" if parts.query else parts.path


def is_followed(address: str) -> bool:
    """Tell whether an address is asked: no stream, and the pages of some days and of one month of two homes."""
    dated = re.match(r"/homes/([^/]+)/\w+/(2026-1[\d-]+)$", address)
    is_some_day = dated is None or (dated[1] in {"lindenhof-3", "a%2Fb"} and dated[2] in {"2026-11-20", "2026-11"})
    return is_some_day and not address.startswith("/api/v1/operator/events")


@pytest.fixture(scope="module", params=[True, False], ids=["with orders", "without orders"])
def crawled(request) -> dict[str, httpx.Response]:
    """Every page and address that a reader comes to from the first page, by following links."""
    ask = asking(portal_of(has_orders=request.param))
    answers: dict[str, httpx.Response] = {}
    waiting = ["/"]
    while waiting:
        address = waiting.pop()
        if address in answers:
            continue
        answers[address] = answer = ask(address)
        assert len(answers) < PAGES_MAX
        if answer.headers["content-type"].startswith("text/html"):
            waiting += [found for found in addresses_of(address, answer.text) if is_followed(found)]
    return answers


@pytest.mark.attack(3)
def test_every_link_of_every_page_leads_to_a_page(crawled):
    assert {address: answer.status_code for address, answer in crawled.items() if answer.status_code >= 400} == {}
    assert {"/", "/operator", "/operator/meters", "/operator/damage", "/api"} <= set(crawled)
    assert {f"/operator/meters/{quoted(name)}" for name in STRANGE} <= set(crawled)
    assert {f"/homes/{quoted(name)}" for name in STRANGE} <= set(crawled)


@pytest.mark.attack(12)
def test_no_page_shows_a_letter_that_commands(crawled):
    pages = {
        address: answer.text
        for address, answer in crawled.items()
        if answer.headers["content-type"].startswith("text/html")
    }
    assert {address: COMMANDS.findall(html) for address, html in pages.items() if COMMANDS.search(html)} == {}
    assert "<script>alert" not in "".join(pages.values())
    assert "egnp\ufffdgnp" in pages["/operator/meters"]
    assert "<title>esc\ufffd[2J" in pages[f"/operator/meters/{quoted(chr(101) + 'sc' + chr(27) + '[2J')}"]


def test_a_name_without_an_address_is_shown_and_is_no_link(crawled):
    for page in ("/", "/operator/meters"):
        linked = re.findall(r'<a[^>]* href="(/homes/|/operator/meters/)([^"]*)"', crawled[page].text)
        assert len(linked) > 20
        assert not {unescape(name) for _, name in linked} & {*NAMELESS, "%2E", "%2E%2E"}
    assert re.search(r"<a>\s*<span[^>]*><span[^>]*>.*</svg>\.\.</span>", crawled["/operator/meters"].text)


@pytest.mark.attack(3)
@pytest.mark.parametrize("name", STRANGE, ids=ascii)
def test_every_stored_name_is_found_by_pages_interface_and_orders(name):
    app = portal_of(has_orders=True)
    ask, place = asking(app), asking(app, "POST")
    api = "/api/v1"
    assert ask(f"/operator/meters/{quoted(name)}").status_code == 200
    assert ask(f"/homes/{quoted(name)}/water/2026-11").status_code == 200
    assert ask(f"{api}/operator/meters/{quoted(name)}").json()["status"]["device"] == name
    assert ask(f"{api}/homes/{quoted(name)}").json()["home_id"] == name
    assert ask(f"{api}/homes/{quoted(name)}/live").json()["home_id"] == name
    assert ask(f"{api}/homes/{quoted(name)}/water/days/2026-11-20").status_code == 200
    assert place(f"{api}/operator/meters/{quoted(name)}/orders").json()["device"] == name


def test_most_of_the_names_are_taken_by_no_rule_of_today():
    assert sum(bool(name_fault(name)) for name in STRANGE) >= 15


def test_a_part_of_a_path_that_is_not_quoted_is_no_name():
    ask = asking(portal_of(has_orders=True))
    assert ask("/operator/meters/a/b").status_code == 404
    assert ask("/homes/a%252Fb").status_code == 404
    assert ask("/homes/a/b").status_code == 404


def test_every_name_in_a_route_is_read_whole():
    folder = files("meterspan.portal")
    sources = [path.read_text("utf-8") for path in folder.iterdir() if path.name.endswith(".py")]
    found = re.findall(r'"[^"\n]*\{(?:home_id|device)[^}\n]*\}[^"\n]*"', "\n".join(sources))
    routes = [text for text in found if text.startswith('"/')]
    assert len(routes) > 12
    assert [text for text in routes if "{home_id}" in text or "{device}" in text] == []


def test_every_template_quotes_by_the_one_rule():
    for path in files("meterspan.portal").joinpath("templates").iterdir():
        assert "urlencode" not in path.read_text("utf-8"), path.name


def test_a_path_that_a_server_gives_read_only_is_taken_as_it_is():
    router = APIRouter()

    @router.get("/x/{device:name}")
    def show(request: Request, device: str) -> PlainTextResponse:
        return PlainTextResponse(device)

    app = FastAPI()
    app.include_router(router)
    assert app.url_path_for("show", device="a/b") == "/x/a%2Fb"
    sent = []

    async def send(message) -> None:
        sent.append(message)

    async def receive():
        return {"type": "http.request", "body": b""}

    scope = {"type": "http", "method": "GET", "path": "/x/50%25", "query_string": b"", "headers": [], "root_path": ""}
    asyncio.run(WholeNames(app)(scope, receive, send))
    assert sent[1]["body"] == b"50%25"


def test_a_link_is_an_attribute_or_nothing():
    assert href("a/<b>", "/homes/") == ' href="/homes/a%2F%3Cb%3E"'
    assert [href(name, "/homes/") for name in NAMELESS] == ["", "", ""]


def test_a_page_of_ten_thousand_homes_is_written_within_its_time():
    class Many(SampleHomes):
        def homes(self):
            return [replace(HOMES[0], home_id=f"h{n}", name=f"Home {n}\u202e") for n in range(10_000)]

    ask = asking(create_app(Many(), SampleNetwork(), clock=lambda: NOW))
    ask("/")
    started = process_time()
    assert ask("/").text.count("Home") >= 50
    assert process_time() - started < 0.3
