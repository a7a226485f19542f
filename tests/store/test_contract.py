"""Every backend keeps the contract of its port; the types say that it has all of it."""

import os

import pytest
import sqlalchemy as sa

from meterspan.store.reading_store import ReadingStore
from meterspan.store.registry import Registry
from tests.store.contract import JournalContract, RegistryContract
from tests.store.memory_backends import MemoryJournal, MemoryRegistry

POSTGRESQL = os.environ.get("MESP_TEST_POSTGRESQL", "")
"""URL of an empty PostgreSQL database; without it the registry is tested on SQLite and in memory."""


class TestReadingStore(JournalContract):
    """SQLite journal and Parquet segments."""

    @pytest.fixture
    def place(self, tmp_path):
        return tmp_path

    def open(self, place):
        return ReadingStore(place)


class TestMemoryJournal(JournalContract):
    """Dictionaries."""

    @pytest.fixture
    def place(self):
        return {}

    def open(self, place):
        return MemoryJournal(place)


class TestSqliteRegistry(RegistryContract):
    """SQLAlchemy on an SQLite file."""

    @pytest.fixture
    def place(self, tmp_path):
        return f"sqlite:///{tmp_path / 'registry.sqlite'}"

    def open(self, place):
        return Registry(place)


class TestMemoryRegistry(RegistryContract):
    """Dictionaries."""

    @pytest.fixture
    def place(self):
        return {}

    def open(self, place):
        return MemoryRegistry(place)


@pytest.mark.skipif(not POSTGRESQL, reason="MESP_TEST_POSTGRESQL names no database")
class TestPostgresqlRegistry(RegistryContract):
    """SQLAlchemy on PostgreSQL."""

    @pytest.fixture
    def place(self):
        engine = sa.create_engine(POSTGRESQL)
        with engine.begin() as connection:
            connection.execute(sa.text("drop schema public cascade"))
            connection.execute(sa.text("create schema public"))
        engine.dispose()
        return POSTGRESQL

    def open(self, place):
        return Registry(place)
