"""The load profile's memory: rows of integers by time in a ring of fixed size (IEC 62056-6-2, 4.3.6).

Rows are kept as numbers, twenty octets each, and become COSEM data only when a client asks. Rows captured after the
clock was set back stand behind older times; a range read finds them all the same, in the order of capture.
"""

import struct
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from meterspan.model.cosem.profile import Row

__all__ = ["NOT_CAPTURED", "LoadProfile"]

NOT_CAPTURED: Final = 0xFFFF_FFFF_FFFF_FFFF
"""Stands for a register that had no value when the row was captured."""
_VALUE_MAX: Final = NOT_CAPTURED - 1


class LoadProfile:
    """A ring of captured rows; fits ``model.cosem.ProfileRows``.

    Args:
        columns: how many values stand in a row beside time and status.
        capacity: entries before the oldest is overwritten.
        to_row: makes the COSEM row of (time, status, values).

    """

    def __init__(self, columns: int, capacity: int, to_row: Callable[[int, int, Sequence[int]], Row]) -> None:
        self._format = struct.Struct(f">QB{columns}Q")
        self._rows: deque[tuple[int, ...]] = deque(maxlen=capacity)
        self._to_row = to_row

    def __len__(self) -> int:
        """Count the entries in use."""
        return len(self._rows)

    @property
    def capacity(self) -> int:
        """The number of entries that fit."""
        return self._rows.maxlen or 0

    def capture(self, time: int, status: int, values: Sequence[int]) -> None:
        """Append a row: clock time in UTC seconds, status octet, register steps."""
        self._rows.append((time, status, *values))

    def entries(self, first: int, last: int) -> Iterable[Row]:
        """Return rows number ``first`` to ``last``, counted from 1, oldest first; numbers without a row give none."""
        return self._shown(islice(self._rows, max(first, 1) - 1, max(last, 0)))

    def newest(self) -> tuple[int, ...] | None:
        """Return the row captured last as (time, status, values…), or None."""
        return self._rows[-1] if self._rows else None

    def between(self, start: int, end: int) -> Iterable[Row]:
        """Return the rows with ``start <= time <= end`` (UTC seconds)."""
        return self._shown(row for row in self._rows if start <= row[0] <= end)

    def numbers(self) -> Iterator[tuple[int, ...]]:
        """Iterate over the rows as (time, status, values…), oldest first."""
        return iter(self._rows)

    def rescale(self, column: int, factor: int) -> None:
        """Multiply all values of a column, from 0, where its register's scaler became finer.

        Raises:
            OverflowError: a value would not fit 64 bits; nothing was changed.

        """
        place = 2 + column
        if any(row[place] * factor > _VALUE_MAX and row[place] != NOT_CAPTURED for row in self._rows):
            raise OverflowError(f"column {column} does not fit 64 bits at a scale {factor} times finer")
        rows = [
            (*row[:place], row[place] if row[place] == NOT_CAPTURED else row[place] * factor, *row[place + 1 :])
            for row in self._rows
        ]
        self._rows.clear()
        self._rows.extend(rows)

    def reset(self) -> None:
        """Forget all rows."""
        self._rows.clear()

    def pack(self) -> bytes:
        """Write all rows for keeping through a power loss."""
        return b"".join(self._format.pack(*row) for row in self._rows)

    def unpack(self, octets: bytes) -> None:
        """Restore kept rows; a torn last row is left out."""
        whole = len(octets) - len(octets) % self._format.size
        self._rows.extend(self._format.iter_unpack(octets[:whole]))

    def _shown(self, rows: Iterable[tuple[int, ...]]) -> Iterator[Row]:
        return (self._to_row(time, status, values) for time, status, *values in rows)
