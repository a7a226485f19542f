import pytest

from meterspan.sim.state import VirtualState


def test_counters_go_on_where_they_were():
    state = VirtualState()
    assert (state.reserve("a", 4), state.reserve("a", 1), state.reserve("b", 1)) == (1, 5, 1)
    with pytest.raises(ValueError, match="cannot reserve 0"):
        state.reserve("a", 0)


def test_a_received_counter_is_accepted_once():
    state = VirtualState()
    assert [state.accept("a", value) for value in (3, 3, 2, 4)] == [True, False, False, True]
    assert (state.accepted("a"), state.accepted("b")) == (4, 0)


def test_an_outbox_gives_items_in_order_and_outlives_its_owner():
    state = VirtualState()
    assert [state.outbox("up").append(octets) for octets in (b"a", b"b", b"c")] == [1, 2, 3]
    outbox = state.outbox("up")
    assert outbox.peek(2) == [(1, b"a"), (2, b"b")]
    outbox.discard(2)
    assert (outbox.peek(9), len(outbox)) == ([(3, b"c")], 1)
    assert outbox.append(b"d") == 4


def test_a_saved_state_is_what_was_saved_last():
    state = VirtualState()
    state.save("clock", b"1")
    state.save("clock", b"2")
    assert (state.load("clock"), state.load("other")) == (b"2", None)
