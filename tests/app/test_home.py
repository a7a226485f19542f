"""The identity of a home's access point, and which keys are those of its radio meters."""

import subprocess
import sys

import pytest

from meterspan.app.home import AccessPointOptions, LineLog, parse_buses, radio_meters, upstream_identity
from meterspan.app.meter_keys import MeterKeys
from meterspan.lnap.access_point import CHANNELS_MAX
from meterspan.model.radio_protection import RadioSettings
from meterspan.runtime.endpoints import EndpointError
from meterspan.runtime.state import StateFile

KEYS = MeterKeys(bytes(16), bytes(range(16)))


@pytest.fixture
def state(tmp_path):
    with StateFile(tmp_path / "home.sqlite") as opened:
        yield opened


def options(**chosen):
    return AccessPointOptions(lambda _name: KEYS, **chosen)


def test_an_identity_is_made_once_and_kept(state):
    made = upstream_identity(state, options(), pushes=True)
    assert (len(made.system_title), made.system_title[:3], made.pushes) == (8, b"MSP", True)
    assert made.name == f"MSPL{made.system_title[3:].hex().upper()}"
    again = upstream_identity(state, options(), pushes=False)
    assert (again.name, again.system_title, again.pushes) == (made.name, made.system_title, False)


def test_what_is_chosen_replaces_what_was_kept_and_stays(state):
    made = upstream_identity(state, options(), pushes=True)
    named = upstream_identity(state, options(name="MSPLNAP000001"), pushes=True)
    assert (named.name, named.system_title) == ("MSPLNAP000001", made.system_title)
    titled = upstream_identity(state, options(system_title=b"MSPHOME1"), pushes=True)
    assert (titled.name, titled.system_title) == ("MSPLNAP000001", b"MSPHOME1")
    kept = upstream_identity(state, options(), pushes=True)
    assert (kept.name, kept.system_title) == ("MSPLNAP000001", b"MSPHOME1")


def test_two_homes_make_different_identities(tmp_path):
    with StateFile(tmp_path / "a.sqlite") as one, StateFile(tmp_path / "b.sqlite") as other:
        first, second = (upstream_identity(state, options(), pushes=True) for state in (one, other))
    assert first.system_title != second.system_title
    assert first.name != second.name


def test_only_radio_meters_of_a_supply_are_heard_by_radio():
    keys = {"MSP-12345678-07": KEYS, "MSP10000000042": KEYS, "access point": KEYS}
    assert radio_meters(keys) == {"MSP-12345678-07": RadioSettings(KEYS.key, KEYS.protection, KEYS.hourly_max)}


def test_a_home_has_no_more_radio_meters_than_channels():
    keys = {f"MSP-{number:08}-07": KEYS for number in range(CHANNELS_MAX + 1)}
    with pytest.raises(ValueError, match="65 radio meters; a home has at most 64"):
        radio_meters(keys)


def test_a_bus_is_an_endpoint_with_its_slaves():
    assert [bus.place for bus in parse_buses(["mbus+tcp://127.0.0.1:10001?address=5,6"])] == ["127.0.0.1:10001"]


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        (["tcp://127.0.0.1:4059"], "mbus"),
        (["mbus+tcp://127.0.0.1:10001"], "names no slave"),
        (["mbus+tcp://127.0.0.1:10001?address=5&baud=1"], "no rate of M-Bus"),
        (["mbus+tcp://127.0.0.1:10001?address=5", "mbus+tcp://127.0.0.1:10001?address=6"], "one endpoint"),
    ],
)
def test_an_endpoint_that_is_no_bus_is_refused_in_words(texts, words):
    with pytest.raises(EndpointError, match=words):
        parse_buses(texts)


@pytest.mark.finding("users C-8")
def test_the_log_says_once_why_a_line_is_down_and_that_it_is_up_again(caplog):
    caplog.set_level("INFO", "meterspan.home")
    line = LineLog("P1 line")
    line.is_up()
    for reason in ("closed", "no device", "no device", "no device"):
        line.is_down(reason)
    line.is_up()
    line.is_down("closed")
    assert [record.message for record in caplog.records] == [
        "P1 line is up",
        "P1 line is down",
        "P1 line is down",
        "P1 line is up again",
        "P1 line is down",
    ]


@pytest.mark.finding("users C-9")
def test_a_home_loads_neither_duckdb_nor_parquet_before_a_closed_day_is_asked_for():
    unneeded = "{'duckdb', 'pyarrow.parquet', 'pandas', 'textual'}"
    code = f"import sys, meterspan.app.home; print(*({unneeded} & sys.modules.keys()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
