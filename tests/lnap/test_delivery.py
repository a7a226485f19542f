"""Rows for two receivers: each gets every row, and neither waits for the other."""

from hypothesis import given
from hypothesis import strategies as st

from meterspan.lnap.delivery import TwoOutboxes, blocks_of
from meterspan.lnap.outbox import OutboxRow
from meterspan.model.readings import Source
from meterspan.quantities import UNITS, Obis, Scaled
from tests.memory import MemoryOutbox


def test_each_outbox_gets_every_item_and_is_emptied_by_its_own_receiver():
    uplink, home = MemoryOutbox(), MemoryOutbox()
    both = TwoOutboxes(uplink, home)
    last = [both.append(bytes([number])) for number in range(3)][-1]
    home.discard(home.peek(2)[-1][0])
    assert [octets for _, octets in both.peek(9)] == [b"\0", b"\1", b"\2"]
    both.discard(last)
    assert both.peek(9) == []
    assert [octets for _, octets in home.peek(9)] == [b"\2"]


numbers = st.builds(Scaled, st.integers(-(2**63), 2**63 - 1), st.integers(-3, 0), st.just(UNITS["Wh"]))
columns = st.sampled_from([(Obis(1, 0, 1, 8, 0),), (Obis(1, 0, 1, 8, 0), Obis(1, 0, 2, 8, 0))])
rows = st.builds(
    lambda device, time, values: OutboxRow(device, time, 8, values),
    st.sampled_from(["a", "b"]),
    st.integers(0, 10**6),
    columns.flatmap(lambda codes: st.tuples(*(st.tuples(st.just(code), numbers) for code in codes))),
)


@given(st.lists(rows, max_size=20))
def test_every_value_of_every_row_is_in_a_block_once_and_as_it_was(given_rows):
    blocks = blocks_of(given_rows, received_at=7)
    found = [
        (block.device, time, column.obis, Scaled(value, column.exponent, column.unit))
        for block in blocks
        for column in block.columns
        for time, value in zip(block.times.tolist(), column.values.tolist(), strict=True)
    ]
    expected = [(row.device, row.time, obis, value) for row in given_rows for obis, value in row.values]
    assert sorted(found, key=repr) == sorted(expected, key=repr)
    assert {(block.source, block.received_at) for block in blocks} <= {(Source.LOCAL, 7)}
    assert all((block.status == 8).all() for block in blocks)
    assert len({(block.device, tuple((c.obis, c.exponent) for c in block.columns)) for block in blocks}) == len(blocks)
