"""``meterspan home`` as a consumer meets it: live power from a P1 port, gas by radio, a history that stays."""

import json
import socket
import sys
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pytest

from meterspan.cli import main
from meterspan.quantities import ClockTime, parse_obis
from meterspan.runtime.state import StateFile
from meterspan.wire.p1 import PROFILES, P1Reader, p1_object, p1_time, write_telegram
from tests.cli.test_serve import until
from tests.helpers_bench import run, run_here, running_meter
from tests.helpers_bus import ENERGY, HEAT, bus_slave, register, running_bus
from tests.helpers_serve import free_port, running

BERLIN = ZoneInfo("Europe/Berlin")
DSMR5 = next(profile for profile in PROFILES if profile.name == "dsmr5")


def telegram(moment, wh, *, meter="MSP1000000001", power_w=500, gas_l=None):
    """Write a DSMR 5 telegram of a meter; gas stands behind it on channel 1."""
    stamp = p1_time(ClockTime.of(moment.astimezone(BERLIN)))
    groups = [
        ("1-3:0.2.8", "50"),
        ("0-0:1.0.0", stamp),
        ("0-0:96.1.1", meter.encode().hex().upper()),
        ("1-0:1.8.0", f"{wh // 1000:06d}.{wh % 1000:03d}*kWh"),
        ("1-0:1.7.0", f"{power_w // 1000:02d}.{power_w % 1000:03d}*kW"),
    ]
    lines = [p1_object(parse_obis(name), text) for name, text in groups]
    if gas_l is not None:
        lines += [
            p1_object(parse_obis("0-1:24.1.0"), "003"),
            p1_object(parse_obis("0-1:96.1.0"), b"GAS7".hex()),
            p1_object(parse_obis("0-1:24.2.1"), stamp, f"{gas_l // 1000:05d}.{gas_l % 1000:03d}*m3"),
        ]
    return write_telegram("MSP5TEST", lines, profile=DSMR5)


def replay(folder, octets, *options):
    """Replay a capture into the home's history, and give the server to ask while it runs."""
    path = folder / "capture.txt"
    path.write_bytes(octets)
    return running(
        folder,
        "home",
        "--p1",
        str(path),
        "--data",
        str(folder / "home"),
        "--port",
        "0",
        "--zone",
        "Europe/Berlin",
        *options,
    )


def test_live_power_and_cost_come_from_a_meters_p1_port_and_the_history_survives(tmp_path):
    with running_meter(tmp_path, "--p1", "0", "--history", "0") as meter:
        options = ("home", "--p1", meter.place("p1"), "--port", "0", "--price", "0.32", "--zone", "Europe/Berlin")
        with running(tmp_path, *options) as server:
            live = until(lambda: (told := server.get("/api/v1/homes/home/live"))["power_w"] is not None and told)
            assert (live["price"], live["currency"], live["band"]) == ("0.32", "EUR", "flat")
            assert live["today"][0]["commodity"] == "electricity"
            (status,) = server.get("/api/v1/operator/meters")
            assert (status["device"], status["state"], status["interface"]) == (meter.name, "ok", "H1")
            story = server.get(f"/api/v1/operator/meters/{meter.name}")
            assert story["frames"][0]["summary"].startswith("p1 telegram")
            kept = server.get("/api/v1/operator/summary")["readings_stored"]
            server.process.kill()
            server.process.wait()
        with running(tmp_path, *options) as server:
            until(lambda: server.get("/api/v1/operator/summary")["readings_stored"] > kept)
            assert [home["home_id"] for home in server.get("/api/v1/homes")] == ["home"]


def test_a_replayed_autumn_night_has_a_hundred_quarters_and_every_watt_hour(tmp_path):
    start = datetime(2025, 10, 25, 22, 0, tzinfo=UTC)
    octets = b"".join(telegram(start + timedelta(minutes=15 * n), 1_000 + 100 * n) for n in range(101))
    with replay(tmp_path, octets, "--price", "0.5") as server:
        day = until(
            lambda: (told := server.get("/api/v1/homes/home/electricity/days/2025-10-26"))["closing"] == "11" and told
        )
        assert len(day["intervals"]) == 100
        assert (Decimal(day["total"]), Decimal(day["unexplained"])) == (10, 0)
        assert Decimal(day["cost"]) == 5


