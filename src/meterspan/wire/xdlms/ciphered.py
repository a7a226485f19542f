"""Ciphered APDUs as they stand on the wire (IEC 62056-5-3, 5.7.2 and annex A): the protection is removed elsewhere.

Layout of the ciphered octets: security control, invocation counter (4), then the payload: ciphertext or plaintext, and
with authentication the 12-octet tag. glo- and ded- APDUs have the service in their own tag; the general ones carry the
sender's system title and hold any APDU.
"""

from dataclasses import dataclass
from enum import IntEnum

from meterspan.wire.axdr import read_flag, read_length, read_octets, write_octets
from meterspan.wire.cursor import Cursor
from meterspan.wire.xdlms.codes import ApduTag, SecurityControl
from meterspan.wire.xdlms.common import read_choice

__all__ = ["CipheredApdu", "CipheredContent", "GeneralCipheredApdu", "GeneralCiphering", "KeyInfo", "KeyInfoKind"]

TAG_SIZE = 12
"""Octets of the authentication tag of suites 0, 1 and 2."""


@dataclass(frozen=True, slots=True)
class CipheredContent:
    """The ciphered octets.

    Attributes:
        security_control: what is applied.
        invocation_counter: with the system title the nonce; never used twice under one key.
        payload: ciphertext or plaintext, and the tag where authenticated.

    """

    security_control: SecurityControl
    invocation_counter: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class CipheredApdu:
    """A glo- or ded- APDU; the system title of the sender is known from the association."""

    tag: ApduTag
    content: CipheredContent


@dataclass(frozen=True, slots=True)
class GeneralCipheredApdu:
    """A general-glo- or general-ded-ciphering APDU, any service inside."""

    tag: ApduTag
    system_title: bytes
    content: CipheredContent


class KeyInfoKind(IntEnum):
    """How a general-ciphering APDU names or carries its key."""

    IDENTIFIED = 0
    WRAPPED = 1
    AGREED = 2


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """The key of a general-ciphering APDU.

    Attributes:
        kind: identified, wrapped or agreed.
        identifier: key-id or kek-id in one octet; the key-parameters of an agreed key.
        ciphered: the key-ciphered-data of a wrapped or agreed key.

    """

    kind: KeyInfoKind
    identifier: bytes
    ciphered: bytes = b""


@dataclass(frozen=True, slots=True)
class GeneralCiphering:
    """A general-ciphering APDU, which names both ends and its key; each string may be empty."""

    transaction_id: bytes
    originator_system_title: bytes
    recipient_system_title: bytes
    date_time: bytes
    other_information: bytes
    key_info: KeyInfo | None
    content: CipheredContent


def read_ciphered(cursor: Cursor, tag: ApduTag) -> CipheredApdu:
    """Read what follows the tag of a glo- or ded- APDU."""
    return CipheredApdu(tag, _read_content(cursor))


def write_ciphered(apdu: CipheredApdu) -> bytes:
    """Write a glo- or ded- APDU, tag first."""
    return bytes((apdu.tag,)) + _write_content(apdu.content)


def read_general_ciphered(cursor: Cursor, tag: ApduTag) -> GeneralCipheredApdu:
    """Read what follows the tag of a general-glo- or general-ded-ciphering APDU."""
    return GeneralCipheredApdu(tag, read_octets(cursor, "system-title"), _read_content(cursor))


def write_general_ciphered(apdu: GeneralCipheredApdu) -> bytes:
    """Write a general-glo- or general-ded-ciphering APDU, tag first."""
    return bytes((apdu.tag,)) + write_octets(apdu.system_title) + _write_content(apdu.content)


def read_general_ciphering(cursor: Cursor) -> GeneralCiphering:
    """Read what follows the tag of a general-ciphering APDU."""
    return GeneralCiphering(
        read_octets(cursor, "transaction-id"),
        read_octets(cursor, "originator-system-title"),
        read_octets(cursor, "recipient-system-title"),
        read_octets(cursor, "date-time"),
        read_octets(cursor, "other-information"),
        _read_key_info(cursor) if read_flag(cursor, "key-info given") else None,
        _read_content(cursor),
    )


def write_general_ciphering(apdu: GeneralCiphering) -> bytes:
    """Write a general-ciphering APDU, tag first."""
    strings = (
        apdu.transaction_id,
        apdu.originator_system_title,
        apdu.recipient_system_title,
        apdu.date_time,
        apdu.other_information,
    )
    key_info = b"\x00" if apdu.key_info is None else b"\x01" + _write_key_info(apdu.key_info)
    head = bytes((ApduTag.GENERAL_CIPHERING,)) + b"".join(map(write_octets, strings))
    return head + key_info + _write_content(apdu.content)


def _read_content(cursor: Cursor) -> CipheredContent:
    inner = cursor.sub(read_length(cursor, "ciphered length"), "ciphered content")
    control = SecurityControl(inner.u8("security-control"))
    if inner.trace is not None:
        inner.explain(control.text)
    return CipheredContent(control, inner.big(4, "invocation-counter"), _read_payload(inner, control))


def _read_payload(inner: Cursor, control: SecurityControl) -> bytes:
    authenticated = bool(control & SecurityControl.AUTHENTICATION)
    if not authenticated or inner.remaining < TAG_SIZE:
        return inner.rest("ciphertext")
    name = "ciphertext" if control & SecurityControl.ENCRYPTION else "authenticated plaintext"
    return inner.take(inner.remaining - TAG_SIZE, name) + inner.rest("authentication tag")


def _write_content(content: CipheredContent) -> bytes:
    head = bytes((int(content.security_control),)) + content.invocation_counter.to_bytes(4, "big")
    return write_octets(head + content.payload)


def _read_key_info(cursor: Cursor) -> KeyInfo:
    kind = KeyInfoKind(read_choice(cursor, "key-info", ("identified-key", "wrapped-key", "agreed-key")))
    if kind is KeyInfoKind.IDENTIFIED:
        return KeyInfo(kind, cursor.take(1, "key-id"))
    if kind is KeyInfoKind.WRAPPED:
        return KeyInfo(kind, cursor.take(1, "kek-id"), read_octets(cursor, "key-ciphered-data"))
    return KeyInfo(kind, read_octets(cursor, "key-parameters"), read_octets(cursor, "key-ciphered-data"))


def _write_key_info(info: KeyInfo) -> bytes:
    head = bytes((info.kind,))
    if info.kind is KeyInfoKind.IDENTIFIED:
        return head + info.identifier
    if info.kind is KeyInfoKind.WRAPPED:
        return head + info.identifier + write_octets(info.ciphered)
    return head + write_octets(info.identifier) + write_octets(info.ciphered)
