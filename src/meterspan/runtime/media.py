"""Connections for the shells: TCP, UDP or a serial line, opened or listened at; errors are in words.

The last part of an endpoint's scheme names its medium: ``tcp`` of ``hdlc+tcp``. A medium is an entry of ``_CONNECT``,
and of ``_LISTEN`` where a device on this machine can be reached over it.
"""

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, Protocol, TypeVar, cast, runtime_checkable

from meterspan.model.reasons import reason_of
from meterspan.runtime.defects import note_defect
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.limits import ANSWERED_SHARE, UNPROVED_OCTETS_MAX, Allowance

__all__ = ["CannotConnectError", "OpenPort", "Provable", "connect_stream", "listen_stream"]

CONNECT_TIMEOUT_S: Final = 10.0
"""A modem on a cellular network accepts a connection within seconds; a filtered port never does."""
UDP_PEERS_MAX: Final = 8
"""Peers of one port at a time. Nothing in UDP says that a peer has gone, and any datagram can claim any sender."""
UDP_ADMISSION_OCTETS: Final = 1_024
"""What a new peer of a port counts for beside its octets: a machine is made for it."""
UDP_UNPROVED_OCTETS_A_SECOND: Final = 4_096
"""Octets that peers of one address may send in a second while they have proved nothing; eight seconds' at once."""
UDP_UNPROVED_TOTAL_A_SECOND: Final = 4 * UDP_UNPROVED_OCTETS_A_SECOND
"""Octets of all of them together: what is sent beyond it is lost, as the medium allows, and sent again."""
UDP_ADDRESSES_KEPT: Final = 256
"""Addresses whose octets are counted; of more, the one not heard for longest is forgotten, and the total holds."""
_BAUD: Final = 9_600
_FORMATS: Final = {"8N1": (8, "N", 1), "7E1": (7, "E", 1), "8E1": (8, "E", 1)}

_Address = tuple[str | Any, int]
ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)


class CannotConnectError(Exception):
    """There is no connection; the words say what to look at."""


@runtime_checkable
class Provable(Protocol):
    """A protocol whose peer may prove that it holds a key."""

    @property
    def is_proved(self) -> bool:
        """Whether its peer has proved it."""
        ...


class OpenPort(Protocol):
    """A port that is open."""

    @property
    def port(self) -> int:
        """Its number."""
        ...

    def close(self) -> None:
        """Accept no more connections; those that are open stay."""
        ...


async def connect_stream(
    endpoint: Endpoint, make: Callable[[], ProtocolT], *, timeout_s: float = CONNECT_TIMEOUT_S
) -> ProtocolT:
    """Connect a protocol to an endpoint.

    A serial line takes the options ``baud`` (9600) and ``format`` (8N1, 7E1 or 8E1).

    Raises:
        CannotConnectError: the port is closed, the name is unknown, the line is in use, …

    """
    protocol = make()
    try:
        async with asyncio.timeout(timeout_s):
            await _CONNECT[endpoint.medium](endpoint, protocol)
            return protocol
    except TimeoutError as error:
        raise CannotConnectError(f"{endpoint} does not answer within {timeout_s:g} s") from error
    except ConnectionRefusedError as error:
        raise CannotConnectError(f"no program listens at {endpoint}") from error
    except socket.gaierror as error:
        raise CannotConnectError(f"the name {endpoint.host!r} is not known") from error
    except OSError as error:
        raise CannotConnectError(f"{endpoint}: {reason_of(error)}") from error


async def listen_stream(medium: str, host: str, port: int, make: Callable[[], asyncio.Protocol]) -> OpenPort:
    """Make a protocol for everybody who connects.

    Args:
        medium: the last part of a scheme.
        host: address to listen at.
        port: 0 takes a free one.
        make: makes the protocol of a new connection.

    Raises:
        CannotConnectError: this medium cannot be listened at.
        OSError: the port is taken, or is no port of this machine.

    """
    listen = _LISTEN.get(medium)
    if listen is None:
        raise CannotConnectError(f"a simulated device cannot be reached over {medium}")
    return await listen(host, port, partial(_made, make))


