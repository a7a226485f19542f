"""Contexts that share a counter never hand out one twice nor out of order, and each is durable before its use."""

from hypothesis import given
from hypothesis import strategies as st

from meterspan.engine.counter_blocks import BLOCK, CounterBlocks
from meterspan.engine.security import SecurityContext, SecurityKeys
from tests.memory import MemoryState

TITLE, PEER = b"MSP\0\0\0\0\1", b"MSPH\0\0\0\1"
KEYS = SecurityKeys(bytes(16), bytes(16))


@given(st.lists(st.integers(1, 3 * BLOCK), max_size=40))
def test_runs_ascend_and_are_durable_before_they_are_given(counts: list[int]) -> None:
    state = MemoryState()
    blocks = CounterBlocks(state)
    last = 0
    for count in counts:
        first = blocks.reserve("sent", count)
        assert first > last
        last = first + count - 1
        assert state.next["sent"] > last


def test_a_restart_skips_the_rest_of_the_block() -> None:
    state = MemoryState()
    first = CounterBlocks(state).reserve("sent", 1)
    assert CounterBlocks(state).reserve("sent", 1) == first + BLOCK


def test_two_contexts_of_one_meter_do_not_make_each_other_look_replayed() -> None:
    blocks = CounterBlocks(MemoryState())
    one, other = (SecurityContext(TITLE, KEYS, counters=blocks, peer_title=PEER, counter_block=1) for _ in range(2))
    receiver = SecurityContext(PEER, KEYS, counters=MemoryState(), peer_title=TITLE)
    for number in range(3 * BLOCK):
        sender = one if number % 2 else other
        assert receiver.unprotect(sender.protect(b"\xc4\x01\xc1\x00\x00")).octets == b"\xc4\x01\xc1\x00\x00"
