"""Two turns over a line that loses frames: each APDU arrives once and in order, and only one side sends at a time."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from meterspan.engine.hdlc.config import HdlcConfig
from meterspan.engine.hdlc.turn import SEND_QUEUE_OCTETS_MAX, Segment, Turn, Verdict
from meterspan.engine.link import LinkCounts, Role
from meterspan.wire.hdlc import FrameKind, HdlcAddress, HdlcFrame, HdlcParameters, control_octet
from meterspan.wire.hdlc.llc import LLC_COMMAND

CLIENT, SERVER = HdlcAddress(16), HdlcAddress(1, 17, 2)


def turn(role, window=1, **changes):
    limits = HdlcParameters(128, 128, window, window)
    own, peer = (CLIENT, SERVER) if role is Role.CLIENT else (SERVER, CLIENT)
    return Turn(role, HdlcConfig(own, peer, parameters=limits, **changes), limits, LinkCounts())


def pair(window=1, **changes):
    return turn(Role.CLIENT, window, **changes), turn(Role.SERVER, window, **changes)


def frames_of(side):
    own, peer = (CLIENT, SERVER) if side._role is Role.CLIENT else (SERVER, CLIENT)
    return [HdlcFrame(peer, own, f.control, f.information, f.segmented) for f in iter(side.next_frame, None)]


def apdu(text, count=1):
    body = [LLC_COMMAND + text] + [text] * (count - 1)
    return [Segment(octets, at < count - 1) for at, octets in enumerate(body)]


def settle(client, server, now=0.0):
    passed = []
    while True:
        moved = False
        for sender, receiver in ((client, server), (server, client)):
            for frame in frames_of(sender):
                receiver.receive(frame, now)
                passed.append(frame.kind.short)
                moved = True
        if not moved:
            return passed


def delivered(side):
    return list(iter(side.next_information, None))


def test_a_client_holds_the_turn_first_and_the_last_frame_passes_it():
    client, server = pair(window=3)
    assert (client.has_turn, server.has_turn) == (True, False)
    client.send(apdu(b"get", 3), 0.0)
    assert not client.has_turn
    assert [frame.poll_final for frame in frames_of(client)] == [False, False, True]


def test_segments_cross_a_window_at_a_time():
    client, server = pair(window=2)
    client.send(apdu(b"x", 5), 0.0)
    assert settle(client, server) == ["I", "I", "RR", "I", "I", "RR", "I"]
    assert delivered(server) == [LLC_COMMAND + b"x" * 5]


def test_an_answer_that_is_late_waits_for_the_next_poll():
    client, server = pair()
    client.send(apdu(b"get"), 0.0)
    settle(client, server)
    assert server.deadline() == 1.5
    server.advance(1.5)
    settle(client, server, 1.5)
    server.send(apdu(b"late"), 1.6)
    assert frames_of(server) == []  # it is not the server's turn
    client.advance(client.deadline())
    settle(client, server, 2.0)
    assert delivered(client) == [LLC_COMMAND + b"late"]


def test_a_number_that_acknowledges_what_was_never_sent_is_told_apart_from_a_repetition():
    client, server = pair()
    bad = control_octet(FrameKind.RECEIVE_READY, poll_final=True, receive_number=3)
    assert server.receive(HdlcFrame(SERVER, CLIENT, bad), 0.0) is Verdict.BAD_NUMBER
    client.send(apdu(b"get"), 0.0)
    (request,) = frames_of(client)
    assert server.receive(request, 0.0) is Verdict.DONE
    assert server.receive(request, 0.0) is Verdict.IGNORED
    assert delivered(server) == [LLC_COMMAND + b"get"]


def test_reassembly_is_bounded():
    client, server = pair(apdu_size_max=10)
    client.send(apdu(bytes(9), 2), 0.0)
    (first,) = frames_of(client)
    assert server.receive(first, 0.0) is Verdict.DONE
    (ready,) = frames_of(server)
    client.receive(ready, 0.0)
    (second,) = frames_of(client)
    assert server.receive(second, 0.0) is Verdict.OVERFLOW


def test_a_full_queue_is_the_callers_fault():
    client, _ = pair()
    client.send([Segment(bytes(128), True)] * (SEND_QUEUE_OCTETS_MAX // 128), 0.0)
    client.send([Segment(bytes(128), False)], 0.0)  # in place of the one that is in flight
    with pytest.raises(ValueError, match="wait to be sent"):
        client.send([Segment(bytes(1), False)], 0.0)


def test_a_silent_peer_is_given_up_after_its_retries():
    client, _ = pair(retries_max=2)
    client.send(apdu(b"get"), 0.0)
    sent = 0
    while client.given_up is None:
        sent += len(frames_of(client))
        client.advance(client.deadline())
    assert sent == 3
    assert not client.given_up.by_peer


class TurnsOverALossyLine(RuleBasedStateMachine):
    """Requests and responses of any size in any order, every frame in danger of loss, time only when nothing moves."""

    def __init__(self):
        super().__init__()
        self.sides = dict(zip(Role, pair(window=3, retries_max=10_000, polls_max=10_000), strict=True))
        self.now = 0.0
        self.sent = {Role.CLIENT: [], Role.SERVER: []}
        self.arrived = {Role.CLIENT: [], Role.SERVER: []}
        self.line = []

    def _carry(self, *, is_lost):
        for role, side in self.sides.items():
            other = Role.SERVER if role is Role.CLIENT else Role.CLIENT
            for frame in frames_of(side):
                if not is_lost:
                    self.sides[other].receive(frame, self.now)
            self.arrived[other] += delivered(self.sides[other])

    @rule(role=st.sampled_from(Role), size=st.integers(1, 6), mark=st.integers(0, 1 << 30))
    def send(self, role, size, mark):
        segments = apdu(mark.to_bytes(4, "big"), size)
        self.sides[role].send(segments, self.now)
        self.sent[role].append(b"".join(segment.octets for segment in segments))

    @rule(is_lost=st.booleans())
    def carry(self, is_lost):
        self._carry(is_lost=is_lost)

    @precondition(lambda self: any(side.deadline() is not None for side in self.sides.values()))
    @rule()
    def let_time_pass(self):
        self.now = max(self.now, min(d for s in self.sides.values() if (d := s.deadline()) is not None))
        for side in self.sides.values():
            side.advance(self.now)

    @invariant()
    def what_arrived_is_what_was_sent_once_and_in_order(self):
        for role, other in ((Role.CLIENT, Role.SERVER), (Role.SERVER, Role.CLIENT)):
            assert self.arrived[other] == self.sent[role][: len(self.arrived[other])]

    @invariant()
    def nobody_gives_up_while_frames_get_through(self):
        assert all(side.given_up is None for side in self.sides.values())

    def teardown(self):
        for _ in range(400):  # without further loss, everything that was asked arrives
            self._carry(is_lost=False)
            if self.arrived[Role.SERVER] == self.sent[Role.CLIENT]:
                break
            if any(side.deadline() is not None for side in self.sides.values()):
                self.let_time_pass()
        assert self.arrived[Role.SERVER] == self.sent[Role.CLIENT]


TestTurnsOverALossyLine = TurnsOverALossyLine.TestCase


@given(st.integers(0, 2**32), st.floats(0, 0.4), st.integers(1, 7))
def test_every_request_and_its_response_arrive_once_whatever_is_lost(seed, loss, window):
    chance = random.Random(seed)  # noqa: S311 - a test must be repeatable
    client, server = pair(window=window, retries_max=10_000, polls_max=10_000)
    now, asked, answered = 0.0, [], []
    client.send(apdu(b"get", 9), now)
    for _ in range(5_000):
        for sender, receiver in ((client, server), (server, client)):
            for frame in frames_of(sender):
                if chance.random() >= loss:
                    receiver.receive(frame, now)
        for octets in delivered(server):
            asked.append(octets)
            server.send(apdu(b"answer", 7), now)
        answered += delivered(client)
        if answered:
            break
        now = max(now, min(d for s in (client, server) if (d := s.deadline()) is not None))
        client.advance(now)
        server.advance(now)
    assert asked == [LLC_COMMAND + b"get" * 9]
    assert answered == [LLC_COMMAND + b"answer" * 7]
