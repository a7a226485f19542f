"""Data records: own vectors, every table's corner, damaged input, and the round trip."""

from datetime import date, datetime, time
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterspan.wire import Cursor, Trace, TruncatedError
from meterspan.wire.mbus import DataRecord, Function, build_header, build_record, read_records, write_records
from meterspan.wire.mbus.records import MAX_RECORDS
from tests.strategies import mbus_record_octets

# (octets, quantity, value in unit, unit)
VECTORS = [
    ("0413E8030000", "volume", Decimal("1.000"), "m3"),
    ("023BC800", "volume flow", Decimal("0.200"), "m3/h"),
    ("0C0678563412", "energy", Decimal(12345678000), "Wh"),
    ("0A6B1002", "pressure", Decimal(210), "bar"),
    ("025B1400", "flow temperature", Decimal(20), "°C"),
    ("025FECFF", "return temperature", Decimal(-20), "°C"),
    ("0262FFFF", "temperature difference", Decimal("-0.1"), "K"),
    ("032DE80300", "power", Decimal(100000), "W"),
    ("05FD4800004040", "voltage", Decimal("0.3"), "V"),
    ("02FDDA0103 00".replace(" ", ""), "current", None, None),
    ("04FB8275E8030000", "reactive energy", Decimal(100000), "varh"),
    ("04FB0001000000", "energy", Decimal(100000), "Wh"),
    ("02FB2EF401", "frequency", Decimal("50.0"), "Hz"),
    ("02FB1A1C02", "relative humidity", Decimal("54.0"), "%RH"),
    ("04FD3A05000000", "dimensionless", Decimal(5), "1"),
    ("042205000000", "on time", Decimal(5), "h"),
    ("01FD7410", "remaining battery lifetime", Decimal(16), "d"),
    ("01FDFD0205", "remaining battery lifetime", Decimal(5), "mo"),
    ("01FD71B0", "signal strength", Decimal(-80), "dBm"),
    ("0CFB20 00010000".replace(" ", ""), "volume", Decimal(100), "ft3"),
    ("046E10000000", "heat cost allocation", Decimal(16), "hca"),
    ("0D78053132333435", "fabrication number", "54321", None),
    ("0DFD0EC31234 56".replace(" ", ""), "firmware version", 563412, None),
    ("0D13D21050", "volume", Decimal("-5.010"), "m3"),
    ("0D13E3FFFFFF", "volume", None, None),
]


def only(octets):
    records = read_records(bytes.fromhex(octets))
    assert records.error is None
    assert len(records.records) == 1
    return records.records[0]


@pytest.mark.parametrize(("octets", "quantity", "value", "unit"), VECTORS)
def test_a_record_reads_as_quantity_value_and_unit_and_writes_back(octets, quantity, value, unit):
    record = only(octets)
    assert record.quantity == quantity
    if value is not None:
        assert (record.decimal if isinstance(value, Decimal) else record.value) == value
        assert (record.unit.symbol if record.unit else None) == unit
    assert write_records([record]) == bytes.fromhex(octets)


def test_difes_give_storage_tariff_and_subunit():
    record = only("C4F1411301000000")
    assert (record.storage, record.tariff, record.subunit) == (0b00011 | 1 << 5, 0b0011, 0b11)
    assert record.function == Function.INSTANTANEOUS


@pytest.mark.parametrize(
    ("dif", "word"), [("04", "instantaneous"), ("14", "maximum"), ("24", "minimum"), ("34", "error")]
)
def test_the_function_field_is_a_word(dif, word):
    assert str(only(dif + "1301000000").function) == word


