"""Wired M-Bus over TCP with programs that we did not write: as master of our slaves, and as slaves of our search."""

import json

import pytest

from tests.helpers_bench import run, running_meter
from tests.helpers_bus import bus_slave, running_bus
from tests.interop.helpers import PEERS, started
from tests.interop.matrix import Row

pytestmark = [pytest.mark.interop, pytest.mark.peer("pyMeterBus"), pytest.mark.matrix(Row.BUS)]


@pytest.mark.parametrize("way", ["primary", "secondary"])
def test_pymeterbus_reads_our_slave_as_its_master(ask, tmp_path, way):
    with running_meter(tmp_path, "--medium", "heat", "--listen", "mbus+tcp://127.0.0.1:0?address=5") as meter:
        number = meter.name.split("-")[1]
        task = {"port": meter.ports["mbus+tcp"], "address": 5}
        told = ask("mbus_master.py", task if way == "primary" else task | {"secondary": f"{number}FFFFFFFF"})
    assert told["acknowledged"]
    body = told["telegram"]["body"]
    assert body["header"]["manufacturer"] == "MSP"
    assert body["header"]["identification"].replace("0x", "").replace(", ", "") == number
    units = [record["unit"] for record in body["records"]]
    assert units[:3] == ["MeasureUnit.WH", "MeasureUnit.M3", "MeasureUnit.W"]
    assert body["records"][0]["value"] > 9_000_000


def test_pymeterbus_finds_our_slaves_by_wildcards_where_their_answers_collide(ask):
    numbers = [f"1{digit}345678" for digit in range(10)]
    with running_bus([bus_slave(0, number) for number in numbers]) as port:
        found = ask("mbus_search.py", {"port": port, "digits": "1"})
    assert [address[:8] for address in found] == numbers


def test_our_search_finds_slaves_whose_frames_pymeterbus_reads_and_writes(peer_python, tmp_path):
    slaves = {"4": "10000004", "5": "20000005"}
    with started(peer_python, PEERS / "mbus_slaves.py", json.dumps(slaves)) as peer:
        bus = f"mbus+tcp://127.0.0.1:{peer['port']}?baud=38400"
        done = run(tmp_path, "scan", bus, "--addresses", "4,5", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)["slaves"]
    assert {str(slave["address"]): slave["number"] for slave in found} == slaves
    assert {(slave["manufacturer"], slave["medium"]) for slave in found} == {("MSP", "water")}
