"""A data folder that may only be read, opened by a private copy: nothing is written to the folder itself.

The databases are copied with their logs, so that what a log holds is read too; segments are linked. The copy is
removed at the end.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from meterspan.model.storage.errors import ConcurrentWriterError
from meterspan.store.edge import storage_errors
from meterspan.store.private_files import make_private_folder

__all__ = ["readable"]

_DATABASES = ("registry.sqlite", "readings/journal.sqlite")


@contextmanager
def readable(directory: Path) -> Iterator[Path]:
    """Lend a directory of data that can be opened: itself, or a copy where it may only be read.

    Raises:
        ConcurrentWriterError: another program has it open, so that a copy would be of no one moment.
        StorageError: it cannot be read.

    """
    if _is_writable(directory):
        yield directory
        return
    with tempfile.TemporaryDirectory(prefix="meterspan-") as folder:
        copy = Path(folder) / "data"
        with storage_errors(directory):
            _copy(directory, copy)
        yield copy


def _is_writable(directory: Path) -> bool:
    places = (directory, directory / "readings", *(directory / name for name in _DATABASES))
    return all(os.access(place, os.W_OK, effective_ids=True) for place in places if place.exists())


def _copy(directory: Path, copy: Path) -> None:
    make_private_folder(copy / "readings" / "segments")
    held = os.open(directory / "readings", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(held, fcntl.LOCK_SH | fcntl.LOCK_NB)
        for place in (*directory.iterdir(), *(directory / "readings").iterdir()):
            if place.is_file() and place.name != "lock" and not place.name.endswith("-shm"):
                shutil.copyfile(place, copy / place.relative_to(directory))
    except BlockingIOError as error:
        raise ConcurrentWriterError("is open in another process", str(directory)) from error
    finally:
        os.close(held)
    for segment in (directory / "readings" / "segments").iterdir():
        (copy / "readings" / "segments" / segment.name).symlink_to(segment.resolve())
