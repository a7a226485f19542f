"""Authentication of the peer (IEC 62056-5-3, 5.7.4): LLS by password, HLS by answering challenges.

Mechanism 1 compares a password; in 3 (MD5), 4 (SHA-1) and 5 (GMAC) each side proves that it knows the secret by
processing the other side's challenge: the client sends f(StoC), the server answers f(CtoS). Neither side knows its role
here: a proof is made over the challenge that was received and checked against the one that was sent. Which mechanism
uses which of these functions says the table in ``crypto.mechanisms``.
"""

import hashlib
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.constant_time import bytes_eq

from meterspan.crypto.suites import AUTHENTICATION, SuiteKeys, protect, unprotect
from meterspan.wire.errors import KeyMissingError, KeyWrongError, TruncatedError, WireError

__all__ = [
    "Handshake",
    "check_gmac",
    "check_md5",
    "check_sha1",
    "password_fits",
    "prove_gmac",
    "prove_md5",
    "prove_sha1",
]

CLAUSE = "IEC 62056-5-3, 5.7.4.3"
COUNTER_SIZE = 4


@dataclass(frozen=True, slots=True)
class Handshake:
    """What one proof is made from.

    Attributes:
        challenge: what the side that proves received: StoC for the client's proof, CtoS for the server's.
        secret: the HLS secret of mechanisms 3 and 4.
        system_title: of the side that proves.
        keys: the association's, for mechanism 5.
        invocation_counter: of the side that proves, spent by its proof; not used in a check.

    """

    challenge: bytes = field(repr=False)
    secret: bytes = field(default=b"", repr=False)
    system_title: bytes = b""
    keys: SuiteKeys | None = None
    invocation_counter: int = 0


def password_fits(given: bytes, secret: bytes) -> bool:
    """Compare an LLS password in constant time."""
    return bytes_eq(given, secret)


def prove_md5(handshake: Handshake) -> bytes:
    """Return the proof of mechanism 3: MD5 over challenge and secret."""
    return hashlib.md5(handshake.challenge + handshake.secret, usedforsecurity=False).digest()  # as the standard has it


def prove_sha1(handshake: Handshake) -> bytes:
    """Return the proof of mechanism 4: SHA-1 over challenge and secret."""
    return hashlib.sha1(handshake.challenge + handshake.secret, usedforsecurity=False).digest()  # likewise


def prove_gmac(handshake: Handshake) -> bytes:
    """Return the proof of mechanism 5: SC, IC and the tag over SC, authentication key and challenge; 17 octets.

    The tag is that of an APDU which is authenticated only.

    Raises:
        KeyMissingError: the handshake has no keys.

    """
    keys = _keys(handshake)
    control = AUTHENTICATION | keys.suite.number
    counter = handshake.invocation_counter
    title = handshake.system_title
    sealed = protect(handshake.challenge, control, system_title=title, invocation_counter=counter, keys=keys)
    return bytes((control,)) + counter.to_bytes(COUNTER_SIZE, "big") + sealed[-keys.suite.tag_size :]


def check_md5(proof: bytes, handshake: Handshake) -> None:
    """Check a proof of mechanism 3 in constant time.

    Raises:
        KeyWrongError: it differs.

    """
    _check_digest(proof, prove_md5(handshake))


def check_sha1(proof: bytes, handshake: Handshake) -> None:
    """Check a proof of mechanism 4 in constant time.

    Raises:
        KeyWrongError: it differs.

    """
    _check_digest(proof, prove_sha1(handshake))


def check_gmac(proof: bytes, handshake: Handshake) -> int:
    """Check a proof of mechanism 5 and return its invocation counter.

    Raises:
        KeyMissingError: the handshake has no keys.
        KeyWrongError: the tag differs.
        WireError: another size, or another security control than authentication in the keys' suite.

    """
    keys = _keys(handshake)
    head, size = 1 + COUNTER_SIZE, 1 + COUNTER_SIZE + keys.suite.tag_size
    if len(proof) < size:
        raise TruncatedError(f"needs {size} octets, has {len(proof)}", len(proof), "proof", CLAUSE)
    control = AUTHENTICATION | keys.suite.number
    if len(proof) > size or proof[0] != control:
        raise WireError(f"is not SC {control:02X}, counter and tag", 0, "proof", CLAUSE)
    counter = int.from_bytes(proof[1:head], "big")
    title, sealed = handshake.system_title, handshake.challenge + proof[head:]
    try:
        unprotect(sealed, control, system_title=title, invocation_counter=counter, keys=keys)
    except KeyWrongError as error:
        raise KeyWrongError("GMAC of the challenge differs", head, "proof", CLAUSE) from error
    return counter


def _keys(handshake: Handshake) -> SuiteKeys:
    if handshake.keys is None:
        raise KeyMissingError("GMAC needs the keys of the association", None, "proof", CLAUSE)
    return handshake.keys


def _check_digest(proof: bytes, expected: bytes) -> None:
    if not bytes_eq(proof, expected):
        raise KeyWrongError("the digest of challenge and secret differs", None, "proof", CLAUSE)
