"""The input of pushes: a port at which meters connect and push over TCP, in the wrapper or in HDLC frames.

Nothing is confirmed and nothing is opened here: whole APDUs go on as they are, and so do octets that are no frame.

Strategy: what each connection sends in a second is bounded, and so is what all of them send. Octets beyond that wait at
their senders. Of the connections that wait, those that send little are read first, in turns.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Final

from meterspan.engine.link import ApduReceived, FrameDamaged, LinkDown, LinkEvent, Role
from meterspan.engine.links import TRANSPORTS, Transport
from meterspan.model.reasons import reason_of
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.limits import Allowance, ConnectionGate, ConnectionPlace, connections_within
from meterspan.runtime.media import CannotConnectError, listen_stream
from meterspan.runtime.shell import StreamShell

__all__ = ["PUSH_SCHEMES", "PushedApdu", "pushed_apdus"]

_PREFIX: Final = "push+"
PUSH_SCHEMES: Final = tuple(
    f"{_PREFIX}{scheme}" for scheme, transport in TRANSPORTS.items() if transport.medium == "tcp" and transport.link
)
"""Schemes of ports that meters push to."""
WAITING_MAX: Final = 512
"""APDUs that wait for a slow listener; from half as many on, nothing more is read until a quarter is left."""
CONNECTIONS_MAX: Final = 256
CONNECTIONS_PER_PEER_MAX: Final = 64
OPEN_FILES_SHARE: Final = 0.5
OCTETS_A_SECOND: Final = 32_768
"""Octets of a connection read in a second: far more than a meter pushes. More is not lost,
it waits at its sender."""
OCTETS_BURST: Final = 65_536
"""Octets read at once after a pause: the longest push."""
TOTAL_OCTETS_A_SECOND: Final = 4 * OCTETS_A_SECOND
"""Octets of all connections read in a second: some hundred pushes. It bounds what a listener writes as well."""
TOTAL_OCTETS_BURST: Final = 4 * OCTETS_BURST
SLOW_OCTETS_A_SECOND: Final = TOTAL_OCTETS_A_SECOND // (2 * CONNECTIONS_MAX)
"""A connection that sends no more is read before those that send more; not all connections can send more."""
SLOW_OCTETS_BURST: Final = 8_192
FRAME_OCTETS: Final = 32
"""What a frame, or a run of damaged octets, counts for beside its octets."""


@dataclass(frozen=True, slots=True)
class PushedApdu:
    """What a connection brought.

    Attributes:
        octets: one APDU, or octets that are no frame.
        peer: ``host:port`` of the sender.
        at: UTC seconds.
        is_whole: whether it is an APDU.

    """

    octets: bytes
    peer: str
    at: float
    is_whole: bool = True


async def pushed_apdus(
    endpoint: Endpoint, clock: Callable[[], float], *, on_ready: Callable[[int], None] = lambda _port: None
) -> AsyncGenerator[PushedApdu, None]:
    """Hear pushes for ever.

    Args:
        endpoint: a scheme of ``PUSH_SCHEMES``, and where to listen.
        clock: UTC seconds.
        on_ready: called with the port once it is open.

    Raises:
        CannotConnectError: the port is taken, or the address is not of this machine.

    """
    transport = TRANSPORTS[endpoint.scheme.removeprefix(_PREFIX)]
    gate = ConnectionGate(connections_within(CONNECTIONS_MAX, OPEN_FILES_SHARE), CONNECTIONS_PER_PEER_MAX, clock)
    turns = _Turns()
    try:
        port = await listen_stream(
            transport.medium, endpoint.host, endpoint.port, lambda: _PushLine(transport, clock, gate, turns)
        )
    except OSError as error:
        raise CannotConnectError(f"cannot listen at {endpoint}: {reason_of(error)}") from error
    on_ready(port.port)
    try:
        while True:
            yield await turns.next_pushed()
            await asyncio.sleep(0)  # timers, signals, new connections and other sources have their turn
    finally:
        port.close()
        turns.close()


class _Turns:
    """What the connections of one port have sent, and which of them is read next."""

    def __init__(self) -> None:
        self.lines: set[_PushLine] = set()
        """The connections that are open."""
        self._queue: asyncio.Queue[PushedApdu] = asyncio.Queue(WAITING_MAX)
        self._total = Allowance(TOTAL_OCTETS_A_SECOND, TOTAL_OCTETS_BURST, asyncio.get_running_loop().time)
        self._pause: asyncio.TimerHandle | None = None
        self._waiting: dict[_PushLine, None] = {}

    async def next_pushed(self) -> PushedApdu:
        """Return the next APDU; where few are left, the connections that wait are read on."""
        pushed = await self._queue.get()
        if self._queue.qsize() == WAITING_MAX // 4:
            self._read_on()
        return pushed

    def put(self, pushed: PushedApdu) -> None:
        """Let an APDU wait for the listener; there is always room, as no more is read than there is."""
        if not self._queue.full():
            self._queue.put_nowait(pushed)

    def may_read(self, line: "_PushLine") -> bool:
        """Return whether more may be read of a connection now; where not, it is read on once there is room."""
        if self._has_room():
            return True
        self._waiting[line] = None
        return False

    def spend(self, octets: int) -> None:
        """Count octets of any connection."""
        pause_s = self._total.spend(octets)
        if pause_s > 0 and self._pause is None:
            self._pause = asyncio.get_running_loop().call_later(pause_s, self._go_on)

    def leave(self, line: "_PushLine") -> None:
        """Forget a connection that is closed."""
        self.lines.discard(line)
        self._waiting.pop(line, None)

    def close(self) -> None:
        """Close all connections."""
        if self._pause is not None:
            self._pause.cancel()
        for line in tuple(self.lines):
            line.abort()

    def _has_room(self) -> bool:
        return self._pause is None and self._queue.qsize() < WAITING_MAX // 2

    def _go_on(self) -> None:
        self._pause = None
        self._read_on()

    def _read_on(self) -> None:
        """Read on the connections that wait, slow ones first, then as long as they wait, while there is room."""
        for line in sorted(self._waiting, key=lambda line: line.excess):
            if not self._has_room():
                return
            self._waiting.pop(line, None)
            line.feed_on()


class _PushLine(StreamShell[LinkEvent]):
    """One incoming connection."""

    feed_octets_max = 1_024
    """A hundred of the smallest frames: those of one turn find room."""

    def __init__(self, transport: Transport, clock: Callable[[], float], gate: ConnectionGate, turns: _Turns) -> None:
        self._link = transport.push_listener()
        super().__init__(self._link, clock, self._hear, self._leave)
        self._time = clock
        self._gate = gate
        self._turns = turns
        self._place: ConnectionPlace | None = None
        self._peer = ""
        self._allowance = Allowance(OCTETS_A_SECOND, OCTETS_BURST, asyncio.get_running_loop().time)
        self._slow = Allowance(SLOW_OCTETS_A_SECOND, SLOW_OCTETS_BURST, asyncio.get_running_loop().time)
        self._frames = 0
        self._pause: asyncio.TimerHandle | None = None

    @property
    def excess(self) -> float:
        """How many octets it has sent beyond what a slow sender sends."""
        return max(0.0, -self._slow.left)

    def may_feed(self, size: int) -> bool:
        """Count the octets, and the frames that came before them; what is beyond the allowance waits."""
        frames = self._link.counts.frames_received + self._link.counts.frames_damaged
        octets = size + FRAME_OCTETS * (frames - self._frames)
        self._frames = frames
        self._turns.spend(octets)
        self._slow.spend(octets)
        pause_s = self._allowance.spend(octets)
        if pause_s > 0 and self._pause is None:
            self._pause = asyncio.get_running_loop().call_later(pause_s, self._go_on)
        return True

    def has_room(self) -> bool:
        """Return whether neither this connection nor all together have sent too much lately, and few APDUs wait."""
        return self._pause is None and self._turns.may_read(self)

    def _go_on(self) -> None:
        self._pause = None
        self.feed_on()

    def opened(self, transport: asyncio.Transport) -> None:
        """Listen, or close at once where too many are open."""
        host, port, *_ = transport.get_extra_info("peername") or ("?", 0)
        self._place = self._gate.admit(host, self.abort)
        if self._place is None:
            transport.close()
            return
        self._turns.lines.add(self)
        self._peer = f"{host}:{port}"
        if self._link.role is Role.SERVER:
            self._link.connect(self._time())
        super().opened(transport)

    def _hear(self, event: LinkEvent) -> None:
        if isinstance(event, ApduReceived | FrameDamaged):
            is_whole = isinstance(event, ApduReceived)
            self._turns.put(PushedApdu(event.octets, self._peer, self._time(), is_whole))
        if isinstance(event, LinkDown):
            self.close()

    def _leave(self) -> None:
        self._turns.leave(self)
        if self._pause is not None:
            self._pause.cancel()
        if self._place is not None:
            self._gate.leave(self._place)
