"""Lines become rows: whole lines, at their instants, with what an export says of them, in parts of a bounded size."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.mdm import table_reader
from meterspan.mdm.table_layout import HeaderError, read_layout
from meterspan.mdm.table_reader import TableDefaults, TableReader
from meterspan.mdm.table_text import CellRefusal
from meterspan.model.readings import Source
from meterspan.quantities import UNITS, Obis, Quality

NOW = int(datetime(2026, 11, 1, tzinfo=UTC).timestamp())
ENERGY = Obis(1, 0, 1, 8, 0)
EXPORTED = "device,obis,time,value,unit,scale,status,quality,source,received_at"


def read(header, *lines, zone="Europe/Berlin", **given):
    def nobody(usage_point, _at):
        raise CellRefusal(f"no meter at {usage_point}")

    reader = TableReader(read_layout(header), TableDefaults(zone, **given), NOW, nobody)
    reader.read(enumerate(lines, 2))
    return reader


def rows_of(reader):
    return [
        (part.series[at], int(part.time[at]), int(part.value[at])) for part in reader.parts() for at in range(len(part))
    ]


def test_a_line_with_one_wrong_value_gives_no_row_at_all():
    reader = read("time;1.8.0 (kWh);2.8.0 (kWh)", "2026-01-01T00:00Z;1;2", "2026-01-01T01:00Z;3;x", device="E1")
    assert [row[2] for row in rows_of(reader)] == [1, 2]
    (refused,) = reader.refused
    assert (refused.line, refused.column) == (3, "2.8.0 (kWh)")


def test_an_empty_cell_of_a_wide_line_is_no_value_and_no_fault():
    reader = read("time;1.8.0 (kWh);2.8.0 (kWh)", "2026-01-01T00:00Z;1;", "2026-01-01T01:00Z;;", device="E1")
    assert (len(rows_of(reader)), [item.reason for item in reader.refused]) == (1, ["no value"])


@pytest.mark.finding("data D26")
def test_what_an_export_says_of_a_reading_is_kept():
    line = "E1,1-0:1.8.0,2026-01-01T00:00:00Z,1200000000000,J,9,-7,late conflict,push,2026-01-02T00:00:00Z"
    reader = read(EXPORTED, line)
    (channel,) = reader.channels
    (part,) = reader.parts()
    assert (channel.exponent, channel.unit, channel.is_exact_scale) == (9, UNITS["J"], True)
    assert (part.value[0], part.status[0], part.quality[0]) == (1_200, -7, Quality.LATE | Quality.CONFLICT)
    assert (part.source[0], part.received_at[0]) == (Source.PUSH, datetime(2026, 1, 2, tzinfo=UTC).timestamp())
    assert read(EXPORTED, line.replace("1200000000000", "1200000000001")).refused[0].column == "value"


def test_the_part_of_a_file_in_memory_is_bounded(monkeypatch):
    monkeypatch.setattr(table_reader, "PART_ROWS", 4)
    lines = [f"2026-01-01T{hour:02d}:00Z;{hour}" for hour in range(11)]
    reader = read("time;value", *lines, device="E1", obis=ENERGY, unit="kWh")
    assert [len(part) for part in reader.parts()] == [4, 4, 3]


@pytest.mark.parametrize(
    ("given", "name"), [({}, "device"), ({"device": "E1"}, "register"), ({"device": "E1", "obis": ENERGY}, "unit")]
)
def test_what_a_file_lacks_and_nobody_gives_is_named_with_its_option(given, name):
    with pytest.raises(HeaderError, match=rf"column for the {name}.*; give --"):
        read("time;value", **given)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=30))
def test_lengths_are_kept_of_the_intervals_that_are_not_of_the_grid(hours):
    lines = [f"{1 + at:02d}.01.2026 00:00;{1 + at:02d}.01.2026 {1 + hour:02d}:00;1" for at, hour in enumerate(hours)]
    reader = read("von;bis;kWh", *lines, device="E1")
    reader.note_lengths(lambda _device: 3_600)
    assert reader.refused == []
    channels = list(reader.channels)
    lengths = [value for series, _time, value in rows_of(reader) if channels[series].unit == UNITS["s"]]
    assert sorted(lengths) == sorted(3_600 * (1 + hour) for hour in hours if hour)
    assert reader.counts["readings"] == len(hours)
    assert reader.period_of("E1") in {3_600 * (1 + hour) for hour in hours}
