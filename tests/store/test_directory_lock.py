"""A store's directory has one owner, and others can ask whether it has one."""

import os

import pytest

from meterspan.model.storage.errors import ConcurrentWriterError
from meterspan.store.directory_lock import is_in_use, lock_directory, unlock


def test_a_directory_is_locked_once_and_free_again_afterwards(tmp_path):
    assert not is_in_use(tmp_path)
    held = lock_directory(tmp_path)
    assert is_in_use(tmp_path)
    with pytest.raises(ConcurrentWriterError, match="another process"):
        lock_directory(tmp_path)
    unlock(held)
    assert not is_in_use(tmp_path)
    unlock(lock_directory(tmp_path))


def test_to_ask_makes_nothing(tmp_path):
    assert not is_in_use(tmp_path / "nothing")
    assert not is_in_use(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.attack(3)
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/null")], ids=["pipe", "link"])
def test_a_lock_that_is_no_ordinary_file_is_refused_and_not_waited_for(tmp_path, make):
    make(tmp_path / "lock")
    assert not is_in_use(tmp_path)
    with pytest.raises(OSError, match="no ordinary file"):
        lock_directory(tmp_path)
