"""Data types A to M both ways: what is written reads back, and what is invalid is None."""

from datetime import date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.wire.errors import WireError
from meterspan.wire.mbus.values import BCD_CODES, DATA_SIZES, LVAR, lvar_size, pack_value, parse_value
from meterspan.wire.mbus.vif import ValueKind

BINARY = [1, 2, 3, 4, 6, 7]
NUMBER, MOMENT = ValueKind.NUMBER, ValueKind.MOMENT


@given(st.sampled_from(BINARY), st.data())
def test_signed_integers_of_every_size_read_back(code, data):
    half = 1 << 8 * DATA_SIZES[code] - 1
    value = data.draw(st.integers(-half, half - 1))
    octets = pack_value(code, value)
    assert len(octets) == DATA_SIZES[code]
    assert parse_value(code, NUMBER, octets) == value


@given(st.sampled_from(sorted(BCD_CODES)), st.data())
def test_bcd_of_every_size_reads_back_with_its_sign(code, data):
    digits = 2 * DATA_SIZES[code]
    value = data.draw(st.integers(-(10 ** (digits - 1)) + 1, 10**digits - 1))
    assert parse_value(code, NUMBER, pack_value(code, value)) == value


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_real_becomes_the_shortest_decimal_that_is_this_real(value):
    octets = pack_value(5, Decimal(value))
    read = parse_value(5, NUMBER, octets)
    assert pack_value(5, read) == octets
    assert len(read.as_tuple().digits) <= 9


@pytest.mark.parametrize("octets", ["0000807F", "000080FF", "0000C07F"])
def test_a_real_that_is_no_number_is_no_value(octets):
    assert parse_value(5, NUMBER, bytes.fromhex(octets)) is None


FIRST, LAST = datetime.fromisoformat("2000-01-01"), datetime.fromisoformat("2080-12-31")
"""Two digits of a year reach so far; a meter's own clock has no zone."""


@given(st.datetimes(FIRST, LAST), st.sampled_from([2, 4, 6]))
def test_moments_of_every_length_read_back_as_far_as_they_reach(moment, size):
    code = {2: 2, 4: 4, 6: 6}[size]
    expected = {2: moment.date(), 4: moment.replace(second=0, microsecond=0), 6: moment.replace(microsecond=0)}[size]
    assert parse_value(code, MOMENT, pack_value(code, expected)) == expected


def test_a_time_of_day_reads_back_and_does_not_fit_a_date():
    assert parse_value(3, MOMENT, pack_value(3, time(23, 59, 58))) == time(23, 59, 58)
    with pytest.raises(ValueError, match="does not fit"):
        pack_value(4, time(1, 2, 3))


@pytest.mark.parametrize(
    ("code", "octets"),
    [
        (4, "80002131"),  # IV: the clock says that the time is invalid
        (2, "FFFF"),  # day 31 of month 15
        (4, "3F18A12A"),  # minute 63
        (6, "008001212A00"),
    ],
)
def test_a_date_that_is_none_is_no_value_and_never_another_date(code, octets):
    assert parse_value(code, MOMENT, bytes.fromhex(octets)) is None


def test_years_up_to_80_are_of_this_century_unless_the_record_names_one():
    assert parse_value(2, ValueKind.DATE, pack_value(2, date(1999, 5, 4))) == date(1999, 5, 4)
    assert parse_value(2, ValueKind.DATE, pack_value(2, date(2080, 5, 4))) == date(2080, 5, 4)


@pytest.mark.parametrize(
    ("lvar", "size"), [(0, 0), (0xBF, 0xBF), (0xC9, 9), (0xD0, 0), (0xE8, 8), (0xF4, 32), (0xF6, 64)]
)
def test_an_lvar_octet_says_how_many_octets_follow(lvar, size):
    assert lvar_size(lvar) == size


@pytest.mark.parametrize("lvar", [0xCA, 0xDF, 0xF7, 0xFF])
def test_a_reserved_lvar_ends_the_reading_because_nobody_can_tell_where_the_record_ends(lvar):
    with pytest.raises(WireError, match="reserved"):
        lvar_size(lvar)


@given(st.text(st.characters(codec="latin-1"), max_size=0xBF))
def test_a_text_is_sent_backwards_and_read_in_order(text):
    assert parse_value(LVAR, NUMBER, pack_value(LVAR, text)) == text


def test_hexadecimal_identifications_are_texts_and_invalid_bcd_is_no_number():
    octets = bytes.fromhex("7856A412")
    assert parse_value(0xC, ValueKind.UNSIGNED, octets) == "12A45678"
    assert parse_value(0xC, NUMBER, octets) is None
    assert parse_value(0xC, NUMBER, bytes.fromhex("785634F1")) == -1345678


@pytest.mark.parametrize(
    ("code", "value"), [(1, 256), (1, -129), (9, 100), (9, -10), (4, Decimal("1.5")), (4, "text"), (2, None)]
)
def test_a_value_that_does_not_fit_is_the_callers_fault(code, value):
    with pytest.raises(ValueError, match=r"fit|needs|multiple"):
        pack_value(code, value)


@given(st.integers(0, 14), st.sampled_from(ValueKind), st.binary(max_size=9))
def test_any_octets_of_a_record_give_a_value_or_none(code, kind, data):
    size = DATA_SIZES[code]
    if code == LVAR:
        if not data:
            return
        try:
            size = 1 + lvar_size(data[0])
        except WireError:
            return
    parse_value(code, kind, data.ljust(size, b"\0")[:size])
