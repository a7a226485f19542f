"""M-Bus telegrams as rows: which record is the register, at which time, at which scale."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.engine.wmbus_receiver import Telegram
from meterspan.model.failures import FailureKind
from meterspan.quantities import CATALOGUE, Commodity, Direction, Obis
from meterspan.readings.mbus import contents_of, rows_of_mbus
from meterspan.readings.rows import HeardTelegram, Row
from meterspan.wire.mbus import read_records
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.transport import HeaderKind, TransportHeader

NOW = 1_772_449_220.0
WATER, ENERGY = CATALOGUE[Commodity.WATER].register, CATALOGUE[Commodity.ELECTRICITY].register
HEADER = TransportHeader(0x7A, HeaderKind.SHORT, None, 1, 0, 0)


def telegram(octets: str, *, medium: int = 0x07, maker: str = "TST") -> Telegram:
    payload = bytes.fromhex(octets)
    return Telegram(DeviceAddress.of(maker, "12345678", 1, medium), HEADER, payload, read_records(payload))


def heard(octets: str, *, medium: int = 0x07, offset_s: int = 0) -> HeardTelegram:
    return rows_of_mbus(telegram(octets, medium=medium), bytes.fromhex(octets), NOW, offset_s=offset_s)


def rows(octets: str, *, medium: int = 0x07, offset_s: int = 0) -> list[Row]:
    return [row for device in heard(octets, medium=medium, offset_s=offset_s).devices for row in device.rows]


def test_the_register_is_the_instantaneous_total_of_the_whole_device() -> None:
    told = rows("0413 39300000  8C1013 99999999  841013 01000000  844013 03000000  1413 02000000")
    assert [(row.obis, str(row.value), row.time) for row in told] == [(WATER, "12.345 m3", round(NOW))]


def test_a_stored_register_counts_at_its_date_and_time_by_the_meters_standard_time() -> None:
    stored = rows("0413 39300000 4413 38300000 446D 00002132", offset_s=3_600)
    assert stored[1].time == int(datetime(2025, 1, 31, 23, tzinfo=UTC).timestamp())
    assert str(stored[1].value) == "12.344 m3"


def test_a_stored_register_with_a_date_alone_makes_no_row_because_a_day_is_open() -> None:
    assert len(rows("0413 39300000 4413 38300000 426C 2132")) == 1


def test_a_register_of_a_day_to_come_is_not_believed() -> None:
    assert len(rows("0413 39300000 4413 38300000 446D 0000E132")) == 1


@given(st.integers(0, 10**8 - 1))
def test_the_scale_is_that_of_the_record_whatever_the_digits(litres: int) -> None:
    bcd = int(str(litres), 16).to_bytes(4, "little").hex()
    (row,) = rows("0C13" + bcd)
    assert (row.value.value, row.value.exponent) == (litres, -3)


def test_what_flows_backward_through_an_electricity_meter_is_export() -> None:
    told = rows("0403 E8030000 04833C 0A000000", medium=0x02)
    directions = CATALOGUE[Commodity.ELECTRICITY].registers
    assert [(row.obis, row.value.value) for row in told] == [
        (directions[Direction.IMPORT], 1000),
        (directions[Direction.EXPORT], 10),
    ]


def test_a_heat_meter_keeps_its_joules() -> None:
    (row,) = rows("040F 10270000", medium=0x04)
    assert (row.obis, row.value.unit.symbol, row.value.decimal) == (Obis(6, 0, 1, 0, 0), "J", 10**11)


@pytest.mark.parametrize(
    ("octets", "medium", "kind"),
    [
        ("0259 E803", 0x07, FailureKind.UNREADABLE),
        ("0259 E803", 0x1B, FailureKind.UNSUPPORTED),
        ("0413 393000", 0x07, FailureKind.DAMAGED),
    ],
)
def test_a_telegram_without_a_register_says_why(octets: str, medium: int, kind: FailureKind) -> None:
    told = heard(octets, medium=medium)
    assert told.devices == ()
    assert told.failures[0].kind is kind
    assert told.octets == bytes.fromhex(octets)


def test_the_meters_own_time_is_told_beside_the_rows() -> None:
    assert heard("0413 39300000 046D 00002132").own_time == int(datetime(2025, 2, 1, tzinfo=UTC).timestamp())
    assert heard("0413 39300000").own_time is None


def test_decoded_readings_name_the_same_code_and_date() -> None:
    found = contents_of(telegram("0413 39300000 4413 38300000 446D 00002132")).readings
    assert [(item.obis, item.time, item.storage) for item in found[:2]] == [
        (WATER, None, 0),
        (WATER, "2025-02-01T00:00", 1),
    ]


@given(
    st.binary(max_size=80),
    st.sampled_from([0x02, 0x03, 0x04, 0x07, 0x1B, 0x43]),
    st.sampled_from(["TST", "TCH", "APA"]),
)
def test_any_payload_gives_rows_or_a_failure(payload: bytes, medium: int, maker: str) -> None:
    told = rows_of_mbus(telegram(payload.hex(), medium=medium, maker=maker), payload, NOW)
    assert told.devices or told.failures
    codes = [(row.obis, row.time) for device in told.devices for row in device.rows]
    assert len(codes) == len(set(codes))
