"""Application messages by CI field."""

from datetime import datetime
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.wire import Cursor, Trace, WireError
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.application import Selection, read_application, write_clock, write_selection
from meterspan.wire.mbus.transport import HeaderKind, TransportHeader, read_transport, status_text, write_transport

METER = DeviceAddress.of("MSP", "12345678", 0x01, 0x07)
LONG = "72" + METER.long_header.hex() + "2A000000"


def read(octets):
    return read_application(bytes.fromhex(octets))


def test_a_long_header_names_the_meter_and_its_records_follow():
    message = read(LONG + "0413E8030000")
    assert message.transport.address == METER
    assert str(METER) == "MSP-12345678-01-07"
    assert METER.medium_name == "water"
    assert message.transport.access_number == 0x2A
    assert message.records.records[0].decimal == Decimal(1)
    assert message.records.records[0].offset == 13


def test_a_short_header_and_no_header_are_read():
    assert read("7A2A0400000413E8030000").transport.status == 4
    assert read("780413E8030000").records.records[0].value == 1000


def test_the_reversed_octet_order_of_ci_76_is_read():
    header = METER.long_header
    octets = b"\x76" + header[3::-1] + header[5:3:-1] + header[6:] + bytes.fromhex("2A0000000413000003E8")
    message = read_application(octets)
    assert message.transport.address == METER
    assert message.records.records[0].value == 1000
    assert write_transport(message.transport) == octets[:13]


def test_a_protected_payload_stays_closed_and_one_opened_before_is_read():
    closed = read("7A2A001005" + "00" * 16)
    assert closed.records.records == ()
    assert closed.transport.mode == 5
    assert closed.transport.encrypted_size == 16
    opened = read("7A2A0010052F2F0413E8030000" + "2F" * 8)
    assert opened.records.records[0].value == 1000


def test_a_signature_of_before_the_security_modes_does_not_close_the_payload():
    assert read("7A2A0027B60413E8030000").records.records[0].value == 1000


def test_the_fixed_structure_has_two_counters():
    message = read("73785634120A00E97E0100000035010000")
    first, second = message.records.records
    assert (first.decimal, first.unit.symbol, first.storage) == (Decimal("0.001"), "m3", 0)
    assert (second.decimal, second.storage) == (Decimal("0.135"), 1)
    assert message.transport.address.id == "12345678"
    assert message.transport.address.medium == 7
    assert message.name == "response, fixed structure"


@pytest.mark.parametrize(
    ("octets", "text"), [("7005", "more than ten DIFEs"), ("70", "error None"), ("70C8", "error 200")]
)
def test_an_application_error_is_said_in_words(octets, text):
    assert str(read(octets).error) == text


def test_a_selection_matches_with_wildcards_digit_by_digit():
    everyone = Selection(b"\xff" * 8)
    assert everyone.matches(METER)
    assert Selection(bytes.fromhex("FFFF3412FFFFFFFF")).matches(METER)
    assert not Selection(bytes.fromhex("FFFF3512FFFFFFFF")).matches(METER)
    assert not Selection(METER.long_header[:6] + b"\x02\xff").matches(METER)
    enhanced = Selection(b"\xff" * 8, bytes.fromhex("785634F2"))
    assert enhanced.matches(METER, bytes.fromhex("78563412"))
    assert not enhanced.matches(METER, bytes.fromhex("79563412"))
    assert not enhanced.matches(METER)
    for selection in (everyone, enhanced):
        assert read_application(write_selection(selection)).selection == selection


def test_a_clock_synchronisation_carries_local_time():
    moment = datetime(2026, 11, 21, 2, 3, 4)  # noqa: DTZ001 - a meter's clock has no zone
    header = TransportHeader(0x6C, HeaderKind.LONG, METER)
    assert read_application(write_transport(header) + write_clock(header, moment)).clock == moment
    with pytest.raises(WireError):
        write_clock(TransportHeader(0x6D, HeaderKind.LONG, METER), moment)


@pytest.mark.parametrize(("octets", "rate"), [("B8", 300), ("BB", 2400), ("BF", 38400), ("50", None)])
def test_ci_fields_set_the_baud_rate(octets, rate):
    assert read(octets).baud_rate == rate


def test_the_status_octet_is_said_in_words():
    assert status_text(0x00) == "no error"
    assert status_text(0x0E) == "application error, power low, permanent error"
    assert status_text(0x91) == "application busy, temporary error, manufacturer specific 80"


def test_manufacturers_are_three_letters():
    assert DeviceAddress(bytes.fromhex("2D2C785634121B16")).manufacturer == "KAM"
    for wrong in ("KA", "kam", "KAMS"):
        with pytest.raises(ValueError, match="three capital letters"):
            DeviceAddress.of(wrong, "12345678", 1, 7)
    with pytest.raises(ValueError, match="eight digits"):
        DeviceAddress.of("KAM", "1234", 1, 7)


@pytest.mark.parametrize("octets", [LONG, "7A2A000000", "7A2A00100710", "78", "A0"])
def test_a_transport_header_writes_back_and_each_octet_is_explained(octets):
    trace, whole = Trace(), bytes.fromhex(octets)
    header = read_transport(Cursor(whole, trace=trace))
    assert write_transport(header) == whole
    assert b"".join(span.octets for span in trace.spans) == whole


def test_every_truncation_of_a_header_is_a_wire_error():
    whole = bytes.fromhex(LONG)
    for size in range(len(whole)):
        with pytest.raises(WireError):
            read_application(whole[:size])


@given(st.binary(max_size=60))
def test_any_octets_give_a_message_or_a_wire_error(octets):
    try:
        message = read_application(octets)
    except WireError:
        return
    assert message.name
