"""No engine raises where a port cannot store: it says so by an event, and sends and accepts nothing meanwhile.

Each engine with a port runs the same exchange again and again; in run ``n`` the port's call ``n`` fails.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from meterspan import engine
from meterspan.engine.association.records import AssociationRefused, LinkLost, Released, RequestFailed
from meterspan.engine.links import TRANSPORTS
from meterspan.engine.push import PushReceived, PushSink, PushUnstored
from meterspan.engine.security import COUNTER_MAX, SecurityContext
from meterspan.engine.session import Session, SessionDone, SessionFailed, fetch, perform, put
from meterspan.engine.uplink import RETRY_FIRST_S, Push, RowsConfirmed, Uplink, UplinkFailed
from meterspan.engine.wrapper_link import WrapperLink
from meterspan.model.failures import FailureKind
from meterspan.model.storage.errors import StorageFullError
from meterspan.wire.axdr import array, integer, unsigned, visible_string
from meterspan.wire.xdlms import (
    CaptureObjectDefinition,
    DataNotification,
    DataNotificationConfirm,
    read_apdu,
    write_apdu,
)
from tests.helpers_cosem import (
    CLIENT_TITLE,
    ENERGY,
    GMAC,
    KEYS,
    METER_TITLE,
    NOTE,
    SERIAL,
    SWITCH,
    MemoryCounters,
    TestMeter,
    action_of,
    get_of,
    join,
    set_of,
)
from tests.helpers_push import PushSource

NOW = 1_760_000_000.0
LINKS = pytest.mark.parametrize("kind", ["wrapper", "hdlc"])
RLRE = bytes.fromhex("0001 0001 0001 0005 6303800100")
"""The answer to a release, in the clear: it needs no counter."""
CALLS_MAX = 60
"""More calls than any exchange here makes: a run that does not fail ends the series."""


WITH_PORTS = {
    "association/acceptance.py",
    "association/claims.py",
    "association/client.py",
    "association/core.py",
    "association/served.py",
    "counter_blocks.py",
    "push.py",
    "security.py",
    "uplink.py",
}
"""Modules that call a port, or catch what it raises: contexts and counters below, and the engines tested here."""


def test_every_engine_with_a_port_is_tested_here():
    folder = Path(engine.__file__).parent
    names = re.compile(r"\b(CounterStore|StateStore|OutboxStore|PushRows|SecurityContext|StorageError)\b")
    found = {str(path.relative_to(folder)) for path in folder.rglob("*.py") if names.search(path.read_text())}
    assert found - {"scripts.py", "session.py"} == WITH_PORTS


class Failing:
    """A port whose call number ``at`` fails; what fails is not done."""

    def __init__(self, port: Any, at: int) -> None:
        self._port, self._at, self.calls = port, at, 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        call = getattr(self._port, name)

        def counted(*arguments: Any) -> Any:
            self.calls += 1
            if self.calls == self._at:
                raise StorageFullError("no room")
            return call(*arguments)

        return counted

    @property
    def failed(self) -> bool:
        return self.calls >= self._at


def context(title: bytes, counters: Any) -> SecurityContext:
    return SecurityContext(title, KEYS, counters=counters, counter_block=1)


def plan():
    yield from fetch(get_of(1, SERIAL))
    yield from put(set_of(1, NOTE, 2, visible_string("changed")))
    yield from perform(action_of(70, SWITCH, 1, integer(0)))
    yield from fetch(get_of(3, ENERGY))
    return "done"


def session(kind, client_counters, meter):
    """Run one session and return the pair, at rest."""
    pair, client, _, _ = join(kind, GMAC, meter, security=context(CLIENT_TITLE, client_counters))
    pair.left = Session(client, plan(), timeout_s=120.0)
    pair.left.start(pair.now)
    pair.run(pair.now + 400)
    return pair


def meter_with(counters):
    meter = TestMeter(rows=1)
    meter.security = lambda _definition: context(METER_TITLE, counters)
    return meter


def ends(pair):
    return [event for event in pair.left_events if isinstance(event, SessionDone | SessionFailed)]


def sent(pair, mark):
    return b"".join(octets for direction, octets in pair.log if direction == mark)


@LINKS
def test_a_client_ends_its_session_with_the_storage_failure_and_sends_nothing_more(kind):
    whole = session(kind, MemoryCounters(), meter_with(MemoryCounters()))
    for at in range(1, CALLS_MAX):
        counters = Failing(MemoryCounters(), at)
        pair = session(kind, counters, meter_with(MemoryCounters()))
        (end,) = ends(pair)
        if not counters.failed:
            assert isinstance(end, SessionDone)
            break
        if isinstance(end, SessionFailed):
            assert end.failure.kind is FailureKind.STORAGE, at
        else:
            assert counters.calls == at, "the result was there: only the release failed"
        if kind == "wrapper":
            assert sent(whole, ">").startswith(sent(pair, ">"))
    assert at > 15


@pytest.mark.nonces_repeat("a new bench each time, with the same keys")
@LINKS
def test_a_server_ends_the_association_with_the_storage_failure_and_answers_nothing_more(kind):
    whole = session(kind, MemoryCounters(), meter_with(MemoryCounters()))
    for at in range(1, CALLS_MAX):
        counters = Failing(MemoryCounters(), at)
        pair = session(kind, MemoryCounters(), meter_with(counters))
        if not counters.failed:
            break
        failures = [event.failure for event in pair.right_events if isinstance(event, LinkLost | AssociationRefused)]
        assert FailureKind.STORAGE in [failure.kind for failure in failures], at
        assert len(ends(pair)) == 1
        if kind == "wrapper":
            answered = sent(pair, "<").removesuffix(RLRE)
            assert sent(whole, "<").startswith(answered)
    assert at > 15


@LINKS
def test_a_row_that_an_object_cannot_store_ends_the_association(kind):
    meter = meter_with(MemoryCounters())

    def full(*_arguments):
        raise StorageFullError("no room")

    note = meter.device.find(1, NOTE)
    note._setters = dict.fromkeys(note._setters, full)
    pair = session(kind, MemoryCounters(), meter)
    (lost,) = [event for event in pair.right_events if isinstance(event, LinkLost)]
    assert lost.failure.kind is FailureKind.STORAGE


@LINKS
def test_an_association_can_be_made_anew_after_a_storage_failure(kind):
    counters = Failing(MemoryCounters(), 6)
    pair, client, _, _ = join(kind, GMAC, meter_with(MemoryCounters()), security=context(CLIENT_TITLE, counters))
    client.associate(pair.now)
    pair.run()
    assert [event.failure.kind for event in pair.left_events if isinstance(event, LinkLost)] == [FailureKind.STORAGE]
    pair.left_events.clear()
    if kind == "wrapper":
        pair.right.medium_lost(pair.now)
        pair.right.connect(pair.now)
    client.associate(pair.now)
    pair.run()
    assert client.agreement is not None


@LINKS
def test_a_release_whose_counter_cannot_be_stored_says_so_and_ends(kind):
    counters = MemoryCounters()
    pair, client, _, _ = join(kind, GMAC, meter_with(MemoryCounters()), security=context(CLIENT_TITLE, counters))
    client.associate(pair.now)
    pair.run()
    pair.left_events.clear()

    def full(*_arguments):
        raise StorageFullError("no room")

    counters.reserve = full
    client.release(pair.now)
    pair.run(pair.now + 60)
    (released,) = pair.left_events
    assert isinstance(released, Released)
    assert released.failure is not None
    assert released.failure.kind is FailureKind.STORAGE


def test_counters_that_are_used_up_end_the_association_for_good():
    counters = MemoryCounters()
    pair, client, _, _ = join("wrapper", GMAC, meter_with(MemoryCounters()), security=context(CLIENT_TITLE, counters))
    client.associate(pair.now)
    pair.run()
    pair.left_events.clear()
    counters.sent = dict.fromkeys(counters.sent, COUNTER_MAX + 1)
    client.request(get_of(1, SERIAL), pair.now)
    pair.run(pair.now + 60)
    failed, lost = pair.left_events
    assert isinstance(failed, RequestFailed)
    assert isinstance(lost, LinkLost)
    assert lost.failure.permanent
    assert "change the key" in lost.failure.detail


def test_a_push_whose_counter_cannot_be_stored_is_not_accepted_and_is_accepted_when_it_comes_again():
    meter = TestMeter(rows=1)
    octets = PushSource(meter.device, security=meter.security()).notification(
        [CaptureObjectDefinition(3, ENERGY, 2)], NOW
    )
    for at in range(1, CALLS_MAX):
        counters = Failing(MemoryCounters(), at)
        own = context(CLIENT_TITLE, counters)
        sink = PushSink(security_of=lambda _title, own=own: own)
        sink.receive(octets, NOW)
        event = sink.next_event()
        if not counters.failed:
            assert isinstance(event, PushReceived)
            break
        assert isinstance(event, PushUnstored)
        assert (event.octets, event.failure.kind) == (octets, FailureKind.STORAGE)
        sink.receive(octets, NOW)
        assert isinstance(sink.next_event(), PushReceived)
    assert at == 3


class Rows:
    """Two rows on their way upstream."""

    def __init__(self):
        self.waiting = [1, 2]

    def next_push(self):
        return Push(self.waiting[0], array(unsigned(self.waiting[0]))) if self.waiting else None

    def pushed(self, through):
        self.waiting = [number for number in self.waiting if number > through]


def push_all(rows, counters):
    """Run an uplink until its rows are confirmed; return its events and the rows that the other side accepted."""
    uplink = Uplink(rows, context(METER_TITLE, counters), TRANSPORTS["tcp"].push_sender())
    link, own, accepted, events = (
        TRANSPORTS["tcp"].push_listener(),
        context(CLIENT_TITLE, MemoryCounters()),
        [],
        [],
    )
    assert isinstance(link, WrapperLink)
    link.connect(NOW)
    uplink.connect(NOW)
    for step in range(40):
        now = NOW + step * (RETRY_FIRST_S + 30)
        uplink.advance(now)
        link.receive(uplink.octets_to_send(), now)
        while (event := link.next_event()) is not None:
            apdu = read_apdu(own.unprotect(event.octets).octets) if hasattr(event, "octets") else None
            if isinstance(apdu, DataNotification):
                accepted.append(apdu.body.items[0].integer)
                link.send(own.protect(write_apdu(DataNotificationConfirm(apdu.invoke)), general=True), now)
        uplink.receive(link.octets_to_send(), now)
        while (event := uplink.next_event()) is not None:
            events.append(event)
    return events, accepted


@pytest.mark.nonces_repeat("a new bench each time, with the same keys")
@pytest.mark.parametrize("port", ["counters", "rows"])
def test_an_uplink_reports_the_storage_failure_and_pushes_every_row_in_the_end(port):
    for at in range(1, CALLS_MAX):
        rows, counters = Rows(), MemoryCounters()
        failing = Failing(counters if port == "counters" else rows, at)
        events, accepted = push_all(failing, counters) if port == "rows" else push_all(rows, failing)
        kinds = [event.failure.kind for event in events if isinstance(event, UplinkFailed)]
        assert RowsConfirmed(2) in events, at
        assert rows.waiting == []
        assert sorted(set(accepted)) == [1, 2]
        if failing.calls < at:
            assert kinds == []
            break
        assert kinds == [FailureKind.STORAGE], at
    assert at > 4
