"""``meterspan demo`` as a process: the check proves its numbers; the living demo serves, streams and ends cleanly."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from rich.console import Console

from meterspan.app.demo import MARKER
from meterspan.cli.demo import _invitation

COMMAND = (sys.executable, "-c", "from meterspan.cli import main; main()", "demo")
UP_WITHIN_S = 60.0


def run(*options):
    return subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=110, check=False)


def test_the_check_of_a_bad_day_is_complete_explained_and_true():
    ended = run("--check", "--homes", "4", "--json")
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["passed"] is True
    assert found["district"]["quarter_hours"] == 100
    assert found["completeness"]["after_gap_recovery"] == 1.0
    assert found["completeness"]["before_gap_recovery"] < 1.0
    assert found["unexplained"] == {"energy_wh": 0, "volume_l": 0}
    assert found["verification"] == {"differences": 0, "examples": []}
    assert found["conflicts"] == 0
    assert found["meters"]["by_commodity"].keys() == {"electricity", "gas", "heat", "water"}
    assert found["sessions"]["failed"] > 0
    kinds = {fault["kind"] for fault in found["faults"]}
    assert {"lost frames", "outage", "meter exchange", "wrong key", "replay", "power outage"} <= kinds
    assert all(found["interfaces"][name]["messages"] > 0 for name in ("G1", "H1", "H2", "M"))


@pytest.fixture
def living(tmp_path):
    """A living demo of two homes, its base address, and its directory."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = ("--homes", "2", "--days", "1", "--data", str(tmp_path / "demo"), "--port", str(port))
    environment = os.environ | {"COLUMNS": "90"}
    process = subprocess.Popen([*COMMAND, *options], stderr=subprocess.PIPE, text=True, env=environment)
    try:
        yield process, f"http://127.0.0.1:{port}", tmp_path / "demo"
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def fetch(url, **headers):
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 (the demo's own http address)
    return urllib.request.urlopen(request, timeout=20)  # noqa: S310 (likewise)


def wait_until_up(process, base):
    end = time.monotonic() + UP_WITHIN_S
    while time.monotonic() < end and process.poll() is None:
        try:
            return json.load(fetch(f"{base}/api/v1/homes"))
        except OSError:
            time.sleep(0.2)
    raise AssertionError(f"not up: {process.poll()}")


def test_a_living_demo_serves_streams_and_ends_at_once(living):
    process, base, folder = living
    homes = wait_until_up(process, base)
    assert [home["home_id"] for home in homes] == ["home-01", "home-02"]
    meters = json.load(fetch(f"{base}/api/v1/operator/meters"))
    assert {meter["interface"] for meter in meters} == {"G1", "M"}
    story = json.load(fetch(f"{base}/api/v1/operator/meters/{meters[0]['device']}"))
    assert story["frames"]
    with fetch(f"{base}/api/v1/homes/home-01/live", Accept="text/event-stream") as stream:
        events = [_next_event(stream), _next_event(stream)]
        assert events[0]["home_id"] == "home-01"
        assert events[1]["at"] > events[0]["at"]
        process.send_signal(signal.SIGINT)  # while a browser still listens
        assert process.wait(timeout=15) == 0
    assert (folder / MARKER).exists()
    errors = process.stderr.read()
    assert base in errors
    assert "Traceback" not in errors


def _next_event(stream):
    while line := stream.readline():
        if line.startswith(b"data: "):
            return json.loads(line[6:])
    raise AssertionError("the stream ended")


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_addresses_of_the_demo_are_shown_whole_at_any_width(columns):
    shown = Console(width=columns, record=True, file=io.StringIO())
    shown.print(_invitation("http://127.0.0.1:42500/", is_lapsing=True))
    assert "http://127.0.0.1:42500/operator" in shown.export_text()


def test_a_directory_that_is_no_demo_is_left_alone(tmp_path):
    (tmp_path / "letters.txt").write_text("mine")
    ended = run("--data", str(tmp_path), "--homes", "1", "--days", "1")
    assert ended.returncode == 1
    assert "holds no demo" in " ".join(ended.stderr.split())
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]
