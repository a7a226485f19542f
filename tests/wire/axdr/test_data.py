"""COSEM data types in A-XDR. Vectors are our own, laid out by hand from IEC 62056-6-2, 4.1.5."""

import random
import tracemalloc
from decimal import Decimal

import pytest
from hypothesis import given

from meterspan.quantities import ClockStatus, ClockTime, Obis
from meterspan.wire import Cursor, Trace, TruncatedError, UnsupportedError, WireError, axdr
from meterspan.wire.axdr import BitString, Data, DataType, IeeeFloat, TypeDescription, read_data, write_data
from meterspan.wire.axdr.data import MAX_DEPTH
from tests.strategies import clock_times, cosem_data

VECTORS = {
    "00": axdr.null(),
    "0301": axdr.boolean(True),
    "0300": axdr.boolean(False),
    "0405b0": axdr.bit_string("10110"),
    "05fffffffe": axdr.double_long(-2),
    "06fffffffe": axdr.double_long_unsigned(4_294_967_294),
    "09060100010800ff": axdr.octet_string(Obis(1, 0, 1, 8, 0)),
    "0a03c44a31": axdr.visible_string("ÄJ1"),
    "0c03e282ac": axdr.utf8_string("€"),
    "0c01ff": Data(DataType.UTF8_STRING, b"\xff"),
    "0d42": Data(DataType.BCD, 0x42),
    "0f80": axdr.integer(-128),
    "10ff38": axdr.long(-200),
    "11ff": axdr.unsigned(255),
    "12ff38": axdr.long_unsigned(65_336),
    "14ffffffffffffff38": axdr.long64(-200),
    "15ffffffffffffff38": axdr.long64_unsigned(2**64 - 200),
    "161e": axdr.enum(30),
    "173fc00000": axdr.float32(1.5),
    "183ff8000000000000": axdr.float64(1.5),
    "073fc00000": Data(DataType.FLOATING_POINT, IeeeFloat(bytes.fromhex("3fc00000"))),
    "1907e90b15060a1e0000ffc480": Data(
        DataType.DATE_TIME,
        ClockTime(2025, 11, 21, 6, 10, 30, 0, 0, -60, ClockStatus.DAYLIGHT_SAVING_ACTIVE),
    ),
    "1affff0bffff": Data(DataType.DATE, ClockTime(month=11)),
    "1b0a1effff": Data(DataType.TIME, ClockTime(hour=10, minute=30)),
    "1cff": Data(DataType.DELTA_INTEGER, -1),
    "1dfffe": Data(DataType.DELTA_LONG, -2),
    "1efffffffd": Data(DataType.DELTA_DOUBLE_LONG, -3),
    "1fff": Data(DataType.DELTA_UNSIGNED, 255),
    "20ffff": Data(DataType.DELTA_LONG_UNSIGNED, 65_535),
    "21ffffffff": Data(DataType.DELTA_DOUBLE_LONG_UNSIGNED, 4_294_967_295),
    "ff": Data(DataType.DONT_CARE),
    "020211050100": axdr.structure(axdr.unsigned(5), axdr.array()),
    "0102120001120002": axdr.array(axdr.long_unsigned(1), axdr.long_unsigned(2)),
    # compact-array of structure{unsigned, long-unsigned}, three elements in nine octets
    "130202111209010002030004050006": axdr.compact_array(
        *(axdr.structure(axdr.unsigned(n), axdr.long_unsigned(n + 1)) for n in (1, 3, 5))
    ),
    # compact-array of array[2] of octet-string
    "13010002090501aa02bbcc": axdr.compact_array(
        axdr.array(axdr.octet_string(b"\xaa"), axdr.octet_string(b"\xbb\xcc"))
    ),
}


@pytest.mark.parametrize("text", VECTORS)
def test_each_type_reads_and_writes_as_the_standard_lays_it_out(text):
    assert read_data(bytes.fromhex(text)) == VECTORS[text]
    assert write_data(VECTORS[text]).hex() == text


@pytest.mark.parametrize("text", VECTORS)
def test_a_value_cut_short_anywhere_is_told_as_truncated(text):
    octets = bytes.fromhex(text)
    for size in range(len(octets)):
        with pytest.raises(WireError):
            read_data(octets[:size])


@pytest.mark.parametrize("text", VECTORS)
def test_every_bit_flip_gives_a_value_or_a_wire_error(text):
    octets = bytes.fromhex(text)
    for bit in range(8 * len(octets)):
        damaged = bytearray(octets)
        damaged[bit >> 3] ^= 1 << (bit & 7)
        check_damaged(bytes(damaged))


def test_random_octets_give_a_value_or_a_wire_error():
    source = random.Random(1)  # noqa: S311 - damage, not a secret
    seeds = [bytes.fromhex(text) for text in VECTORS]
    for _ in range(3000):
        octets = bytearray(b"".join(source.choices(seeds, k=3)))
        for _ in range(source.randrange(4)):
            octets[source.randrange(len(octets))] = source.randrange(256)
        check_damaged(bytes((2, source.randrange(6))) + octets)


