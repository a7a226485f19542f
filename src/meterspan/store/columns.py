"""Readings as columns, and the journal's batch: delta, byte shuffle and zstd over each column.

The octet layout stands in ``docs/formats/journal.md``. A batch of one reading takes about 100 octets, a day of a
thousand meters about 2 octets per reading.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from meterspan.store.errors import DamagedBatch

__all__ = ["Readings", "read_batch", "read_intervals", "write_batch", "write_intervals"]

# magic, format version, reserved, readings, crc32 of the compressed columns (docs/formats/journal.md)
HEADER = struct.Struct("<4sBxxxII")
MAGIC = b"MSB\n"
INTERVAL_MAGIC = b"MSI\n"
FORMAT = 1
MAX_BATCH_READINGS = 1 << 24
"""A batch that claims more is damaged; writers cut far earlier."""

# zstd level 1: level 3 saved 4 % of the octets for twice the time.
_ZSTD = pa.Codec("zstd", compression_level=1)


@dataclass(frozen=True, slots=True, eq=False)
class Readings:
    """Readings by column, all of one length.

    Attributes:
        series: number of the series.
        time: UTC seconds, as the meter's clock gave it.
        value: integer steps of the series.
        status: the device's status word.
        quality: ``Quality`` bits known when stored.
        source: ``Source`` number.
        received_at: UTC seconds of arrival.

    """

    series: NDArray[np.int32]
    time: NDArray[np.int64]
    value: NDArray[np.int64]
    status: NDArray[np.int32]
    quality: NDArray[np.int32]
    source: NDArray[np.int8]
    received_at: NDArray[np.int64]

    def __len__(self) -> int:
        """Count the readings."""
        return len(self.time)

    def __getitem__(self, index: ArrayLike | slice) -> Self:
        """Pick readings by mask, positions or slice."""
        where = index if isinstance(index, slice) else np.asarray(index)
        return type(self)(*(getattr(self, name)[where] for name in COLUMNS))

    @classmethod
    def empty(cls) -> Self:
        """Give no readings."""
        return cls(*(np.zeros(0, dtype) for dtype in COLUMNS.values()))

    @classmethod
    def concatenate(cls, parts: Sequence["Readings"]) -> Self:
        """Join in the order given."""
        if not parts:
            return cls.empty()
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS))

    @classmethod
    def of_arrow(cls, table: pa.Table) -> Self:
        """Take the columns of an Arrow table by their names."""
        return cls(*(table.column(name).to_numpy().astype(dtype, copy=False) for name, dtype in COLUMNS.items()))

    def to_arrow(self) -> pa.Table:
        """Give an Arrow table with the columns by name."""
        return pa.table({name: getattr(self, name) for name in COLUMNS})

    def sorted(self) -> Self:
        """Sort by series, time, value: the order of every file and of every answer."""
        if len(self) > 1:
            keys = np.diff(self.series), np.diff(self.time)
            if np.all((keys[0] > 0) | ((keys[0] == 0) & (keys[1] > 0))):
                return self
        return self[np.lexsort((self.received_at, self.value, self.time, self.series))]


COLUMNS: dict[str, type[np.signedinteger]] = {
    "series": np.int32, "time": np.int64, "value": np.int64, "status": np.int32, "quality": np.int32,
    "source": np.int8, "received_at": np.int64,
}  # fmt: skip


def write_batch(readings: Readings) -> bytes:
    """Write a batch of the journal.

    Raises:
        ValueError: more than ``MAX_BATCH_READINGS``.

    """
    return _write(MAGIC, [getattr(readings, name) for name in COLUMNS])


def read_batch(octets: bytes) -> Readings:
    """Read a batch of the journal.

    Raises:
        DamagedBatch: the octets are not a batch, are cut or changed, or are of a newer format.

    """
    return Readings(*_read(MAGIC, octets, list(COLUMNS.values())))


def write_intervals(
    start: NDArray[np.int64], end: NDArray[np.int64], value: NDArray[np.int64], quality: NDArray[np.int32]
) -> bytes:
    """Write the intervals of a version."""
    return _write(INTERVAL_MAGIC, [start, end, value, quality])


def read_intervals(
    octets: bytes,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int32]]:
    """Read the intervals of a version: start, end, value, quality.

    Raises:
        DamagedBatch: the octets are not intervals, are cut or changed, or are of a newer format.

    """
    start, end, value, quality = _read(INTERVAL_MAGIC, octets, [np.int64, np.int64, np.int64, np.int32])
    return start, end, value, quality


def _write(magic: bytes, columns: Sequence[NDArray[Any]]) -> bytes:
    count = len(columns[0])
    if count > MAX_BATCH_READINGS:
        raise ValueError(f"{count} readings are more than a batch holds ({MAX_BATCH_READINGS})")
    payload: bytes = _ZSTD.compress(b"".join(_shuffled(column) for column in columns), asbytes=True)
    return HEADER.pack(magic, FORMAT, count, zlib.crc32(payload)) + payload


def _read(magic: bytes, octets: bytes, dtypes: Sequence[type[np.signedinteger]]) -> list[NDArray[Any]]:
    if len(octets) < HEADER.size:
        raise DamagedBatch(f"a batch of {len(octets)} octets is shorter than its header")
    found, version, count, crc = HEADER.unpack_from(octets)
    payload = memoryview(octets)[HEADER.size :]
    if found != magic or version != FORMAT or count > MAX_BATCH_READINGS:
        raise DamagedBatch(f"not a batch of format {FORMAT}: {octets[:8].hex()}")
    if zlib.crc32(payload) != crc:
        raise DamagedBatch("the checksum of the columns is wrong")
    size = count * sum(np.dtype(dtype).itemsize for dtype in dtypes)
    try:
        planes: bytes = _ZSTD.decompress(payload, decompressed_size=size, asbytes=True)
    except (OSError, ValueError) as error:
        raise DamagedBatch(f"the columns do not decompress: {error}") from error
    if len(planes) != size:
        raise DamagedBatch(f"the columns hold {len(planes)} octets where {size} are due")
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
