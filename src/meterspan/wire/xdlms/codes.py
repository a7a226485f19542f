"""Tags, results and conformance bits of xDLMS (IEC 62056-5-3, 7 and annex A); unlisted codes survive."""

from enum import IntEnum, IntFlag

from meterspan.wire.open_enum import OpenIntEnum

__all__ = [
    "ActionResult",
    "ApduTag",
    "ConfirmedService",
    "Conformance",
    "DataAccessResult",
    "SecurityControl",
    "ServiceErrorCategory",
    "ServiceFault",
    "StateFault",
    "ciphered_tag",
    "plain_tag",
    "service_error_text",
]


class ApduTag(IntEnum):
    """First octet of an xDLMS APDU (IEC 62056-5-3, annex A, XDLMS-APDU)."""

    INITIATE_REQUEST = 1
    READ_REQUEST = 5
    WRITE_REQUEST = 6
    INITIATE_RESPONSE = 8
    READ_RESPONSE = 12
    WRITE_RESPONSE = 13
    CONFIRMED_SERVICE_ERROR = 14
    DATA_NOTIFICATION = 15
    DATA_NOTIFICATION_CONFIRM = 16
    UNCONFIRMED_WRITE_REQUEST = 22
    INFORMATION_REPORT_REQUEST = 24
    GLO_INITIATE_REQUEST = 33
    GLO_READ_REQUEST = 37
    GLO_WRITE_REQUEST = 38
    GLO_INITIATE_RESPONSE = 40
    GLO_READ_RESPONSE = 44
    GLO_WRITE_RESPONSE = 45
    GLO_CONFIRMED_SERVICE_ERROR = 46
    GLO_UNCONFIRMED_WRITE_REQUEST = 54
    GLO_INFORMATION_REPORT_REQUEST = 56
    DED_INITIATE_REQUEST = 65
    DED_READ_REQUEST = 69
    DED_WRITE_REQUEST = 70
    DED_INITIATE_RESPONSE = 72
    DED_READ_RESPONSE = 76
    DED_WRITE_RESPONSE = 77
    DED_CONFIRMED_SERVICE_ERROR = 78
    DED_UNCONFIRMED_WRITE_REQUEST = 86
    DED_INFORMATION_REPORT_REQUEST = 88
    GET_REQUEST = 192
    SET_REQUEST = 193
    EVENT_NOTIFICATION_REQUEST = 194
    ACTION_REQUEST = 195
    GET_RESPONSE = 196
    SET_RESPONSE = 197
    ACTION_RESPONSE = 199
    GLO_GET_REQUEST = 200
    GLO_SET_REQUEST = 201
    GLO_EVENT_NOTIFICATION_REQUEST = 202
    GLO_ACTION_REQUEST = 203
    GLO_GET_RESPONSE = 204
    GLO_SET_RESPONSE = 205
    GLO_ACTION_RESPONSE = 207
    DED_GET_REQUEST = 208
    DED_SET_REQUEST = 209
    DED_EVENT_NOTIFICATION_REQUEST = 210
    DED_ACTION_REQUEST = 211
    DED_GET_RESPONSE = 212
    DED_SET_RESPONSE = 213
    DED_ACTION_RESPONSE = 215
    EXCEPTION_RESPONSE = 216
    ACCESS_REQUEST = 217
    ACCESS_RESPONSE = 218
    GENERAL_GLO_CIPHERING = 219
    GENERAL_DED_CIPHERING = 220
    GENERAL_CIPHERING = 221
    GENERAL_SIGNING = 223
    GENERAL_BLOCK_TRANSFER = 224

    @property
    def text(self) -> str:
        """The standard's spelling: ``glo-get-request``."""
        return self.name.lower().replace("_", "-")


GLO_TAGS = {
    ApduTag[name.removeprefix("GLO_")]: tag for name, tag in ApduTag.__members__.items() if name.startswith("GLO_")
}
"""The tag of each service under the global key, by its plain tag."""
DED_TAGS = {
    ApduTag[name.removeprefix("DED_")]: tag for name, tag in ApduTag.__members__.items() if name.startswith("DED_")
}
"""The tag of each service under the dedicated key, by its plain tag."""
_PLAIN_TAGS = {ciphered: plain for tags in (GLO_TAGS, DED_TAGS) for plain, ciphered in tags.items()}


