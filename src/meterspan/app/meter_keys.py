"""The secrets of one meter, as programs hold them, and the files that hold secrets: private, or refused."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path

from meterspan.model.radio_protection import RadioProtection
from meterspan.quantities import Scaled
from meterspan.store.private_files import FILE_MODE, make_private_folder, require_private

__all__ = ["MeterKeys", "append_secrets", "read_secrets"]


@dataclass(frozen=True, slots=True)
class MeterKeys:
    """The secrets of one meter; unused ones are empty.

    Attributes:
        key: global unicast encryption key, or the AES key of a radio meter.
        auth_key: authentication key of DLMS.
        password: of low level security.
        protection: the least protection of a radio meter's telegrams.
        hourly_max: the most by which a radio meter's register can rise in an hour; None: the most of any
            building.

    """

    key: bytes = field(default=b"", repr=False)
    auth_key: bytes = field(default=b"", repr=False)
    password: bytes = field(default=b"", repr=False)
    protection: RadioProtection = RadioProtection.ENCRYPTED
    hourly_max: Scaled | None = None

    def completed(self, other: "MeterKeys") -> "MeterKeys":
        """Return these secrets, with those of ``other`` where these are empty."""
        key, auth_key = self.key or other.key, self.auth_key or other.auth_key
        return replace(self, key=key, auth_key=auth_key, password=self.password or other.password)


def read_secrets(path: Path) -> str:
    """Read the text of a file that holds secrets.

    Raises:
        LoosePermissionsError: others can read or write it.
        OSError: it cannot be read.
        UnicodeDecodeError: it is no text.

    """
    require_private(path)
    return path.read_text("utf-8")


def append_secrets(path: Path, text: str) -> None:
    """Add text to a file that holds secrets, which is made where it does not exist, readable by its owner only.

    Raises:
        OSError: it cannot be written.

    """
    make_private_folder(path.parent)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, FILE_MODE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
