"""Octet strings of variable size and presence flags."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.wire.axdr.length import read_flag, read_octets, write_octets
from meterspan.wire.cursor import Cursor, Trace
from meterspan.wire.errors import TruncatedError


@given(st.binary(max_size=400), st.binary(max_size=5))
def test_written_octets_read_back_and_leave_what_follows(octets, rest):
    cursor = Cursor(write_octets(octets) + rest)
    assert read_octets(cursor, "value") == octets
    assert cursor.take(len(rest), "rest") == rest


@given(st.binary(min_size=1, max_size=300), st.data())
def test_octets_that_end_early_are_truncated(octets, data):
    cut = data.draw(st.integers(0, len(octets)))
    with pytest.raises(TruncatedError):
        read_octets(Cursor(write_octets(octets)[:cut]), "value")


@pytest.mark.parametrize(("octet", "expected", "word"), [(0, False, "no"), (1, True, "yes"), (0xFF, True, "yes")])
def test_any_flag_but_zero_is_yes_and_the_trace_says_so(octet, expected, word):
    trace = Trace()
    cursor = Cursor(bytes([octet]), trace=trace)
    assert read_flag(cursor, "flag") is expected
    assert [span.meaning for span in trace.spans] == [word]
