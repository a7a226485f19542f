"""A data folder is its owner's alone, or a start refuses it; no folder with other files is ever changed."""

import logging
import stat

import pytest

from meterspan.app.data_folders import loose_folder, own_data_folder, why_not_ours
from meterspan.app.doctor import Health, examine
from meterspan.app.importing import list_imports
from meterspan.app.start_check import check_start
from meterspan.app.transfer import opened
from meterspan.mdm.data_management import MeterDataManagement
from meterspan.model.storage.errors import StorageError
from meterspan.runtime.declared import ConfigError
from tests.app.test_start_check import NOW, source, start


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def data_folder(tmp_path):
    """Return a data folder with readings that others can use, as an earlier release or a copy leaves it."""
    folder = tmp_path / "central"
    MeterDataManagement(folder / "data").close()
    (folder / "head_end.sqlite-wal").touch(0o600)
    folder.chmod(0o777)
    (folder / "data").chmod(0o755)
    return folder


@pytest.mark.attack(5)
def test_a_data_folder_that_others_can_use_is_tightened_and_the_log_says_so(tmp_path, caplog):
    folder = data_folder(tmp_path)
    assert loose_folder(folder) == folder
    with caplog.at_level(logging.WARNING, "meterspan.serve"):
        own_data_folder(folder)
    assert (mode_of(folder), mode_of(folder / "data"), loose_folder(folder)) == (0o700, 0o700, None)
    assert [record.path for record in caplog.records] == [str(folder), str(folder / "data")]
    own_data_folder(tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.attack(5)
@pytest.mark.parametrize("name", ["notes.txt", "data2", ".profile", "home.sqlite.old"])
def test_a_folder_that_holds_anything_else_is_refused_and_not_changed(tmp_path, name):
    folder = data_folder(tmp_path)
    (folder / name).touch()
    for refused in (
        lambda: own_data_folder(folder),
        lambda: opened(folder).__enter__(),
        lambda: list_imports(folder),
    ):
        with pytest.raises(StorageError, match=f"run: chmod 700 {folder}"):
            refused()
    assert mode_of(folder) == 0o777
    folder.chmod(0o700)
    own_data_folder(folder)


def test_a_folder_of_another_user_is_refused_and_not_changed(tmp_path, monkeypatch):
    folder = data_folder(tmp_path)
    monkeypatch.setattr("os.geteuid", lambda: folder.stat().st_uid + 1)
    assert "another user's" in why_not_ours(folder)
    with pytest.raises(StorageError, match="name a folder of your own"):
        own_data_folder(folder)
    assert mode_of(folder) == 0o777


def test_what_others_may_only_read_with_us_is_exported_as_it_is(tmp_path, monkeypatch):
    folder = data_folder(tmp_path)
    monkeypatch.setattr("os.access", lambda *_, **__: False)
    own_data_folder(folder, is_only_read=True)
    assert mode_of(folder) == 0o777


@pytest.mark.attack(5)
def test_export_and_import_tighten_it_and_doctor_names_it(tmp_path):
    folder = data_folder(tmp_path)
    faults = [finding for finding in examine(folder) if finding.health is Health.FAULT]
    assert [(finding.what, "chmod 700" in finding.detail) for finding in faults] == [(str(folder), True)]
    with opened(folder, is_only_read=True):
        assert mode_of(folder) == 0o700
    assert all(finding.health is not Health.FAULT for finding in examine(folder))


@pytest.mark.attack(5)
def test_check_names_what_a_start_tightens_and_what_it_refuses(tmp_path):
    folder = tmp_path / "central"
    start(tmp_path, 'data = "{folder}/central"\n[portal]\nport = 0\n[push]\nport = 0\n').close()
    folder.chmod(0o755)
    text = 'data = "{folder}/central"\n[portal]\nport = 0\n[push]\nport = 0\n'
    assert any("its owner's alone" in note for note in check_start(source(tmp_path, text), NOW).notes)
    assert mode_of(folder) == 0o755
    start(tmp_path, text).close()
    assert mode_of(folder) == 0o700
    folder.chmod(0o755)
    (folder / "notes.txt").touch()
    with pytest.raises(ConfigError, match="run: chmod 700"):
        check_start(source(tmp_path, text), NOW)
    assert mode_of(folder) == 0o755
