"""Times at which readings are stored, without the readings: a year of quarter hours is one row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from meterspan.model.readings import Source
from meterspan.model.storage.readings import Readings

__all__ = ["STRETCH_COLUMNS", "Stretch", "Stretches"]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Evenly spaced times of one series.

    Attributes:
        first: UTC seconds of the first.
        step: seconds from one to the next; 0 where there is one.
        count: how many there are, at least 1.

    """

    first: int
    step: int
    count: int

    @property
    def times(self) -> NDArray[np.int64]:
        """All of them, UTC seconds."""
        return self.first + self.step * np.arange(self.count, dtype=np.int64)


@dataclass(frozen=True, slots=True, eq=False)
class Stretches:
    """Stretches of many series by column, all of one length.

    Attributes:
        series: number of the series.
        first: UTC seconds of the first time.
        step: seconds from one time to the next; 0 where there is one.
        count: how many times there are.
        received_at: UTC seconds of the newest arrival among them; 0 where all of them are registers that people gave
            at an installation or exchange, which no meter has sent.

    """

    series: NDArray[np.int32]
    first: NDArray[np.int64]
    step: NDArray[np.int64]
    count: NDArray[np.int64]
    received_at: NDArray[np.int64]

    def __len__(self) -> int:
        """Count the stretches."""
        return len(self.series)

    def __getitem__(self, index: ArrayLike) -> Self:
        """Pick stretches by mask or positions."""
        where = np.asarray(index)
        return type(self)(*(getattr(self, name)[where] for name in STRETCH_COLUMNS))

    @classmethod
    def of(cls, readings: Readings) -> "Stretches":
        """Return the stretches of readings that are sorted by series and time; two at one instant are one time."""
        if not len(readings):
            return cls.concatenated([])
        at = np.flatnonzero(_changes(readings.series) | _changes(readings.time))
        series, time = readings.series[at], readings.time[at]
        heard_at = np.where(readings.source == Source.EXCHANGE, 0, readings.received_at)
        received_at = np.maximum.reduceat(heard_at, at)
        heads = np.flatnonzero(_begins(series, time))
        count = np.diff(heads, append=len(time))
        gap = np.diff(time, append=time[-1:])[heads]
        step = np.where(count > 1, gap, 0)
        return cls(series[heads], time[heads], step, count, np.maximum.reduceat(received_at, heads))

    @classmethod
    def concatenated(cls, parts: Sequence["Stretches"]) -> "Stretches":
        """Return the stretches of all parts, sorted by series and time, joined where one goes on as another ends."""
        columns = (
            np.concatenate([np.zeros(0, dtype), *(getattr(part, name) for part in parts)]).astype(dtype, copy=False)
            for name, dtype in STRETCH_COLUMNS.items()
        )
        found: Stretches = cls(*columns)
        found = found[np.lexsort((found.first, found.series))]
        while len(joined := _joined(found)) < len(found):
            found = joined
        return found

    def by_series(self) -> Iterator[tuple[int, list[Stretch], int]]:
        """Iterate over (series, its stretches, the newest arrival) of sorted stretches."""
        heads = np.flatnonzero(_changes(self.series))
        newest = np.maximum.reduceat(self.received_at, heads).tolist() if len(heads) else []
        rows = [Stretch(*row) for row in zip(self.first.tolist(), self.step.tolist(), self.count.tolist(), strict=True)]
        ends = [*heads.tolist()[1:], len(rows)] if rows else []
        for head, end, received_at in zip(heads.tolist(), ends, newest, strict=True):
            yield int(self.series[head]), rows[head:end], received_at


STRETCH_COLUMNS: Final[dict[str, type[np.signedinteger]]] = {
    "series": np.int32,
    "first": np.int64,
    "step": np.int64,
    "count": np.int64,
    "received_at": np.int64,
}


def _changes(column: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether each row differs from the one before it; the first one does."""
    return np.concatenate(([True], column[1:] != column[:-1]))[: len(column)]


def _begins(series: NDArray[np.int32], time: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether a time begins a stretch: it is the first of its series, or has another distance than the one before."""
    begins = _changes(series)
    gap = np.diff(time)
    begins[2:] |= (gap[1:] != gap[:-1]) & ~begins[1:-1]
    return begins


def _joined(parts: Stretches) -> Stretches:
    """Join each stretch with the ones after it that go on with its step."""
    if len(parts) < 2:
        return parts
    end = parts.first + (parts.count - 1) * parts.step
    gap = np.where(parts.series[1:] == parts.series[:-1], parts.first[1:] - end[:-1], 0)
    step = parts.step.copy()
    lone = step == 0
    fits = lone[:-1] & (gap > 0) & (lone[1:] | (step[1:] == gap))
    step[:-1] = np.where(fits, gap, step[:-1])  # a lone time takes the step to what comes after it
    goes_on = (gap > 0) & (step[:-1] == gap) & ((step[1:] == gap) | (step[1:] == 0))
    heads = np.flatnonzero(np.concatenate(([True], ~goes_on)))
    count = np.add.reduceat(parts.count, heads)
    received_at = np.maximum.reduceat(parts.received_at, heads)
    return Stretches(parts.series[heads], parts.first[heads], np.where(count > 1, step[heads], 0), count, received_at)
