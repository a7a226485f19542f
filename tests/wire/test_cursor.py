"""The cursor cannot overrun, names what it misses, and explains what it read."""

import pytest

from meterspan.wire import Cursor, Trace, TruncatedError, WireError
from meterspan.wire.cursor import ELEMENTS_MAX, ELEMENTS_PER_OCTET


def test_reads_in_both_orders() -> None:
    cursor = Cursor(bytes.fromhex("01 0203 0203 FF"))
    assert cursor.u8("tag") == 1
    assert cursor.big(2, "length") == 0x0203
    assert cursor.little(2, "length") == 0x0302
    assert cursor.big(1, "offset", signed=True) == -1
    cursor.finish("frame")


def test_a_truncation_says_where_and_in_what() -> None:
    cursor = Cursor(b"\x01\x02\x03", base=10)
    cursor.take(2, "head")
    for read in (lambda: cursor.take(2, "body"), lambda: cursor.big(2, "body"), lambda: cursor.sub(2, "body")):
        with pytest.raises(TruncatedError) as caught:
            read()
        assert (caught.value.offset, caught.value.field) == (12, "body")
    assert cursor.remaining == 1


def test_negative_sizes_never_move_backwards() -> None:
    cursor = Cursor(b"\x01\x02")
    for read in (cursor.take, cursor.sub):
        with pytest.raises(TruncatedError):
            read(-1, "hostile")
    assert cursor.offset == 0


def test_a_sub_cursor_stops_at_its_own_end() -> None:
    outer = Cursor(b"\x01\x02\x03\x04")
    inner = outer.sub(2, "inner")
    assert inner.rest("inner") == b"\x01\x02"
    with pytest.raises(TruncatedError):
        inner.u8("beyond")
    assert outer.rest("tail") == b"\x03\x04"


def test_octets_left_over_are_an_error() -> None:
    with pytest.raises(WireError, match="frame: 1 octet left over, at octet 0"):
        Cursor(b"\x00").finish("frame")


def test_the_trace_explains_every_octet_once_and_in_order() -> None:
    trace = Trace()
    cursor = Cursor(b"\x0f\x02ab", trace=trace)
    cursor.u8("tag")
    cursor.explain("data-notification")
    cursor.sub(cursor.u8("length"), "body").rest("body")
    assert b"".join(span.octets for span in trace.spans) == b"\x0f\x02ab"
    assert [span.offset for span in trace.spans] == [0, 1, 2]
    assert trace.spans[0].meaning == "data-notification"


def test_values_without_octets_are_charged_to_one_budget_of_the_whole_message() -> None:
    outer = Cursor(bytes(10), 4)
    inner = outer.sub(3, "first").sub(2, "nested")
    inner.charge(ELEMENTS_PER_OCTET * 10 - 1, "null-data")
    outer.charge(1, "null-data")
    for cursor in (outer, inner, outer.sub(2, "second")):
        with pytest.raises(WireError, match="more than 40 values in 10 octets"):
            cursor.charge(1, "null-data")


def test_a_long_message_holds_no_more_values_than_any_message_may() -> None:
    cursor = Cursor(bytes(1 << 20))
    cursor.charge(ELEMENTS_MAX, "element")
    with pytest.raises(WireError, match="more than 65536 values in 1048576 octets"):
        cursor.charge(1, "element")


def test_a_refused_charge_says_where() -> None:
    cursor = Cursor(b"\x00\x01", base=5)
    cursor.u8("tag")
    with pytest.raises(WireError) as caught:
        cursor.charge(2**80, "element")
    assert (caught.value.offset, caught.value.field) == (6, "element")
