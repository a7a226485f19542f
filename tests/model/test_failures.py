import pytest

from meterspan.model.failures import Failure, FailureKind, kind_of_error
from meterspan.model.storage.errors import StorageFullError, UnknownFormatError
from meterspan.wire.errors import (
    ChecksumError,
    KeyMissingError,
    KeyWrongError,
    ReplayError,
    TruncatedError,
    UnsupportedError,
    WireError,
)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (KeyMissingError("x"), FailureKind.KEY_MISSING),
        (KeyWrongError("x"), FailureKind.KEY_WRONG),
        (ReplayError("x"), FailureKind.REPLAY),
        (ChecksumError("x"), FailureKind.DAMAGED),
        (TruncatedError("x"), FailureKind.DAMAGED),
        (UnsupportedError("x"), FailureKind.UNSUPPORTED),
        (WireError("invocation-counter"), FailureKind.UNREADABLE),
    ],
)
def test_the_kind_of_an_error_goes_by_its_type_never_by_its_words(error: WireError, kind: FailureKind) -> None:
    assert kind_of_error(error) is kind
    failure = Failure.of_error(error)
    assert (failure.kind, failure.error) == (kind, error)
    assert str(failure) == str(error)


def test_a_failure_without_detail_reads_as_its_kind() -> None:
    assert str(Failure(FailureKind.COUNTER_BEHIND)) == "counter behind"


def test_a_storage_error_is_a_failure_of_storage_that_says_its_sort_and_whether_waiting_helps():
    full, newer = Failure.of_storage(StorageFullError("no room", "a.db")), UnknownFormatError("a.db", 9, 1)
    assert (full.kind, full.code, full.permanent, full.detail) == (FailureKind.STORAGE, "full", False, "a.db: no room")
    assert Failure.of_storage(newer).permanent
