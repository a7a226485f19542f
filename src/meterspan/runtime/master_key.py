"""The master key under which all device keys are kept: a file of its own, outside the data, readable by its owner only.

A copy of the data folder alone thus opens no meter (SEC-15). The file is made at the first start.
"""

import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from meterspan.model.reasons import reason_of
from meterspan.store.private_files import FILE_MODE, LoosePermissionsError, make_private_folder, require_private

__all__ = ["MASTER_KEY_SIZE", "MasterKeyError", "check_master_key", "load_master_key"]

MASTER_KEY_SIZE: Final = 32
_LOST: Final = "put your copy of it back; without it, move inventory.sqlite away and give all keys anew"


class MasterKeyError(Exception):
    """The master key cannot be used; the words say what to do."""


def load_master_key(path: Path, data: Path, *, wraps: Callable[[], bool] = lambda: False) -> bytes:
    """Read the master key; make it where the file does not exist and nothing was wrapped under one.

    Args:
        path: the key file.
        data: the data folder, which must not contain it.
        wraps: returns whether keys at rest are wrapped under a master key; asked where the file does not exist.

    Raises:
        MasterKeyError: it is in the data folder, is lost, others can read it, or it holds no key.

    """
    known = check_master_key(path, data, wraps=wraps)
    if known is not None:
        return known
    try:
        return _make(path)
    except OSError as error:
        raise MasterKeyError(f"{path}: {reason_of(error)}") from error


def check_master_key(path: Path, data: Path, *, wraps: Callable[[], bool] = lambda: False) -> bytes | None:
    """Read the master key, or return None where it is still to be made; nothing is written.

    Args:
        path: the key file.
        data: the data folder, which must not contain it.
        wraps: returns whether keys at rest are wrapped under a master key; asked where the file does not exist.

    Raises:
        MasterKeyError: it is in the data folder, is lost, others can read it, it holds no key, or it cannot be made.

    """
    if path.resolve().is_relative_to(data.resolve()):
        raise MasterKeyError(f"{path} is in the data folder: a copy of the data would carry its own key; move it out")
    try:
        if not path.exists():
            if wraps():
                raise MasterKeyError(f"{path} is not there, and the keys in {data} open with it alone: {_LOST}")
            _require_room(path)
            return None
        require_private(path)
        key = bytes.fromhex(path.read_text("ascii"))
    except LoosePermissionsError as error:
        raise MasterKeyError(str(error)) from error
    except OSError as error:
        raise MasterKeyError(f"{path}: {reason_of(error)}") from error
    except ValueError as error:
        raise MasterKeyError(f"{path} holds no key of {2 * MASTER_KEY_SIZE} hexadecimal digits") from error
    if len(key) != MASTER_KEY_SIZE:
        raise MasterKeyError(f"{path} holds {len(key)} octets; a master key has {MASTER_KEY_SIZE}")
    return key


def _require_room(path: Path) -> None:
    place = next(folder for folder in path.resolve().parents if folder.exists())
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK) or path.is_symlink():
        raise MasterKeyError(f"{path} is not there, and cannot be made in {place}")


def _make(path: Path) -> bytes:
    key = secrets.token_bytes(MASTER_KEY_SIZE)
    make_private_folder(path.parent)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, FILE_MODE)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())
    return key
