"""AES-GCM with a shortened tag (NIST SP 800-38D), as the security suites of DLMS/COSEM use it.

The library's one-shot AEAD takes tags of 16 octets only, so a ciphertext is encrypted once to recover the plaintext and
that once more to recompute the tag: with a context kept per key this takes half the time of a GCM cipher object. No
plaintext is released before the constant-time comparison.
"""

from functools import lru_cache

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.constant_time import bytes_eq

from meterspan.wire.errors import KeyWrongError

__all__ = ["decipher_insecurely", "gmac", "open_sealed", "seal"]

FULL_TAG_SIZE = 16
CACHED_KEYS = 16_384
"""GCM contexts kept, of about 1 KiB each: the meters that one head-end process talks to between two readings."""


def seal(plaintext: bytes, associated: bytes, *, nonce: bytes, key: bytes, tag_size: int) -> bytes:
    """Encrypt and authenticate.

    Args:
        plaintext: of any length.
        associated: authenticated with it and not sent.
        nonce: 12 octets, never used twice under one key.
        key: 16 or 32 octets.
        tag_size: octets of the tag, 0 to 16; 0 leaves the ciphertext without one.

    Returns:
        The ciphertext, as long as the plaintext, and the tag.

    """
    return _context(key).encrypt(nonce, plaintext, associated)[: len(plaintext) + tag_size]


def open_sealed(ciphertext: bytes, associated: bytes, tag: bytes, nonce: bytes, key: bytes) -> bytes:
    """Return the plaintext of an authentic ciphertext.

    Args:
        ciphertext: without the tag.
        associated: as it was authenticated.
        tag: as it was received; its length is the length that is checked.
        nonce: 12 octets.
        key: 16 or 32 octets.

    Raises:
        KeyWrongError: the tag differs: another key, nonce or associated data, or altered octets.

    """
    context, size = _context(key), len(ciphertext)  # positional throughout: this runs for each APDU of a head end
    plaintext = context.encrypt(nonce, ciphertext, associated)[:-FULL_TAG_SIZE]
    expected = context.encrypt(nonce, plaintext, associated)
    if not bytes_eq(expected[size : size + len(tag)], tag):
        raise KeyWrongError("authentication tag differs", None, "tag")
    return plaintext


def decipher_insecurely(ciphertext: bytes, *, nonce: bytes, key: bytes) -> bytes:
    """Return what any key makes of a ciphertext: nothing is checked, a wrong key gives other octets."""
    return _context(key).encrypt(nonce, ciphertext, None)[:-FULL_TAG_SIZE]


def gmac(authenticated: bytes, *, nonce: bytes, key: bytes, tag_size: int) -> bytes:
    """Compute the tag over octets that stay in the clear (GMAC).

    Args:
        authenticated: the octets to authenticate.
        nonce: 12 octets, never used twice under one key.
        key: 16 or 32 octets.
        tag_size: octets of the tag; a shorter tag is cut from the end.

    """
    return _context(key).encrypt(nonce, b"", authenticated)[:tag_size]


@lru_cache(maxsize=CACHED_KEYS)
def _context(key: bytes) -> AESGCM:
    return AESGCM(key)
