"""What came first and how: values count once, for the way on which they came first, and only once they are stored."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.readings import CaptureBlock, Source
from meterspan.quantities import UNITS, Obis, Scaled
from meterspan.sim.arrivals import Arrivals

REGISTERS = (Obis(1, 0, 1, 8, 0), Obis(1, 0, 2, 8, 0))
rows = st.tuples(st.sampled_from("AB"), st.sampled_from([Source.PUSH, Source.SCHEDULED_READ]), st.integers(1, 5))


class Sink:
    def __init__(self):
        self.taken = []

    def take(self, blocks, events=()):
        self.taken.append((blocks, events))


def block(device, source, time):
    return CaptureBlock.of_row(device, source, time=time, values=dict.fromkeys(REGISTERS, Scaled(time, 0, UNITS["Wh"])))


@given(st.lists(st.lists(rows, max_size=4), max_size=6))
def test_every_value_counts_for_the_way_on_which_it_came_first_and_all_batches_pass_on(batches):
    sink = Sink()
    arrivals = Arrivals(sink)
    for batch in batches:
        arrivals.take([block(*row) for row in batch])
    came = [row for batch in batches for row in batch]
    first = {}
    for device, source, time in came:
        first.setdefault((device, time), source)
    assert len(sink.taken) == len(batches)
    for source in (Source.PUSH, Source.SCHEDULED_READ):
        assert arrivals.first[source] == list(first.values()).count(source) * len(REGISTERS)


def test_what_could_not_be_stored_has_not_come():
    class Full:
        def take(self, blocks, events=()):
            raise OSError("no space left")

    arrivals = Arrivals(Full())
    with pytest.raises(OSError, match="no space"):
        arrivals.take([block("A", Source.PUSH, 1)])
    assert not arrivals.first
