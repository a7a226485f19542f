"""The home's host moves data: what cannot be stored or registered now is kept, said, and done later."""

import asyncio

import pytest

from meterspan.app.home import health_of
from meterspan.app.home_host import HomeConfig, HomeHost
from meterspan.mdm import MeterDataManagement
from meterspan.model.storage.errors import StorageFullError
from meterspan.quantities import Commodity, utc
from meterspan.runtime.state import StateFile
from meterspan.wire.errors import WireError
from meterspan.wire.p1 import P1Damage
from tests.lnap.test_home_collector import START, p1

CONFIG = HomeConfig("home", "Home", "Europe/Berlin", "EUR", {}, {})


@pytest.fixture
def memory(tmp_path):
    with MeterDataManagement(tmp_path / "data") as data, StateFile(tmp_path / "home.sqlite") as state:
        yield data, state


def host_of(memory, now=START):
    data, state = memory
    return HomeHost(CONFIG, data=data, state=state, clock=lambda: float(now))


def broken(*_args, **_options):
    raise StorageFullError("no room on the device")


def defect(*_args, **_options):
    raise ZeroDivisionError


def test_rows_and_installations_wait_for_a_disk_that_is_full(memory, monkeypatch):
    data, _ = memory
    host = host_of(memory)
    with monkeypatch.context() as full:
        full.setattr(data, "take", broken)
        full.setattr(data, "install_meter", broken)
        host.hear_p1(p1("000001.000", START), START, "port")
        asyncio.run(host.flush())
        assert list(data.home("home").usage_points) == []
    asyncio.run(host.flush())
    (point,) = data.home("home").usage_points
    assert (point.usage_point, point.meter) == ("home-E", "MSP1000000001")
    assert [entry.kind for entry in host.device_log.entries("MSP1000000001")] == ["installed", "heard"]
    assert host._collector.delivery(START) is None


@pytest.mark.attack(3)
def test_what_a_home_cannot_store_is_in_its_health_until_it_is_stored(memory, monkeypatch, caplog):
    data, state = memory
    host = host_of(memory)
    with monkeypatch.context() as full:
        full.setattr(data, "take", broken)
        full.setattr(data, "install_meter", broken)
        host.hear_p1(p1("000001.000", START), START, "port")
        for _ in range(20):
            asyncio.run(host.flush())
        assert health_of(host)["failing"] == {
            "readings": "no room on the device",
            "meters": "no room on the device",
        }
    assert caplog.text.count("readings could not be stored; they are kept") == 1
    asyncio.run(host.flush())
    assert health_of(host)["failing"] == {}
    with monkeypatch.context() as full:
        full.setattr(state, "save", broken)
        host.hear_p1(p1("000001.010", START + 60), START + 60, "port")
        assert health_of(host)["failing"] == {"p1 telegrams": "no room on the device"}
        host.hear_p1(P1Damage(b"/", WireError("cut")), START + 60, "port")
        assert health_of(host)["failing"], "a telegram that is damaged proves no storage"
    host.hear_p1(p1("000001.020", START + 120), START + 120, "port")
    assert health_of(host)["failing"] == {}


def test_a_meter_that_was_installed_by_other_means_is_noted_and_its_readings_are_kept(memory):
    data, _ = memory
    host = host_of(memory)
    data.install_meter("home", "home-E", device="OTHER", commodity=Commodity.ELECTRICITY, at=utc(START - 900))
    host.hear_p1(p1("000001.000", START), START, "port")
    asyncio.run(host.flush())
    assert host.device_log.entries("MSP1000000001")[0].kind == "refused"
    assert data.home("home").usage_points[0].meter == "OTHER"


def test_a_telegram_that_the_full_state_file_refuses_ends_no_program(memory, monkeypatch):
    host = host_of(memory)
    with monkeypatch.context() as full:
        full.setattr(memory[1], "save", broken)
        host.hear_p1(p1("000001.000", START), START, "port")
    host.hear_p1(p1("000001.010", START + 60), START + 60, "port")
    asyncio.run(host.flush())
    assert host.meters["MSP1000000001"].count == 2


def test_a_telegram_that_meets_a_defect_ends_no_home(memory, monkeypatch, caplog):
    host = host_of(memory)
    with monkeypatch.context() as patch:
        patch.setattr(host._collector, "hear_p1", defect)
        host.hear_p1(p1("000001.000", START), START, "port")
    assert "a defect of this program" in caplog.text
    host.hear_p1(p1("000001.010", START + 60), START + 60, "port")
    assert host.meters["MSP1000000001"].count == 1


def test_an_exchange_is_registered_with_the_last_register_heard(memory):
    data, _ = memory
    host = host_of(memory, START + 3_600)
    host.hear_p1(p1("000900.000", START, meter="A0000001"), START, "port")
    host.hear_p1(p1("000900.007", START + 50, meter="A0000001"), START + 50, "port")
    host.hear_p1(p1("000000.001", START + 60, meter="B0000001"), START + 60, "port")
    asyncio.run(host.flush())
    assert data.home("home").usage_points[0].meter == "A0000001", "one telegram decides nothing"
    for second in (70, 80):
        host.hear_p1(p1("000000.001", START + second, meter="B0000001"), START + second, "port")
    asyncio.run(host.flush())
    assert data.home("home").usage_points[0].meter == "B0000001"
    assert host.device_log.entries("B0000001")[0].title == "Replaced A0000001"


def test_an_outbox_that_is_locked_ends_no_program(memory, monkeypatch):
    host = host_of(memory)
    host.hear_p1(p1("000001.000", START), START, "port")
    with monkeypatch.context() as locked:
        locked.setattr(host._collector, "delivery", broken)
        asyncio.run(host.flush())
        host._store_the_rest()
    asyncio.run(host.flush())
    assert memory[0].home("home").usage_points[0].meter == "MSP1000000001"
    assert host._collector.delivery(START) is None
