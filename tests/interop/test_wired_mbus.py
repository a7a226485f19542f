"""A master that we did not write reads our wired M-Bus slave over TCP."""

import pytest

from tests.helpers_bench import running_meter


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
