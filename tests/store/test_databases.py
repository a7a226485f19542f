"""A database by URL: known kinds only, its version compared, its errors translated."""

import pytest
import sqlalchemy as sa

from meterspan.model.storage.errors import (
    DamagedError,
    StorageFullError,
    StorageLockedError,
    StorageUnavailableError,
    UnknownFormatError,
)
from meterspan.store.databases import Database, file_url

TABLES = sa.MetaData()
VERSIONS = sa.Table("schema_version", TABLES, sa.Column("version", sa.Integer, primary_key=True))
ITEMS = sa.Table(
    "item", TABLES, sa.Column("name", sa.Text, primary_key=True), sa.Column("count", sa.Integer, nullable=False)
)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "folder" / "a.sqlite"


@pytest.fixture
def database(path):
    database = Database(file_url(path), TABLES, version=2)
    yield database
    database.close()


def items(database):
    with database.reading() as connection:
        return [tuple(row) for row in connection.execute(sa.select(ITEMS).order_by(ITEMS.c.name))]


def test_a_row_is_added_or_replaced(database):
    for name, count in (("a", 1), ("b", 2), ("a", 3)):
        with database.writing() as connection:
            database.upsert(connection, ITEMS, [{"name": name, "count": count}])
    assert items(database) == [("a", 3), ("b", 2)]


def test_what_is_written_is_all_there_or_nothing_is(database):
    def write(*counts):
        with database.writing() as connection:
            for count in counts:
                database.upsert(connection, ITEMS, [{"name": f"of {count}", "count": count}])

    with pytest.raises(ValueError, match="NOT NULL"):
        write(1, None)
    assert items(database) == []


@pytest.mark.parametrize(
    ("url", "words"),
    [("nowhere", "not a database URL"), ("mysql://host/x", "mysql is not known here"), ("", "not a database URL")],
)
def test_a_url_that_is_none_or_of_another_kind_is_refused(url, words):
    with pytest.raises(ValueError, match=words):
        Database(url, TABLES, version=1)


def test_a_password_is_in_no_message():
    with pytest.raises((StorageUnavailableError, ValueError)) as caught:
        Database("postgresql+psycopg://me:hunter2@127.0.0.1:1/x", TABLES, version=1)
    assert "hunter2" not in str(caught.value)


def test_an_older_database_is_raised_and_a_newer_one_refused_before_anything_is_made(path, database):
    database.close()
    with pytest.raises(UnknownFormatError, match="format 2"):
        Database(file_url(path), TABLES, version=1)
    newer = Database(file_url(path), TABLES, version=3)
    with newer.reading() as connection:
        assert connection.execute(sa.select(sa.func.max(VERSIONS.c.version))).scalar() == 3
    newer.close()


class DriverError(Exception):
    """What a driver of PostgreSQL raises: the standard's code is in ``sqlstate``."""

    def __init__(self, sqlstate):
        super().__init__("said by the server")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("sqlstate", "kind"),
    [
        ("53100", StorageFullError),
        ("55P03", StorageLockedError),
        ("XX001", DamagedError),
        ("57P01", StorageUnavailableError),
        (None, StorageUnavailableError),
    ],
)
def test_the_code_of_postgresql_decides_the_sort_of_error(database, sqlstate, kind):
    with pytest.raises(kind), database.writing():
        raise sa.exc.OperationalError("insert", {}, DriverError(sqlstate))
