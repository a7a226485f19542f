"""Headers: each column is found by its usual names, and two that mean the same are refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.mdm.table_layout import HeaderError, cells_of, read_layout
from meterspan.quantities import Obis
from meterspan.quantities.codes import EXPORT_INTERVAL


@pytest.mark.finding("users D-1")
@pytest.mark.parametrize(
    ("header", "columns", "units"),
    [
        ("von;bis;Verbrauch (kWh)", {"start", "end"}, ["kWh"]),
        ("Start,End,consumption_kwh", {"start", "end"}, [""]),
        ("Datum;von;bis;kWh", {"date", "start", "end"}, ["kWh"]),
        ("Zeitstempel;Zählerstand [kWh]", {"time"}, ["kWh"]),
        ("Datum;Zählerstand in kWh", {"time"}, ["kWh"]),
        ("time\tmeter\tobis\tvalue\tunit", {"time", "device", "obis", "unit"}, [""]),
    ],
)
def test_columns_are_found_by_their_names(header, columns, units):
    layout = read_layout(header)
    assert (set(layout.columns), [column.unit for column in layout.values]) == (columns, units)


def test_many_columns_of_values_are_named_by_codes_or_by_meters():
    layout = read_layout("start;end;1-0:1.29.0;Einspeisung (kWh)")
    assert [column.obis for column in layout.values] == [Obis(1, 0, 1, 29, 0), EXPORT_INTERVAL]
    layout = read_layout("von;bis;LGZ1 (kWh);LGZ2 (kWh)")
    assert [(column.device, column.unit) for column in layout.values] == [("LGZ1", "kWh"), ("LGZ2", "kWh")]
    layout = read_layout("time;device;value;remark")
    assert [column.name for column in layout.values] == ["value"], "other columns are not values"


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ("device;value", "column for the time"),
        ("time;device", "column for the value"),
        ("time;value;Wert", "two columns for the value"),
        ("time;von;value", "remove one of them"),
        ("device;meter;time;value", "two columns for the device"),
    ],
)
def test_a_header_that_is_not_certain_is_refused(header, reason):
    with pytest.raises(HeaderError, match=reason):
        read_layout(header)


@given(st.text(max_size=60))
def test_any_header_is_a_layout_or_an_error(header):
    try:
        layout = read_layout(header)
    except HeaderError:
        return
    assert layout.values
    assert all(0 <= column.index < len(layout.names) for column in layout.values)


def test_quoted_cells_are_split_as_csv_has_it():
    assert cells_of('"a;b";c', ";") == ["a;b", "c"]
    assert cells_of("a;b", ";") == ["a", "b"]
