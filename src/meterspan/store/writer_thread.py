"""The thread that owns all writes of a journal: it runs the jobs of all callers, those that wait in one transaction.

A job that fails takes only itself back, to the savepoint before it. Where the transaction fails, all of it is taken
back, and every caller gets the failure. A caller waits where too many jobs do, which is the back-pressure.
"""

import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from meterspan.model.storage.errors import StorageClosedError
from meterspan.store.changes import Changes
from meterspan.store.edge import translated

__all__ = ["MAX_GROUP", "MAX_WAITING", "WriterThread"]

MAX_GROUP: Final = 256
"""Jobs of one commit: more would only lengthen the wait of the first one."""
MAX_WAITING: Final = 4_096
"""Jobs waiting for the thread; beyond that the caller waits."""


@dataclass(frozen=True, slots=True)
class _Job:
    run: Callable[[sqlite3.Connection], Any]
    done: "Future[Any]"


class WriterThread:
    """Runs jobs in the order in which they are handed over, from its making until ``close``.

    Args:
        connection: to the journal; only this thread uses it meanwhile.
        path: of the journal, named in errors.
        changes: what the jobs change in memory; taken back with them.
        finish: called in each transaction after its jobs; where it raises, the transaction is taken back.
        rest: called after each transaction.

    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        path: Path,
        *,
        changes: Changes,
        finish: Callable[[sqlite3.Connection], None],
        rest: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._path = path
        self._changes = changes
        self._finish = finish
        self._rest = rest
        self._jobs: queue.Queue[_Job | None] = queue.Queue(MAX_WAITING)
        self._door = threading.Lock()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="reading-store-writer", daemon=True)
        self._thread.start()

    def enqueue(self, run: Callable[[sqlite3.Connection], Any]) -> "Future[Any]":
        """Hand a job over; its future has what it returned once that is durable, or why it failed.

        Raises:
            StorageClosedError: the thread has ended, or is about to.

        """
        done: Future[Any] = Future()
        with self._door:  # the thread never takes it, so that a full queue cannot lock it out
            if self._is_closed:
                raise StorageClosedError("the store is closed", str(self._path.parent))
            self._jobs.put(_Job(run, done))
        return done

    def submit_unseen(self, run: Callable[[sqlite3.Connection], None]) -> None:
        """Hand a job over without waiting, from any thread; where too many wait, it is not done."""
        with contextlib.suppress(queue.Full):
            self._jobs.put_nowait(_Job(run, Future()))

    def close(self) -> None:
        """Finish the jobs that wait, and end the thread."""
        with self._door:
            self._is_closed = True
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            group = [job]
            stop = False
            while len(group) < MAX_GROUP:
                try:
                    following = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if following is None:
                    stop = True
                    break
                group.append(following)
            self._commit(group)
            self._rest()
            if stop:
                return

    def _commit(self, group: list[_Job]) -> None:
        results: list[tuple[_Job, Any]] = []
        failures: list[tuple[_Job, BaseException]] = []
        connection = self._connection
        self._changes.begin()
        try:
            connection.execute("begin immediate")
            for job in group:
                if not job.done.set_running_or_notify_cancel():  # its caller was cancelled
                    continue
                mark = self._changes.mark()
                connection.execute("savepoint job")
                try:
                    results.append((job, job.run(connection)))
                except Exception as error:  # noqa: BLE001 - handed to the caller who waits for the job
                    connection.execute("rollback to job")
                    self._changes.back_to(mark)
                    failures.append((job, error))
                connection.execute("release job")
            self._finish(connection)
            connection.execute("commit")
        except BaseException as error:  # noqa: BLE001 - handed to every caller of the group
            with contextlib.suppress(sqlite3.Error):  # a disk that is gone must not end the thread: callers wait
                if connection.in_transaction:
                    connection.execute("rollback")
            self._changes.back_to(0)
            results, failures = [], [(job, error) for job in group if not job.done.cancelled()]
        for job, result in results:
            job.done.set_result(result)
        for job, failure in failures:
            job.done.set_exception(translated(failure, self._path))