MODIFIED = [
    ("04933B01000000", Decimal("0.001"), "m3", ("forward flow",)),
    ("04933C01000000", Decimal("0.001"), "m3", ("backward flow",)),
    ("04937D01000000", Decimal(1), "m3", ()),
    ("04937401000000", Decimal("0.00001"), "m3", ()),
    ("04932201000000", Decimal("0.001"), "m3/h", ("per hour",)),
    ("0483 2D01000000".replace(" ", ""), Decimal(1), "Wh/m3", ("per m3",)),
    ("04A9FC0101000000", Decimal("0.01"), "W", ("at phase L1",)),
    ("04FDC8FC0201000000", Decimal("0.1"), "V", ("at phase L2",)),
    ("04AB4101000000", Decimal(1), "1", ("number of exceeds of lower limit",)),
    ("04AB5A01000000", Decimal(1), "h", ("duration of first upper limit exceed",)),
    ("04BB6201000000", Decimal(1), "h", ("duration of first",)),
    ("04937E01000000", Decimal("0.001"), "m3", ("future",)),
    ("02E57902 00".replace(" ", ""), Decimal("0.030"), "°C", ()),
    ("04935201000000", Decimal(1), "h", ("duration of first lower limit exceed",)),
    ("0493FF2101000000", Decimal("0.001"), "m3", ("manufacturer specific", "manufacturer specific 21")),
    ("04FF8121 01000000".replace(" ", ""), Decimal(1), None, ("manufacturer specific 01", "manufacturer specific 21")),
]


@pytest.mark.parametrize(("octets", "value", "unit", "modifiers"), MODIFIED)
def test_combinable_vifes_change_value_and_unit_and_are_told(octets, value, unit, modifiers):
    record = only(octets)
    assert record.decimal == value
    assert (record.unit.symbol if record.unit else None) == unit
    assert record.modifiers == modifiers


@pytest.mark.parametrize("octets", ["02FC0348522574440D", "02FC740348522 5440D".replace(" ", "")])
def test_a_plain_text_unit_stands_after_the_vif_or_after_the_last_vife(octets):
    record = only(octets)
    assert record.decimal == Decimal("33.96")
    assert record.unit.symbol == "%RH"
    assert write_records([record]) == bytes.fromhex(octets)


DATES = [
    ("426C9F2C", date(2020, 12, 31)),
    ("426CFFFF", None),
    ("426C0000", None),
    ("046D00000000", None),
    ("046DFFFFFFFF", None),
    ("046D370CC422", datetime(2022, 2, 4, 12, 55)),  # noqa: DTZ001 - a meter's clock has no zone
    ("046D3B177E14", datetime(2011, 4, 30, 23, 59)),  # noqa: DTZ001 - a meter's clock has no zone
    ("046DBB177E14", None),
    ("036D1E0F0C", time(12, 15, 30)),
    ("066D1E0F0CC42200", datetime(2022, 2, 4, 12, 15, 30)),  # noqa: DTZ001 - a meter's clock has no zone
    ("066D1E8F0CC42200", None),
    ("046D00280100", None),
]


@pytest.mark.parametrize(("octets", "value"), DATES)
def test_dates_are_calendar_dates_or_none(octets, value):
    assert only(octets).value == value


def test_invalid_numbers_are_none_and_negative_bcd_is_negative():
    assert only("0A5A0402").decimal == Decimal("20.4")
    assert only("0A5A04F2").decimal == Decimal("-20.4")
    assert only("0A5AEEEE").value is None
    assert only("0513000080 7F".replace(" ", "")).value is None
    assert only("0C78EFCDAB01").value == "01ABCDEF"


def test_long_numbers_stay_exact():
    record = only("0D13F6" + "FF" * 63 + "7F")
    assert record.decimal == Decimal(f"{2**511 - 1}E-3")
    assert record.scaled.value == 2**511 - 1


def test_data_without_octets_has_no_value():
    assert only("0013").value is None
    assert only("0813").value is None
    assert only("7F").quantity == "global readout request"


def test_manufacturer_data_and_fillers_survive():
    octets = bytes.fromhex("2F2F01FD08052F0F010203")
    records = read_records(octets)
    assert records.manufacturer_data == b"\1\2\3"
    assert not records.more_follows
    assert records.fillers == (2, 1)
    assert write_records(records) == octets


def test_more_records_follow_is_told():
    records = read_records(bytes.fromhex("01FD08051F"))
    assert records.more_follows
    assert records.manufacturer_data == b""


