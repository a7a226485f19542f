"""ACSE APDUs of COSEM in BER (IEC 62056-5-3, 7.2 and annex A): AARQ, AARE, RLRQ, RLRE.

Layout as tables: each APDU is one constructed element whose fields differ by their context tags. Fields that a
table does not list, or that come in a form which COSEM does not use, survive in ``unknown``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from meterspan.wire.acse.codes import (
    ApplicationContext,
    AssociationResult,
    AuthenticationMechanism,
    DiagnosticSource,
    ProviderDiagnostic,
    ReleaseRequestReason,
    ReleaseResponseReason,
    UserDiagnostic,
)
from meterspan.wire.ber import Tlv, read_tlv, write_tlv
from meterspan.wire.cursor import Cursor
from meterspan.wire.errors import UnsupportedError, WireError
from meterspan.wire.open_enum import OpenIntEnum

__all__ = [
    "ACSE_TAGS",
    "AUTHENTICATION_REQUIREMENT",
    "Aare",
    "Aarq",
    "AcseApdu",
    "AuthenticationValue",
    "Diagnostic",
    "Rlre",
    "Rlrq",
    "acse_name",
    "read_acse",
    "write_acse",
]

CLAUSE = "IEC 62056-5-3, annex A"
AARQ_TAG, AARE_TAG, RLRQ_TAG, RLRE_TAG = 0x60, 0x61, 0x62, 0x63
ACSE_TAGS = frozenset({AARQ_TAG, AARE_TAG, RLRQ_TAG, RLRE_TAG})
AUTHENTICATION_REQUIREMENT = b"\x07\x80"
"""The acse-requirements bit string with its one bit, authentication, set."""
CHARSTRING = 0x80
MAX_INTEGER_OCTETS = 8
"""Invocation identifiers and results are small; longer ones are rejected as malformed."""


@dataclass(frozen=True, slots=True)
class AuthenticationValue:
    """A password or challenge, with the tag of its CHOICE; COSEM uses charstring."""

    octets: bytes = field(repr=False)
    choice: int = CHARSTRING


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """Why the association was accepted or not; ``code`` is listed by source."""

    source: DiagnosticSource = DiagnosticSource.ACSE_SERVICE_USER
    code: UserDiagnostic | ProviderDiagnostic = UserDiagnostic.NULL

    def __str__(self) -> str:
        """Write the code in the standard's words."""
        return self.code.text


@dataclass(frozen=True, slots=True)
class Aarq:
    """The client asks for an association.

    Attributes:
        application_context: referencing by logical or short name, with or without ciphering.
        user_information: the xDLMS initiate request, plain or ciphered.
        calling_ap_title: the client's system title, where ciphering or HLS needs it.
        mechanism: how the client authenticates; None is no authentication.
        authentication_value: LLS password, or the client's challenge CtoS.
        sender_requirements: bit string octets; ``AUTHENTICATION_REQUIREMENT`` with a mechanism.
        calling_ae_invocation_id: number of the client's user.
        calling_ae_qualifier: the client's certificate, in suites 1 and 2.
        protocol_version: bit string octets; as a rule left out.
        unknown: all other fields, as received.

    """

    application_context: ApplicationContext
    user_information: bytes | None = None
    calling_ap_title: bytes | None = None
    mechanism: AuthenticationMechanism | None = None
    authentication_value: AuthenticationValue | None = None
    sender_requirements: bytes | None = None
    called_ap_title: bytes | None = None
    called_ae_qualifier: bytes | None = None
    called_ap_invocation_id: int | None = None
    called_ae_invocation_id: int | None = None
    calling_ae_qualifier: bytes | None = None
    calling_ap_invocation_id: int | None = None
    calling_ae_invocation_id: int | None = None
    protocol_version: bytes | None = None
    implementation_information: bytes | None = None
    unknown: tuple[Tlv, ...] = ()


