import pytest

from meterspan.head_end.remedies import REMEDIES, advice
from meterspan.model.failures import Failure, FailureKind


@pytest.mark.parametrize("kind", list(FailureKind))
def test_every_kind_of_failure_says_what_to_do(kind: FailureKind) -> None:
    assert len(REMEDIES[kind]) > 20
    assert advice(Failure(kind)) == REMEDIES[kind]
    assert advice(Failure(kind, "octet 14")) == f"{REMEDIES[kind]} (octet 14)"


def test_the_words_of_a_failure_decide_nothing() -> None:
    misleading = "invocation-counter 5 is not above 7; tag differs; authentication-failure"
    assert advice(Failure(FailureKind.TIMEOUT, misleading)).startswith(REMEDIES[FailureKind.TIMEOUT])
