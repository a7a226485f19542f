import json

import pytest

from meterspan.cli.key_files import read_key_file
from meterspan.model.failures import FailureKind
from meterspan.model.remedies import REMEDIES
from meterspan.runtime.machine import MARKS_VARIABLE
from tests.helpers_bench import read_json, register, run, run_here, running_meter

TOTAL = "1-0:1.8.0"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bench")


@pytest.fixture(scope="module")
def meter(folder):
    with running_meter(folder, "--wrapper", "0", "--hdlc", "0", "--p1", "0", "--history", "1d", "--pv", "5") as running:
        yield running


@pytest.fixture
def keys(folder, meter):
    return ["--keys", str(folder / "keys.toml")]


def test_the_public_client_sees_name_and_clock_without_any_key(folder, meter):
    found = read_json(folder, meter.place("wrapper"))
    assert found["meter"] == meter.name
    assert found["association"]["client"] == 16
    assert not found["association"]["ciphered"]
    assert abs(found["clock"]["offset_s"]) < 2
    assert found["registers"] == []
    assert {"15", "17"} <= {str(element["class_id"]) for element in found["view"]}


def test_the_reader_reads_registers_with_a_password(folder, meter, keys):
    found = read_json(folder, meter.place("wrapper"), "--auth", "lls", *keys)
    assert found["association"]["mechanism"] == "lls"
    total = next(entry for entry in found["registers"] if entry["obis"] == TOTAL)
    assert total["unit"] == "Wh"
    assert total["quantity"] == "active energy import"
    assert total["value"] > 2_500_000
    voltage = next(entry for entry in found["registers"] if entry["obis"] == "1-0:32.7.0")
    assert 200 < voltage["value"] < 260


@pytest.mark.parametrize("kind", ["wrapper", "hdlc"])
def test_management_reads_ciphered_over_both_links(folder, meter, keys, kind):
    place = meter.place(kind)
    found = read_json(folder, place, "--auth", "hls5", *keys, "--profile", "1-0:99.1.0", "--events", "3")
    assert found["association"]["ciphered"]
    assert found["association"]["mechanism"] == "hls-gmac"
    rows = found["profile"]["rows"]
    assert 94 <= len(rows) <= 97
    assert found["profile"]["units"] == {TOTAL: "Wh", "1-0:2.8.0": "Wh"}
    values = [row[TOTAL] for row in rows]
    assert values == sorted(values)
    assert values[0] < values[-1] <= register(found, TOTAL)
    assert found["not_read"] == []


@pytest.mark.finding("users B5")
def test_a_register_and_a_range_can_be_asked_for_alone(folder, meter, keys):
    given = ["--auth", "lls", *keys, "--register", TOTAL, "--register", "1-0:9.9.9", "--profile", "1-0:99.1.0"]
    whole = json.loads(run(folder, "read", "--json", meter.place("wrapper"), *given).stdout)
    first, last = whole["profile"]["rows"][3]["time"], whole["profile"]["rows"][6]["time"]
    done = run(folder, "read", "--json", meter.place("wrapper"), *given, "--from", first, "--to", last)
    part = json.loads(done.stdout)
    assert done.returncode == 1, "not all that was asked for was read"
    assert part["profile"]["rows"] == whole["profile"]["rows"][3:7]
    assert [entry["obis"] for entry in part["registers"]] == [TOTAL]
    assert part["not_read"] == ["1-0:9.9.9: the meter does not show it to this client"]


def test_people_get_tables_with_view_and_events(folder, meter, keys):
    done = run(folder, "read", meter.place("wrapper"), "--auth", "hls5", *keys, "--view", "--events", "2")
    assert done.returncode == 0, done.stderr
    for words in (
        meter.name,
        "right to the second",
        "HLS-GMAC, ciphered",
        "active energy import tariff 1",
        "kWh",
        "association view",
        "DisconnectControl",
        "m1 m2",
        "events",
    ):
        assert words in done.stdout


def test_a_trace_shows_every_frame_deciphered_and_no_secret(folder, meter, keys):
    secret = read_key_file(folder / "keys.toml")[meter.name]
    done = run(folder, "read", meter.place("hdlc"), "--auth", "hls5", *keys, "--trace", "--register", TOTAL)
    for words in (
        "SNRM",
        "UA",
        "AARQ, ln-ciphered, hls-gmac",
        "AARE, accepted, authentication-required",
        "[get-request-normal",
        "[get-response-normal",
        "RLRQ",
        "DISC",
    ):
        assert words in done.stderr, words
    for octets in (secret.key, secret.auth_key, secret.password):
        assert octets.hex() not in done.stderr.replace(" ", "").lower()


def test_a_wrong_password_is_said_with_what_to_do(folder, meter):
    done = run(folder, "read", meter.place("wrapper"), "--auth", "lls", "--password", "guess")
    assert done.returncode == 1
    assert "authentication-failure" in done.stderr
    assert REMEDIES[FailureKind.AUTHENTICATION_FAILED] in " ".join(done.stderr.split())
    assert "options: --password, --key, --auth-key" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.finding("users A15")
def test_a_logical_device_that_the_meter_has_not_is_said_and_nothing_is_read(folder, meter):
    done = run(folder, "read", meter.place("wrapper"), "--server", "9", "--timeout", "1")
    assert done.returncode == 1
    assert "is there a logical device 9?" in " ".join(done.stderr.split())
    assert done.stdout == ""


