"""Client against server over both links, for every way to associate and every service."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from meterspan.crypto.hls import Handshake
from meterspan.crypto.suites import SuiteKeys
from meterspan.engine.association.attempts import ATTEMPTS_MAX, DELAY_FIRST_S
from meterspan.engine.association.client import REQUESTS_QUEUED_MAX, ClientAssociation
from meterspan.engine.association.records import (
    ActionDone,
    ActionList,
    ApduRefused,
    Associated,
    AssociationRefused,
    AssociationSettings,
    GetDone,
    GetList,
    LinkLost,
    Notification,
    QueueFullError,
    Release,
    Released,
    RequestFailed,
    SetList,
)
from meterspan.engine.association.server import APDU_MIN, ServerLimits
from meterspan.engine.association.states import AssociationState, ClientMove
from meterspan.engine.link import Role
from meterspan.engine.machine import EVENTS_MAX
from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.engine.wrapper_link import WrapperConfig, WrapperLink
from meterspan.model.cosem.profile import range_of_times
from meterspan.model.cosem.view import read_object_list
from meterspan.model.failures import FailureKind
from meterspan.quantities import ClockTime, Obis
from meterspan.wire.acse import (
    Aare,
    Aarq,
    ApplicationContext,
    AssociationResult,
    AuthenticationMechanism,
    Diagnostic,
    write_acse,
)
from meterspan.wire.axdr import data as axdr_data
from meterspan.wire.axdr import double_long_unsigned, integer, long, read_data, visible_string
from meterspan.wire.errors import KeyWrongError, ReplayError, SecurityError
from meterspan.wire.hdlc import HdlcAddress, HdlcFrame, write_frame
from meterspan.wire.wrapper import WrapperPdu, write_wpdu
from meterspan.wire.wrapper.pdu import HEADER_SIZE
from meterspan.wire.xdlms import ActionResult, CaptureObjectDefinition, Conformance, DataAccessResult
from tests.helpers_cosem import (
    CLIENT_TITLE,
    CLOCK,
    COUNTER,
    ECHO,
    ENERGY,
    EXPORT,
    GMAC,
    GMAC_CLEAR,
    KEYS,
    LLS,
    METER_TITLE,
    NO_SECURITY,
    NOTE,
    PROFILE,
    SERIAL,
    SHA1,
    START,
    SWITCH,
    Echo,
    MemoryCounters,
    TestMeter,
    action_of,
    ask,
    associated,
    client_security,
    entropy,
    get_of,
    join,
    set_of,
)
from tests.helpers_push import PushSource

LINKS = ["wrapper", "hdlc"]
WAYS = {"none": NO_SECURITY, "lls": LLS, "sha1": SHA1, "gmac in the clear": GMAC_CLEAR, "gmac": GMAC}
links = pytest.mark.parametrize("kind", LINKS)
ways = pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)


def changed(way, **changes):
    return way[0], replace(way[1], **changes)


def only(pair, kind):
    return [event for event in pair.left_events if isinstance(event, kind)]


@links
@ways
def test_associate_read_and_release(kind, way):
    pair, client, server, _ = associated(kind, way)
    (event,) = pair.left_events
    assert isinstance(event, Associated)
    assert event.agreement == client.agreement
    assert (event.agreement.mechanism, event.agreement.ciphered) == (way[1].mechanism, way[1].ciphered)
    assert client.state is server.state is AssociationState.ASSOCIATED
    assert ask(pair, client, get_of(1, SERIAL)).results[0].octets == b"00000001"
    pair.left_events.clear()
    client.release(pair.now)
    pair.run(pair.now + 1)
    assert pair.left_events == [Released()]
    assert client.state is AssociationState.IDLE
    assert server.agreement is None


@links
@ways
@pytest.mark.parametrize("cut", [1, 3])
def test_octet_by_octet_is_the_same(kind, way, cut):
    pair, client, _, _ = associated(kind, way, cut=cut)
    assert ask(pair, client, get_of(1, SERIAL)).results[0].octets == b"00000001"


@links
def test_a_released_association_can_be_made_anew(kind):
    pair, client, _, _ = associated(kind, GMAC)
    for _ in range(3):
        client.release(pair.now)
        pair.run(pair.now + 1)
        client.associate(pair.now)
        pair.run(pair.now + 1)
        assert client.state is AssociationState.ASSOCIATED
    assert len(only(pair, Associated)) == 4


@pytest.mark.parametrize("way", [LLS, GMAC], ids=["lls", "gmac"])
@links
def test_every_service_works(kind, way):
    pair, client, _, meter = associated(kind, way)
    values = ask(
        pair, client, GetList((get_of(3, ENERGY), get_of(3, Obis(1, 0, 99, 9, 9)), get_of(3, EXPORT, 3)))
    ).results
    assert values[0] == double_long_unsigned(123_456)
    assert values[1] == DataAccessResult.OBJECT_UNDEFINED
    assert values[2].items[1].integer == 30
    start, end = ClockTime.of(START.replace(hour=1)), ClockTime.of(START.replace(hour=2))
    rows = ask(pair, client, get_of(7, PROFILE, 2, range_of_times(start, end))).results[0]
    assert [row.items[2].integer for row in rows.items] == [100_075, 100_100, 100_125, 100_150, 100_175]
    if way is LLS:
        assert ask(pair, client, set_of(1, NOTE, 2, visible_string("no"))).results == (
            DataAccessResult.READ_WRITE_DENIED,
        )
        return
    assert ask(pair, client, set_of(1, NOTE, 2, visible_string("a note"))).results == (DataAccessResult.SUCCESS,)
    assert meter.note.text == "a note"
    written = SetList((set_of(1, NOTE, 2, visible_string("b")), set_of(3, ENERGY, 2, double_long_unsigned(0))))
    assert ask(pair, client, written).results == (DataAccessResult.SUCCESS, DataAccessResult.READ_WRITE_DENIED)
    done = ask(pair, client, action_of(8, CLOCK, 6, long(30)))
    assert done == ActionDone(done.request_id, ActionResult.SUCCESS)
    assert meter.clock_shift_s == 30
    assert ask(pair, client, action_of(70, SWITCH, 1, integer(0))).result == ActionResult.SUCCESS
    assert not meter.connected
    assert ask(pair, client, action_of(Echo.class_id, ECHO, 1, visible_string("echo"))).value.text == "echo"
    assert ask(pair, client, action_of(70, SWITCH, 1, integer(5))).result == ActionResult.TYPE_UNMATCHED


@pytest.mark.nonces_repeat("a new bench each time, with the same keys")
@links
def test_dedicated_key_and_general_protection_work(kind):
    for changes, tag in (
        ({"use_dedicated_key": True}, 0xD0),
        ({"use_general_protection": True}, 0xDB),
        ({"use_dedicated_key": True, "use_general_protection": True}, 0xDC),
    ):
        pair, client, _, _ = associated(kind, changed(GMAC, **changes))
        pair.log.clear()
        assert ask(pair, client, get_of(3, ENERGY)).results[0].integer == 123_456
        assert any(bytes((tag,)) in octets for mark, octets in pair.log if mark == ">")


@pytest.mark.parametrize("way", [LLS, GMAC], ids=["lls", "gmac"])
@links
@pytest.mark.parametrize("size", [64, 80, 200])
def test_long_values_cross_small_pdus_in_blocks_both_ways(kind, way, size):
    limits = {"limits": ServerLimits(max_pdu=size)}
    pair, client, _, meter = associated(kind, changed(way, max_pdu=size), TestMeter(rows=12), server_options=limits)
    event = ask(pair, client, get_of(7, PROFILE))
    assert len(event.results[0].items) == 12
    encoded = ask(pair, client, get_of(7, PROFILE, 2, None, encoded=True)).results[0]
    assert read_data(encoded.octets) == event.results[0]
    listed = ask(pair, client, GetList(tuple([get_of(3, ENERGY)] * 9 + [get_of(7, PROFILE)])))
    assert [value.integer for value in listed.results[:9]] == [123_456] * 9
    assert listed.results[9] == event.results[0]
    assert len(read_object_list(ask(pair, client, get_of(15, Obis(0, 0, 40, 0, 0))).results[0])) > 5
    if way is GMAC:
        long_text = visible_string("x" * 700)
        assert ask(pair, client, set_of(1, NOTE, 2, long_text)).results == (DataAccessResult.SUCCESS,)
        assert meter.note == long_text
        assert ask(pair, client, action_of(Echo.class_id, ECHO, 1, long_text)).value == long_text
    assert not only(pair, ApduRefused)


def test_a_list_of_long_values_is_written_in_blocks():
    limits = {"limits": ServerLimits(max_pdu=200)}
    pair, client, _, meter = associated("wrapper", GMAC, server_options=limits)
    request = SetList((set_of(1, NOTE, 2, visible_string("y" * 500)), set_of(3, ENERGY, 2, integer(1))))
    assert ask(pair, client, request).results == (DataAccessResult.SUCCESS, DataAccessResult.READ_WRITE_DENIED)
    assert meter.note.text == "y" * 500


def test_no_apdu_is_longer_than_the_peer_takes():
    size = 100
    limits = {"limits": ServerLimits(max_pdu=size)}
    pair, client, _, _ = associated("wrapper", changed(GMAC, max_pdu=size), server_options=limits)
    pair.log.clear()
    ask(pair, client, get_of(7, PROFILE))
    ask(pair, client, set_of(1, NOTE, 2, visible_string("z" * 900)))
    assert max(len(octets) for _, octets in pair.log) <= size + 8


@links
def test_the_association_view_shows_what_the_access_table_grants(kind):
    view = {}
    for name, way in (("none", NO_SECURITY), ("lls", LLS), ("gmac", GMAC)):
        pair, client, _, _ = associated(kind, way)
        view[name] = read_object_list(ask(pair, client, get_of(15, Obis(0, 0, 40, 0, 0))).results[0])
    assert {e.logical_name for e in view["none"]} == {SERIAL, COUNTER, Obis(0, 0, 40, 0, 0), Obis(0, 0, 41, 0, 0)}
    for name, writable in (("lls", False), ("gmac", True)):
        (clock,) = [element for element in view[name] if element.class_id == 8]
        assert clock.attributes[1].access.writable is writable
        assert bool(clock.methods[0].access) is writable
    (profile,) = [element for element in view["gmac"] if element.class_id == 7]
    assert profile.attributes[1].selectors == (1, 2)


def test_what_is_not_granted_is_refused_as_it_is_shown():
    pair, client, _, _ = associated("wrapper", NO_SECURITY)
    assert ask(pair, client, get_of(3, ENERGY)).results == (DataAccessResult.OBJECT_UNDEFINED,)
    pair, client, _, _ = associated("wrapper", LLS)
    assert ask(pair, client, get_of(1, ENERGY)).results == (DataAccessResult.OBJECT_CLASS_INCONSISTENT,)
    assert ask(pair, client, get_of(1, NOTE)).results == (DataAccessResult.READ_WRITE_DENIED,)  # needs authentication
    assert ask(pair, client, get_of(3, ENERGY, 9)).results == (DataAccessResult.OBJECT_UNAVAILABLE,)
    assert ask(pair, client, get_of(15, Obis(0, 0, 40, 0, 0), 7)).results == (DataAccessResult.READ_WRITE_DENIED,)
    assert ask(pair, client, action_of(8, CLOCK, 6, long(1))).result == ActionResult.READ_WRITE_DENIED


@links
def test_a_wrong_password_is_refused_in_words_and_soon_locks_out(kind):
    pair, client, _, _ = join(kind, changed(LLS, secret=b"guess"))
    for attempt in range(ATTEMPTS_MAX):
        client.associate(pair.now)
        pair.run(pair.now + 1)
        event = pair.left_events[-1]
        assert isinstance(event, AssociationRefused)
        assert event.failure.kind is FailureKind.AUTHENTICATION_FAILED
        assert event.failure.permanent == (attempt < ATTEMPTS_MAX - 1)
        assert client.state is AssociationState.IDLE
    client._settings = LLS[1]  # now with the right password, too soon
    pair.now -= 1
    client.associate(pair.now)
    pair.run(pair.now + 1)
    assert isinstance(pair.left_events[-1], AssociationRefused)
    pair.now += DELAY_FIRST_S
    client.associate(pair.now)
    pair.run(pair.now + 1)
    assert isinstance(pair.left_events[-1], Associated)


@pytest.mark.nonces_repeat("a new bench each time, with the same keys")
@links
def test_a_wrong_key_is_refused_on_both_sides(kind):
    wrong = SecurityKeys(bytes(16), KEYS.authentication)
    pair, client, _, _ = associated(kind, GMAC, security=client_security(keys=wrong))
    (event,) = only(pair, AssociationRefused)
    assert event.failure.kind is FailureKind.DECIPHERING_ERROR
    (refused,) = [event for event in pair.right_events if isinstance(event, ApduRefused)]
    assert isinstance(refused.error, KeyWrongError)
    assert client.state is AssociationState.IDLE
    pair, _, _, _ = associated(kind, GMAC_CLEAR, security=client_security(keys=wrong))
    (event,) = only(pair, AssociationRefused)
    assert event.failure.kind is FailureKind.PROOF_REFUSED
    assert any(isinstance(event, AssociationRefused) for event in pair.right_events)


@pytest.mark.parametrize(
    ("way", "words", "kind_of_refusal"),
    [
        ((9, AssociationSettings()), "no-reason-given", FailureKind.ASSOCIATION_REFUSED),
        ((2, AssociationSettings()), "authentication-mechanism-name-required", FailureKind.AUTHENTICATION_REQUIRED),
        ((16, LLS[1]), "authentication-mechanism-name-not-recognised", FailureKind.MECHANISM_NOT_RECOGNISED),
        ((1, GMAC_CLEAR[1]), "application-context-name-not-supported", FailureKind.CONTEXT_NOT_SUPPORTED),
        (
            changed(NO_SECURITY, conformance=Conformance.READ),
            "incompatible-conformance",
            FailureKind.ASSOCIATION_REFUSED,
        ),
        (changed(NO_SECURITY, max_pdu=20), "pdu-size-too-short", FailureKind.ASSOCIATION_REFUSED),
    ],
)
@links
def test_what_the_server_does_not_offer_is_refused_with_the_diagnostic(kind, way, words, kind_of_refusal):
    pair, client, _, _ = associated(kind, way)
    (event,) = pair.left_events
    assert isinstance(event, AssociationRefused)
    assert words in event.failure.detail
    assert event.failure.kind is kind_of_refusal
    assert client.state is AssociationState.IDLE


def test_a_server_that_cannot_prove_itself_is_refused():
    class Impostor(TestMeter):
        def security(self, definition=None):
            context = super().security()
            other = SuiteKeys(bytes(16), bytes(16))
            context.own_handshake = lambda challenge: Handshake(challenge, system_title=bytes(8), keys=other)
            return context

    pair, client, _, _ = associated("wrapper", GMAC_CLEAR, Impostor())
    (event,) = only(pair, AssociationRefused)
    assert event.failure.kind is FailureKind.PROOF_NOT_ACCEPTED
    assert isinstance(event.failure.error, KeyWrongError)
    assert client.state is AssociationState.IDLE


def test_a_replayed_request_is_refused_with_the_counter_that_is_due():
    pair, client, server, meter = associated("wrapper", GMAC)
    ask(pair, client, get_of(3, ENERGY))
    pair.log.clear()
    ask(pair, client, action_of(70, SWITCH, 1, integer(0)))
    recorded = next(octets for mark, octets in pair.log if mark == ">")
    meter.connected = True
    server.receive(recorded, pair.now)
    answer = server.octets_to_send()
    assert meter.connected
    assert answer[8:11] == bytes.fromhex("D80106")
    due = int.from_bytes(answer[11:15], "big")
    assert due == int.from_bytes(recorded[8 + 3 : 8 + 7], "big") + 1
    assert isinstance(server.next_event().error, ReplayError)
    assert ask(pair, client, get_of(3, ENERGY)).results[0].integer == 123_456


def test_a_client_that_lost_its_counters_finds_back():
    meter = TestMeter()
    pair, client, _, _ = associated("wrapper", GMAC, meter)
    for _ in range(40):
        ask(pair, client, get_of(3, ENERGY))
    fresh = client_security(peer_title=METER_TITLE)
    pair, client, _, _ = associated("wrapper", GMAC, meter, security=fresh)
    (event,) = only(pair, AssociationRefused)
    assert event.failure.counter > 40
    fresh.try_counter(event.failure.counter)
    client.associate(pair.now)
    pair.run()
    assert client.state is AssociationState.ASSOCIATED


@pytest.mark.finding("security H8")
def test_a_forged_aare_shuts_no_meter_out():
    """The genuine meter is associated at the next try with the same context (H8)."""
    fresh = client_security(peer_title=b"")
    forged = Aare(
        ApplicationContext.LN_CIPHERED,
        AssociationResult.ACCEPTED,
        Diagnostic(),
        b"\x28\x20" + bytes(32),
        responding_ap_title=b"FORGED\0\1",
    )
    link = WrapperLink(Role.CLIENT, WrapperConfig(1, 1))
    client = ClientAssociation(link, GMAC[1], security=fresh, entropy=entropy())
    client.associate(0.0)
    assert client.octets_to_send()
    client.receive(write_wpdu(WrapperPdu(1, 1, write_acse(forged))), 1.0)
    assert client.state is not AssociationState.ASSOCIATED
    assert fresh.proved_title == b""
    _, genuine, _, _ = associated("wrapper", GMAC, security=fresh)
    assert genuine.state is AssociationState.ASSOCIATED
    assert fresh.proved_title == METER_TITLE


def test_a_replayed_answer_fails_the_request_and_not_the_association():
    pair, client, _, _ = associated("wrapper", GMAC)
    pair.log.clear()
    ask(pair, client, get_of(3, ENERGY))
    recorded = next(octets for mark, octets in pair.log if mark == "<")
    pair.to_left = lambda _number, _octets: recorded
    event = ask(pair, client, get_of(3, EXPORT))
    assert isinstance(event, RequestFailed)
    assert event.failure.kind is FailureKind.REPLAY
    pair.to_left = lambda _number, octets: octets
    assert ask(pair, client, get_of(3, EXPORT)).results[0].integer == 789


@pytest.mark.nonces_repeat("a new bench each time, with the same keys")
@pytest.mark.parametrize("way", [LLS, GMAC], ids=["lls", "gmac"])
def test_every_tampered_octet_of_a_dialogue_ends_in_an_event_and_never_in_a_crash(way):
    reference, client, _, _ = associated("wrapper", way)
    ask(reference, client, get_of(3, ENERGY))
    total = sum(len(octets) for _, octets in reference.log)
    for position in range(0, total, 3):
        seen = [0]

        def tamper(_number, octets, position=position, seen=seen):
            at = position - seen[0]
            seen[0] += len(octets)
            if not 0 <= at < len(octets):
                return octets
            return octets[:at] + bytes((octets[at] ^ 0x15,)) + octets[at + 1 :]

        pair, client, server, _ = join("wrapper", way, to_left=tamper, to_right=tamper)
        client.associate(pair.now)
        pair.run()
        request_id = client.request(get_of(3, ENERGY), pair.now)
        pair.run(pair.now + 200)
        ends = [e for e in pair.left_events if getattr(e, "request_id", None) == request_id]
        assert len(ends) == 1
        if way is GMAC and isinstance(ends[0], GetDone):
            assert ends[0].results == (double_long_unsigned(123_456),)
        assert server.state in AssociationState


def test_a_ciphered_association_takes_nothing_in_the_clear():
    pair, client, server, meter = associated("wrapper", GMAC)
    plain = bytes.fromhex("C301C1 0046 00006003 0AFF 01 01 0F00")  # the switch's remote_disconnect
    server.receive(bytes.fromhex("0001 0001 0001") + len(plain).to_bytes(2, "big") + plain, pair.now)
    assert meter.connected
    assert server.octets_to_send()[8:] == bytes.fromhex("D80105")
    assert isinstance(server.next_event().error, SecurityError)
    answer = bytes.fromhex("C40101 00 06 00000001")
    header = bytes.fromhex("000100010001") + len(answer).to_bytes(2, "big")
    pair.to_left = lambda _n, _o: header + answer
    client.request(get_of(3, ENERGY), pair.now)
    pair.run(pair.now + 1)
    assert not only(pair, GetDone)


def test_services_before_the_association_and_before_the_proof_are_refused():
    _, _, server, _ = join("wrapper", LLS)
    get = bytes.fromhex("C001C100010000600100FF0200")
    server.connect(0.0)
    server.receive(bytes.fromhex("000100020001000D") + get, 0.0)
    assert server.octets_to_send()[8:] == bytes.fromhex("D80101")
    pair, client, server, _ = join("wrapper", SHA1)
    client._answer_challenge = lambda aare, now: client._move(ClientMove.CHALLENGED)
    client.associate(pair.now)
    pair.run()
    assert server.state is AssociationState.AUTHENTICATING
    server.receive(bytes.fromhex("000100030001000D") + get, pair.now)
    assert server.octets_to_send()[8:] == bytes.fromhex("D80101")
    assert server.agreement is None


def test_another_client_on_the_same_link_does_not_inherit_the_association():
    pair, _, server, _ = associated("wrapper", LLS)
    get = bytes.fromhex("C001C100030100010800FF0200")
    server.receive(bytes.fromhex("000100070001000D") + get, pair.now)
    assert server.octets_to_send()[8:] == bytes.fromhex("D80101")


def test_a_silent_server_times_out_request_by_request():
    way = changed(LLS, response_timeout_s=4.0)
    pair, client, _, _ = associated("wrapper", way)
    pair.to_right = lambda _n, _o: None
    pair.left_events.clear()
    ids = [client.request(get_of(3, ENERGY), pair.now) for _ in range(2)]
    pair.run(pair.now + 3.9)
    assert pair.left_events == []
    pair.run(pair.now + 5)
    failed = only(pair, RequestFailed)
    assert [event.request_id for event in failed] == ids
    assert {event.failure.kind for event in failed} == {FailureKind.TIMEOUT}


def test_a_late_answer_is_shown_and_does_not_answer_the_next_request():
    way = changed(LLS, response_timeout_s=4.0)
    pair, client, _, _ = associated("wrapper", way)
    held = []
    pair.to_left = lambda _n, octets: held.append(octets)
    ask(pair, client, get_of(3, ENERGY))
    pair.run(pair.now + 5)
    pair.to_left = lambda _n, octets: held[0] + octets
    event = ask(pair, client, get_of(3, EXPORT))
    assert event.results[0].integer == 789
    assert len(only(pair, ApduRefused)) == 1


@links
def test_a_silent_server_refuses_no_one_for_ever(kind):
    pair, client, _, _ = join(kind, changed(LLS, response_timeout_s=4.0))
    pair.to_right = lambda _n, _o: None
    client.associate(pair.now)
    pair.run(pair.now + 60)
    assert len(pair.left_events) == 1
    assert isinstance(pair.left_events[0], AssociationRefused | LinkLost)
    assert client.state is AssociationState.IDLE


def test_a_server_that_never_answers_a_release_is_left():
    pair, client, _, _ = associated("wrapper", LLS)
    pair.to_right = lambda _n, _o: None
    pair.left_events.clear()
    client.release(pair.now)
    pair.run(pair.now + 20)
    assert pair.left_events == [Released()]


@pytest.mark.parametrize("release", list(Release))
@links
def test_each_way_to_release_works(kind, release):
    pair, client, _, _ = associated(kind, changed(GMAC, release=release))
    pair.left_events.clear()
    client.release(pair.now)
    pair.run(pair.now + 10)
    assert pair.left_events == [Released()]


@links
def test_a_lost_medium_fails_everything_that_waits(kind):
    pair, client, server, _ = associated(kind, LLS)
    pair.left_events.clear()
    ids = [client.request(get_of(3, ENERGY), pair.now) for _ in range(3)]
    client.medium_lost(pair.now)
    server.medium_lost(pair.now)
    pair.run()
    assert [event.request_id for event in only(pair, RequestFailed)] == ids
    assert isinstance(pair.left_events[-1], LinkLost)
    assert client.state is server.state is AssociationState.IDLE


def test_an_idle_association_is_forgotten_by_the_server():
    pair, _, server, _ = associated("wrapper", LLS, server_options={"limits": ServerLimits(idle_timeout_s=50.0)})
    pair.run(pair.now + 49)
    assert server.agreement is not None
    pair.run(pair.now + 5)
    assert server.agreement is None
    assert any(isinstance(event, Released) for event in pair.right_events)


def test_requests_are_bounded_and_need_an_association():
    pair, client, _, _ = join("wrapper", LLS)
    client.request(get_of(3, ENERGY), pair.now)
    assert client.next_event().failure.kind is FailureKind.CANCELLED
    pair.to_right = lambda _n, _o: None
    client.associate(pair.now)
    for _ in range(REQUESTS_QUEUED_MAX):
        client.request(get_of(3, ENERGY), pair.now)
    with pytest.raises(QueueFullError):
        client.request(get_of(3, ENERGY), pair.now)
    with pytest.raises(RuntimeError, match="cannot associate"):
        client.associate(pair.now)


def test_what_was_not_negotiated_fails_before_it_is_sent():
    pair, client, _, _ = associated("wrapper", changed(LLS, conformance=Conformance.GET))
    pair.log.clear()
    for request in (
        set_of(1, NOTE, 2, integer(1)),
        action_of(8, CLOCK, 6, long(1)),
        get_of(7, PROFILE, 2, range_of_times(ClockTime(), ClockTime())),
    ):
        event = ask(pair, client, request)
        assert event.failure.kind is FailureKind.UNSUPPORTED
    assert pair.log == []
    assert len(ask(pair, client, GetList((get_of(3, ENERGY), get_of(3, EXPORT)))).results) == 2  # one by one


def test_a_value_too_long_without_block_transfer_is_unavailable():
    way = changed(LLS, conformance=Conformance.GET, max_pdu=100)
    pair, client, _, _ = associated("wrapper", way)
    assert ask(pair, client, get_of(7, PROFILE)).results == (DataAccessResult.DATA_BLOCK_UNAVAILABLE,)


def test_an_answer_longer_than_the_bound_is_refused():
    pair, client, _, _ = associated("wrapper", changed(LLS, max_pdu=200, max_response_octets=1_000))
    event = ask(pair, client, get_of(7, PROFILE))
    assert event.failure.kind is FailureKind.PROTOCOL
    assert "more than 1000 octets" in event.failure.detail


@links
def test_a_push_within_an_association_is_an_event(kind):
    pair, client, server, meter = associated(kind, GMAC)
    pushing = PushSource(meter.device, security=SecurityContext(METER_TITLE, KEYS, counters=meter.counters))
    octets = pushing.notification([CaptureObjectDefinition(3, ENERGY, 2)], pair.now)
    ask(pair, client, get_of(3, ENERGY))
    server.link.send_unnumbered(octets, pair.now)
    pair.run(pair.now + 1)
    if kind == "hdlc":
        ask(pair, client, get_of(3, ENERGY))
    (event,) = only(pair, Notification)
    assert event.apdu.body.items[0].integer == 123_456


@pytest.mark.parametrize(
    ("kind", "farewell"),
    [
        ("hdlc", write_frame(HdlcFrame(HdlcAddress(2), HdlcAddress.server(1, 17), 0x1F))),  # DM
        ("wrapper", b"\xff\xff\xff\xff"),
    ],
)
def test_an_answer_and_the_end_of_the_link_in_one_read_fail_the_next_request_and_raise_nothing(kind, farewell):
    pair, client, server, _ = associated(kind, LLS)
    pair.left_events.clear()
    first, second = client.request(get_of(3, ENERGY), pair.now), client.request(get_of(3, EXPORT), pair.now)
    server.receive(client.octets_to_send(), pair.now)
    client.receive(server.octets_to_send() + farewell, pair.now)
    pair.run()
    done, failed = pair.left_events[0], pair.left_events[-2]
    assert (type(done), done.request_id) == (GetDone, first)
    assert (type(failed), failed.request_id) == (RequestFailed, second)
    assert isinstance(pair.left_events[-1], LinkLost)
    assert client.state is AssociationState.IDLE


def test_an_apdu_that_the_link_cannot_carry_ends_the_link_with_the_reason_and_raises_nothing():
    client = ClientAssociation(
        WrapperLink(Role.CLIENT, WrapperConfig(16, 1, apdu_size_max=20)), AssociationSettings(), entropy=bytes
    )
    client.associate(0.0)
    event = client.next_event()
    assert isinstance(event, LinkLost)
    assert (event.failure.kind, event.by_peer) == (FailureKind.UNSUPPORTED, False)
    assert "1 to 20 can be sent" in event.failure.detail
    assert client.state is AssociationState.IDLE


def test_a_server_says_again_where_it_stands_when_two_associations_follow_each_other_on_one_link():
    pair, client, server, _ = associated("wrapper", GMAC)
    first = server.agreement
    client.release(pair.now)
    pair.run(pair.now + 1)
    assert server.agreement is None
    client.associate(pair.now)
    pair.run(pair.now + 1)
    assert server.agreement == first
    assert (server.agreement.own_title, server.agreement.peer_title) == (METER_TITLE, CLIENT_TITLE)
    assert (client.agreement.own_title, client.agreement.peer_title) == (CLIENT_TITLE, METER_TITLE)


def test_an_owner_that_takes_no_events_fills_no_memory():
    pair, client, server, _ = associated("wrapper", LLS)
    unasked = write_wpdu(WrapperPdu(1, 2, bytes.fromhex("C401 01 00 00")))
    for _ in range(EVENTS_MAX + 50):
        client.receive(unasked, pair.now)
        server.receive(write_wpdu(WrapperPdu(7, 1, bytes.fromhex("C001C100010000600100FF0200"))), pair.now)
        server.octets_to_send()
    assert len(client._events) == len(server._events) == EVENTS_MAX


def test_loss_on_the_line_is_repaired_by_hdlc_and_not_seen_above():
    lost = {2, 5, 9, 14}
    pair, client, _, _ = join("hdlc", GMAC, latency_s=0.05)
    pair.to_left = lambda number, octets: None if number in lost else octets
    pair.to_right = lambda number, octets: None if number in {3, 7} else octets
    client.associate(pair.now)
    pair.run(pair.now + 60)
    client.request(get_of(7, PROFILE), pair.now)
    pair.run(pair.now + 120)
    (event,) = only(pair, GetDone)
    assert len(event.results[0].items) == 200


def test_settings_that_cannot_work_are_refused_at_once():
    for settings in (GMAC[1], AssociationSettings(ciphered=True)):
        with pytest.raises(ValueError, match="security context"):
            ClientAssociation(None, settings, entropy=bytes)
    with pytest.raises(ValueError, match="not implemented"):
        ClientAssociation(None, AssociationSettings(AuthenticationMechanism.HLS_ECDSA), entropy=bytes)


def test_no_secret_shows_in_settings_or_events():
    pair, client, _, _ = associated("wrapper", LLS)
    shown = repr(LLS[1]) + repr(pair.left_events) + repr(pair.right_events) + repr(client.agreement)
    assert "sesame" not in shown


@pytest.mark.parametrize("way", [NO_SECURITY, LLS, SHA1, GMAC], ids=["none", "lls", "sha1", "gmac"])
@given(
    octets=st.binary(min_size=1, max_size=80),
    tag=st.sampled_from([0x60, 0x61, 0x62, 0x63, 0xC0, 0xC1, 0xC3, 0xC4, 0xC8, 0xD8]),
)
def test_any_apdu_in_any_state_ends_in_events_on_either_side(way, octets, tag):
    header = bytes.fromhex("0001") + way[0].to_bytes(2, "big") + bytes.fromhex("0001")
    apdu = bytes((tag,)) + octets
    framed = header + len(apdu).to_bytes(2, "big") + apdu
    security = client_security(CLIENT_COUNTERS) if way is GMAC else None
    pair, client, server, _ = join("wrapper", way, ROWLESS, security=security)
    client.associate(pair.now)
    server.receive(framed, pair.now)
    client.receive(framed[:2] + framed[4:6] + framed[2:4] + framed[6:], pair.now)
    pair.run()
    for machine in (server, client):
        machine.receive(framed, pair.now)
    pair.run(pair.now + 400)
    assert client.state in (AssociationState.IDLE, AssociationState.ASSOCIATED)


ROWLESS, CLIENT_COUNTERS = TestMeter(rows=0), MemoryCounters()


class AssociationLife(RuleBasedStateMachine):
    """Whatever happens in whatever order, both machines stay legal and every request ends exactly once."""

    def __init__(self):
        super().__init__()
        self.pair, self.client, self.server, _ = join("wrapper", GMAC, TestMeter(rows=3))
        self.asked, self.is_cut = set(), False
        self.pair.to_left = self.pair.to_right = lambda _n, octets: None if self.is_cut else octets

    @rule()
    def associate(self):
        if self.client.state is AssociationState.IDLE:
            self.client.associate(self.pair.now)

    @rule(
        request=st.sampled_from(
            [get_of(3, ENERGY), get_of(7, PROFILE), action_of(8, CLOCK, 6, long(1)), get_of(3, SERIAL)]
        )
    )
    def ask(self, request):
        self.asked.add(self.client.request(request, self.pair.now))

    @rule()
    def deliver(self):
        self.pair.run()

    @rule(seconds=st.sampled_from([0.5, 20.0, 400.0]))
    def wait(self, seconds):
        self.pair.run(self.pair.now + seconds)

    @rule()
    def release(self):
        self.client.release(self.pair.now)

    @rule()
    def cut(self):
        self.is_cut = not self.is_cut

    @rule()
    def lose_the_medium(self):
        self.client.medium_lost(self.pair.now)
        self.server.medium_lost(self.pair.now)

    @rule(octets=st.binary(max_size=40))
    def hear_noise(self, octets):
        header = bytes.fromhex("000100010001") + len(octets).to_bytes(2, "big")
        if octets:
            self.server.receive(header + octets, self.pair.now)
            self.client.receive(header + octets, self.pair.now)

    @invariant()
    def every_request_ends_at_most_once(self):
        ended = [event.request_id for event in self.pair.left_events if hasattr(event, "request_id")]
        assert len(ended) == len(set(ended))
        assert set(ended) <= self.asked

    def teardown(self):
        self.is_cut = False
        self.client.release(self.pair.now)
        self.pair.run(self.pair.now + 60)
        ended = {event.request_id for event in self.pair.left_events if hasattr(event, "request_id")}
        assert ended == self.asked
        assert self.client.state is AssociationState.IDLE


AssociationLife.TestCase.settings = hypothesis_settings(max_examples=40, stateful_step_count=20, deadline=None)
TestAssociationLife = AssociationLife.TestCase


BOMB = bytes.fromhex("0f4000000100" + "0214" + "13020201ffff00110101" * 20)
"""A data-notification whose compact-arrays announce 65,537 values in 10 octets each."""


@pytest.fixture
def values_read(monkeypatch):
    """How many A-XDR values are made from here on."""
    made, real = [0], axdr_data.Data

    def counting(*args):
        made[0] += 1
        return real(*args)

    monkeypatch.setattr(axdr_data, "Data", counting)
    return made


def test_a_server_reads_the_user_information_of_an_aarq_only_as_an_initiate_request(values_read):
    pair, _, server, _ = join("wrapper", NO_SECURITY)
    values_read[0] = 0
    aarq = write_acse(Aarq(ApplicationContext.LN, user_information=BOMB))
    server.receive(write_wpdu(WrapperPdu(NO_SECURITY[0], 1, aarq)), pair.now)
    refused = server.next_event()
    while refused is not None and not isinstance(refused, ApduRefused):
        refused = server.next_event()
    assert "begins no initiate request" in str(refused.error)
    assert values_read[0] == 0


def test_a_client_reads_the_user_information_of_an_aare_only_as_an_initiate_response(values_read):
    pair, client, _, _ = join("wrapper", NO_SECURITY)
    values_read[0] = 0
    client.associate(pair.now)
    aare = Aare(ApplicationContext.LN, AssociationResult.ACCEPTED, Diagnostic(), BOMB)
    client.receive(write_wpdu(WrapperPdu(1, NO_SECURITY[0], write_acse(aare))), pair.now)
    events = []
    while (event := client.next_event()) is not None:
        events.append(event)
    (refused,) = [event for event in events if isinstance(event, ApduRefused)]
    assert "begins no initiate response" in str(refused.error)
    assert values_read[0] == 0


def test_a_server_reads_nothing_but_the_proof_before_the_client_has_proved_itself(values_read):
    pair, client, server, _ = join("wrapper", GMAC_CLEAR)
    pair.to_right = lambda number, octets: octets if number == 0 else None  # pass 3 is lost
    client.associate(pair.now)
    pair.run()
    assert server.state is AssociationState.AUTHENTICATING
    values_read[0] = 0
    values = BOMB[6:]
    for request in (
        b"\xc1\x01\xc1" + bytes.fromhex("0001") + bytes(NOTE) + b"\x02\x00" + values,
        b"\xc3\x01\xc1" + bytes.fromhex("2000") + bytes(ECHO) + b"\x01\x01" + values,
        BOMB,
    ):
        server.receive(write_wpdu(WrapperPdu(GMAC_CLEAR[0], 1, request)), pair.now)
    assert server.state is AssociationState.AUTHENTICATING
    assert values_read[0] == 0


REQUESTS_OF_ANY_SIZE = {
    "get": lambda size: get_of(7, PROFILE),
    "get list": lambda size: GetList((get_of(3, ENERGY), get_of(1, SERIAL), get_of(3, EXPORT)) * (1 + size // 200)),
    "set": lambda size: set_of(1, NOTE, 2, visible_string("x" * size)),
    "set list": lambda size: SetList((set_of(1, NOTE, 2, visible_string("x" * 20)),) * (2 + size // 60)),
    "action": lambda size: action_of(Echo.class_id, ECHO, 1, visible_string("x" * size)),
    "action list": lambda size: ActionList(
        (action_of(Echo.class_id, ECHO, 1, visible_string("x" * (size // 4))),) * (2 + size // 60)
    ),
}


@pytest.mark.finding("dlms D7")
@pytest.mark.attack(6)
@pytest.mark.finding("dlms D8")
@given(
    st.sampled_from([LLS, GMAC, GMAC_CLEAR]),
    st.integers(12, 1_024),
    st.integers(12, 1_024),
    st.sampled_from(sorted(REQUESTS_OF_ANY_SIZE)),
    st.integers(0, 1_200),
)
@hypothesis_settings(deadline=None, max_examples=40)
def test_no_apdu_of_either_side_is_longer_than_the_other_takes(way, server_max, client_max, kind, size):
    """Plain and ciphered, as octets on the wire; what does not fit is refused, and nothing goes on without end."""
    limits = {"limits": ServerLimits(max_pdu=server_max)}
    pair, client, _, meter = join("wrapper", changed(way, max_pdu=client_max), TestMeter(12), server_options=limits)
    client.associate(pair.now)
    pair.run()
    established = len(pair.log)
    if not only(pair, Associated):
        (refused,) = only(pair, AssociationRefused)
        no_room = "has no room" in str(refused.failure)
        assert no_room or "pdu-size-too-short" in str(refused.failure)
        assert server_max < 100 if no_room else client_max < APDU_MIN
        assert established <= 3
        return
    answer = ask(pair, client, REQUESTS_OF_ANY_SIZE[kind](size))
    assert answer is not None
    assert not isinstance(answer, LinkLost)
    exchanged = pair.log[established:]
    assert len(exchanged) <= 2_000
    for direction, octets in exchanged:
        most = server_max if direction == ">" else client_max
        assert len(octets) - HEADER_SIZE <= most, (direction, octets.hex())
    if isinstance(answer, RequestFailed):
        assert answer.failure.kind in (FailureKind.UNSUPPORTED, FailureKind.EXCEPTION, FailureKind.REFUSED)
        assert meter.note.text == "hello"