def test_an_exchanged_meter_loses_nothing_and_a_restart_does_not_exchange_again(tmp_path):
    start = datetime(2025, 6, 1, 0, 0, tzinfo=UTC)
    old = [telegram(start + timedelta(minutes=15 * n), 900_000 + 100 * n) for n in range(9)]
    new = [telegram(start + timedelta(minutes=15 * n), 100 * (n - 8), meter="MSP1000000002") for n in range(9, 17)]
    with replay(tmp_path, b"".join(old + new)) as server:
        day = until(
            lambda: (told := server.get("/api/v1/homes/home/electricity/days/2025-06-01"))["known"] == 16 and told
        )
        total = day["total"]
        assert (Decimal(total), Decimal(day["unexplained"])) == (Decimal("1.5"), 0)
        assert "exchanged" in " ".join(day["notes"])
    with replay(tmp_path, b"".join(old + new)) as server:
        time.sleep(2.5)
        assert server.get("/api/v1/homes/home/electricity/days/2025-06-01")["total"] == total


def test_gas_behind_the_p1_port_is_its_own_supply(tmp_path):
    start = datetime(2025, 1, 10, 0, 0, tzinfo=UTC)
    octets = [telegram(start + timedelta(hours=n), 1_000 + 100 * n, gas_l=5_000 + 250 * n) for n in range(9)]
    with replay(tmp_path, b"".join(octets)) as server:
        day = until(lambda: (told := server.get("/api/v1/homes/home"))["usage_points"] and told)
        assert [point["commodity"] for point in day["usage_points"]] == ["electricity", "gas"]
        gas = until(lambda: (told := server.get("/api/v1/homes/home/gas/days/2025-01-10"))["known"] == 8 and told)
        assert (gas["unit"], Decimal(gas["total"])) == ("m3", 2)


def test_damaged_telegrams_are_quarantined_and_cost_no_other(tmp_path):
    start = datetime(2025, 6, 1, 0, 0, tzinfo=UTC)
    octets = bytearray(b"".join(telegram(start + timedelta(minutes=15 * n), 1_000 * n) for n in range(1, 5)))
    octets[octets.index(b"000002.000") + 5] ^= 1
    with replay(tmp_path, bytes(octets)) as server:
        until(lambda: server.get("/api/v1/homes/home/electricity/days/2025-06-01")["total"] == "3")
        (kept,) = server.get("/api/v1/operator/quarantine")
        assert "CRC" in kept["reason"]


def test_a_radio_meter_is_heard_with_its_key_and_an_unknown_device_is_not(tmp_path):
    port = free_port()
    with (
        running_meter(tmp_path, "--medium", "gas", "--radio", f"127.0.0.1:{port}", "--interval", "1") as meter,
        running(
            tmp_path,
            "home",
            "--radio",
            str(port),
            "--keys",
            str(tmp_path / "keys.toml"),
            "--port",
            "0",
            "--zone",
            "Europe/Berlin",
        ) as server,
        running_meter(tmp_path / "elsewhere", "--medium", "water", "--radio", f"127.0.0.1:{port}", "--interval", "1"),
    ):
        (status,) = until(lambda: server.get("/api/v1/operator/meters"))
        assert (status["device"], status["commodity"], status["interface"]) == (meter.name, "gas", "M")
        time.sleep(1.5)
        assert len(server.get("/api/v1/operator/meters")) == 1