@dataclass(frozen=True, slots=True)
class Aare:
    """The server answers.

    Attributes:
        application_context: the context of the association.
        result: accepted or rejected.
        diagnostic: why; with HLS an accepted association says authentication-required until both proofs are made.
        user_information: the xDLMS initiate response or a confirmed-service-error, plain or ciphered.
        responding_ap_title: the server's system title.
        mechanism: as asked for.
        authentication_value: the server's challenge StoC.
        responder_requirements: bit string octets.
        responding_ae_qualifier: the server's certificate, in suites 1 and 2.
        protocol_version: bit string octets; as a rule left out.
        unknown: all other fields, as received.

    """

    application_context: ApplicationContext
    result: AssociationResult
    diagnostic: Diagnostic
    user_information: bytes | None = None
    responding_ap_title: bytes | None = None
    mechanism: AuthenticationMechanism | None = None
    authentication_value: AuthenticationValue | None = None
    responder_requirements: bytes | None = None
    responding_ae_qualifier: bytes | None = None
    responding_ap_invocation_id: int | None = None
    responding_ae_invocation_id: int | None = None
    protocol_version: bytes | None = None
    implementation_information: bytes | None = None
    unknown: tuple[Tlv, ...] = ()


@dataclass(frozen=True, slots=True)
class Rlrq:
    """The client ends the association; with ciphering it proves itself by a ciphered initiate request."""

    reason: ReleaseRequestReason | None = None
    user_information: bytes | None = None
    unknown: tuple[Tlv, ...] = ()


@dataclass(frozen=True, slots=True)
class Rlre:
    """The server agrees to the end."""

    reason: ReleaseResponseReason | None = None
    user_information: bytes | None = None
    unknown: tuple[Tlv, ...] = ()


AcseApdu: TypeAlias = Aarq | Aare | Rlrq | Rlre


def acse_name(apdu: AcseApdu) -> str:
    """Return the standard's name of an APDU's kind: ``AARQ``."""
    return type(apdu).__name__.upper()


def read_acse(source: bytes | Cursor) -> AcseApdu:
    """Read one ACSE APDU; octets must be used up, a cursor is left behind the APDU.

    Raises:
        WireError: truncated, a field missing, twice or malformed, or octets left over.
        UnsupportedError: no ACSE APDU of COSEM, or an object identifier outside the DLMS UA's arc.

    """
    cursor = source if isinstance(source, Cursor) else Cursor(source)
    position = cursor.position
    if cursor.remaining and cursor.peek()[0] not in _LAYOUTS:
        raise UnsupportedError(f"no ACSE APDU of COSEM has tag {cursor.peek()[0]:#04x}", position, "acse", CLAUSE)
    tag, inner = read_tlv(cursor, "acse")
    apdu = _read_fields(inner, _LAYOUTS[tag], position)
    if cursor is not source:
        cursor.finish("acse")
    return apdu


def write_acse(apdu: AcseApdu) -> bytes:
    """Write one ACSE APDU; unknown fields follow those that the standard lists."""
    layout = next(layout for layout in _LAYOUTS.values() if layout.record is type(apdu))
    parts = [
        write_tlv(tag, entry.codec.write(value))
        for tag, entry in layout.fields.items()
        if (value := getattr(apdu, entry.attribute)) is not None
    ]
    user_information = [] if apdu.user_information is None else [_write_user_information(apdu.user_information)]
    unknown = [write_tlv(tlv.tag, tlv.octets) for tlv in apdu.unknown]
    return write_tlv(layout.tag, b"".join([*parts, *user_information, *unknown]))


@dataclass(frozen=True, slots=True)
class _Codec:
    """How the contents of a field become a value; None where the form is one that COSEM does not use."""

    read: Callable[[Cursor, str], Any]
    write: Callable[[Any], bytes]


@dataclass(frozen=True, slots=True)
class _ApduField:
    attribute: str
    codec: _Codec
    required: bool = False

    @property
    def name(self) -> str:
        return self.attribute.replace("_", "-")


@dataclass(frozen=True, slots=True)
class _ApduLayout:
    tag: int
    record: Callable[..., AcseApdu]
    fields: dict[int, _ApduField]


UNKNOWN_FIELDS_MAX = 64
"""Fields of one APDU that no layout lists, kept as they are: the standard has 15, makers add one or two."""
USER_INFORMATION = 0xBE
OCTET_STRING = 0x04
INTEGER = 0x02


