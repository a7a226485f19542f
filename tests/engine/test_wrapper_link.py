import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.engine.link import ApduReceived, FrameDamaged, Link, LinkDown, LinkNotUpError, LinkUp, Role
from meterspan.engine.wrapper_link import (
    INACTIVITY_TIMEOUT_S,
    PARTIAL_TIMEOUT_S,
    SEND_QUEUE_OCTETS_MAX,
    WrapperConfig,
    WrapperLink,
)
from meterspan.model.failures import Failure, FailureKind
from meterspan.wire.wrapper import WrapperPdu, write_wpdu


def make_client(**changes) -> Link:
    return WrapperLink(Role.CLIENT, WrapperConfig(source=16, destination=1, **changes))


def make_server(**changes) -> Link:
    return WrapperLink(Role.SERVER, WrapperConfig(source=1, destination=102, **changes))


def down(kind, words, *, by_peer):
    return LinkDown(Failure(kind, words), by_peer)


def events_of(link):
    return list(iter(link.next_event, None))


def carry(sender, receiver, now=0.0, cut=None):
    octets = sender.octets_to_send()
    for at in range(0, len(octets), cut or len(octets) or 1):
        receiver.receive(octets[at : at + (cut or len(octets))], now)


@pytest.fixture
def pair():
    client, server = make_client(), make_server()
    client.connect(0.0)
    server.connect(0.0)
    assert events_of(client) == [LinkUp(1, 16)]
    assert events_of(server) == [LinkUp(102, 1)]
    return client, server


@pytest.mark.parametrize("cut", [None, 1, 3])
def test_apdus_cross_both_ways_however_the_stream_is_cut(pair, cut):
    client, server = pair
    client.send(b"get", 0.0)
    client.send(b"get next", 0.0)
    carry(client, server, cut=cut)
    assert events_of(server) == [ApduReceived(b"get", 16, 1), ApduReceived(b"get next", 16, 1)]
    server.send(b"response", 0.0)
    carry(server, client, cut=cut)
    assert events_of(client) == [ApduReceived(b"response", 1, 16)]
    assert client.counts.frames_sent == server.counts.frames_received == 2


def test_a_server_answers_from_the_logical_device_that_was_asked_to_the_client_that_asked():
    server = make_server(ports=frozenset({17}))
    server.receive(write_wpdu(WrapperPdu(32, 17, b"get")), 0.0)
    server.send(b"response", 0.0)
    assert server.octets_to_send() == write_wpdu(WrapperPdu(17, 32, b"response"))
    server.send_unnumbered(b"push", 0.0)
    assert server.octets_to_send() == write_wpdu(WrapperPdu(1, 102, b"push"))


def test_a_server_is_up_with_the_first_octets():
    server = make_server()
    server.receive(write_wpdu(WrapperPdu(16, 1, b"get")), 0.0)
    assert events_of(server) == [LinkUp(102, 1), ApduReceived(b"get", 16, 1)]


def test_ports_that_are_not_ours_are_counted_and_passed_over():
    server = make_server(ports=frozenset({1, 17}))
    client = make_client()
    client.connect(0.0)
    for link, port in ((server, 18), (client, 17)):
        link.receive(write_wpdu(WrapperPdu(16, port, b"get")), 0.0)
        assert not any(isinstance(event, ApduReceived) for event in events_of(link))
        assert link.counts.frames_ignored == 1
        assert link.is_up


@pytest.mark.finding("dlms D11")
def test_two_clients_in_one_read_get_each_its_own_answer():
    server = make_server(ports=frozenset({17}))
    server.receive(write_wpdu(WrapperPdu(32, 17, b"one")) + write_wpdu(WrapperPdu(33, 1, b"two")), 0.0)
    for asked in [event for event in events_of(server) if isinstance(event, ApduReceived)]:
        server.send(b"to " + asked.octets, 0.0, answers=asked)
    assert server.octets_to_send() == write_wpdu(WrapperPdu(17, 32, b"to one")) + write_wpdu(
        WrapperPdu(1, 33, b"to two")
    )


@pytest.mark.finding("dlms D12")
def test_a_server_takes_nothing_that_is_sent_to_another_logical_device():
    server = make_server()
    server.receive(write_wpdu(WrapperPdu(16, 99, b"get")), 0.0)
    assert [event for event in events_of(server) if isinstance(event, ApduReceived)] == []
    assert (server.counts.frames_ignored, server.is_up) == (1, True)
    listener = make_server(is_listener=True)
    listener.receive(write_wpdu(WrapperPdu(16, 99, b"push")), 0.0)
    assert ApduReceived(b"push", 16, 99) in events_of(listener)


@pytest.mark.finding("dlms D16")
def test_a_broken_stream_is_over_and_what_follows_is_ignored_until_there_is_a_new_connection(pair):
    _, server = pair
    good = write_wpdu(WrapperPdu(16, 1, b"get"))
    server.receive(b"GET / HTTP/1.1\r\n", 0.0)
    assert server.is_over
    events_of(server)
    server.receive(good, 1.0)
    assert (events_of(server), server.is_up) == ([], False)
    server.connect(2.0)
    assert not server.is_over
    server.receive(good, 2.0)
    assert ApduReceived(b"get", 16, 1) in events_of(server)


