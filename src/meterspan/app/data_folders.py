"""The data folder of a home or a central system: for its owner alone, or a start refuses it.

Load profiles tell when people are at home. A folder that holds nothing but what meterspan makes, and that others can
use, is tightened; one that holds anything else, or is another user's, is never changed: the words say what to type.
"""

import logging
import os
import shlex
from pathlib import Path
from typing import Final

from meterspan.model.storage.errors import StorageError
from meterspan.store.edge import storage_errors
from meterspan.store.private_files import FOLDER_MODE, is_loose

__all__ = ["loose_folder", "own_data_folder", "why_not_ours"]

_STEMS: Final = ("home.sqlite", "head_end.sqlite", "inventory.sqlite", "orders.sqlite", "access_point.toml")
_NAMES: Final = frozenset({"data", "meterspan-demo", "lost+found", *_STEMS})
_JOURNALS: Final = ("-wal", "-shm", "-journal")
_log = logging.getLogger("meterspan.serve")


def loose_folder(folder: Path) -> Path | None:
    """Return the first of a data folder and the folder of data in it that others can use; None where none is.

    Raises:
        OSError: it cannot be looked at.

    """
    return next((place for place in (folder, folder / "data") if place.is_dir() and is_loose(place)), None)


def why_not_ours(folder: Path) -> str:
    """Return why a start refuses a data folder that others can use, and what to type; "" where it does not.

    Raises:
        OSError: it cannot be looked at.

    """
    if not folder.is_dir() or not is_loose(folder):
        return ""
    words = f"others can use {folder}"
    if folder.stat().st_uid != os.geteuid():
        return f"{words}, which is another user's; name a folder of your own"
    other = next((path.name for path in sorted(folder.iterdir()) if not _is_ours(path.name)), "")
    if not other:
        return ""
    return (
        f"{words}, which holds more than meterspan makes ({other[:40]!r}); name a folder for the data alone,"
        f" or run: chmod 700 {shlex.quote(str(folder))}"
    )


def own_data_folder(folder: Path, *, is_only_read: bool = False) -> None:
    """Tighten a data folder that others can use, with a line in the log; one that is not there is made later.

    Args:
        folder: the data folder.
        is_only_read: nothing is going to be stored, so that a folder of another user, or on a read-only disk, will do.

    Raises:
        StorageError: others can use it, and it is not meterspan's alone.

    """
    with storage_errors(folder):
        if is_only_read and not os.access(folder, os.W_OK, effective_ids=True):
            return
        why = why_not_ours(folder)
        if why:
            raise StorageError(why)
        while (loose := loose_folder(folder)) is not None:
            loose.chmod(FOLDER_MODE)
            _log.warning("others could use a data folder; it is its owner's alone now", extra={"path": str(loose)})


def _is_ours(name: str) -> bool:
    return name in _NAMES or any(name == stem + journal for stem in _STEMS for journal in _JOURNALS)
