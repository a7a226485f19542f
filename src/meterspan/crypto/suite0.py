"""Security suite 0 of DLMS/COSEM: AES-GCM-128 with a 12-octet tag (IEC 62056-5-3, 5.7.2.4; NIST SP 800-38D).

Nonce: system title (8) and invocation counter (4). Additional data: security control and authentication key, and with
authentication alone the plaintext. The library's one-shot AEAD takes tags of 16 octets only, so a ciphertext is
encrypted once to recover the plaintext and that once more to recompute the tag: with a context kept per key this takes
half the time of a GCM cipher object. No plaintext is released before the constant-time comparison.
"""

from dataclasses import dataclass, field
from functools import lru_cache

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.constant_time import bytes_eq

from meterspan.wire.errors import KeyWrongError, TruncatedError, UnsupportedError

__all__ = ["SuiteKeys", "gmac", "protect", "unprotect"]

CLAUSE = "IEC 62056-5-3, 5.7.2.4"
TAG_SIZE = 12
KEY_SIZE = 16
SYSTEM_TITLE_SIZE = 8
AUTHENTICATION = 0x10
ENCRYPTION = 0x20
COMPRESSION = 0x80
SUITE = 0x0F
CACHED_KEYS = 16_384
"""GCM contexts kept, of about 1 KiB each: the meters that one head-end process talks to between two readings."""


@dataclass(frozen=True, slots=True)
class SuiteKeys:
    """The keys of one association.

    Attributes:
        encryption: global unicast, broadcast or dedicated encryption key, 16 octets.
        authentication: global authentication key, 16 octets; may be empty where only encryption is applied.

    """

    encryption: bytes = field(repr=False)
    authentication: bytes = field(default=b"", repr=False)

    def __post_init__(self) -> None:
        if len(self.encryption) != KEY_SIZE or len(self.authentication) not in (0, KEY_SIZE):
            raise ValueError(f"the keys of suite 0 have {KEY_SIZE} octets")


def protect(
    plaintext: bytes, security_control: int, *, system_title: bytes, invocation_counter: int, keys: SuiteKeys
) -> bytes:
    """Apply the protection and give the payload: what follows the invocation counter on the wire.

    Args:
        plaintext: an encoded APDU.
        security_control: the security control byte; its low four bits must be 0 (suite 0).
        system_title: of the sender, 8 octets.
        invocation_counter: 0..0xFFFF_FFFF; using one twice under the same key breaks the cipher.
        keys: the sender's keys.

    Raises:
        ValueError: another suite, compression, a bad size, or authentication without its key.

    """
    if security_control & (SUITE | COMPRESSION):
        raise ValueError(f"security control {security_control:#04x} is not suite 0 without compression")
    nonce = _nonce(system_title, invocation_counter)
    if security_control & AUTHENTICATION and not keys.authentication:
        raise ValueError("authentication needs an authentication key")
    head = bytes((security_control,)) + keys.authentication
    match bool(security_control & ENCRYPTION), bool(security_control & AUTHENTICATION):
        case True, True:
            return _gcm(keys.encryption).encrypt(nonce, plaintext, head)[: len(plaintext) + TAG_SIZE]
        case True, False:
            return _gcm(keys.encryption).encrypt(nonce, plaintext, None)[: len(plaintext)]
        case False, True:
            return plaintext + gmac(head + plaintext, nonce, keys.encryption)
        case _:
            return plaintext


def unprotect(
    payload: bytes, security_control: int, *, system_title: bytes, invocation_counter: int, keys: SuiteKeys
) -> bytes:
    """Check and remove the protection and give the plaintext.

    With encryption alone there is nothing to check: any key gives some plaintext, and only reading it tells whether
    the key was right. Without either bit the payload is the plaintext, as unprotected as it came: the caller's
    policy decides whether to take it.

    Raises:
        KeyWrongError: the tag differs: another key, another system title, or altered octets.
        TruncatedError: shorter than the tag.
        UnsupportedError: another suite, or compression.
        ValueError: our own argument has a bad size, or authentication is asked for without its key.

    """
    if security_control & (SUITE | COMPRESSION):
        kind = "compression" if security_control & COMPRESSION else f"security suite {security_control & SUITE}"
        raise UnsupportedError(f"{kind} is not supported", None, "security-control", CLAUSE)
    nonce = _nonce(system_title, invocation_counter)
    if not security_control & AUTHENTICATION:
        return _gcm(keys.encryption).encrypt(nonce, payload, None)[:-16] if security_control & ENCRYPTION else payload
    if not keys.authentication:
        raise ValueError("authentication needs an authentication key")
    if len(payload) < TAG_SIZE:
        raise TruncatedError(f"needs {TAG_SIZE} octets of tag, has {len(payload)}", None, "tag", CLAUSE)
    head = bytes((security_control,)) + keys.authentication
    body, tag = payload[:-TAG_SIZE], payload[-TAG_SIZE:]
    if security_control & ENCRYPTION:
        cipher = _gcm(keys.encryption)
        plaintext = cipher.encrypt(nonce, body, head)[:-16]
        size = len(body)
        expected = cipher.encrypt(nonce, plaintext, head)[size : size + TAG_SIZE]
    else:
        plaintext = body
        expected = gmac(head + body, nonce, keys.encryption)
    if not bytes_eq(expected, tag):
        raise KeyWrongError("authentication tag differs", None, "tag", CLAUSE)
    return plaintext


def gmac(authenticated: bytes, nonce: bytes, key: bytes) -> bytes:
    """Compute the 12-octet tag over octets that stay in the clear (NIST SP 800-38D, GMAC)."""
    return _gcm(key).encrypt(nonce, b"", authenticated)[:TAG_SIZE]


def _nonce(system_title: bytes, invocation_counter: int) -> bytes:
    if len(system_title) != SYSTEM_TITLE_SIZE:
        raise ValueError(f"a system title has {SYSTEM_TITLE_SIZE} octets, not {len(system_title)}")
    if not 0 <= invocation_counter <= 0xFFFF_FFFF:
        raise ValueError(f"invocation counter {invocation_counter} is outside 32 bits")
    return system_title + invocation_counter.to_bytes(4, "big")


@lru_cache(maxsize=CACHED_KEYS)
def _gcm(key: bytes) -> AESGCM:
    return AESGCM(key)
