"""Connections for the shells: TCP or a serial line, with what goes wrong said in words."""

import asyncio
import socket
from collections.abc import Callable
from typing import Final, TypeVar

from meterspan.runtime.endpoints import Endpoint

__all__ = ["CannotConnectError", "connect_stream"]

CONNECT_TIMEOUT_S: Final = 10.0
"""A modem on a cellular network accepts a connection within seconds; a filtered port never does."""
_BAUD: Final = 9_600
_FORMATS: Final = {"8N1": (8, "N", 1), "7E1": (7, "E", 1), "8E1": (8, "E", 1)}

ProtocolT = TypeVar("ProtocolT", bound=asyncio.Protocol)


class CannotConnectError(Exception):
    """There is no connection; the words say what to look at."""


async def connect_stream(
    endpoint: Endpoint, make: Callable[[], ProtocolT], *, timeout_s: float = CONNECT_TIMEOUT_S
) -> ProtocolT:
    """Connect a protocol to a TCP port or a serial line.

    A serial line takes the options ``baud`` (9600) and ``format`` (8N1, 7E1 or 8E1).

    Raises:
        CannotConnectError: nobody listens, the name is unknown, the line is in use, …

    """
    try:
        async with asyncio.timeout(timeout_s):
            return await (_serial(endpoint, make) if endpoint.is_serial else _tcp(endpoint, make))
    except TimeoutError as error:
        raise CannotConnectError(f"{endpoint} does not answer within {timeout_s:g} s: is it switched on?") from error
    except ConnectionRefusedError as error:
        raise CannotConnectError(f"nobody listens at {endpoint}: check the port, or start the meter") from error
    except socket.gaierror as error:
        raise CannotConnectError(f"the name {endpoint.host!r} is not known") from error
    except OSError as error:
        raise CannotConnectError(f"{endpoint}: {error.strerror or error}") from error


async def _tcp(endpoint: Endpoint, make: Callable[[], ProtocolT]) -> ProtocolT:
    _, protocol = await asyncio.get_running_loop().create_connection(make, endpoint.host, endpoint.port)
    return protocol


async def _serial(endpoint: Endpoint, make: Callable[[], ProtocolT]) -> ProtocolT:
    from serial_asyncio_fast import create_serial_connection  # noqa: PLC0415 - only serial lines need it

    protocol = make()
    size, parity, stop = _FORMATS.get(endpoint.options.get("format", "8N1").upper(), _FORMATS["8N1"])
    await create_serial_connection(
        asyncio.get_running_loop(), lambda: protocol, endpoint.path, baudrate=endpoint.number("baud", _BAUD),
        bytesize=size, parity=parity, stopbits=stop,
    )  # fmt: skip
    return protocol
