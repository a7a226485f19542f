"""Keys at rest, each bound to its use: AES-256-GCM (NIST SP 800-38D) with the binding as associated data.

The nonce is a keyed hash of binding and content (synthetic, as in RFC 8452): without a source of entropy no nonce
serves two contents, and the same key sealed twice for one use is the same octets. The keys that seal and that make
nonces are derived from the master key (RFC 5869, expand), so that RFC 3394 wraps under it are apart from them.
"""

import hmac
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from meterspan.wire.errors import KeyWrongError

__all__ = ["KeyBinder", "is_bound"]

FORMAT: Final = 1
BLOCK: Final = 8
KEY_SIZE_MAX: Final = 255
_NONCE: Final = 12
_TAG: Final = 16
_OVERHEAD: Final = 1 + _NONCE + _TAG
_CLAUSE: Final = "NIST SP 800-38D, 7.2"


def is_bound(wrapped: bytes) -> bool:
    """Return whether octets have the form of ``KeyBinder.seal``; those of RFC 3394 are a multiple of 8 octets."""
    return len(wrapped) >= _OVERHEAD + BLOCK and (len(wrapped) - _OVERHEAD) % BLOCK == 0


class KeyBinder:
    """Seals and opens keys under a master key.

    Args:
        master_key: 16, 24 or 32 octets.

    """

    __slots__ = ("_cipher", "_naming")

    def __init__(self, master_key: bytes) -> None:
        self._cipher = AESGCM(_derived(master_key, b"meterspan keys at rest: seal"))
        self._naming = _derived(master_key, b"meterspan keys at rest: nonce")

    def seal(self, key: bytes, binding: bytes) -> bytes:
        """Seal a key of up to 255 octets for one binding; its length is rounded up to eight octets.

        Raises:
            ValueError: the key is longer.

        """
        if len(key) > KEY_SIZE_MAX:
            raise ValueError(f"a key has at most {KEY_SIZE_MAX} octets, not {len(key)}")
        padded = bytes([len(key)]) + key
        padded += bytes(-len(padded) % BLOCK)
        named = len(binding).to_bytes(4, "big") + binding + padded
        nonce = hmac.digest(self._naming, named, sha256)[:_NONCE]
        return bytes([FORMAT]) + nonce + self._cipher.encrypt(nonce, padded, binding)

    def open(self, sealed: bytes, binding: bytes) -> bytes:
        """Open a sealed key.

        Raises:
            KeyWrongError: the master key or the binding is another one, or the octets were altered.

        """
        if sealed[:1] != bytes([FORMAT]) or not is_bound(sealed):
            raise KeyWrongError("has no known format of sealed keys", 0, "sealed key", _CLAUSE)
        try:
            padded = self._cipher.decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], binding)
        except InvalidTag as error:
            reason = "the seal over the key differs: another master key, device or purpose"
            raise KeyWrongError(reason, None, "sealed key", _CLAUSE) from error
        return padded[1 : 1 + padded[0]]


def _derived(master_key: bytes, label: bytes) -> bytes:
    return hmac.digest(master_key, label + b"\x01", sha256)
