"""A metering end device as a running program: its time, its supply, its ports, its memory.

Strategy: once a second the meter measures its supply, and saves its registers before a client can read them,
so that no register ever runs backwards, not even over ``kill -9``. Links time out in true time, while the meter's
objects live in its own time, which may run faster.
"""

import asyncio
import struct
from collections.abc import Callable, Iterable
from typing import Final, Generic, Protocol, TypeVar

from meterspan.engine.links import Transport
from meterspan.engine.mbus_link import LineSettings, MbusSlave, SlaveEvent
from meterspan.engine.security import SecurityKeys
from meterspan.meter.cosem import MeterAccess, logical_device
from meterspan.meter.electricity import ElectricityMeter
from meterspan.meter.metrology import ElectricityFlow, Flow, Indication
from meterspan.meter.p1_port import p1_telegram
from meterspan.meter.radio import RadioMeter
from meterspan.model.cosem.device import LogicalDevice
from meterspan.model.cosem.standard_objects import PushDelivery
from meterspan.model.reasons import reason_of
from meterspan.runtime.dlms_server import DeviceSecurity, DlmsServer, HostLimits
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.limits import ConnectionGate, ConnectionPlace
from meterspan.runtime.mbus_client import BAUD, slave_of
from meterspan.runtime.media import CannotConnectError, OpenPort, listen_stream
from meterspan.runtime.relay import Relay
from meterspan.runtime.shell import DatagramShell, StreamShell
from meterspan.runtime.state import StateFile

__all__ = ["ElectricityHost", "FlowSource", "MeterTime", "RadioHost", "kept_time"]

MASTERS_MAX: Final = 16
MASTERS_PER_PEER_MAX: Final = 12
"""Connections to the wired slave at once, and those of one address; for one more, the oldest is closed."""
TICK_S: Final = 1.0
"""How often the meter measures, keeps its registers and writes its P1 telegram (DSMR 5: each second)."""
_TIME_KEPT: Final = "meter time"
_TIME: Final = struct.Struct(">d")

FlowT = TypeVar("FlowT")
FlowT_co = TypeVar("FlowT_co", covariant=True)
FlowT_contra = TypeVar("FlowT_contra", contravariant=True)
ResultT = TypeVar("ResultT")
ResultT_co = TypeVar("ResultT_co", covariant=True)


class FlowSource(Protocol[FlowT_co]):
    """The flow through the meter."""

    def __call__(self, start: float, end: float) -> Iterable[tuple[FlowT_co, float]]:
        """Return the flows from ``start`` to ``end`` (UTC seconds), each constant until its time."""
        ...


class MeterTime:
    """The time in which a meter lives, UTC seconds: true time, or faster.

    Args:
        clock: returns true time.
        start: the meter's time now.
        speed: meter seconds per second.

    """

    def __init__(self, clock: Callable[[], float], start: float, *, speed: float = 1.0) -> None:
        self._clock = clock
        self._anchor = clock()
        self._start = start
        self._speed = speed

    def __call__(self) -> float:
        """Return the meter's time."""
        return self._start + (self._clock() - self._anchor) * self._speed


def kept_time(state: StateFile) -> float | None:
    """Return the meter time that was reached before power was lost, or None for a new meter."""
    octets = state.load(_TIME_KEPT)
    return None if octets is None else float(_TIME.unpack(octets)[0])


class _HostedMeter(Protocol[FlowT_contra, ResultT_co]):
    @property
    def indication(self) -> Indication: ...

    def advance(self, flow: FlowT_contra | None, until: float, /) -> ResultT_co: ...

    def preserve(self) -> None: ...


class _MeterHost(Generic[FlowT, ResultT]):
    """Measures: lets a supply flow through a meter as time passes, and keeps the time that was reached."""

    def __init__(
        self, meter: _HostedMeter[FlowT, ResultT], *, state: StateFile, time: MeterTime, supply: FlowSource[FlowT]
    ) -> None:
        self._meter = meter
        self._state = state
        self._time = time
        self._supply = supply
        self._reached = meter.indication.time

    def pass_over(self, until: float) -> None:
        """Let time pass without supply: the meter was off, or its supply was shut."""
        if until > self._reached:
            self._meter.advance(None, until)
            self._reached = until

    def _measure(self) -> list[ResultT]:
        """Measure up to now, and save registers and time; return the result of each step."""
        now = self._time()
        results = []
        if now > self._reached:
            results = [self._meter.advance(flow, until) for flow, until in self._supply(self._reached, now)]
            self._reached = now
        self._state.save(_TIME_KEPT, _TIME.pack(now))
        self._meter.preserve()
        return results


