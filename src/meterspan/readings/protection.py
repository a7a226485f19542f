"""Removing DLMS protection of a push for a reader who may have one key or both (IEC 62056-5-3, 5.3).

Strategy: ``crypto.suites`` does it. With both keys the tag is checked before anything is shown. Without the
authentication key a ciphertext is only deciphered, and shown where an APDU is the result: a person is looking, nothing
is stored, no counter is remembered.
"""

from meterspan.crypto.suites import SYSTEM_TITLE_SIZE, SuiteKeys, suite_of, unprotect, unprotect_insecurely
from meterspan.readings.job import DecodeJob
from meterspan.wire import KeyMissingError, KeyWrongError, SecurityError
from meterspan.wire.xdlms import GeneralCipheredApdu, SecurityControl

__all__ = ["open_general_insecurely"]

_PLAIN_STARTS = frozenset({0x0F, 0x01, 0x02, 0xC4, 0xC2, 0xE0, 0xDB, 0xDC, 0x2F})
"""First octets under a protection: pushes and responses, bare data, block transfer, protection again, P1 text."""


def open_general_insecurely(apdu: GeneralCipheredApdu, job: DecodeJob) -> bytes:
    """Return the plain octets, without memory of counters, and without a check where the authentication key is missing.

    Raises:
        KeyMissingError: it is encrypted and no key was given.
        KeyWrongError: the key does not fit.
        SecurityError: it has less protection than required.
        WireError: the protection cannot be removed.

    """
    content, title = apdu.content, apdu.system_title.hex().upper()
    control = content.security_control
    is_encrypted = bool(control & SecurityControl.ENCRYPTION)
    if is_encrypted and job.key is None:
        reason = f"encrypted by system title {title}; no key was given"
        raise KeyMissingError(reason, None, "key", system_title=apdu.system_title)
    if job.required is not None and not (control & SecurityControl.AUTHENTICATION and job.key and job.auth_key):
        raise SecurityError("is not authenticated, as its meter requires", None, "security control")
    nonce_title = apdu.system_title.ljust(SYSTEM_TITLE_SIZE, b"\0")[:SYSTEM_TITLE_SIZE]
    if control & SecurityControl.AUTHENTICATION and job.key and job.auth_key:
        keys = _keys(job.key, job.auth_key, control)
        try:
            return unprotect(
                content.payload,
                control,
                system_title=nonce_title,
                invocation_counter=content.invocation_counter,
                keys=keys,
            )
        except KeyWrongError as error:
            reason = f"the tag does not fit system title {title}: wrong key, or altered octets"
            raise KeyWrongError(reason, None, "key") from error
    plain = unprotect_insecurely(
        content.payload,
        control,
        system_title=nonce_title,
        invocation_counter=content.invocation_counter,
        encryption=job.key or b"",
    )
    if is_encrypted and (not plain or plain[0] not in _PLAIN_STARTS):
        raise KeyWrongError(f"the key does not fit system title {title}: no APDU is deciphered", None, "key")
    return plain


def _keys(key: bytes, auth_key: bytes, control: SecurityControl) -> SuiteKeys:
    try:
        return SuiteKeys(key, auth_key, suite_of(control))
    except ValueError as error:
        raise KeyWrongError(str(error), None, "key") from error