def ciphered_tag(plain: int, *, dedicated: bool = False) -> ApduTag:
    """Return the glo- (or ded-) tag of a plain APDU's tag.

    Raises:
        ValueError: the service has no service-specific ciphering (DataNotification: use general ciphering).

    """
    found = (DED_TAGS if dedicated else GLO_TAGS).get(ApduTag(plain))
    if found is None:
        raise ValueError(f"{ApduTag(plain).text} has no service-specific ciphering; use general-glo-ciphering")
    return found


def plain_tag(ciphered: int) -> ApduTag | None:
    """Return the tag of the APDU inside a glo- or ded- APDU; None for the general ones, which hold any."""
    return _PLAIN_TAGS.get(ApduTag(ciphered))


class DataAccessResult(OpenIntEnum):
    """Why an attribute was not read or written (IEC 62056-5-3, annex A, Data-Access-Result)."""

    SUCCESS = 0
    HARDWARE_FAULT = 1
    TEMPORARY_FAILURE = 2
    READ_WRITE_DENIED = 3
    OBJECT_UNDEFINED = 4
    OBJECT_CLASS_INCONSISTENT = 9
    OBJECT_UNAVAILABLE = 11
    TYPE_UNMATCHED = 12
    SCOPE_OF_ACCESS_VIOLATED = 13
    DATA_BLOCK_UNAVAILABLE = 14
    LONG_GET_ABORTED = 15
    NO_LONG_GET_IN_PROGRESS = 16
    LONG_SET_ABORTED = 17
    NO_LONG_SET_IN_PROGRESS = 18
    DATA_BLOCK_NUMBER_INVALID = 19
    OTHER_REASON = 250


class ActionResult(OpenIntEnum):
    """Why a method was not invoked (IEC 62056-5-3, annex A, Action-Result)."""

    SUCCESS = 0
    HARDWARE_FAULT = 1
    TEMPORARY_FAILURE = 2
    READ_WRITE_DENIED = 3
    OBJECT_UNDEFINED = 4
    OBJECT_CLASS_INCONSISTENT = 9
    OBJECT_UNAVAILABLE = 11
    TYPE_UNMATCHED = 12
    SCOPE_OF_ACCESS_VIOLATED = 13
    DATA_BLOCK_UNAVAILABLE = 14
    LONG_ACTION_ABORTED = 15
    NO_LONG_ACTION_IN_PROGRESS = 16
    OTHER_REASON = 250


class StateFault(OpenIntEnum):
    """The state-error of an ExceptionResponse."""

    SERVICE_NOT_ALLOWED = 1
    SERVICE_UNKNOWN = 2


class ServiceFault(OpenIntEnum):
    """The service-error of an ExceptionResponse."""

    OPERATION_NOT_POSSIBLE = 1
    SERVICE_NOT_SUPPORTED = 2
    OTHER_REASON = 3
    PDU_TOO_LONG = 4
    DECIPHERING_ERROR = 5
    INVOCATION_COUNTER_ERROR = 6


class ConfirmedService(OpenIntEnum):
    """Which service a ConfirmedServiceError refuses."""

    INITIATE = 1
    GET_STATUS = 2
    GET_NAME_LIST = 3
    GET_VARIABLE_ATTRIBUTE = 4
    READ = 5
    WRITE = 6
    GET_DATA_SET_ATTRIBUTE = 7
    GET_TI_ATTRIBUTE = 8
    CHANGE_SCOPE = 9
    START = 10
    STOP = 11
    RESUME = 12
    MAKE_USABLE = 13
    INITIATE_LOAD = 14
    LOAD_SEGMENT = 15
    TERMINATE_LOAD = 16
    INITIATE_UP_LOAD = 17
    UP_LOAD_SEGMENT = 18
    TERMINATE_UP_LOAD = 19


class ServiceErrorCategory(OpenIntEnum):
    """The choice of a ServiceError (IEC 62056-5-3, annex A)."""

    APPLICATION_REFERENCE = 0
    HARDWARE_RESOURCE = 1
    VDE_STATE_ERROR = 2
    SERVICE = 3
    DEFINITION = 4
    ACCESS = 5
    INITIATE = 6
    LOAD_DATA_SET = 7
    CHANGE_SCOPE = 8
    TASK = 9
    OTHER = 10


