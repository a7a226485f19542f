"""The links that carry pushes: which link the sender connects with, and which one the head end listens with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from meterspan.engine.hdlc_link import HdlcConfig, HdlcLink
from meterspan.engine.link import Link, Role
from meterspan.engine.wrapper_link import WrapperConfig, WrapperLink
from meterspan.wire.hdlc import HdlcAddress

__all__ = ["PUSH_LINKS", "PUSH_PORT", "PushLinks"]

PUSH_PORT: Final = 1
"""wPort, or HDLC address, of the sender's logical device and of the head end's push service."""


@dataclass(frozen=True, slots=True)
class PushLinks:
    """Makers of both ends of one kind of link: ``client`` for the sender, ``server`` for the head end."""

    client: Callable[[], Link]
    server: Callable[[], Link]


def _wrapper_client() -> Link:
    return WrapperLink(Role.CLIENT, WrapperConfig(PUSH_PORT, PUSH_PORT, inactivity_timeout_s=None))


def _wrapper_server() -> Link:
    return WrapperLink(Role.SERVER, WrapperConfig(PUSH_PORT, PUSH_PORT))


def _hdlc_client() -> Link:
    return HdlcLink(Role.CLIENT, HdlcConfig(HdlcAddress(PUSH_PORT), HdlcAddress.server(PUSH_PORT)))


def _hdlc_server() -> Link:
    return HdlcLink(Role.SERVER, HdlcConfig(HdlcAddress.server(PUSH_PORT), HdlcAddress(PUSH_PORT)))


PUSH_LINKS: Mapping[str, PushLinks] = MappingProxyType(
    {
        "wrapper": PushLinks(_wrapper_client, _wrapper_server),
        "hdlc": PushLinks(_hdlc_client, _hdlc_server),
    }
)
"""By kind of link, as endpoints name them."""
