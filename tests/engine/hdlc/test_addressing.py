"""Which frames on a line are for this side."""

from dataclasses import replace

import pytest

from meterspan.engine.hdlc.addressing import is_of_another_link, is_ours
from meterspan.engine.hdlc.config import AddressMatching, HdlcConfig
from meterspan.engine.link import Role
from meterspan.wire.hdlc import FrameKind, HdlcAddress, HdlcFrame, control_octet

CLIENT, OTHER_CLIENT = HdlcAddress(16), HdlcAddress(2)
METER = HdlcAddress(1, 17, 2)
BROADCAST = HdlcAddress(0x7F)
AT_CLIENT = HdlcConfig(CLIENT, METER)
AT_METER = HdlcConfig(METER, CLIENT, logical_devices=frozenset({3}))
POLL = control_octet(FrameKind.RECEIVE_READY, poll_final=True, receive_number=0)
SNRM = control_octet(FrameKind.SET_NORMAL_RESPONSE_MODE, poll_final=True)
PUSH = control_octet(FrameKind.UNNUMBERED_INFORMATION)


def frame(destination: HdlcAddress, source: HdlcAddress, control: int = POLL) -> HdlcFrame:
    return HdlcFrame(destination, source, control)


@pytest.mark.parametrize(
    ("source", "strict", "tolerant"),
    [
        (METER, True, True),
        (HdlcAddress(1), False, True),  # without its physical address
        (HdlcAddress(2, 17, 2), False, True),  # another logical device of the same meter
        (HdlcAddress(17, 1, 2), False, True),  # both halves exchanged
        (HdlcAddress(1, 18, 2), False, False),
    ],
)
def test_a_client_hears_its_meter_as_tolerantly_as_configured(source, strict, tolerant):
    for matching, expected in (
        (AddressMatching.STRICT, strict),
        (AddressMatching.TOLERANT, tolerant),
        (AddressMatching.ANY, True),
    ):
        config = replace(AT_CLIENT, matching=matching)
        assert is_ours(frame(CLIENT, source), Role.CLIENT, config) is expected


def test_frames_for_another_client_are_not_ours():
    assert not is_ours(frame(OTHER_CLIENT, METER), Role.CLIENT, AT_CLIENT)


@pytest.mark.parametrize(
    ("destination", "expected"),
    [(METER, True), (HdlcAddress(3, 17, 2), True), (HdlcAddress(4, 17, 2), False), (HdlcAddress(1, 18, 2), False)],
)
def test_a_meter_hears_its_logical_devices(destination, expected):
    assert is_ours(frame(destination, CLIENT), Role.SERVER, AT_METER) is expected


def test_a_broadcast_is_heard_only_where_nobody_must_answer():
    assert is_ours(frame(BROADCAST, CLIENT, PUSH), Role.SERVER, AT_METER)
    assert not is_ours(frame(BROADCAST, CLIENT, SNRM), Role.SERVER, AT_METER)


def test_a_second_client_and_a_second_logical_device_are_of_another_link_but_snrm_may_move_a_client():
    link = {"own": METER, "peer": CLIENT}
    third = HdlcAddress(3, 17, 2)
    assert not is_of_another_link(frame(METER, CLIENT), **link)
    assert is_of_another_link(frame(METER, OTHER_CLIENT), **link)
    assert is_of_another_link(frame(third, CLIENT), **link)
    assert not is_of_another_link(frame(third, CLIENT, SNRM), **link)
    assert is_of_another_link(frame(METER, OTHER_CLIENT, SNRM), **link)
