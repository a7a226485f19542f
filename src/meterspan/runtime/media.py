"""Connections for the shells: TCP or a serial line, opened or listened at, with what goes wrong said in words.

The last part of an endpoint's scheme names its medium: ``tcp`` of ``hdlc+tcp``. A medium is an entry of ``_CONNECT``,
and of ``_LISTEN`` where a device on this machine can be reached over it.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, Protocol, TypeVar

from meterspan.runtime.endpoints import Endpoint

__all__ = ["CannotConnectError", "Listener", "connect_stream", "listen_stream"]

CONNECT_TIMEOUT_S: Final = 10.0
"""A modem on a cellular network accepts a connection within seconds; a filtered port never does."""
_BAUD: Final = 9_600
_FORMATS: Final = {"8N1": (8, "N", 1), "7E1": (7, "E", 1), "8E1": (8, "E", 1)}

ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)


class CannotConnectError(Exception):
    """There is no connection; the words say what to look at."""


class Listener(Protocol):
    """A port that is open."""

    @property
    def port(self) -> int:
        """Its number."""
        ...

    def close(self) -> None:
        """Take no more connections; those that are open stay."""
        ...


async def connect_stream(
    endpoint: Endpoint, make: Callable[[], ProtocolT], *, timeout_s: float = CONNECT_TIMEOUT_S
) -> ProtocolT:
    """Connect a protocol to an endpoint.

    A serial line takes the options ``baud`` (9600) and ``format`` (8N1, 7E1 or 8E1).

    Raises:
        CannotConnectError: nobody listens, the name is unknown, the line is in use, …

    """
    protocol = make()
    try:
        async with asyncio.timeout(timeout_s):
            await _CONNECT[endpoint.medium](endpoint, protocol)
            return protocol
    except TimeoutError as error:
        raise CannotConnectError(f"{endpoint} does not answer within {timeout_s:g} s: is it switched on?") from error
    except ConnectionRefusedError as error:
        raise CannotConnectError(f"nobody listens at {endpoint}: check the port, or start the meter") from error
    except socket.gaierror as error:
        raise CannotConnectError(f"the name {endpoint.host!r} is not known") from error
    except OSError as error:
        raise CannotConnectError(f"{endpoint}: {error.strerror or error}") from error


async def listen_stream(medium: str, host: str, port: int, make: Callable[[], asyncio.Protocol]) -> Listener:
    """Make a protocol for everybody who connects.

    Args:
        medium: the last part of a scheme.
        host: address to listen at.
        port: 0 takes a free one.
        make: makes the protocol of a new connection.

    Raises:
        CannotConnectError: nobody can be listened to over this medium.
        OSError: the port is taken, or is no port of this machine.

    """
    listen = _LISTEN.get(medium)
    if listen is None:
        raise CannotConnectError(f"a simulated device cannot be reached over {medium}")
    return await listen(host, port, make)


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


async def _listen_tcp(host: str, port: int, make: Callable[[], asyncio.Protocol]) -> Listener:
    return _TcpListener(await asyncio.get_running_loop().create_server(make, host, port))


_Connect = Callable[[Endpoint, asyncio.Protocol], Awaitable[None]]
_Listen = Callable[[str, int, Callable[[], asyncio.Protocol]], Awaitable[Listener]]
_CONNECT: Final[Mapping[str, _Connect]] = {"tcp": _connect_tcp, "serial": _connect_serial}
_LISTEN: Final[Mapping[str, _Listen]] = {"tcp": _listen_tcp}