class ElectricityHost(_MeterHost[ElectricityFlow, int]):
    """Runs one electricity meter.

    Args:
        meter: built at the time that ``time`` starts from, or before (history).
        keys: of its management association.
        password: of its reader association.
        state: its memory, the meter's persistent state included.
        time: its time.
        clock: true time, for the links.
        supply: the flow through it.
        limits: of its ports.
        delivery: where it pushes; None where it pushes nothing.
        on_note: called with a sentence for each event at its ports.

    """

    _meter: ElectricityMeter

    def __init__(
        self,
        meter: ElectricityMeter,
        *,
        keys: SecurityKeys,
        password: bytes,
        state: StateFile,
        time: MeterTime,
        clock: Callable[[], float],
        supply: FlowSource[ElectricityFlow],
        limits: HostLimits | None = None,
        delivery: PushDelivery | None = None,
        on_note: Callable[[str], None] = lambda _text: None,
    ) -> None:
        super().__init__(meter, state=state, time=time, supply=supply)
        self.security = DeviceSecurity(meter.config.system_title, keys, state)
        self.on_captured: Callable[[], None] = lambda: None
        """Called once new rows are captured, or new events logged, and kept."""
        self.on_push_asked: Callable[[float], None] = lambda _now: None
        """Called where a client asks for a push now, with the meter's time."""
        self._event_count = meter.event_count
        self._clock = clock
        push_now = None if delivery is None else self._push_now
        access = MeterAccess(password, self.security.invocation_counter, delivery, push_now, self.security.client_title)
        device = _paced(logical_device(meter, access), time)
        self._dlms = DlmsServer(lambda: device, self.security, clock=clock, limits=limits, on_note=on_note)
        self._p1 = Relay()

    def _push_now(self, now: float) -> None:
        self.on_push_asked(now)

    @property
    def connections(self) -> int:
        """How many DLMS connections are open."""
        return self._dlms.connections

    def advance(self) -> None:
        """Measure up to now, and save the registers."""
        captured = sum(self._measure())
        if captured or self._meter.event_count != self._event_count:
            self._event_count = self._meter.event_count
            self.on_captured()

    async def listen(self, transport: Transport, host: str, port: int) -> int:
        """Serve DLMS over a transport and return the port; raises as ``DlmsServer.listen``."""
        return await self._dlms.listen(transport, host, port)

    async def listen_p1(self, host: str, port: int) -> int:
        """Send P1 telegrams to everybody who connects; return the port. Nothing that they write is read."""
        return await self._p1.listen(host, port)

    async def run(self) -> None:
        """Live until cancelled."""
        while True:
            self.advance()
            self._write_p1()
            self._dlms.close_silent()
            await asyncio.sleep(TICK_S - self._clock() % TICK_S)

    async def close(self) -> None:
        """Lose power in order: close all ports, keep everything."""
        self._dlms.close()
        self._p1.close()
        await asyncio.sleep(0)
        self.advance()
        self._meter.power_down(self._time())

    def _write_p1(self) -> None:
        if self._p1.reader_count:
            self._p1.send(p1_telegram(self._meter, self._reached))


class RadioHost(_MeterHost[Flow, list[bytes]]):
    """Runs one radio meter, whose telegrams go out as UDP datagrams.

    Args:
        meter: built at the time that ``time`` starts from.
        state: its memory.
        time: its time.
        clock: true time.
        supply: the flow through it.
        receiver: where the datagrams go.
        on_sent: called with each telegram.

    """

    _meter: RadioMeter

    def __init__(
        self,
        meter: RadioMeter,
        *,
        state: StateFile,
        time: MeterTime,
        clock: Callable[[], float],
        supply: FlowSource[Flow],
        receiver: Endpoint,
        on_sent: Callable[[bytes], None] = lambda _octets: None,
    ) -> None:
        super().__init__(meter, state=state, time=time, supply=supply)
        self._clock = clock
        self._receiver = receiver
        self._on_sent = on_sent
        self._radio: DatagramShell | None = None
        self._gate = ConnectionGate(MASTERS_MAX, MASTERS_PER_PEER_MAX, clock)
        self._listeners: list[OpenPort] = []

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
            raise CannotConnectError(f"{self._receiver}: {reason_of(error)}") from error
        self._radio = shell

    async def listen(self, transport: Transport, endpoint: Endpoint) -> int:
        """Answer as a slave of wired M-Bus too, at ``address=`` of the endpoint; return the port (0 takes a free one).

        Raises:
            CannotConnectError: its medium cannot be listened at.
            EndpointError: the address is not an endpoint.
            OSError: the port is taken.

        """
        primary = slave_of(endpoint).primary
        settings = LineSettings(endpoint.number("baud", BAUD))

        def slave() -> StreamShell[SlaveEvent]:
            identity = self._meter.config.address
            machine = MbusSlave(primary, identity, lambda: tuple(self._meter.records(self._reached)), settings=settings)
            return _MasterConnection(machine, self._clock, self._gate)

        listener = await listen_stream(transport.medium, endpoint.host, endpoint.port, slave)
        self._listeners.append(listener)
        return listener.port

    def advance(self) -> None:
        """Measure up to now, save the registers, and send due telegrams."""
        for telegrams in self._measure():
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
        for listener in self._listeners:
            listener.close()
        self.advance()
        if self._radio is not None:
            self._radio.close()

    def _send(self, telegram: bytes) -> None:
        if self._radio is not None:
            self._radio.send(telegram)
            self._on_sent(telegram)


class _MasterConnection(StreamShell[SlaveEvent]):
    """A master's connection to the wired slave; it has a place."""

    def __init__(self, machine: MbusSlave, clock: Callable[[], float], gate: ConnectionGate) -> None:
        super().__init__(machine, clock, lambda _event: None, self._closed)
        self._gate = gate
        self._place: ConnectionPlace | None = None

    def opened(self, transport: asyncio.Transport) -> None:
        """Begin where a place is free."""
        peer = transport.get_extra_info("peername")
        self._place = self._gate.admit(str(peer[0]) if isinstance(peer, tuple) else "", self.abort)
        if self._place is None:
            self.abort()
            return
        super().opened(transport)

    def _closed(self) -> None:
        if self._place is not None:
            self._gate.leave(self._place)


def _paced(device: LogicalDevice, time: MeterTime) -> LogicalDevice:
    """Return the device with objects that live in the meter's time, not in the ``now`` of its link."""
    objects = [item.in_time_of(time) for item in device.objects]
    return LogicalDevice(device.sap, device.name, objects=objects, associations=device.associations)
