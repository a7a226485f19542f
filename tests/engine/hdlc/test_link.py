import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meterspan.engine.hdlc.config import AddressMatching, HdlcConfig
from meterspan.engine.hdlc.link import OUTPUT_OCTETS_MAX, HdlcLink
from meterspan.engine.hdlc.table import State
from meterspan.engine.hdlc.turn import SEND_QUEUE_OCTETS_MAX
from meterspan.engine.link import ApduReceived, FrameDamaged, Link, LinkDown, LinkNotUpError, LinkUp, Role
from meterspan.model.failures import Failure, FailureKind
from meterspan.wire.hdlc import (
    FrameKind,
    HdlcAddress,
    HdlcFrame,
    HdlcParameters,
    HdlcReader,
    control_octet,
    read_frame,
    read_parameters,
    write_frame,
)

CLIENT = HdlcAddress(16)
SERVER = HdlcAddress(1, 17, 2)
SNRM = 0x93
UA = 0x73


def seeded(seed):
    return random.Random(seed)  # noqa: S311 - a test must be repeatable


def make_client(**changes):
    return HdlcLink(Role.CLIENT, HdlcConfig(**({"source": CLIENT, "destination": SERVER} | changes)))


def make_server(**changes):
    return HdlcLink(Role.SERVER, HdlcConfig(**({"source": SERVER, "destination": HdlcAddress(102)} | changes)))


def down(kind, words, *, by_peer):
    return LinkDown(Failure(kind, words), by_peer)


def events_of(link):
    return list(iter(link.next_event, None))


def apdus_of(link):
    return [event.octets for event in events_of(link) if isinstance(event, ApduReceived)]


def frames_of(octets):
    reader = HdlcReader()
    items = reader.feed(octets)
    assert all(isinstance(item, HdlcFrame) for item in items)
    return items


def deliver(octets, receiver, now, cut=None):
    for at in range(0, len(octets), cut or max(len(octets), 1)):
        receiver.receive(octets[at : at + (cut or len(octets))], now)


def settle(client, server, now=0.0, cut=None):
    """Carry octets both ways until nothing moves; give all frames that passed."""
    frames = []
    while True:
        to_server = client.octets_to_send()
        deliver(to_server, server, now, cut)
        to_client = server.octets_to_send()
        deliver(to_client, client, now, cut)
        frames += frames_of(to_server) + frames_of(to_client)
        if not to_server and not to_client:
            return frames


def join(client_changes=None, server_changes=None, cut=None):
    client, server = make_client(**(client_changes or {})), make_server(**(server_changes or {}))
    client.connect(0.0)
    settle(client, server, cut=cut)
    return client, server


def command(kind, information=b"", *, source=CLIENT, destination=SERVER, segmented=False, **numbers):
    control = control_octet(kind, poll_final=True, **numbers)
    return write_frame(HdlcFrame(destination, source, control, information, segmented))


def controls(octets):
    return [frame.control for frame in frames_of(octets)]


# --- setting up and taking down


@pytest.mark.parametrize("cut", [None, 1, 3])
def test_a_link_comes_up_and_goes_down_on_both_sides(cut):
    client, server = join(cut=cut)
    assert client.is_up
    assert server.is_up
    assert events_of(client) == [LinkUp(1, 16)]
    assert events_of(server) == [LinkUp(16, 1)]
    client.disconnect(1.0)
    assert not client.is_up
    settle(client, server, cut=cut)
    assert events_of(client) == [down(FailureKind.CANCELLED, "disconnected", by_peer=False)]
    assert events_of(server) == [down(FailureKind.LINK_LOST, "the client disconnected", by_peer=True)]
    assert client.deadline() is None
    assert server.deadline() is None


def test_a_link_is_a_link():
    link: Link = make_client()
    assert link.role is Role.CLIENT
    assert link.counts.frames_sent == 0


@pytest.mark.parametrize(
    ("own", "peer", "client_view"),
    [
        (HdlcParameters(), HdlcParameters(), HdlcParameters()),
        (HdlcParameters(512, 1024, 3, 7), HdlcParameters(256, 300, 2, 1), HdlcParameters(300, 256, 1, 2)),
        (HdlcParameters(2030, 2030, 7, 7), HdlcParameters(), HdlcParameters()),
        (HdlcParameters(), HdlcParameters(2030, 2030, 7, 7), HdlcParameters()),
    ],
)
def test_the_lesser_limit_of_both_sides_holds(own, peer, client_view):
    client, server = join({"parameters": own}, {"parameters": peer})
    assert client.negotiated == client_view
    tx, rx = client_view.information_transmit_max, client_view.information_receive_max
    assert server.negotiated == HdlcParameters(rx, tx, client_view.window_receive, client_view.window_transmit)