def test_displays_hear_the_home_over_h1_and_h2(tmp_path):
    with (
        running_meter(tmp_path, "--p1", "0", "--history", "0") as meter,
        running(
            tmp_path,
            "home",
            "--p1",
            meter.place("p1"),
            "--port",
            "0",
            "--h1-port",
            "0",
            "--h2-port",
            "0",
            "--zone",
            "Europe/Berlin",
        ) as server,
    ):
        with socket.create_connection(("127.0.0.1", server.told["ports"]["H2"]), timeout=10) as line:
            told = json.loads(line.makefile().readline())
        assert told["power_w"] is not None
        assert told["registers"][0]["meter"] == meter.name
        reader = P1Reader()
        with socket.create_connection(("127.0.0.1", server.told["ports"]["H1"]), timeout=10) as line:
            while (heard := reader.next_telegram()) is None:
                reader.receive(line.recv(4_096))
        assert heard.crc_matches is not False


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "where does the home hear its meters"),
        (("--p1", "nonsense"), "or name a file to replay"),
        (("--p1", "tcp://127.0.0.1:9", "--zone", "Mars"), "is no time zone"),
        (("--p1", "tcp://127.0.0.1:9", "--price", "dear"), "is no number"),
        (("--p1", "tcp://127.0.0.1:9", "--host", "192.0.2.7"), "add --insecure-without-login"),
    ],
)
def test_what_cannot_be_used_is_said(options, said):
    result = run_here("home", *options)
    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", " ").split())


def test_a_damaged_entry_stops_the_start_by_name_and_is_set_aside_on_request(tmp_path):
    octets = telegram(datetime(2025, 6, 1, tzinfo=UTC), 1_000)
    with replay(tmp_path, octets):
        pass
    with StateFile(tmp_path / "home" / "home.sqlite") as state:
        state.save("channels", b"{")
    capture, folder = str(tmp_path / "capture.txt"), str(tmp_path / "home")
    refused = run(tmp_path, "home", "--p1", capture, "--data", folder, "--port", "0")
    assert refused.returncode == 2
    assert "--set-aside 'channels'" in " ".join((refused.stdout + refused.stderr).split())
    with replay(tmp_path, octets, "--set-aside", "channels") as server:
        assert server.get("/healthz")
    with StateFile(tmp_path / "home" / "home.sqlite") as state:
        assert (state.load("set aside/channels"), state.load("channels")) == (b"{", b"")


def test_wired_meters_of_a_bus_are_polled_installed_and_shown(tmp_path):
    slaves = [bus_slave(1, "10000001"), bus_slave(2, "20000002", HEAT, [register(7, ENERGY)])]
    options = ("--data", str(tmp_path / "home"), "--port", "0", "--zone", "Europe/Berlin")
    with running_bus(slaves) as port:
        bus = f"mbus+tcp://127.0.0.1:{port}?baud=38400&address=1&secondary=20000002"
        with running(tmp_path, "home", "--mbus", bus, *options) as server:
            meters = until(lambda: len(told := server.get("/api/v1/operator/meters")) == 2 and told)
            assert {one["device"]: one["interface"] for one in meters} == {
                "MSP-10000001-07": "M",
                "MSP-20000002-04": "M",
            }
            health = until(lambda: len((told := server.get("/healthz"))["meters"]) == 2 and told)
            assert (health["not_read"], health["kept_aside"]) == ({}, 0)


@pytest.mark.parametrize(
    ("buses", "words"),
    [
        (["mbus+tcp://127.0.0.1:1"], "names no slave"),
        (["mbus+tcp://127.0.0.1:1?address=999"], "0 to 250"),
        (["tcp://127.0.0.1:1?address=1"], "mbus+tcp://"),
        (["mbus+tcp://127.0.0.1:1?address=1", "mbus+tcp://127.0.0.1:1?address=2"], "name all slaves of one bus"),
    ],
)
def test_a_bus_that_cannot_be_polled_is_said_before_anything_is_opened(monkeypatch, capsys, buses, words):
    monkeypatch.setattr(sys, "argv", ["meterspan", "home", *(part for bus in buses for part in ("--mbus", bus))])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert words in " ".join(capsys.readouterr().err.replace("│", " ").split())
