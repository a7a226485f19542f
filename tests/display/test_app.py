import asyncio
import re
from datetime import datetime, time
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
from textual.widgets import Static

from meterspan.analytics.tariff import Band, Tariff, TariffWindow
from meterspan.display.app import DisplayApp
from meterspan.display.big_number import BigNumber, big_text
from meterspan.display.model import DisplayModel
from meterspan.quantities import CATALOGUE, UNITS, Commodity, Obis, Scaled
from meterspan.readings.p1 import rows_of_p1
from meterspan.readings.rows import DeviceRows, HeardTelegram, Row
from meterspan.wire.errors import ChecksumError
from meterspan.wire.p1 import PROFILES, P1Damage, p1_object, read_telegram, write_telegram

BERLIN = ZoneInfo("Europe/Berlin")
POWER = Tariff(
    "two bands",
    "EUR",
    "kWh",
    (Band("off-peak", Decimal("0.20")), Band("peak", Decimal("0.40"))),
    (TariffWindow("peak", time(7), time(21)),),
)
MIDNIGHT = int(datetime(2025, 1, 14, tzinfo=BERLIN).timestamp())


class Clock:
    def __init__(self, now):
        self.now = now

    def __call__(self):
        return self.now


class Port:
    """A port that the test speaks into."""

    def __init__(self):
        self.queue = asyncio.Queue()

    async def __aiter__(self):
        while (item := await self.queue.get()) is not None:
            yield item


def electricity(at, kwh, power, **more):
    row = Row(CATALOGUE[Commodity.ELECTRICITY].register, Scaled(int(1000 * Decimal(kwh)), 0, UNITS["Wh"]), at)
    return HeardTelegram("p1", b"", at, (DeviceRows("E1", Commodity.ELECTRICITY, (row,)),), power_w=power, **more)


def shown(app, selector):
    return str(app.query_one(selector, Static).render())


def drive(script, *, size=(80, 24), hour=18.5, **keywords):
    """Run the app headless at a virtual hour and let ``script(app, pilot, port, clock)`` speak."""

    async def run():
        clock, port = Clock(MIDNIGHT + 3600 * hour), Port()
        display = DisplayModel("Europe/Berlin", tariffs={Commodity.ELECTRICITY: POWER}, contract_w=6000)
        app = DisplayApp(display, aiter(port), clock, title="Lindenweg 7", **keywords)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()

            async def say(*items):
                for item in items:
                    port.queue.put_nowait(item)
                    await pilot.pause()

            await script(app, pilot, say, clock)

    asyncio.run(run())


def test_a_telegram_is_shown_at_once():
    async def script(app, pilot, say, clock):
        assert "waiting for the meter" in shown(app, "#link")
        assert app.query_one(BigNumber).value == "--- W"
        await say(electricity(MIDNIGHT, 100, 300), electricity(MIDNIGHT + 66_600, "112.5", 1234))
        assert app.query_one(BigNumber).value == "1,234 W"
        assert "live" in shown(app, "#link")
        assert "21% of 6 kW" in shown(app, "#gauge")
        assert "peak  €0.4/kWh" in shown(app, "#band")
        assert "21:00 off-peak €0.2" in shown(app, "#band")
        today = shown(app, "#today")
        assert "12.50 kWh" in today
        assert "Cost so far" in today
        assert "No messages" in shown(app, "#news")
        assert "Tue 14 Jan  18:30" in shown(app, "#when")

    drive(script)


def test_a_real_telegram_goes_all_the_way_and_damage_is_counted():
    profile = next(profile for profile in PROFILES if profile.name == "dsmr5")
    lines = [
        p1_object(Obis(1, 3, 0, 2, 8), "50"),
        p1_object(Obis(0, 0, 1, 0, 0), "250114183000W"),
        p1_object(Obis(1, 0, 1, 8, 1), "000100.000*kWh"),
        p1_object(Obis(1, 0, 2, 7, 0), "02.345*kW"),
        p1_object(Obis(0, 1, 24, 1, 0), "003"),
        p1_object(Obis(0, 1, 24, 2, 1), "250114180000W", "00012.345*m3"),
    ]
    telegram = read_telegram(write_telegram("TST5", lines, profile=profile))

    async def script(app, pilot, say, clock):
        await say(rows_of_p1(telegram, clock()), P1Damage(b"/x", ChecksumError("CRC differs")))
        assert app.query_one(BigNumber).value == "2,345 W"
        assert app.query_one(BigNumber).has_class("exporting")
        assert "to the grid" in shown(app, "#gauge")
        assert "since 18:30" in shown(app, "#today")
        assert "Gas" in shown(app, "#today")
        assert "1 damaged telegram left out" in shown(app, "#news")

    drive(script)


def test_a_message_is_shown():
    async def script(app, pilot, say, clock):
        await say(electricity(MIDNIGHT, 100, 300, message="Planned work on [Monday]"))
        assert "Planned work on [Monday]" in shown(app, "#news")

    drive(script)


