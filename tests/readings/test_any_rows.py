"""Octets of any protocol become rows by one call; damage, a wrong key and replayed guesses never do."""

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterspan.engine.mbus_security import Protection, build_telegram
from meterspan.quantities import CATALOGUE, Commodity, Obis
from meterspan.readings.any_rows import rows_of
from meterspan.wire.errors import KeyMissingError, KeyWrongError, SecurityError, WireError
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.link import LinkFrame, write_link_frame
from meterspan.wire.mbus.transport import HeaderKind, SecurityMode, TransportHeader, write_transport
from meterspan.wire.sml import Integer, write_frame
from meterspan.wire.wmbus.frame import LinkHeader
from tests.readings.frames import AUTH_KEY, KEY, LLC, SELF_DESCRIBING, hdlc, notification, sealed, sml_capture

NOW = datetime(2026, 3, 2, 11, 0, 20, tzinfo=UTC).timestamp()
IMPORT = Obis(1, 0, 1, 8, 0)
ADDRESS = DeviceAddress.of("TST", "12345678", 0x01, 0x07)
VOLUME = bytes.fromhex("0C13 45230100 4C13 40230100 446D 0000 2132".replace(" ", ""))
"""12.345 m3 now; 12.340 m3 at 2025-02-01 00:00 of the meter's clock."""


def radio(mode: SecurityMode = SecurityMode.NONE, key: bytes = b"") -> bytes:
    header = TransportHeader(0x7A, HeaderKind.SHORT, None, 5, 0, 0)
    return build_telegram(LinkHeader(0x44, ADDRESS), header, VOLUME, Protection(mode, key))


def wired() -> bytes:
    header = TransportHeader(0x72, HeaderKind.LONG, ADDRESS, 5, 0, 0)
    return write_link_frame(LinkFrame(0x08, 1, write_transport(header) + VOLUME))


def sml() -> bytes:
    return write_frame(sml_capture(Integer(-700, 2, signed=True)))


@pytest.mark.parametrize(
    ("octets", "key"), [(radio(), None), (radio(SecurityMode.AES_CBC_IV, KEY), KEY), (wired(), None)]
)
def test_an_m_bus_meter_gives_its_register_now_and_at_the_due_date(octets: bytes, key: bytes | None) -> None:
    telegram = rows_of(octets, NOW, key=key)
    (device,) = telegram.devices
    assert (device.device, device.commodity) == ("TST-12345678-07", Commodity.WATER)
    due = int(datetime(2025, 2, 1, tzinfo=UTC).timestamp())
    assert [(row.obis, str(row.value), row.time) for row in device.rows] == [
        (CATALOGUE[Commodity.WATER].register, "12.345 m3", round(NOW)),
        (CATALOGUE[Commodity.WATER].register, "12.340 m3", due),
    ]


@pytest.mark.parametrize("octets", [radio(), wired()])
def test_a_telegram_in_the_clear_makes_no_rows_where_a_key_is_given(octets: bytes) -> None:
    with pytest.raises(SecurityError):
        rows_of(octets, NOW, key=KEY)


def test_a_push_gives_rows_at_the_meters_own_time() -> None:
    telegram = rows_of(hdlc(LLC + notification(SELF_DESCRIBING)), NOW)
    (device,) = telegram.devices
    row = device.row(IMPORT)
    assert row is not None
    assert (str(row.value), row.time) == ("123450 Wh", int(datetime(2024, 5, 6, 5, 8, 9, tzinfo=UTC).timestamp()))
    assert device.device == "7777"


def test_a_ciphered_push_needs_both_keys() -> None:
    octets = hdlc(LLC + sealed(notification(SELF_DESCRIBING)))
    assert rows_of(octets, NOW, key=KEY, auth_key=AUTH_KEY).devices
    with pytest.raises(KeyMissingError):
        rows_of(octets, NOW, key=KEY)
    with pytest.raises(KeyWrongError):
        rows_of(octets, NOW, key=KEY, auth_key=bytes(16))


def test_an_sml_file_gives_rows_at_the_time_of_reception() -> None:
    (device,) = rows_of(sml(), NOW).devices
    row = device.row(IMPORT)
    assert row is not None
    assert (str(row.value), row.time) == ("9876.5 Wh", round(NOW))


@pytest.mark.parametrize("octets", [hdlc(LLC + notification(SELF_DESCRIBING)), sml(), wired()])
def test_no_flipped_bit_of_a_checked_frame_becomes_a_row(octets: bytes) -> None:
    whole = {(item.device, row) for item in rows_of(octets, NOW).devices for row in item.rows}
    for bit in range(0, 8 * len(octets), 5):
        damaged = bytearray(octets)
        damaged[bit // 8] ^= 1 << bit % 8
        try:
            told = rows_of(bytes(damaged), NOW)
        except WireError:
            continue
        assert {(item.device, row) for item in told.devices for row in item.rows} <= whole


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=120))
def test_any_octets_give_rows_or_a_wire_error(octets: bytes) -> None:
    with contextlib.suppress(WireError):
        assert rows_of(octets, NOW).octets == octets