def _read_fields(cursor: Cursor, layout: _ApduLayout, start: int) -> AcseApdu:
    values: dict[str, Any] = {}
    unknown: list[Tlv] = []
    while cursor.remaining:
        position = cursor.position
        entry = layout.fields.get(cursor.peek()[0], _USER_INFORMATION if cursor.peek()[0] == USER_INFORMATION else None)
        name = "unknown field" if entry is None else entry.name
        tag, inner = read_tlv(cursor, name)
        if entry is None:
            if len(unknown) == UNKNOWN_FIELDS_MAX:
                raise WireError(f"more than {UNKNOWN_FIELDS_MAX} unknown fields", position, name, CLAUSE)
            unknown.append(Tlv(tag, inner.rest(name)))
            continue
        if entry.attribute in values or any(other.tag == tag for other in unknown):
            raise WireError("stands twice", position, name, CLAUSE)
        whole = Tlv(tag, inner.peek(inner.remaining))
        value = entry.codec.read(inner, name)
        if value is None:
            unknown.append(whole)
        else:
            inner.finish(name)
            values[entry.attribute] = value
    for entry in layout.fields.values():
        if entry.required and entry.attribute not in values:
            raise WireError("is missing", start, entry.name, CLAUSE)
    return layout.record(**values, unknown=tuple(unknown))


def _read_octet_string(cursor: Cursor, name: str) -> bytes | None:
    if cursor.peek() != bytes((OCTET_STRING,)):
        cursor.rest(name)
        return None
    return read_tlv(cursor, name)[1].rest(name)


def _read_integer(cursor: Cursor, name: str) -> int | None:
    position = cursor.position
    tag, inner = read_tlv(cursor, name)
    if tag != INTEGER or not 1 <= inner.remaining <= MAX_INTEGER_OCTETS:
        raise WireError("is no INTEGER of 1 to 8 octets", position, name, CLAUSE)
    return inner.big(inner.remaining, name, signed=True)


def _write_integer(value: int) -> bytes:
    size = ((value if value >= 0 else ~value).bit_length() + 8) // 8
    return write_tlv(INTEGER, value.to_bytes(size, "big", signed=True))


def _read_code(table: type[OpenIntEnum]) -> Callable[[Cursor, str], OpenIntEnum]:
    def read(cursor: Cursor, name: str) -> OpenIntEnum:
        position = cursor.position
        code = _read_integer(cursor, name)
        if code is None or code < 0:
            raise WireError(f"{code} is no code", position, name, CLAUSE)
        cursor.explain(table(code).text)
        return table(code)

    return read


def _read_reason(table: type[OpenIntEnum]) -> Callable[[Cursor, str], OpenIntEnum]:
    def read(cursor: Cursor, name: str) -> OpenIntEnum:
        reason = table(cursor.u8(name))
        cursor.explain(reason.text)
        return reason

    return read


def _read_arc(arc: bytes, table: type[OpenIntEnum]) -> Callable[[Cursor, str], OpenIntEnum]:
    def read(cursor: Cursor, name: str) -> OpenIntEnum:
        position = cursor.position
        identifier = cursor.rest(name)
        if identifier[:-1] != arc or identifier[-1] & 0x80:
            raise UnsupportedError("is no object identifier of the DLMS UA", position, name, CLAUSE)
        cursor.explain(table(identifier[-1]).text)
        return table(identifier[-1])

    return read


def _read_context(cursor: Cursor, name: str) -> OpenIntEnum:
    position = cursor.position
    tag, inner = read_tlv(cursor, name)
    if tag != OBJECT_IDENTIFIER:
        raise WireError("is no OBJECT IDENTIFIER", position, name, CLAUSE)
    return _read_arc(CONTEXT_ARC, ApplicationContext)(inner, name)


def _read_diagnostic(cursor: Cursor, name: str) -> Diagnostic:
    position = cursor.position
    tag, inner = read_tlv(cursor, name)
    if tag == 0xA0 | DiagnosticSource.ACSE_SERVICE_USER:
        code: UserDiagnostic | ProviderDiagnostic = UserDiagnostic(_read_code(UserDiagnostic)(inner, name))
        source = DiagnosticSource.ACSE_SERVICE_USER
    elif tag == 0xA0 | DiagnosticSource.ACSE_SERVICE_PROVIDER:
        code = ProviderDiagnostic(_read_code(ProviderDiagnostic)(inner, name))
        source = DiagnosticSource.ACSE_SERVICE_PROVIDER
    else:
        raise WireError(f"has no alternative {tag:#04x}", position, name, CLAUSE)
    inner.finish(name)
    return Diagnostic(source, code)


