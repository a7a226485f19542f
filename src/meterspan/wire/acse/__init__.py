"""ACSE APDUs of COSEM (IEC 62056-5-3, annex A; ISO/IEC 8650-1): records, ``read_acse`` and ``write_acse``."""

from meterspan.wire.acse.apdu import (
    ACSE_TAGS,
    AUTHENTICATION_REQUIREMENT,
    Aare,
    Aarq,
    AcseApdu,
    AuthenticationValue,
    Diagnostic,
    Rlre,
    Rlrq,
    acse_name,
    read_acse,
    write_acse,
)
from meterspan.wire.acse.blanking import DLMS_UA, blanked, blanked_aarq
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

__all__ = [
    "ACSE_TAGS",
    "AUTHENTICATION_REQUIREMENT",
    "DLMS_UA",
    "Aare",
    "Aarq",
    "AcseApdu",
    "ApplicationContext",
    "AssociationResult",
    "AuthenticationMechanism",
    "AuthenticationValue",
    "Diagnostic",
    "DiagnosticSource",
    "ProviderDiagnostic",
    "ReleaseRequestReason",
    "ReleaseResponseReason",
    "Rlre",
    "Rlrq",
    "UserDiagnostic",
    "acse_name",
    "blanked",
    "blanked_aarq",
    "read_acse",
    "write_acse",
]
