"""The journal's tables: made once, brought to this format whole or not at all."""

import sqlite3
from contextlib import closing

import pytest

from meterspan.model.storage.readings import DamageKind, QuarantinedItem
from meterspan.store import journal
from tests.store.contract import T0, readings


@pytest.fixture
def connection(tmp_path):
    with closing(sqlite3.connect(tmp_path / "journal.sqlite", isolation_level=None)) as connection:
        yield connection


def as_format_1(connection):
    connection.executescript(
        "drop table unsettled; drop table quarantined; drop table import_part; drop table import_file;"
        "pragma user_version = 1;"
    )


def tables(connection):
    return {name for (name,) in connection.execute("select name from sqlite_master where type = 'table'")}


def test_a_journal_of_format_1_gets_its_tables_and_the_days_of_its_batches(connection, tmp_path):
    journal.prepare(connection, tmp_path)
    journal.insert_batch(connection, readings([(1, T0, 5), (1, T0 + 900, 6), (2, T0 + 86_400, 7)]))
    as_format_1(connection)
    for _ in range(2):
        journal.prepare(connection, tmp_path)
        ((_number, days),) = journal.unsettled_rows(connection)
        assert (days.series.tolist(), days.readings.tolist()) == ([1, 2], [2, 1])
        assert connection.execute("pragma user_version").fetchone() == (journal.FORMAT,)


def test_what_format_2_quarantined_gets_its_kind_and_an_unknown_time(connection, tmp_path):
    journal.prepare(connection, tmp_path)
    connection.executescript(
        "drop table import_part; drop table import_file;"
        "alter table quarantined drop column kind; alter table quarantined drop column found_at;"
        "insert into quarantined values ('batch 4', 'cut', 'journal', 96, 10, 20, x'00');"
        "insert into quarantined values ('days to settle 2', 'cut', 'journal', 0, null, null, x'00');"
        "insert into quarantined values ('2026-03-01-00000001.parquet', 'gone', '', 96, 10, 20, null);"
        "pragma user_version = 2;"
    )
    assert [item.found_at for item in journal.quarantined_rows(connection)] == [None] * 3, "read without converting it"
    journal.prepare(connection, tmp_path)
    found = journal.quarantined_rows(connection)
    assert [item.kind for item in found] == [DamageKind.BATCH, DamageKind.DAYS, DamageKind.SEGMENT]
    assert [item.found_at for item in found] == [None] * 3
    journal.insert_quarantined(connection, QuarantinedItem("batch 5", "cut", "journal", 0, 1, 2, DamageKind.BATCH, 77))
    assert journal.quarantined_rows(connection)[-1].found_at == 77


def test_an_upgrade_that_fails_leaves_format_1_as_it_was(connection, tmp_path, monkeypatch):
    journal.prepare(connection, tmp_path)
    journal.insert_batch(connection, readings([(1, T0, 5)]))
    as_format_1(connection)
    before = tables(connection)

    def fails(_connection):
        raise OSError("the disk went away")

    with monkeypatch.context() as patch:
        patch.setattr(journal, "pending_days", fails)
        with pytest.raises(OSError, match="went away"):
            journal.prepare(connection, tmp_path)
    assert tables(connection) == before
    assert connection.execute("pragma user_version").fetchone() == (1,)
    journal.prepare(connection, tmp_path)
    assert len(list(journal.unsettled_rows(connection))) == 1


def test_an_extent_is_what_the_octets_say(connection, tmp_path):
    journal.prepare(connection, tmp_path)
    batch = readings([(3, T0 + 5, 1), (2, T0, 9)])
    journal.insert_batch(connection, batch)
    (row,) = journal.batch_rows(connection)
    assert tuple(row)[1:] == journal.extent_of(batch) == (2, T0, T0 + 5, 2, 3)
    connection.execute("update batch set readings = 9")
    journal.repair_extent(connection, row, batch)
    assert journal.batch_rows(connection) == [row]


def test_a_journal_of_format_1_that_is_only_read_has_nothing_quarantined_and_no_days_to_settle():
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript("create table segment (name text primary key); pragma user_version = 1")
        connection.executemany("insert into segment values (?)", [("b",), ("a",)])
        assert journal.quarantined_rows(connection) == []
        assert list(journal.unsettled_rows(connection)) == []
        assert journal.segment_names(connection) == ["a", "b"]
