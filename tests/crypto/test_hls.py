"""Authentication of the peer: the GMAC example of IEC 62056-5-3, 5.7.4.3, and our own digests."""

import pytest

from meterspan.crypto.hls import (
    Handshake,
    check_gmac,
    check_md5,
    check_sha1,
    password_fits,
    prove_gmac,
    prove_md5,
    prove_sha1,
)
from meterspan.crypto.suites import SUITES, SuiteKeys
from meterspan.wire import KeyMissingError, KeyWrongError, TruncatedError, WireError

KEYS = SuiteKeys(bytes.fromhex("000102030405060708090A0B0C0D0E0F"), bytes.fromhex("D0D1D2D3D4D5D6D7D8D9DADBDCDDDEDF"))
# the standard's example: challenge, system title of who proves, counter, proof
EXAMPLES = {
    "client": (b"P6wRJ21F", "4D4D4D0000000001", 1, "10000000011A52FE7DD3E72748973C1E28"),
    "server": (b"K56iVagY", "4D4D4D0000BC614E", 0x0123_4567, "1001234567FE1466AFB3DBCD4F9389E2B7"),
}


def handshake(challenge, title, counter=0):
    return Handshake(challenge, system_title=title, keys=KEYS, invocation_counter=counter)


@pytest.mark.parametrize("side", EXAMPLES)
def test_the_standards_proofs_are_made_and_accepted(side):
    challenge, title, counter, proof = EXAMPLES[side]
    made = prove_gmac(handshake(challenge, bytes.fromhex(title), counter))
    assert made == bytes.fromhex(proof)
    assert check_gmac(made, handshake(challenge, bytes.fromhex(title))) == counter


def test_every_bit_flip_of_a_proof_is_refused():
    challenge, title, _, proof = EXAMPLES["client"]
    for bit in range(8 * 17):
        damaged = bytearray.fromhex(proof)
        damaged[bit >> 3] ^= 1 << (bit & 7)
        with pytest.raises(WireError):
            check_gmac(bytes(damaged), handshake(challenge, bytes.fromhex(title)))


def test_a_proof_over_another_challenge_or_by_another_title_is_a_wrong_key():
    challenge, title, _, proof = EXAMPLES["client"]
    for other in ((b"P6wRJ21G", bytes.fromhex(title)), (challenge, bytes(8))):
        with pytest.raises(KeyWrongError):
            check_gmac(bytes.fromhex(proof), handshake(*other))


def test_a_proof_of_another_size_is_refused():
    proof = bytes.fromhex(EXAMPLES["client"][3])
    for size in range(17):
        with pytest.raises(TruncatedError):
            check_gmac(proof[:size], handshake(b"", bytes(8)))
    with pytest.raises(WireError, match="SC 10"):
        check_gmac(proof + b"\x00", handshake(b"", bytes(8)))


def test_a_proof_names_the_suite_of_its_keys():
    keys = SuiteKeys(bytes(32), bytes(32), SUITES[2])
    told = Handshake(b"challenge", system_title=bytes(8), keys=keys, invocation_counter=9)
    assert prove_gmac(told)[0] == 0x12
    assert check_gmac(prove_gmac(told), told) == 9


def test_gmac_without_keys_says_that_they_are_missing():
    for attempt in (lambda: prove_gmac(Handshake(b"")), lambda: check_gmac(bytes(17), Handshake(b""))):
        with pytest.raises(KeyMissingError, match="GMAC needs the keys"):
            attempt()


def test_digests_are_over_challenge_then_secret():
    # RFC 1321 and FIPS 180-1 both print the digest of "abc"
    assert prove_md5(Handshake(b"a", b"bc")).hex() == "900150983cd24fb0d6963f7d28e17f72"
    assert prove_sha1(Handshake(b"ab", b"c")).hex() == "a9993e364706816aba3e25717850c26c9cd0d89d"


@pytest.mark.parametrize(("prove", "check"), [(prove_md5, check_md5), (prove_sha1, check_sha1)])
def test_a_digest_proof_fits_its_challenge_alone(prove, check):
    proof = prove(Handshake(b"challenge", b"secret"))
    check(proof, Handshake(b"challenge", b"secret"))
    for wrong, told in ((proof, Handshake(b"challengf", b"secret")), (proof[:-1], Handshake(b"challenge", b"secret"))):
        with pytest.raises(KeyWrongError, match="digest"):
            check(wrong, told)


def test_secret_and_keys_are_not_shown():
    assert "secret'" not in repr(Handshake(b"", b"secret", keys=KEYS))


def test_a_password_fits_itself_alone():
    assert password_fits(b"12345678", b"12345678")
    assert not password_fits(b"1234567", b"12345678")
    assert not password_fits(b"", b"12345678")
