"""The error tree of data at rest."""

from meterspan.model.storage import errors
from meterspan.model.storage.errors import StorageError


def test_every_storage_error_has_a_code_and_only_those_that_pass_by_themselves_are_transient():
    tree = {name: getattr(errors, name) for name in errors.__all__}
    assert all(issubclass(kind, StorageError) and kind.code for kind in tree.values())
    assert {name for name, kind in tree.items() if kind.is_transient} == {
        "StorageFullError",
        "StorageLockedError",
        "StorageUnavailableError",
    }


def test_a_storage_error_says_its_file_first():
    assert str(errors.StorageFullError("no room", "/data/journal.sqlite")) == "/data/journal.sqlite: no room"
    assert str(errors.StorageClosedError("the store is closed")) == "the store is closed"
