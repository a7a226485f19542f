"""Who asks for an association, and whether the server offers it: the AARQ, checked in order (IEC 62056-5-3, 7.2).

Strategy: ACSE version, context and mechanism are looked at before any octet is deciphered; then the initiate request is
opened, and read as nothing else. Each refusal is the diagnostic of the AARE and, where the initiate request is at
fault, the confirmed-service-error within it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from meterspan.crypto.mechanisms import mechanism_of
from meterspan.engine.association.core import CLAUSE
from meterspan.engine.association.failures import DECIPHERING_ERROR
from meterspan.engine.security import SecurityContext
from meterspan.model.cosem.device import AssociationDefinition
from meterspan.wire.acse import (
    Aarq,
    ApplicationContext,
    AuthenticationMechanism,
    Diagnostic,
    DiagnosticSource,
    ProviderDiagnostic,
    UserDiagnostic,
)
from meterspan.wire.errors import SecurityError, WireError
from meterspan.wire.xdlms import (
    DLMS_VERSION,
    ApduTag,
    ConfirmedService,
    ConfirmedServiceError,
    InitiateRequest,
    ServiceErrorCategory,
    apdu_name,
    read_apdu,
)

__all__ = [
    "APDU_MIN",
    "AarqRefusal",
    "Claim",
    "SecurityOf",
    "context_of",
    "fault_of_error",
    "fault_of_initiate",
    "know_client",
    "mismatch_of",
    "open_initiate",
    "read_initiate",
]

APDU_MIN: Final = 64
"""The smallest client-max-receive-pdu-size served: protection and a block's header leave some twenty octets."""
_INITIATE_REQUEST: Final = bytes((ApduTag.INITIATE_REQUEST,))
_VERSION_1: Final = 0x80
"""Bit 0 of protocol-version, the only version of ACSE (ISO/IEC 8650-1)."""
_AUTHENTICATION: Final = 0x80
"""Bit 0 of sender-acse-requirements: the authentication functional unit is used."""

SecurityOf: TypeAlias = Callable[[AssociationDefinition], SecurityContext | None]
"""Makes the security context of one new association."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Who asks for an association, checked before any octet is deciphered."""

    client: int
    definition: AssociationDefinition
    security: SecurityContext | None

    @property
    def cipher(self) -> SecurityContext | None:
        """The protection of services; None in an association without ciphering."""
        return self.security if self.definition.ciphered else None


@dataclass(frozen=True, slots=True)
class AarqRefusal:
    """Why an association is refused.

    Attributes:
        diagnostic: of the AARE.
        fault: what is wrong with the initiate request; None where it is not the reason.

    """

    diagnostic: Diagnostic
    fault: ConfirmedServiceError | None = None

    @classmethod
    def by_user(cls, code: UserDiagnostic) -> "AarqRefusal":
        """Return the refusal with a diagnostic of the application."""
        return cls(Diagnostic(code=code))

    def __str__(self) -> str:
        """Write the fault of the initiate request, or the diagnostic."""
        return str(self.diagnostic) if self.fault is None else str(self.fault)


def context_of(definition: AssociationDefinition) -> ApplicationContext:
    """Return the application context that an association is offered in."""
    return ApplicationContext.LN_CIPHERED if definition.ciphered else ApplicationContext.LN


def mismatch_of(aarq: Aarq, definition: AssociationDefinition) -> AarqRefusal | None:
    """Return in what the AARQ differs from the association that its client is offered, or None."""
    if aarq.protocol_version is not None and not _has_bit(aarq.protocol_version, _VERSION_1):
        code = ProviderDiagnostic.NO_COMMON_ACSE_VERSION
        return AarqRefusal(Diagnostic(DiagnosticSource.ACSE_SERVICE_PROVIDER, code))
    if aarq.application_context != context_of(definition):
        return AarqRefusal.by_user(UserDiagnostic.APPLICATION_CONTEXT_NAME_NOT_SUPPORTED)
    offered = _mechanism_of(aarq)
    if offered == definition.mechanism:
        return None
    if offered is AuthenticationMechanism.LOWEST:
        return AarqRefusal.by_user(UserDiagnostic.AUTHENTICATION_MECHANISM_NAME_REQUIRED)
    return AarqRefusal.by_user(UserDiagnostic.AUTHENTICATION_MECHANISM_NAME_NOT_RECOGNISED)


