"""One subpackage per standard: octets to records and back, without I/O, clock or keys' storage.

Every format has one idiom: layout, frozen record, ``read_…`` (octets to record), ``write_…`` (record to octets), text.
Any octets give a record or a ``WireError``.
"""

from meterspan.wire.cursor import Cursor, Span, Trace
from meterspan.wire.errors import (
    ChecksumError,
    ImplausibleError,
    KeyMissingError,
    KeyWrongError,
    ReplayError,
    SecurityError,
    TruncatedError,
    UnknownLayoutError,
    UnsupportedError,
    WireError,
)

__all__ = [
    "ChecksumError",
    "Cursor",
    "ImplausibleError",
    "KeyMissingError",
    "KeyWrongError",
    "ReplayError",
    "SecurityError",
    "Span",
    "Trace",
    "TruncatedError",
    "UnknownLayoutError",
    "UnsupportedError",
    "WireError",
]
