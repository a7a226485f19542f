"""One impossible row costs itself alone; where the store itself is at fault, nothing is set aside."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.quarantine import FrameFault
from meterspan.model.readings import CaptureBlock, Source
from meterspan.model.storage.errors import StorageFullError
from meterspan.quantities import UNITS, Obis
from meterspan.runtime.isolating_sink import IsolatingSink

ENERGY, WH = Obis(1, 0, 1, 8, 0), UNITS["Wh"]


def block(device, times):
    rows = [(time, 0, [time * 10]) for time in times]
    return CaptureBlock.of_rows(device, Source.PUSH, channels=[(ENERGY, WH, 0)], rows=rows, received_at=7)


class Picky:
    """Takes what holds no row of certain times; keeps the rest whole or not at all."""

    def __init__(self, bad, error=ValueError):
        self.bad, self.error, self.kept, self.events, self.calls = set(bad), error, [], [], 0

    def take(self, blocks, events=()):
        self.calls += 1
        if any(int(time) in self.bad for block in blocks for time in block.times):
            raise self.error("no such time")
        self.kept += [(block.device, int(time)) for block in blocks for time in block.times]
        self.events += events


@pytest.mark.finding("security C2")
@pytest.mark.attack(3)
@given(
    st.lists(st.lists(st.integers(0, 40), min_size=1, max_size=12, unique=True), min_size=1, max_size=6),
    st.sets(st.integers(0, 40), max_size=5),
)
def test_whatever_rows_are_impossible_all_others_are_stored_once_and_those_are_named(batches, bad):
    sink, refused = Picky(bad), []
    IsolatingSink(sink, refused.append).take([block(f"M{n}", times) for n, times in enumerate(batches)], ["event"])
    rows = [(f"M{n}", time) for n, times in enumerate(batches) for time in times]
    assert sorted(sink.kept) == sorted(row for row in rows if row[1] not in bad)
    named = [(row.block.device, int(row.block.times[0])) for row in refused]
    assert sorted(named) == sorted(row for row in rows if row[1] in bad)
    assert sink.events == ["event"]


def test_a_refused_row_is_quarantined_with_its_values():
    refused = []
    IsolatingSink(Picky([5]), refused.append).take([block("M", [4, 5])])
    frame = refused[0].quarantined()
    assert (frame.device, frame.fault, frame.time) == ("M", FrameFault.IMPLAUSIBLE, 7)
    assert frame.reason == f"the row of 5 cannot be stored ({ENERGY} 50e0 Wh): no such time"


def test_a_store_that_takes_nothing_is_at_fault_itself():
    refused = []
    with pytest.raises(RuntimeError):
        IsolatingSink(Picky(range(10), RuntimeError), refused.append).take([block("M", [4, 5])])
    assert refused == []


def test_a_full_disk_is_nobodys_fault():
    sink, refused = Picky([5], StorageFullError), []
    with pytest.raises(StorageFullError):
        IsolatingSink(sink, refused.append).take([block("M", [4]), block("N", [5])])
    assert (refused, sink.calls) == ([], 1)
