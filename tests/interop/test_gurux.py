"""Gurux (gurux-dlms, GPL) reads our meter and we read a Gurux meter: other people's DLMS, in processes of its own."""

from dataclasses import replace
from datetime import UTC, datetime
from itertools import count

import pytest

from meterspan.engine.scripts import read_clock, read_last_rows, read_object_list, read_profile, read_registers
from meterspan.model.failures import FailureKind
from meterspan.quantities import UNITS, Obis, Scaled
from tests.interop.helpers import AUTH_KEY, CLIENT_TITLE, CLIENTS, KEY, PASSWORD, SETTINGS, hold
from tests.interop.matrix import Row

pytestmark = [pytest.mark.interop, pytest.mark.timeout(180), pytest.mark.peer("Gurux")]

WAYS = ["none", "lls", "gmac"]
READERS = ["lls", "gmac"]
ENERGY, EXPORT, VOLTAGE = Obis(1, 0, 1, 8, 0), Obis(1, 0, 2, 8, 0), "1.0.32.7.0.255"
LOAD_PROFILE = Obis(1, 0, 99, 1, 0)
COUNTER = count(1_000, 1_000)
WH, VOLT = 30, 35
"""Unit codes of IEC 62056-6-2, table 4."""


def task(meter, way, *do, **more):
    """Send the Gurux client its commands."""
    return {
        "link": meter["link"],
        "port": meter["port"],
        "client": CLIENTS[way],
        "authentication": way,
        "password": PASSWORD if way == "lls" else "",
        "title": CLIENT_TITLE.hex(),
        "key": KEY.hex(),
        "auth_key": AUTH_KEY.hex(),
        "counter": next(COUNTER),
        "do": do,
        **more,
    }


@pytest.mark.matrix(Row.OBJECTS)
@pytest.mark.parametrize("way", READERS)
def test_gurux_finds_every_object_of_our_meter_in_the_association_view(our_meter, ask, way):
    view = ask("gurux_client.py", task(our_meter, way, "view"))["view"]
    associations = [item for item in view if item[0] == 15]
    others = [[class_id, name] for class_id, name in view if class_id != 15]
    assert [name for _, name in associations] == ["0.0.40.0.0.255", f"0.0.40.0.{2 if way == 'lls' else 3}.255"]
    assert others == sorted([class_id, _dotted(name)] for class_id, name in our_meter["objects"])


@pytest.mark.matrix(Row.ASSOCIATION)
def test_the_public_client_of_gurux_sees_only_names_clock_and_counter(our_meter, ask):
    told = ask("gurux_client.py", task(our_meter, "none", "view", "clock"))
    assert {class_id for class_id, _ in told["view"]} == {1, 8, 15, 17}
    assert 0 <= told["clock"] - our_meter["now"] < 120
    denied = ask("gurux_client.py", task(our_meter, "none", "registers", registers=["1.0.1.8.0.255"]))
    assert "failed" in denied


@pytest.mark.matrix(Row.ASSOCIATION, Row.OBJECTS)
@pytest.mark.parametrize("way", READERS)
def test_gurux_reads_our_registers_with_their_scalers(our_meter, ask, way):
    asked = [_dotted(str(ENERGY)), VOLTAGE]
    registers = ask("gurux_client.py", task(our_meter, way, "registers", registers=asked))["registers"]
    assert registers[asked[0]] == [our_meter["import_wh"], 1.0, WH]
    value, scaler, unit = registers[VOLTAGE]
    assert (round(value, 3), round(scaler, 3), unit) == (230.1, 0.1, VOLT)


@pytest.mark.matrix(Row.PROFILE, Row.ENTRIES)
@pytest.mark.parametrize("way", READERS)
def test_gurux_reads_our_load_profile_by_range_and_by_entry(our_meter, ask, way):
    rows = our_meter["rows"]
    bounds = [rows[10][0], rows[105][0]]
    told = ask("gurux_client.py", task(our_meter, way, "profile", "entries", range=bounds, entries=[3, 4]))
    assert told["profile_columns"] == [
        [8, "0.0.1.0.0.255"],
        [1, "0.0.96.10.1.255"],
        [3, "1.0.1.8.0.255"],
        [3, "1.0.2.8.0.255"],
    ]
    assert told["profile"] == rows[10:106]
    assert told["entries"] == rows[2:6]


@pytest.mark.matrix(Row.BLOCKS)
@pytest.mark.parametrize("way", READERS)
def test_gurux_collects_a_profile_in_blocks_where_its_pdu_is_small(our_meter, ask, way):
    rows = our_meter["rows"]
    bounds = [rows[0][0], rows[95][0]]
    told = ask("gurux_client.py", task(our_meter, way, "profile", range=bounds, max_pdu=400))
    assert told["profile"] == rows[:96]


@pytest.mark.matrix(Row.PROFILE)
@pytest.mark.parametrize("way", READERS)
def test_gurux_reads_our_event_log(our_meter, ask, way):
    events = ask("gurux_client.py", task(our_meter, way, "events"))["events"]
    assert [code for _, code in events][: len(our_meter["events"])] == our_meter["events"]


@pytest.mark.matrix(Row.WRITE)
def test_gurux_sets_our_clock_under_hls_only(our_meter, ask):
    later = our_meter["now"] + 90
    told = ask("gurux_client.py", task(our_meter, "gmac", "set_clock", set_clock=later))
    assert 0 <= told["set_clock"] - later < 5
    refused = ask("gurux_client.py", task(our_meter, "lls", "set_clock", set_clock=later))
    assert "failed" in refused


