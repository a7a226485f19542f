"""The table of transports: every row reads a meter over an in-memory wire, and is traced, documented and found."""

from pathlib import Path

import pytest

from meterspan.engine.association.records import GetDone
from meterspan.engine.frame_trace import Direction, FrameTracer
from meterspan.engine.link import Link, Role
from meterspan.engine.links import (
    NETWORK_TRANSPORTS,
    TRANSPORTS,
    DeviceProtocol,
    LinkAddresses,
    transport_of,
)
from meterspan.model.cosem.classes import Register
from tests.helpers_cosem import EXPORT, GMAC, LLS, NO_SECURITY, ask, associated, get_of

ROWS = pytest.mark.parametrize("transport", TRANSPORTS.values(), ids=TRANSPORTS)


@ROWS
@pytest.mark.parametrize("way", [LLS, GMAC], ids=["password", "GMAC"])
def test_every_transport_reads_an_attribute_of_a_meter(transport, way):
    pair, client, *_ = associated(transport.scheme, way)
    answer = ask(pair, client, get_of(Register.class_id, EXPORT, 2))
    assert isinstance(answer, GetDone)
    assert answer.results[0].integer == 789


@ROWS
def test_the_cutter_of_every_transport_finds_the_apdus_that_passed(transport):
    pair, client, *_ = associated(transport.scheme, LLS)
    ask(pair, client, get_of(Register.class_id, EXPORT, 2))
    tracer = FrameTracer(transport.cutter)
    says = [
        frame.says
        for mark, octets in pair.log
        for frame in tracer.feed(Direction.SENT if mark == ">" else Direction.RECEIVED, octets, 0.0)
    ]
    told = [words.partition(",")[0].partition(" ")[0] for words in says if words]
    assert told[:4] == ["AARQ", "AARE", "get-request-normal", "get-response-normal"]


@ROWS
def test_the_roles_of_a_transport_are_the_two_ends_of_one_link(transport):
    client, server = transport.client(LinkAddresses(2)), transport.server(LinkAddresses(2))
    assert (client.role, server.role) == (Role.CLIENT, Role.SERVER)
    link: Link = client
    assert not link.is_up


@ROWS
def test_a_server_gives_up_a_silent_client_when_it_is_told_to(transport):
    patient = transport.server(LinkAddresses(), inactivity_timeout_s=7.0)
    for octets in (octets for mark, octets in associated(transport.scheme, NO_SECURITY)[0].log if mark == ">"):
        patient.receive(octets, 100.0)
    assert patient.is_up
    patient.advance(106.9)
    assert patient.is_up
    patient.advance(107.0)
    assert not patient.is_up


def test_every_protocol_with_sessions_has_one_transport_over_the_network():
    reached = {transport.protocol for transport in TRANSPORTS.values()}
    for protocol in DeviceProtocol:
        transport = transport_of(protocol)
        assert (transport is not None) == (protocol in reached)
        assert transport is None or (transport.protocol is protocol and transport.port)
    assert len({row.protocol for row in NETWORK_TRANSPORTS.values()}) == len(NETWORK_TRANSPORTS)


@ROWS
def test_every_transport_stands_in_the_documentation_as_the_table_has_it(transport):
    page = Path(__file__).parents[2] / "docs" / "links.md"
    medium = transport.medium if not transport.port else f"{transport.medium}, port {transport.port}"
    row = f"| `{transport.scheme}` | {transport.text} | {medium} | {transport.protocol} | `{transport.example}` |"
    assert row in page.read_text("utf-8").splitlines()