def test_a_client_with_default_limits_sends_a_bare_snrm_and_takes_a_bare_ua():
    client = make_client()
    client.connect(0.0)
    (snrm,) = frames_of(client.octets_to_send())
    assert (snrm.control, snrm.information) == (SNRM, b"")
    client.receive(write_frame(HdlcFrame(CLIENT, SERVER, UA)), 0.0)
    assert client.is_up
    assert client.negotiated == HdlcParameters()


@pytest.mark.parametrize(
    "information",
    [
        "",
        "818000",
        "818012 050180 060180 070400000001 080400000001",
        "818014 05020080 06020080 070400000001 080400000001",
    ],
)
def test_a_server_takes_parameters_in_every_form(information):
    server = make_server(parameters=HdlcParameters(1024, 1024, 7, 7))
    server.receive(command(FrameKind.SET_NORMAL_RESPONSE_MODE, bytes.fromhex(information)), 0.0)
    (ua,) = frames_of(server.octets_to_send())
    assert (ua.control, read_parameters(ua.information)) == (UA, HdlcParameters())


@pytest.mark.parametrize(
    "information",
    ["81800505", "818000 05020200 06020200 070400000001 080400020001", "818006 070400020001"],
    ids=["cut off", "length left at 0", "window out of range"],
)
def test_damaged_parameters_are_reported_and_the_defaults_hold(information):
    limits = HdlcParameters(1024, 1024, 7, 7)
    client, server = make_client(parameters=limits), make_server(parameters=limits)
    client.connect(0.0)
    client.receive(write_frame(HdlcFrame(CLIENT, SERVER, UA, bytes.fromhex(information))), 0.0)
    server.receive(command(FrameKind.SET_NORMAL_RESPONSE_MODE, bytes.fromhex(information)), 0.0)
    for link in (client, server):
        assert link.negotiated == HdlcParameters()
        damaged, up = events_of(link)
        assert isinstance(damaged, FrameDamaged)
        assert isinstance(up, LinkUp)


def test_a_lost_ua_is_sent_again_without_a_second_link_up():
    client, server = make_client(), make_server()
    client.connect(0.0)
    deliver(client.octets_to_send(), server, 0.0)
    server.octets_to_send()
    client.advance(client.deadline())
    settle(client, server)
    assert client.is_up
    assert events_of(server) == [LinkUp(16, 1)]


def test_a_client_gives_up_after_its_retries():
    client = make_client(retries_max=2)
    client.connect(0.0)
    for _ in range(3):
        assert controls(client.octets_to_send()) == [SNRM]
        client.advance(client.deadline())
    assert client.octets_to_send() == b""
    assert events_of(client) == [down(FailureKind.NO_LINK, "no response after 3 attempts", by_peer=False)]
    assert client.state is State.NDM


def test_a_refused_client_hears_why():
    client = make_client()
    client.connect(0.0)
    client.receive(write_frame(HdlcFrame(CLIENT, SERVER, 0x1F)), 0.0)
    assert events_of(client) == [
        down(FailureKind.LINK_REFUSED, "the server is in disconnected mode (DM)", by_peer=True)
    ]


@pytest.mark.parametrize("kind", [FrameKind.DISCONNECT, FrameKind.RECEIVE_READY, FrameKind.INFORMATION])
def test_a_server_that_is_down_answers_dm(kind):
    server = make_server()
    server.receive(command(kind), 0.0)
    assert controls(server.octets_to_send()) == [0x1F]


def test_a_server_that_leaves_answers_dm_to_the_next_poll():
    client, server = join()
    server.disconnect(0.0)
    client.send(b"get", 0.0)
    settle(client, server)
    assert events_of(server)[-1] == down(FailureKind.CANCELLED, "disconnected", by_peer=False)
    assert events_of(client)[-1] == down(FailureKind.LINK_LOST, "the server is in disconnected mode (DM)", by_peer=True)


