"""Counters, named states and outboxes survive everything but their own discarding."""

import multiprocessing
import os
import shutil
import signal
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from meterspan.model.storage.errors import (
    CopiedCountersError,
    DamagedError,
    StorageFullError,
    StorageLockedError,
    UnknownFormatError,
)
from meterspan.runtime.state import LEAD, StateFile
from meterspan.store.counter_marks import COPY_JUMP, JUMP_PER_S, MarksPlace


@pytest.fixture
def path(tmp_path: Path, marks: Path) -> Path:
    assert not marks.exists()
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


def test_a_counter_that_cannot_be_stored_is_not_given(path: Path, marks: Path) -> None:
    with StateFile(path) as state:
        assert state.reserve("meter", 5) == 1
        with closing(sqlite3.connect(marks / "marks.sqlite", isolation_level=None)) as other:
            other.execute("begin exclusive")
            with pytest.raises(StorageLockedError):
                state.reserve("meter", 5)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("begin exclusive")
            with pytest.raises(StorageLockedError):
                state.reserve("never sent before", 5)
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


# --- copies, back-ups and machines ----------------------------------------------------------------------------------


def copied(source: Path, target: Path) -> Path:
    """Copy a folder as a back-up does, and return the state file in the copy."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    return target / "state.db"


@pytest.mark.finding("security H6")
def test_a_restored_back_up_of_the_state_repeats_no_counter(path: Path, tmp_path: Path) -> None:
    with StateFile(path) as state:
        used = set(range(first := state.reserve("sent/t/k", 256), first + 256))
    copied(path.parent, tmp_path / "backup")
    for size in (16_384, 65_536):
        with StateFile(path) as state:
            first = state.reserve("sent/t/k", size)
            assert used.isdisjoint(range(first, first + size))
            used.update(range(first, first + size))
        copied(tmp_path / "backup", path.parent)
    with StateFile(path) as state:
        assert state.reserve("sent/t/k", 1) not in used


@pytest.mark.finding("security H6")
def test_a_cloned_and_a_new_folder_share_the_counters_of_a_key(path: Path, tmp_path: Path) -> None:
    with StateFile(path) as state:
        assert state.reserve("sent/t/k", 10) == 1
        with StateFile(copied(path.parent, tmp_path / "clone")) as clone, StateFile(tmp_path / "new" / "db") as new:
            firsts = [each.reserve("sent/t/k", 10) for each in (clone, state, new, clone, state, new)]
    assert firsts == [11, 21, 31, 41, 51, 61]


@pytest.mark.finding("security H6")
def test_a_state_on_another_machine_is_refused_until_the_user_says_that_it_was_restored(
    path: Path, tmp_path: Path
) -> None:
    with StateFile(path) as state:
        assert state.reserve("sent/t/k", 10) == 1
        state.save("breaker", b"open")
    place = MarksPlace(tmp_path / "other", "other machine", "boot")
    with pytest.raises(CopiedCountersError, match=r"another machine.*--after-restore"):
        StateFile(path, marks=place)
    with StateFile(path, marks=place, after_restore=True) as state:
        assert state.reserve("sent/t/k", 10) > COPY_JUMP
        assert state.load("breaker") == b"open"
    StateFile(path, marks=place).close()


def test_a_state_that_counts_nothing_opens_anywhere(path: Path, marks: Path) -> None:
    with StateFile(path) as state:
        state.save("breaker", b"open")
    assert not marks.exists()
    with StateFile(path, marks=MarksPlace(marks, "other machine", "boot")) as state:
        assert state.load("breaker") == b"open"


def test_lost_marks_are_refused_and_the_state_is_above_all_that_was_used(path: Path, marks: Path) -> None:
    with StateFile(path) as state:
        for _ in range(9):
            last = state.reserve("sent/t/k", LEAD // 4)
    shutil.rmtree(marks)
    with pytest.raises(CopiedCountersError):
        StateFile(path)
    with StateFile(path, after_restore=True) as state:
        assert last + LEAD // 4 < state.reserve("sent/t/k", 1) <= last + 2 * LEAD + COPY_JUMP + 8 * 60


def test_tried_counters_are_kept_with_the_machine(path: Path, tmp_path: Path) -> None:
    with StateFile(path) as state:
        assert state.accept("tried/sent/t/k/7", 1)
    with StateFile(tmp_path / "new" / "db") as state:
        assert state.accepted("tried/sent/t/k/7") == 1


def test_counters_of_version_1_go_on_above_all_of_their_title(path: Path) -> None:
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as db:
        db.executescript(
            "create table counter (name text primary key, next integer not null) without rowid;"
            "create table accepted (name text primary key, value integer not null) without rowid;"
            "create table keepsake (name text primary key, octets blob not null) without rowid;"
            "create table outbox (number integer primary key autoincrement, name text not null, octets blob not null);"
            "insert into counter values ('sent/4d53/one/0', 500), ('sent/4d53/other/0', 70), ('radio/m', 9);"
            "insert into accepted values ('tried/sent/4d53/one/0/99', 1), ('received/x', 4);"
            "pragma user_version = 1"
        )
    with StateFile(path) as state:
        assert state.reserve("sent/4d53/key", 1) >= 100 * 32 + COPY_JUMP
        assert state.reserve("sent/aaaa/key", 1) == 1
        assert state.reserve("radio/m", 1) >= 9 + COPY_JUMP
        assert state.accepted("received/x") == 4


MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 - a folder of its own within it; no disk to wait for


class Copies(RuleBasedStateMachine):
    """Data and marks of one machine, run, crashed, backed up, restored, cloned and deleted at will.

    No key sends faster for long than ``JUMP_PER_S``: the clock follows the counters used.
    """

    def __init__(self) -> None:
        super().__init__()
        self.root = Path(tempfile.mkdtemp(dir=MEMORY))
        self.place = MarksPlace(self.root / "marks", "machine", "boot 1")
        self.now = 1_780_000_000.0
        self.used: list[tuple[int, int]] = []
        self.backups = 0
        self.running: list[StateFile] = []

    def teardown(self) -> None:
        self._stop()
        shutil.rmtree(self.root)

    def _stop(self) -> None:
        for state in self.running:
            state.close()
        self.running = []

    def _send(self, state: StateFile, count: int) -> None:
        first = state.reserve("sent/t/k", count)
        self.now += count / JUMP_PER_S
        assert all(stop <= first or first + count <= start for start, stop in self.used), "a counter was given twice"
        self.used.append((first, first + count))

    def _open(self, folder: str, *, after_restore: bool = False) -> StateFile:
        path = self.root / folder / "state.db"
        state = StateFile(path, marks=self.place, clock=lambda: self.now, after_restore=after_restore)
        self.running.append(state)
        return state

    @rule(folder=st.sampled_from(["data", "clone"]), count=st.sampled_from([1, 32, 256, 16_384, 65_536]))
    def start(self, folder: str, count: int) -> None:
        self._send(self._open(folder), count)

    @precondition(lambda self: self.running)
    @rule(which=st.integers(0, 9), count=st.sampled_from([1, 256, 16_384]))
    def go_on(self, which: int, count: int) -> None:
        self._send(self.running[which % len(self.running)], count)

    @rule()
    def stop(self) -> None:
        self._stop()

    @rule(is_power_cut=st.booleans())
    def crash(self, is_power_cut: bool) -> None:
        for state in self.running:
            state._db.close()
            if state._marks is not None:
                state._marks._db.close()
                os.close(state._marks._lock)
        self.running = []
        if is_power_cut:
            self.place = replace(self.place, boot=f"{self.place.boot}.")

    @rule()
    def clone(self) -> None:
        self._copy("data", "clone")

    @rule(with_marks=st.booleans())
    def back_up(self, with_marks: bool) -> None:
        self.backups += 1
        self._copy("data", "backup")
        shutil.rmtree(self.root / "backup of marks", ignore_errors=True)
        if with_marks:
            self._copy("marks", "backup of marks")

    @precondition(lambda self: self.backups)
    @rule()
    def restore(self) -> None:
        self.crash(is_power_cut=False)
        self._copy("backup", "data")
        self._copy("backup of marks", "marks")

    @rule()
    def delete_the_data(self) -> None:
        self._stop()
        shutil.rmtree(self.root / "data", ignore_errors=True)

    @rule()
    def move_to_another_machine(self) -> None:
        """The disk is put into another machine: it is refused, and then taken over."""
        self._stop()
        has_counted = bool(self.used) and (self.root / "marks").exists()
        self.place = replace(self.place, machine=f"{self.place.machine}.")
        if has_counted:
            with pytest.raises(CopiedCountersError):
                self._open("data").reserve("sent/t/k", 1)
            self._stop()
        self._send(self._open("data", after_restore=True), 1)
        self._open("clone", after_restore=True)

    def _copy(self, source: str, target: str) -> None:
        if (self.root / source).exists():
            shutil.rmtree(self.root / target, ignore_errors=True)
            shutil.copytree(self.root / source, self.root / target)


TestCopies = pytest.mark.attack(4)(Copies.TestCase)
TestCopies.settings = settings(max_examples=12, stateful_step_count=14)
