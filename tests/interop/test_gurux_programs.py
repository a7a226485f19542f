"""The commands beside Gurux: ``meterspan meter`` is read by Gurux, ``meterspan read`` reads a Gurux meter."""

import json
import subprocess
import time
from itertools import pairwise

import pytest

from tests.helpers_bench import MAIN
from tests.interop.helpers import AUTH_KEY, CLIENT_TITLE, KEY, PASSWORD, started
from tests.interop.matrix import Row

pytestmark = [
    pytest.mark.interop,
    pytest.mark.timeout(180),
    pytest.mark.peer("Gurux"),
    pytest.mark.matrix(Row.PROGRAMS),
]

SECRETS = {"METERSPAN_KEY": KEY.hex(), "METERSPAN_AUTH_KEY": AUTH_KEY.hex(), "METERSPAN_PASSWORD": PASSWORD}
DAY_S, PERIOD_S = 86_400, 900


@pytest.fixture(autouse=True)
def _secrets(monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("link", ["wrapper", "hdlc"])
def test_gurux_reads_a_day_from_the_command_meter(ask, tmp_path, link):
    end = int(time.time()) // PERIOD_S * PERIOD_S
    with started(*MAIN, "meter", f"--{link}", "0", "--state", tmp_path, "--json") as meter:
        told = ask(
            "gurux_client.py",
            {
                "link": link,
                "port": meter["ports"][link],
                "client": 1,
                "authentication": "gmac",
                "counter": 1,
                "title": CLIENT_TITLE.hex(),
                "key": KEY.hex(),
                "auth_key": AUTH_KEY.hex(),
                "do": ["view", "clock", "registers", "profile"],
                "registers": ["1.0.1.8.0.255"],
                "range": [end - DAY_S + PERIOD_S, end],
            },
        )
    assert abs(told["clock"] - time.time()) < 30
    assert [7, "1.0.99.1.0.255"] in told["view"]
    rows = told["profile"]
    assert [row[0] for row in rows] == [end - DAY_S + PERIOD_S * number for number in range(1, 97)]
    assert all(later[2] >= earlier[2] for earlier, later in pairwise(rows))
    assert told["registers"]["1.0.1.8.0.255"][0] >= rows[-1][2]


def test_the_command_read_reads_a_gurux_meter(gurux_meter, tmp_path):
    scheme = "hdlc+tcp" if gurux_meter["link"] == "hdlc" else "tcp"
    done = subprocess.run(
        [
            *MAIN,
            "read",
            f"{scheme}://127.0.0.1:{gurux_meter['port']}",
            "--auth",
            "hls5",
            "--physical",
            "17",
            "--state",
            tmp_path,
            "--json",
            "--view",
            "--profile",
            "1-0:99.1.0",
            "--zone",
            "UTC",
            "--from",
            "2026-03-01T01:00",
            "--to",
            "2026-03-01T03:00",
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [(item["obis"], item["value"], item["unit"]) for item in told["registers"]] == [
        ("1-0:1.8.0", 123_456, "Wh"),
        ("1-0:2.8.0", 789, "Wh"),
    ]
    assert [item["class"] for item in told["view"]] == [
        "AssociationLN",
        "Clock",
        "Data",
        "Register",
        "Register",
        "ProfileGeneric",
    ]
    rows = told["profile"]["rows"]
    assert [[row["1-0:1.8.0"], row["1-0:2.8.0"]] for row in rows] == [row[2:] for row in gurux_meter["rows"][3:12]]
