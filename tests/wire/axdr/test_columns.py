"""Profiles column by column: the fast path and the generic one agree with ``read_data`` and ``ClockTime``."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.quantities import ClockStatus, ClockTime
from meterspan.wire import WireError, axdr
from meterspan.wire.axdr import (
    NO_INSTANT,
    ClockColumn,
    Data,
    DataType,
    FloatColumn,
    IntegerColumn,
    ValueColumn,
    read_clock_time,
    read_columns,
    write_clock_time,
    write_data,
)
from tests.strategies import clock_times

CET = timezone(timedelta(hours=1))
START = datetime(2025, 3, 30, 0, 0, tzinfo=CET)


def profile(rows=96):
    source = random.Random(5)  # noqa: S311 - test data, not a secret
    return [(START + timedelta(minutes=15 * n), n % 256, source.randrange(2**32), -n) for n in range(rows)]


def encoded(rows):
    return write_data(
        axdr.array(
            *(
                axdr.structure(
                    axdr.clock(ClockTime.of(moment)),
                    axdr.unsigned(status),
                    axdr.double_long_unsigned(energy),
                    axdr.long(power),
                )
                for moment, status, energy, power in rows
            )
        )
    )


def test_rows_of_one_layout_become_typed_columns_and_rows():
    rows = profile()
    columns = read_columns(encoded(rows))
    assert [type(column) for column in columns.columns] == [ClockColumn, IntegerColumn, IntegerColumn, IntegerColumn]
    assert columns.columns[2].values.dtype == np.int64
    assert columns.rows() == rows
    assert columns.rows()[0][0].tzinfo is UTC


def test_a_profile_of_no_rows_has_no_columns():
    assert read_columns(bytes.fromhex("0100")).rows() == []


def test_clock_columns_keep_what_the_meter_sent():
    clocks = [
        ClockTime(2025, 10, 26, 7, 2, 30, 0, 0, -120, ClockStatus.DAYLIGHT_SAVING_ACTIVE),
        ClockTime(2025, 10, 26, 7, 2, 30, 0, 0, -60, ClockStatus.DOUBTFUL_VALUE),
        ClockTime(2025, 10, 26, 7, 3, 30, None, None, None, None),
    ]
    column = read_columns(write_data(axdr.array(*(axdr.structure(axdr.clock(clock)) for clock in clocks)))).columns[0]
    assert column.clock_times() == clocks
    assert column.seconds.tolist() == [1_761_438_600, 1_761_442_200, NO_INSTANT]
    assert column.deviation_min.tolist() == [-120, -60, -0x8000]
    assert column.status.tolist() == [0x80, 0x02, 0xFF]
    assert column.to_list()[2] is None


@given(st.lists(clock_times(), min_size=1, max_size=6), st.sampled_from([None, ZoneInfo("Europe/Oslo")]))
def test_instants_all_at_once_are_those_of_each_clock_time(clocks, zone):
    octets = write_data(axdr.array(*(axdr.structure(axdr.clock(clock)) for clock in clocks)))
    column = read_columns(octets, clocks=[0], zone=zone).columns[0]
    moments = [clock.to_utc(zone) for clock in clocks]
    expected = [None if moment is None else moment.replace(microsecond=0) for moment in moments]
    assert column.to_list() == expected


ZONES = st.sampled_from([None, ZoneInfo("Europe/Oslo")])


@given(clock_times(), st.integers(1, 40), st.integers(0, 39), clock_times(), ZONES)
def test_rows_that_share_their_date_give_the_same_instants_with_any_odd_row_among_them(clock, count, place, odd, zone):
    clocks = [replace(clock, hour=index % 24, minute=index) for index in range(count)]
    clocks[place % count] = odd
    octets = write_data(axdr.array(*(axdr.structure(axdr.clock(clock)) for clock in clocks)))
    column = read_columns(octets, clocks=[0], zone=zone).columns[0]
    moments = [clock.to_utc(zone) for clock in clocks]
    assert column.to_list() == [None if moment is None else moment.replace(microsecond=0) for moment in moments]


@given(st.dates(), st.integers(-720, 840))
def test_every_day_of_the_calendar_is_counted_right(day, deviation):
    clock = ClockTime(day.year, day.month, day.day, None, 12, 0, 0, 0, deviation)
    octets = write_data(axdr.array(axdr.structure(axdr.clock(clock))))
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=UTC)
    if datetime(1, 1, 2, tzinfo=UTC) < noon < datetime(9999, 12, 30, tzinfo=UTC):
        assert read_columns(octets).columns[0].to_list() == [noon + timedelta(minutes=deviation)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ([axdr.boolean(True), axdr.boolean(False)], [True, False]),
        ([axdr.float32(0.5), axdr.float32(-2)], [0.5, -2.0]),
        ([axdr.float64(0.1)], [0.1]),
        ([axdr.long64(-5), axdr.long64(2**63 - 1)], [-5, 2**63 - 1]),
        ([axdr.long64_unsigned(1), axdr.long64_unsigned(2**63)], [1, 2**63]),
        ([axdr.octet_string(b"ab"), axdr.octet_string(b"cd")], [b"ab", b"cd"]),
        ([axdr.visible_string("ab"), axdr.visible_string("cd")], ["ab", "cd"]),
        ([axdr.visible_string("ab"), axdr.visible_string("c")], ["ab", "c"]),
        ([axdr.null(), axdr.null()], [None, None]),
        ([axdr.enum(1), axdr.unsigned(2)], [1, 2]),
        ([axdr.integer(-1), axdr.long(-300)], [-1, -300]),
        ([axdr.float32(1), axdr.float64(0.1)], [1.0, 0.1]),
        ([axdr.octet_string(b"123456789012")], [b"123456789012"]),
    ],
)
def test_columns_of_every_type_read_alike_on_both_paths(data, expected):
    octets = write_data(axdr.array(*(axdr.structure(item) for item in data)))
    assert read_columns(octets).columns[0].to_list() == expected
    # a nested value in a second column sends the same rows through the generic reader
    slow = write_data(axdr.array(*(axdr.structure(item, axdr.structure()) for item in data)))
    assert read_columns(slow).columns[0].to_list() == expected


def test_null_data_repeats_the_value_and_lets_the_clock_go_on_by_the_period():
    start = axdr.clock(ClockTime(2025, 1, 1, 3, 0, 0, 0, 0, 0, ClockStatus(0)))
    octets = write_data(
        axdr.array(
            axdr.structure(start, axdr.unsigned(8), axdr.double_long_unsigned(100)),
            axdr.structure(axdr.null(), axdr.null(), axdr.double_long_unsigned(105)),
            axdr.structure(axdr.null(), axdr.unsigned(9), axdr.null()),
        )
    )
    midnight = datetime(2025, 1, 1, tzinfo=UTC)
    quarter = timedelta(minutes=15)
    columns = read_columns(octets, capture_period_s=900)
    assert columns.rows() == [(midnight, 8, 100), (midnight + quarter, 8, 105), (midnight + 2 * quarter, 9, 105)]
    assert columns.columns[0].clock_times()[1] == ClockTime()
    assert [row[0] for row in read_columns(octets).rows()] == [midnight, None, None]


def test_delta_types_add_to_the_entry_before():
    octets = write_data(
        axdr.array(
            axdr.structure(axdr.double_long_unsigned(1000)),
            axdr.structure(Data(DataType.DELTA_UNSIGNED, 7)),
            axdr.structure(Data(DataType.DELTA_INTEGER, -2)),
        )
    )
    assert read_columns(octets).rows() == [(1000,), (1007,), (1005,)]
    with pytest.raises(WireError, match="without an integer before it"):
        read_columns(write_data(axdr.array(axdr.structure(Data(DataType.DELTA_UNSIGNED, 7)))))


def test_a_compact_array_reads_as_the_same_rows():
    rows = [
        axdr.structure(axdr.clock(ClockTime.of(moment)), axdr.unsigned(status)) for moment, status, _, _ in profile(4)
    ]
    assert read_columns(write_data(axdr.compact_array(*rows))).rows() == [row[:2] for row in profile(4)]


def test_twelve_octets_are_a_clock_only_where_told_so_or_plausible():
    serial = axdr.octet_string(b"\x00\x01" + bytes(10))
    octets = write_data(axdr.array(axdr.structure(serial)))
    assert isinstance(read_columns(octets).columns[0], ValueColumn)
    assert read_columns(octets, clocks=[0]).columns[0].to_list() == [None]
    clock = write_data(axdr.array(axdr.structure(axdr.clock(ClockTime.of(START)))))
    assert isinstance(read_columns(clock, clocks=[]).columns[0], ValueColumn)


def test_date_time_types_are_clocks_without_being_told():
    item = Data(DataType.DATE_TIME, ClockTime.of(START))
    assert read_columns(write_data(axdr.array(axdr.structure(item)))).rows() == [(START,)]


def test_floats_come_as_a_float_column():
    assert isinstance(read_columns(write_data(axdr.array(axdr.structure(axdr.float32(1))))).columns[0], FloatColumn)


@pytest.mark.parametrize(
    "octets",
    [
        write_data(axdr.unsigned(1)),
        write_data(axdr.array(axdr.unsigned(1))),
        write_data(axdr.array(axdr.structure(axdr.unsigned(1)), axdr.structure())),
        encoded(profile(3)) + b"\x00",
        b"",
    ],
)
def test_what_is_no_profile_is_refused(octets):
    with pytest.raises(WireError):
        read_columns(octets)


def test_a_profile_cut_short_anywhere_is_refused():
    octets = encoded(profile(3))
    for size in range(len(octets)):
        with pytest.raises(WireError):
            read_columns(octets[:size])


def test_damaged_profiles_give_what_the_generic_reader_gives_or_a_wire_error():
    source = random.Random(9)  # noqa: S311 - test data, not a secret
    octets = encoded(profile(4))
    for _ in range(2000):
        damaged = bytearray(octets)
        for _ in range(source.randrange(1, 4)):
            damaged[source.randrange(len(damaged))] = source.randrange(256)
        try:
            rows = read_columns(bytes(damaged), clocks=[0], zone=CET).rows()
        except WireError:
            continue
        generic = axdr.read_data(bytes(damaged)).items
        assert len(rows) == len(generic)
        for row, item in zip(rows, generic, strict=True):
            if item.items[0].type is not DataType.NULL:
                moment = read_clock_time(write_clock_time(item.items[0].clock_time)).to_utc(CET)
                assert row[0] == (None if moment is None else moment.replace(microsecond=0))
