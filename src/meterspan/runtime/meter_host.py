"""A metering end device as a running program: its time, its supply, its ports, its memory.

Strategy: once a second the meter measures what its supply gave, and keeps its registers before anybody is shown them,
so that no register ever runs backwards, not even over ``kill -9``. Links time out in true time, while the meter's
objects live in its own time, which may run faster. Each connection has one association; connections are bounded.
"""

import asyncio
import secrets
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar, cast

from meterspan.engine.association.attempts import AttemptLedger
from meterspan.engine.association.records import (
    ApduRefused,
    Associated,
    AssociationEvent,
    AssociationRefused,
    LinkLost,
    Released,
)
from meterspan.engine.association.server import ServerAssociation
from meterspan.engine.hdlc_link import HdlcConfig, HdlcLink
from meterspan.engine.link import Link, Role
from meterspan.engine.security import SecurityContext, SecurityKeys
from meterspan.engine.wrapper_link import WrapperConfig, WrapperLink
from meterspan.meter.cosem import MeterAccess, logical_device
from meterspan.meter.electricity import ElectricityMeter
from meterspan.meter.metrology import ElectricityFlow, Flow
from meterspan.meter.p1_port import p1_telegram
from meterspan.meter.radio import RadioMeter
from meterspan.model.cosem.device import MANAGEMENT_CLIENT, AssociationDefinition, LogicalDevice
from meterspan.model.cosem.objects import CosemObject, Getter, Invoker, Setter
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.serial_line import CannotConnectError
from meterspan.runtime.shell import DatagramShell, StreamShell
from meterspan.runtime.state import StateFile
from meterspan.wire.axdr import Data, double_long_unsigned
from meterspan.wire.hdlc import HdlcAddress

__all__ = ["ElectricityHost", "HostLimits", "MeterTime", "RadioHost", "Supply", "kept_time"]

TICK_S: Final = 1.0
"""How often the meter measures, keeps its registers and writes its P1 telegram (DSMR 5: each second)."""
P1_UNSENT_MAX: Final = 1 << 16
"""A reader of the P1 port that is a minute behind is cut off."""
PHYSICAL_DEVICE: Final = 17
"""Lower HDLC address; a client may leave it out."""
_TIME_KEPT: Final = "meter time"
_CLIENT_KEPT: Final = "management client"
_TIME: Final = struct.Struct(">d")

FlowT_co = TypeVar("FlowT_co", covariant=True)


class Supply(Protocol[FlowT_co]):
    """What flows past the meter."""

    def __call__(self, start: float, end: float) -> Iterable[tuple[FlowT_co, float]]:
        """Give the flows from ``start`` to ``end`` (UTC seconds), each constant until its time."""
        ...


@dataclass(frozen=True, slots=True)
class HostLimits:
    """What a meter's ports put up with.

    Attributes:
        connections_max: connections at a time; each has an association of its own.
        inactivity_timeout_s: a link on which nothing arrives for so long is taken down.
        silence_s: a connection without a link is closed after so long.

    """

    connections_max: int = 16
    inactivity_timeout_s: float = 180.0
    silence_s: float = 30.0


class MeterTime:
    """The time in which a meter lives, UTC seconds: true time, or faster.

    Args:
        clock: gives true time.
        start: the meter's time now.
        speed: meter seconds per second.

    """

    def __init__(self, clock: Callable[[], float], start: float, *, speed: float = 1.0) -> None:
        self._clock = clock
        self._anchor = clock()
        self._start = start
        self._speed = speed

    def __call__(self) -> float:
        """Give the meter's time."""
        return self._start + (self._clock() - self._anchor) * self._speed


def kept_time(state: StateFile) -> float | None:
    """Give the meter time that was reached before power was lost, or None for a new meter."""
    octets = state.load(_TIME_KEPT)
    return None if octets is None else float(_TIME.unpack(octets)[0])