def _write_diagnostic(diagnostic: Diagnostic) -> bytes:
    return write_tlv(0xA0 | diagnostic.source, _write_integer(diagnostic.code))


def _read_authentication(cursor: Cursor, name: str) -> AuthenticationValue:
    tag, inner = read_tlv(cursor, name)
    return AuthenticationValue(inner.rest(name), tag)


def _read_raw(cursor: Cursor, name: str) -> bytes:
    return cursor.rest(name)


def _write_user_information(octets: bytes) -> bytes:
    return write_tlv(USER_INFORMATION, write_tlv(OCTET_STRING, octets))


OBJECT_IDENTIFIER = 0x06
CONTEXT_ARC = bytes.fromhex("608574050801")  # 2.16.756.5.8.1
MECHANISM_ARC = bytes.fromhex("608574050802")  # 2.16.756.5.8.2

_RAW = _Codec(_read_raw, bytes)
_TITLE = _Codec(_read_octet_string, lambda octets: write_tlv(OCTET_STRING, octets))
_NUMBER = _Codec(_read_integer, _write_integer)
_CONTEXT = _Codec(_read_context, lambda context: write_tlv(OBJECT_IDENTIFIER, CONTEXT_ARC + bytes((context,))))
_MECHANISM = _Codec(
    _read_arc(MECHANISM_ARC, AuthenticationMechanism), lambda mechanism: MECHANISM_ARC + bytes((mechanism,))
)
_AUTHENTICATION = _Codec(_read_authentication, lambda value: write_tlv(value.choice, value.octets))
_USER_INFORMATION = _ApduField("user_information", _TITLE)

_LAYOUTS = {
    AARQ_TAG: _ApduLayout(AARQ_TAG, Aarq, {
        0x80: _ApduField("protocol_version", _RAW),
        0xA1: _ApduField("application_context", _CONTEXT, required=True),
        0xA2: _ApduField("called_ap_title", _TITLE),
        0xA3: _ApduField("called_ae_qualifier", _TITLE),
        0xA4: _ApduField("called_ap_invocation_id", _NUMBER),
        0xA5: _ApduField("called_ae_invocation_id", _NUMBER),
        0xA6: _ApduField("calling_ap_title", _TITLE),
        0xA7: _ApduField("calling_ae_qualifier", _TITLE),
        0xA8: _ApduField("calling_ap_invocation_id", _NUMBER),
        0xA9: _ApduField("calling_ae_invocation_id", _NUMBER),
        0x8A: _ApduField("sender_requirements", _RAW),
        0x8B: _ApduField("mechanism", _MECHANISM),
        0xAC: _ApduField("authentication_value", _AUTHENTICATION),
        0x9D: _ApduField("implementation_information", _RAW),
    }),
    AARE_TAG: _ApduLayout(AARE_TAG, Aare, {
        0x80: _ApduField("protocol_version", _RAW),
        0xA1: _ApduField("application_context", _CONTEXT, required=True),
        0xA2: _ApduField("result", _Codec(_read_code(AssociationResult), _write_integer), required=True),
        0xA3: _ApduField("diagnostic", _Codec(_read_diagnostic, _write_diagnostic), required=True),
        0xA4: _ApduField("responding_ap_title", _TITLE),
        0xA5: _ApduField("responding_ae_qualifier", _TITLE),
        0xA6: _ApduField("responding_ap_invocation_id", _NUMBER),
        0xA7: _ApduField("responding_ae_invocation_id", _NUMBER),
        0x88: _ApduField("responder_requirements", _RAW),
        0x89: _ApduField("mechanism", _MECHANISM),
        0xAA: _ApduField("authentication_value", _AUTHENTICATION),
        0x9D: _ApduField("implementation_information", _RAW),
    }),
    RLRQ_TAG: _ApduLayout(RLRQ_TAG, Rlrq, {
        0x80: _ApduField("reason", _Codec(_read_reason(ReleaseRequestReason), lambda reason: bytes((reason,)))),
    }),
    RLRE_TAG: _ApduLayout(RLRE_TAG, Rlre, {
        0x80: _ApduField("reason", _Codec(_read_reason(ReleaseResponseReason), lambda reason: bytes((reason,)))),
    }),
}  # fmt: skip
