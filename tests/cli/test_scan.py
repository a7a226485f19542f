"""``meterspan scan`` as a user meets it: a segment with several slaves behind a gateway."""

import json

import pytest

from tests.helpers_bench import run
from tests.helpers_bus import HEAT, bus_slave, running_bus
from tests.helpers_serve import free_port

PATIENT = ("--wait", "0.6")
"""Every probe of these tests is answered, so that patience costs little."""
SLAVES = [*((f"1{digit}345678", 3) for digit in range(10)), ("20000000", 7)]


@pytest.fixture(scope="module")
def bus():
    slaves = [bus_slave(primary, number, HEAT) for number, primary in SLAVES]
    with running_bus(slaves) as port:
        yield f"mbus+tcp://127.0.0.1:{port}?baud=38400"


def test_a_primary_search_finds_slaves_and_names_the_address_where_two_collide(tmp_path, bus):
    done = run(tmp_path, "scan", bus, "--addresses", "3,7", *PATIENT, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    place = bus.split("?")[0]
    assert told["slaves"] == [
        {
            "address": 7,
            "read": f"{place}?baud=38400&address=7",
            "number": "20000000",
            "manufacturer": "MSP",
            "medium": "heat",
            "version": "01",
            "secondary": "2000000070360104",
            "device": "MSP-20000000-04",
        }
    ]
    assert (told["search"], told["collisions"], told["error"]) == ("primary", [{"address": 3}], None)
    assert "several slaves answer at address 3" in done.stderr
    assert "--secondary tells them apart" in done.stderr


def test_a_secondary_search_tells_slaves_apart_whose_addresses_collide_and_each_is_read_as_the_table_says(
    tmp_path, bus
):
    done = run(tmp_path, "scan", bus, "--number", "1", "--decimal", *PATIENT, "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert [(slave["number"], slave["address"]) for slave in told["slaves"]] == SLAVES[:-1]
    assert (told["search"], told["collisions"]) == ("secondary", [])
    read = run(tmp_path, "read", told["slaves"][2]["read"], "--json")
    assert read.returncode == 0, read.stderr
    assert json.loads(read.stdout)["device"]["id"] == "12345678"


def test_people_get_a_table_with_the_line_to_read_each_slave(tmp_path, bus):
    done = run(tmp_path, "scan", bus, "--addresses", "7", *PATIENT, "--trace")
    assert done.returncode == 0, done.stderr
    for words in ("1 slaves at", "20000000", "heat", "address=7"):
        assert words in done.stdout
    assert "short C=40 A=7" in done.stderr


def test_a_silent_bus_is_said_with_what_to_do_and_ends_with_status_1(tmp_path, bus):
    done = run(tmp_path, "scan", bus, "--addresses", "9", "--wait", "0.1")
    assert done.returncode == 1
    assert "no slave answered" in done.stderr
    assert "baud=" in done.stderr


def test_no_gateway_is_said_in_words_and_as_json(tmp_path):
    done = run(tmp_path, "scan", f"mbus+tcp://127.0.0.1:{free_port()}", "--json")
    assert done.returncode == 1
    told = json.loads(done.stdout)
    assert (told["slaves"], told["error"]["kind"]) == ([], "unreachable")
    assert "no program listens" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tcp://127.0.0.1:1"], "mbus+tcp://"),
        (["mbus+tcp://127.0.0.1:1?address=5"], "leave address= and secondary= out"),
        (["mbus+tcp://127.0.0.1:1?baud=115200"], "is no rate of M-Bus"),
        (["mbus+tcp://127.0.0.1:1", "--addresses", "1-251"], "0 to 250"),
        (["mbus+tcp://127.0.0.1:1", "--addresses", "9-2"], "like 1-20,30"),
        (["mbus+tcp://127.0.0.1:1", "--number", "12X"], "beginning of a number"),
        (["mbus+tcp://127.0.0.1:1", "--secondary", "--addresses", "1"], "search by primary address"),
    ],
)
def test_wrong_options_are_refused_before_anything_is_sent(tmp_path, arguments, words):
    done = run(tmp_path, "scan", *arguments)
    assert done.returncode == 2
    assert words in " ".join(done.stderr.replace("│", " ").split())