_SERVICE_ERRORS: dict[int, tuple[str, ...]] = {
    ServiceErrorCategory.APPLICATION_REFERENCE: (
        "other", "time-elapsed", "application-unreachable", "application-reference-invalid",
        "application-context-unsupported", "provider-communication-error", "deciphering-error",
    ),
    ServiceErrorCategory.HARDWARE_RESOURCE: (
        "other", "memory-unavailable", "processor-resource-unavailable", "mass-storage-unavailable",
        "other-resource-unavailable",
    ),
    ServiceErrorCategory.VDE_STATE_ERROR: (
        "other", "no-dlms-context", "loading-data-set", "status-nochange", "status-inoperable",
    ),
    ServiceErrorCategory.SERVICE: ("other", "pdu-size", "service-unsupported"),
    ServiceErrorCategory.DEFINITION: (
        "other", "object-undefined", "object-class-inconsistent", "object-attribute-inconsistent",
    ),
    ServiceErrorCategory.ACCESS: (
        "other", "scope-of-access-violated", "object-access-violated", "hardware-fault", "object-unavailable",
    ),
    ServiceErrorCategory.INITIATE: (
        "other", "dlms-version-too-low", "incompatible-conformance", "pdu-size-too-short",
        "refused-by-the-VDE-handler",
    ),
    ServiceErrorCategory.LOAD_DATA_SET: (
        "other", "primitive-out-of-sequence", "not-loadable", "dataset-size-too-large", "not-awaited-segment",
        "interpretation-failure", "storage-failure", "data-set-not-ready",
    ),
    ServiceErrorCategory.TASK: ("other", "no-remote-control", "ti-stopped", "ti-running", "ti-unusable"),
}  # fmt: skip


def service_error_text(category: int, code: int) -> str:
    """Return a code of a ServiceError in the standard's words, or as its number where it is not listed."""
    texts = _SERVICE_ERRORS.get(category, ())
    return texts[code] if code < len(texts) else str(code)


class Conformance(IntFlag):
    """The conformance block (IEC 62056-5-3, 7.3.1): bit 0 of the standard is the most significant of 24."""

    RESERVED_0 = 1 << 23
    GENERAL_PROTECTION = 1 << 22
    GENERAL_BLOCK_TRANSFER = 1 << 21
    READ = 1 << 20
    WRITE = 1 << 19
    UNCONFIRMED_WRITE = 1 << 18
    DELTA_VALUE_ENCODING = 1 << 17
    RESERVED_7 = 1 << 16
    ATTRIBUTE_0_WITH_SET = 1 << 15
    PRIORITY_MANAGEMENT = 1 << 14
    ATTRIBUTE_0_WITH_GET = 1 << 13
    BLOCK_TRANSFER_WITH_GET = 1 << 12
    BLOCK_TRANSFER_WITH_SET = 1 << 11
    BLOCK_TRANSFER_WITH_ACTION = 1 << 10
    MULTIPLE_REFERENCES = 1 << 9
    INFORMATION_REPORT = 1 << 8
    DATA_NOTIFICATION = 1 << 7
    ACCESS = 1 << 6
    PARAMETERIZED_ACCESS = 1 << 5
    GET = 1 << 4
    SET = 1 << 3
    SELECTIVE_ACCESS = 1 << 2
    EVENT_NOTIFICATION = 1 << 1
    ACTION = 1 << 0

    @property
    def text(self) -> str:
        """The standard's spelling of every bit that is set."""
        return ", ".join((flag.name or "").lower().replace("_", "-") for flag in Conformance if flag in self) or "none"


class SecurityControl(IntFlag):
    """The security control byte (IEC 62056-5-3, 5.7.2.4.1); the low four bits are the suite's number."""

    AUTHENTICATION = 0x10
    ENCRYPTION = 0x20
    BROADCAST_KEY = 0x40
    COMPRESSION = 0x80

    @property
    def suite(self) -> int:
        """Number of the security suite."""
        return int(self) & 0x0F

    @property
    def text(self) -> str:
        """Return what is applied: ``suite 0, authentication, encryption``."""
        flags = [(flag.name or "").lower().replace("_", " ") for flag in SecurityControl if flag in self]
        return ", ".join([f"suite {self.suite}", *flags])
