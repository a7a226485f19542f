"""The table of transports: every row reads a meter over an in-memory wire, and is traced, documented and found."""

from pathlib import Path

import pytest

from meterspan.engine.association.records import GetDone
from meterspan.engine.frame_trace import FrameDirection, FrameTracer
from meterspan.engine.link import Link, Role
from meterspan.engine.links import (
    NETWORK_TRANSPORTS,
    TRANSPORTS,
    DeviceProtocol,
    LinkAddresses,
    transport_of,
)
from meterspan.engine.mbus_link import LineSettings, MbusSlave
from meterspan.engine.mbus_readout import MbusReadout, SlaveAddress
from meterspan.model.cosem.classes import Register
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.application import read_application
from meterspan.wire.mbus.link import read_link_frame
from meterspan.wire.mbus.records import build_header, build_record
from tests.helpers_cosem import EXPORT, GMAC, LLS, NO_SECURITY, ask, associated, get_of
from tests.helpers_wire import Pair

ROWS = pytest.mark.parametrize("transport", TRANSPORTS.values(), ids=TRANSPORTS)
ASSOCIATED = {scheme: row for scheme, row in TRANSPORTS.items() if row.link is not None}
LINKS = pytest.mark.parametrize("transport", ASSOCIATED.values(), ids=ASSOCIATED)
BUSES = {scheme: row for scheme, row in TRANSPORTS.items() if row.link is None}


@LINKS
@pytest.mark.parametrize("way", [LLS, GMAC], ids=["password", "GMAC"])
def test_every_transport_reads_an_attribute_of_a_meter(transport, way):
    pair, client, *_ = associated(transport.scheme, way)
    answer = ask(pair, client, get_of(Register.class_id, EXPORT, 2))
    assert isinstance(answer, GetDone)
    assert answer.results[0].integer == 789


@LINKS
def test_the_cutter_of_every_transport_finds_the_apdus_that_passed(transport):
    pair, client, *_ = associated(transport.scheme, LLS)
    ask(pair, client, get_of(Register.class_id, EXPORT, 2))
    tracer = FrameTracer(transport.cutter)
    says = [
        frame.says
        for mark, octets in pair.log
        for frame in tracer.feed(FrameDirection.SENT if mark == ">" else FrameDirection.RECEIVED, octets, 0.0)
    ]
    told = [words.partition(",")[0].partition(" ")[0] for words in says if words]
    assert told[:4] == ["AARQ", "AARE", "get-request-normal", "get-response-normal"]


@LINKS
def test_the_roles_of_a_transport_are_the_two_ends_of_one_link(transport):
    client, server = transport.client(LinkAddresses(2)), transport.server(LinkAddresses(2))
    assert (client.role, server.role) == (Role.CLIENT, Role.SERVER)
    link: Link = client
    assert not link.is_up


@LINKS
def test_a_server_gives_up_a_silent_client_when_it_is_told_to(transport):
    patient = transport.server(LinkAddresses(), inactivity_timeout_s=7.0)
    for octets in (octets for mark, octets in associated(transport.scheme, NO_SECURITY)[0].log if mark == ">"):
        patient.receive(octets, 100.0)
    assert patient.is_up
    patient.advance(106.9)
    assert patient.is_up
    patient.advance(107.0)
    assert not patient.is_up


@pytest.mark.parametrize("transport", BUSES.values(), ids=BUSES)
def test_every_bus_reads_its_slave_and_is_traced_frame_by_frame(transport):
    records = [build_record(build_header(0x04, b"\x13"), 123)]
    slave = MbusSlave(5, DeviceAddress.of("MSP", "12345678", 1, 4), lambda: records)
    readout = MbusReadout(SlaveAddress(5), LineSettings(latency_s=transport.octet_timeout_s))
    pair = Pair(readout, slave)
    readout.start(pair.now)
    pair.run(pair.now + 10)
    (done,) = pair.left_events
    (telegram,) = [read_application(read_link_frame(frame).payload) for frame in done.frames]
    assert telegram.records.records[0].value == 123_000
    cutter = transport.cutter()
    cut = [frame for _, octets in pair.log for frame in cutter.feed(octets)]
    assert b"".join(frame.octets for frame in cut) == b"".join(octets for _, octets in pair.log)
    assert [frame.link.partition(" ")[0] for frame in cut] == ["short", "E5", "short", "long"]
    with pytest.raises(ValueError, match="no association"):
        transport.client(LinkAddresses())


def test_every_protocol_with_sessions_has_one_transport_over_the_network():
    reached = {transport.protocol for transport in ASSOCIATED.values()}
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