class ElectricityHost:
    """Runs one electricity meter.

    Args:
        meter: built at the time that ``time`` starts from, or before (history).
        keys: of its management association.
        password: of its reader association.
        state: its memory; the meter's keepsake too.
        time: its time.
        clock: true time, for the links.
        supply: what flows past it.
        limits: of its ports.
        on_note: is told in words what happens at its ports.

    """

    def __init__(
        self,
        meter: ElectricityMeter,
        *,
        keys: SecurityKeys,
        password: bytes,
        state: StateFile,
        time: MeterTime,
        clock: Callable[[], float],
        supply: Supply[ElectricityFlow],
        limits: HostLimits | None = None,
        on_note: Callable[[str], None] = lambda _text: None,
    ) -> None:
        self._meter = meter
        self._keys = keys
        self._state = state
        self._time = time
        self._clock = clock
        self._supply = supply
        self._limits = HostLimits() if limits is None else limits
        self._on_note = on_note
        self._attempts = AttemptLedger()
        self._access = MeterAccess(password, self._invocation_counter)
        self._device = _paced(logical_device(meter, self._access), time)
        self._reached = meter.indication.time
        self._servers: list[asyncio.Server] = []
        self._connections: dict[_Connection, float] = {}
        self._p1_readers: set[asyncio.Transport] = set()

    @property
    def connections(self) -> int:
        """How many DLMS connections are open."""
        return len(self._connections)

    def pass_over(self, until: float) -> None:
        """Let time pass without supply: the meter was off."""
        if until > self._reached:
            self._meter.advance(None, until)
            self._reached = until

    def advance(self) -> None:
        """Measure up to now, and keep what was measured."""
        now = self._time()
        if now > self._reached:
            for flow, until in self._supply(self._reached, now):
                self._meter.advance(flow, until)
            self._reached = now
        self._state.save(_TIME_KEPT, _TIME.pack(now))
        self._meter.preserve()

    async def listen_wrapper(self, host: str, port: int) -> int:
        """Serve DLMS over the TCP wrapper; gives the port (0 picks a free one)."""
        return await self._listen(host, port, self._wrapper)

    async def listen_hdlc(self, host: str, port: int) -> int:
        """Serve DLMS over HDLC on a TCP port, as behind a serial converter."""
        return await self._listen(host, port, self._hdlc)

    async def listen_p1(self, host: str, port: int) -> int:
        """Write P1 telegrams to everybody who connects; what they say is not heard."""
        server = await asyncio.get_running_loop().create_server(lambda: _P1Reader(self._p1_readers), host, port)
        return self._keep(server)

    async def run(self) -> None:
        """Live until cancelled."""
        while True:
            self.advance()
            self._write_p1()
            self._close_silent()
            await asyncio.sleep(TICK_S - self._clock() % TICK_S)

    async def close(self) -> None:
        """Lose power in order: close all ports, keep everything."""
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.close()
        for transport in list(self._p1_readers):
            transport.close()
        await asyncio.sleep(0)
        self.advance()
        self._meter.power_down(self._time())

    async def _listen(self, host: str, port: int, make: Callable[[], Link]) -> int:
        server = await asyncio.get_running_loop().create_server(lambda: self._admit(make), host, port)
        return self._keep(server)

    def _keep(self, server: asyncio.Server) -> int:
        self._servers.append(server)
        port: int = server.sockets[0].getsockname()[1]
        return port

    def _wrapper(self) -> Link:
        patience = self._limits.inactivity_timeout_s
        return WrapperLink(Role.SERVER, WrapperConfig(self._device.sap, MANAGEMENT_CLIENT,
                                                      inactivity_timeout_s=patience))  # fmt: skip

    def _hdlc(self) -> Link:
        own = HdlcAddress.server(self._device.sap, PHYSICAL_DEVICE)
        patience = self._limits.inactivity_timeout_s
        return HdlcLink(Role.SERVER, HdlcConfig(own, HdlcAddress(MANAGEMENT_CLIENT), inactivity_timeout_s=patience))

    def _admit(self, make: Callable[[], Link]) -> asyncio.Protocol:
        if len(self._connections) >= self._limits.connections_max:
            self._on_note("one connection too many was turned away")
            return _TurnedAway()
        association = ServerAssociation(
            make(), self._device, security=self._security, entropy=secrets.token_bytes, attempts=self._attempts
        )

        def closed() -> None:
            self._connections.pop(connection, None)

        connection = _Connection(association, self._clock, self._take, closed)
        self._connections[connection] = self._clock()
        return connection

    def _security(self, definition: AssociationDefinition) -> SecurityContext | None:
        if not definition.ciphered:
            return None
        return SecurityContext(self._meter.config.system_title, self._keys, counters=self._state)

    def _invocation_counter(self, _now: float) -> Data:
        """Give the highest counter accepted from the management client that associated last."""
        title = self._state.load(_CLIENT_KEPT)
        if title is None:
            return double_long_unsigned(0)
        known = SecurityContext(self._meter.config.system_title, self._keys, counters=self._state, peer_title=title)
        return double_long_unsigned(max(0, known.last_received))

    def _take(self, event: AssociationEvent) -> None:
        match event:
            case Associated():
                if event.peer_title and event.peer_title != self._state.load(_CLIENT_KEPT):
                    self._state.save(_CLIENT_KEPT, event.peer_title)
                ciphered = ", ciphered" if event.ciphered else ""
                self._on_note(f"client {event.peer} associated ({event.mechanism.text}{ciphered})")
            case AssociationRefused():
                self._on_note(f"association refused: {event.reason}")
            case Released() | LinkLost():
                self._on_note(f"association ended: {event.reason}")
            case ApduRefused():
                self._on_note(f"APDU refused: {event.error}")
            case _:
                pass

    def _close_silent(self) -> None:
        now = self._clock()
        for connection, up_at in list(self._connections.items()):
            if connection.is_up:
                self._connections[connection] = now
            elif now - up_at >= self._limits.silence_s:
                self._on_note("a silent connection was closed")
                connection.close()

    def _write_p1(self) -> None:
        if not self._p1_readers:
            return
        telegram = p1_telegram(self._meter, self._reached)
        for transport in list(self._p1_readers):
            transport.write(telegram)
            if transport.get_write_buffer_size() > P1_UNSENT_MAX:
                transport.abort()


