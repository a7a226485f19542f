"""An uplink: every row is confirmed or sent again, nothing of it touches the disk while it waits, nothing raises."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from meterspan.engine.link import ApduReceived, FrameDamaged, Role
from meterspan.engine.links import NETWORK_TRANSPORTS, TRANSPORTS
from meterspan.engine.machine import WantsConnection
from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.engine.uplink import (
    CONFIRM_TIMEOUT_S,
    RETRIES_MAX,
    RETRY_FIRST_S,
    RETRY_MAX_S,
    Push,
    RowsConfirmed,
    Uplink,
    UplinkFailed,
)
from meterspan.model.failures import Failure, FailureKind
from meterspan.model.storage.errors import StorageFullError
from meterspan.quantities import Obis
from meterspan.wire.axdr import array, unsigned
from meterspan.wire.xdlms import (
    CosemAttributeDescriptor,
    DataNotification,
    DataNotificationConfirm,
    EventNotificationRequest,
    ExceptionResponse,
    ServiceFault,
    StateFault,
    read_apdu,
    write_apdu,
)
from tests.memory import MemoryState

KEYS = SecurityKeys(bytes(range(16)), bytes(range(16, 32)))
METER, HEAD_END = b"MSP\0\0\0\0\1", b"MSPH\0\0\0\1"
NOW = 1_760_000_000.0


class Rows:
    """Numbers that wait; counts how often it is read, and fails on request."""

    def __init__(self, *waiting):
        self.waiting = list(waiting)
        self.reads = 0
        self.fault = None

    def next_push(self):
        self.reads += 1
        if self.fault is not None:
            raise self.fault
        return Push(self.waiting[0], array(unsigned(self.waiting[0] % 256))) if self.waiting else None

    def pushed(self, through):
        if self.fault is not None:
            raise self.fault
        self.waiting = [number for number in self.waiting if number > through]


class Far:
    """The head end's end of one connection: opens what arrives and confirms on request."""

    def __init__(self, context, kind):
        self.link = TRANSPORTS[kind].push_listener()
        self.context = context
        self.heard = []
        self.unconfirmed = []

    def receive(self, octets, now):
        self.link.receive(octets, now)
        while (event := self.link.next_event()) is not None:
            assert not isinstance(event, FrameDamaged)
            if isinstance(event, ApduReceived):
                apdu = read_apdu(self.context.unprotect(event.octets).octets)
                assert isinstance(apdu, DataNotification)
                self.heard.append(apdu.body.items[0].integer)
                self.unconfirmed.append(apdu.invoke)

    def confirm(self, now):
        while self.unconfirmed:
            plain = write_apdu(DataNotificationConfirm(self.unconfirmed.pop(0)))
            self.link.send_unnumbered(self.context.protect(plain, general=True), now)


def contexts():
    return (
        SecurityContext(METER, KEYS, counters=MemoryState(), peer_title=HEAD_END),
        SecurityContext(HEAD_END, KEYS, counters=MemoryState(), peer_title=METER),
    )


def joined(rows, kind="tcp"):
    near, far = contexts()
    uplink, head_end = Uplink(rows, near, TRANSPORTS[kind].push_sender()), Far(far, kind)
    if head_end.link.role is Role.SERVER:
        head_end.link.connect(NOW)
    uplink.connect(NOW)
    exchange(uplink, head_end)
    return uplink, head_end


def exchange(uplink, far, now=NOW):
    for _ in range(50):
        forth, back = uplink.octets_to_send(), far.link.octets_to_send()
        if not forth and not back:
            return
        if forth:
            far.receive(forth, now)
        if back:
            uplink.receive(back, now)


def events(uplink):
    found = []
    while (event := uplink.next_event()) is not None:
        found.append(event)
    return found


@pytest.mark.parametrize("kind", list(NETWORK_TRANSPORTS))
def test_rows_go_out_one_by_one_and_are_confirmed_over_every_kind_of_link(kind):
    rows = Rows(1, 2, 3)
    uplink, far = joined(rows, kind)
    for _ in range(3):
        far.confirm(NOW)
        exchange(uplink, far)
    assert far.heard == [1, 2, 3]
    assert rows.waiting == []
    assert events(uplink) == [RowsConfirmed(1), RowsConfirmed(2), RowsConfirmed(3)]


