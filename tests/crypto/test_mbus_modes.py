"""M-Bus security modes: published key derivation values, and each mode both ways."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.crypto.mbus_modes import (
    cbc_decrypt,
    cbc_encrypt,
    derive_keys,
    ell_crypt,
    ell_iv,
    insecure_des_cbc_decrypt,
    insecure_des_cbc_encrypt,
    mac_matches,
    message_mac,
    mode2_iv,
    mode3_iv,
    mode5_iv,
    mode7_iv,
)

KEY = bytes(range(16))


def test_the_derived_keys_are_those_of_the_oms_example():
    # OMS specification volume 2, annex N: master key 00..0F, message counter 0AB3, meter 12345678
    keys = derive_keys(KEY, 0x0AB3, bytes.fromhex("78563412"))
    assert keys.encryption.hex().upper() == "ECCF39D475D730B8284FDFDC1995D52F"
    assert keys.mac.hex().upper() == "C9CD19FF5A9AAD5A6BBDA13BD2C4C7AD"


def test_the_direction_and_the_counter_change_the_keys():
    number = bytes.fromhex("78563412")
    keys = {derive_keys(KEY, counter, number, to_meter=way) for counter in (1, 2) for way in (False, True)}
    assert len({key for pair in keys for key in (pair.encryption, pair.mac)}) == 8


def test_cbc_is_that_of_nist_sp_800_38a():
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    plain = bytes.fromhex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51")
    sealed = bytes.fromhex("7649abac8119b246cee98e9b12e9197d5086cb9b507219ee95db113a917678b2")
    assert cbc_encrypt(key, KEY, plain) == sealed
    assert cbc_decrypt(key, KEY, sealed) == plain


@given(st.binary(min_size=16, max_size=16), st.binary(min_size=16, max_size=16), st.integers(0, 15), st.data())
def test_cbc_decrypts_what_it_encrypts(key, iv, blocks, data):
    plain = data.draw(st.binary(min_size=16 * blocks, max_size=16 * blocks))
    assert cbc_decrypt(key, iv, cbc_encrypt(key, iv, plain)) == plain


def test_parts_of_a_block_are_refused():
    with pytest.raises(ValueError, match="whole blocks"):
        cbc_decrypt(KEY, mode7_iv(), bytes(15))


def test_the_initialisation_vectors_are_built_of_the_address():
    address = bytes.fromhex("2D2C785634121B16")
    assert mode5_iv(address, 0x2A).hex() == "2d2c785634121b16" + "2a" * 8
    assert mode7_iv() == bytes(16)
    assert ell_iv(address, 0x20, bytes.fromhex("04030201")).hex() == "2d2c785634121b16" + "20" + "04030201" + "000000"


@given(st.binary(max_size=60))
def test_the_counter_mode_of_the_link_layer_is_its_own_inverse(octets):
    iv = ell_iv(bytes(8), 0x20, bytes(4))
    assert ell_crypt(KEY, iv, ell_crypt(KEY, iv, octets)) == octets


def test_a_mac_is_that_of_rfc_4493_and_fits_only_its_message():
    key = bytes.fromhex("2b7e151628aed2a6abf7158809cf4f3c")
    message = bytes.fromhex("6bc1bee22e409f96e93d7e117393172a")
    mac = message_mac(key, message, 16)
    assert mac.hex() == "070a16b46b4d4144f79bdd9dd04a287c"
    for size in (2, 4, 8, 12, 16):
        assert mac_matches(key, message, mac[:size])
    assert not mac_matches(key, message + b"\0", mac)
    assert not mac_matches(KEY, message, mac)
    assert not mac_matches(key, message, b"")


DES_VECTORS = [
    # NBS special publication 500-20: a variable plaintext and a variable key
    ("0101010101010101", "00" * 8, "8000000000000000", "95f8a5e5dd31d900"),
    ("8001010101010101", "00" * 8, "0000000000000000", "95a8d72813daa94d"),
    # FIPS 81, table C1 (ECB is one block of CBC with IV zero) and table C2
    ("0123456789abcdef", "00" * 8, "4e6f772069732074", "3fa40e8a984d4815"),
    (
        "0123456789abcdef",
        "1234567890abcdef",
        "4e6f77206973207468652074696d6520666f7220616c6c20",
        "e5c7cdde872bf27c43e934008c389c0f683788499a7c05f6",
    ),
]


@pytest.mark.parametrize(("key", "iv", "plain", "sealed"), DES_VECTORS)
def test_des_is_that_of_fips_46_3_and_its_chaining_that_of_fips_81(key, iv, plain, sealed):
    key, iv, plain, sealed = (bytes.fromhex(text) for text in (key, iv, plain, sealed))
    assert insecure_des_cbc_encrypt(key, iv, plain) == sealed
    assert insecure_des_cbc_decrypt(key, iv, sealed) == plain


@given(st.binary(min_size=8, max_size=8), st.binary(min_size=8, max_size=8), st.integers(0, 31), st.data())
def test_des_decrypts_what_it_encrypts(key, iv, blocks, data):
    plain = data.draw(st.binary(min_size=8 * blocks, max_size=8 * blocks))
    assert insecure_des_cbc_decrypt(key, iv, insecure_des_cbc_encrypt(key, iv, plain)) == plain


@pytest.mark.parametrize("cipher", [insecure_des_cbc_decrypt, insecure_des_cbc_encrypt])
@pytest.mark.parametrize(
    ("key", "octets", "why"),
    [
        (KEY, bytes(8), "8 octets, this one 16"),
        (b"", bytes(8), "this one 0"),
        (bytes(8), bytes(7), "whole blocks"),
    ],
)
def test_des_refuses_other_keys_and_parts_of_a_block(cipher, key, octets, why):
    with pytest.raises(ValueError, match=why):
        cipher(key, mode2_iv(), octets)


def test_the_iv_of_mode_3_is_number_manufacturer_and_date():
    number, maker, date = (bytes.fromhex(text) for text in ("78563412", "7036", "bf2c"))
    assert mode3_iv(number, maker, date).hex() == "785634127036bf2c"
    assert mode2_iv() == bytes(8)
