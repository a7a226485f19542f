"""Files that only their owner can read: folders 0700, files 0600, and key files whose mode is checked before use.

Load profiles tell when people are at home, so what a program keeps is private whatever the umask. Files of a fixed
name are made with ``O_EXCL | O_NOFOLLOW``: a link that somebody put in their place is not followed. Files of the
program's own folders are opened by ``open_own`` alone: a link is not followed, and a pipe is not waited for.
"""

import contextlib
import errno
import os
import shlex
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

__all__ = [
    "FILE_MODE",
    "FOLDER_MODE",
    "LoosePermissionsError",
    "NotOwnFileError",
    "is_loose",
    "make_private_file",
    "make_private_folder",
    "open_own",
    "read_own",
    "replacing",
    "require_private",
    "sync_directory",
]

FOLDER_MODE: Final = 0o700
FILE_MODE: Final = 0o600
_OTHERS: Final = 0o077
_NOT_ORDINARY: Final = frozenset({errno.ELOOP, errno.ENXIO})
"""How the system refuses a link, and a pipe that nobody reads."""


class LoosePermissionsError(Exception):
    """Others can read a file that holds secrets; the words name the command that mends it."""


class NotOwnFileError(OSError):
    """In the place of a file of the program's own is a link, a pipe or a device."""

    def __init__(self, path: Path) -> None:
        super().__init__(errno.EINVAL, "is no ordinary file", str(path))


def open_own(path: Path, flags: int = os.O_RDONLY, *, follows: bool = False) -> int:
    """Open a file of the program's own folders; return its descriptor.

    Args:
        path: an ordinary file; nothing is made.
        flags: as of ``os.open``.
        follows: a link is followed; a copy for reading links to the segments of its original.

    Raises:
        NotOwnFileError: it is a link, a pipe or a device.
        OSError: it cannot be opened.

    """
    try:
        handle = os.open(path, flags | os.O_NONBLOCK | (0 if follows else os.O_NOFOLLOW))
    except OSError as error:
        if error.errno in _NOT_ORDINARY:
            raise NotOwnFileError(path) from error
        raise
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return handle
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise NotOwnFileError(path)


def read_own(path: Path, *, follows: bool = False) -> bytes:
    """Return the octets of a file of the program's own folders; arguments as ``open_own``.

    Raises:
        NotOwnFileError: it is a link, a pipe or a device.
        OSError: it cannot be read.

    """
    with os.fdopen(open_own(path, follows=follows), "rb") as file:
        return file.read()


def make_private_folder(folder: Path, *, is_ours: bool = False) -> None:
    """Make a folder and its parents for their owner only.

    A folder that is there keeps its mode, except where ``is_ours``: one that only meterspan makes is tightened.

    Raises:
        OSError: it cannot be made.

    """
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    for place in reversed(missing):
        place.mkdir(FOLDER_MODE, exist_ok=True)
    if is_ours and not missing:
        _tighten(folder, FOLDER_MODE)


def make_private_file(path: Path) -> None:
    """Make an empty file that only its owner can read, or tighten the one that is there (with its SQLite journals).

    Raises:
        OSError: it cannot be made.

    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, FILE_MODE))
    except FileExistsError:
        for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
            place = path.with_name(name)
            if not place.is_symlink():
                _tighten(place, FILE_MODE)


@contextlib.contextmanager
def replacing(path: Path, *, is_own: bool = False) -> Iterator[BinaryIO]:
    """Lend a private file beside ``path`` that takes its place at the end; after an error nothing has changed.

    Where a person has named a link, the file behind it is replaced and the link stays; a pipe or a device is written
    to. A link in the program's own folders (``is_own``) is replaced itself.

    Raises:
        OSError: it cannot be written.

    """
    place = path if is_own else path.resolve()
    if not is_own and place.exists() and not place.is_file():
        with place.open("wb") as stream:
            yield stream
        return
    try:  # O_EXCL, NOFOLLOW, 0600
        handle, name = tempfile.mkstemp(prefix=f".{place.name}.", suffix=".tmp", dir=place.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    scratch = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
        scratch.rename(place)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


def is_loose(path: Path) -> bool:
    """Return whether others than its owner have any right to a file or folder.

    Raises:
        OSError: it is not there.

    """
    return bool(path.stat().st_mode & _OTHERS)


def require_private(path: Path) -> None:
    """Check that nobody but its owner can read or write a file; pipes and devices pass.

    Raises:
        LoosePermissionsError: others can.
        OSError: it is not there.

    """
    mode = path.stat().st_mode
    if stat.S_ISREG(mode) and mode & _OTHERS:
        raise LoosePermissionsError(f"others can read {path}; run: chmod 600 {shlex.quote(str(path))}")


def _tighten(path: Path, mode: int) -> None:
    """Remove the rights of others to a file or folder; one of another owner or on a read-only disk stays as it is."""
    with contextlib.suppress(OSError):
        found = path.stat().st_mode
        if found & _OTHERS:
            path.chmod(stat.S_IMODE(found) & mode)


def sync_directory(directory: Path) -> None:
    """Make renames and unlinks in the directory durable."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
