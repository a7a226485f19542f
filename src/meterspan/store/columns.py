"""The journal's batch: delta, byte shuffle and zstd over each column.

The octet layout is in ``docs/formats/journal.md``. A batch of one reading takes about 100 octets, a day of a
thousand meters about 2 octets per reading.
"""

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from meterspan.model.reasons import reason_of
from meterspan.model.storage.errors import DamagedBatchError
from meterspan.model.storage.readings import COLUMNS, Readings, SettledIntervals, UnsettledDays
from meterspan.model.storage.stretches import STRETCH_COLUMNS, Stretches

__all__ = [
    "read_arrow",
    "read_batch",
    "read_intervals",
    "read_stretches",
    "read_unsettled",
    "write_arrow",
    "write_batch",
    "write_intervals",
    "write_stretches",
    "write_unsettled",
]

# magic, format version, reserved, readings, crc32 of the compressed columns (docs/formats/journal.md)
HEADER = struct.Struct("<4sBxxxII")
MAGIC = b"MSB\n"
INTERVAL_MAGIC = b"MSI\n"
UNSETTLED_MAGIC = b"MSU\n"
STRETCHES_MAGIC = b"MST\n"
FORMAT = 1
MAX_BATCH_READINGS = 1 << 24
"""A batch that claims more is damaged; writers cut far earlier."""

# zstd level 1: level 3 saved 4 % of the octets for twice the time.
_ZSTD = pa.Codec("zstd", compression_level=1)


def write_batch(readings: Readings) -> bytes:
    """Write a batch of the journal.

    Raises:
        ValueError: more than ``MAX_BATCH_READINGS``.

    """
    return _write(MAGIC, [getattr(readings, name) for name in COLUMNS])


def read_batch(octets: bytes) -> Readings:
    """Read a batch of the journal.

    Raises:
        DamagedBatchError: the octets are not a batch, are cut or changed, or are of a newer format.

    """
    return Readings(*_read(MAGIC, octets, list(COLUMNS.values())))


def write_intervals(intervals: SettledIntervals) -> bytes:
    """Write the intervals of a version."""
    return _write(INTERVAL_MAGIC, [intervals.start, intervals.end, intervals.value, intervals.quality])


def read_intervals(octets: bytes) -> SettledIntervals:
    """Read the intervals of a version.

    Raises:
        DamagedBatchError: the octets are not intervals, are cut or changed, or are of a newer format.

    """
    return SettledIntervals(*_read(INTERVAL_MAGIC, octets, [np.int64, np.int64, np.int64, np.int32]))


def write_unsettled(days: UnsettledDays) -> bytes:
    """Write days to settle."""
    return _write(UNSETTLED_MAGIC, [days.series, days.day, days.readings, days.notes])


def read_unsettled(octets: bytes) -> UnsettledDays:
    """Read days to settle.

    Raises:
        DamagedBatchError: the octets are not days, are cut or changed, or are of a newer format.

    """
    return UnsettledDays(*_read(UNSETTLED_MAGIC, octets, [np.int32] * 4))


def write_stretches(stretches: Stretches, segment: str) -> bytes:
    """Write the times of a segment; its name is under the checksum."""
    return _write(STRETCHES_MAGIC, [getattr(stretches, name) for name in STRETCH_COLUMNS], segment)


def read_stretches(octets: bytes, segment: str) -> Stretches:
    """Read the times of a segment.

    Raises:
        DamagedBatchError: the octets are not the stretches of this segment, are cut or changed, or of a newer format.

    """
    return Stretches(*_read(STRETCHES_MAGIC, octets, list(STRETCH_COLUMNS.values()), segment))


def write_arrow(readings: Readings) -> pa.Table:
    """Write readings as an Arrow table with the columns by name."""
    return pa.table({name: getattr(readings, name) for name in COLUMNS})


def read_arrow(table: pa.Table) -> Readings:
    """Read the columns of an Arrow table by their names."""
    return Readings(*(table.column(name).to_numpy().astype(dtype, copy=False) for name, dtype in COLUMNS.items()))


def _write(magic: bytes, columns: Sequence[NDArray[Any]], of: str = "") -> bytes:
    """Write columns; ``of`` names what they are of, where the octets alone do not say it."""
    count = len(columns[0])
    if count > MAX_BATCH_READINGS:
        raise ValueError(f"{count} readings are more than a batch holds ({MAX_BATCH_READINGS})")
    payload: bytes = _ZSTD.compress(b"".join(_shuffled(column) for column in columns), asbytes=True)
    return HEADER.pack(magic, FORMAT, count, _checksum(payload, of)) + payload


def _checksum(payload: bytes | memoryview, of: str) -> int:
    return zlib.crc32(payload, zlib.crc32(of.encode()))


def _read(magic: bytes, octets: bytes, dtypes: Sequence[type[np.signedinteger]], of: str = "") -> list[NDArray[Any]]:
    if len(octets) < HEADER.size:
        raise DamagedBatchError(f"a batch of {len(octets)} octets is shorter than its header")
    found, version, count, crc = HEADER.unpack_from(octets)
    payload = memoryview(octets)[HEADER.size :]
    if found != magic or version != FORMAT or count > MAX_BATCH_READINGS:
        raise DamagedBatchError(f"not a batch of format {FORMAT}: {octets[:8].hex()}")
    if _checksum(payload, of) != crc:
        raise DamagedBatchError("the checksum of the columns is wrong")
    size = count * sum(np.dtype(dtype).itemsize for dtype in dtypes)
    try:
        planes: bytes = _ZSTD.decompress(payload, decompressed_size=size, asbytes=True)
    except (OSError, ValueError) as error:
        raise DamagedBatchError(f"the columns do not decompress: {reason_of(error)}") from error
    if len(planes) != size:
        raise DamagedBatchError(f"the columns hold {len(planes)} octets where {size} are due")
    offset = 0
    columns: list[NDArray[Any]] = []
    for dtype in dtypes:
        width = count * np.dtype(dtype).itemsize
        columns.append(_unshuffled(planes[offset : offset + width], dtype, count))
        offset += width
    return columns


def _shuffled(column: NDArray[Any]) -> bytes:
    """Differences (modulo 2^bits), all lowest octets first, then the next ones."""
    delta = column.copy()
    delta[1:] -= column[:-1]
    octets = delta.view(np.uint8).reshape(len(column), column.itemsize)
    return octets.T.tobytes()


def _unshuffled(planes: bytes, dtype: type[np.signedinteger], count: int) -> NDArray[Any]:
    width = np.dtype(dtype).itemsize
    octets = np.frombuffer(planes, np.uint8).reshape(width, count)
    delta = np.ascontiguousarray(octets.T).reshape(-1).view(dtype)
    return np.cumsum(delta, dtype=dtype)
