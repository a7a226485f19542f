"""How a server says no outside a service's own result: exception-response and confirmed-service-error.

IEC 62056-5-3, 6.17 and annex A. An invocation-counter-error names the counter that the server expects.
"""

from dataclasses import dataclass

from meterspan.wire.cursor import Cursor
from meterspan.wire.xdlms.codes import (
    ApduTag,
    ConfirmedService,
    ServiceErrorCategory,
    ServiceFault,
    StateFault,
    service_error_text,
)

__all__ = ["ConfirmedServiceError", "ExceptionResponse"]


@dataclass(frozen=True, slots=True)
class ExceptionResponse:
    """The server could not treat the APDU.

    Attributes:
        state: whether the service is unknown, or not allowed now.
        service: why.
        invocation_counter: with an invocation-counter-error, the counter expected.

    """

    state: StateFault
    service: ServiceFault
    invocation_counter: int | None = None

    def __str__(self) -> str:
        """Write both errors in the standard's words."""
        counter = "" if self.invocation_counter is None else f" (expects {self.invocation_counter})"
        return f"{self.state.text}: {self.service.text}{counter}"


@dataclass(frozen=True, slots=True)
class ConfirmedServiceError:
    """The server refuses a confirmed service, as a rule the initiate."""

    service: ConfirmedService
    category: ServiceErrorCategory
    code: int

    def __str__(self) -> str:
        """Write service, kind and reason in the standard's words."""
        return f"{self.service.text}: {self.category.text}: {service_error_text(self.category, self.code)}"


def read_exception_response(cursor: Cursor) -> ExceptionResponse:
    """Read what follows the tag of an exception-response."""
    state = StateFault(cursor.u8("state-error"))
    cursor.explain(state.text)
    service = ServiceFault(cursor.u8("service-error"))
    cursor.explain(service.text)
    if service == ServiceFault.INVOCATION_COUNTER_ERROR:
        return ExceptionResponse(state, service, cursor.big(4, "invocation-counter"))
    return ExceptionResponse(state, service)


def write_exception_response(response: ExceptionResponse) -> bytes:
    """Write an exception-response, tag first.

    Raises:
        ValueError: an invocation-counter-error without its counter, or a counter with another error.

    """
    needs_counter = response.service == ServiceFault.INVOCATION_COUNTER_ERROR
    if needs_counter != (response.invocation_counter is not None):
        raise ValueError("an invocation-counter-error, and it alone, carries a counter")
    counter = b"" if response.invocation_counter is None else response.invocation_counter.to_bytes(4, "big")
    return bytes((ApduTag.EXCEPTION_RESPONSE, response.state, response.service)) + counter


def read_confirmed_service_error(cursor: Cursor) -> ConfirmedServiceError:
    """Read what follows the tag of a confirmed-service-error."""
    service = ConfirmedService(cursor.u8("confirmed-service-error"))
    cursor.explain(service.text)
    category = ServiceErrorCategory(cursor.u8("service-error"))
    cursor.explain(category.text)
    code = cursor.u8("service-error code")
    cursor.explain(service_error_text(category, code))
    return ConfirmedServiceError(service, category, code)


def write_confirmed_service_error(error: ConfirmedServiceError) -> bytes:
    """Write a confirmed-service-error, tag first."""
    return bytes((ApduTag.CONFIRMED_SERVICE_ERROR, error.service, error.category, error.code))