def check_damaged(octets):
    try:
        data = read_data(octets)
    except WireError:
        return
    assert read_data(write_data(data)) == data
    str(data)


@given(cosem_data())
def test_what_is_written_reads_back_equal(data):
    assert read_data(write_data(data)) == data


@given(cosem_data())
def test_a_trace_explains_every_octet_once(data):
    octets = write_data(data)
    cursor = Cursor(octets, trace=Trace())
    read_data(cursor)
    assert b"".join(span.octets for span in cursor.trace.spans) == octets
    offsets = [span.offset for span in cursor.trace.spans if span.octets]
    assert offsets == sorted(set(offsets))


def test_the_trace_names_elements_by_their_place_and_says_what_they_mean():
    cursor = Cursor(bytes.fromhex("020209060100010800ff0601020304"), trace=Trace())
    read_data(cursor, "value")
    told = [(span.field, span.meaning) for span in cursor.trace.spans]
    assert told == [
        ("value", "structure"),
        ("value count", "2"),
        ("value[0]", "octet-string"),
        ("value[0] length", "6"),
        ("value[0]", "0100010800ff (1-0:1.8.0)"),
        ("value[1]", "double-long-unsigned"),
        ("value[1]", "16909060"),
    ]


def test_an_unlisted_tag_is_unsupported_and_says_where():
    with pytest.raises(UnsupportedError) as caught:
        read_data(bytes.fromhex("0202110163"))
    assert (caught.value.offset, caught.value.field) == (4, "data")


def test_octets_after_the_value_are_left_over():
    with pytest.raises(WireError, match="1 octet left over"):
        read_data(bytes.fromhex("110100"))


def test_a_cursor_is_left_behind_the_value():
    cursor = Cursor(bytes.fromhex("11011102"))
    assert (read_data(cursor), read_data(cursor)) == (axdr.unsigned(1), axdr.unsigned(2))


def test_nesting_beyond_the_bound_is_refused():
    deep = bytes.fromhex("0201")
    assert read_data(deep * (MAX_DEPTH - 1) + b"\x02\x00").type is DataType.STRUCTURE
    with pytest.raises(WireError, match="nested deeper"):
        read_data(deep * 5000 + b"\x00")


def test_a_count_beyond_the_octets_is_refused_before_anything_is_built():
    with pytest.raises(WireError, match="announces 4294967295 elements, has 1 octet,"):
        read_data(bytes.fromhex("0184ffffffff00"))


@pytest.mark.parametrize(
    "text",
    [
        "13000100",  # elements of no octets
        "130100000f0100",  # arrays of no elements
        "1301ffff01ffff01ffff000100",  # arrays of arrays of null
    ],
)
def test_a_compact_array_whose_elements_take_no_octets_is_refused(text):
    with pytest.raises(WireError, match="no octets"):
        read_data(bytes.fromhex(text))


def test_a_compact_array_cannot_blow_up_through_nulls_beside_one_octet():
    description = "02021101ffff00"  # structure{unsigned, array[65535] of null-data}
    with pytest.raises(WireError, match="more than 544 values in 136 octets"):
        read_data(bytes.fromhex("13" + description + "7f") + bytes(127))


def test_many_compact_arrays_share_one_budget():
    one = bytes.fromhex("13020201003000110101")  # structure{array[48] of null-data, unsigned}: charged as 59
    other = bytes.fromhex("09080000000000000000")  # as many octets
    assert len(read_data(b"\x02\x02" + one + other).items[0].items[0].items[0].items) == 48
    with pytest.raises(WireError, match="more than 88 values in 22 octets"):
        read_data(b"\x02\x02" + one + one)


def test_null_columns_beside_values_are_within_the_budget():
    rows = axdr.compact_array(*(axdr.structure(axdr.unsigned(n), axdr.null()) for n in range(100)))
    assert read_data(axdr.write_data(rows)) == rows


def test_a_compact_array_inside_a_description_is_unsupported():
    with pytest.raises(UnsupportedError):
        read_data(bytes.fromhex("131300"))


def test_a_compact_array_keeps_its_description_when_empty():
    data = read_data(bytes.fromhex("130202111200"))
    assert data.value.description == TypeDescription(
        DataType.STRUCTURE, 0, (TypeDescription(DataType.UNSIGNED), TypeDescription(DataType.LONG_UNSIGNED))
    )
    assert data.items == ()


def test_long_lengths_are_read_in_any_form_and_written_short():
    octets = bytes(range(256))
    for head in ("09820100", "0983000100", "098400000100"):
        assert read_data(bytes.fromhex(head) + octets).octets == octets
    assert write_data(axdr.octet_string(octets))[:4] == bytes.fromhex("09820100")
    with pytest.raises(WireError, match="length of 5 octets"):
        read_data(bytes.fromhex("09850000000001aa"))
    with pytest.raises(WireError, match="indefinite length"):
        read_data(bytes.fromhex("0980"))