@pytest.mark.parametrize("kind", list(NETWORK_TRANSPORTS))
def test_what_nobody_confirms_leaves_the_outbox_once_it_is_sent(kind):
    rows, (near, far) = Rows(*range(1, 200)), contexts()
    uplink = Uplink(rows, near, TRANSPORTS[kind].push_sender(), is_confirmed=False)
    head_end = Far(far, kind)
    if head_end.link.role is Role.SERVER:
        head_end.link.connect(NOW)
    uplink.connect(NOW)
    assert len(rows.waiting) >= 100, "not all in one go"
    while rows.waiting:
        exchange(uplink, head_end)
        assert uplink.deadline() <= NOW, "the rest is due at once"
        uplink.advance(NOW)
    exchange(uplink, head_end)
    assert head_end.heard == [number % 256 for number in range(1, 200)]
    assert not any(invoke.confirmed for invoke in head_end.unconfirmed)


def test_an_event_is_sent_as_it_is_and_waits_for_no_confirmation():
    event = EventNotificationRequest(CosemAttributeDescriptor(1, Obis(0, 0, 96, 11, 0), 2), unsigned(62))
    near, far = contexts()
    rows = Rows(1)
    rows.next_push = lambda: Push(1, event) if rows.waiting else None
    uplink, link = Uplink(rows, near, TRANSPORTS["tcp"].push_sender()), TRANSPORTS["tcp"].push_listener()
    uplink.connect(NOW)
    link.receive(uplink.octets_to_send(), NOW)
    heard = [item for item in iter(link.next_event, None) if isinstance(item, ApduReceived)]
    assert [read_apdu(far.unprotect(item.octets).octets) for item in heard] == [event]
    assert rows.waiting == []


def test_after_its_retries_an_uplink_waits_for_the_next_row():
    rows, now = Rows(1), NOW
    uplink = Uplink(rows, contexts()[0], TRANSPORTS["tcp"].push_sender())
    tries = 0
    while (due := uplink.deadline()) is not None:
        now = max(now, due)
        uplink.advance(now)
        if WantsConnection() in events(uplink):
            tries += 1
            uplink.medium_lost(now)
    assert tries == 1 + RETRIES_MAX
    uplink.wake(now + RETRY_MAX_S)
    assert events(uplink) == [WantsConnection()]


def test_asking_for_the_deadline_never_reads_the_outbox():
    for rows in (Rows(), Rows(1)):
        uplink = Uplink(rows, contexts()[0], TRANSPORTS["tcp"].push_sender())
        before = rows.reads
        assert uplink.deadline() is not None, "the first look is due"
        uplink.advance(NOW)
        after = rows.reads
        for _ in range(100):
            uplink.deadline()
        assert (before, after, rows.reads) == (0, 1, 1)


def test_an_empty_outbox_is_read_again_only_after_a_wake():
    rows = Rows()
    uplink, _ = joined(rows)
    reads = rows.reads
    for second in range(100):
        uplink.advance(NOW + second)
    assert (rows.reads, uplink.deadline()) == (reads, None)
    rows.waiting.append(1)
    uplink.wake(NOW + 100)
    assert rows.reads == reads + 1
    assert uplink.octets_to_send()


def test_rows_without_a_confirmation_are_sent_again_and_a_late_one_for_the_first_sending_changes_nothing():
    rows = Rows(1)
    uplink, far = joined(rows)
    assert uplink.deadline() == NOW + CONFIRM_TIMEOUT_S
    uplink.advance(NOW + CONFIRM_TIMEOUT_S)
    first, far.unconfirmed = far.unconfirmed, []
    exchange(uplink, far, NOW + CONFIRM_TIMEOUT_S)
    second, far.unconfirmed = far.unconfirmed, first
    assert far.heard == [1, 1]
    far.confirm(NOW + 31)
    exchange(uplink, far, NOW + 31)
    assert rows.waiting == [1]
    far.unconfirmed = second
    far.confirm(NOW + 32)
    exchange(uplink, far, NOW + 32)
    assert rows.waiting == []


