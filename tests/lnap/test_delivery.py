"""Rows for two receivers: each gets every row, and neither waits for the other."""

from meterspan.lnap.delivery import TwoOutboxes
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
