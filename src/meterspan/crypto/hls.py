"""Authentication of the peer (IEC 62056-5-3, 5.7.4): LLS by password, HLS by answering challenges.

Mechanism 1 compares a password; in 3 (MD5), 4 (SHA-1) and 5 (GMAC) each side proves that it knows the secret by
processing the other side's challenge: the client sends f(StoC), the server answers f(CtoS). Neither side knows its role
here: a proof is made over the challenge that was received and checked against the one that was sent.
"""

import hashlib

from cryptography.hazmat.primitives.constant_time import bytes_eq

from meterspan.crypto.suite0 import AUTHENTICATION, TAG_SIZE, SuiteKeys, gmac
from meterspan.wire.errors import KeyWrongError, TruncatedError, WireError

__all__ = ["digest_proof", "digest_proof_fits", "gmac_proof", "gmac_proof_counter", "password_fits"]

CLAUSE = "IEC 62056-5-3, 5.7.4.3"
MD5 = 3
SHA1 = 4
PROOF_SIZE = 5 + TAG_SIZE
"""f(challenge) of mechanism 5: security control, invocation counter, tag."""


def password_fits(given: bytes, secret: bytes) -> bool:
    """Compare an LLS password in constant time."""
    return bytes_eq(given, secret)


def digest_proof(challenge: bytes, mechanism: int, *, secret: bytes) -> bytes:
    """Process a challenge with the HLS secret: mechanism 3 takes MD5, mechanism 4 SHA-1, over challenge and secret.

    Raises:
        ValueError: another mechanism.

    """
    if mechanism == MD5:
        return hashlib.md5(challenge + secret, usedforsecurity=False).digest()  # the mechanism is what the meter has
    if mechanism == SHA1:
        return hashlib.sha1(challenge + secret, usedforsecurity=False).digest()  # likewise
    raise ValueError(f"mechanism {mechanism} is no digest of challenge and secret")


def digest_proof_fits(proof: bytes, challenge: bytes, *, mechanism: int, secret: bytes) -> bool:
    """Check the peer's proof over the challenge that was sent to it, in constant time."""
    return bytes_eq(proof, digest_proof(challenge, mechanism, secret=secret))


def gmac_proof(challenge: bytes, *, system_title: bytes, invocation_counter: int, keys: SuiteKeys) -> bytes:
    """Process a challenge by mechanism 5: SC, IC and GMAC over SC, authentication key and challenge; 17 octets.

    Args:
        challenge: what the peer sent: StoC at the client, CtoS at the server.
        system_title: our own.
        invocation_counter: our own next one, spent by this call.
        keys: the association's keys.

    """
    counter = invocation_counter.to_bytes(4, "big")
    return _CONTROL + counter + _tag(challenge, system_title + counter, keys)


def gmac_proof_counter(proof: bytes, challenge: bytes, *, system_title: bytes, keys: SuiteKeys) -> int:
    """Check the peer's mechanism 5 proof over the challenge that was sent to it, and give its invocation counter.

    The caller refuses a counter that it has seen before.

    Args:
        proof: f(StoC) or f(CtoS), 17 octets.
        challenge: what we sent: StoC at the server, CtoS at the client.
        system_title: of the peer.
        keys: the association's keys.

    Raises:
        KeyWrongError: the tag differs.
        WireError: another size, or another security control than authentication of suite 0.

    """
    if len(proof) < PROOF_SIZE:
        raise TruncatedError(f"needs {PROOF_SIZE} octets, has {len(proof)}", len(proof), "proof", CLAUSE)
    if len(proof) > PROOF_SIZE or proof[:1] != _CONTROL:
        raise WireError("is not SC 10, counter and tag", 0, "proof", CLAUSE)
    counter = proof[1:5]
    if not bytes_eq(proof[5:], _tag(challenge, system_title + counter, keys)):
        raise KeyWrongError("GMAC of the challenge differs", 5, "proof", CLAUSE)
    return int.from_bytes(counter, "big")


_CONTROL = bytes((AUTHENTICATION,))


def _tag(challenge: bytes, nonce: bytes, keys: SuiteKeys) -> bytes:
    return gmac(_CONTROL + keys.authentication + challenge, nonce, keys.encryption)
