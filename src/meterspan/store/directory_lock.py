"""The lock of a store's directory: one process at a time has it open, and every other one can ask whether one has."""

import errno
import fcntl
import os
from collections.abc import Sequence
from pathlib import Path

from meterspan.model.storage.errors import ConcurrentWriterError
from meterspan.store.private_files import make_private_file, open_own

__all__ = ["is_in_use", "lock_directory", "unlock"]


def lock_directory(directory: Path) -> list[int]:
    """Lock the directory itself, and a file in it; return the descriptors for ``unlock``.

    The kernel frees both when the process ends. The file is what earlier releases lock, and what a network file system
    can lock; removed, it lets nobody in.

    Raises:
        ConcurrentWriterError: another process has it open.
        OSError: it cannot be locked.

    """
    make_private_file(directory / "lock")
    held: list[int] = []
    try:
        for path in (directory / "lock", directory):
            held.append(os.open(path, os.O_RDONLY | os.O_DIRECTORY) if path == directory else open_own(path))
            fcntl.flock(held[-1], fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        unlock(held)
        raise ConcurrentWriterError(
            "is open in another process, such as meterspan home or serve; end that first", str(directory)
        ) from error
    except OSError as error:
        if error.errno != errno.EBADF or len(held) == 1:  # a network file system locks files for writing alone
            unlock(held)
            raise
    return held


def unlock(locks: Sequence[int]) -> None:
    """Free what ``lock_directory`` locked."""
    for lock in locks:
        os.close(lock)


def is_in_use(directory: Path) -> bool:
    """Return whether a process has the store of a directory open; nothing is made."""
    held: list[int] = []
    try:
        for path in (directory / "lock", directory):
            held.append(os.open(path, os.O_RDONLY | os.O_DIRECTORY) if path == directory else open_own(path))
            fcntl.flock(held[-1], fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    finally:
        unlock(held)
    return False
