"""Settlement makes a version of each closed day once, again when something changed, and survives being killed."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterspan.mdm import MeterDataManagement
from meterspan.mdm.curve_book import CurveBook
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

    def take_one(self, device, obis, unit, exponent, value, *, after=timedelta()):
        times = np.array([int((START + after).timestamp()) + 900], np.int64)
        zeros = np.zeros(1, np.int32)
        column = CaptureColumn(obis, UNITS[unit], exponent, np.array([value], np.int64))
        self.data.take([CaptureBlock(device, Source.PUSH, int(times[0]) + 5, times, (column,), zeros, zeros)])

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


@pytest.mark.finding("data D20")
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


EXPONENTS = [-127, 127]


@pytest.mark.finding("security H1")
@pytest.mark.parametrize("exponent", EXPONENTS)
def test_registers_of_impossible_steps_keep_no_supply_from_being_settled(house, exponent):
    house.install("MP2", "M2", Commodity.WATER)
    house.take(0)
    for obis, unit in ((Obis(8, 0, 1, 0, 0), "m3"), (Obis(8, 0, 1, 0, 1), "L")):
        house.take_one("M2", obis, unit, exponent, 7)
    house.data.maintain(NOW)
    assert house.versions() == settled_apart(0)
    assert house.unsettled == 0
    assert [item.item for item in house.data.damage()] == ["register 8-0:1.0.0 of M2", "register 8-0:1.0.1 of M2"]
    assert house.data.day("h1", Commodity.WATER, START.date()).closing is None
    assert house.data.totals().damaged == 2


@pytest.mark.parametrize("exponent", EXPONENTS)
def test_an_impossible_opening_that_was_stored_by_an_older_release_is_named_and_counts_nothing(house, exponent):
    house.take(0)
    (row,) = house.data.installations("MP1")
    house.registry.save(replace(row, opening={"1-0:1.8.0": [5, exponent, "Wh"]}))
    house.open()
    house.data.maintain(NOW)
    assert house.versions() == settled_apart(0)
    assert [item.item for item in house.data.damage()] == ["opening value of 1-0:1.8.0 of M1 at MP1"]


def test_a_supply_whose_settlement_fails_is_settled_when_the_fault_is_gone(house, monkeypatch):
    house.install("MP2", "G1", Commodity.GAS)
    house.take(0)
    house.take_one("G1", Obis(7, 0, 3, 0, 0), "m3", 0, 7)
    curve = CurveBook.curve

    def fails(self, snapshot, supply, *rest):
        if supply.usage_point == "MP2":
            raise OverflowError("too great")
        return curve(self, snapshot, supply, *rest)

    monkeypatch.setattr(CurveBook, "curve", fails)
    house.data.maintain(NOW)
    assert [(item.item, item.reason) for item in house.data.damage()] == [("settlement of MP2", "too great")]
    assert (house.versions(), house.unsettled) == (settled_apart(0), 1)
    monkeypatch.undo()
    house.data.maintain(NOW)
    assert (house.data.damage(), house.unsettled) == ([], 0)


def answers(house):
    """Return all that a house says of its first supply."""
    day = house.data.day("h1", Commodity.ELECTRICITY, START.date())
    month = house.data.month("h1", Commodity.ELECTRICITY, START.date())
    return day, month, house.versions(), house.data.unexplained()


@pytest.mark.attack(3)
@given(
    exponent=st.integers(-128, 127),
    value=st.integers(-(2**63), 2**63 - 1),
    unit=st.sampled_from(["m3", "L", "Wh", "J", "W", "1"]),
    obis=st.sampled_from([Obis(8, 0, 1, 0, 0), Obis(1, 0, 1, 8, 0), Obis(1, 0, 1, 7, 0)]),
)
@settings(max_examples=60, deadline=None)
def test_no_exponent_and_no_value_ends_the_upkeep_or_changes_another_supply(exponent, value, unit, obis):
    house, alone = House(), House()
    for made in (house, alone):
        made.install("MP2", "M2", Commodity.WATER)
        made.take(0)
    for at, shown in enumerate((value, 0, value, -value - 1)):
        house.take_one("M2", obis, unit, exponent, shown, after=timedelta(hours=at))
    for made in (house, alone):
        made.data.maintain(NOW)
    assert answers(house)[:3] == answers(alone)[:3]
    assert [item for item in house.data.unexplained() if item.usage_point == "MP1"] == alone.data.unexplained()
    assert house.unsettled == 0
    house.data.live("h1", START + timedelta(hours=4))
    assert {view.commodity for view in house.data.live("h1", START).today} == {Commodity.ELECTRICITY, Commodity.WATER}


@pytest.mark.parametrize(
    "times", [(-(2**63), 2**63 - 1), (-(2**31), 4_102_444_800), (0, 1), (-62_135_596_800, 253_402_300_799)]
)
@pytest.mark.parametrize("values", [(2**63 - 1, -(2**63)), (5, 7)])
def test_odd_times_of_one_meter_keep_no_supply_from_being_settled(house, times, values):
    house.install("MP2", "M2", Commodity.WATER)
    house.take(0)
    zeros = np.zeros(2, np.int32)
    column = CaptureColumn(Obis(8, 0, 1, 0, 0), UNITS["L"], 0, np.array(values, np.int64))
    taken = CaptureBlock("M2", Source.PUSH, int(NOW.timestamp()), np.array(times, np.int64), (column,), zeros, zeros)
    house.data.take([taken])
    house.data.maintain(NOW)
    assert house.versions() == settled_apart(0)
    assert house.data.totals().unexplained_wh == 0
    house.data.month("h1", Commodity.WATER, START.date())
    house.data.completeness(START.date(), START.date())


def test_registers_that_fall_ten_thousand_times_in_a_second_are_one_contradiction(house):
    house.take(0)
    alone = house.data.day("h1", Commodity.ELECTRICITY, START.date())
    rows = 10_000
    zeros = np.zeros(rows, np.int32)
    column = CaptureColumn(ENERGY, UNITS["Wh"], 0, 2_000 - np.arange(rows, dtype=np.int64))
    times = np.full(rows, int(START.timestamp()) + 450, np.int64)
    house.data.take([CaptureBlock("M1", Source.PUSH, int(times[0]), times, (column,), zeros, zeros)])
    house.data.maintain(NOW)
    view = house.data.day("h1", Commodity.ELECTRICITY, START.date())
    assert (view.total, view.opening, view.closing) == (alone.total, alone.opening, alone.closing)


@pytest.mark.parametrize(
    ("obis", "exponent", "value", "power_w"),
    [
        (Obis(1, 0, 1, 7, 0), 127, 5, None),
        (Obis(1, 0, 1, 7, 0), -128, 5, None),
        (Obis(1, 0, 1, 7, 0), 0, 2**63 - 1, None),
        (Obis(1, 0, 2, 7, 0), 0, 0, None),
        (Obis(1, 0, 2, 7, 0), 0, 300, -300),
        (Obis(1, 0, 1, 7, 0), 0, 0, 0),
    ],
)
def test_power_that_is_not_known_is_not_shown_as_a_number(house, obis, exponent, value, power_w):
    house.take_one("M1", obis, "W", exponent, value)
    assert house.data.live("h1", START + timedelta(minutes=16)).power_w == power_w


def test_what_was_used_yesterday_is_unknown_where_no_meter_was_there_and_not_nothing(house):
    house.take_one("M1", ENERGY, "Wh", 0, 1_000, after=-timedelta(hours=12))
    house.data.exchange_meter(
        "MP1", old_device="M1", closing={}, new_device="M2", opening={}, at=START - timedelta(hours=11)
    )
    house.take(1, device="M2")
    assert house.data.day("h1", Commodity.ELECTRICITY, START.date()).intervals[40].value is None
    (today,) = house.data.live("h1", START + timedelta(days=1, hours=12)).today
    assert (today.yesterday_same_time, today.consumed > 0) == (None, True)
