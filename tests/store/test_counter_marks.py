"""No counter is given twice on a machine: after a crash, over copied or restored folders, by two programs."""

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from meterspan.model.storage.errors import CopiedCountersError, UnknownFormatError
from meterspan.store.counter_marks import (
    COPY_JUMP,
    CRASH_JUMP,
    JUMP_PER_S,
    TIMED_JUMP_MAX,
    CounterMarks,
    KnownCounter,
    MarksPlace,
)

NOW = 1_780_000_000
NAME = "sent/4d53500000000001/0123456789abcdef"


class Machine:
    """Marks in a folder, and a clock that a test moves."""

    def __init__(self, folder: Path) -> None:
        self.place = MarksPlace(folder, "machine", "boot 1")
        self.now = float(NOW)

    def open(self, *, after_restore: bool = False) -> CounterMarks:
        return CounterMarks(self.place, clock=lambda: self.now, after_restore=after_restore)

    def run(self, count: int = 1) -> int:
        """Start a program, reserve counters, and end it in order."""
        marks = self.open()
        first = marks.reserve(NAME, count)
        marks.close()
        return first

    def crash(self, count: int = 1) -> int:
        marks = self.open()
        first = marks.reserve(NAME, count)
        crash(marks)
        return first

    def reboot(self) -> None:
        self.place = replace(self.place, boot=f"boot {int(self.place.boot.split()[1]) + 1}")


def crash(marks: CounterMarks) -> None:
    """End without a word, as the kernel does it: files are closed, and nothing is written any more."""
    marks._db.close()
    os.close(marks._lock)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path / "marks")


def test_counters_begin_at_one_and_go_on_after_an_orderly_end(machine: Machine) -> None:
    assert [machine.run(32), machine.run(), machine.run()] == [1, 33, 34]


def test_programs_that_run_at_once_draw_from_one_mark(machine: Machine) -> None:
    one, other = machine.open(), machine.open()
    firsts = [marks.reserve(NAME, 10) for marks in (one, other, one, other)]
    one.close()
    firsts.append(other.reserve(NAME, 10))
    other.close()
    assert firsts == [1, 11, 21, 31, 41]
    assert machine.run() == 51


def test_a_crash_jumps_once_and_only_where_counters_are_used_again(machine: Machine) -> None:
    machine.crash(32)
    for _ in range(5):
        crash(machine.open())
    assert machine.run() == 33 + CRASH_JUMP
    assert machine.run() == 34 + CRASH_JUMP


def test_a_power_cut_jumps_further_than_any_burst(machine: Machine) -> None:
    machine.crash(32)
    machine.reboot()
    assert machine.run() == 33 + COPY_JUMP


def test_a_reboot_after_an_orderly_end_jumps_by_the_time_between(machine: Machine) -> None:
    machine.run(32)
    machine.reboot()
    machine.now += 60
    assert machine.run() == 33 + 60 * JUMP_PER_S, "the disk may be an older image of itself"


@pytest.mark.finding("security H6")
@pytest.mark.parametrize("is_moved", [False, True])
def test_restored_marks_jump_by_a_block_and_by_their_age(machine: Machine, tmp_path: Path, is_moved: bool) -> None:
    machine.run(32)
    shutil.copytree(machine.place.folder, tmp_path / "backup")
    machine.now += 10 * 86_400
    used = [machine.run(COPY_JUMP - 1) for _ in range(5)]
    if is_moved:
        shutil.rmtree(machine.place.folder)
        (tmp_path / "backup").rename(machine.place.folder)
    else:  # into the same inodes, with the times of the backup
        for path in (tmp_path / "backup").iterdir():
            shutil.copy2(path, machine.place.folder / path.name)
    first = machine.run()
    assert first == 33 + COPY_JUMP + 10 * 86_400 * JUMP_PER_S
    assert first >= used[-1] + COPY_JUMP - 1


def test_a_clock_that_runs_years_ahead_uses_up_few_counters(machine: Machine) -> None:
    machine.crash()
    machine.reboot()
    machine.now += 80 * 365 * 86_400
    assert machine.run() == 2 + COPY_JUMP + TIMED_JUMP_MAX


def test_a_clock_that_is_behind_still_jumps_by_the_block(machine: Machine) -> None:
    machine.crash()
    machine.reboot()
    machine.now = 0.0
    assert machine.run() == 2 + COPY_JUMP


@pytest.mark.finding("security H6")
def test_marks_of_another_machine_are_refused_in_words_and_taken_over_on_demand(
    machine: Machine, tmp_path: Path
) -> None:
    machine.run(32)
    clone = Machine(tmp_path / "clone")
    clone.place = replace(clone.place, machine="another machine")
    shutil.copytree(machine.place.folder, clone.place.folder)
    with pytest.raises(CopiedCountersError, match=r"another machine.*--after-restore"):
        clone.open()
    marks = clone.open(after_restore=True)
    assert marks.reserve(NAME, 1) == 33 + COPY_JUMP
    marks.close()
    assert clone.run() == 34 + COPY_JUMP, "from then on they are its own"


def test_marks_that_were_made_anew_are_others(machine: Machine) -> None:
    marks = machine.open()
    identity = marks.identity
    marks.close()
    shutil.rmtree(machine.place.folder)
    marks = machine.open()
    assert marks.identity != identity
    marks.close()


def test_a_counter_that_only_the_data_know_jumps_from_there(machine: Machine) -> None:
    marks = machine.open()
    assert marks.reserve(NAME, 1, KnownCounter(5_000, NOW - 100)) == 5_000 + COPY_JUMP + 100 * JUMP_PER_S
    assert marks.reserve(NAME, 1, KnownCounter(9_000_000, NOW)) < 9_000_000, "marks that are right need no help"
    marks.close()


def test_data_that_are_newer_than_restored_marks_win(machine: Machine) -> None:
    machine.crash(32)
    marks = machine.open()
    assert marks.reserve(NAME, 1, KnownCounter(9_000_000, NOW)) == 9_000_000
    marks.close()


def test_notes_rise_only_and_are_kept(machine: Machine) -> None:
    marks = machine.open()
    assert (marks.note("tried/1", 1), marks.note("tried/1", 1)) == (True, False)
    marks.close()
    marks = machine.open()
    assert (marks.noted("tried/1"), marks.noted("tried/2")) == (1, 0)
    marks.close()


def test_a_newer_format_is_refused(machine: Machine) -> None:
    marks = machine.open()
    marks._db.execute("pragma user_version = 99")
    marks.close()
    with pytest.raises(UnknownFormatError):
        machine.open()


def test_the_marks_are_private(machine: Machine) -> None:
    machine.run()
    found = {path.name: oct(path.stat().st_mode & 0o777) for path in machine.place.folder.iterdir()}
    assert set(found.values()) == {"0o600"}
    assert oct(machine.place.folder.stat().st_mode & 0o777) == "0o700"
    assert {"seal", "marks.sqlite", "lock"} <= set(found)


def test_a_torn_seal_is_none(machine: Machine) -> None:
    machine.run(32)
    os.truncate(machine.place.folder / "seal", 5)
    assert machine.run() == 33 + COPY_JUMP
