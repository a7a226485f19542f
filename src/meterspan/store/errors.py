"""What can go wrong with data at rest.

StoreError
├── DamagedBatch      octets of a journal batch do not read back
├── DamagedSegment    a segment is gone, cut or changed
├── ForeignSegment    a segment that this journal never wrote
├── UnknownFormat     written by a newer version
├── ConcurrentWriter  another process owns the directory
└── StoreClosed       used after close
"""

__all__ = [
    "ConcurrentWriter",
    "DamagedBatch",
    "DamagedSegment",
    "ForeignSegment",
    "StoreClosed",
    "StoreError",
    "UnknownFormat",
]


class StoreError(Exception):
    """Base of all errors of the store."""


class DamagedBatch(StoreError):  # noqa: N818 - reads as the field says it
    """The octets of a batch are not what was written."""


class DamagedSegment(StoreError):  # noqa: N818 - reads as the field says it
    """A segment is not what was written."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path} {why}; restore it from a backup")
        self.path = path


class ForeignSegment(StoreError):  # noqa: N818 - reads as the field says it
    """A segment that the journal never wrote: the journal is new, or older than its segments."""

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} was not written under this journal; restore the journal.sqlite it belongs to")
        self.path = path


class UnknownFormat(StoreError):  # noqa: N818 - reads as the field says it
    """A file says a format version that this release does not know."""

    def __init__(self, path: str, found: int, known: int) -> None:
        super().__init__(f"{path} has format {found}; this release reads up to {known}")
        self.path = path
        self.found = found
        self.known = known


class ConcurrentWriter(StoreError):  # noqa: N818 - reads as the field says it
    """Another process has the store open for writing; the store has one owner."""


class StoreClosed(StoreError):  # noqa: N818 - reads as the field says it
    """The store was closed."""