def test_a_client_that_starts_over_restarts_the_link():
    client, server = join()
    client.send(b"get", 0.0)
    settle(client, server)
    client.medium_lost(0.0)
    client.connect(1.0)
    settle(client, server)
    assert events_of(client)[-2:] == [
        down(FailureKind.LINK_LOST, "the connection was closed", by_peer=True),
        LinkUp(1, 16),
    ]
    assert events_of(server)[-2:] == [
        down(FailureKind.LINK_LOST, "the client set the mode again", by_peer=True),
        LinkUp(16, 1),
    ]
    client.send(b"again", 1.0)
    settle(client, server)
    assert apdus_of(server) == [b"again"]


def test_a_disconnect_that_nobody_answers_ends_all_the_same():
    client, _ = join()
    client.disconnect(0.0)
    for _ in range(4):
        client.advance(client.deadline())
    assert events_of(client)[-1] == down(FailureKind.CANCELLED, "disconnected", by_peer=False)


def test_a_server_gives_up_a_silent_client():
    _, server = join()
    assert server.deadline() == 120.0
    server.advance(120.0)
    assert events_of(server)[-1] == down(FailureKind.TIMEOUT, "no frame for 120 s", by_peer=False)


# --- data


@pytest.mark.parametrize("cut", [None, 1])
@pytest.mark.parametrize("window", [1, 2, 7])
@pytest.mark.parametrize("size", [1, 125, 126, 1000, 5000])
def test_apdus_of_any_length_cross_both_ways(size, window, cut):
    limits = HdlcParameters(128, 128, window, window)
    client, server = join({"parameters": limits}, {"parameters": limits})
    request, response = seeded(1).randbytes(size), seeded(2).randbytes(size)
    client.send(request, 0.0)
    frames = settle(client, server, cut=cut)
    assert events_of(server)[-1] == ApduReceived(request, 16, 1)
    server.send(response, 0.0)
    frames += settle(client, server, cut=cut)
    assert events_of(client)[-1] == ApduReceived(response, 1, 16)
    assert max(len(frame.information) for frame in frames) <= 128
    segments = [frame for frame in frames if frame.kind is FrameKind.INFORMATION]
    assert len(segments) == 2 * -(-(size + 3) // 128)
    turns = sum(frame.poll_final for frame in frames)
    assert turns <= 2 * -(-len(segments) // (2 * window)) * 2 + 2


def test_the_llc_header_names_the_direction():
    client, server = join()
    client.send(b"\xc0", 0.0)
    request = settle(client, server)[0]
    server.send(b"\xc4", 0.0)
    response = settle(client, server)[0]
    assert request.information == bytes.fromhex("E6E600C0")
    assert response.information == bytes.fromhex("E6E700C4")


def test_a_window_above_one_saves_turns():
    def turns(window):
        limits = HdlcParameters(128, 128, window, window)
        client, server = join({"parameters": limits}, {"parameters": limits})
        client.send(b"get", 0.0)
        settle(client, server)
        server.send(bytes(2000), 0.0)
        return sum(frame.poll_final for frame in settle(client, server))

    assert turns(7) * 5 < turns(1)


def test_a_server_holds_the_turn_for_its_application_then_answers_rr_and_is_asked_again():
    client, server = join()
    client.send(b"slow", 0.0)
    assert controls(client.octets_to_send()) == [0x10]
    deliver(command(FrameKind.INFORMATION, bytes.fromhex("E6E600") + b"slow"), server, 0.0)
    assert server.octets_to_send() == b""
    server.advance(server.deadline())
    ready = server.octets_to_send()
    assert controls(ready) == [0x31]
    server.send(b"done", 2.0)
    assert server.octets_to_send() == b""
    client.receive(ready, 2.0)
    assert client.octets_to_send() == b""
    client.advance(client.deadline())
    settle(client, server, now=2.5)
    assert apdus_of(client) == [b"done"]


def test_polling_for_an_answer_that_never_comes_stops_by_itself():
    client, server = join({"polls_max": 5})
    client.send(b"unconfirmed", 0.0)
    for _ in range(20):
        settle(client, server)
        deadlines = [due for due in (client.deadline(), server.deadline()) if due is not None]
        now = min(deadlines)
        if now >= 100:
            break
        client.advance(now)
        server.advance(now)
    assert client.is_up
    assert client.deadline() is None
    assert client.counts.frames_sent == 1 + 1 + 5


def test_a_lost_response_is_fetched_again_and_the_request_is_not_delivered_twice():
    client, server = join()
    client.send(b"get", 0.0)
    deliver(client.octets_to_send(), server, 0.0)
    server.send(b"response", 0.0)
    server.octets_to_send()
    client.advance(client.deadline())
    settle(client, server)
    assert apdus_of(server) == [b"get"]
    assert apdus_of(client) == [b"response"]
    assert client.counts.frames_repeated == server.counts.frames_repeated == 1


def test_a_late_answer_after_a_repetition_is_not_taken_twice():
    client, server = join()
    client.send(b"get", 0.0)
    deliver(client.octets_to_send(), server, 0.0)
    server.send(b"response", 0.0)
    late = server.octets_to_send()
    client.advance(client.deadline())
    deliver(client.octets_to_send(), server, 3.0)
    client.receive(late + server.octets_to_send(), 3.0)
    assert apdus_of(client) == [b"response"]
    assert client.counts.frames_ignored == 1
    client.send(b"next", 4.0)
    settle(client, server)
    assert apdus_of(server) == [b"get", b"next"]


def test_a_missing_frame_within_a_window_is_sent_again_from_there():
    limits = HdlcParameters(128, 128, 7, 7)
    client, server = join({"parameters": limits}, {"parameters": limits})
    client.send(b"get", 0.0)
    settle(client, server)
    server.send(bytes(range(250)) * 3, 0.0)
    frames = frames_of(server.octets_to_send())
    for frame in frames[:2] + frames[3:]:
        client.receive(write_frame(frame), 0.0)
    assert controls(client.octets_to_send()) == [
        control_octet(FrameKind.RECEIVE_READY, poll_final=True, receive_number=2)
    ]
    server.receive(command(FrameKind.RECEIVE_READY, receive_number=2), 0.0)
    assert [frame.send_number for frame in frames_of(server.octets_to_send())] == [2, 3, 4, 5]


def busy(receive_number=0):
    """RNR of the server: it cannot receive I frames for now."""
    control = control_octet(FrameKind.RECEIVE_NOT_READY, poll_final=True, receive_number=receive_number)
    return write_frame(HdlcFrame(CLIENT, SERVER, control))


def test_a_busy_peer_is_asked_later_and_then_served():
    client, server = join()
    client.send(b"get", 0.0)
    client.octets_to_send()  # the busy server drops it
    client.receive(busy(), 0.0)
    assert client.octets_to_send() == b""
    client.advance(client.deadline())
    assert [frame.kind.short for frame in frames_of(client.octets_to_send())] == ["RR"]
    client.receive(busy(), 1.0)
    client.advance(client.deadline())
    settle(client, server)
    assert apdus_of(server) == [b"get"]


def test_a_peer_that_stays_busy_is_given_up():
    client, _ = join({"polls_max": 3})
    client.send(b"get", 0.0)
    client.receive(busy(), 0.0)
    while client.is_up:
        client.advance(client.deadline())
        client.receive(busy(), 0.0)
    assert events_of(client)[-1] == LinkDown(Failure(FailureKind.TIMEOUT, "the peer stays busy"), by_peer=True)


def test_a_peer_that_answers_and_acknowledges_nothing_is_given_up():
    client, _ = join()
    client.send(b"get", 0.0)
    for _ in range(10):
        client.receive(write_frame(HdlcFrame(CLIENT, SERVER, 0x11)), 0.0)
    assert events_of(client)[-1] == down(FailureKind.TIMEOUT, "the peer answers and acknowledges nothing", by_peer=True)


def test_a_frame_rejected_by_the_server_resets_the_link():
    client, server = join()
    client.send(b"get", 0.0)
    client.octets_to_send()
    server.receive(command(FrameKind.RECEIVE_READY, receive_number=5), 0.0)
    octets = server.octets_to_send()
    (frmr,) = frames_of(octets)
    assert frmr.kind is FrameKind.FRAME_REJECT
    assert frmr.information == bytes([0xB1, 0x00, 0x08])
    assert events_of(server)[-1] == down(FailureKind.PROTOCOL, "a frame was rejected: N(R) out of range", by_peer=True)
    client.receive(octets, 0.0)
    assert events_of(client)[-1] == down(FailureKind.PROTOCOL, "the server rejected a frame (b10008)", by_peer=True)
    client.connect(1.0)
    settle(client, server)
    assert client.is_up
    assert server.is_up


def test_an_unknown_control_octet_is_rejected_with_its_reason():
    _, server = join()
    server.receive(write_frame(HdlcFrame(SERVER, CLIENT, 0xFF)), 0.0)
    (frmr,) = frames_of(server.octets_to_send())
    assert frmr.information == bytes([0xFF, 0x00, 0x01])


def test_a_client_passes_over_a_number_that_cannot_be():
    client, _ = join()
    client.receive(write_frame(HdlcFrame(CLIENT, SERVER, 0x11 | 5 << 5)), 0.0)
    assert client.is_up
    assert client.counts.frames_ignored == 1


def test_a_server_bounds_reassembly():
    client, server = join(server_changes={"apdu_size_max": 300})
    client.send(bytes(301), 0.0)
    settle(client, server)
    assert events_of(server)[-1] == down(FailureKind.PROTOCOL, "a frame was rejected: APDU too long", by_peer=True)
    assert events_of(client)[-1] == down(FailureKind.PROTOCOL, "the server rejected a frame (146004)", by_peer=True)


def test_a_client_bounds_reassembly():
    client, server = join({"apdu_size_max": 300})
    client.send(b"get", 0.0)
    settle(client, server)
    server.send(bytes(301), 0.0)
    settle(client, server)
    assert events_of(client)[-1] == down(FailureKind.PROTOCOL, "the peer's APDU is too long", by_peer=True)
    assert events_of(server)[-1] == down(FailureKind.LINK_LOST, "the client disconnected", by_peer=True)


def test_information_without_llc_header_is_damage():
    _, server = join()
    server.receive(command(FrameKind.INFORMATION, b"\xc0\x01"), 0.0)
    event = events_of(server)[-1]
    assert isinstance(event, FrameDamaged)
    assert event.error.field == "LLC"
    assert controls(server.octets_to_send()) == [0x31]


# --- push


@pytest.mark.parametrize("size", [10, 500])
def test_push_needs_no_link(size):
    server = make_server()
    listener = make_client(source=HdlcAddress(102))
    apdu = bytes([0x0F]) * size
    server.send_unnumbered(apdu, 0.0)
    octets = server.octets_to_send()
    assert {frame.kind for frame in frames_of(octets)} == {FrameKind.UNNUMBERED_INFORMATION}
    deliver(octets, listener, 0.0, cut=5)
    assert events_of(listener) == [ApduReceived(apdu, 1, 102, numbered=False)]


def test_push_within_a_link_waits_for_the_turn_and_survives_its_end():
    client, server = join({"matching": AddressMatching.ANY})
    server.send_unnumbered(b"alarm", 0.0)
    assert server.octets_to_send() == b""
    client.send(b"get", 0.0)
    settle(client, server)
    assert apdus_of(client) == [b"alarm"]
    server.send(b"response", 0.0)
    settle(client, server)
    server.send_unnumbered(b"last", 0.0)
    client.disconnect(0.0)
    settle(client, server)
    assert apdus_of(client) == [b"response", b"last"]


def test_segments_of_two_pushing_meters_are_not_mixed():
    listener = make_client(matching=AddressMatching.ANY)
    for source, octets, segmented in [
        (1, b"\xe6\xe7\x00one", True),
        (2, b"\xe6\xe7\x00two", False),
    ]:
        listener.receive(write_frame(HdlcFrame(CLIENT, HdlcAddress(source), 0x13, octets, segmented)), 0.0)
    assert events_of(listener) == [ApduReceived(b"two", 2, 16, numbered=False)]


# --- addresses


@pytest.mark.parametrize(
    ("matching", "source", "is_taken"),
    [
        (AddressMatching.STRICT, HdlcAddress(1, 17, 2), True),
        (AddressMatching.STRICT, HdlcAddress(1, 17, 4), True),
        (AddressMatching.STRICT, HdlcAddress(1), False),
        (AddressMatching.TOLERANT, HdlcAddress(1), True),
        (AddressMatching.TOLERANT, HdlcAddress(17, 1, 4), True),
        (AddressMatching.TOLERANT, HdlcAddress(2, 17, 4), True),
        (AddressMatching.TOLERANT, HdlcAddress(1, 18, 2), False),
        (AddressMatching.TOLERANT, HdlcAddress(5), False),
        (AddressMatching.ANY, HdlcAddress(5), True),
    ],
)
def test_a_client_takes_answers_as_tolerantly_as_configured(matching, source, is_taken):
    client = make_client(matching=matching)
    client.connect(0.0)
    client.receive(write_frame(HdlcFrame(CLIENT, source, UA)), 0.0)
    assert client.is_up is is_taken
    assert client.counts.frames_ignored == (not is_taken)


@pytest.mark.parametrize("address", [HdlcAddress(1), HdlcAddress(1, 17, 2), HdlcAddress(1, 17, 4)])
def test_a_server_answers_from_the_address_that_was_called(address):
    client, server = join({"destination": address})
    assert client.is_up
    client.send(b"get", 0.0)
    settle(client, server)
    server.send(b"response", 0.0)
    frames = settle(client, server)
    assert frames[0].source == address


def test_a_server_passes_over_other_addresses_and_broadcast_commands():
    server = make_server(logical_devices=frozenset({2}))
    for destination in (HdlcAddress(3, 17, 2), HdlcAddress(1, 18, 2), HdlcAddress(1, 0x7F, 2)):
        server.receive(command(FrameKind.SET_NORMAL_RESPONSE_MODE, destination=destination), 0.0)
    assert server.octets_to_send() == b""
    assert server.counts.frames_ignored == 3
    server.receive(command(FrameKind.SET_NORMAL_RESPONSE_MODE, destination=HdlcAddress(2, 17, 2)), 0.0)
    assert events_of(server) == [LinkUp(16, 2)]


def test_another_client_is_told_that_the_server_is_taken():
    client, server = join()
    server.receive(command(FrameKind.SET_NORMAL_RESPONSE_MODE, source=HdlcAddress(1)), 0.0)
    (dm,) = frames_of(server.octets_to_send())
    assert (dm.kind, dm.destination) == (FrameKind.DISCONNECTED_MODE, HdlcAddress(1))
    client.send(b"get", 0.0)
    settle(client, server)
    assert apdus_of(server) == [b"get"]


def test_a_client_passes_over_the_echo_of_an_optical_head():
    client, server = join()
    client.send(b"get", 0.0)
    octets = client.octets_to_send()
    client.receive(octets, 0.0)
    assert client.counts.frames_ignored == 1
    server.receive(octets, 0.0)
    server.send(b"response", 0.0)
    settle(client, server)
    assert apdus_of(client) == [b"response"]


# --- damage, misuse and bounds


def test_damage_is_reported_and_the_link_goes_on():
    client, server = join()
    server.receive(b"\x00\x55noise", 0.0)
    client.send(b"get", 0.0)
    settle(client, server)
    _, damaged, received = events_of(server)
    assert isinstance(damaged, FrameDamaged)
    assert damaged.octets == b"\x00\x55noise"
    assert received == ApduReceived(b"get", 16, 1)


def test_a_frame_cut_off_by_silence_is_reported_in_time():
    _, server = join()
    server.receive(command(FrameKind.RECEIVE_READY)[:-3], 5.0)
    assert server.deadline() == 6.0
    server.advance(6.0)
    assert isinstance(events_of(server)[-1], FrameDamaged)
    assert server.counts.frames_damaged == 1


def test_misuse_is_a_local_fault():
    client, _ = join()
    with pytest.raises(LinkNotUpError, match="NDM"):
        make_client().send(b"get", 0.0)
    with pytest.raises(ValueError, match="can be sent"):
        client.send(b"", 0.0)
    with pytest.raises(ValueError, match="can be sent"):
        client.send_unnumbered(bytes(0x10000), 0.0)
    for _ in range(SEND_QUEUE_OCTETS_MAX // 0xF000):
        client.send(bytes(0xF000), 0.0)
    with pytest.raises(ValueError, match="wait to be sent"):
        client.send(bytes(0xF000), 0.0)


def test_polls_of_a_hostile_peer_cannot_fill_memory():
    limits = HdlcParameters(2030, 2030, 7, 7)
    client, server = join({"parameters": limits}, {"parameters": limits})
    client.send(b"get", 0.0)
    settle(client, server)
    server.send(bytes(20_000), 0.0)
    server.receive(command(FrameKind.RECEIVE_READY), 0.0)
    for _ in range(200):
        server.receive(command(FrameKind.RECEIVE_READY), 0.0)
    assert len(server.octets_to_send()) <= OUTPUT_OCTETS_MAX
    assert server.counts.octets_dropped > 0


@settings(max_examples=150)
@given(
    st.sampled_from(Role), st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=20), st.booleans()), max_size=20)
)
def test_any_frames_in_any_state_end_in_events(role, frames):
    client, server = join()
    link, destination, source = (client, CLIENT, SERVER) if role is Role.CLIENT else (server, SERVER, CLIENT)
    now = 0.0
    for control, information, segmented in frames:
        link.receive(write_frame(HdlcFrame(destination, source, control, information, segmented)), now)
        now += 1.0
        link.advance(now)
        if link.is_up:
            link.send(b"data", now)
        else:
            link.connect(now)
    for frame in frames_of(link.octets_to_send()):
        assert read_frame(write_frame(frame)) == frame


