"""``meter --push`` and ``home --push`` as a user meets them: what nobody reads arrives all the same, and once."""

import json
import stat
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from meterspan.mdm import MeterDataManagement
from meterspan.model.readings import Source
from meterspan.quantities import Obis
from tests.cli.test_serve import until
from tests.helpers_bench import run, running_meter
from tests.helpers_serve import free_port, running

METERS = "/api/v1/operator/meters"
QUARTER = timedelta(minutes=15)
IMPORT = Obis(1, 0, 1, 8, 0)


def write_config(folder, port, *tables):
    path = folder / "serve.toml"
    lines = [
        f'data = "{folder / "central"}"',
        f'keys = "{folder / "keys.toml"}"',
        "[portal]",
        "port = 0",
        "[push]",
        f"port = {port}",
        "[reading]",
        "spread_s = 1",
        "settle_s = 1",
        "[[homes]]",
        'id = "home-1"',
        *tables,
    ]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def quarter(ago):
    """Return the start of the quarter hour so long ago."""
    moment = datetime.now(UTC) - ago
    return moment.replace(minute=moment.minute // 15 * 15, second=0, microsecond=0)


def test_a_meter_that_nobody_reads_pushes_every_row_once_though_the_head_end_is_killed(tmp_path):
    port, begin = free_port(), quarter(timedelta(hours=3))
    options = (
        "--wrapper",
        "0",
        "--history",
        "1d",
        "--start",
        f"{begin:%Y-%m-%dT%H:%M:%S}",
        "--speed",
        "1200",
        "--push",
        f"127.0.0.1:{port}",
    )
    with running_meter(tmp_path, *options) as meter:
        title = b"MSP" + (42).to_bytes(5, "big")
        config = write_config(
            tmp_path,
            port,
            "[[meters]]",
            f'device = "{meter.name}"',
            'home = "home-1"',
            'endpoint = ""',
            f'system_title = "{title.hex()}"',
            f"installed_at = {begin.isoformat()}",
        )

        def status(server):
            return server.get("/api/v1/operator/meters")[0]

        with running(tmp_path, "serve", str(config)) as server:
            until(lambda: status(server)["received"] >= 4)
            server.process.kill()
            server.process.wait()
        with running(tmp_path, "serve", str(config)) as server:
            told = until(lambda: (one := status(server))["expected"] >= 12 and not one["missing"] and one)
            assert (told["received"], told["interface"]) == (told["expected"], "G1")
            assert server.get("/healthz")["sessions_ok"] == 0
            until(lambda: server.get("/healthz")["rows_pushed"] >= 4)
    with MeterDataManagement(tmp_path / "central" / "data") as data:
        (numbers,) = [[item.series_id] for item in data.series() if item.obis == IMPORT]
        kept = data.readings(numbers, begin, datetime.now(UTC) + timedelta(days=1))
    assert set(kept.source.tolist()) == {int(Source.PUSH)}
    first = int((begin + QUARTER).timestamp())
    assert kept.time.tolist() == list(range(first, first + 900 * len(kept), 900)), "none lost, none doubled"
    assert (np.diff(kept.value) >= 0).all()


@pytest.mark.finding("dlms D4")
def test_meters_push_over_udp_and_hdlc_and_their_events_are_in_their_stories(tmp_path):
    begin = quarter(timedelta(hours=3))
    places = {seed: f"{scheme}://127.0.0.1:{free_port()}" for seed, scheme in ((1, "udp"), (2, "hdlc+tcp"))}
    tables, names = ["[push]", f"places = {json.dumps(list(places.values()))}"], []
    with ExitStack() as stack:
        for seed, place in places.items():
            options = ("--wrapper", "0", "--seed", str(seed), "--history", "0", "--push", place, "--speed", "1200")
            begun = ("--start", f"{begin:%Y-%m-%dT%H:%M:%S}")
            if place.startswith("hdlc"):
                with running_meter(tmp_path, *options, *begun):
                    pass  # it has lost its power once, and says so when it has it again
            meter = stack.enter_context(running_meter(tmp_path, *options, *begun))
            names.append(meter.name)
            tables += [
                "[[meters]]",
                f'device = "{meter.name}"',
                f'home = "home-{seed}"',
                'endpoint = ""',
                f'system_title = "{(b"MSP" + seed.to_bytes(5, "big")).hex()}"',
                f"installed_at = {begin.isoformat()}",
            ]
        config = write_config(tmp_path, 0, "[[homes]]", 'id = "home-2"', *tables[2:])
        config.write_text(config.read_text("utf-8").replace("[push]", "\n".join(tables[:2])), "utf-8")
        with running(tmp_path, "serve", str(config)) as server:
            assert [place.partition(":")[0] for place in server.told["pushes"]] == ["tcp", "udp", "hdlc+tcp"]
            until(lambda: (all_ := server.get(METERS)) and all(one["received"] >= 4 for one in all_))
            stories = [server.get(f"{METERS}/{name}")["entries"] for name in names]
            events = [{entry["title"] for entry in story if entry["kind"] == "event"} for story in stories]
            assert events == [set(), {"It reports event 1: power down", "It reports event 2: power up"}]
            assert server.get("/healthz")["quarantined"] == 0


def test_meters_behind_a_home_reach_the_head_end_under_their_own_names_and_its_access_point_can_be_read(tmp_path):
    port, radio, keys = free_port(), free_port(), tmp_path / "keys.toml"
    begin = quarter(timedelta(hours=1))
    with (
        running_meter(tmp_path, "--wrapper", "0", "--p1", "0", "--history", "0") as power,
        running_meter(tmp_path, "--medium", "gas", "--radio", f"127.0.0.1:{radio}", "--interval", "1") as gas,
        running(
            tmp_path,
            "home",
            "--p1",
            power.place("p1"),
            "--radio",
            str(radio),
            "--keys",
            str(keys),
            "--port",
            "0",
            "--push",
            f"127.0.0.1:{port}",
            "--g1-port",
            "0",
            "--zone",
            "Europe/Berlin",
        ) as home,
    ):
        until(lambda: len(home.get("/api/v1/operator/meters")) == 2)
        point = home.told["access_point"]
        assert point["channels"] == {gas.name: 1}
        place = f"tcp://127.0.0.1:{home.told['ports']['G1']}"
        since = f"installed_at = {begin.isoformat()}"
        config = write_config(
            tmp_path,
            port,
            "[[access_points]]",
            f'device = "{point["device"]}"',
            f'system_title = "{point["system_title"]}"',
            f'endpoint = "{place}"',
            *(
                "[[meters]]",
                f'device = "{gas.name}"',
                'home = "home-1"',
                'commodity = "gas"',
                since,
                f'endpoint = "via:{point["device"]}"',
                "mbus_channel = 1",
            ),
            *(
                "[[meters]]",
                f'device = "{power.name}"',
                'home = "home-1"',
                since,
                f'endpoint = "via:{point["device"]}"',
                "mbus_channel = 2",
            ),
        )
        with running(tmp_path, "serve", str(config)) as server:
            until(lambda: all(one["last_heard"] for one in server.get("/api/v1/operator/meters")))
            meters = {one["device"]: one["interface"] for one in server.get("/api/v1/operator/meters")}
            assert meters == {gas.name: "M", power.name: "H1"}
            health = until(lambda: (told := server.get("/healthz"))["sessions_ok"] and told["rows_pushed"] and told)
            assert (health["rows_pushed"], health["quarantined"]) == (2, 0), "reads and pushes share one counter"
        done = run(
            tmp_path,
            "read",
            place,
            "--auth",
            "hls5",
            "--keys",
            str(keys),
            "--meter",
            point["device"],
            "--view",
            "--json",
        )
        assert done.returncode == 0, done.stderr
        names = {item["obis"] for item in json.loads(done.stdout)["view"]}
        assert {"0-1:24.1.0", "0-1:24.2.1", "0-1:24.3.0", "0-2:24.1.0", "0-2:24.3.0"} <= names
    assert stat.S_IMODE(keys.stat().st_mode) == 0o600
