from datetime import UTC, datetime, timedelta, timezone

import pytest

from meterspan.model.cosem.profile import (
    CLOCK_COLUMN,
    CaptureObject,
    EntrySelection,
    RangeSelection,
    read_capture_objects,
    read_selection,
    select_rows,
    write_capture_objects,
)
from meterspan.quantities import ClockTime, Obis
from meterspan.wire.axdr import array, clock, double_long_unsigned, integer, null, octet_string, structure
from meterspan.wire.axdr.data import read_data, write_data
from meterspan.wire.errors import WireError

START = datetime(2026, 3, 1, tzinfo=UTC)
IMPORT = CaptureObject(3, Obis(1, 0, 1, 8, 0))
EXPORT = CaptureObject(3, Obis(1, 0, 2, 8, 0))
COLUMNS = (CLOCK_COLUMN, IMPORT, EXPORT)


class Rows:
    def __init__(self, count):
        self.times = [START + timedelta(minutes=15 * index) for index in range(count)]
        self.rows = [
            (clock(ClockTime.of(moment)), double_long_unsigned(1_000 + index), double_long_unsigned(index))
            for index, moment in enumerate(self.times)
        ]

    def __len__(self):
        return len(self.rows)

    def entries(self, first, last):
        return self.rows[first - 1 : last]

    def between(self, start, end):
        return [row for t, row in zip(self.times, self.rows, strict=True) if start <= t.timestamp() <= end]


ROWS = Rows(8)


def values(buffer, column=1):
    return [row.items[column].integer for row in buffer.items]


def at(quarter):
    return ClockTime.of(START + timedelta(minutes=15 * quarter))


def test_capture_objects_survive_the_wire():
    assert read_capture_objects(read_data(write_data(write_capture_objects(COLUMNS)))) == COLUMNS
    octets = write_data(write_capture_objects((IMPORT,)))
    assert octets == bytes.fromhex("0101 0204 120003 09060100010800FF 0F02 120000")


@pytest.mark.parametrize(
    "selection",
    [
        RangeSelection.of_times(at(1), at(3)),
        RangeSelection(clock(at(1)), clock(at(3)), CLOCK_COLUMN, (IMPORT,)),
        EntrySelection(2, 4, 1, 2),
    ],
)
def test_a_selection_reads_back_as_it_was_written(selection):
    assert read_selection(selection.selector, read_data(write_data(selection.parameter))) == selection


def test_without_selection_everything_is_given():
    assert values(select_rows(ROWS, COLUMNS, None)) == [1_000 + index for index in range(8)]


def test_a_range_includes_both_ends():
    assert values(select_rows(ROWS, COLUMNS, RangeSelection.of_times(at(2), at(4)))) == [1_002, 1_003, 1_004]


def test_a_range_picks_the_named_columns_in_the_order_asked():
    selection = RangeSelection(clock(at(0)), clock(at(1)), CLOCK_COLUMN, (EXPORT, IMPORT))
    assert [[item.integer for item in row.items] for row in select_rows(ROWS, COLUMNS, selection).items] == [
        [0, 1_000],
        [1, 1_001],
    ]


def test_a_range_over_another_column_compares_its_integers():
    selection = RangeSelection(double_long_unsigned(1_006), double_long_unsigned(9_999), IMPORT)
    assert values(select_rows(ROWS, COLUMNS, selection)) == [1_006, 1_007]


def test_times_without_deviation_are_read_in_the_zone_of_the_device():
    local = ClockTime(2026, 3, 1, None, 1, 30)
    selection = RangeSelection.of_times(local, local)
    zone = timezone(timedelta(hours=1))
    assert values(select_rows(ROWS, COLUMNS, selection, zone=zone)) == [1_002]
    with pytest.raises(WireError, match="no instant"):
        select_rows(ROWS, COLUMNS, selection)


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (EntrySelection(), list(range(1_000, 1_008))),
        (EntrySelection(3, 4), [1_002, 1_003]),
        (EntrySelection(7, 100), [1_006, 1_007]),
        (EntrySelection(9, 0), []),
    ],
)
def test_entries_count_from_one_and_zero_is_the_last(selection, expected):
    assert values(select_rows(ROWS, COLUMNS, selection)) == expected


def test_entries_cut_columns_by_number():
    assert [len(row.items) for row in select_rows(ROWS, COLUMNS, EntrySelection(1, 2, 2, 3)).items] == [2, 2]


@pytest.mark.parametrize("selection", [EntrySelection(0, 1), EntrySelection(1, 1, 0, 1), EntrySelection(1, 1, 1, 9)])
def test_numbers_outside_the_profile_are_refused(selection):
    with pytest.raises(WireError):
        select_rows(ROWS, COLUMNS, selection)


def test_a_column_that_is_not_captured_is_refused():
    stranger = CaptureObject(3, Obis(1, 0, 99, 8, 0))
    with pytest.raises(WireError, match="not captured"):
        select_rows(ROWS, COLUMNS, RangeSelection(clock(at(0)), clock(at(1)), CLOCK_COLUMN, (stranger,)))


@pytest.mark.parametrize(
    ("selector", "parameter"),
    [(3, null()), (1, null()), (1, structure(null())), (2, structure(integer(1), integer(1))), (2, octet_string(b""))],
)
def test_a_selector_of_another_kind_or_shape_is_a_wire_error(selector, parameter):
    with pytest.raises(WireError):
        read_selection(selector, parameter)


def test_too_many_columns_are_refused():
    with pytest.raises(WireError, match="columns"):
        read_capture_objects(array(*[IMPORT.data] * 257))
