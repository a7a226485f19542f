"""A folder that may only be read is opened all the same, and nothing is written to it."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from meterspan.model.storage.errors import ConcurrentWriterError, DamagedError
from meterspan.store.reading_store import ReadingStore
from meterspan.store.working_copy import readable
from tests.store.contract import T0, readings

NOBODY = 65_534


@pytest.fixture
def folder() -> Iterator[Path]:
    place = Path(tempfile.mkdtemp(prefix="meterspan-test-"))
    yield place
    for path in (place, *place.rglob("*")):
        if path.is_dir():
            path.chmod(0o700)
    shutil.rmtree(place)


@contextmanager
def reading_only(folder: Path) -> Iterator[None]:
    """Take the right to write away, and be another user where the tests have all rights."""
    for path in (folder, *folder.rglob("*")):
        path.chmod(0o555 if path.is_dir() else 0o444)
    was = os.geteuid()
    if was == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(was)


def contents(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.finding("data D29")
@pytest.mark.parametrize("is_left_open", [False, True])
def test_a_copy_that_may_only_be_read_is_opened_with_its_log_and_left_as_it_is(
    folder: Path, tmp_path: Path, is_left_open: bool
) -> None:
    with ReadingStore(tmp_path / "readings") as store:
        store.append(readings([(1, T0, 5)]))
        store.compact((T0 // 86_400 + 1) * 86_400)
        store.append(readings([(1, T0 + 900, 6)]))
        assert len(store.read([1], 0, 1 << 40)) == 2
        if is_left_open:
            shutil.copytree(tmp_path / "readings", folder / "data" / "readings")
    if not is_left_open:
        shutil.copytree(tmp_path / "readings", folder / "data" / "readings")
    before = contents(folder)
    with reading_only(folder), readable(folder / "data") as place, ReadingStore(place / "readings") as store:
        assert place != folder / "data"
        assert len(store.read([1], 0, 1 << 40)) == 2
    assert contents(folder) == before
    assert not place.exists()


@pytest.mark.finding("data D29")
def test_a_copy_without_its_log_is_refused_in_words_where_it_may_only_be_read(folder: Path, tmp_path: Path) -> None:
    with ReadingStore(tmp_path / "readings") as store:
        store.append(readings([(1, T0, 5)]))
        shutil.copytree(tmp_path / "readings", folder / "readings", ignore=shutil.ignore_patterns("*-wal"))
    with (
        reading_only(folder),
        readable(folder) as place,
        pytest.raises(DamagedError, match=r"copy without journal\.sqlite-wal"),
    ):
        ReadingStore(place / "readings")


def test_a_folder_that_is_open_is_not_copied_and_one_that_can_be_written_is_itself(folder: Path) -> None:
    with ReadingStore(folder / "readings"):
        with reading_only(folder), pytest.raises(ConcurrentWriterError), readable(folder):
            raise AssertionError("it was lent while its owner wrote")
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o700)
    with readable(folder) as place:
        assert place == folder
