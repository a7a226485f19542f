"""The security suites of DLMS/COSEM as one table, and protection by any of them (IEC 62056-5-3, 5.7.2.4).

A suite is a row of ``SUITES``: its number, sizes and functions. Nonce: system title (8) and invocation counter (4).
Associated data: security control and authentication key, and with authentication alone the plaintext. Everybody who
protects or removes a protection calls ``protect``, ``unprotect`` or, for a person's eyes, ``unprotect_insecurely``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.constant_time import bytes_eq

from meterspan.crypto import gcm
from meterspan.wire.errors import KeyWrongError, TruncatedError, UnsupportedError
from meterspan.wire.xdlms.ciphered import TAG_SIZE

__all__ = [
    "KEY_SIZE",
    "SUITES",
    "SUITE_0",
    "SYSTEM_TITLE_SIZE",
    "Suite",
    "SuiteKeys",
    "protect",
    "suite_of",
    "unprotect",
    "unprotect_insecurely",
]

CLAUSE: Final = "IEC 62056-5-3, 5.7.2.4"
SYSTEM_TITLE_SIZE: Final = 8
AUTHENTICATION: Final = 0x10
ENCRYPTION: Final = 0x20
COMPRESSION: Final = 0x80
SUITE_MASK: Final = 0x0F
COUNTER_MAX: Final = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Suite:
    """One security suite.

    Attributes:
        number: the low four bits of the security control byte.
        name: its algorithm for ciphering.
        key_size: octets of every symmetric key.
        tag_size: octets of the authentication tag.
        seal: encrypts, and authenticates where a tag size is given.
        open_sealed: checks the tag and returns the plaintext.
        decipher_insecurely: returns a plaintext without a check.
        gmac: authenticates octets that stay in the clear.

    """

    number: int
    name: str
    key_size: int
    tag_size: int
    seal: Callable[..., bytes] = gcm.seal
    open_sealed: Callable[..., bytes] = gcm.open_sealed
    decipher_insecurely: Callable[..., bytes] = gcm.decipher_insecurely
    gmac: Callable[..., bytes] = gcm.gmac


SUITES: Final = (
    Suite(0, "AES-GCM-128", 16, TAG_SIZE),
    Suite(1, "AES-GCM-128", 16, TAG_SIZE),
    Suite(2, "AES-GCM-256", 32, TAG_SIZE),
)
"""By number (IEC 62056-5-3, table 20). Of suites 1 and 2 this is the ciphering; ECDSA, key agreement and compression
are not implemented."""
SUITE_0: Final = SUITES[0]
KEY_SIZE: Final = SUITE_0.key_size
"""Octets of a key where nothing else is agreed."""


def suite_of(number: int) -> Suite:
    """Return a suite by its number, or by a security control byte.

    Raises:
        UnsupportedError: there is none.

    """
    if number & SUITE_MASK < len(SUITES):
        return SUITES[number & SUITE_MASK]
    raise UnsupportedError(f"security suite {number & SUITE_MASK} is not supported", None, "security-control", CLAUSE)


@dataclass(frozen=True, slots=True)
class SuiteKeys:
    """The keys of one association.

    Attributes:
        encryption: global unicast, broadcast or dedicated encryption key.
        authentication: global authentication key; may be empty where only encryption is applied.
        suite: which they are for; it gives their size.

    """

    encryption: bytes = field(repr=False)
    authentication: bytes = field(default=b"", repr=False)
    suite: Suite = field(default=SUITE_0, repr=False)

    def __post_init__(self) -> None:
        size = self.suite.key_size
        if len(self.encryption) != size or len(self.authentication) not in (0, size):
            raise ValueError(f"the keys of suite {self.suite.number} have {size} octets")


def protect(
    plaintext: bytes, security_control: int, *, system_title: bytes, invocation_counter: int, keys: SuiteKeys
) -> bytes:
    """Apply the protection and return the payload: what follows the invocation counter on the wire.

    Args:
        plaintext: an encoded APDU.
        security_control: the security control byte; its low four bits are the number of the keys' suite.
        system_title: of the sender, 8 octets.
        invocation_counter: 0..0xFFFF_FFFF; using one twice under the same key breaks the cipher.
        keys: the sender's keys.

    Raises:
        ValueError: another suite, compression, a bad size, or authentication without its key.

    """
    suite = keys.suite
    if security_control & SUITE_MASK != suite.number or security_control & COMPRESSION:
        raise ValueError(f"security control {security_control:#04x} is not suite {suite.number} without compression")
    nonce, key = _nonce(system_title, invocation_counter), keys.encryption
    if not security_control & AUTHENTICATION:
        if not security_control & ENCRYPTION:
            return plaintext
        return suite.seal(plaintext, b"", nonce=nonce, key=key, tag_size=0)
    if not keys.authentication:
        raise ValueError("authentication needs an authentication key")
    head = bytes((security_control,)) + keys.authentication
    if security_control & ENCRYPTION:
        return suite.seal(plaintext, head, nonce=nonce, key=key, tag_size=suite.tag_size)
    return plaintext + suite.gmac(head + plaintext, nonce=nonce, key=key, tag_size=suite.tag_size)


def unprotect(
    payload: bytes, security_control: int, *, system_title: bytes, invocation_counter: int, keys: SuiteKeys
) -> bytes:
    """Check and remove the protection and return the plaintext.

    With encryption alone there is nothing to check: any key gives some plaintext, and only reading it shows whether
    the key was right. Without either bit the payload is the plaintext, as unprotected as it was received: the caller's
    policy decides whether to use it.

    Args:
        payload: what follows the invocation counter on the wire.
        security_control: as received.
        system_title: of the sender, 8 octets.
        invocation_counter: as received.
        keys: shared with the sender.

    Raises:
        KeyWrongError: the tag differs: another key, another system title, or altered octets.
        TruncatedError: shorter than the tag.
        UnsupportedError: another suite than the keys', or compression.
        ValueError: our own argument has a bad size, or authentication is asked for without its key.

    """
    suite = keys.suite
    size = suite.tag_size
    if security_control & (SUITE_MASK | COMPRESSION) != suite.number:
        _refuse_compression(security_control)
        number = security_control & SUITE_MASK
        reason = f"security suite {number} is not supported with keys of suite {suite.number}"
        raise UnsupportedError(reason, None, "security-control", CLAUSE)
    nonce, key = _nonce(system_title, invocation_counter), keys.encryption
    if not security_control & AUTHENTICATION:
        return suite.decipher_insecurely(payload, nonce=nonce, key=key) if security_control & ENCRYPTION else payload
    if not keys.authentication:
        raise ValueError("authentication needs an authentication key")
    if len(payload) < size:
        raise TruncatedError(f"needs {size} octets, has {len(payload)}", None, "tag", CLAUSE)
    body, tag = payload[:-size], payload[-size:]
    head = bytes((security_control,)) + keys.authentication
    if security_control & ENCRYPTION:
        return suite.open_sealed(body, head, tag, nonce, key)
    if not bytes_eq(suite.gmac(head + body, nonce=nonce, key=key, tag_size=len(tag)), tag):
        raise KeyWrongError("authentication tag differs", None, "tag", CLAUSE)
    return body


def unprotect_insecurely(
    payload: bytes, security_control: int, *, system_title: bytes, invocation_counter: int, encryption: bytes
) -> bytes:
    """Remove the protection without the authentication key, so without a check of the tag.

    For showing octets to a person who holds one key. Nothing that this returns may be stored, acted upon or learned
    from: the sender of the octets could have altered every bit.

    Args:
        payload: what follows the invocation counter on the wire.
        security_control: as received.
        system_title: of the sender, 8 octets.
        invocation_counter: as received.
        encryption: the key; unused where nothing is encrypted.

    Raises:
        KeyWrongError: the key has not the suite's size.
        TruncatedError: shorter than the tag.
        UnsupportedError: an unknown suite, or compression.

    """
    suite = suite_of(security_control)
    _refuse_compression(security_control)
    body = payload
    if security_control & AUTHENTICATION:
        if len(payload) < suite.tag_size:
            raise TruncatedError(f"needs {suite.tag_size} octets, has {len(payload)}", None, "tag", CLAUSE)
        body = payload[: -suite.tag_size]
    if not security_control & ENCRYPTION:
        return body
    if len(encryption) != suite.key_size:
        reason = f"a key of suite {suite.number} has {suite.key_size} octets, this one has {len(encryption)}"
        raise KeyWrongError(reason, None, "key", CLAUSE)
    nonce = _nonce(system_title, invocation_counter)
    return suite.decipher_insecurely(body, nonce=nonce, key=encryption)


def _refuse_compression(security_control: int) -> None:
    if security_control & COMPRESSION:
        raise UnsupportedError("compression is not supported", None, "security-control", CLAUSE)


def _nonce(system_title: bytes, invocation_counter: int) -> bytes:
    if len(system_title) != SYSTEM_TITLE_SIZE:
        raise ValueError(f"a system title has {SYSTEM_TITLE_SIZE} octets, not {len(system_title)}")
    if not 0 <= invocation_counter <= COUNTER_MAX:
        raise ValueError(f"invocation counter {invocation_counter} is outside 32 bits")
    return system_title + invocation_counter.to_bytes(4, "big")
