"""Counters, named states and outboxes survive everything but their own discarding."""

import multiprocessing
import os
import signal
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from meterspan.model.storage.errors import DamagedError, StorageFullError, StorageLockedError, UnknownFormatError
from meterspan.runtime.state import StateFile


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "entity" / "state.db"


@pytest.fixture
def state(path: Path) -> Iterator[StateFile]:
    with StateFile(path) as state:
        yield state


def test_reserved_counters_never_come_twice_even_after_a_restart(path: Path) -> None:
    with StateFile(path) as state:
        assert state.reserve("meter/glo", 10) == 1
        assert state.reserve("meter/glo", 5) == 11
    with StateFile(path) as state:
        assert state.reserve("meter/glo", 1) == 16
        assert state.reserve("other", 1) == 1


def test_a_received_counter_must_rise_even_after_a_restart(path: Path) -> None:
    with StateFile(path) as state:
        assert state.accept("meter", 7)
        assert not state.accept("meter", 7)
        assert not state.accept("meter", 3)
    with StateFile(path) as state:
        assert not state.accept("meter", 7)
        assert state.accept("meter", 8)
        assert (state.accepted("meter"), state.accepted("unknown")) == (8, 0)


def test_a_reservation_of_nothing_is_refused(state: StateFile) -> None:
    with pytest.raises(ValueError, match="reserve"):
        state.reserve("meter", 0)


def test_a_saved_state_is_replaced_whole(state: StateFile) -> None:
    assert state.load("breaker") is None
    state.save("breaker", b"open")
    state.save("breaker", b"closed")
    assert state.load("breaker") == b"closed"


def test_an_outbox_gives_oldest_first_and_forgets_only_what_is_discarded(path: Path) -> None:
    with StateFile(path) as state:
        outbox = state.outbox("upstream")
        numbers = [outbox.append(bytes([number])) for number in range(5)]
        state.outbox("other").append(b"other")
        assert [octets for _, octets in outbox.peek(3)] == [b"\x00", b"\x01", b"\x02"]
        outbox.discard(numbers[1])
    with StateFile(path) as state:
        assert [octets for _, octets in state.outbox("upstream").peek(10)] == [b"\x02", b"\x03", b"\x04"]
        assert state.outbox("upstream").append(b"\x05") > numbers[-1]


def test_the_file_is_private(state: StateFile, path: Path) -> None:
    assert state.load("nothing") is None
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_of_a_later_version_is_refused_in_words(path: Path) -> None:
    StateFile(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with pytest.raises(UnknownFormatError, match="format 99"):
        StateFile(path)


def _count_until_killed(path: Path, pipe: int) -> None:
    state = StateFile(path)
    while True:
        os.write(pipe, state.reserve("meter", 1).to_bytes(4, "big"))


def test_no_counter_that_left_the_house_is_given_again_after_kill_9(path: Path) -> None:
    highest = 0
    for _ in range(3):
        read_end, write_end = os.pipe()
        process = multiprocessing.get_context("fork").Process(target=_count_until_killed, args=(path, write_end))
        process.start()
        os.close(write_end)
        used = [int.from_bytes(os.read(read_end, 4), "big") for _ in range(20)]
        os.kill(process.pid or 0, signal.SIGKILL)
        process.join()
        while left := os.read(read_end, 4):
            used.append(int.from_bytes(left, "big"))
        os.close(read_end)
        assert used[0] > highest
        assert used == sorted(set(used))
        highest = used[-1]


def test_a_counter_that_cannot_be_stored_is_not_given(path: Path) -> None:
    with StateFile(path) as state:
        assert state.reserve("meter", 5) == 1
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("begin exclusive")
            with pytest.raises(StorageLockedError):
                state.reserve("meter", 5)
            with pytest.raises(StorageLockedError):
                state.accept("meter", 9)
            with pytest.raises(StorageLockedError):
                state.save("breaker", b"open")
            with pytest.raises(StorageLockedError):
                state.outbox("upstream").append(b"row")
        assert state.reserve("meter", 1) == 6, "what failed was not counted, and all of it heals"
        assert state.accept("meter", 9)


def test_a_full_disk_stops_the_state_and_room_heals_it(path: Path) -> None:
    with StateFile(path) as state:
        with closing(sqlite3.connect(path)) as other:
            (pages,) = other.execute("pragma page_count").fetchone()
        state._db.execute(f"pragma max_page_count = {pages}")
        with pytest.raises(StorageFullError):
            state.save("layout", bytes(1_000_000))
        state._db.execute("pragma max_page_count = 1000000")
        state.save("layout", bytes(1_000))
        assert state.load("layout") == bytes(1_000)


def test_a_state_file_that_is_no_database_any_more_is_damaged(path: Path) -> None:
    StateFile(path).close()
    path.write_bytes(b"something else altogether" * 999)
    with pytest.raises(DamagedError, match="backup"):
        StateFile(path)
