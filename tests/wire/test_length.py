"""Length fields of A-XDR and BER."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.wire.cursor import Cursor
from meterspan.wire.errors import TruncatedError, WireError
from meterspan.wire.length import read_length, write_length


@given(st.integers(0, (1 << 32) - 1))
def test_a_written_length_reads_back_and_is_as_short_as_can_be(length: int) -> None:
    octets = write_length(length)
    cursor = Cursor(octets)
    assert read_length(cursor) == length
    cursor.finish("length")
    assert len(octets) == (1 if length < 0x80 else 1 + (length.bit_length() + 7) // 8)


@given(st.integers(0, 0xFFFF), st.integers(2, 4))
def test_a_length_that_is_longer_than_need_be_is_read(length: int, size: int) -> None:
    assert read_length(Cursor(bytes((0x80 | size,)) + length.to_bytes(size, "big"))) == length


@pytest.mark.parametrize("octets", ["80", "85", "FF", "8500000000FF"])
def test_the_indefinite_form_and_more_than_four_octets_are_refused_with_the_clause_of_the_format(octets: str) -> None:
    with pytest.raises(WireError) as caught:
        read_length(Cursor(bytes.fromhex(octets)), "list", "ITU-T X.690, 8.1")
    assert (caught.value.field, caught.value.clause, caught.value.offset) == ("list", "ITU-T X.690, 8.1", 0)


@pytest.mark.parametrize("octets", ["", "81", "8401FFFF"])
def test_a_length_that_ends_early_is_truncated(octets: str) -> None:
    with pytest.raises(TruncatedError):
        read_length(Cursor(bytes.fromhex(octets)))