def test_the_records_before_a_truncated_one_are_given_with_the_error():
    octets = bytes.fromhex("0413E8030000023BC8")
    records = read_records(octets)
    assert [record.quantity for record in records.records] == ["volume"]
    assert isinstance(records.error, TruncatedError)
    assert records.error.offset == 8
    assert records.rest == octets[6:]
    assert write_records(records) == octets


def test_every_truncation_gives_records_or_an_error_and_writes_back():
    octets = bytes.fromhex("".join(vector[0] for vector in VECTORS))
    for size in range(len(octets)):
        records = read_records(octets[:size])
        assert write_records(records) == octets[:size]


def test_too_many_difes_vifes_and_records_are_errors():
    assert "more than 10 DIFEs" in str(read_records(b"\x84" * 12 + b"\x04\x13\0\0\0\0").error)
    assert "more than 10 VIFEs" in str(read_records(b"\x04" + b"\x93" * 12 + b"\x13").error)
    many = read_records(b"\x00\x13" * (MAX_RECORDS + 1))
    assert len(many.records) == MAX_RECORDS
    assert "records" in str(many.error)


def test_reserved_difs_and_lvars_end_the_reading_with_their_place():
    assert read_records(bytes.fromhex("3F")).error.field == "DIF"
    assert read_records(bytes.fromhex("0D13F8")).error.offset == 2


def test_each_octet_is_explained():
    octets = bytes.fromhex("2F8C2013785634120D78033132330F0102")
    trace = Trace()
    read_records(Cursor(octets, base=100, trace=trace))
    assert b"".join(span.octets for span in trace.spans) == octets
    assert [span.offset for span in trace.spans][:2] == [100, 101]
    assert any("12345.678 m3" in span.meaning for span in trace.spans)


def test_a_record_is_built_from_header_and_value():
    header = build_header(0x4, b"\x13", storage=33, tariff=2, function=Function.MAXIMUM)
    record = build_record(header, Decimal("12.345"))
    assert record.data == (12345).to_bytes(4, "little")
    again = read_records(write_records([record])).records[0]
    assert again == record
    assert (again.storage, again.tariff, str(again.function)) == (33, 2, "maximum")
    assert str(again) == "volume 12.345 m3 (storage 33, tariff 2, maximum)"


@pytest.mark.parametrize(
    ("header", "value"),
    [
        (b"\x02\x13", Decimal(1000)),
        (b"\x02\x13", Decimal(40)),
        (b"\x04\x13", Decimal("0.0001")),
        (b"\x0c\x13", Decimal(10**6)),
        (b"\x04\x78", "text"),
        (b"\x04", 1),
        (b"\x04\x13\x00", 1),
        (b"\x04\x13", None),
        (b"\x02\x6c", time(1, 2)),
    ],
)
def test_what_does_not_fit_is_not_built(header, value):
    with pytest.raises(ValueError, match=r"\w"):
        build_record(header, value)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        (b"\x42\x6c", date(2026, 11, 21)),
        (b"\x04\x6d", datetime(2026, 11, 21, 2, 3)),  # noqa: DTZ001 - a meter's clock has no zone
        (b"\x06\x6d", datetime(2026, 11, 21, 2, 3, 4)),  # noqa: DTZ001 - a meter's clock has no zone
        (b"\x0d\xfd\x11", "customer 7"),
        (b"\x0d\x13", -5),
        (b"\x0b\x5a", Decimal("-20.4")),
        (b"\x05\x2b", Decimal("230.5")),
    ],
)
def test_what_is_built_is_read_again(header, value):
    record = build_record(header, value)
    (again,) = read_records(write_records([record])).records
    assert (again.decimal if isinstance(value, int | Decimal) else again.value) == value


@settings(max_examples=300)
@given(st.binary(max_size=80))
def test_any_octets_give_records_or_an_error_and_write_back(octets):
    records = read_records(octets)
    assert write_records(records) == octets
    for record in records.records:
        assert isinstance(record, DataRecord)
        str(record)
        _ = record.scaled


@given(st.lists(mbus_record_octets(), max_size=6))
def test_well_formed_records_are_read_whole(parts):
    records = read_records(b"".join(parts))
    assert records.error is None
    assert [record.octets + record.data for record in records.records] == parts