def test_after_lost_connections_it_asks_again_later_and_later():
    uplink = Uplink(Rows(1), contexts()[0], TRANSPORTS["tcp"].push_sender())
    now, pauses = NOW, []
    uplink.advance(now)
    for _ in range(12):
        assert events(uplink) == [WantsConnection()]
        uplink.medium_lost(now)
        due = uplink.deadline()
        pauses.append(due - now)
        now = due
        uplink.advance(now)
    assert pauses[:3] == [RETRY_FIRST_S, 2 * RETRY_FIRST_S, 4 * RETRY_FIRST_S]
    assert pauses[-1] == RETRY_MAX_S


def test_an_outbox_that_cannot_be_read_is_reported_and_read_again():
    rows = Rows(1)
    rows.fault = StorageFullError("no room", "home.sqlite")
    uplink = Uplink(rows, contexts()[0], TRANSPORTS["tcp"].push_sender())
    uplink.advance(NOW)
    (event,) = events(uplink)
    assert isinstance(event, UplinkFailed)
    assert event.failure == Failure.of_storage(rows.fault)
    assert event.failure.code == "full"
    rows.fault = None
    assert uplink.deadline() == NOW + RETRY_FIRST_S
    uplink.advance(NOW + RETRY_FIRST_S)
    assert events(uplink) == [WantsConnection()]


def test_a_confirmation_that_cannot_be_noted_leaves_the_rows_and_sends_them_again():
    rows = Rows(1)
    uplink, far = joined(rows)
    rows.fault = StorageFullError("no room")
    far.confirm(NOW)
    exchange(uplink, far)
    assert [type(event) for event in events(uplink)] == [UplinkFailed]
    assert rows.waiting == [1]
    rows.fault = None
    uplink.advance(NOW + RETRY_FIRST_S)
    exchange(uplink, far, NOW + RETRY_FIRST_S)
    far.confirm(NOW + RETRY_FIRST_S)
    exchange(uplink, far, NOW + RETRY_FIRST_S)
    assert rows.waiting == []
    assert far.heard == [1, 1]


def test_a_body_that_no_link_can_carry_is_reported_and_raises_nothing():
    class Endless(Rows):
        def next_push(self):
            return Push(1, array(*[unsigned(1)] * 70_000))

    uplink, _ = joined(Endless(1))
    assert [event.failure.kind for event in events(uplink)] == [FailureKind.INTERNAL]


class UplinkMachine(RuleBasedStateMachine):
    """Connections are made, lost and disturbed; rows are added; disks fail. What leaves the outbox was confirmed."""

    def __init__(self):
        super().__init__()
        self.now = NOW
        self.rows = Rows()
        self.near, self.far_context = contexts()
        self.uplink = Uplink(self.rows, self.near, TRANSPORTS["tcp"].push_sender())
        self.far = None
        self.wants = False
        self.number = 0
        self.confirmed = []
        self.heard = []

    def look(self):
        for event in events(self.uplink):
            if isinstance(event, RowsConfirmed):
                self.confirmed.append(event.through)
            elif isinstance(event, WantsConnection):
                assert not self.uplink.has_medium
                self.wants = True

    def settle(self):
        if self.far is not None:
            exchange(self.uplink, self.far, self.now)
            self.heard += self.far.heard
            self.far.heard = []
        self.look()

    @rule()
    def a_row_comes(self):
        self.number += 1
        self.rows.waiting.append(self.number)
        self.uplink.wake(self.now)
        self.settle()

    @rule(seconds=st.sampled_from([0.5, 5, 31, 700]))
    def time_passes(self, seconds):
        self.now += seconds
        self.uplink.advance(self.now)
        self.settle()

    @precondition(lambda self: self.wants)
    @rule(works=st.booleans())
    def connect(self, works):
        self.wants = False
        if not works:
            self.uplink.medium_lost(self.now)
            return
        self.far = Far(self.far_context, "tcp")
        self.far.link.connect(self.now)
        self.uplink.connect(self.now)
        self.settle()

    @precondition(lambda self: self.far is not None)
    @rule()
    def the_head_end_confirms(self):
        self.far.confirm(self.now)
        self.settle()

    @precondition(lambda self: self.far is not None)
    @rule(octets=st.none() | st.binary(max_size=40))
    def the_connection_ends(self, octets):
        if octets is not None:
            self.uplink.receive(octets, self.now)
        self.far = None
        self.uplink.medium_lost(self.now)
        self.look()

    @rule(is_broken=st.booleans())
    def the_disk(self, is_broken):
        self.rows.fault = StorageFullError("no room") if is_broken else None

    @invariant()
    def what_left_the_outbox_was_confirmed_and_heard_in_order(self):
        gone = list(range(1, self.number + 1 - len(self.rows.waiting)))
        assert self.confirmed == gone
        assert {number % 256 for number in gone} <= set(self.heard)
        assert self.rows.waiting == list(range(len(gone) + 1, self.number + 1))

    def teardown(self):
        """With a sound disk and a head end that answers, everything arrives."""
        self.rows.fault = None
        for _ in range(4 * self.number + 8):
            self.time_passes(700)
            if self.wants:
                self.connect(True)
            if self.far is not None:
                if not self.uplink.has_medium:
                    self.the_connection_ends(None)
                else:
                    self.the_head_end_confirms()
        assert self.rows.waiting == []


