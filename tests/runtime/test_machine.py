"""The marks of counters lie where a back-up of the data does not look, unless the user says where."""

from pathlib import Path

import pytest

from meterspan.runtime import machine
from meterspan.runtime.machine import MARKS_VARIABLE, this_machine


def test_marks_are_beside_the_folder_of_states(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(MARKS_VARIABLE)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert this_machine().folder == tmp_path / "meterspan-marks"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert this_machine().folder == tmp_path / ".local" / "state" / "meterspan-marks"


def test_the_user_may_choose_their_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(MARKS_VARIABLE, "/var/lib/marks")
    assert this_machine().folder == Path("/var/lib/marks")


def test_machine_and_boot_are_named_by_digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "id").write_text("0123\n")
    monkeypatch.setattr(machine, "_MACHINE", tmp_path / "id")
    monkeypatch.setattr(machine, "_BOOT", tmp_path / "no such file")
    found = this_machine()
    assert len(found.machine) == 16
    assert "0123" not in found.machine
    assert found.boot == ""
