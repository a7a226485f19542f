"""The transports that devices are read over, as one table.

A transport is a row of ``TRANSPORTS``: the scheme that users write, the protocol that the inventory keeps, the link of
either role, the cutter of its octets into frames for a trace, the port. The last part of the scheme names the medium;
``runtime.media`` opens it. A new transport is a row here, its link machine where that is new, and a test.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from meterspan.engine.association.agreement import APDU_MAX
from meterspan.engine.frame_trace import CutFrame, FrameCutter, HdlcCutter, MbusCutter, WrapperCutter
from meterspan.engine.hdlc.config import AddressMatching, HdlcConfig
from meterspan.engine.hdlc.link import HdlcLink
from meterspan.engine.link import Link, Role
from meterspan.engine.wrapper_link import INACTIVITY_TIMEOUT_S, WrapperConfig, WrapperLink
from meterspan.wire.hdlc import HdlcAddress

__all__ = [
    "DLMS_PORT",
    "DLMS_TRANSPORTS",
    "MBUS_PORT",
    "NETWORK_TRANSPORTS",
    "PUSH_ADDRESSES",
    "TRANSPORTS",
    "DeviceProtocol",
    "LinkAddresses",
    "LinkTiming",
    "Transport",
    "medium_of",
    "transport_of",
]

DLMS_PORT: Final = 4059
"""Registered for DLMS/COSEM (IANA: dlms, TCP and UDP)."""
MBUS_PORT: Final = 10_001
"""Where gateways listen as they are delivered; none is registered."""
TCP_OCTET_TIMEOUT_S: Final = 2.0
"""A converter on a cellular network may cut a frame in two packets."""
UDP_APDU_MAX: Final = 1_224
"""Carried by one packet of IPv6's least MTU of 1280 octets: a lost fragment would lose the whole datagram."""
DATAGRAM_APDU_MAX: Final = 65_499
"""The longest datagram, less the wrapper's header."""
SERIAL_OCTET_TIMEOUT_S: Final = 0.5
"""USB converters deliver octets in batches, so the standard's 25 ms between two of them cannot be kept."""


class DeviceProtocol(StrEnum):
    """How a device is read; the values are stored, so they are never renamed."""

    DLMS_WRAPPER = "dlms-wrapper"
    DLMS_HDLC = "dlms-hdlc"
    DLMS_WRAPPER_UDP = "dlms-wrapper-udp"
    WMBUS = "wmbus"
    MBUS = "mbus"
    P1 = "p1"


@dataclass(frozen=True, slots=True)
class LinkAddresses:
    """The addresses of both sides.

    Attributes:
        client: client SAP.
        server: logical device; 1 is the management logical device.
        physical: lower HDLC address of the meter; None leaves it out.
        devices: further logical devices of a server.
        are_any: the side takes what is addressed to anybody: it listens to whatever arrives on its line.

    """

    client: int = 16
    server: int = 1
    physical: int | None = None
    devices: frozenset[int] = frozenset()
    are_any: bool = False


PUSH_ADDRESSES: Final = LinkAddresses(client=1, server=1)
"""Addresses of pushes: from logical device 1 of the meter to client 1 of the head end (management, both)."""


@dataclass(frozen=True, slots=True)
class LinkTiming:
    """How long a link waits.

    Attributes:
        octet_timeout_s: how long a frame may stay incomplete, where the link has a time for it.
        inactivity_timeout_s: how long a server keeps a link on which nothing arrives.

    """

    octet_timeout_s: float = TCP_OCTET_TIMEOUT_S
    inactivity_timeout_s: float = INACTIVITY_TIMEOUT_S


LinkMaker = Callable[[Role, LinkAddresses, LinkTiming], Link]


def medium_of(scheme: str) -> str:
    """Return the medium of the octets, the last part of a scheme: ``tcp`` of ``hdlc+tcp``."""
    return scheme.rpartition("+")[2]


