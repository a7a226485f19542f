"""The series table under any columns: one number each, the same after a restart, never a number twice."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from meterspan.mdm.channels import canonical, kind_of
from meterspan.mdm.damage import DamageList
from meterspan.mdm.series_table import SeriesTable, unit_of
from meterspan.model.readings import CaptureColumn, SeriesKind
from meterspan.model.storage.registry import DeviceRow, SeriesRow
from meterspan.quantities import UNITS, Commodity, Obis
from tests.store.memory_backends import MemoryRegistry

CODES = [Obis(1, 0, 1, 8, 0), Obis(1, 0, 2, 8, 0), Obis(1, 0, 1, 7, 0)]
columns = st.builds(
    lambda obis, unit, exponent: CaptureColumn(obis, UNITS[unit], exponent, np.zeros(1, np.int64)),
    st.sampled_from(CODES),
    st.sampled_from(["Wh", "W", "J"]),
    st.integers(-2, 2),
)
added = st.lists(st.tuples(st.sampled_from(["M1", "M2"]), columns), max_size=12)


def registry():
    store = MemoryRegistry({})
    store.save(*(DeviceRow(name, str(Commodity.ELECTRICITY)) for name in ("M1", "M2")))
    return store


def identity(device, column):
    unit, exponent = canonical(column.unit, column.exponent)
    return device, column.obis, unit.symbol, exponent


@settings(max_examples=50)
@given(added)
def test_columns_that_mean_the_same_share_a_number_and_no_others_do(pairs):
    store = registry()
    table = SeriesTable(store, DamageList())
    numbers = {}
    for device, column in pairs:
        number = table.add(device, column)
        assert numbers.setdefault(identity(device, column), number) == number
        assert table.number(device, column) == number
    assert len(set(numbers.values())) == len(numbers) == len(table) == len(store.series())


@settings(max_examples=50)
@given(added)
def test_a_table_opened_again_gives_the_same_numbers(pairs):
    store = registry()
    table = SeriesTable(store, DamageList())
    given_out = [table.add(device, column) for device, column in pairs]
    again = SeriesTable(store, DamageList())
    assert [again.add(device, column) for device, column in pairs] == given_out
    assert again.rows() == table.rows() == store.series()


@settings(max_examples=50)
@given(added)
def test_a_series_is_found_by_number_and_by_device_and_known_as_momentary_or_not(pairs):
    table = SeriesTable(registry(), DamageList())
    for device, column in pairs:
        table.add(device, column)
    for row in table.rows():
        assert table.row(row.series_id) is row
        assert row in table.of_device(row.device)
        obis = next(code for code in CODES if str(code) == row.obis)
        assert table.is_instant(row.series_id) == (kind_of(obis, unit_of(row.unit)) is SeriesKind.INSTANT)
    assert sum(len(table.of_device(device)) for device in ("M1", "M2")) == len(table)
    assert (table.row(10**6), list(table.of_device("unknown"))) == (None, [])


def test_a_damaged_row_is_named_and_hides_no_other():
    class Damaged(MemoryRegistry):
        def series(self):
            return [SeriesRow(1, "M1", "no code", "Wh", 0), SeriesRow(2, "M1", "1-0:1.8.0", "Wh", 0)]

    damage = DamageList()
    table = SeriesTable(Damaged({}), damage)
    assert [row.series_id for row in table.rows()] == [2]
    assert [item for item in damage.listed() if "series 1 of M1" in str(item)]


def test_a_unit_that_the_table_of_units_lacks_measures_itself():
    assert unit_of("Wh") is UNITS["Wh"]
    assert (unit_of("furlong").symbol, unit_of("furlong").dimension) == ("furlong", "furlong")
