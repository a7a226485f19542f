import asyncio
import socket
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest
import typer

from meterspan.app.display import feed
from meterspan.cli.options import tariffs_by_commodity
from meterspan.display.app import DisplayApp
from meterspan.display.model import Connection, DisplayModel
from meterspan.quantities import Commodity
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.endpoints import parse_endpoint
from tests.helpers_bench import run, running_meter

TARIFFS = """
[[tariff]]
name = "Day and night"
currency = "EUR"
unit = "kWh"
bands = [ { name = "day", price = "0.31" }, { name = "night", price = "0.22" } ]
windows = [ { band = "night", start = "22:00", end = "06:00" } ]

[[tariff]]
name = "Gas"
currency = "EUR"
unit = "kWh"
bands = [ { name = "all", price = "0.11" } ]
conversion = { calorific_value = "11.2" }
"""


def test_the_display_shows_what_a_meter_process_measures(tmp_path):
    async def watch(place):
        clock = SystemClock()
        model = DisplayModel("Europe/Berlin", tariffs=tariffs_by_commodity("0.32", "EUR", None))
        app = DisplayApp(model, feed(place, clock, lambda: None, ZoneInfo(model.zone)), clock, title="Bench")
        async with app.run_test() as pilot:
            for _ in range(40):
                await pilot.pause(0.2)
                view = model.view(clock())
                if view.connection is Connection.LIVE:
                    return view
        raise AssertionError("nothing was heard")

    with running_meter(tmp_path, "--p1", "0", "--history", "0") as meter:
        view = asyncio.run(watch(parse_endpoint(meter.place("p1"), ["tcp"])))
    assert view.power_w is not None
    assert view.band is not None
    assert view.today[0].commodity is Commodity.ELECTRICITY


def test_tariffs_of_a_file_go_to_their_supplies(tmp_path):
    path = tmp_path / "tariffs.toml"
    path.write_text(TARIFFS)
    found = tariffs_by_commodity(None, "EUR", path)
    assert {commodity: tariff.name for commodity, tariff in found.items()} == {
        Commodity.ELECTRICITY: "Day and night",
        Commodity.GAS: "Gas",
    }
    assert tariffs_by_commodity("0.5", "CHF", path)[Commodity.ELECTRICITY].bands[0].price == Decimal("0.5")


def test_what_is_no_price_or_tariff_is_refused(tmp_path):
    with pytest.raises(typer.BadParameter, match="is no number"):
        tariffs_by_commodity("cheap", "EUR", None)
    with pytest.raises(typer.BadParameter, match="No such file"):
        tariffs_by_commodity(None, "EUR", tmp_path / "none.toml")


def test_a_source_that_is_none_is_refused(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        done = run(tmp_path, "display", f"udp://127.0.0.1:{free.getsockname()[1]}")
    assert done.returncode == 2
    assert "is no endpoint" in done.stderr
