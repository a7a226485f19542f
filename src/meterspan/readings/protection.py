"""Removing DLMS protection of a push for a reader who may have one key or both (IEC 62056-5-3, 5.3).

With both keys, the tag is checked before anything is shown. Without the authentication key, ciphertext is only
deciphered, and shown where it turns out to be an APDU: a person is looking, nothing is stored.
"""

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.constant_time import bytes_eq

from meterspan.readings.job import Job
from meterspan.wire import KeyMissingError, KeyWrongError
from meterspan.wire.xdlms import GeneralCipheredApdu, SecurityControl

__all__ = ["open_general"]

TAG_SIZE = 12
_KEY_SIZES = {16, 32}
# What protected octets may begin with: pushes and responses, bare data, block transfer, protection again, P1 text.
_PLAIN_STARTS = frozenset({0x0F, 0x01, 0x02, 0xC4, 0xC2, 0xE0, 0xDB, 0xDC, 0x2F})


def open_general(apdu: GeneralCipheredApdu, job: Job) -> bytes:
    """Give the plain octets.

    Raises:
        KeyMissingError: no key was given.
        KeyWrongError: the key does not open it.

    """
    content, control = apdu.content, apdu.content.security_control
    payload = content.payload
    tagged = bool(control & SecurityControl.AUTHENTICATION)
    if not control & SecurityControl.ENCRYPTION:
        return payload[:-TAG_SIZE] if tagged else payload
    title = apdu.system_title.hex().upper()
    if job.key is None:
        raise KeyMissingError(f"encrypted by system title {title}; no key was given", None, "key")
    if len(job.key) not in _KEY_SIZES:
        raise KeyWrongError(f"a key has 16 or 32 octets, this one has {len(job.key)}", None, "key")
    nonce = apdu.system_title.ljust(8, b"\0")[:8] + content.invocation_counter.to_bytes(4, "big")
    ciphertext, tag = (payload[:-TAG_SIZE], payload[-TAG_SIZE:]) if tagged else (payload, b"")
    plain = _counter_mode(job.key, nonce, ciphertext)
    if tagged and job.auth_key is not None:
        expected = AESGCM(job.key).encrypt(nonce, plain, bytes((int(control),)) + job.auth_key)
        if not bytes_eq(expected[len(plain) :][:TAG_SIZE], tag):  # in constant time
            raise KeyWrongError(f"the tag does not fit system title {title}: wrong key, or altered octets", None, "key")
    elif not plain or plain[0] not in _PLAIN_STARTS:
        raise KeyWrongError(f"the key does not fit system title {title}: what comes out is no APDU", None, "key")
    return plain


def _counter_mode(key: bytes, nonce: bytes, ciphertext: bytes) -> bytes:
    """Decipher without the tag: GCM's payload is counter mode that starts at 2 (NIST SP 800-38D, 7.1)."""
    decryptor = Cipher(algorithms.AES(key), modes.CTR(nonce + b"\0\0\0\2")).decryptor()
    return decryptor.update(ciphertext) + decryptor.finalize()