@dataclass(frozen=True, slots=True)
class Transport:
    """One way to a device.

    Attributes:
        scheme: as in ``hdlc+tcp://host:port``; its last part is the medium.
        protocol: the name in the inventory.
        text: a description for people.
        example: an endpoint as a user writes it.
        link: makes the link of either role under an association; None where there are no associations (M-Bus).
        cutter: makes the object that cuts one direction into frames.
        port: where none is written; 0 for a medium without ports.
        octet_timeout_s: how long a frame may stay incomplete on this medium.
        apdu_max: octets of the longest APDU that either side should announce.
        push_role: of the side that pushes. It opens a connection of its own; on an HDLC line a meter stays the
            secondary station, and sends UI frames, which need no link (IEC 62056-46).

    """

    scheme: str
    protocol: DeviceProtocol
    text: str
    example: str
    link: LinkMaker | None
    cutter: Callable[[], FrameCutter]
    port: int = DLMS_PORT
    octet_timeout_s: float = TCP_OCTET_TIMEOUT_S
    apdu_max: int = APDU_MAX
    push_role: Role = Role.CLIENT

    @property
    def medium(self) -> str:
        """The medium of the octets: ``tcp``, ``serial``, …."""
        return medium_of(self.scheme)

    def client(self, addresses: LinkAddresses) -> Link:
        """Make the link of the side that reads.

        Raises:
            ValueError: no association is held over this transport.

        """
        return self._make(Role.CLIENT, addresses, LinkTiming(self.octet_timeout_s))

    def server(self, addresses: LinkAddresses, *, inactivity_timeout_s: float = INACTIVITY_TIMEOUT_S) -> Link:
        """Make the link of the device; ``addresses.client`` is who is pushed to until somebody calls.

        Raises:
            ValueError: no association is held over this transport.

        """
        return self._make(Role.SERVER, addresses, LinkTiming(self.octet_timeout_s, inactivity_timeout_s))

    def push_sender(self) -> Link:
        """Make the link of the side that pushes.

        Raises:
            ValueError: nothing is pushed over this transport.

        """
        return self._make(self.push_role, PUSH_ADDRESSES, LinkTiming(self.octet_timeout_s))

    def push_listener(self) -> Link:
        """Make the link of the side that is pushed to; it takes what is addressed to anybody.

        Raises:
            ValueError: nothing is pushed over this transport.

        """
        role = Role.SERVER if self.push_role is Role.CLIENT else Role.CLIENT
        return self._make(role, replace(PUSH_ADDRESSES, are_any=True), LinkTiming(self.octet_timeout_s))

    def _make(self, role: Role, addresses: LinkAddresses, timing: LinkTiming) -> Link:
        if self.link is None:
            raise ValueError(f"no association is held over {self.scheme}")
        return self.link(role, addresses, timing)


def transport_of(protocol: DeviceProtocol) -> Transport | None:
    """Return the transport of the sessions with a device of the inventory; None where none are held."""
    return _BY_PROTOCOL.get(protocol)


def _wrapper(role: Role, addresses: LinkAddresses, timing: LinkTiming) -> Link:
    return WrapperLink(role, _wrapper_config(role, addresses, timing))


def _wrapper_udp(role: Role, addresses: LinkAddresses, timing: LinkTiming) -> Link:
    config = _wrapper_config(role, addresses, timing)
    return WrapperLink(role, replace(config, apdu_size_max=DATAGRAM_APDU_MAX, is_datagram=True))


def _wrapper_config(role: Role, addresses: LinkAddresses, timing: LinkTiming) -> WrapperConfig:
    if role is Role.CLIENT:
        return WrapperConfig(addresses.client, addresses.server, inactivity_timeout_s=timing.inactivity_timeout_s)
    return WrapperConfig(
        addresses.server,
        addresses.client,
        ports=addresses.devices,
        is_listener=addresses.are_any,
        inactivity_timeout_s=timing.inactivity_timeout_s,
    )


