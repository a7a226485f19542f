from datetime import UTC, datetime, timedelta, timezone

import pytest

from meterspan.model.cosem.profile import (
    CLOCK_COLUMN,
    range_of_times,
    read_capture_objects,
    select_rows,
    write_capture_objects,
)
from meterspan.quantities import ClockTime, Obis
from meterspan.wire.axdr import array, clock, double_long_unsigned, null, octet_string, structure
from meterspan.wire.axdr.data import read_data, write_data
from meterspan.wire.errors import WireError
from meterspan.wire.xdlms import CaptureObjectDefinition, EntryAccess, OtherAccess, RangeAccess

START = datetime(2026, 3, 1, tzinfo=UTC)
IMPORT = CaptureObjectDefinition(3, Obis(1, 0, 1, 8, 0), 2)
EXPORT = CaptureObjectDefinition(3, Obis(1, 0, 2, 8, 0), 2)
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


def test_without_selection_everything_is_given():
    assert values(select_rows(ROWS, COLUMNS, None)) == [1_000 + index for index in range(8)]


def test_a_range_includes_both_ends():
    assert values(select_rows(ROWS, COLUMNS, range_of_times(at(2), at(4)))) == [1_002, 1_003, 1_004]


def test_a_range_picks_the_named_columns_in_the_order_asked():
    selection = RangeAccess(CLOCK_COLUMN, clock(at(0)), clock(at(1)), (EXPORT, IMPORT))
    assert [[item.integer for item in row.items] for row in select_rows(ROWS, COLUMNS, selection).items] == [
        [0, 1_000],
        [1, 1_001],
    ]


def test_a_range_over_another_column_compares_its_integers():
    selection = RangeAccess(IMPORT, double_long_unsigned(1_006), double_long_unsigned(9_999))
    assert values(select_rows(ROWS, COLUMNS, selection)) == [1_006, 1_007]


def test_times_without_deviation_are_read_in_the_zone_of_the_device():
    local = ClockTime(2026, 3, 1, None, 1, 30)
    selection = range_of_times(local, local)
    zone = timezone(timedelta(hours=1))
    assert values(select_rows(ROWS, COLUMNS, selection, zone=zone)) == [1_002]
    with pytest.raises(WireError, match="no instant"):
        select_rows(ROWS, COLUMNS, selection)


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (EntryAccess(), list(range(1_000, 1_008))),
        (EntryAccess(3, 4), [1_002, 1_003]),
        (EntryAccess(7, 100), [1_006, 1_007]),
        (EntryAccess(9, 0), []),
    ],
)
def test_entries_count_from_one_and_zero_is_the_last(selection, expected):
    assert values(select_rows(ROWS, COLUMNS, selection)) == expected


def test_entries_cut_columns_by_number():
    assert [len(row.items) for row in select_rows(ROWS, COLUMNS, EntryAccess(1, 2, 2, 3)).items] == [2, 2]


@pytest.mark.parametrize("selection", [EntryAccess(0, 1), EntryAccess(1, 1, 0, 1), EntryAccess(1, 1, 1, 9)])
def test_numbers_outside_the_profile_are_refused(selection):
    with pytest.raises(WireError):
        select_rows(ROWS, COLUMNS, selection)


def test_a_column_that_is_not_captured_is_refused():
    unknown = CaptureObjectDefinition(3, Obis(1, 0, 99, 8, 0), 2)
    with pytest.raises(WireError, match="not captured"):
        select_rows(ROWS, COLUMNS, RangeAccess(CLOCK_COLUMN, clock(at(0)), clock(at(1)), (unknown,)))


def test_another_selector_is_refused():
    with pytest.raises(WireError, match="no selector 3"):
        select_rows(ROWS, COLUMNS, OtherAccess(3, null()))


@pytest.mark.parametrize("data", [null(), array(null()), array(structure(null())), array(octet_string(b""))])
def test_capture_objects_of_another_shape_are_a_wire_error(data):
    with pytest.raises(WireError):
        read_capture_objects(data)


def test_too_many_columns_are_refused():
    with pytest.raises(WireError, match="columns"):
        read_capture_objects(array(*[IMPORT.to_data()] * 257))
