"""Names and diagnostics of ACSE as COSEM uses it (IEC 62056-5-3, 7.2 and annex A); unlisted codes survive."""

from enum import IntEnum

from meterspan.wire.open_enum import OpenIntEnum

__all__ = [
    "ApplicationContext",
    "AssociationResult",
    "AuthenticationMechanism",
    "DiagnosticSource",
    "ProviderDiagnostic",
    "ReleaseRequestReason",
    "ReleaseResponseReason",
    "UserDiagnostic",
]


class ApplicationContext(OpenIntEnum):
    """Last arc of the application-context-name, below 2.16.756.5.8.1."""

    LN = 1
    SN = 2
    LN_CIPHERED = 3
    SN_CIPHERED = 4


class AuthenticationMechanism(OpenIntEnum):
    """Last arc of the mechanism-name, below 2.16.756.5.8.2."""

    LOWEST = 0
    LLS = 1
    HLS = 2
    """Manufacturer specific."""
    HLS_MD5 = 3
    HLS_SHA1 = 4
    HLS_GMAC = 5
    HLS_SHA256 = 6
    HLS_ECDSA = 7


class AssociationResult(OpenIntEnum):
    """What the server makes of the proposed association."""

    ACCEPTED = 0
    REJECTED_PERMANENT = 1
    REJECTED_TRANSIENT = 2


class DiagnosticSource(IntEnum):
    """Who gives the diagnostic."""

    ACSE_SERVICE_USER = 1
    ACSE_SERVICE_PROVIDER = 2


class UserDiagnostic(OpenIntEnum):
    """Why, by the ACSE service user (the server's application)."""

    NULL = 0
    NO_REASON_GIVEN = 1
    APPLICATION_CONTEXT_NAME_NOT_SUPPORTED = 2
    CALLING_AP_TITLE_NOT_RECOGNIZED = 3
    CALLING_AP_INVOCATION_IDENTIFIER_NOT_RECOGNIZED = 4
    CALLING_AE_QUALIFIER_NOT_RECOGNIZED = 5
    CALLING_AE_INVOCATION_IDENTIFIER_NOT_RECOGNIZED = 6
    CALLED_AP_TITLE_NOT_RECOGNIZED = 7
    CALLED_AP_INVOCATION_IDENTIFIER_NOT_RECOGNIZED = 8
    CALLED_AE_QUALIFIER_NOT_RECOGNIZED = 9
    CALLED_AE_INVOCATION_IDENTIFIER_NOT_RECOGNIZED = 10
    AUTHENTICATION_MECHANISM_NAME_NOT_RECOGNISED = 11
    AUTHENTICATION_MECHANISM_NAME_REQUIRED = 12
    AUTHENTICATION_FAILURE = 13
    AUTHENTICATION_REQUIRED = 14


class ProviderDiagnostic(OpenIntEnum):
    """Why, by the ACSE service provider."""

    NULL = 0
    NO_REASON_GIVEN = 1
    NO_COMMON_ACSE_VERSION = 2


class ReleaseRequestReason(OpenIntEnum):
    """Why the client releases the association."""

    NORMAL = 0
    URGENT = 1
    USER_DEFINED = 30


class ReleaseResponseReason(OpenIntEnum):
    """How the server takes the release."""

    NORMAL = 0
    NOT_FINISHED = 1
    USER_DEFINED = 30
