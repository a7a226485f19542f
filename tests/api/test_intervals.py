"""Readings in, intervals out: for any readings, nothing is created or lost, and unknown is null."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan import intervals

START = datetime(2026, 3, 28, tzinfo=UTC)
HOUR = timedelta(hours=1)


def readings(*values, step=timedelta(minutes=15)):
    return [(START + step * number, Decimal(value)) for number, value in enumerate(values)]


def test_registers_become_quarter_hours_in_the_unit_they_were_given():
    found = intervals(readings("10", "10.25", "10.75"), unit="kWh")
    assert found.table["value"].to_pylist() == [Decimal("0.25"), Decimal("0.50")]
    assert found.table["start"].to_pylist() == [START, START + timedelta(minutes=15)]
    assert found.table.schema.field("value").metadata == {b"unit": b"kWh"}
    assert (found.total, found.difference, found.unit) == (Decimal("0.75"), Decimal("0.75"), "kWh")


@pytest.mark.finding("users E")
def test_a_reset_is_unexplained_and_its_interval_unknown_never_zero():
    found = intervals(readings(100, 101, 2, 3))
    assert found.unexplained["quality"].to_pylist() == [["meter_reset"]]
    assert found.table["value"].to_pylist() == [1, None, 1]
    assert found.total + found.unexplained_total == found.difference == Decimal(-97)


def test_a_rollover_needs_a_width():
    turned = readings(999_999, 1, 2)
    assert intervals(turned, register_width=1_000_000).total == 3
    assert intervals(turned).unexplained_total == -999_998


def test_a_gap_is_shared_and_says_so_or_stays_one_long_interval():
    gap = [(START, Decimal(0)), (START + HOUR, Decimal(4))]
    shared = intervals(gap)
    assert shared.table["value"].to_pylist() == [1, 1, 1, 1]
    assert shared.table["quality"].to_pylist()[0] == ["spread", "estimated"]
    assert intervals(gap, spread_gaps=False).table["value"].to_pylist() == [4]


def test_a_reading_that_contradicts_another_is_left_out_by_name():
    found = intervals([*readings(1, 2, 3), (START, Decimal(9))])
    assert found.left_out["quality"].to_pylist() >= [["conflict"]]


def test_nothing_gives_an_empty_answer():
    found = intervals([])
    assert (found.table.num_rows, found.total, found.difference) == (0, 0, 0)


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        ([(datetime(2026, 1, 1), 1)], "naive"),  # noqa: DTZ001 - that is the fault
        ([(START, Decimal("NaN"))], "not a register"),
        ([(START, "x")], "not a register"),
        ([(START, 10**19)], "more digits"),
    ],
)
def test_what_is_no_reading_is_refused_in_words(bad, words):
    with pytest.raises(ValueError, match=words):
        intervals(bad)


@given(
    st.lists(
        st.tuples(st.integers(0, 400_000), st.decimals(0, 10_000, places=3, allow_nan=False, allow_infinity=False)),
        max_size=30,
    ),
    st.randoms(),
)
def test_sum_and_unexplained_are_the_register_difference_in_any_order_of_arrival(pairs, chance):
    given_readings = [(START + timedelta(seconds=seconds), value) for seconds, value in pairs]
    found = intervals(given_readings)
    assert found.total + found.unexplained_total == found.difference
    chance.shuffle(given_readings)
    again = intervals(given_readings)
    assert again.table.equals(found.table)
    assert again.unexplained.equals(found.unexplained)
