"""Blocks of columns: what a collection from one device holds."""

import numpy as np
import pytest

from meterspan.model.readings import CaptureBlock, CaptureColumn, Source
from meterspan.quantities import UNITS, Obis, Quality, Scaled

IMPORT, EXPORT = Obis(1, 0, 1, 8, 0), Obis(1, 0, 2, 8, 0)


def test_a_row_becomes_a_block_that_keeps_each_exact_value_with_its_unit_and_exponent() -> None:
    values = {IMPORT: Scaled(223_456_8, -1, UNITS["Wh"]), EXPORT: Scaled(7, 3, UNITS["Wh"])}
    block = CaptureBlock.of_row(
        "D1",
        Source.LOCAL,
        time=1_700_000_000,
        values=values,
        received_at=1_700_000_005,
        status=2,
        quality=Quality.CLOCK_INVALID,
    )
    assert (block.device, block.source, block.received_at) == ("D1", Source.LOCAL, 1_700_000_005)
    assert block.times.tolist() == [1_700_000_000]
    assert {c.obis: Scaled(int(c.values[0]), c.exponent, c.unit) for c in block.columns} == values
    assert (block.status.tolist(), block.quality.tolist()) == ([2], [int(Quality.CLOCK_INVALID)])


def test_a_block_whose_columns_differ_in_length_is_refused() -> None:
    nothing = np.zeros(1, np.int32)
    column = CaptureColumn(IMPORT, UNITS["Wh"], 0, np.array([1, 2], np.int64))
    with pytest.raises(ValueError, match="columns of"):
        CaptureBlock("D1", Source.LOCAL, 0, np.array([1], np.int64), (column,), nothing, nothing)


def test_rows_become_columns_in_their_order():
    block = CaptureBlock.of_rows(
        "D1",
        Source.PUSH,
        channels=[(IMPORT, UNITS["Wh"], 0), (EXPORT, UNITS["Wh"], 1)],
        rows=[(900, 0, [1, 2]), (1_800, 4, [3, 4])],
        received_at=2_000,
    )
    assert block.times.tolist() == [900, 1_800]
    assert block.status.tolist() == [0, 4]
    assert [(c.obis, c.exponent, c.values.tolist()) for c in block.columns] == [
        (IMPORT, 0, [1, 3]),
        (EXPORT, 1, [2, 4]),
    ]
    assert block.quality.tolist() == [0, 0]


def test_no_rows_make_a_block_of_no_rows():
    block = CaptureBlock.of_rows("D1", Source.PUSH, channels=[(IMPORT, UNITS["Wh"], 0)], rows=[])
    assert (len(block.times), len(block.columns[0].values)) == (0, 0)
