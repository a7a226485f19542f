"""Cells: what is certain is read exactly, what may mean two things is refused."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.mdm.table_text import (
    CellRefusal,
    decimal_mark_of,
    exact_number,
    flags_of,
    obis_of,
    require_unit_of,
    source_of,
    unit_of_text,
    wall_time_of,
    whole_number,
)
from meterspan.model.readings import Source
from meterspan.quantities import UNITS, Obis, Quality


@given(st.integers(-(10**18), 10**18), st.integers(0, 9), st.sampled_from([".", ","]))
def test_every_decimal_that_is_written_is_read_exactly(steps, decimals, mark):
    text = f"{Decimal(steps).scaleb(-decimals):f}".replace(".", mark)
    found, exponent = exact_number(text, mark)
    assert Decimal(found).scaleb(exponent) == Decimal(steps).scaleb(-decimals)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1.234,5", (12345, -1)),
        ("1,234.5", (12345, -1)),
        ("1 234,5", (12345, -1)),
        ("12'345.0", (123450, -1)),
        ("7", (7, 0)),
    ],
)
def test_thousands_are_recognised_where_they_are_certain(text, number):
    assert exact_number(text, "") == number


@pytest.mark.parametrize(
    "text", ["1,2,3.4", "12 34 5.1", "1.23.456", "12,34,567", "1 234'567", "1,234.567,8", "1234,567.8", "1.000.00"]
)
def test_thousands_that_are_no_groups_of_three_of_one_mark_are_refused(text):
    with pytest.raises(CellRefusal, match="groups of three"):
        exact_number(text, "")


@pytest.mark.parametrize("text", ["1.000", "1,234", "-12.345", "999,999"])
def test_one_group_of_three_is_thousands_or_decimals_as_another_number_shows(text):
    with pytest.raises(CellRefusal, match="thousands or decimals"):
        exact_number(text, "")
    mark, other = ("." if "." in text else ","), ("," if "." in text else ".")
    digits = int(text.replace(mark, ""))
    assert exact_number(text, mark) == exact_number(text, "", mark) == (digits, -3)
    assert exact_number(text, other) == (digits, 0)
    with pytest.raises(CellRefusal, match="thousands or decimals"):
        exact_number(text, "", other)


@pytest.mark.parametrize(
    ("text", "mark"),
    [
        ("1.000,5", ","),
        ("1,000.5", "."),
        ("1.000.000", ","),
        ("0.500", "."),
        ("12,5", ","),
        ("1234.567", "."),
        ("7", ""),
    ],
)
def test_a_number_shows_its_decimal_mark_where_it_is_certain(text, mark):
    assert decimal_mark_of(text) == mark
    if mark:
        with pytest.raises(CellRefusal, match="other values have"):
            exact_number(text, "," if mark == "." else ".")


@pytest.mark.parametrize("text", ["", "1,234", "x", "1e40", "NaN", "1_0", "0.0000000001", "\u0661"])
def test_a_number_that_is_not_certain_is_refused(text):
    with pytest.raises(CellRefusal):
        exact_number(text, "", ".")


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("31.03.2026 24:00", "2026-04-01T00:00:00"),
        ("2026-03-31T24:00", "2026-04-01T00:00:00"),
        ("31.12.2026 24:00:00", "2027-01-01T00:00:00"),
        ("31.03.26 05:15", "2026-03-31T05:15:00"),
        ("2026/03/31 05:15", "2026-03-31T05:15:00"),
    ],
)
@pytest.mark.finding("data D30")
def test_times_are_read_as_people_write_them(text, time):
    assert wall_time_of(text).isoformat() == time


@pytest.mark.parametrize("text", ["", "24:00", "31.02.2026", "yesterday", "0001-01-01", "2026-01-01T25:00"])
def test_a_time_that_is_none_is_refused(text):
    with pytest.raises(CellRefusal):
        wall_time_of(text)


def test_units_are_read_in_any_case_where_one_is_meant():
    assert unit_of_text("KWH") == unit_of_text("kWh") == (UNITS["Wh"], 3)
    assert unit_of_text("L") == (UNITS["m3"], -3)
    with pytest.raises(CellRefusal, match="not a unit"):
        unit_of_text("parsec")


@pytest.mark.parametrize(("text", "code"), [("1.8.0", "1-0:1.8.0"), ("1-0:2.8.0", "1-0:2.8.0"), ("gas", "7-0:3.0.0")])
def test_registers_are_read_by_code_and_by_word(text, code):
    assert str(obis_of(text)) == code


def test_a_unit_that_a_register_cannot_have_is_refused():
    for obis, unit in ((Obis(1, 0, 1, 8, 0), "m3"), (Obis(1, 0, 3, 8, 0), "Wh"), (Obis(8, 0, 1, 0, 0), "Wh")):
        with pytest.raises(CellRefusal, match="counted in units of"):
            require_unit_of(obis, UNITS[unit])
    for obis, unit in ((Obis(1, 0, 1, 8, 0), "J"), (Obis(7, 0, 3, 0, 0), "Wh"), (Obis(0, 1, 24, 2, 1), "m3")):
        require_unit_of(obis, UNITS[unit])


def test_flags_sources_and_whole_numbers_of_an_export_come_back():
    assert flags_of("late conflict") == Quality.LATE | Quality.CONFLICT
    assert (source_of("push"), source_of("")) == (Source.PUSH, Source.IMPORT_FILE)
    assert whole_number("-7", -9, 9) == -7
    for read in (lambda: flags_of("nice"), lambda: source_of("rumour"), lambda: whole_number("10", 0, 9)):
        with pytest.raises(CellRefusal):
            read()
