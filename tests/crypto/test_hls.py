"""Authentication of the peer: the GMAC example of IEC 62056-5-3, 5.7.4.3, and our own digests."""

import pytest

from meterspan.crypto.hls import digest_proof, digest_proof_fits, gmac_proof, gmac_proof_counter, password_fits
from meterspan.crypto.suite0 import SuiteKeys
from meterspan.wire import KeyWrongError, TruncatedError, WireError

KEYS = SuiteKeys(bytes.fromhex("000102030405060708090A0B0C0D0E0F"), bytes.fromhex("D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF"))
# the standard's example: challenge, system title of who proves, counter, proof
EXAMPLES = {
    "client": (b"P6wRJ21F", "4D4D4D0000000001", 1, "10000000011A52FE7DD3E72748973C1E28"),
    "server": (b"K56iVagY", "4D4D4D0000BC614E", 0x0123_4567, "1001234567FE1466AFB3DBCD4F9389E2B7"),
}


@pytest.mark.parametrize("side", EXAMPLES)
def test_the_standards_proofs_are_made_and_accepted(side):
    challenge, title, counter, proof = EXAMPLES[side]
    title = bytes.fromhex(title)
    made = gmac_proof(challenge, system_title=title, invocation_counter=counter, keys=KEYS)
    assert made == bytes.fromhex(proof)
    assert gmac_proof_counter(made, challenge, system_title=title, keys=KEYS) == counter


def test_every_bit_flip_of_a_proof_is_refused():
    challenge, title, _, proof = EXAMPLES["client"]
    for bit in range(8 * 17):
        damaged = bytearray.fromhex(proof)
        damaged[bit >> 3] ^= 1 << (bit & 7)
        with pytest.raises(WireError):
            gmac_proof_counter(bytes(damaged), challenge, system_title=bytes.fromhex(title), keys=KEYS)


def test_a_proof_over_another_challenge_or_by_another_title_is_a_wrong_key():
    challenge, title, _, proof = EXAMPLES["client"]
    for other in ((b"P6wRJ21G", bytes.fromhex(title)), (challenge, bytes(8))):
        with pytest.raises(KeyWrongError):
            gmac_proof_counter(bytes.fromhex(proof), other[0], system_title=other[1], keys=KEYS)


def test_a_proof_of_another_size_is_refused():
    proof = bytes.fromhex(EXAMPLES["client"][3])
    for size in range(17):
        with pytest.raises(TruncatedError):
            gmac_proof_counter(proof[:size], b"", system_title=bytes(8), keys=KEYS)
    with pytest.raises(WireError, match="SC 10"):
        gmac_proof_counter(proof + b"\x00", b"", system_title=bytes(8), keys=KEYS)


def test_digests_are_over_challenge_then_secret():
    # RFC 1321 and FIPS 180-1 both print the digest of "abc"
    assert digest_proof(b"a", 3, secret=b"bc").hex() == "900150983cd24fb0d6963f7d28e17f72"
    assert digest_proof(b"ab", 4, secret=b"c").hex() == "a9993e364706816aba3e25717850c26c9cd0d89d"


@pytest.mark.parametrize("mechanism", [3, 4])
def test_a_digest_proof_fits_its_challenge_alone(mechanism):
    proof = digest_proof(b"challenge", mechanism, secret=b"secret")
    assert digest_proof_fits(proof, b"challenge", mechanism=mechanism, secret=b"secret")
    assert not digest_proof_fits(proof, b"challengf", mechanism=mechanism, secret=b"secret")
    assert not digest_proof_fits(proof[:-1], b"challenge", mechanism=mechanism, secret=b"secret")


def test_another_mechanism_is_no_digest():
    with pytest.raises(ValueError, match="mechanism 5"):
        digest_proof(b"", 5, secret=b"")


def test_a_password_fits_itself_alone():
    assert password_fits(b"12345678", b"12345678")
    assert not password_fits(b"1234567", b"12345678")
    assert not password_fits(b"", b"12345678")
