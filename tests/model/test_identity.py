"""A device has one name, and one identity behind an access point, for its writer and for its checker."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.identity import (
    MBusClientIdentity,
    mbus_client_identity,
    mbus_device,
    new_system_title,
    p1_device,
    parse_system_title,
    split_mbus_device,
)
from meterspan.wire.mbus.address import DeviceAddress

LETTERS = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=3, max_size=3)


@given(LETTERS, st.text("0123456789", min_size=8, max_size=8), st.integers(0, 255))
def test_an_m_bus_meter_is_named_and_identified_by_its_address(letters, number, medium):
    device = mbus_device(DeviceAddress.of(letters, number, 7, medium))
    assert split_mbus_device(device) == (letters, number, medium)
    identity = mbus_client_identity(device)
    assert (identity.number, identity.medium) == (int(number, 16), medium)
    high, middle, low = (ord(letter) - 64 for letter in letters)
    assert identity.manufacturer == high << 10 | middle << 5 | low


def test_a_meter_on_p1_is_identified_by_letters_and_last_digits_of_its_name():
    assert mbus_client_identity("MSP1000000001") == MBusClientIdentity(0x00000001, 0x3670, 0x02)
    assert mbus_client_identity("E0031003262427614") == MBusClientIdentity(0x62427614, 0, 0x02)


@given(st.text(max_size=30))
def test_every_name_has_an_identity_that_fits_its_attributes(device):
    identity = mbus_client_identity(device)
    assert 0 <= identity.number < 1 << 32
    assert 0 <= identity.manufacturer < 1 << 16
    assert 0 <= identity.medium <= 0xFF


@given(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=4, max_size=17))
def test_a_meter_on_a_p1_port_has_one_name_as_text_and_as_hex_of_its_letters(name):
    assert p1_device(name.encode().hex().upper()) == name


def test_short_numbers_are_no_hex_and_what_cannot_be_printed_is_no_name():
    assert p1_device("4142") == "4142"
    assert p1_device("  1234567 ") == "1234567"
    assert p1_device("0011223344") == "0011223344", "its octets are no letters"
    assert p1_device("\x1b[2J") == ""


@given(st.binary(min_size=8, max_size=8))
def test_a_system_title_is_read_from_its_sixteen_digits(title):
    assert parse_system_title(title.hex()) == parse_system_title(title.hex().upper()) == title


@pytest.mark.parametrize("text", ["", "4d53", "4d535000000000zz", "4d5350000000000102"])
def test_what_is_no_system_title_is_refused(text):
    with pytest.raises(ValueError, match="16 hexadecimal digits"):
        parse_system_title(text)


def test_a_new_system_title_has_our_letters_and_random_octets_behind_them():
    assert new_system_title(lambda count: bytes(range(count))) == b"MSP\x00\x01\x02\x03\x04"
