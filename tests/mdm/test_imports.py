"""Imports in the data management: all values exact, whatever scales are stored, and undone as if they had not been."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meterspan.mdm import MeterDataManagement
from meterspan.mdm.imports import FileChannel
from meterspan.model.readings import CaptureBlock, Source
from meterspan.model.storage.readings import Readings
from meterspan.quantities import DAY_S, DAY_ZERO, UNITS, Commodity, Obis, utc
from meterspan.store.reading_store import ReadingStore
from tests.store.memory_backends import MemoryJournal, MemoryRegistry

DAY = 20_000
T0 = DAY * DAY_S
NOW = utc(T0 + 9 * DAY_S)
ENERGY = Obis(1, 0, 1, 8, 0)


def channel(exponent, device="E1", **given):
    return FileChannel(device, ENERGY, UNITS["Wh"], exponent, **given)


def rows(*given):
    """Rows of (channel, seconds, steps)."""
    columns = [np.array([row[index] for row in given], np.int64) for index in range(3)]
    zero = np.zeros(len(given), np.int32)
    received = np.full(len(given), T0 + 9 * DAY_S, np.int64)
    return Readings(
        columns[0].astype(np.int32), T0 + columns[1], columns[2], zero, zero, zero.astype(np.int8), received
    )


def exact(mdm):
    series = {item.series_id: item.exponent for item in mdm.series()}
    found = mdm.readings(list(series), utc(T0), utc(T0 + 9 * DAY_S))
    values = zip(found.series.tolist(), found.time.tolist(), found.value.tolist(), strict=True)
    return sorted((time - T0, Decimal(value).scaleb(series[number])) for number, time, value in values)


def test_a_value_goes_to_a_stored_scale_that_shows_it_and_else_to_the_finest_of_the_file(tmp_path):
    with MeterDataManagement(tmp_path / "d") as mdm:
        mdm.take_import("a", b"a", [channel(0)], [rows((0, 0, 5), (0, 900, 6))], at=NOW)
        taken = mdm.take_import(
            "b", b"b", [channel(0), channel(-3)], [rows((0, 0, 5), (1, 900, 6_000), (1, 1, 7))], at=NOW
        )
        assert (taken.record.duplicates, taken.record.readings) == (2, 1)
        assert [item.exponent for item in mdm.series()] == [0, -3]
        assert exact(mdm) == [(0, 5), (1, Decimal("0.007")), (900, 6)]


def test_a_value_too_great_for_the_finest_scale_keeps_its_own_and_a_scale_of_the_file_is_kept(tmp_path):
    with MeterDataManagement(tmp_path / "d") as mdm:
        mdm.take_import("a", b"a", [channel(0), channel(-9)], [rows((0, 0, 1 << 62), (1, 900, 6))], at=NOW)
        assert exact(mdm) == [(0, 1 << 62), (900, Decimal("0.000000006"))]
        mdm.take_import("b", b"b", [channel(3, "E2", is_exact_scale=True)], [rows((0, 0, 5))], at=NOW)
        assert [item.exponent for item in mdm.series() if item.device == "E2"] == [3]


def test_a_trial_registers_no_series(tmp_path):
    with MeterDataManagement(tmp_path / "d") as mdm:
        tried = mdm.try_import("a", b"a", [channel(0)], [rows((0, 0, 5), (0, 0, 6))], at=NOW)
        assert (tried.record.readings, tried.record.conflicts, len(tried.conflicts)) == (2, 1, 1)
        assert (tried.conflicts[0].channel, tried.conflicts[0].stored) == (channel(0), ())
        assert (list(mdm.series()), list(mdm.imports()), mdm.totals().readings) == ([], [], 0)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "import", "undo"]),
        st.lists(st.tuples(st.integers(0, 40), st.integers(1, 60)), min_size=1, max_size=8),
    ),
    min_size=1,
    max_size=6,
)


def answers(mdm):
    """All that is asked of the data but the numbers of versions, which say that there was something else."""
    day = (DAY_ZERO + timedelta(days=DAY)).isoformat()
    view = mdm.day("h1", Commodity.ELECTRICITY, date.fromisoformat(day))
    points = [replace(point, version=1) for point in view.intervals]
    counted = mdm.completeness(date.fromisoformat(day), date.fromisoformat(day))
    registers = view.total, view.unexplained, view.opening, view.closing
    return registers, points, counted, mdm.unexplained(), exact(mdm)


@pytest.mark.attack(8)
@pytest.mark.finding("users D-3")
@given(STEPS)
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
def test_all_answers_after_an_undone_import_are_those_without_it(tmp_path_factory, steps):
    """The registers before and after come from the meter; some of the same values are in the undone file."""
    place, registry = tmp_path_factory.mktemp("undo"), {}

    def with_imports():
        return MeterDataManagement(place, stores=lambda at: (ReadingStore(at / "readings"), MemoryRegistry(registry)))

    without = MeterDataManagement(place, stores=lambda _at: (MemoryJournal({}), MemoryRegistry({})))
    opened = [with_imports(), without]
    for mdm in opened:
        mdm.register_home("h1", "h1", zone="UTC")
        mdm.install_meter("h1", "MP", device="E1", commodity=Commodity.ELECTRICITY, at=utc(T0))
    mine, truth = opened
    for number, (kind, given_rows) in enumerate(steps):
        arrived = T0 + 2 * DAY_S + number
        if kind == "take":
            times = [(T0 + 900 * at, 0, [value]) for at, value in given_rows]
            block = CaptureBlock.of_rows(
                "E1", Source.PUSH, channels=[(ENERGY, UNITS["Wh"], 0)], rows=times, received_at=arrived
            )
            for mdm in opened:
                mdm.take([block])
        elif kind == "import":
            part = rows(*((0, 900 * at, value) for at, value in given_rows))
            mine.take_import("a", bytes([number]), [channel(0)], [part], at=utc(arrived))
        mine.settle(utc(arrived + DAY_S))
    for record in mine.imports():
        mine.undo_import(record.number, NOW)
    assert answers(mine) == answers(truth)
    mine.close()
    with with_imports() as again:
        assert answers(again) == answers(truth), "after opening again too"
    truth.close()
