import asyncio
import socket
from zoneinfo import ZoneInfo

from meterspan.app.display import feed
from meterspan.cli.tariff_options import tariffs_by_commodity
from meterspan.display.app import DisplayApp
from meterspan.display.model import Connection, DisplayModel
from meterspan.quantities import Commodity
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.endpoints import parse_endpoint
from tests.helpers_bench import run, running_meter


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


def test_a_source_that_is_none_is_refused(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        done = run(tmp_path, "display", f"udp://127.0.0.1:{free.getsockname()[1]}")
    assert done.returncode == 2
    assert "is no endpoint" in done.stderr