def test_silence_is_visible():
    async def script(app, pilot, say, clock):
        await say(electricity(MIDNIGHT + 66_600, 100, 300))
        clock.now += 45
        app.paint()
        assert "stale, 45 s ago" in shown(app, "#link")
        assert app.query_one(BigNumber).has_class("unknown")
        clock.now += 600
        app.paint()
        assert "no telegram for 10 min" in shown(app, "#link")
        assert app.query_one(BigNumber).value == "--- W"

    drive(script)


def test_a_closed_port_is_said():
    async def script(app, pilot, say, clock):
        await say(electricity(MIDNIGHT, 100, 300), None)
        assert "port closed" in shown(app, "#link")

    drive(script)


@pytest.mark.parametrize(("power", "level"), [(1000, ""), (4800, "high"), (6000, "alarm"), (-1, "exporting")])
def test_the_colour_tells_how_close_the_limit_is(power, level):
    async def script(app, pilot, say, clock):
        await say(electricity(MIDNIGHT, 100, power))
        classes = {"high", "alarm", "exporting", "unknown"} & app.query_one(BigNumber).classes
        assert classes == ({level} if level else set())

    drive(script)


def test_the_theme_goes_from_dark_to_light_and_back():
    async def script(app, pilot, say, clock):
        assert app.theme == "meterspan-light"
        await pilot.press("d")
        assert app.theme == "meterspan-dark"
        await pilot.press("d")
        assert app.theme == "meterspan-light"

    drive(script, dark=False)


@pytest.mark.parametrize("size", [(80, 24), (40, 12), (120, 40)])
def test_every_screen_size_is_drawn_within_its_lines(size):
    async def script(app, pilot, say, clock):
        hours = [electricity(MIDNIGHT + 3600 * hour, 100 + hour * (hour % 5) / 10, 400) for hour in range(19)]
        await say(*hours)
        chart = app.query_one("#hours", Static)
        lines = str(chart.render()).split("\n")
        assert all(len(line) <= max(28, chart.content_size.width) for line in lines)
        assert len(lines) <= max(4, chart.content_size.height)

    drive(script, size=size)


def test_hours_have_bars_in_the_colour_of_their_band():
    async def script(app, pilot, say, clock):
        await say(*(electricity(MIDNIGHT + 3600 * hour, 100 + hour, 400) for hour in range(10)))
        chart = shown(app, "#hours").split("\n")
        assert chart[0].strip().startswith("1")
        assert sum("█" in line for line in chart) >= 4
        assert chart[-1].split() == ["00", "03", "06", "09", "12", "15", "18", "21"]
        assert "off-peak" in str(app.query_one("#hours").border_subtitle)

    drive(script)


def test_a_view_without_anything_is_drawn():
    async def script(app, pilot, say, clock):
        assert "Nothing heard yet" in shown(app, "#today")
        assert "no power heard yet" in shown(app, "#curve")
        await pilot.press("q")

    drive(script)


@pytest.mark.parametrize("size", [(80, 24), (40, 16), (120, 40)])
def test_what_is_unknown_is_no_0_no_100_and_no_bar(size):
    async def script(app, pilot, say, clock):
        cards = {selector: shown(app, selector) for selector in ("#gauge", "#today", "#hours", "#curve")}
        of_unknown = re.compile(r"(?<![\w.:,])(?:0|100)(?:[.,]0+)?(?![\w:])|[━▁-█]")
        found = {selector: of_unknown.findall(text) for selector, text in cards.items()}
        assert found == {selector: [] for selector in cards}
        assert "power not known" in cards["#gauge"]
        await say(HeardTelegram("p1", b"", int(clock()), (), power_w=0))
        assert "from the grid" in shown(app, "#gauge"), "a power of 0 is known"
        assert "peak 0 W" in shown(app, "#curve")

    drive(script, size=size)


def test_a_sum_of_costs_names_the_supplies_that_it_lacks():
    async def script(app, pilot, say, clock):
        water = Row(CATALOGUE[Commodity.WATER].register, Scaled(5_000, -3, UNITS["m3"]), int(clock()))
        await say(electricity(int(clock()), 5, 100))
        assert "Cost so far  " in shown(app, "#today")
        await say(HeardTelegram("p1", b"", int(clock()) + 10, (DeviceRows("W1", Commodity.WATER, (water,)),)))
        assert "Cost so far, without water" in shown(app, "#today")

    drive(script)


def test_big_figures_are_four_lines_of_blocks():
    assert big_text("10") == [" # #▀▀#".replace("#", "█"), " █ █  █", " █ █  █", " ▀ ▀▀▀▀"]
    assert len({len(line) for line in big_text("-1,234")}) == 1
    assert len({tuple(big_text(digit)) for digit in "0123456789-"}) == 11
    assert big_text("") == [""] * 4