class RadioHost:
    """Runs one radio meter, whose telegrams go out as UDP datagrams.

    Args:
        meter: built at the time that ``time`` starts from.
        state: its memory.
        time: its time.
        clock: true time.
        supply: what flows past it.
        receiver: where the datagrams go.
        on_sent: is told of each telegram.

    """

    def __init__(
        self,
        meter: RadioMeter,
        *,
        state: StateFile,
        time: MeterTime,
        clock: Callable[[], float],
        supply: Supply[Flow],
        receiver: Endpoint,
        on_sent: Callable[[bytes], None] = lambda _octets: None,
    ) -> None:
        self._meter = meter
        self._state = state
        self._time = time
        self._clock = clock
        self._supply = supply
        self._receiver = receiver
        self._on_sent = on_sent
        self._reached = meter.indication.time
        self._radio: DatagramShell | None = None

    def pass_over(self, until: float) -> None:
        """Let time pass without flow: the supply was shut."""
        if until > self._reached:
            self._meter.advance(None, until)
            self._reached = until

    async def open(self) -> None:
        """Open the radio.

        Raises:
            CannotConnectError: the receiver's name is not known.

        """
        shell = DatagramShell(self._clock, lambda _octets, _peer, _now: None)
        address = (self._receiver.host, self._receiver.port)
        try:
            await asyncio.get_running_loop().create_datagram_endpoint(lambda: shell, remote_addr=address)
        except OSError as error:
            raise CannotConnectError(f"{self._receiver}: {error.strerror or error}") from error
        self._radio = shell

    def advance(self) -> None:
        """Measure up to now, keep it, and send what is due."""
        now = self._time()
        telegrams: list[bytes] = []
        if now > self._reached:
            for flow, until in self._supply(self._reached, now):
                telegrams += self._meter.advance(flow, until)
            self._reached = now
        self._state.save(_TIME_KEPT, _TIME.pack(now))
        self._meter.preserve()
        for telegram in telegrams:
            self._send(telegram)

    def send_now(self) -> None:
        """Send a telegram out of turn, as a meter does when its button is pressed."""
        self._send(self._meter.telegram(self._reached))

    async def run(self) -> None:
        """Live until cancelled."""
        self.advance()
        self.send_now()
        while True:
            await asyncio.sleep(TICK_S - self._clock() % TICK_S)
            self.advance()

    async def close(self) -> None:
        """Stop in order."""
        self.advance()
        if self._radio is not None:
            self._radio.close()

    def _send(self, telegram: bytes) -> None:
        if self._radio is not None:
            self._radio.send(telegram)
            self._on_sent(telegram)


class _Connection(StreamShell[AssociationEvent]):
    """A client's connection: its machine listens from the first moment, so that a silent client times out."""

    def __init__(
        self,
        association: ServerAssociation,
        clock: Callable[[], float],
        on_event: Callable[[AssociationEvent], None],
        on_closed: Callable[[], None],
    ) -> None:
        super().__init__(association, clock, on_event, on_closed)
        self._association = association

    @property
    def is_up(self) -> bool:
        """Whether the link is up."""
        return self._association.link.is_up

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Listen."""
        self._association.connect(self._clock())
        super().connection_made(transport)


class _TurnedAway(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        cast("asyncio.Transport", transport).abort()


class _P1Reader(asyncio.Protocol):
    """Somebody who reads the P1 port; whatever they write is dropped."""

    def __init__(self, readers: set[asyncio.Transport]) -> None:
        self._readers = readers
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._readers.add(self._transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        if self._transport is not None:
            self._readers.discard(self._transport)


def _paced(device: LogicalDevice, time: MeterTime) -> LogicalDevice:
    """Give the device with objects that live in the meter's time, whatever time its link tells."""
    objects = [_paced_object(item, time) for item in device.objects]
    return LogicalDevice(device.sap, device.name, objects=objects, associations=device.associations)


def _paced_object(item: CosemObject, time: MeterTime) -> CosemObject:
    def getter(read: Getter) -> Getter:
        return lambda _now: read(time())

    def setter(write: Setter) -> Setter:
        return lambda value, _now: write(value, time())

    def invoker(run: Invoker) -> Invoker:
        return lambda value, _now: run(value, time())

    return CosemObject(
        item.interface,
        item.logical_name,
        {number: value if isinstance(value, Data) else getter(value) for number, value in item.attributes.items()},
        {number: setter(write) for number, write in item.setters.items()},
        {number: invoker(run) for number, run in item.invokers.items()},
        rows=item.rows,
        zone=item.zone,
    )
