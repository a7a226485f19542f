"""A sink that stores what can be stored: rows that the store cannot take are set aside by name, and never come back.

Strategy: a batch goes to the sink below as it is. Where that fails for another reason than storage, each block is tried
alone, and a block that fails is halved until the rows are found; so one impossible row costs itself alone. Rows are at
fault where the store names their values, or where it took others at the same time; else the store is, and nothing is
set aside.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from meterspan.model.ports import ReadingSink
from meterspan.model.quarantine import FrameFault, QuarantinedFrame
from meterspan.model.readings import CaptureBlock, MeterEvent
from meterspan.model.storage.errors import StorageError
from meterspan.runtime.defects import note_defect

__all__ = ["IsolatingSink", "RefusedRow"]

OF_VALUES: Final = (ValueError, ArithmeticError)
"""Errors that name a value: impossible, or too large."""


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that the store cannot take.

    Attributes:
        block: of this one row.
        error: of the store.

    """

    block: CaptureBlock
    error: Exception

    def quarantined(self) -> QuarantinedFrame:
        """Return its entry in the quarantine: there are no octets, so the reason names its values."""
        block = self.block
        values = ", ".join(
            f"{column.obis} {int(column.values[0])}e{column.exponent} {column.unit.symbol}" for column in block.columns
        )
        reason = f"the row of {int(block.times[0])} cannot be stored ({values}): {self.error}"
        return QuarantinedFrame(block.received_at, "the store", FrameFault.IMPLAUSIBLE, reason, b"", block.device)


class IsolatingSink:
    """A ``ReadingSink`` before another one.

    Args:
        sink: where blocks go.
        on_refused: called with each row that it cannot take, in the calling thread.

    """

    def __init__(self, sink: ReadingSink, on_refused: Callable[[RefusedRow], None]) -> None:
        self._sink = sink
        self._on_refused = on_refused

    def take(self, blocks: Sequence[CaptureBlock], events: Sequence[MeterEvent] = ()) -> None:
        """Store what can be stored durably; the rest is refused row by row.

        Raises:
            StorageError: nothing can be stored now.
            Exception: of the sink below, where the fault is not of some rows.

        """
        try:
            self._sink.take(blocks, events)
        except StorageError:
            raise
        except Exception as error:
            refused = list(self._refused(blocks))
            is_of_rows = len(refused) < sum(len(block.times) for block in blocks)
            if not blocks or not (is_of_rows or all(isinstance(row.error, OF_VALUES) for row in refused)):
                raise
            note_defect("the store cannot take some readings; they are set aside", error)
            for row in refused:
                self._on_refused(row)
            if events:
                self._sink.take((), events)

    def _refused(self, blocks: Sequence[CaptureBlock]) -> Iterator[RefusedRow]:
        """Store blocks one by one; yield the rows that cannot be."""
        for block in blocks:
            try:
                self._sink.take([block])
            except StorageError:
                raise
            except Exception as error:  # noqa: BLE001 - one row fails alone; it is reported with its error
                rows = len(block.times)
                if rows <= 1:
                    yield RefusedRow(block, error)
                else:
                    yield from self._refused([_rows(block, 0, rows // 2), _rows(block, rows // 2, rows)])


def _rows(block: CaptureBlock, first: int, end: int) -> CaptureBlock:
    """Return some rows of a block."""
    part = slice(first, end)
    return replace(
        block,
        times=block.times[part],
        columns=tuple(replace(column, values=column.values[part]) for column in block.columns),
        status=block.status[part],
        quality=block.quality[part],
    )
