"""At its opening a store is compared with its files: nothing is lost without a name, nothing of others is removed."""

import contextlib
import sqlite3

import pytest

from meterspan.model.storage.errors import ForeignSegmentError
from meterspan.store import journal
from meterspan.store.opening import StoreOpening
from meterspan.store.quarantine import StoreQuarantine
from meterspan.store.reading_store import ReadingStore
from tests.store.test_reading_store import DAY_S, T0, day_rows, readings, rows_of


@pytest.fixture
def opening(tmp_path):
    """A closed store with a segment and a batch, opened by its parts."""
    with ReadingStore(tmp_path) as store:
        store.append(readings(day_rows(0)))
        store.append(readings(day_rows(1, first=96)))
        store.compact(T0 + DAY_S)
    path = tmp_path / "journal.sqlite"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        quarantine = StoreQuarantine(tmp_path, path)
        yield StoreOpening(connection, tmp_path / "segments", quarantine), connection, quarantine


def segment_of(tmp_path):
    (path,) = (tmp_path / "segments").iterdir()
    return path


def test_a_whole_store_is_left_as_it_is(tmp_path, opening):
    opened, connection, quarantine = opening
    segment = segment_of(tmp_path)
    opened.compare_segments()
    assert [rows_of(batch) for batch in opened.batches()] == [day_rows(1, first=96)]
    assert ([row.name for row in journal.segment_rows(connection)], quarantine.items()) == ([segment.name], [])


def test_a_segment_that_is_lost_is_named_and_counts_again_once_it_is_restored(tmp_path, opening):
    opened, connection, quarantine = opening
    segment = segment_of(tmp_path)
    octets = segment.read_bytes()
    segment.unlink()
    opened.compare_segments()
    assert journal.segment_row(connection, segment.name) is None
    assert [(item.name, item.readings) for item in journal.quarantined_rows(connection)] == [(segment.name, 96)]
    segment.write_bytes(octets)
    opened.compare_segments()
    assert journal.segment_row(connection, segment.name).readings == 96
    assert (quarantine.items(), journal.quarantined_rows(connection)) == ([], [])


def test_a_leftover_of_a_cut_compaction_is_removed_and_a_segment_of_another_store_stops_the_opening(tmp_path, opening):
    opened, connection, _quarantine = opening
    segment = segment_of(tmp_path)
    leftover = segment.with_name(f"{segment.name}.tmp")
    leftover.write_bytes(b"half")
    opened.compare_segments()
    assert not leftover.exists()
    connection.execute("delete from segment")
    connection.execute("delete from meta where name = 'segment_number'")
    with pytest.raises(ForeignSegmentError):
        opened.compare_segments()
    assert segment.exists()


def test_a_damaged_batch_is_set_aside_and_a_damaged_extent_is_written_anew(opening):
    opened, connection, quarantine = opening
    connection.execute("update batch set first_time = 0, last_time = 5")
    assert [len(batch) for batch in opened.batches()] == [96]
    (row,) = journal.batch_rows(connection)
    assert (row.first_time, row.last_time) == (T0 + DAY_S, T0 + DAY_S + 95 * 900)
    connection.execute("update batch set octets = x'00'")
    assert list(opened.batches()) == []
    assert (journal.batch_rows(connection), len(journal.quarantined_rows(connection))) == ([], 1)
    assert quarantine.hides(f"batch {row.seq}")


def test_what_cannot_be_written_now_is_taken_back(opening):
    opened, connection, _quarantine = opening

    def fail(writer):
        writer.execute("delete from batch")
        raise sqlite3.OperationalError("disk I/O error")

    assert not opened.commit_now(fail)
    assert (len(journal.batch_rows(connection)), connection.in_transaction) == (1, False)
    assert opened.commit_now(lambda writer: writer.execute("delete from batch"))
    assert journal.batch_rows(connection) == []