def know_client(
    aarq: Aarq, client: int, definition: AssociationDefinition, security_of: SecurityOf | None
) -> Claim | None:
    """Make the security context of an association that needs one, for the title that the client claims.

    Args:
        aarq: the request, of the mechanism and context of the definition.
        client: the client's address.
        definition: the association that it is offered.
        security_of: makes the security context; None where no association needs one.

    Returns:
        The claim, or None where the calling-AP-title is missing or not acceptable.

    """
    mechanism = mechanism_of(definition.mechanism)
    if not definition.ciphered and (mechanism is None or not mechanism.needs_keys):
        return Claim(client, definition, None)
    security = None if security_of is None else security_of(definition)
    if security is None or aarq.calling_ap_title is None:
        return None
    security.forget_dedicated_key()  # an owner may reuse one context
    try:
        security.learn_peer(aarq.calling_ap_title)
    except WireError:
        return None
    return Claim(client, definition, security)


def open_initiate(aarq: Aarq, cipher: SecurityContext | None) -> InitiateRequest:
    """Open and read the initiate request of an AARQ, and take over its dedicated key.

    Raises:
        WireError: there is none, it cannot be deciphered, or it is something else.

    """
    request = read_initiate(aarq.user_information, cipher)
    if request.dedicated_key is not None and cipher is not None:
        cipher.use_dedicated_key(request.dedicated_key)
    return request


def read_initiate(octets: bytes | None, cipher: SecurityContext | None) -> InitiateRequest:
    """Read the initiate request of an AARQ or RLRQ, and nothing else.

    Raises:
        WireError: there is none, it cannot be deciphered, or it is something else.

    """
    if octets is None:
        raise WireError("carries no initiate request", None, "user-information", CLAUSE)
    plain = octets if cipher is None else cipher.unprotect(octets).octets
    if plain[:1] != _INITIATE_REQUEST:  # nothing else is read before there is an association
        raise WireError(f"{plain[:1].hex()} begins no initiate request", None, "user-information", CLAUSE)
    apdu = read_apdu(plain)
    if not isinstance(apdu, InitiateRequest):
        raise WireError(f"{apdu_name(apdu)} is no initiate request", None, "user-information", CLAUSE)
    return apdu


def fault_of_initiate(initiate: InitiateRequest, definition: AssociationDefinition) -> AarqRefusal | None:
    """Return why an initiate request cannot be served (IEC 62056-5-3, 7.3), or None.

    A higher DLMS version is answered with ours: the initiate response says which one holds.
    """
    code = None
    if initiate.dlms_version < DLMS_VERSION:
        code = 1
    elif not initiate.conformance & definition.offered:
        code = 2
    elif 0 < initiate.max_pdu_size < APDU_MIN:
        code = 3
    return None if code is None else _refusal_of(ServiceErrorCategory.INITIATE, code)


def fault_of_error(error: WireError) -> AarqRefusal:
    """Return the refusal of an initiate request that cannot be opened or read."""
    if isinstance(error, SecurityError):
        return _refusal_of(*DECIPHERING_ERROR)
    return _refusal_of(ServiceErrorCategory.INITIATE, 0)


def _mechanism_of(aarq: Aarq) -> AuthenticationMechanism:
    """Return the mechanism offered: none without the authentication functional unit, whatever name is given."""
    if aarq.mechanism is None or not _has_bit(aarq.sender_requirements, _AUTHENTICATION):
        return AuthenticationMechanism.LOWEST
    return aarq.mechanism


def _has_bit(bit_string: bytes | None, bit: int) -> bool:
    """Return whether a bit of the first octet is set in a BER bit string, whose first octet counts unused bits."""
    return bit_string is not None and len(bit_string) > 1 and bool(bit_string[1] & bit)


def _refusal_of(category: ServiceErrorCategory, code: int) -> AarqRefusal:
    fault = ConfirmedServiceError(ConfirmedService.INITIATE, category, code)
    return AarqRefusal(Diagnostic(code=UserDiagnostic.NO_REASON_GIVEN), fault)