def test_a_wrong_header_ends_the_link(pair):
    _, server = pair
    server.receive(write_wpdu(WrapperPdu(16, 1, b"get")) + b"GET / HTTP/1.1\r\n", 0.0)
    received, damaged, down = events_of(server)
    assert received == ApduReceived(b"get", 16, 1)
    assert isinstance(damaged, FrameDamaged)
    assert damaged.octets == b"GET / HT"
    assert isinstance(down, LinkDown)
    assert down.by_peer
    assert (down.failure.kind, down.by_peer) == (FailureKind.WRONG_FRAMING, True)
    assert "version 4745" in down.failure.detail
    assert not server.is_up
    assert server.deadline() is None


def test_a_peer_that_falls_silent_within_a_pdu_is_half_open(pair):
    client, _ = pair
    client.receive(write_wpdu(WrapperPdu(1, 16, b"response"))[:-1], 10.0)
    assert client.deadline() == 10.0 + PARTIAL_TIMEOUT_S
    client.advance(10.0 + PARTIAL_TIMEOUT_S - 1)
    assert events_of(client) == []
    client.advance(10.0 + PARTIAL_TIMEOUT_S)
    assert events_of(client) == [down(FailureKind.TIMEOUT, "the peer stopped after 15 octets of a PDU", by_peer=True)]


def test_a_server_gives_up_an_idle_client_even_if_it_drips_octets(pair):
    _, server = pair
    octets = write_wpdu(WrapperPdu(16, 1, bytes(500)))
    now = 0.0
    for octet in octets:
        server.receive(bytes([octet]), now)
        now += PARTIAL_TIMEOUT_S - 1
        server.advance(now)
        if not server.is_up:
            break
    assert INACTIVITY_TIMEOUT_S <= now < INACTIVITY_TIMEOUT_S + PARTIAL_TIMEOUT_S
    assert events_of(server) == [down(FailureKind.TIMEOUT, "no APDU for 180 s", by_peer=False)]


def test_a_client_is_never_idle_by_itself(pair):
    client, _ = pair
    assert client.deadline() is None


def test_disconnect_and_a_lost_medium_are_said_once(pair):
    client, server = pair
    client.disconnect(1.0)
    client.disconnect(1.0)
    assert events_of(client) == [down(FailureKind.CANCELLED, "disconnected", by_peer=False)]
    server.send(b"late", 1.0)
    server.medium_lost(1.0)
    assert events_of(server) == [down(FailureKind.LINK_LOST, "the connection was closed", by_peer=True)]
    assert server.octets_to_send() == b""


def test_a_link_connects_again_with_a_clean_stream(pair):
    client, _ = pair
    client.receive(b"\x00\x01\x00", 0.0)
    client.medium_lost(0.0)
    client.receive(write_wpdu(WrapperPdu(1, 16, b"stray")), 0.0)
    client.connect(1.0)
    client.receive(write_wpdu(WrapperPdu(1, 16, b"response")), 1.0)
    assert events_of(client)[1:] == [LinkUp(1, 16), ApduReceived(b"response", 1, 16)]


def test_misuse_is_a_local_fault(pair):
    client, _ = pair
    with pytest.raises(LinkNotUpError):
        make_client().send(b"get", 0.0)
    with pytest.raises(ValueError, match="can be sent"):
        client.send(bytes(0x10000), 0.0)
    with pytest.raises(ValueError, match="can be sent"):
        client.send(b"", 0.0)
    for _ in range(SEND_QUEUE_OCTETS_MAX // 60_008):
        client.send(bytes(60_000), 0.0)
    with pytest.raises(ValueError, match="wait to be sent"):
        client.send(bytes(60_000), 0.0)


@pytest.mark.parametrize("bad", [{"source": -1}, {"apdu_size_max": 0}, {"ports": frozenset({0x10000})}])
def test_a_configuration_that_cannot_be_written_cannot_be_made(bad):
    with pytest.raises(ValueError, match=r"wPort|APDU"):
        WrapperConfig(**({"source": 1, "destination": 1} | bad))


def test_a_damaged_datagram_is_one_damaged_datagram():
    server = make_server(is_datagram=True)
    server.receive(b"\x00\x01\x00\x10", 0.0)
    server.receive(write_wpdu(WrapperPdu(16, 1, b"get")), 0.0)
    up, damaged, received = events_of(server)
    assert isinstance(up, LinkUp)
    assert isinstance(damaged, FrameDamaged)
    assert received == ApduReceived(b"get", 16, 1)


def test_each_datagram_leaves_by_itself():
    client = make_client(is_datagram=True)
    client.connect(0.0)
    client.send(b"one", 0.0)
    client.send(b"two", 0.0)
    sent = [client.octets_to_send() for _ in range(3)]
    assert sent == [write_wpdu(WrapperPdu(16, 1, b"one")), write_wpdu(WrapperPdu(16, 1, b"two")), b""]
    assert client.counts.octets_sent == 22


@given(st.binary(max_size=120), st.booleans(), st.integers(1, 40))
def test_any_octets_end_in_events(octets, is_datagram, cut):
    server = make_server(is_datagram=is_datagram, apdu_size_max=50)
    for at in range(0, len(octets), cut):
        server.receive(octets[at : at + cut], 0.0)
    for event in events_of(server):
        assert isinstance(event, LinkUp | LinkDown | ApduReceived | FrameDamaged)
