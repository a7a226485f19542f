"""What SQLite and the operating system raise becomes a storage error of the right sort."""

import contextlib
import errno
import sqlite3

import pytest

from meterspan.model.storage.errors import (
    DamagedError,
    StorageClosedError,
    StorageError,
    StorageFullError,
    StorageLockedError,
    StorageUnavailableError,
)
from meterspan.store.edge import harden, storage_errors, translated


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (errno.ENOSPC, StorageFullError),
        (errno.EDQUOT, StorageFullError),
        (errno.EFBIG, StorageFullError),
        (errno.EIO, StorageUnavailableError),
        (errno.EROFS, StorageUnavailableError),
        (errno.EACCES, StorageUnavailableError),
    ],
)
def test_an_error_of_the_operating_system_is_full_or_unavailable(number, kind):
    with pytest.raises(kind, match="journal") as caught, storage_errors("journal"):
        raise OSError(number, "said by the kernel")
    assert caught.value.path == "journal"
    assert isinstance(caught.value.__cause__, OSError)


@pytest.fixture
def database(tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as connection:
        harden(connection, busy_timeout_s=0.01)
        connection.execute("create table t (x integer not null check (x < 9), octets blob)")
        yield connection


def test_a_database_that_may_not_grow_is_full(database):
    (pages,) = database.execute("pragma page_count").fetchone()
    database.execute(f"pragma max_page_count = {pages}")
    with pytest.raises(StorageFullError), storage_errors("a.db"):
        database.execute("insert into t values (1, zeroblob(100000))")


def test_a_database_that_another_holds_is_locked(database, tmp_path):
    with contextlib.closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as other:
        other.execute("begin exclusive")
        with pytest.raises(StorageLockedError), storage_errors("a.db"):
            database.execute("insert into t values (1, null)")


def test_a_file_that_is_no_database_is_damaged(tmp_path):
    (tmp_path / "b.db").write_bytes(b"not a database at all, not even nearly one" * 99)
    connection = sqlite3.connect(tmp_path / "b.db")
    with pytest.raises(DamagedError), storage_errors("b.db"):
        connection.execute("select * from t")
    connection.close()


def test_a_closed_database_says_so(tmp_path):
    connection = sqlite3.connect(tmp_path / "c.db")
    connection.close()
    with pytest.raises(StorageClosedError), storage_errors("c.db"):
        connection.execute("select 1")


def test_a_statement_that_cannot_be_is_a_storage_error_of_no_special_sort(database):
    with pytest.raises(StorageError) as caught, storage_errors("a.db"):
        database.execute("select * from nowhere")
    assert type(caught.value) is StorageError


def test_values_that_break_a_constraint_are_the_fault_of_who_gave_them(database):
    with pytest.raises(ValueError, match="CHECK"), storage_errors("a.db"):
        database.execute("insert into t values (10, null)")


def test_what_is_no_error_of_storage_stays_as_it_is():
    error = KeyError("x")
    assert translated(error, "a.db") is error


def test_text_that_is_no_text_is_damage():
    with pytest.raises(DamagedError), storage_errors("a.db"):
        b"\xff".decode()
