"""The meaning of a peer's refusal: one table of the standard's codes to ``FailureKind`` for each APDU that refuses.

IEC 62056-5-3: the diagnostics of the AARE (7.2), exception-response and confirmed-service-error (6.17, annex A), and
the results of GET, SET and ACTION (6.6 to 6.8). The words of the standard travel as ``Failure.code``.
"""

from collections.abc import Mapping
from typing import Final

from meterspan.model.failures import Failure, FailureKind, kind_of_error
from meterspan.wire.acse import Aare, AssociationResult, UserDiagnostic
from meterspan.wire.errors import SecurityError, WireError
from meterspan.wire.xdlms import (
    ActionResult,
    ConfirmedServiceError,
    DataAccessResult,
    ExceptionResponse,
    ServiceErrorCategory,
    ServiceFault,
)

__all__ = [
    "DECIPHERING_ERROR",
    "kind_of_diagnostic",
    "of_aare",
    "of_apdu_error",
    "of_fault",
    "of_initiate_fault",
    "of_proof_result",
    "of_result",
]

DECIPHERING_ERROR: Final = (ServiceErrorCategory.APPLICATION_REFERENCE, 6)
"""The confirmed-service-error of a server that cannot open the initiate request."""
_DIAGNOSTICS: Final[Mapping[int, FailureKind]] = {
    UserDiagnostic.AUTHENTICATION_FAILURE: FailureKind.AUTHENTICATION_FAILED,
    UserDiagnostic.AUTHENTICATION_REQUIRED: FailureKind.AUTHENTICATION_REQUIRED,
    UserDiagnostic.AUTHENTICATION_MECHANISM_NAME_REQUIRED: FailureKind.AUTHENTICATION_REQUIRED,
    UserDiagnostic.AUTHENTICATION_MECHANISM_NAME_NOT_RECOGNISED: FailureKind.MECHANISM_NOT_RECOGNISED,
    UserDiagnostic.APPLICATION_CONTEXT_NAME_NOT_SUPPORTED: FailureKind.CONTEXT_NOT_SUPPORTED,
}
"""Diagnostics of the AARE; all others, and those of the provider, are ``ASSOCIATION_REFUSED``."""

_EXCEPTIONS: Final[Mapping[int, FailureKind]] = {
    ServiceFault.DECIPHERING_ERROR: FailureKind.DECIPHERING_ERROR,
    ServiceFault.INVOCATION_COUNTER_ERROR: FailureKind.COUNTER_BEHIND,
    ServiceFault.SERVICE_NOT_SUPPORTED: FailureKind.UNSUPPORTED,
}
"""service-error of an exception-response; all others are ``EXCEPTION``."""


def kind_of_diagnostic(code: int) -> FailureKind:
    """Return the kind of a refusal by the diagnostic of the ACSE service user."""
    return _DIAGNOSTICS.get(code, FailureKind.ASSOCIATION_REFUSED)


def of_aare(aare: Aare, inner: ConfirmedServiceError | None = None) -> Failure:
    """Return why an AARE refuses.

    Args:
        aare: the refusal.
        inner: the confirmed-service-error that it carries as user information, if any.

    """
    diagnostic = aare.diagnostic
    is_of_user = isinstance(diagnostic.code, UserDiagnostic)
    kind = kind_of_diagnostic(diagnostic.code) if is_of_user else FailureKind.ASSOCIATION_REFUSED
    if inner is not None and (inner.category, inner.code) == DECIPHERING_ERROR:
        kind = FailureKind.DECIPHERING_ERROR
    more = "" if inner is None else f" ({inner})"
    return Failure(
        kind,
        f"the server refuses: {diagnostic}{more}",
        str(diagnostic),
        permanent=aare.result == AssociationResult.REJECTED_PERMANENT,
    )


def of_fault(apdu: ExceptionResponse | ConfirmedServiceError) -> Failure:
    """Return why a server could not serve an APDU."""
    words = f"the server refuses: {apdu}"
    if isinstance(apdu, ConfirmedServiceError):
        return Failure(FailureKind.EXCEPTION, words, str(apdu))
    kind = _EXCEPTIONS.get(apdu.service, FailureKind.EXCEPTION)
    return Failure(kind, words, apdu.service.text, counter=apdu.invocation_counter)


def of_initiate_fault(apdu: ConfirmedServiceError) -> Failure:
    """Return why a server that accepts the association cannot serve the initiate request."""
    return Failure(FailureKind.ASSOCIATION_REFUSED, str(apdu), str(apdu), permanent=True)


def of_result(what: str, result: DataAccessResult | ActionResult) -> Failure:
    """Return why an attribute or a method was refused."""
    return Failure(FailureKind.REFUSED, f"{what}: {result.text}", result.text)


def of_proof_result(result: ActionResult) -> Failure:
    """Return why the server does not accept the third pass of HLS."""
    words = f"the server does not accept our proof: {result.text}; wrong key or secret"
    return Failure(FailureKind.PROOF_REFUSED, words, result.text)


def of_apdu_error(error: WireError) -> Failure:
    """Return the failure of an unusable APDU: by the type of a security error, else a protocol failure."""
    kind = kind_of_error(error) if isinstance(error, SecurityError) else FailureKind.PROTOCOL
    return Failure(kind, str(error), error=error)
