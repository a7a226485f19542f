"""Take the four pictures of the documentation from a running portal, with Debian's Chromium."""

import argparse
import sys
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--font-render-hinting=none",
)
PHONE, DESK = (390, 844), (1440, 900)


def main() -> None:
    """Parse the command line and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url", help="base address of the portal")
    parser.add_argument("directory", nargs="?", type=Path, default=Path("docs/images"))
    parser.add_argument("--home", help="the home to show; the first one by default")
    parser.add_argument("--when", help="the day (2026-11-21) or month (2026-11) to show; today by default")
    parser.add_argument("--settle", type=float, default=6.0, help="seconds of live samples before the picture")
    options = parser.parse_args()
    options.directory.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path="/usr/bin/chromium", args=list(ARGUMENTS))
        home = _home_url(browser, options.url.rstrip("/"), options.home, options.when)
        network = f"{options.url.rstrip('/')}/operator"
        for name, url, size, scheme in (
            ("consumer-phone", home, PHONE, "light"),
            ("consumer-desk", home, DESK, "light"),
            ("consumer-dark", home, DESK, "dark"),
            ("operator", network, DESK, "light"),
        ):
            target = options.directory / f"{name}.png"
            page = _open(browser, url, size=size, scheme=scheme)
            page.wait_for_timeout(1000 * options.settle)
            page.screenshot(path=target, full_page=name != "operator")
            page.context.close()
            sys.stdout.write(f"{target}\n")
        browser.close()


def _home_url(browser: Browser, base: str, home: str | None, when: str | None) -> str:
    page = _open(browser, base, size=DESK, scheme="light")
    path = f"/homes/{home}" if home else page.locator(".home-card").first.get_attribute("href")
    page.context.close()
    return f"{base}{path}/electricity/{when}" if when else f"{base}{path}"


def _open(browser: Browser, url: str, *, size: tuple[int, int], scheme: str) -> Page:
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]},
        device_scale_factor=2,
        color_scheme="dark" if scheme == "dark" else "light",
        locale="en-GB",
        timezone_id="Europe/Berlin",
    )
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("html[data-ready]")
    return page


if __name__ == "__main__":
    main()
