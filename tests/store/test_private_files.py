import os
import re
import stat
from pathlib import Path

import pytest

from meterspan.store import private_files
from meterspan.store.private_files import (
    LoosePermissionsError,
    NotOwnFileError,
    make_private_file,
    make_private_folder,
    open_own,
    read_own,
    replacing,
    require_private,
)


@pytest.fixture(autouse=True)
def usual_umask():
    """Files are open to everybody's reading where a program asks for nothing else."""
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def half_replace(path):
    with replacing(path) as file:
        file.write(b"half")
        raise ZeroDivisionError


def test_new_folders_are_their_owners_alone_and_those_that_are_there_keep_their_mode(tmp_path):
    tmp_path.chmod(0o755)
    make_private_folder(tmp_path / "a" / "b")
    assert [mode_of(tmp_path / place) for place in (".", "a", "a/b")] == [0o755, 0o700, 0o700]
    (tmp_path / "ours").mkdir()
    make_private_folder(tmp_path / "ours")
    assert mode_of(tmp_path / "ours") == 0o755
    make_private_folder(tmp_path / "ours", is_ours=True)
    assert mode_of(tmp_path / "ours") == 0o700


def test_a_database_of_an_earlier_release_is_tightened_with_its_journals(tmp_path):
    paths = [tmp_path / f"x.sqlite{suffix}" for suffix in ("", "-wal", "-shm")]
    for path in paths:
        path.write_bytes(b"kept")
        path.chmod(0o644)
    make_private_file(paths[0])
    assert [(mode_of(path), path.read_bytes()) for path in paths] == [(0o600, b"kept")] * 3
    make_private_file(tmp_path / "new")
    assert mode_of(tmp_path / "new") == 0o600


def test_a_link_in_the_place_of_a_new_file_is_not_followed(tmp_path):
    victim, link = tmp_path / "victim", tmp_path / "link"
    link.symlink_to(victim)
    make_private_file(link)
    assert not victim.exists()


def test_a_file_is_replaced_whole_and_privately_or_stays_as_it_is(tmp_path):
    path, victim = tmp_path / "out.csv", tmp_path / "victim"
    victim.write_text("untouched")
    (tmp_path / "out.csv.tmp").symlink_to(victim)
    with replacing(path) as file:
        file.write(b"first")
    assert (path.read_bytes(), mode_of(path), victim.read_text()) == (b"first", 0o600, "untouched")
    with pytest.raises(ZeroDivisionError):
        half_replace(path)
    assert path.read_bytes() == b"first"
    assert sorted(place.name for place in tmp_path.iterdir()) == ["out.csv", "out.csv.tmp", "victim"]


def test_a_link_stays_and_the_file_that_it_leads_to_is_replaced(tmp_path):
    place, link = tmp_path / "there" / "table.csv", tmp_path / "link.csv"
    place.parent.mkdir()
    place.write_bytes(b"old")
    link.symlink_to(place)
    with replacing(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert place.read_bytes() == b"new"


def test_a_pipe_is_written_to_and_stays(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    with replacing(pipe) as file:
        file.write(b"rows")
    assert os.read(reader, 9) == b"rows"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601, 0o666])
def test_a_file_that_others_may_touch_is_refused_with_the_command_that_mends_it(tmp_path, mode):
    path = tmp_path / "my keys.toml"
    path.touch()
    path.chmod(mode)
    with pytest.raises(LoosePermissionsError, match=f"chmod 600 '{path}'"):
        require_private(path)
    path.chmod(0o600)
    require_private(path)


def test_a_pipe_is_no_file_that_stays(tmp_path):
    path = tmp_path / "pipe"
    os.mkfifo(path, 0o666)
    require_private(path)


def as_link(path):
    victim = path.with_name("victim")
    victim.write_bytes(b"victim")
    path.symlink_to(victim)


NOT_OWN = {"link": as_link, "pipe": os.mkfifo}


@pytest.mark.attack(3)
@pytest.mark.parametrize("make", NOT_OWN.values(), ids=NOT_OWN)
def test_what_is_no_ordinary_file_in_the_place_of_an_own_file_is_neither_followed_nor_waited_for(tmp_path, make):
    make(tmp_path / "own")
    for open_it in (read_own, open_own, lambda path: open_own(path, os.O_RDWR)):
        with pytest.raises(NotOwnFileError, match="no ordinary file"):
            open_it(tmp_path / "own")
    with pytest.raises(FileNotFoundError):
        read_own(tmp_path / "nothing")
    with pytest.raises(IsADirectoryError):
        read_own(tmp_path)


def test_an_own_file_is_read_whole(tmp_path):
    (tmp_path / "own").write_bytes(b"\n" * 100_000)
    assert read_own(tmp_path / "own") == b"\n" * 100_000


@pytest.mark.attack(3)
def test_the_store_opens_its_own_files_in_one_place():
    store = Path(private_files.__file__).parent
    opens = re.compile(r'\.(?:read_bytes|read_text|write_text|write_bytes)\(|\.open\("|\bos\.open\((?!.*O_DIRECTORY)')
    found = {
        f"{path.name}: {line.strip()}"
        for path in store.glob("*.py")
        for line in path.read_text("utf-8").splitlines()
        if path.name != "private_files.py" and opens.search(line)
    }
    assert found == set()
