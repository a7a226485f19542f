"""AES-GCM with a shortened tag, against the vectors of NIST SP 800-38D (McGrew and Viega's test cases)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.crypto import gcm
from meterspan.wire import KeyWrongError

# test case 4: AES-128, sixty octets under twenty of associated data; test case 16: the same under AES-256
PLAIN = bytes.fromhex(
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"
)
ASSOCIATED = bytes.fromhex("feedfacedeadbeeffeedfacedeadbeefabaddad2")
NONCE = bytes.fromhex("cafebabefacedbaddecaf888")
KEY = bytes.fromhex("feffe9928665731c6d6a8f9467308308")
VECTORS = {
    KEY: (
        "42831ec2217774244b7221b784d0d49ce3aa212f2c02a4e035c17e2329aca12e21d514b25466931c7d8f6a5aac84aa051ba30b396a0aac973d58e091",
        "5bc94fbc3221a5db94fae95ae7121a47",
    ),
    KEY + KEY: (
        "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
        "76fc6ece0f4e1768cddf8853bb2d551b",
    ),
}


@pytest.mark.parametrize("key", VECTORS, ids=["AES-128", "AES-256"])
@pytest.mark.parametrize("size", [0, 12, 16])
def test_the_vectors_of_nist_are_sealed_and_opened(key, size):
    ciphertext, tag = map(bytes.fromhex, VECTORS[key])
    assert gcm.seal(PLAIN, ASSOCIATED, nonce=NONCE, key=key, tag_size=size) == ciphertext + tag[:size]
    assert gcm.open_sealed(ciphertext, ASSOCIATED, tag[:size], NONCE, key) == PLAIN
    assert gcm.decipher_insecurely(ciphertext, nonce=NONCE, key=key) == PLAIN


def test_gmac_is_the_tag_of_nist_cut_to_twelve_octets():
    # test case 1: zero key, zero nonce, nothing at all
    assert gcm.gmac(b"", nonce=bytes(12), key=bytes(16), tag_size=12).hex() == "58e2fccefa7e3061367f1d57"


@given(st.binary(max_size=80), st.data())
def test_a_bit_flip_anywhere_is_a_wrong_key(plaintext, data):
    sealed = gcm.seal(plaintext, ASSOCIATED, nonce=NONCE, key=KEY, tag_size=12)
    bit = data.draw(st.integers(0, 8 * len(sealed) - 1))
    damaged = bytearray(sealed)
    damaged[bit >> 3] ^= 1 << (bit & 7)
    with pytest.raises(KeyWrongError):
        gcm.open_sealed(bytes(damaged[:-12]), ASSOCIATED, bytes(damaged[-12:]), NONCE, KEY)
