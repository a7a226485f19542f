"""What times each segment holds, kept beside the segments: a year of days is read in a second.

A file of the folder ``stretches`` follows from one segment, whose name has its checksum, and is made again where it is
missing, damaged or cannot be written: nothing depends on it, and a back-up may leave the folder out.
"""

import contextlib
import logging
from collections.abc import Callable, Collection
from pathlib import Path

from meterspan.model.reasons import reason_of
from meterspan.model.storage.errors import DamagedBatchError
from meterspan.model.storage.readings import Readings
from meterspan.model.storage.stretches import Stretches
from meterspan.store.columns import read_stretches, write_stretches
from meterspan.store.layers import live
from meterspan.store.private_files import make_private_folder, read_own, replacing

__all__ = ["SegmentStretches"]

_log = logging.getLogger(__name__)


class SegmentStretches:
    """The files of a folder, one for each segment.

    Args:
        folder: made where it is not there.

    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def of(self, name: str, load: Callable[[], Readings | None]) -> Stretches | None:
        """Return the times of a segment, or None where it cannot be read.

        Args:
            name: of the segment.
            load: reads the segment, where its file here is missing or damaged.

        """
        try:
            return read_stretches(read_own(self._path(name)), name)
        except (OSError, DamagedBatchError):
            readings = load()
        return None if readings is None else self.keep(name, readings)

    def keep(self, name: str, readings: Readings) -> Stretches:
        """Write the times of a segment, if there is room; return them."""
        found = Stretches.of(live(readings))
        try:
            make_private_folder(self._folder, is_ours=True)
            with replacing(self._path(name), is_own=True) as file:
                file.write(write_stretches(found, name))
        except (OSError, ValueError) as error:
            _log.warning("not kept; it is made again", extra={"segment": name, "reason": reason_of(error)})
        return found

    def forget_others(self, names: Collection[str]) -> None:
        """Remove the files of segments that are no more."""
        kept = {self._path(name) for name in names}
        with contextlib.suppress(OSError):
            for path in self._folder.iterdir():
                if path not in kept:
                    path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name.removesuffix('.parquet')}.times"