class LossyLine:
    """Carries octets with losses and bit flips that a seed decides; time passes from deadline to deadline."""

    def __init__(self, seed, loss, flip):
        self.random = seeded(seed)
        self.loss, self.flip = loss, flip

    def carry(self, octets, receiver, now):
        for frame in frames_of(octets):
            raw = bytearray(write_frame(frame))
            if self.random.random() < self.loss:
                continue
            if self.random.random() < self.flip:
                raw[self.random.randrange(len(raw))] ^= 1 << self.random.randrange(8)
            deliver(bytes(raw), receiver, now, cut=self.random.choice([None, 1, 13]))


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 2**32),
    st.floats(0, 0.25),
    st.floats(0, 0.25),
    st.integers(1, 7),
    st.lists(st.tuples(st.integers(1, 700), st.integers(1, 1500)), min_size=1, max_size=4),
)
def test_a_lossy_line_delivers_each_apdu_once_and_in_order(seed, loss, flip, window, exchanges):
    limits = HdlcParameters(128, 128, window, window)
    shared = {"parameters": limits, "retries_max": 60, "inactivity_timeout_s": None}
    client, server = join(shared, shared)
    events_of(client), events_of(server)
    line = LossyLine(seed, loss, flip)
    source = seeded(seed)
    requests = [source.randbytes(size) for size, _ in exchanges]
    responses = [source.randbytes(size) for _, size in exchanges]
    asked, answered = [], []
    now = 0.0
    client.send(requests[0], now)
    for _ in range(5000):
        line.carry(client.octets_to_send(), server, now)
        for octets in apdus_of(server):
            asked.append(octets)
            server.send(responses[len(asked) - 1], now)
        line.carry(server.octets_to_send(), client, now)
        for octets in apdus_of(client):
            answered.append(octets)
            if len(answered) < len(requests):
                client.send(requests[len(answered)], now)
        if len(answered) == len(requests):
            break
        if not client._output and not server._output:
            now = min(due for due in (client.deadline(), server.deadline()) if due is not None)
            server.advance(now)
            client.advance(now)
    assert (asked, answered) == (requests, responses)
    assert client.is_up
    assert server.is_up


