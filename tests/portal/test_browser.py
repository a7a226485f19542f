"""The pages in Debian's Chromium: live numbers, charts, navigation, accessibility, weight, and no foreign request."""

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

from meterspan.portal import create_app
from meterspan.portal.feeds import Feeds
from meterspan.portal.words import languages
from tests.portal.conftest import Running
from tests.portal.sample_views import NOW
from tests.portal.test_size import portal_of
from tests.portal.test_unknown import UnknownHomes, UnknownNetwork

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PHONE, SMALL_PHONE, DESK = (390, 844), (320, 568), (1440, 900)
HOME = "/homes/lindenhof-3"
PAGES = (
    "/",
    HOME,
    f"{HOME}/electricity/2026-11-18",
    f"{HOME}/heat/2026-11",
    "/operator",
    "/operator/meters/DME220817004",
    "/operator/meters",
    "/operator/orders",
    "/operator/damage",
    "/api",
    "/no",
)
FIRST_LOAD_MAX = 300_000

pytestmark = pytest.mark.browser

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing: apt install chromium libatomic1")
    asked = [sys.executable, "-m", "playwright", "--version"]
    probe = subprocess.run(asked, check=False, capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"the browser's driver does not run (apt install libatomic1): {probe.stderr.strip()[-200:]}")
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def open_page(browser: Browser, portal: str) -> Iterator[Open]:
    """Open a path; at the end no page may have said anything on its console or asked a foreign server."""
    contexts, complaints = [], []

    def watch(request) -> None:
        address = urlsplit(request.url)
        if f"{address.scheme}://{address.netloc}" != portal:
            complaints.append(f"foreign request {request.url}")

    def open_path(path: str, *, size=DESK, scheme="light", locale="en-GB", quiet=True, **options) -> Page:
        context = browser.new_context(
            viewport={"width": size[0], "height": size[1]},
            color_scheme=scheme,
            locale=locale,
            timezone_id="America/New_York",
            reduced_motion="reduce",
            **options,
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(20_000)
        if quiet:
            page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
            page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", watch)
        page.goto(portal + path)
        if options.get("java_script_enabled", True):
            page.wait_for_selector("html[data-ready]", state="attached")
            page.evaluate("document.fonts.ready")
        return page

    yield open_path
    for context in contexts:
        context.close()
    assert complaints == []


def test_power_updates_by_itself_through_server_sent_events(open_page):
    page = open_page(HOME)
    expect(page.locator("[data-live-state]")).to_have_text("live")
    first = page.locator("#power").get_attribute("value")
    page.wait_for_function("old => document.getElementById('power').value !== old", arg=first)
    expect(page.locator("#direction")).to_have_text("from the grid")
    expect(page.locator("#spark .tip")).to_have_count(1)


def test_the_live_state_says_when_the_stream_is_lost(open_page, portal):
    page = open_page(HOME, quiet=False)
    expect(page.locator("[data-live-state]")).to_have_text("live")
    page.route("**/live", lambda route: route.abort())
    page.evaluate("() => dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))")
    expect(page.locator("[data-live-state]")).to_have_text("reconnecting")


def test_the_day_chart_draws_every_known_quarter_in_its_band(open_page):
    page = open_page(f"{HOME}/electricity/2026-11-20")
    expect(page.locator(".column")).to_have_count(96)
    assert page.locator(".column .bar.fill-low").count() == 32
    assert page.locator(".column .bar.fill-high").count() == 12
    assert page.locator(".ground").count() == 5
    expect(page.locator(".legend .band:visible")).to_have_text(["Night", "Standard", "Peak"])


def test_missing_and_estimated_quarters_are_shown_as_such(open_page):
    page = open_page(f"{HOME}/electricity/2026-11-18")
    expect(page.locator(".column.missing .void")).to_have_count(5)
    expect(page.locator("[data-key=missing]")).to_be_visible()
    page.goto(page.url.replace("-18", "-21"))
    expect(page.locator(".column.estimated [fill^='url(#hatch']")).to_have_count(3)
    expect(page.locator("[data-key=estimated]")).to_be_visible()


def test_the_day_with_a_repeated_hour_has_100_columns_and_its_note(open_page):
    page = open_page(f"{HOME}/electricity/2026-10-25")
    expect(page.locator(".column")).to_have_count(100)
    expect(page.locator(".notes")).to_contain_text("25 hours")


def test_the_chart_is_read_by_keyboard(open_page):
    page = open_page(f"{HOME}/electricity/2026-11-20")
    slider = page.get_by_role("slider")
    slider.focus()
    page.keyboard.press("End")
    expect(slider).to_have_attribute("aria-valuetext", "23:45–00:00 · Night, 0.101 kWh, €0.023")  # noqa: RUF001 - the page writes spans with an en dash
    page.keyboard.press("ArrowLeft")
    expect(page.locator("[data-readout-sub]")).to_have_text("23:30–23:45 · Night")  # noqa: RUF001 - the page writes spans with an en dash
    page.keyboard.press("Escape")
    expect(page.locator("[data-readout-sub]")).to_have_text("this day in total")


@pytest.mark.finding("users F-tech")
def test_the_keys_of_the_page_work_while_the_chart_has_focus(open_page):
    page = open_page(f"{HOME}/electricity/2026-11-20")
    page.get_by_role("slider").focus()
    page.keyboard.press("[")
    expect(page.locator("#history-title")).to_contain_text("Thursday, 19 November 2026")
    page.get_by_role("slider").focus()
    page.keyboard.press("]")
    expect(page.locator("#history-title")).to_contain_text("Friday, 20 November 2026")


@pytest.mark.attack(7)
@pytest.mark.finding("users C-3", "users F2")
def test_the_power_line_has_a_hole_where_nothing_was_heard_and_outlives_a_reload(open_page):
    page = open_page(HOME)
    expect(page.locator("#spark .tip")).to_have_count(1)
    line = "document.querySelector('#spark .import .line').getAttribute('d').split('M').length - 1"
    assert page.evaluate(line) == 2
    assert page.locator("#spark .export .line").count() == 1
    page.reload()
    expect(page.locator("#spark .tip")).to_have_count(1)
    assert page.evaluate(line) == 2
    expect(page.locator("[data-spark-scale]")).to_contain_text("W")


@pytest.mark.finding("users C-5")
@pytest.mark.finding("users D-9")
@pytest.mark.parametrize("highest", ["9.5", "0.0095", "0.09", "40"])
def test_the_labels_of_a_scale_are_the_values_that_they_stand_at(open_page, highest):
    page = open_page(f"{HOME}/water/2026-11-20", size=PHONE)

    def replace(route):
        answer = route.fetch()
        route.fulfill(response=answer, body=re.sub(r'data-value="[^"]+"', f'data-value="{highest}"', answer.text()))

    page.route("**/water/2026-11-20", replace)
    page.reload()
    expect(page.locator(".column")).to_have_count(24)
    texts = page.locator("[data-plot] .tick.end").all_text_contents()
    values = sorted(Decimal(text) for text in texts if re.fullmatch(r"[0-9.]+", text))
    assert len(values) >= 3
    assert len({upper - lower for lower, upper in pairwise(values)}) == 1, values


def test_no_label_of_a_scale_is_cut_off(open_page):
    page = open_page(f"{HOME}/water/2026-11-20", size=PHONE)

    def shrink(route):
        answer = route.fetch()
        route.fulfill(response=answer, body=re.sub(r'data-value="[^"]+"', 'data-value="0.09"', answer.text()))

    page.route("**/water/2026-11-20", shrink)
    page.reload()
    expect(page.locator(".column")).to_have_count(24)
    labels = page.locator("[data-plot] .tick.end")
    assert max(len(text) for text in labels.all_text_contents()) >= len("0.025")
    edges = "labels => labels.map(label => label.getBoundingClientRect().left)"
    assert min(labels.evaluate_all(edges)) >= page.locator("[data-plot]").bounding_box()["x"]


@pytest.mark.finding("users C-4")
def test_a_home_of_which_nothing_is_known_draws_without_a_complaint(browser):
    running = Running(create_app(UnknownHomes(), UnknownNetwork(), clock=lambda: NOW, feeds=Feeds(period_s=0.1)))
    complaints = []
    page = browser.new_page()
    try:
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(running.url + HOME)
        expect(page.locator("[data-live-state]")).to_have_text("connected")
        expect(page.locator("[data-spark-caption]")).to_have_text("last 2 hours: no power is known")
        assert page.locator(".q[value='0']").count() == 0
    finally:
        page.close()
        running.stop()
    assert complaints == []


def test_browsing_swaps_the_history_and_keeps_the_live_stream(open_page):
    page = open_page(HOME)
    page.evaluate("window.kept = true")
    page.get_by_role("link", name="Previous day").click()
    expect(page.locator("#history-title")).to_contain_text("Friday, 20 November 2026")
    assert page.url.endswith("/electricity/2026-11-20")
    page.get_by_role("link", name="Gas").click()
    expect(page.locator("#history")).to_have_attribute("data-unit", "m3")
    page.get_by_role("link", name="Month", exact=True).click()
    expect(page.locator("#history-title")).to_contain_text("November 2026")
    expect(page.locator(".column")).to_have_count(30)
    slider = page.get_by_role("slider")
    slider.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.keyboard.press("Enter")
    expect(page.locator("#history-title")).to_contain_text("Tuesday, 3 November 2026")
    page.go_back()
    page.go_back()
    expect(page.locator("#history-title")).to_contain_text("Friday, 20 November 2026")
    assert page.evaluate("window.kept") is True


def test_the_shown_day_is_drawn_anew_when_readings_came(open_page):
    page = open_page(HOME)
    page.evaluate("document.querySelector('#history').dataset.old = ''; document.querySelector('.values').open = true")
    page.evaluate("document.dispatchEvent(new Event('data-changed'))")
    expect(page.locator("#history[data-old]")).to_have_count(0)
    expect(page.locator(".column")).to_have_count(96)
    expect(page.locator(".values[open]")).to_have_count(1)


def test_the_map_is_drawn_anew_when_readings_came(open_page):
    page = open_page("/operator")
    page.evaluate("document.querySelector('[data-map]').dataset.old = ''")
    page.evaluate("document.dispatchEvent(new Event('data-changed'))")
    expect(page.locator("[data-map][data-old]")).to_have_count(0)
    page.locator("[data-map] td.c.none").first.hover()
    expect(page.locator("[data-map-readout]")).to_contain_text("0 of 24 received")


def test_numbers_dates_and_words_follow_the_reader(open_page):
    german = open_page(f"{HOME}/electricity/2026-11-20", locale="de-DE")
    expect(german.locator("#history-title")).to_contain_text("Freitag, 20. November 2026")
    expect(german.locator(".readout-main .q").nth(1)).to_have_text("3,49 €".replace(" ", "\u00a0"))
    expect(german.locator("#direction")).to_have_text("aus dem Netz")
    american = open_page(f"{HOME}/electricity/2026-11-20", locale="en-US")
    expect(american.locator("#history-title")).to_contain_text("Friday, November 20, 2026")
    expect(american.locator("[data-live=band_until]")).to_have_text("8:00\u202fPM")


def test_times_are_the_homes_own_wherever_the_reader_is(open_page):
    page = open_page(HOME)
    expect(page.locator("[data-live=band_until]")).to_have_text("20:00")


def test_the_theme_button_switches_and_is_remembered(open_page):
    page = open_page("/")
    dark = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(dark)
    page.get_by_role("button", name="Switch between light and dark").click()
    after = page.evaluate(dark)
    assert before != after
    page.reload()
    assert page.evaluate(dark) == after


@pytest.mark.attack(12)
@pytest.mark.finding("users F-tech")
def test_the_page_serves_readers_without_scripts(open_page):
    page = open_page(HOME, java_script_enabled=False)
    expect(page.locator("#power")).to_contain_text("W")
    assert page.locator(".drawn rect[class^=fill]").count() > 60
    assert page.locator(".drawn .tick").count() > 6
    assert page.locator("#spark .line").count() == 4
    assert 77 < float(page.locator("#needle").get_attribute("x1").rstrip("%")) < 80
    page.get_by_text("Values as a table").click()
    expect(page.locator("[data-rows] tr").first).to_be_visible()
    page.get_by_role("link", name="Previous day").click()
    assert page.url.endswith("/electricity/2026-11-20")


@pytest.mark.finding("users A5")
def test_a_meter_is_read_now_and_its_register_shown_also_after_a_reload(open_page):
    page = open_page("/operator/meters/DME220817004")
    page.get_by_role("button", name="Read now").click()
    expect(page.locator("[data-order-state]")).to_have_text("the result is in the list below")
    expect(page.locator("#meter-orders li").first).to_contain_text("Import 12,345.678 kWh")
    page.reload()
    expect(page.locator("#meter-orders li").first).to_contain_text("Import 12,345.678 kWh")


def test_the_map_tells_a_day_and_leads_to_the_meter(open_page):
    page = open_page("/operator")
    expect(page.locator("[data-live-state]")).to_have_text("live")
    row = page.locator("[data-map] tr", has_text="DME220817004")
    row.locator("td.c.none").last.hover()
    expect(page.locator("[data-map-readout]")).to_have_text("DME220817004 · Sat 21 Nov · 0 of 24 received (0%)")
    row.locator("td.c.none").last.click()
    page.wait_for_url("**/operator/meters/DME220817004")


def test_an_octet_and_its_meaning_light_up_together(open_page):
    page = open_page("/operator/meters/DME220817004")
    frame = page.locator(".frame").first
    frame.locator(".octets [data-span='2']").hover()
    expect(frame.locator("tr.lit")).to_have_text("2manufacturerA511DME")
    frame.locator("tr[data-span='3']").click()
    page.mouse.move(0, 0)
    expect(frame.locator(".octets .lit")).to_have_text("78 56 34 12")


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize(
    ("size", "scheme"),
    [
        pytest.param(PHONE, "dark", id="phone-dark"),
        pytest.param(DESK, "light", id="desk-light"),
        pytest.param(PHONE, "light", id="phone-light", marks=pytest.mark.deep),
        pytest.param(DESK, "dark", id="desk-dark", marks=pytest.mark.deep),
    ],
)
def test_axe_has_no_serious_finding(open_page, path, size, scheme):
    page = open_page(path, size=size, scheme=scheme, quiet=path != "/no")
    for details in page.locator("details").all():
        details.evaluate("element => { element.open = true; }")
    findings = [
        (finding["id"], [node["target"] for node in finding["nodes"]][:3])
        for finding in Axe().run(page).response["violations"]
        if finding["impact"] in ("serious", "critical")
    ]
    assert findings == []


SMALL_TARGETS = """() => {
  const size = 24;
  const shown = (element) => {
    const { width, height, right, bottom } = element.getBoundingClientRect();
    return width > 1 && height > 1 && right > 0 && bottom > 0 && getComputedStyle(element).visibility === 'visible'
      && element.checkVisibility();
  };
  const controls = 'a[href], button, input, select, textarea, summary, [role=slider], [data-map] td.c';
  const targets = [...document.querySelectorAll(controls)].filter(shown);
  const inSentence = (element) => element.matches('p a, li a, dd a, td a') && [...element.parentElement.childNodes]
    .some((node) => node.nodeType === Node.TEXT_NODE && node.textContent.trim().length > 1);
  const boxes = targets.map((element) => element.getBoundingClientRect());
  const isSmall = (box) => box.width < size - 0.01 || box.height < size - 0.01;
  // WCAG 2.5.8, spacing: a circle of 24 px around a small target meets no other target and no other such circle
  const isCrowded = (at) => {
    const [x, y] = [boxes[at].x + boxes[at].width / 2, boxes[at].y + boxes[at].height / 2];
    return boxes.some((box, other) => {
      if (other === at || targets[at].contains(targets[other]) || targets[other].contains(targets[at])) return false;
      const dx = isSmall(box) ? Math.abs(box.x + box.width / 2 - x) : Math.max(box.left - x, 0, x - box.right);
      const dy = isSmall(box) ? Math.abs(box.y + box.height / 2 - y) : Math.max(box.top - y, 0, y - box.bottom);
      return Math.hypot(dx, dy) < (isSmall(box) ? size : size / 2) - 0.01;
    });
  };
  // the cells of a row do what its name does: the row's link is the target, and cells must be as high as it
  return targets.map((element, at) => [element, at]).filter(([element, at]) => element.matches('td')
    ? boxes[at].height < size - 4 : isSmall(boxes[at]) && !inSentence(element) && isCrowded(at))
    .map(([element, at]) => `${element.outerHTML.slice(0, 70)} ${boxes[at].width} x ${boxes[at].height}`);
}"""
READERS = {"de": "de-DE", "nl": "nl-NL", "ar": "ar-EG"}
OTHER_WORDS = {
    "nl": r"\b(januari|februari|maart|mei|juni|juli|augustus|oktober|zaterdag|zondag|vrijdag|za|zo|vr)\b",
    "ar": r"[\u0600-\u06ff]",
    "de": "|".join(
        rf"\b{re.escape(english)}\b"
        for key, english in languages()["en"].entries.items()
        if len(english) > 9 and " " in english and "{" not in english and languages()["de"].entries[key] != english
    ),
}


@pytest.mark.attack(12)
@pytest.mark.finding("users F-tech")
@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("reader", READERS)
def test_a_page_fits_320_px_has_targets_of_24_px_and_one_language(open_page, path, reader):
    page = open_page(path, size=SMALL_PHONE, quiet=path != "/no", locale=READERS[reader])
    for details in page.locator("details").all():
        details.evaluate("element => { element.open = true; }")
    assert page.evaluate("document.documentElement.scrollWidth") <= SMALL_PHONE[0]
    assert page.evaluate(SMALL_TARGETS) == []
    page.set_viewport_size({"width": DESK[0], "height": DESK[1]})
    assert page.evaluate("document.documentElement.scrollWidth") <= DESK[0]
    assert page.evaluate(SMALL_TARGETS) == []
    said = page.evaluate(
        "document.querySelectorAll('[lang]:not(html)').forEach(part => part.remove()), document.body.innerText"
    )
    assert page.locator("html").get_attribute("lang") == ("de" if reader == "de" else "en")
    assert re.findall(OTHER_WORDS[reader], said) == []


@pytest.mark.parametrize("path", PAGES)
def test_no_font_of_the_machine_is_used(open_page, path):
    page = open_page(path, quiet=path != "/no")
    for details in page.locator("details").all():
        details.evaluate("element => { element.open = true; }")
    page.evaluate("dispatchEvent(new PageTransitionEvent('pagehide'))")  # a living page replaces its nodes
    devtools = page.context.new_cdp_session(page)
    devtools.send("DOM.enable")
    devtools.send("CSS.enable")
    root = devtools.send("DOM.getDocument")["root"]["nodeId"]
    used = {
        (font["familyName"], font["isCustomFont"])
        for node in devtools.send("DOM.querySelectorAll", {"nodeId": root, "selector": "body, body *"})["nodeIds"]
        for font in devtools.send("CSS.getPlatformFontsForNode", {"nodeId": node})["fonts"]
    }
    assert ("Inter Variable", True) in used
    assert [family for family, ours in used if not ours] == []


@pytest.mark.parametrize("path", PAGES[:-1])
def test_the_first_load_is_light_even_uncompressed(open_page, path):
    page = open_page(path)
    sizes = page.evaluate(
        """() => [performance.getEntriesByType('navigation')[0], ...performance.getEntriesByType('resource')]
             .map(entry => [entry.decodedBodySize, entry.transferSize])"""
    )
    assert len(sizes) >= 5
    assert 20_000 < sum(size for size, _ in sizes) < FIRST_LOAD_MAX
    assert sum(transfer for _, transfer in sizes) < 90_000


@pytest.fixture(scope="module")
def large_portal() -> Iterator[str]:
    """Yield the address of a portal with ten thousand meters of the longest names in one network."""
    running = Running(portal_of("long names, one network")[1])
    yield running.url
    assert running.stop()


@pytest.mark.attack(10)
@pytest.mark.finding("users F-size")
@pytest.mark.parametrize("path", ["/", "/operator", "/operator/meters", "/operator/orders", "/operator/damage"])
def test_ten_thousand_rows_with_names_of_two_hundred_characters_fit_a_phone_and_a_desk(browser, large_portal, path):
    page = browser.new_page(viewport={"width": SMALL_PHONE[0], "height": SMALL_PHONE[1]})
    page.goto(f"{large_portal}{path}")
    for width, height in (SMALL_PHONE, DESK):
        page.set_viewport_size({"width": width, "height": height})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