TestUplinkMachine = UplinkMachine.TestCase
TestUplinkMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


def told(uplink, far, counter, now=NOW):
    """Let the head end say, under the key, which counter it expects."""
    plain = write_apdu(
        ExceptionResponse(StateFault.SERVICE_NOT_ALLOWED, ServiceFault.INVOCATION_COUNTER_ERROR, counter)
    )
    far.link.send_unnumbered(far.context.protect(plain, general=True), now)
    uplink.receive(far.link.octets_to_send(), now)


@pytest.mark.finding("security H6")
@pytest.mark.attack(4)
def test_a_sender_that_lost_its_counters_goes_on_where_the_head_end_says_so_under_the_key():
    rows = Rows(1)
    near, far = contexts()
    uplink, head_end = Uplink(rows, near, TRANSPORTS["tcp"].push_sender()), Far(far, "tcp")
    uplink.connect(NOW)
    head_end.link.connect(NOW)
    uplink.octets_to_send()  # a head end that has seen more refuses it
    told(uplink, head_end, 5_000_000)
    sent = uplink.octets_to_send()
    assert sent, "at once"
    head_end.receive(sent, NOW)
    assert far.last_received >= 5_000_000
    head_end.confirm(NOW)
    exchange(uplink, head_end)
    assert rows.waiting == []


def test_a_second_answer_without_a_confirmation_waits_and_a_first_without_the_key_changes_nothing():
    rows = Rows(1)
    uplink, head_end = joined(rows)
    plain = ExceptionResponse(StateFault.SERVICE_NOT_ALLOWED, ServiceFault.INVOCATION_COUNTER_ERROR, 0xFFFF_FFFF)
    head_end.link.send_unnumbered(write_apdu(plain), NOW)
    uplink.receive(head_end.link.octets_to_send(), NOW)
    assert uplink.octets_to_send() == b""
    for number in range(2):
        told(uplink, head_end, 1_000 * (number + 1))
        assert bool(uplink.octets_to_send()) is (number == 0)
    uplink.advance(NOW + RETRY_FIRST_S)
    assert uplink.octets_to_send()


def test_a_counter_beyond_the_last_is_reported_and_never_sent():
    uplink, head_end = joined(Rows(1))
    told(uplink, head_end, 0xFFFF_FFFF)
    head_end.receive(uplink.octets_to_send(), NOW)
    assert head_end.context.last_received == 0xFFFF_FFFF
    uplink.advance(NOW + CONFIRM_TIMEOUT_S)
    assert uplink.octets_to_send() == b""
    assert FailureKind.COUNTER_EXHAUSTED in [
        event.failure.kind for event in events(uplink) if isinstance(event, UplinkFailed)
    ]
