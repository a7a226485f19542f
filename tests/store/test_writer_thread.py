"""One thread writes for all callers: a job that fails takes itself back, a transaction that fails all of its jobs."""

import sqlite3
import threading
from contextlib import contextmanager

import pytest

from meterspan.model.storage.errors import StorageClosedError, StorageError
from meterspan.store import writer_thread
from meterspan.store.batch_cache import BatchCache
from meterspan.store.changes import Changes
from meterspan.store.series_bounds import SeriesBounds
from meterspan.store.writer_thread import WriterThread


@contextmanager
def writing(tmp_path, finish=lambda _connection: None, rest=lambda: None):
    path = tmp_path / "journal.sqlite"
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    connection.execute("create table number (value integer)")
    changes = Changes(SeriesBounds(), BatchCache())
    thread = WriterThread(connection, path, changes=changes, finish=finish, rest=rest)
    try:
        yield thread
    finally:
        thread.close()
        connection.close()


def insert(value):
    return lambda connection: connection.execute("insert into number values (?)", (value,)).rowcount


def numbers(tmp_path):
    connection = sqlite3.connect(tmp_path / "journal.sqlite")
    try:
        return sorted(value for (value,) in connection.execute("select value from number"))
    finally:
        connection.close()


def blocked(thread):
    """Hold the thread in a job; return what lets it go on, and a job's future."""
    may_go, is_here = threading.Event(), threading.Event()

    def wait(_connection):
        is_here.set()
        may_go.wait(10)

    future = thread.enqueue(wait)
    assert is_here.wait(10)
    return may_go, future


def test_jobs_that_wait_are_committed_together_and_one_that_fails_takes_itself_back(tmp_path):
    commits = []

    def fail(connection):
        insert(99)(connection)
        raise KeyError("wrong")

    with writing(tmp_path, rest=lambda: commits.append(numbers(tmp_path))) as thread:
        may_go, _first = blocked(thread)
        futures = [thread.enqueue(run) for run in (insert(1), fail, insert(2))]
        may_go.set()
        assert (futures[0].result(10), futures[2].result(10)) == (1, 1)
        with pytest.raises(KeyError, match="wrong"):
            futures[1].result(10)
    assert commits == [[], [1, 2]]


def test_a_transaction_that_fails_takes_all_jobs_back_and_tells_each_caller_and_the_next_one_runs(tmp_path):
    failures = [sqlite3.OperationalError("disk I/O error")]

    def finish(connection):
        if failures and connection.execute("select count(*) from number").fetchone() == (2,):
            raise failures.pop()

    with writing(tmp_path, finish) as thread:
        may_go, first = blocked(thread)
        futures = [thread.enqueue(insert(value)) for value in (1, 2)]
        may_go.set()
        first.result(10)
        for future in futures:
            with pytest.raises(StorageError):
                future.result(10)
        assert thread.enqueue(insert(3)).result(10) == 1
    assert numbers(tmp_path) == [3]


def test_what_waits_is_finished_before_the_thread_ends_and_nothing_is_taken_then(tmp_path):
    with writing(tmp_path) as thread:
        for value in range(3):
            thread.enqueue(insert(value))
        thread.close()
        assert numbers(tmp_path) == [0, 1, 2]
        with pytest.raises(StorageClosedError, match="closed"):
            thread.enqueue(insert(4))


def test_a_job_that_nobody_waits_for_is_left_out_where_too_many_wait(tmp_path, monkeypatch):
    monkeypatch.setattr(writer_thread, "MAX_WAITING", 2)
    with writing(tmp_path) as thread:
        may_go, _first = blocked(thread)
        for value in range(3):
            thread.submit_unseen(insert(value))
        may_go.set()
    assert numbers(tmp_path) == [0, 1]
