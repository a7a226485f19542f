"""COSEM data with the errata of the field: read where the standard's reader cannot."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.readings import Decoder
from meterspan.readings.lenient import read_push_data
from meterspan.wire import Cursor, WireError
from meterspan.wire.axdr import (
    Data,
    array,
    double_long_unsigned,
    long,
    octet_string,
    read_data,
    structure,
    write_data,
)
from tests.readings.frames import named, values


def test_swapped_tags_and_untagged_descriptors_of_the_field_are_read() -> None:
    good = write_data(array(named("1.0.31.7.0.255", long(155), -2, 33)))
    swapped = good.replace(b"\x09\x06", b"\x06\x09")
    assert values(Decoder().decode(swapped)) == [("1-0:31.7.0", Decimal("1.55"), "A")]
    bare = bytes.fromhex("0202 1601 0102 0202 0003 0100010800FF 02 06 0000002A 0202 0001 0000600E00FF 02 0902 5432")
    assert values(Decoder().decode(bare)) == [("1-0:1.8.0", Decimal(42), "Wh"), ("0-0:96.14.0", "T2", "")]


@given(
    st.recursive(
        st.one_of(st.integers(0, 0xFFFF_FFFF).map(double_long_unsigned), st.binary(max_size=8).map(octet_string)),
        lambda inner: st.lists(inner, min_size=1, max_size=4).map(lambda items: structure(*items)),
        max_leaves=12,
    )
)
def test_what_the_standard_allows_is_read_by_the_standard(data: Data) -> None:
    cursor = Cursor(write_data(data))
    assert read_push_data(cursor) == data
    assert cursor.remaining == 0


@given(st.binary(max_size=60))
def test_octets_that_nobody_can_read_end_in_the_error_of_the_standards_reader(octets: bytes) -> None:
    try:
        read_push_data(Cursor(octets))
    except WireError as error:
        with pytest.raises(WireError) as strict:
            read_data(Cursor(octets))
        assert str(error) == str(strict.value)  # noqa: PT017 (the other outcome is lawful too)


def test_nesting_deeper_than_any_meter_sends_is_refused() -> None:
    with pytest.raises(WireError):
        read_push_data(Cursor(b"\x02\x01" * 400 + b"\x06\x09\x01\x00\x01\x08\x00\xff"))
