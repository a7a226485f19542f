"""Each code of the standard becomes one kind of failure, and none is told from words."""

import pytest

from meterspan.engine.association.failures import (
    kind_of_diagnostic,
    of_aare,
    of_apdu_error,
    of_fault,
    of_proof_result,
    of_result,
)
from meterspan.model.failures import FailureKind
from meterspan.wire.acse import (
    Aare,
    ApplicationContext,
    AssociationResult,
    Diagnostic,
    DiagnosticSource,
    ProviderDiagnostic,
    UserDiagnostic,
)
from meterspan.wire.errors import KeyMissingError, KeyWrongError, ReplayError, SecurityError, WireError
from meterspan.wire.xdlms import (
    ActionResult,
    ConfirmedService,
    ConfirmedServiceError,
    DataAccessResult,
    ExceptionResponse,
    ServiceErrorCategory,
    ServiceFault,
    StateFault,
)


def aare(diagnostic, result=AssociationResult.REJECTED_PERMANENT):
    return Aare(ApplicationContext.LN, result, diagnostic)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (UserDiagnostic.AUTHENTICATION_FAILURE, FailureKind.AUTHENTICATION_FAILED),
        (UserDiagnostic.AUTHENTICATION_REQUIRED, FailureKind.AUTHENTICATION_REQUIRED),
        (UserDiagnostic.AUTHENTICATION_MECHANISM_NAME_REQUIRED, FailureKind.AUTHENTICATION_REQUIRED),
        (UserDiagnostic.AUTHENTICATION_MECHANISM_NAME_NOT_RECOGNISED, FailureKind.MECHANISM_NOT_RECOGNISED),
        (UserDiagnostic.APPLICATION_CONTEXT_NAME_NOT_SUPPORTED, FailureKind.CONTEXT_NOT_SUPPORTED),
        (UserDiagnostic.NO_REASON_GIVEN, FailureKind.ASSOCIATION_REFUSED),
        (UserDiagnostic(77), FailureKind.ASSOCIATION_REFUSED),
    ],
)
def test_a_diagnostic_of_the_user_has_one_kind_and_keeps_its_name(code, kind):
    failure = of_aare(aare(Diagnostic(code=code)))
    assert (failure.kind, failure.code, failure.permanent) == (kind, code.text, True)
    assert kind_of_diagnostic(code) is kind
    assert not of_aare(aare(Diagnostic(code=code), AssociationResult.REJECTED_TRANSIENT)).permanent


def test_a_diagnostic_of_the_provider_is_not_taken_for_one_of_the_user():
    for code in ProviderDiagnostic:
        failure = of_aare(aare(Diagnostic(DiagnosticSource.ACSE_SERVICE_PROVIDER, code)))
        assert failure.kind is FailureKind.ASSOCIATION_REFUSED


@pytest.mark.parametrize("fault", list(ServiceFault))
def test_an_exception_says_what_the_peer_could_not_do_with_which_counter(fault):
    counter = 4_711 if fault is ServiceFault.INVOCATION_COUNTER_ERROR else None
    failure = of_fault(ExceptionResponse(StateFault.SERVICE_NOT_ALLOWED, fault, counter))
    expected = {
        ServiceFault.DECIPHERING_ERROR: FailureKind.DECIPHERING_ERROR,
        ServiceFault.INVOCATION_COUNTER_ERROR: FailureKind.COUNTER_BEHIND,
        ServiceFault.SERVICE_NOT_SUPPORTED: FailureKind.UNSUPPORTED,
    }
    assert failure.kind is expected.get(fault, FailureKind.EXCEPTION)
    assert (failure.code, failure.counter) == (fault.text, counter)


def test_a_confirmed_service_error_is_an_exception_with_its_words():
    fault = ConfirmedServiceError(ConfirmedService.READ, ServiceErrorCategory.ACCESS, 3)
    failure = of_fault(fault)
    assert (failure.kind, failure.code) == (FailureKind.EXCEPTION, str(fault))


@pytest.mark.parametrize("result", [DataAccessResult.READ_WRITE_DENIED, ActionResult.TEMPORARY_FAILURE])
def test_a_refused_attribute_or_method_keeps_its_result(result):
    failure = of_result("read 1-0:1.8.0", result)
    assert (failure.kind, failure.code) == (FailureKind.REFUSED, result.text)
    assert str(failure).startswith("read 1-0:1.8.0")


def test_a_proof_that_the_peer_refuses_is_no_plain_refusal():
    assert of_proof_result(ActionResult.OTHER_REASON).kind is FailureKind.PROOF_REFUSED


def test_a_replay_whose_words_name_the_counter_is_a_replay_and_not_a_counter_that_is_behind():
    error = ReplayError("invocation counter 5 is not above 7", None, "invocation-counter")
    failure = of_apdu_error(error)
    assert "invocation counter" in str(failure)
    assert failure.kind is FailureKind.REPLAY
    assert failure.error is error


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (KeyWrongError("x"), FailureKind.KEY_WRONG),
        (KeyMissingError("x"), FailureKind.KEY_MISSING),
        (SecurityError("x"), FailureKind.NOT_PROTECTED),
        (WireError("key"), FailureKind.PROTOCOL),
    ],
)
def test_an_apdu_that_cannot_be_taken_has_a_kind_by_the_type_of_its_error(error, kind):
    assert of_apdu_error(error).kind is kind
