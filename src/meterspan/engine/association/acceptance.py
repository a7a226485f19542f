"""Whether an AARE that accepts is the answer to the AARQ that was sent (IEC 62056-5-3, 7.2 and 7.3).

Strategy: each field is compared with what was asked for; a departure is a ``WireError`` that names the field. Nothing
of the AARE is used before all of it fits, and what it claims is kept only once a tag or a proof was right.
"""

from typing import Final

from meterspan.crypto.mechanisms import Mechanism
from meterspan.engine.association.core import CLAUSE
from meterspan.engine.security import SecurityContext
from meterspan.wire.acse import (
    AUTHENTICATION_REQUIREMENT,
    Aare,
    ApplicationContext,
    AuthenticationMechanism,
    DiagnosticSource,
    UserDiagnostic,
)
from meterspan.wire.acse.apdu import CHARSTRING
from meterspan.wire.errors import SecurityError, WireError
from meterspan.wire.xdlms import DLMS_VERSION, InitiateResponse
from meterspan.wire.xdlms.initiate import LN_VAA_NAME

__all__ = ["CHALLENGE_MAX", "CHALLENGE_MIN", "check_aare", "check_initiate", "context_asked"]

CHALLENGE_MIN: Final = 8
CHALLENGE_MAX: Final = 64
"""Octets of a challenge (IEC 62056-5-3, 5.7.4.3)."""
_VERSION_1: Final = 0x80


def context_asked(*, ciphered: bool) -> ApplicationContext:
    """Return the application context that a client asks for."""
    return ApplicationContext.LN_CIPHERED if ciphered else ApplicationContext.LN


def check_aare(aare: Aare, mechanism: Mechanism, security: SecurityContext | None, *, ciphered: bool) -> None:
    """Check all of an AARE that accepts but its initiate response.

    Args:
        aare: the answer.
        mechanism: how the client authenticates.
        security: keys and titles; None where the association needs none.
        ciphered: whether the context with ciphering was asked for.

    Raises:
        WireError: a field is not what was asked for.
        SecurityError: the server's title is missing, or another one than expected.

    """
    version = aare.protocol_version
    if version is not None and not (len(version) > 1 and version[1] & _VERSION_1):
        raise _departure(f"{version.hex()} has no version 1", "protocol-version")
    if aare.application_context != context_asked(ciphered=ciphered):
        raise _departure(f"{aare.application_context.text} was not asked for", "application-context-name")
    _check_diagnostic(aare, mechanism)
    if aare.mechanism is not None and aare.mechanism != mechanism.code:
        raise _departure(f"{aare.mechanism.text}, {mechanism.code.text} was asked for", "mechanism-name")
    _check_requirements(aare, mechanism)
    _check_challenge(aare, mechanism)
    _check_title(aare, security, is_needed=ciphered or mechanism.needs_keys)


def check_initiate(response: InitiateResponse) -> None:
    """Check the initiate response: our DLMS version, and logical names.

    Raises:
        WireError: it is of another version, or for short names.

    """
    if response.dlms_version != DLMS_VERSION:
        raise _departure(f"version {response.dlms_version}, not {DLMS_VERSION}", "negotiated-dlms-version-number")
    if response.vaa_name != LN_VAA_NAME:
        raise _departure(f"{response.vaa_name:#06x}, not {LN_VAA_NAME:#06x} for logical names", "vaa-name")


def _check_diagnostic(aare: Aare, mechanism: Mechanism) -> None:
    """Check the diagnostic: authentication-required with HLS, null without (7.2.4)."""
    is_of_user = aare.diagnostic.source is DiagnosticSource.ACSE_SERVICE_USER
    due = UserDiagnostic.AUTHENTICATION_REQUIRED if mechanism.is_hls else UserDiagnostic.NULL
    if aare.diagnostic.code != due or (mechanism.is_hls and not is_of_user):
        raise _departure(f"accepted, with {aare.diagnostic} in place of {due.text}", "result-source-diagnostic")


def _check_requirements(aare: Aare, mechanism: Mechanism) -> None:
    """Check the requirements, and that HLS is answered by no field that annex A does not list.

    A field of another tag may be one that had to be checked. Some meters leave requirements and mechanism out.
    """
    asked = mechanism.code is not AuthenticationMechanism.LOWEST
    requirements = aare.responder_requirements
    if asked and requirements is not None and requirements != AUTHENTICATION_REQUIREMENT:
        raise _departure(f"{requirements.hex()}, not {AUTHENTICATION_REQUIREMENT.hex()}", "responder-acse-requirements")
    if mechanism.is_hls and aare.unknown:
        raise _departure(f"tag {aare.unknown[0].tag:#04x} is not of an AARE", "unknown field")


def _check_challenge(aare: Aare, mechanism: Mechanism) -> None:
    value = aare.authentication_value
    if not mechanism.is_hls:
        return
    if value is not None and value.choice != CHARSTRING:
        raise _departure(f"alternative {value.choice:#04x}, not charstring", "responding-authentication-value")
    size = 0 if value is None else len(value.octets)
    if not CHALLENGE_MIN <= size <= CHALLENGE_MAX:
        reason = f"a challenge of {size} octets, not {CHALLENGE_MIN} to {CHALLENGE_MAX}"
        raise _departure(reason, "responding-authentication-value")


def _check_title(aare: Aare, security: SecurityContext | None, *, is_needed: bool) -> None:
    if security is None or not is_needed:
        return
    if aare.responding_ap_title is not None:
        security.learn_peer(aare.responding_ap_title)
    elif not security.peer_title:
        raise SecurityError("the server has not sent its system title", None, "responding-AP-title", CLAUSE)


def _departure(reason: str, field: str) -> WireError:
    return WireError(reason, None, field, CLAUSE)
