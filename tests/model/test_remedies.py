import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.model import damage, notes
from meterspan.model.failures import Failure, FailureKind
from meterspan.model.remedies import ENGLISH, NO_REASON, REMEDIES, Reason, Situation, reason_of, tell


@pytest.mark.parametrize("kind", list(FailureKind))
def test_every_kind_of_failure_says_what_to_do(kind: FailureKind) -> None:
    assert len(REMEDIES[kind]) > 20
    assert tell(reason_of(Failure(kind))) == REMEDIES[kind]
    assert tell(reason_of(Failure(kind, "octet 14"))) == f"{REMEDIES[kind]} (octet 14)"


def test_the_words_of_a_failure_decide_nothing() -> None:
    misleading = "invocation-counter 5 is not above 7; tag differs; authentication-failure"
    assert tell(reason_of(Failure(FailureKind.TIMEOUT, misleading))).startswith(REMEDIES[FailureKind.TIMEOUT])


@given(st.sampled_from(Situation), st.sampled_from(FailureKind), st.text("{}() ab"), st.text("{}AB"), st.integers(0))
def test_a_reason_holds_all_that_its_sentence_names_and_data_are_never_places(
    situation: Situation, kind: FailureKind, detail: str, through: str, count: int
) -> None:
    told = tell(Reason(situation, kind, detail, through, count))
    sentence = ENGLISH[f"situation.{situation}"]
    if "{why}" in sentence:
        assert REMEDIES[kind] in told
        assert f"({detail})" in told or not detail
    if "{through}" in sentence and through:
        assert f" through {through}" in told
    if "{count}" in sentence:
        assert str(count) in told
    if situation is Situation.NONE:
        assert told == ""


def test_a_failure_is_the_reason_of_what_failed_and_nothing_has_no_reason() -> None:
    assert reason_of(None) is NO_REASON
    assert (str(NO_REASON), bool(NO_REASON)) == ("", False)
    reason = reason_of(Failure(FailureKind.NO_LINK, "no UA"), Situation.NOT_REACHED, through="LNAP 1")
    assert str(reason) == f"Not reached through LNAP 1: {REMEDIES[FailureKind.NO_LINK]} (no UA)"


def test_the_keys_of_the_sentences_are_those_of_kinds_and_situations() -> None:
    keys = {f"remedy.{kind}" for kind in FailureKind} | {f"situation.{situation}" for situation in Situation}
    assert set(ENGLISH) == keys | {"situation.through"} | set(damage.ENGLISH) | set(notes.ENGLISH)
    of_meters = " ".join(text for key, text in ENGLISH.items() if key not in notes.ENGLISH)
    assert set(re.findall(r"\{(\w+)\}", of_meters)) == {"why", "through", "count", "point", "at"}
