"""What can go wrong with data at rest: the one error tree of every file, journal and database that meterspan keeps.

StorageError                  cannot be stored or read now
├── StorageFullError          no room on the device, or beyond a quota                  passes by itself
├── StorageLockedError        another process holds the database                        passes by itself
├── StorageUnavailableError   the device or file system fails, or is read-only          passes by itself
├── DamagedError              what is stored is not what was written
│   ├── DamagedBatchError     octets of a batch
│   ├── DamagedSegmentError   a segment
│   ├── ForeignSegmentError   a segment that this journal never wrote
│   └── DamagedSupplyError    readings or registrations of a usage point that are impossible together
├── UnknownFormatError        written by a newer version
├── ConcurrentWriterError     another process owns the file or directory
├── CopiedCountersError       invocation counters that may be in use elsewhere
└── StorageClosedError        used after close

``sqlite3``, SQLAlchemy, pyarrow, DuckDB and the operating system raise dozens of types; ``store.edge`` turns each of
them into one of these. Who stores for a job catches ``StorageError`` and fails that job with ``FailureKind.STORAGE``.
"""

from typing import ClassVar

__all__ = [
    "ConcurrentWriterError",
    "CopiedCountersError",
    "DamagedBatchError",
    "DamagedError",
    "DamagedSegmentError",
    "DamagedSupplyError",
    "ForeignSegmentError",
    "StorageClosedError",
    "StorageError",
    "StorageFullError",
    "StorageLockedError",
    "StorageUnavailableError",
    "UnknownFormatError",
]


class StorageError(Exception):
    """Data cannot be stored or read.

    Args:
        detail: what went wrong, in plain English; never matched by code.
        path: file or directory at fault, "" where it has none.

    """

    code: ClassVar[str] = "failed"
    """Short name of the sort of error; stored and sent, so never renamed."""
    is_transient: ClassVar[bool] = False
    """Whether the same call may work later without anybody's repair: wait and try again."""

    def __init__(self, detail: str, path: str = "") -> None:
        super().__init__(f"{path}: {detail}" if path else detail)
        self.detail = detail
        self.path = path


class StorageFullError(StorageError):
    """The device has no room left, or the file may not grow further."""

    code = "full"
    is_transient = True


class StorageLockedError(StorageError):
    """Another process holds the database for longer than the store waits."""

    code = "locked"
    is_transient = True


class StorageUnavailableError(StorageError):
    """The device or file system fails, is read-only, or refuses access."""

    code = "unavailable"
    is_transient = True


class DamagedError(StorageError):
    """What is stored is not what was written; restore it from a backup."""

    code = "damaged"


class DamagedBatchError(DamagedError):
    """The octets of a batch are not what was written."""


class DamagedSegmentError(DamagedError):
    """A segment is not what was written."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{why}; restore it from a backup", path)


class DamagedSupplyError(DamagedError):
    """Nothing can be derived for a usage point; the others of the home are answered."""


class ForeignSegmentError(DamagedError):
    """A segment that the journal never wrote: the journal is new, or older than its segments."""

    def __init__(self, path: str) -> None:
        super().__init__("was not written under this journal; restore the journal.sqlite it belongs to", path)


class UnknownFormatError(StorageError):
    """A file states a format version that this release does not know."""

    code = "unknown-format"

    def __init__(self, path: str, found: int, known: int) -> None:
        super().__init__(f"has format {found}; this release reads up to {known}: update meterspan", path)
        self.found = found
        self.known = known


class ConcurrentWriterError(StorageError):
    """Another process has the store open for writing; a store has one owner."""

    code = "concurrent-writer"


class CopiedCountersError(StorageError):
    """Invocation counters that were used last on another machine, or whose marks are lost: they may be in use there."""

    code = "copied-counters"

    def __init__(self, path: str) -> None:
        super().__init__(
            "its invocation counters were used last on another machine, or this one has lost its marks of them, and a"
            " counter sent twice under one key opens what it protects. If nothing else sends under these keys any"
            " more, start once with --after-restore: all counters then jump ahead",
            path,
        )


class StorageClosedError(StorageError):
    """The store was closed."""

    code = "closed"
