"""Interface G1: where nobody answers the session fails after the time to connect, and the planner tries again."""

from itertools import pairwise

import pytest

from meterspan.engine.hdlc.link import HdlcLink
from meterspan.engine.links import DeviceProtocol, LinkAddresses, transport_of
from meterspan.engine.wrapper_link import WrapperLink
from meterspan.head_end.inventory import ChannelPlan, Device, KeyCustody
from meterspan.head_end.system import HeadEnd
from meterspan.model.cosem.device import MANAGEMENT_CLIENT
from meterspan.model.failures import FailureKind
from meterspan.quantities import Commodity, Obis
from meterspan.sim.building import Interfaces
from meterspan.sim.channel import MediumEffects
from meterspan.sim.clock import VirtualClock
from meterspan.sim.g1 import CONNECT_TIMEOUT_S, G1, server_link

START = 1_792_800_000.0
IMPORT = Obis(1, 0, 1, 8, 0)
PROFILE = Obis(1, 0, 99, 1, 0)


class NoSink:
    """No reading comes here."""


class Maker:
    """Notes what failed, and tells the planner as the head end does."""

    def __init__(self, head_end):
        self.head_end = head_end
        self.failed = []

    def open(self, job, now):
        raise AssertionError("no session can be opened: nobody is there")

    def fail(self, job, failure, now):
        self.failed.append((job.target, failure.kind, now))
        self.head_end.planner.finished(job, ok=False, now=now)


@pytest.fixture
def world():
    clock = VirtualClock(START)
    head_end = HeadEnd(NoSink(), KeyCustody(bytes(16)))
    channels = (ChannelPlan(IMPORT, 900, PROFILE),)
    head_end.add_device(
        Device(
            "M1",
            Commodity.ELECTRICITY,
            DeviceProtocol.DLMS_WRAPPER,
            "10.0.0.1:4059",
            "cell",
            channels=channels,
            installed_at=int(START) - 7_200,
        ),
        START,
    )
    return clock, head_end, Maker(head_end)


@pytest.mark.parametrize("is_outage", [True, False])
def test_a_meter_that_is_away_fails_after_the_time_to_connect_and_is_tried_again_ever_more_rarely(world, is_outage):
    clock, head_end, maker = world
    medium = MediumEffects(outages=((START, START + 1e6),)) if is_outage else MediumEffects()
    server_of = (lambda _target: object()) if is_outage else (lambda _target: None)
    g1 = G1(
        clock,
        head_end,
        maker,
        server_of=server_of,
        medium_of=lambda _target, _at: medium,
        interfaces=Interfaces(),
        seed=1,
    )
    g1.attend()
    clock.run_until(START + 7_200)
    assert {(target, kind) for target, kind, _ in maker.failed} == {("M1", FailureKind.UNREACHABLE)}
    times = [at for _, _, at in maker.failed]
    waits = [later - sooner - CONNECT_TIMEOUT_S for sooner, later in pairwise(times)]
    assert len(waits) > 3
    assert waits == sorted(waits)
    assert waits[-1] > 4 * waits[0] > 0


@pytest.mark.parametrize(
    ("protocol", "kind"), [(DeviceProtocol.DLMS_WRAPPER, WrapperLink), (DeviceProtocol.DLMS_HDLC, HdlcLink)]
)
def test_the_meter_end_of_a_connection_answers_the_head_end_of_the_same_protocol(protocol, kind):
    transport = transport_of(protocol)
    far, near = server_link(protocol), transport.client(LinkAddresses(MANAGEMENT_CLIENT, 1))
    assert type(far) is type(near) is kind
    near.connect(START)
    far.connect(START)
    for _ in range(4):
        far.receive(near.octets_to_send(), START)
        near.receive(far.octets_to_send(), START)
    near.send(b"\x60\x01\x02", START)
    far.receive(near.octets_to_send(), START)
    events = []
    while (event := far.next_event()) is not None:
        events.append(event)
    assert any(getattr(event, "octets", None) == b"\x60\x01\x02" for event in events)


@pytest.mark.parametrize("protocol", [DeviceProtocol.WMBUS, DeviceProtocol.P1])
def test_a_protocol_without_sessions_has_no_end_at_a_meter(protocol):
    with pytest.raises(ValueError, match="is no protocol of G1"):
        server_link(protocol)
