"""The simulated radio, receiving side: each UDP datagram is one telegram."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Final

from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.media import CannotConnectError
from meterspan.runtime.shell import DatagramShell

__all__ = ["radio_telegrams"]

WAITING_MAX: Final = 1_024
"""Telegrams that wait for a slow listener; then the newest are lost, as on the air."""


async def radio_telegrams(
    endpoint: Endpoint, clock: Callable[[], float], *, on_ready: Callable[[int], None] = lambda _port: None
) -> AsyncGenerator[tuple[bytes, str, float], None]:
    """Hear datagrams for ever: octets, the sender's ``host:port``, and when.

    Args:
        endpoint: ``udp``; where to listen.
        clock: UTC seconds.
        on_ready: called with the port once it is open.

    Raises:
        CannotConnectError: the port is taken, or the address is not of this machine.

    """
    queue: asyncio.Queue[tuple[bytes, str, float]] = asyncio.Queue(WAITING_MAX)

    def heard(octets: bytes, peer: str, now: float) -> None:
        if not queue.full():
            queue.put_nowait((octets, peer, now))

    shell = DatagramShell(clock, heard)
    loop = asyncio.get_running_loop()
    try:
        transport, _ = await loop.create_datagram_endpoint(lambda: shell, local_addr=(endpoint.host, endpoint.port))
    except OSError as error:
        raise CannotConnectError(f"cannot listen at {endpoint}: {error.strerror or error}") from error
    on_ready(transport.get_extra_info("sockname")[1])
    try:
        while True:
            yield await queue.get()
    finally:
        shell.close()