@pytest.mark.parametrize("wrong", ["--key", "--auth-key"])
def test_a_wrong_key_is_told_from_everything_else(folder, meter, keys, wrong):
    done = run(folder, "read", meter.place("wrapper"), "--auth", "hls5", *keys, wrong, "00" * 16)
    assert done.returncode == 1
    assert REMEDIES[FailureKind.DECIPHERING_ERROR] in " ".join(done.stderr.split())
    assert "options: --key, --auth-key, --title" in done.stderr


def test_lost_counters_are_recovered_from_the_meter_unless_told_not_to(folder, meter, keys, monkeypatch, tmp_path):
    given = ["--auth", "hls5", *keys, "--title", "4d53500a0b0c0d0e", "--register", TOTAL]
    for _ in range(2):  # counters are reserved in blocks of 32: the meter has now seen some of the second block
        assert run(folder, "read", meter.place("wrapper"), *given, "--state", str(folder / "first")).returncode == 0
    monkeypatch.setenv(MARKS_VARIABLE, str(tmp_path))  # another machine: this one would know its counters
    refused = run(folder, "read", meter.place("wrapper"), *given, "--state", str(folder / "lost"), "--no-recover")
    assert refused.returncode == 1
    assert REMEDIES[FailureKind.COUNTER_BEHIND] in " ".join(refused.stderr.split())
    assert "options: leave out --no-recover" in refused.stderr
    again = run(folder, "read", meter.place("hdlc"), *given, "--state", str(folder / "lost"))
    assert again.returncode == 0, again.stderr
    assert "our counter was behind" in again.stderr


def test_a_meter_is_read_over_udp_by_its_endpoint_alone(tmp_path):
    with running_meter(tmp_path, "--listen", "udp://127.0.0.1:0", "--history", "2d") as meter:
        for _ in range(2):
            done = run(
                tmp_path,
                "read",
                meter.place("udp"),
                "--auth",
                "hls5",
                "--keys",
                str(tmp_path / "keys.toml"),
                "--profile",
                "1-0:99.1.0",
                "--json",
            )
            assert done.returncode == 0, done.stderr
            assert len(json.loads(done.stdout)["profile"]["rows"]) > 90
    gone = run(tmp_path, "read", meter.place("udp"), "--timeout", "5")
    assert gone.returncode == 1
    assert "connection was closed" in gone.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tcp://127.0.0.1:1"], "no program listens at tcp://127.0.0.1:1"),
        (["serial:///dev/nosuchline"], "serial:///dev/nosuchline"),
        (["tcp://no-such-host.invalid:4059"], "is not known"),
    ],
)
def test_no_connection_is_said_in_words(tmp_path, arguments, words):
    done = run(tmp_path, "read", *arguments)
    assert done.returncode == 1
    assert words in done.stderr
    assert done.stderr.count("→") == 1, "one hint: the sentence of the failure says it all"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tcp://127.0.0.1:0"], "names no port"),
        (["ftp://127.0.0.1:1"], "is no endpoint"),
        (["tcp://127.0.0.1:1", "--auth", "hls5"], "needs --key and --auth-key"),
        (["tcp://127.0.0.1:1", "--auth", "lls"], "needs --password"),
        (["tcp://127.0.0.1:1", "--profile", "nonsense"], "is not an OBIS code"),
        (["tcp://127.0.0.1:1", "--profile", "1-0:99.1.0", "--from", "yesterday"], "is no time"),
        (["tcp://127.0.0.1:1", "--keys", "/nosuch/file"], "no such file"),
        (["tcp://127.0.0.1:1", "--title", "4d53"], "8 octets"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_sent(arguments, words):
    done = run_here("read", *arguments)
    assert done.exit_code == 2
    assert words in " ".join(done.stderr.replace("│", " ").split())


def test_another_protocol_at_the_port_is_told(folder, meter):
    done = run(folder, "read", meter.place("p1"), "--timeout", "3")
    assert done.returncode == 1
    assert REMEDIES[FailureKind.WRONG_FRAMING] in " ".join(done.stderr.split())
    assert "hdlc+tcp://" in done.stderr


def test_json_is_one_document_with_exact_numbers(folder, meter, keys):
    done = run(folder, "read", meter.place("wrapper"), "--auth", "lls", *keys, "--json")
    current = next(
        entry for entry in json.loads(done.stdout, parse_float=str)["registers"] if entry["obis"] == "1-0:31.7.0"
    )
    assert len(str(current["value"]).partition(".")[2]) <= 2


def test_a_wired_m_bus_slave_is_read_by_its_primary_and_its_secondary_address(tmp_path):
    with running_meter(tmp_path, "--medium", "heat", "--listen", "mbus+tcp://127.0.0.1:0?address=5") as meter:
        number = meter.name.split("-")[1]
        for where in ("address=5", f"secondary={number}"):
            done = run(tmp_path, "read", f"{meter.place('mbus+tcp')}?{where}", "--json")
            assert done.returncode == 0, done.stderr
            told = json.loads(done.stdout)
            assert (told["device"]["id"], told["error"]) == (number, None)
            assert {"Wh", "m3", "W"} <= {reading["unit"] for reading in told["readings"]}
        shown = run(tmp_path, "read", f"{meter.place('mbus+tcp')}?address=5", "--trace")
        assert "energy" in shown.stdout
        assert "short C=40 A=5" in shown.stderr
        nobody = run(tmp_path, "read", f"{meter.place('mbus+tcp')}?secondary=99999999&baud=38400")
        assert nobody.returncode == 1
        assert "no answer of the selected slave" in nobody.stderr
        refused = run(tmp_path, "read", f"{meter.place('mbus+tcp')}?address=5", "--auth", "lls", "--password", "x")
        assert refused.returncode == 2
