"""One damaged or impossible usage point is named; it ends no page and no sum."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from meterspan.mdm import MeterDataManagement
from meterspan.model.readings import CaptureBlock, CaptureColumn, MeterEvent, SeriesKind, Source
from meterspan.model.storage.errors import DamagedSegmentError, DamagedSupplyError
from meterspan.quantities import UNITS, Commodity, Direction, Obis
from tests.store.memory_backends import MemoryJournal, MemoryRegistry

ENERGY, VOLUME = Obis(1, 0, 1, 8, 0), Obis(7, 0, 3, 0, 0)
START = datetime(2026, 1, 10, tzinfo=UTC)
T0 = int(START.timestamp())
NOW = START + timedelta(hours=30)


class DamagedJournal(MemoryJournal):
    """Cannot read some series."""

    damaged = frozenset()

    def read(self, series, start, end):
        if self.damaged & set(series):
            raise DamagedSegmentError("2026-01-10-00000001.parquet", "its checksum is wrong")
        return super().read(series, start, end)


def block(device, obis, unit, values, times):
    zeros = np.zeros(len(times), np.int32)
    column = CaptureColumn(obis, UNITS[unit], 0, np.array(values, np.int64))
    return CaptureBlock(device, Source.PUSH, int(max(times)), np.array(times, np.int64), (column,), zeros, zeros)


@pytest.fixture
def journal():
    return DamagedJournal({})


@pytest.fixture
def data(journal):
    management = MeterDataManagement(Path(), stores=lambda _directory: (journal, MemoryRegistry({})))
    management.register_home("h1", "x", zone="UTC")
    for point, device, commodity in (("MP1", "M1", Commodity.ELECTRICITY), ("MP2", "G1", Commodity.GAS)):
        management.install_meter("h1", point, device=device, commodity=commodity, at=START - timedelta(days=1))
    times = [T0 + 900 * at for at in range(97)]
    values = [1_000 + 25 * at if at < 50 else 25 * (at - 50) for at in range(97)]
    management.take([block("M1", ENERGY, "Wh", values, times)])
    management.take([block("G1", VOLUME, "L", values, times)])
    return management


def damage_gas(data, journal, how):
    if how == "damaged":
        journal.damaged = frozenset(item.series_id for item in data.series() if item.commodity is Commodity.GAS)
        reason = "checksum"
    else:
        data.take([block("G1", VOLUME, "L", [99_999], [14_000_000_000])])
        reason = "span more than"
    return reason


@pytest.mark.parametrize("how", ["damaged", "impossible"])
def test_what_cannot_be_derived_is_named_and_everything_else_is_shown_and_summed(data, journal, how):
    reason = damage_gas(data, journal, how)
    assert [item.usage_point for item in data.unexplained()] == ["MP1"]
    totals = data.totals()
    assert (totals.unexplained_wh, totals.damaged) == (1_000 + 25 * 49, 1)
    (found,) = data.damage()
    assert found.item == "usage point MP2"
    assert reason in found.reason
    assert next(row.device for row in data.completeness(START.date(), START.date())) == "M1"
    live = data.live("h1", NOW)
    assert [view.commodity for view in live.today] == [Commodity.ELECTRICITY]
    assert live.left_out == live.without_cost[-1:] == (Commodity.GAS,)
    with pytest.raises(DamagedSupplyError, match="usage point MP2"):
        data.day("h1", Commodity.GAS, START.date())
    assert data.day("h1", Commodity.ELECTRICITY, START.date()).unexplained < 0


def test_what_can_be_read_again_is_no_damage_any_more(data, journal):
    damage_gas(data, journal, "damaged")
    data.unexplained()
    journal.damaged = frozenset()
    assert len(data.unexplained()) == 2
    assert data.damage() == []


def test_totals_count_what_is_stored(data):
    data.take([block("stray", ENERGY, "Wh", [5, 5], [T0, T0])], [MeterEvent("stray", 5, "1", "power up")])
    data.take([block("stray", ENERGY, "Wh", [6], [T0])])
    totals = data.totals()
    assert (totals.readings, totals.duplicates, totals.conflicts, totals.events) == (196, 1, 1, 1)
    assert (totals.series, totals.homes, totals.damaged) == (3, 1, 0)
    assert totals.unexplained_wh == 1_000 + 25 * 49


def test_a_total_changes_with_the_events_too(data):
    before = data.revision
    data.take([], [MeterEvent("M1", 5, "1", "power up")])
    assert data.revision > before


def test_series_say_where_their_device_is(data):
    data.take([block("stray", ENERGY, "Wh", [5], [T0])])
    found = {item.device: item for item in data.series()}
    assert [found[name].usage_point for name in ("M1", "G1", "stray")] == ["MP1", "MP2", ""]
    assert [found[name].period_s for name in ("M1", "stray")] == [900, None]
    assert (found["G1"].unit.symbol, found["G1"].exponent, found["G1"].kind) == ("m3", -3, SeriesKind.REGISTER)
    assert found["M1"].direction is Direction.IMPORT


def test_completeness_has_a_row_per_installation(data):
    data.exchange_meter("MP1", old_device="M1", closing={}, new_device="M2", opening={}, at=START + timedelta(hours=12))
    rows = data.completeness(START.date(), date(2026, 1, 11), until=START + timedelta(days=1))
    assert [(row.device, [(cell.expected, cell.received) for cell in row.cells]) for row in rows] == [
        ("M1", [(48, 48), (0, 0)]),
        ("M2", [(48, 0), (0, 0)]),
        ("G1", [(96, 96), (0, 0)]),
    ]
