"""AES key wrap (RFC 3394, NIST SP 800-38F): keys under a key, for global key transfer and for keys at rest.

COSEM wraps a new global key under the master key (KEK) for SecuritySetup.key_transfer (IEC 62056-5-3, 5.7.2.5).
"""

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from meterspan.wire.errors import KeyWrongError, WireError

__all__ = ["unwrap_key", "wrap_key"]

CLAUSE = "RFC 3394, 2.2"
BLOCK = 8


def wrap_key(key: bytes, *, kek: bytes) -> bytes:
    """Wrap a key; the result is 8 octets longer.

    Raises:
        ValueError: the key is no multiple of 8 octets or under 16, or the KEK has no AES key size.

    """
    return aes_key_wrap(kek, key)


def unwrap_key(wrapped: bytes, *, kek: bytes) -> bytes:
    """Unwrap a key, checking its integrity.

    Raises:
        KeyWrongError: the KEK does not fit, or the octets were altered.
        WireError: a size that no wrapped key has.
        ValueError: the KEK has no AES key size.

    """
    if len(wrapped) < 3 * BLOCK or len(wrapped) % BLOCK:
        raise WireError(f"{len(wrapped)} octets are no wrapped key", None, "wrapped key", CLAUSE)
    try:
        return aes_key_unwrap(kek, wrapped)
    except InvalidUnwrap as error:
        raise KeyWrongError("integrity check of the wrapped key differs", None, "wrapped key", CLAUSE) from error
