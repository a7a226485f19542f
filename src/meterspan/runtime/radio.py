"""The simulated radio, receiving side: each UDP datagram is one telegram.

Strategy: a telegram is looked at before it waits. Those that a key opens go first, then those that name an installed
meter, then all others; within each, senders have turns, and each may have a few waiting. Telegrams that prove nothing
are processed at a bounded rate, so that a flood of them takes no time from the genuine ones.
"""

import asyncio
import socket
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import suppress
from typing import Final

from meterspan.model.radio_protection import RadioPrecedence
from meterspan.model.reasons import reason_of
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.media import CannotConnectError
from meterspan.runtime.shell import DatagramShell

__all__ = ["TelegramQueue", "radio_telegrams"]

WAITING_MAX: Final = 1_024
"""Telegrams of one precedence that wait for a slow listener; then the newest are lost, as on the air."""
SENDER_WAITING_MAX: Final = 16
"""Of them, those of one sender: a meter sends every few seconds."""
PROVED_KEPT: Final = 4_096
"""Proved telegrams whose repetition is passed over: somebody may send again what was recorded."""
RECEIVE_OCTETS: Final = 1 << 22
"""Asked of the system for the port: datagrams that arrive while one telegram is processed."""

_Waiting = tuple[bytes, str, float]
Precedence = Callable[[bytes], RadioPrecedence]


class TelegramQueue:
    """Telegrams that wait to be processed.

    Args:
        precedence: what a telegram proves.
        unproved_per_s: how many that prove nothing are processed in a second; None: all.
        time: seconds that only rise.

    """

    def __init__(self, precedence: Precedence, unproved_per_s: float | None, time: Callable[[], float]) -> None:
        self._precedence = precedence
        self._per_s = unproved_per_s
        self._time = time
        self._lanes = {rank: _Lane() for rank in RadioPrecedence}
        self._proved: OrderedDict[int, None] = OrderedDict()
        self._allowed, self._allowed_at = unproved_per_s or 0.0, time()

    def put(self, octets: bytes, peer: str, now: float) -> bool:
        """Let a telegram wait, or lose it; return whether one can be processed at once."""
        rank = self._precedence(octets)
        if rank is not RadioPrecedence.PROVED:
            return self._lanes[rank].put((octets, peer, now)) and self.pause_s() == 0
        known = hash(octets)
        if known in self._proved or not self._lanes[rank].put((octets, peer, now)):
            return False
        self._proved[known] = None
        if len(self._proved) > PROVED_KEPT:
            self._proved.popitem(last=False)
        return True

    def pop(self) -> _Waiting | None:
        """Return the next telegram; None where none waits, or none may be processed yet."""
        if (proved := self._lanes[RadioPrecedence.PROVED].pop()) is not None:
            return proved
        if self.pause_s() != 0:
            return None
        waiting = self._lanes[RadioPrecedence.INSTALLED].pop() or self._lanes[RadioPrecedence.UNKNOWN].pop()
        if waiting is not None and self._per_s is not None:
            self._allowed -= 1
        return waiting

    def pause_s(self) -> float | None:
        """Return the seconds until a telegram that proves nothing may be processed; None where none waits."""
        if not any(self._lanes.values()):
            return None
        if self._per_s is None:
            return 0.0
        now = self._time()
        self._allowed = min(self._per_s, self._allowed + self._per_s * (now - self._allowed_at))
        self._allowed_at = now
        return 0.0 if self._allowed >= 1 else (1 - self._allowed) / self._per_s


class _Lane:
    """Telegrams of one precedence: the senders have turns."""

    def __init__(self) -> None:
        self._senders: OrderedDict[bytes, dict[bytes, _Waiting]] = OrderedDict()
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def put(self, waiting: _Waiting) -> bool:
        """Let a telegram wait; return False where it is lost."""
        octets = waiting[0]
        own = self._senders.get(octets[2:10], {})
        if self._count >= WAITING_MAX or len(own) >= SENDER_WAITING_MAX or octets in own:
            return False
        own[octets] = waiting
        self._senders[octets[2:10]] = own
        self._count += 1
        return True

    def pop(self) -> _Waiting | None:
        if not self._senders:
            return None
        sender, own = self._senders.popitem(last=False)
        waiting = own.pop(next(iter(own)))
        if own:
            self._senders[sender] = own
        self._count -= 1
        return waiting


async def radio_telegrams(
    endpoint: Endpoint,
    clock: Callable[[], float],
    *,
    on_ready: Callable[[int], None] = lambda _port: None,
    precedence: Precedence = lambda _octets: RadioPrecedence.UNKNOWN,
    unproved_per_s: float | None = None,
) -> AsyncGenerator[_Waiting, None]:
    """Hear datagrams for ever: octets, the sender's ``host:port``, and when.

    Args:
        endpoint: ``udp``; where to listen.
        clock: UTC seconds.
        on_ready: called with the port once it is open.
        precedence: what a telegram proves; by default all are alike.
        unproved_per_s: how many that prove nothing are given in a second; None: all.

    Raises:
        CannotConnectError: the port is taken, or the address is not of this machine.

    """
    loop = asyncio.get_running_loop()
    queue = TelegramQueue(precedence, unproved_per_s, loop.time)
    arrived = asyncio.Event()

    def heard(octets: bytes, peer: str, now: float) -> None:
        if queue.put(octets, peer, now):
            arrived.set()

    shell = DatagramShell(clock, heard)
    try:
        transport, _ = await loop.create_datagram_endpoint(lambda: shell, sock=await _bound(endpoint))
    except OSError as error:
        raise CannotConnectError(f"cannot listen at {endpoint}: {reason_of(error)}") from error
    on_ready(transport.get_extra_info("sockname")[1])
    try:
        while True:
            waiting = queue.pop()
            if waiting is None:
                await _arrival(arrived, queue.pause_s())
                continue
            yield waiting
            await asyncio.sleep(0)  # the loop reads what has arrived meanwhile
    finally:
        shell.close()


async def _arrival(arrived: asyncio.Event, within_s: float | None) -> None:
    arrived.clear()
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await arrived.wait()


async def _bound(endpoint: Endpoint) -> socket.socket:
    found = await asyncio.get_running_loop().getaddrinfo(
        endpoint.host or None, endpoint.port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
    )
    family, kind, protocol, _, address = found[0]
    port = socket.socket(family, kind, protocol)
    try:
        port.setblocking(False)
        port.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_OCTETS)
        port.bind(address)
    except OSError:
        port.close()
        raise
    return port
