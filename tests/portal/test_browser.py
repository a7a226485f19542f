"""The pages in Debian's Chromium: live numbers, charts, navigation, accessibility, weight, and no foreign request."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect, sync_playwright

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


def test_the_page_serves_readers_without_scripts(open_page):
    page = open_page(HOME, java_script_enabled=False)
    expect(page.locator("#power")).to_contain_text("W")
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
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESK], ids=["phone", "desk"])
def test_axe_has_no_serious_finding(open_page, path, scheme, size):
    page = open_page(path, size=size, scheme=scheme, quiet=path != "/no")
    for details in page.locator("details").all():
        details.evaluate("element => { element.open = true; }")
    findings = [
        (finding["id"], [node["target"] for node in finding["nodes"]][:3])
        for finding in Axe().run(page).response["violations"]
        if finding["impact"] in ("serious", "critical")
    ]
    assert findings == []


@pytest.mark.parametrize("path", PAGES)
def test_nothing_is_wider_than_a_small_phone(open_page, path):
    page = open_page(path, size=SMALL_PHONE, quiet=path != "/no")
    assert page.evaluate("document.documentElement.scrollWidth") <= SMALL_PHONE[0]


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