def test_floats_keep_their_bits_and_convert_exactly():
    signalling = bytes.fromhex("177fa00001")
    assert write_data(read_data(signalling)) == signalling
    assert axdr.float32(0.1).value.decimal == Decimal("0.100000001490116119384765625")
    assert axdr.float64(0.1).value.number == 0.1


@pytest.mark.parametrize(
    ("build", "value"),
    [
        (axdr.unsigned, 256),
        (axdr.integer, -129),
        (axdr.double_long_unsigned, -1),
        (axdr.visible_string, "€"),
        (write_data, Data(DataType.UNSIGNED, 256)),
        (write_data, Data(DataType.UNSIGNED, "1")),
        (write_data, Data(DataType.NULL, 1)),
        (write_data, Data(DataType.FLOAT32, IeeeFloat(bytes(8)))),
    ],
    ids=lambda part: getattr(part, "__name__", str(part)),
)
def test_a_value_that_does_not_fit_its_type_is_our_own_error(build, value):
    with pytest.raises(ValueError, match=r"\w"):
        build(value)


@pytest.mark.parametrize("items", [(), (axdr.unsigned(1), axdr.long(1)), (axdr.array(),)], ids=str)
def test_a_compact_array_of_no_or_mixed_shapes_is_our_own_error(items):
    with pytest.raises(ValueError, match=r"shape|description"):
        axdr.compact_array(*items)


def test_accessors_give_the_value_or_say_what_the_peer_sent():
    data = axdr.structure(axdr.unsigned(7), axdr.octet_string(b"AB"))
    assert data.items[0].integer == 7
    assert data.items[1].octets == b"AB"
    assert data.items[1].text == "AB"
    for wrong in (lambda: data.integer, lambda: data.items[0].items, lambda: data.items[0].octets):
        with pytest.raises(WireError, match="not an"):
            wrong()


def test_a_clock_time_is_found_in_each_of_its_forms():
    moment = ClockTime(2025, 3, 30, 7, 1, 0, 0, 0, -60, ClockStatus(0))
    assert axdr.clock(moment).clock_time == moment
    assert Data(DataType.DATE_TIME, moment).clock_time == moment
    assert axdr.date(moment).clock_time == ClockTime(2025, 3, 30, 7)
    assert axdr.time_of_day(moment).clock_time == ClockTime(hour=1, minute=0, second=0, hundredths=0)
    with pytest.raises(WireError, match="12 octets"):
        _ = axdr.octet_string(b"AB").clock_time


@given(clock_times())
def test_twelve_octets_keep_every_field_of_a_date_time(clock):
    octets = axdr.write_clock_time(clock)
    assert len(octets) == 12
    assert axdr.read_clock_time(octets) == clock
    assert clock.to_utc() is None or clock.to_date() is not None


@pytest.mark.parametrize("read", [axdr.read_clock_time, axdr.read_clock_date, axdr.read_time_of_day])
def test_a_date_or_time_of_another_size_is_refused(read):
    with pytest.raises(WireError, match="not 3"):
        read(bytes(3))


def test_bits_are_counted_from_the_most_significant():
    bits = BitString(bytes.fromhex("a080"), 9)
    assert str(bits) == "101000001"
    assert [bits[0], bits[1], bits[8]] == [True, False, True]
    with pytest.raises(IndexError):
        _ = bits[9]


def test_text_says_type_and_value():
    data = axdr.structure(axdr.octet_string(Obis(1, 0, 1, 8, 0)), axdr.compact_array(axdr.unsigned(1)), axdr.null())
    assert str(data) == (
        "structure{octet-string 0100010800ff (1-0:1.8.0), compact-array of unsigned{unsigned 1}, null-data}"
    )


def test_truncation_is_its_own_kind_so_that_streams_can_wait():
    with pytest.raises(TruncatedError) as caught:
        read_data(bytes.fromhex("0600"), "total energy")
    assert (caught.value.offset, caught.value.field) == (1, "total energy")


@pytest.mark.deep
def test_a_hundred_thousand_damaged_values_leave_memory_flat():
    seeds = [bytes.fromhex(text) for text in VECTORS]
    source = random.Random(11)  # noqa: S311 - damage, not a secret
    tracemalloc.start()
    try:
        for count in range(100_000):
            if count == 50_000:
                half, _ = tracemalloc.get_traced_memory()
            damaged = bytearray(source.choice(seeds))
            for _ in range(source.randrange(1, 6)):
                damaged[source.randrange(len(damaged))] = source.randrange(256)
            check_damaged(bytes(damaged[: source.randrange(1, len(damaged) + 1)] if count % 4 == 0 else damaged))
        end, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert end - half < 1_000_000
    assert peak < 50_000_000
