"""One call from a frame to its readings: keys as octets or text, another meter an error, a format by name."""

import pytest

from meterspan.api.decoding import decode
from tests.readings.frames import (
    AUTH_KEY,
    EXPECTED,
    KEY,
    LLC,
    SELF_DESCRIBING,
    hdlc,
    notification,
    p1_text,
    sealed,
    values,
)


@pytest.mark.parametrize("key", [KEY, KEY.hex(), KEY.hex().upper(), KEY.hex(" ")])
def test_a_key_is_given_as_octets_or_as_text(key):
    telegram = decode(sealed(notification(SELF_DESCRIBING)), key=key, auth_key=AUTH_KEY.hex())
    assert (values(telegram), telegram.error) == (EXPECTED, None)


@pytest.mark.parametrize("frame", [hdlc(LLC + notification(SELF_DESCRIBING)), notification(SELF_DESCRIBING).hex()])
@pytest.mark.finding("users E")
def test_octets_and_hexadecimal_text_give_the_same_readings(frame):
    assert values(decode(frame)) == EXPECTED


def test_a_wrong_authentication_key_is_an_error_of_the_answer_and_no_exception():
    telegram = decode(sealed(notification(SELF_DESCRIBING)), key=KEY, auth_key=bytes(16))
    assert telegram.readings == ()
    assert "does not fit" in (telegram.error or "")


def test_a_key_that_is_no_hexadecimal_text_is_refused():
    with pytest.raises(ValueError, match="hexadecimal"):
        decode(b"", key="no key")


def test_a_format_by_name_overrides_what_the_octets_look_like():
    assert decode(p1_text()).protocol == "p1"
    assert decode(p1_text(), as_="sml").readings == ()


def test_octets_of_any_sort_are_decoded() -> None:
    expected = decode(p1_text())
    assert decode(bytearray(p1_text())) == decode(memoryview(p1_text())) == expected