class _DatagramCutter:
    """Cuts wrapper PDUs out of datagrams: an incomplete PDU is not continued in the next datagram."""

    def feed(self, octets: bytes) -> list[CutFrame]:
        """Return the PDUs of one datagram."""
        return WrapperCutter().feed(octets)


def _hdlc(role: Role, addresses: LinkAddresses, timing: LinkTiming) -> Link:
    own, peer = HdlcAddress(addresses.client), HdlcAddress.server(addresses.server, addresses.physical)
    if role is Role.SERVER:
        own, peer = peer, own
    config = HdlcConfig(
        own,
        peer,
        logical_devices=addresses.devices if role is Role.SERVER else frozenset(),
        matching=AddressMatching.ANY if addresses.are_any else AddressMatching.TOLERANT,
        octet_timeout_s=timing.octet_timeout_s,
        inactivity_timeout_s=timing.inactivity_timeout_s,
    )
    return HdlcLink(role, config)


_ROWS: Final = (
    Transport(
        "tcp",
        DeviceProtocol.DLMS_WRAPPER,
        "DLMS/COSEM in the TCP wrapper (IEC 62056-47)",
        "tcp://192.168.1.50:4059",
        _wrapper,
        WrapperCutter,
    ),
    Transport(
        "hdlc+tcp",
        DeviceProtocol.DLMS_HDLC,
        "DLMS/COSEM over HDLC (IEC 62056-46), behind a serial converter",
        "hdlc+tcp://192.168.1.50:4001",
        _hdlc,
        HdlcCutter,
        push_role=Role.SERVER,
    ),
    Transport(
        "serial",
        DeviceProtocol.DLMS_HDLC,
        "DLMS/COSEM over HDLC (IEC 62056-46) on a serial line",
        "serial:///dev/ttyUSB0?baud=9600",
        _hdlc,
        HdlcCutter,
        port=0,
        octet_timeout_s=SERIAL_OCTET_TIMEOUT_S,
        push_role=Role.SERVER,
    ),
    Transport(
        "udp",
        DeviceProtocol.DLMS_WRAPPER_UDP,
        "DLMS/COSEM in the wrapper over UDP (IEC 62056-47)",
        "udp://192.168.1.50:4059",
        _wrapper_udp,
        _DatagramCutter,
        apdu_max=UDP_APDU_MAX,
    ),
    Transport(
        "mbus+tcp",
        DeviceProtocol.MBUS,
        "wired M-Bus (EN 13757-2 and -3) behind a gateway",
        "mbus+tcp://192.168.1.60:10001?address=5",
        None,
        MbusCutter,
        port=MBUS_PORT,
    ),
    Transport(
        "mbus+serial",
        DeviceProtocol.MBUS,
        "wired M-Bus (EN 13757-2 and -3) on a level converter",
        "mbus+serial:///dev/ttyUSB0?baud=2400&address=5",
        None,
        MbusCutter,
        port=0,
        octet_timeout_s=SERIAL_OCTET_TIMEOUT_S,
    ),
)
TRANSPORTS: Final[Mapping[str, Transport]] = MappingProxyType({row.scheme: row for row in _ROWS})
"""All transports, by scheme."""
DLMS_TRANSPORTS: Final[Mapping[str, Transport]] = MappingProxyType(
    {scheme: row for scheme, row in TRANSPORTS.items() if row.link is not None}
)
"""Those over which an association is held, by scheme."""
NETWORK_TRANSPORTS: Final[Mapping[str, Transport]] = MappingProxyType(
    {row.scheme: row for row in _ROWS if row.port and row.link is not None}
)
"""Those over which an association is held with a host and port, by scheme: each has a protocol of its own."""
_BY_PROTOCOL: Final = {row.protocol: row for row in NETWORK_TRANSPORTS.values()}
