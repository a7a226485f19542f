"""Key wrap: RFC 3394's vectors and damage."""

import pytest

from meterspan.crypto.key_wrap import unwrap_key, wrap_key
from meterspan.wire import KeyWrongError, WireError

KEK = bytes.fromhex("000102030405060708090A0B0C0D0E0F")
KEY = bytes.fromhex("00112233445566778899AABBCCDDEEFF")
WRAPPED = bytes.fromhex("1FA68B0A8112B447AEF34BD8FB5A7B829D3E862371D2CFE5")  # RFC 3394, 4.1
KEK_256 = bytes(range(32))
KEY_256 = bytes.fromhex("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F")
WRAPPED_256 = bytes.fromhex(  # RFC 3394, 4.6
    "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"
)


@pytest.mark.parametrize(("kek", "key", "wrapped"), [(KEK, KEY, WRAPPED), (KEK_256, KEY_256, WRAPPED_256)])
def test_the_vectors_of_the_rfc_wrap_and_unwrap(kek, key, wrapped):
    assert wrap_key(key, kek=kek) == wrapped
    assert unwrap_key(wrapped, kek=kek) == key


def test_every_bit_flip_is_noticed():
    for bit in range(8 * len(WRAPPED)):
        damaged = bytearray(WRAPPED)
        damaged[bit >> 3] ^= 1 << (bit & 7)
        with pytest.raises(KeyWrongError):
            unwrap_key(bytes(damaged), kek=KEK)


def test_another_kek_is_a_wrong_key():
    with pytest.raises(KeyWrongError):
        unwrap_key(WRAPPED, kek=bytes(16))


def test_a_size_that_no_wrapped_key_has_is_refused():
    for size in (0, 8, 16, 23):
        with pytest.raises(WireError, match="no wrapped key"):
            unwrap_key(WRAPPED[:size], kek=KEK)


def test_our_own_mistakes_are_value_errors():
    with pytest.raises(ValueError, match="key"):
        wrap_key(bytes(15), kek=KEK)
    with pytest.raises(ValueError, match="key"):
        unwrap_key(WRAPPED, kek=bytes(15))
