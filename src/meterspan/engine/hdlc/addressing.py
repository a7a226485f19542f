"""Which frames on a line are for this side (IEC 62056-46, 6.4.2), as strictly as the configuration asks."""

from meterspan.engine.hdlc.config import AddressMatching, HdlcConfig
from meterspan.engine.link import Role
from meterspan.wire.hdlc import FrameKind, HdlcAddress, HdlcFrame

__all__ = ["is_of_another_link", "is_ours"]


def is_ours(frame: HdlcFrame, role: Role, config: HdlcConfig) -> bool:
    """Return whether a frame is for this side.

    Args:
        frame: as received.
        role: of this side.
        config: addresses and matching of this side.

    """
    if config.matching is AddressMatching.ANY:
        return True
    if role is Role.CLIENT:
        is_for_us = frame.destination.upper == config.source.upper
        return is_for_us and _is_same_server(frame.source, config.destination, role, config.matching)
    if frame.destination.is_all_stations:  # a broadcast is not answered (6.4.2.3)
        return frame.kind is FrameKind.UNNUMBERED_INFORMATION
    return any(_is_same_server(frame.destination, own, role, config.matching) for own in _own_addresses(config))


def is_of_another_link(frame: HdlcFrame, *, own: HdlcAddress, peer: HdlcAddress) -> bool:
    """Return whether another client sent a frame, or it is for another logical device than the link in place.

    SNRM may move a client between logical devices.

    Args:
        frame: as received by a server whose link is up.
        own: the server address that the link in place was set up with.
        peer: the client of that link.

    """
    is_moved = frame.destination.upper != own.upper and frame.kind is not FrameKind.SET_NORMAL_RESPONSE_MODE
    return frame.source.upper != peer.upper or is_moved


def _own_addresses(config: HdlcConfig) -> list[HdlcAddress]:
    source = config.source
    return [source, *(HdlcAddress(upper, source.lower, source.size) for upper in config.logical_devices)]


def _is_same_server(found: HdlcAddress, expected: HdlcAddress, role: Role, matching: AddressMatching) -> bool:
    if (found.upper, found.lower) == (expected.upper, expected.lower):
        return True
    if matching is AddressMatching.STRICT:
        return False
    if found.lower is None or expected.lower is None:
        return found.upper == expected.upper
    if role is Role.SERVER:
        return False
    is_same_meter = found.lower == expected.lower
    return is_same_meter or (found.upper, found.lower) == (expected.lower, expected.upper)