def _made(make: Callable[[], asyncio.Protocol]) -> asyncio.Protocol:
    """Return the protocol of a new connection; where it cannot be made, one that ends this connection alone."""
    try:
        return make()
    except Exception as error:  # noqa: BLE001 - a port must not close for one connection; logged with its trace
        note_defect("a defect refused a connection", error)
        return _Refusing()


class _Refusing(asyncio.Protocol):
    """Ends its connection at once."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()


async def _connect_tcp(endpoint: Endpoint, protocol: asyncio.Protocol) -> None:
    await asyncio.get_running_loop().create_connection(lambda: protocol, endpoint.host, endpoint.port)


async def _connect_serial(endpoint: Endpoint, protocol: asyncio.Protocol) -> None:
    from serial_asyncio_fast import create_serial_connection  # noqa: PLC0415 - only serial lines need it

    size, parity, stop = _FORMATS.get(endpoint.options.get("format", "8N1").upper(), _FORMATS["8N1"])
    await create_serial_connection(
        asyncio.get_running_loop(),
        lambda: protocol,
        endpoint.path,
        baudrate=endpoint.number("baud", _BAUD),
        bytesize=size,
        parity=parity,
        stopbits=stop,
    )


class _TcpListener:
    def __init__(self, server: asyncio.Server) -> None:
        self._server = server

    @property
    def port(self) -> int:
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    def close(self) -> None:
        self._server.close()


async def _listen_tcp(host: str, port: int, make: Callable[[], asyncio.Protocol]) -> OpenPort:
    return _TcpListener(await asyncio.get_running_loop().create_server(make, host, port))


class _DatagramTransport(asyncio.Transport):
    """A transport for stream protocols where each write is one datagram to its peer.

    Args:
        protocol: serves the peer.
        peer: host and port.
        send: sends one datagram.
        on_closed: called when nothing more is to be sent.

    """

    def __init__(
        self,
        protocol: asyncio.Protocol,
        peer: _Address,
        send: Callable[[bytes], None],
        on_closed: Callable[[], None],
    ) -> None:
        super().__init__({"peername": peer, "is_datagram": True})
        self._protocol = protocol
        self._send = send
        self._on_closed = on_closed
        self._is_closing = False
        self._is_lost = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._is_closing:
            self._send(bytes(data))

    @property
    def is_proved(self) -> bool:
        """Whether the peer has proved to hold a key."""
        return isinstance(self._protocol, Provable) and self._protocol.is_proved

    def receive(self, octets: bytes) -> None:
        """Hand one datagram of the peer to the protocol."""
        if not self._is_closing:
            self._protocol.data_received(octets)

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self._is_closing

    def pause_reading(self) -> None:
        """Do nothing: octets that arrive while reading is paused are lost, as the medium allows."""

    def resume_reading(self) -> None:
        """Do nothing, as nothing was held back."""

    def close(self) -> None:
        self._is_closing = True
        asyncio.get_running_loop().call_soon(self.abort)

    def abort(self) -> None:
        self._is_closing = True
        if not self._is_lost:
            self._is_lost = True
            self._on_closed()
            self._protocol.connection_lost(None)


class _UdpClient(asyncio.DatagramProtocol):
    """A socket that is connected to one peer."""

    def __init__(self, endpoint: Endpoint, protocol: asyncio.Protocol) -> None:
        self._endpoint = endpoint
        self._protocol = protocol
        self._line: _DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        peer, socket_ = (self._endpoint.host, self._endpoint.port), cast("asyncio.DatagramTransport", transport)
        self._line = _DatagramTransport(self._protocol, peer, socket_.sendto, socket_.close)
        self._protocol.connection_made(self._line)

    def datagram_received(self, data: bytes, addr: _Address) -> None:  # noqa: ARG002 - the socket takes one peer's only
        if self._line is not None:
            self._line.receive(data)

    def error_received(self, exc: Exception) -> None:  # noqa: ARG002 - the peer's port is closed: the line ends
        if self._line is not None:
            self._line.abort()


class _UdpListener(asyncio.DatagramProtocol):
    """A port that serves each peer by its address.

    What peers send that have proved nothing is bounded in each second, by address and in all. Of too many peers, the
    one without a proof that is silent for longest is dropped; those that have proved to hold a key stay.
    """

    def __init__(self, make: Callable[[], asyncio.Protocol]) -> None:
        self._make = make
        self._transport: asyncio.DatagramTransport | None = None
        self._peers: OrderedDict[_Address, _DatagramTransport] = OrderedDict()
        self._allowances: OrderedDict[str, Allowance] = OrderedDict()
        self._total = _allowance(UDP_UNPROVED_TOTAL_A_SECOND)

    @property
    def port(self) -> int:
        bound: int = 0 if self._transport is None else self._transport.get_extra_info("sockname")[1]
        return bound

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: _Address) -> None:
        peer = self._peers.get(addr)
        cost = len(data) + (UDP_ADMISSION_OCTETS if peer is None else 0)
        if (peer is None or not peer.is_proved) and not self._may_cost(str(addr[0]), cost):
            return
        peer = peer or self._admit(addr)
        if peer is None:
            return
        if addr in self._peers:
            self._peers.move_to_end(addr)
        peer.receive(data)

    def close(self) -> None:
        for peer in list(self._peers.values()):
            peer.abort()
        if self._transport is not None:
            self._transport.close()

    def _may_cost(self, host: str, octets: int) -> bool:
        """Count octets that prove nothing; return False, and count nothing, where they are too many."""
        own = self._allowances.get(host) or _allowance(UDP_UNPROVED_OCTETS_A_SECOND)
        self._allowances[host] = own
        self._allowances.move_to_end(host)
        if len(self._allowances) > UDP_ADDRESSES_KEPT:
            self._allowances.popitem(last=False)
        if not (own.has(octets) and self._total.has(octets)):
            return False
        own.spend(octets)
        self._total.spend(octets)
        return True

    def _admit(self, address: _Address) -> _DatagramTransport | None:
        """Return the transport of a new peer; None where all places are held by peers that have proved themselves."""
        if len(self._peers) >= UDP_PEERS_MAX:
            victim = next((peer for peer in self._peers.values() if not peer.is_proved), None)
            if victim is None:
                return None
            victim.abort()
        protocol = self._make()
        peer = _DatagramTransport(protocol, address, partial(self._send, address), partial(self._forget, address))
        self._peers[address] = peer
        protocol.connection_made(peer)
        return peer

    def _forget(self, address: _Address) -> None:
        self._peers.pop(address, None)

    def _send(self, address: _Address, octets: bytes) -> None:
        peer, own = self._peers.get(address), self._allowances.get(str(address[0]))
        if own is not None and (peer is None or not peer.is_proved):
            own.spend(len(octets) // ANSWERED_SHARE)
            self._total.spend(len(octets) // ANSWERED_SHARE)
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(octets, address)


def _allowance(per_s: int) -> Allowance:
    burst = per_s * UNPROVED_OCTETS_MAX // UDP_UNPROVED_OCTETS_A_SECOND
    return Allowance(per_s, burst, asyncio.get_running_loop().time)


async def _connect_udp(endpoint: Endpoint, protocol: asyncio.Protocol) -> None:
    await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: _UdpClient(endpoint, protocol), remote_addr=(endpoint.host, endpoint.port)
    )


async def _listen_udp(host: str, port: int, make: Callable[[], asyncio.Protocol]) -> OpenPort:
    listener = _UdpListener(make)
    await asyncio.get_running_loop().create_datagram_endpoint(lambda: listener, local_addr=(host, port))
    return listener


_Connect = Callable[[Endpoint, asyncio.Protocol], Awaitable[None]]
_Listen = Callable[[str, int, Callable[[], asyncio.Protocol]], Awaitable[OpenPort]]
_CONNECT: Final[Mapping[str, _Connect]] = {"tcp": _connect_tcp, "serial": _connect_serial, "udp": _connect_udp}
_LISTEN: Final[Mapping[str, _Listen]] = {"tcp": _listen_tcp, "udp": _listen_udp}
