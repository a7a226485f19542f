"""Lenient removal of protection: with both keys as strict as an association, with one key for a person's eyes."""

import pytest

from meterspan.crypto.suites import SUITES, SuiteKeys, protect
from meterspan.readings.job import DecodeJob
from meterspan.readings.protection import open_general_insecurely
from meterspan.wire import KeyMissingError, KeyWrongError, UnsupportedError, WireError
from meterspan.wire.xdlms import ApduTag, CipheredContent, GeneralCipheredApdu, SecurityControl

KEY, AUTH_KEY = bytes(range(16)), bytes(range(16, 32))
TITLE = b"MSP\x00\x00\x00\x00\x07"
PLAIN = bytes.fromhex("0F000000010002020600000001")


def general(control, *, damage=None, keys=None, title=TITLE):
    keys = keys or SuiteKeys(KEY, AUTH_KEY)
    payload = bytearray(protect(PLAIN, control, system_title=TITLE, invocation_counter=3, keys=keys))
    if damage is not None:
        payload[damage >> 3] ^= 1 << (damage & 7)
    content = CipheredContent(SecurityControl(control), 3, bytes(payload))
    return GeneralCipheredApdu(ApduTag.GENERAL_GLO_CIPHERING, title, content)


@pytest.mark.parametrize("control", [0x10, 0x20, 0x30, 0x70])
@pytest.mark.parametrize("auth_key", [None, AUTH_KEY])
def test_one_key_or_both_open_what_is_protected(control, auth_key):
    assert open_general_insecurely(general(control), DecodeJob(KEY, auth_key)) == PLAIN


def test_the_same_apdu_may_be_opened_twice_for_nothing_is_remembered():
    job = DecodeJob(KEY, AUTH_KEY)
    assert open_general_insecurely(general(0x30), job) == open_general_insecurely(general(0x30), job)


@pytest.mark.parametrize("control", [0x10, 0x30])
def test_with_both_keys_no_damaged_octet_is_shown(control):
    for bit in range(8 * (len(PLAIN) + 12)):
        with pytest.raises(KeyWrongError, match="does not fit system title"):
            open_general_insecurely(general(control, damage=bit), DecodeJob(KEY, AUTH_KEY))


def test_without_the_authentication_key_damage_shows_only_in_the_first_octet():
    with pytest.raises(KeyWrongError, match="no APDU"):
        open_general_insecurely(general(0x30, damage=6), DecodeJob(KEY))
    assert open_general_insecurely(general(0x30, damage=8 * len(PLAIN)), DecodeJob(KEY)) == PLAIN


def test_a_reader_without_any_key_reads_what_is_authenticated_only():
    assert open_general_insecurely(general(0x10), DecodeJob()) == PLAIN
    with pytest.raises(KeyMissingError, match=TITLE.hex().upper()):
        open_general_insecurely(general(0x30), DecodeJob())


def test_keys_of_another_size_than_the_suites_are_named():
    keys = SuiteKeys(bytes(32), bytes(range(32)), SUITES[2])
    sealed = general(0x32, keys=keys)
    assert open_general_insecurely(sealed, DecodeJob(keys.encryption)) == PLAIN
    assert open_general_insecurely(sealed, DecodeJob(keys.encryption, keys.authentication)) == PLAIN
    for job in (DecodeJob(KEY), DecodeJob(KEY, AUTH_KEY)):
        with pytest.raises(KeyWrongError, match="32 octets"):
            open_general_insecurely(sealed, job)


@pytest.mark.parametrize("control", [*range(0x33, 0x40), 0xB0])
def test_unknown_suites_and_compression_are_unsupported(control):
    apdu = GeneralCipheredApdu(
        ApduTag.GENERAL_GLO_CIPHERING, TITLE, CipheredContent(SecurityControl(control), 3, bytes(30))
    )
    for job in (DecodeJob(KEY), DecodeJob(KEY, AUTH_KEY)):
        with pytest.raises(UnsupportedError):
            open_general_insecurely(apdu, job)


@pytest.mark.parametrize("size", range(12))
def test_a_payload_shorter_than_the_tag_is_a_wire_error(size):
    content = CipheredContent(SecurityControl(0x30), 3, bytes(size))
    apdu = GeneralCipheredApdu(ApduTag.GENERAL_GLO_CIPHERING, TITLE, content)
    for job in (DecodeJob(KEY), DecodeJob(KEY, AUTH_KEY)):
        with pytest.raises(WireError):
            open_general_insecurely(apdu, job)


@pytest.mark.parametrize("size", [0, 3, 12])
def test_a_system_title_of_another_size_is_filled_or_cut(size):
    keys, title = SuiteKeys(KEY, AUTH_KEY), bytes(range(size))
    nonce_title = title.ljust(8, b"\0")[:8]
    payload = protect(PLAIN, 0x30, system_title=nonce_title, invocation_counter=3, keys=keys)
    content = CipheredContent(SecurityControl(0x30), 3, payload)
    apdu = GeneralCipheredApdu(ApduTag.GENERAL_GLO_CIPHERING, title, content)
    assert open_general_insecurely(apdu, DecodeJob(KEY, AUTH_KEY)) == PLAIN
