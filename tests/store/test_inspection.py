"""A file is looked at without being changed, and its damage is an error of storage."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from meterspan.model.storage.errors import DamagedError, StorageError, UnknownFormatError
from meterspan.store.inspection import inspected


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript("create table t (x); insert into t values (1); pragma user_version = 3;")
    return path


def test_a_whole_file_is_read_and_stays_as_it_is(path: Path) -> None:
    before = path.read_bytes()
    with inspected(path) as file:
        file.require_whole()
        assert (file.path, file.format_up_to(3)) == (path, 3)
        assert file.connection.execute("select x from t").fetchall() == [(1,)]
    assert path.read_bytes() == before


def test_nothing_is_written_through_it(path: Path) -> None:
    with pytest.raises(StorageError), inspected(path) as file:
        file.connection.execute("insert into t values (2)")


def test_a_file_that_is_not_there_is_an_error_and_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(StorageError), inspected(tmp_path / "none.sqlite") as file:
        file.require_whole()
    assert list(tmp_path.iterdir()) == []


def test_a_newer_format_is_refused_with_its_number(path: Path) -> None:
    with pytest.raises(UnknownFormatError) as caught, inspected(path) as file:
        file.format_up_to(2)
    assert (caught.value.found, caught.value.known) == (3, 2)


def test_octets_that_are_no_database_are_damage(path: Path) -> None:
    path.write_bytes(b"SQLite format 3\0" + bytes(4_096))
    with pytest.raises(DamagedError), inspected(path) as file:
        file.require_whole()
