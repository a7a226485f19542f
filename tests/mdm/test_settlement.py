"""Settlement makes a version of each closed day once, again when something changed, and survives being killed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from meterspan.mdm import MeterDataManagement
from meterspan.model.readings import CaptureBlock, CaptureColumn, Source
from meterspan.model.storage.errors import StorageFullError
from meterspan.quantities import UNITS, Commodity, Interval, Obis, Scaled
from tests.store.memory_backends import MemoryJournal, MemoryRegistry

ENERGY, DAY_RATE = Obis(1, 0, 1, 8, 0), Obis(1, 0, 1, 8, 1)
START = datetime(2026, 1, 10, tzinfo=UTC)
NOW = START + timedelta(days=5)


class Killed(BaseException):
    """The process ends here."""


class FragileJournal(MemoryJournal):
    """Ends the process where ``dies_in`` says."""

    dies_in = ""

    def settled(self, days):
        if self.dies_in == "settled":
            raise Killed
        super().settled(days)

    def append(self, readings, events=(), **rest):
        if self.dies_in == "before append":
            raise Killed
        receipt = super().append(readings, events, **rest)
        if self.dies_in == "after append":
            raise Killed
        return receipt


class FragileRegistry(MemoryRegistry):
    """Fails to store versions where ``fault`` is set."""

    fault = None

    def save_versions(self, rows):
        if self.fault is not None and rows:
            raise self.fault
        super().save_versions(rows)


class House:
    """A data management over memory that can be killed and opened again."""

    def __init__(self):
        self.place = {}
        self.open()
        self.data.register_home("h1", "x", zone="UTC")
        self.install("MP1", "M1")

    def install(self, usage_point, device, commodity=Commodity.ELECTRICITY):
        self.data.install_meter("h1", usage_point, device=device, commodity=commodity, at=START - timedelta(days=1))

    def open(self):
        self.journal, self.registry = FragileJournal(self.place), FragileRegistry(self.place)
        self.data = MeterDataManagement(Path(), stores=lambda _directory: (self.journal, self.registry))

    def take(self, day, count=96, *, device="M1", obis=ENERGY, step=25, first=1_000):
        times = int((START + timedelta(days=day)).timestamp()) + 900 * np.arange(count, dtype=np.int64)
        values = first + step * ((times - int(START.timestamp())) // 900)
        zeros = np.zeros(count, np.int32)
        column = CaptureColumn(obis, UNITS["Wh"], 0, values)
        self.data.take([CaptureBlock(device, Source.PUSH, int(times[-1]) + 5, times, (column,), zeros, zeros)])

    def versions(self):
        found = self.data.versions("MP1", Interval(START - timedelta(days=2), NOW))
        return [(item.start, item.version, item.value) for item in found]

    @property
    def unsettled(self):
        return len(self.journal.days_to_settle())


@pytest.fixture
def house():
    return House()


def settled_apart(*days):
    """Return the versions of a house that was settled without a fault."""
    other = House()
    for day in days:
        other.take(day)
    other.data.settle(NOW)
    return other.versions()


def test_days_that_were_not_settled_are_settled_by_the_next_process(house):
    house.take(0)
    house.take(1)
    house.open()
    assert house.data.settle(NOW) == 2
    assert house.versions() == settled_apart(0, 1)
    assert house.unsettled == 0


def test_killed_after_the_versions_are_stored_nothing_is_lost_and_no_version_comes_twice(house):
    house.take(0)
    house.take(1)
    house.journal.dies_in = "settled"
    with pytest.raises(Killed):
        house.data.settle(NOW)
    house.open()
    assert house.unsettled > 0
    assert house.data.settle(NOW) == 0
    assert (house.versions(), house.unsettled) == (settled_apart(0, 1), 0)


def test_killed_before_the_versions_are_stored_all_days_stay_on_the_list(house):
    house.take(0)
    house.registry.fault = Killed()
    with pytest.raises(Killed):
        house.data.settle(NOW)
    house.open()
    assert house.data.settle(NOW) == 1
    assert house.versions() == settled_apart(0)


def test_a_full_disk_fails_the_settlement_and_the_next_one_makes_it_good(house):
    house.take(0)
    house.registry.fault = StorageFullError("no room")
    with pytest.raises(StorageFullError):
        house.data.settle(NOW)
    house.registry.fault = None
    assert house.data.settle(NOW) == 1
    assert house.data.damage() == []


def test_days_of_a_meter_that_nobody_installed_wait_for_its_installation(house):
    house.take(0, device="M2")
    assert house.data.settle(NOW) == 0
    assert house.unsettled == 1
    house.data.exchange_meter(
        "MP1", old_device="M1", closing={}, new_device="M2", opening={}, at=START - timedelta(hours=1)
    )
    assert house.data.settle(NOW) >= 1
    assert house.unsettled == 0


def test_an_exchange_settles_again_what_the_new_meter_had_read(house):
    house.take(0)
    house.data.settle(NOW)
    before = house.versions()
    house.data.exchange_meter(
        "MP1",
        old_device="M1",
        closing={ENERGY: Scaled(1_500, 0, UNITS["Wh"])},
        new_device="M2",
        opening={ENERGY: Scaled(0, 0, UNITS["Wh"])},
        at=START + timedelta(hours=5),
    )
    assert house.data.settle(NOW) == 1
    assert {version for _start, version, _value in house.versions()} == {1, 2}
    assert set(before) < set(house.versions())


@pytest.mark.parametrize("dies_in", ["", "before append", "after append"])
def test_a_total_beside_tariff_registers_settles_all_days_again_even_after_a_crash(house, dies_in):
    for day in range(3):
        house.take(day, obis=DAY_RATE, first=500)
    house.data.settle(NOW)
    assert house.unsettled == 0
    house.journal.dies_in = dies_in
    try:
        house.take(0, 96 * 3, obis=ENERGY, step=40)
    except Killed:
        house.open()
    again = set(house.journal.days_to_settle().day.tolist())
    day_zero = int(START.timestamp()) // 86_400
    assert {day_zero, day_zero + 1, day_zero + 2} <= again
    made = house.data.settle(NOW)
    assert made == (0 if dies_in == "before append" else 3)


def test_a_supply_that_cannot_be_settled_is_named_and_the_others_are_settled(house):
    house.install("MP2", "G1", Commodity.GAS)
    house.take(0)
    zeros = np.zeros(2, np.int32)
    column = CaptureColumn(Obis(7, 0, 3, 0, 0), UNITS["m3"], 0, np.array([1, 2], np.int64))
    times = np.array([int((START - timedelta(hours=1)).timestamp()), 14_000_000_000], np.int64)
    house.data.take([CaptureBlock("G1", Source.PUSH, 14_000_000_000, times, (column,), zeros, zeros)])
    assert house.data.settle(NOW) >= 1
    assert [found.item for found in house.data.damage()] == ["settlement of MP2"]
    assert "span more than" in house.data.damage()[0].reason
    assert house.versions() == settled_apart(0)
    assert house.unsettled > 0
