"""The journal's record of imports: counts, parts and what was undone come back as they were written."""

import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

from meterspan.model.storage.errors import DamagedBatchError
from meterspan.model.storage.readings import ImportRecord
from meterspan.store import imports, journal
from tests.store.contract import T0, readings, rows_of


@pytest.fixture
def connection(tmp_path):
    with closing(sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)) as connection:
        journal.prepare(connection, tmp_path)
        yield connection


def test_an_import_comes_back_with_its_parts_in_order(connection):
    record = imports.insert_import(connection, ImportRecord(0, "in.csv", b"digest", T0))
    assert record.number == 1
    imports.insert_part(connection, record, readings([(1, T0, 5)]))
    imports.insert_part(connection, record, readings([(2, T0, 6)]))
    counted = replace(record, readings=2, duplicates=3, conflicts=1, first_time=T0, last_time=T0 + 9)
    imports.set_counts(connection, counted)
    assert imports.import_rows(connection) == [counted]
    assert [rows_of(part) for part in imports.import_parts(connection, 1)] == [[(1, T0, 5)], [(2, T0, 6)]]
    assert imports.import_record(connection, 2) is None
    assert not imports.has_undone(connection)
    imports.set_undone(connection, 1, T0 + 99)
    assert imports.import_record(connection, 1) == replace(counted, undone_at=T0 + 99)
    assert imports.has_undone(connection)


def test_a_damaged_copy_is_named(connection):
    record = imports.insert_import(connection, ImportRecord(0, "in.csv", b"digest", T0))
    imports.insert_part(connection, record, readings([(1, T0, 5)]))
    connection.execute("update import_part set octets = x'00'")
    with pytest.raises(DamagedBatchError):
        list(imports.import_parts(connection, 1))