@pytest.mark.matrix(Row.REFUSED)
def test_our_meter_refuses_gurux_with_a_wrong_password_or_key(our_meter, ask):
    refused = ask("gurux_client.py", task(our_meter, "lls", "clock") | {"password": "close sesame"})
    assert "Authentication failure" in refused["failed"]
    refused = ask("gurux_client.py", task(our_meter, "gmac", "clock", key=bytes(16).hex()))
    assert "failed" in refused
    assert "clock" in ask("gurux_client.py", task(our_meter, "gmac", "clock"))


@pytest.mark.finding("dlms D13")
@pytest.mark.matrix(Row.RELEASE)
@pytest.mark.parametrize("is_protected", [False, True])
def test_gurux_releases_a_ciphered_association_bare_and_protected(our_meter, ask, is_protected):
    asked = task(our_meter, "gmac", "clock", protected_release=is_protected)
    assert "clock" in ask("gurux_client.py", asked)


@pytest.mark.matrix(Row.REFUSED)
def test_our_meter_refuses_gurux_a_second_use_of_an_invocation_counter(our_meter, ask):
    first = task(our_meter, "gmac", "clock")
    assert "clock" in ask("gurux_client.py", first)
    assert "Invocation counter" in ask("gurux_client.py", first)["failed"]


@pytest.mark.matrix(Row.THEIR_METER)
@pytest.mark.parametrize("way", WAYS)
def test_we_find_every_object_of_a_gurux_meter_in_the_association_view(gurux_meter, way):
    view = done(gurux_meter, way, read_object_list())
    assert [(element.class_id, str(element.logical_name)) for element in view] == [
        (15, "0-0:40.0.0"),
        (8, "0-0:1.0.0"),
        (1, "0-0:96.10.1"),
        (3, "1-0:1.8.0"),
        (3, "1-0:2.8.0"),
        (7, "1-0:99.1.0"),
    ]


@pytest.mark.matrix(Row.THEIR_METER)
@pytest.mark.nonces_repeat("a new bench each time, with the same keys")
@pytest.mark.parametrize("way", WAYS)
def test_we_read_the_clock_and_the_registers_of_a_gurux_meter(gurux_meter, way):
    moment = done(gurux_meter, way, read_clock())
    assert moment.to_utc() == datetime.fromtimestamp(gurux_meter["now"], UTC)
    registers = done(gurux_meter, way, read_registers([ENERGY, EXPORT]))
    assert registers == {ENERGY: Scaled(123_456, 0, UNITS["Wh"]), EXPORT: Scaled(789, 0, UNITS["Wh"])}


@pytest.mark.matrix(Row.THEIR_METER)
@pytest.mark.parametrize("way", WAYS)
def test_we_read_the_load_profile_of_a_gurux_meter_by_range(gurux_meter, way):
    rows = gurux_meter["rows"]
    read = done(gurux_meter, way, read_profile(LOAD_PROFILE, int(rows[20][0]), int(rows[115][0])))
    assert rows_of(read) == rows[20:116]
    assert [str(column.capture.instance) for column in read.layout.columns] == [
        "0-0:1.0.0",
        "0-0:96.10.1",
        "1-0:1.8.0",
        "1-0:2.8.0",
    ]
    assert read.layout.capture_period_s == 900


@pytest.mark.matrix(Row.THEIR_METER)
@pytest.mark.parametrize("way", WAYS)
def test_we_read_the_newest_rows_of_a_gurux_meter_by_entry(gurux_meter, way):
    assert rows_of(done(gurux_meter, way, read_last_rows(LOAD_PROFILE, 7))) == gurux_meter["rows"][-7:]


@pytest.mark.matrix(Row.THEIR_METER)
@pytest.mark.parametrize("way", WAYS)
def test_we_collect_a_gurux_profile_in_blocks_where_our_pdu_is_small(gurux_meter, way):
    rows = gurux_meter["rows"]
    settings = replace(SETTINGS[way], max_pdu=400)
    script = read_profile(LOAD_PROFILE, int(rows[0][0]), int(rows[95][0]))
    assert rows_of(done(gurux_meter, way, script, settings=settings)) == rows[:96]


@pytest.mark.matrix(Row.THEIR_METER)
def test_a_gurux_meter_that_refuses_our_password_is_told_apart(gurux_meter):
    settings = replace(SETTINGS["lls"], secret=b"close sesame")
    failed = hold(gurux_meter["port"], gurux_meter["link"], "lls", read_clock(), settings=settings)
    assert (failed.stage, failed.failure.permanent) == ("association", True)
    assert failed.failure.kind is FailureKind.AUTHENTICATION_FAILED


@pytest.mark.matrix(Row.THEIR_METER)
def test_a_gurux_meter_that_cannot_open_what_we_send_fails_at_associating(gurux_meter):
    failed = hold(gurux_meter["port"], gurux_meter["link"], "gmac", read_clock(), key=bytes(16))
    assert failed.stage == "association"
    assert failed.failure.detail
    assert done(gurux_meter, "gmac", read_clock())


def done(meter, way, script, **options):
    """Run a script of ours against a Gurux meter, and give what it brought."""
    ending = hold(meter["port"], meter["link"], way, script, **options)
    assert hasattr(ending, "result"), ending
    return ending.result


def rows_of(read):
    """Return the rows as the meter's driver lists them."""
    columns = [column.values.tolist() for column in read.values.columns[1:]]
    return [list(row) for row in zip(read.times.tolist(), *columns, strict=True)]


def _dotted(name):
    """Write an OBIS code as Gurux does, six groups with dots."""
    return name.replace("-", ".").replace(":", ".") + ".255"
