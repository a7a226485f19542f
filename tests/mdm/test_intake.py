"""Intake numbers channels, stores batches, and notes what changed and which reading is the newest."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from meterspan.mdm import MeterDataManagement
from meterspan.model.readings import CaptureBlock, CaptureColumn, Source
from meterspan.model.storage.errors import StorageFullError
from meterspan.quantities import DAY_S, UNITS, Commodity, Obis
from tests.store.memory_backends import MemoryJournal, MemoryRegistry

ENERGY, VOLUME = Obis(1, 0, 1, 8, 0), Obis(7, 0, 3, 0, 0)
START = datetime(2026, 1, 10, tzinfo=UTC)
T0 = int(START.timestamp())


class FullJournal(MemoryJournal):
    """Has no room where ``is_full`` is set."""

    is_full = False

    def append(self, readings, events=(), **rest):
        if self.is_full:
            raise StorageFullError("no room")
        return super().append(readings, events, **rest)


def block(device, *rows, obis=ENERGY, unit="Wh", received_at=None):
    times, values = (np.array(column, np.int64) for column in zip(*rows, strict=True))
    zeros = np.zeros(len(times), np.int32)
    arrived = int(times.max()) if received_at is None else received_at
    return CaptureBlock(
        device, Source.PUSH, arrived, times, (CaptureColumn(obis, UNITS[unit], 0, values),), zeros, zeros
    )


class House:
    def __init__(self):
        self.place = {}
        self.open()

    def open(self):
        self.journal = FullJournal(self.place)
        self.data = MeterDataManagement(Path(), stores=lambda _directory: (self.journal, MemoryRegistry(self.place)))

    @property
    def newest(self):
        return self.data._intake.newest


@pytest.fixture
def house():
    return House()


def test_one_quantity_has_one_series_whatever_unit_it_is_sent_in(house):
    house.data.take([block("G1", (T0, 5_000), obis=VOLUME, unit="L")])
    house.data.take([block("G1", (T0 + 900, 6_000), obis=VOLUME, unit="L")])
    (series,) = house.data.series()
    assert (series.unit.symbol, series.exponent, series.commodity) == ("m3", -3, Commodity.GAS)
    house.open()
    house.data.take([block("G1", (T0 + 1_800, 7_000), obis=VOLUME, unit="L")])
    assert len(house.data.series()) == 1


def test_the_newest_reading_is_that_of_a_right_clock_before_and_after_closing_and_opening(house):
    house.data.take([block("M1", (T0, 1))])
    house.data.take([block("M1", (T0 + 3 * DAY_S, 2), received_at=T0 + 60)])
    assert house.newest == T0
    house.open()
    assert house.newest == T0
    house.data.maintain(START + timedelta(days=9))
    house.open()
    assert house.newest == T0


def test_a_batch_of_duplicates_changes_nothing(house):
    house.data.take([block("M1", (T0, 1), (T0 + 900, 2))])
    before = house.data.revision
    house.data.take([block("M1", (T0, 1), (T0 + 900, 2))])
    assert house.data.revision == before
    house.data.take([block("M1", (T0 + 900, 2), (T0 + 1_800, 3))])
    assert house.data.revision == before + 1


def test_a_batch_that_is_not_stored_leaves_every_answer_and_the_next_one_is_taken(house):
    house.data.register_home("h1", "x", zone="UTC")
    house.data.install_meter("h1", "MP1", device="M1", commodity=Commodity.ELECTRICITY, at=START)
    house.data.take([block("M1", (T0, 1_000), (T0 + 900, 1_025))])
    before = house.data.day("h1", Commodity.ELECTRICITY, START.date())
    house.journal.is_full = True
    with pytest.raises(StorageFullError):
        house.data.take([block("M1", (T0 + 1_800, 1_050))])
    assert house.data.day("h1", Commodity.ELECTRICITY, START.date()) == before
    house.journal.is_full = False
    house.data.take([block("M1", (T0 + 1_800, 1_050))])
    assert house.data.day("h1", Commodity.ELECTRICITY, START.date()).total * 1_000 == 50


def test_a_series_row_that_cannot_be_read_is_named_and_the_rest_opens(house):
    house.data.take([block("M1", (T0, 1)), block("M2", (T0, 1))])
    rows = house.place["series"]
    rows[0] = type(rows[0])(rows[0].series_id, "M1", "no obis", "Wh", 0)
    house.open()
    assert [item.device for item in house.data.series()] == ["M2"]
    assert [found.item for found in house.data.damage()] == ["series 1 of M1"]
    house.data.take([block("M2", (T0 + 900, 2))])
    assert house.data.totals().readings == 3