@pytest.mark.finding("dlms D16")
def test_a_server_rejects_an_information_field_that_is_longer_than_agreed():
    client, server = make_client(), make_server()
    client.connect(0.0)
    settle(client, server)
    agreed = server.negotiated.information_receive_max
    for size, kind in ((agreed, FrameKind.RECEIVE_READY), (agreed + 1, FrameKind.FRAME_REJECT)):
        control = control_octet(FrameKind.INFORMATION, poll_final=True, send_number=0, receive_number=0)
        server.receive(write_frame(HdlcFrame(SERVER, CLIENT, control, bytes(size), segmented=True)), 0.0)
        (answer,) = frames_of(server.octets_to_send())
        assert answer.kind is kind
        server.disconnect(0.0)
        server.receive(write_frame(HdlcFrame(SERVER, CLIENT, SNRM)), 0.0)
        server.octets_to_send()
    assert answer.information[2] == 0x04  # Y: the information field is too long


@pytest.mark.finding("dlms D16")
@pytest.mark.parametrize("control", [SNRM, 0x53])
def test_a_command_without_the_poll_bit_is_not_answered_and_changes_nothing(control):
    server = make_server()
    if control != SNRM:
        server.receive(write_frame(HdlcFrame(SERVER, CLIENT, SNRM)), 0.0)
        server.octets_to_send()
    before = server.is_up
    server.receive(write_frame(HdlcFrame(SERVER, CLIENT, control & ~0x10)), 0.0)
    assert (server.octets_to_send(), server.is_up) == (b"", before)
    server.receive(write_frame(HdlcFrame(SERVER, CLIENT, control)), 0.0)
    assert server.is_up is not before
