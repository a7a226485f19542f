"""A supply with intervals and no register: the sum of what is known, and a hole stays a hole."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meterspan.mdm import MeterDataManagement
from meterspan.model.readings import CaptureBlock, Source
from meterspan.quantities import DAY_S, UNITS, Commodity, Direction, Obis, Quality, utc
from meterspan.quantities.codes import IMPORT_INTERVAL
from tests.store.memory_backends import MemoryJournal, MemoryRegistry

T0 = 20_000 * DAY_S


def block(rows, unit="Wh", obis=IMPORT_INTERVAL):
    listed = [(T0 + at, 0, [value]) for at, value in rows]
    return CaptureBlock.of_rows(
        "E1", Source.IMPORT_FILE, channels=[(obis, UNITS[unit], 0)], rows=listed, received_at=T0 + 9 * DAY_S
    )


@pytest.fixture
def opened(tmp_path):
    def make():
        mdm = MeterDataManagement(tmp_path, stores=lambda _at: (MemoryJournal({}), MemoryRegistry({})))
        mdm.register_home("h1", "h1", zone="UTC")
        mdm.install_meter("h1", "MP", device="E1", commodity=Commodity.ELECTRICITY, at=utc(T0))
        return mdm

    return make


def curve(mdm, low=0, high=DAY_S):
    return mdm.curve("MP", Direction.IMPORT, utc(T0 + low), utc(T0 + high))


INTERVALS = st.lists(st.tuples(st.integers(1, 96), st.integers(0, 900)), max_size=40, unique_by=lambda row: row[0])


@pytest.mark.finding("users D-1")
@given(INTERVALS, st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
def test_the_total_is_the_sum_of_the_intervals_in_whatever_order_they_come(opened, rows, data):
    mdm = opened()
    for at, value in data.draw(st.permutations(rows)):
        mdm.take([block([(900 * at, value)])])
    found = curve(mdm)
    assert found.total * 1_000 == sum(value for _at, value in rows)
    assert len(found.start) == len(rows), "what is not known is not there, and not 0"
    assert (found.of_intervals or not rows, found.opening, found.closing, found.unexplained) == (True, None, None, ())


def test_an_interval_counts_once_and_an_overlapping_one_is_left_out(opened):
    mdm = opened()
    mdm.take([block([(900, 5), (900, 7), (1_800, 3)])])
    mdm.take([block([(2_400, 9)])])
    found = curve(mdm)
    assert found.value.tolist() == [5, 3]
    assert found.quality.tolist() == [int(Quality.CONFLICT), 0]
    assert [item.value for item in found.left_out] == [9]


def test_an_interval_of_another_length_is_spread_over_the_days_that_it_touches(opened):
    mdm = opened()
    mdm.take([block([(2 * DAY_S, 48)]), block([(2 * DAY_S, 2 * DAY_S)], unit="s")])
    days = [curve(mdm, low, low + DAY_S) for low in (0, DAY_S)]
    assert [int(day.value.sum()) for day in days] == [24, 24]
    assert all(np.all(day.quality & int(Quality.SPREAD)) for day in days)


def test_where_a_register_comes_the_register_counts(opened):
    mdm = opened()
    mdm.take([block([(900, 5), (1_800, 3)])])
    assert curve(mdm).of_intervals
    mdm.take([block([(900, 1_000), (1_800, 1_004)], obis=Obis(1, 0, 1, 8, 0))])
    found = curve(mdm)
    assert (found.of_intervals, found.value.tolist()) == (False, [4])


def test_values_before_the_installation_and_stamped_ahead_do_not_count(opened):
    mdm = opened()
    mdm.take([block([(0, 5), (900, 3), (20 * DAY_S, 7)])])
    assert curve(mdm, 0, 30 * DAY_S).value.tolist() == [3]
