"""The ports at which a head end takes pushes: TCP, UDP and HDLC behind a converter, each over its own transport.

Strategy: each connection, and each datagram, gets a machine of the intake. Rows are made durable by the group commit,
and only then confirmed. A place at a port is kept by what was pushed under a key; anything else has to make room.
"""

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, cast

from meterspan.engine.links import TRANSPORTS, Transport
from meterspan.head_end.push_intake import PushConnection, PushConnectionEvent, PushFailed, PushIntake
from meterspan.model.failures import Failure, FailureKind
from meterspan.model.readings import CaptureBlock
from meterspan.model.storage.errors import StorageError
from meterspan.runtime.defects import note_defect
from meterspan.runtime.endpoints import Endpoint
from meterspan.runtime.group_commit import GroupCommit
from meterspan.runtime.limits import ConnectionGate, ConnectionPlace
from meterspan.runtime.media import listen_stream
from meterspan.runtime.shell import StreamShell
from meterspan.runtime.troubles import Troubles

__all__ = ["PushPorts"]

PUSH_SILENCE_S: Final = 180.0
"""An incoming connection that sends no authentic push for so long is closed, whatever else it sends (class 41's
inactivity_time_out)."""
PUSHES_WAITING_MAX: Final = 16
"""Pushes of one connection that may wait for the disk before nothing more is read from it."""

UNPROVED_PUSH_OCTETS_MAX: Final = 1 << 17
"""Octets of a sender since its last authentic push: the longest push twice."""
REFUSED_PUSH_OCTETS: Final = 1_024
"""What a refused push counts for beside its octets: 128 in a row end the connection."""
FRAME_OCTETS: Final = 64
"""What a frame counts for beside its octets: the longest push takes 64 KiB in 512 segments."""

_Address = tuple[str, int]


class PushPorts:
    """Listens for pushes.

    Args:
        intake: opens and attributes them.
        commits: makes their rows durable.
        clock: UTC seconds.
        gate: makes the bound on what each port holds: its connections, or the datagrams that wait for the disk.
        troubles: of the program: a push that could not be stored is one until another one is stored.

    """

    def __init__(
        self,
        intake: PushIntake,
        commits: GroupCommit,
        clock: Callable[[], float],
        gate: Callable[[], ConnectionGate],
        troubles: Troubles | None = None,
    ) -> None:
        self.intake = intake
        self.commits = commits
        self.clock = clock
        self.shells: set[_PushShell] = set()
        self.places: list[Endpoint] = []
        """Where it listens, with the ports that are bound."""
        self.troubles = Troubles(clock) if troubles is None else troubles
        self._make_gate = gate
        self._gates: list[ConnectionGate] = []
        self._close_ports: list[Callable[[], None]] = []

    async def listen(self, endpoint: Endpoint) -> None:
        """Listen for pushes at an endpoint; port 0 takes a free one.

        Raises:
            CannotConnectError: its medium cannot be listened at.
            OSError: the port is taken, or is no port of this machine.

        """
        gate = self._make_gate()
        transport = TRANSPORTS[endpoint.scheme]
        if transport.medium == "udp":
            port = await self._listen_to_datagrams(endpoint, transport, gate)
        else:
            listener = await listen_stream(
                transport.medium, endpoint.host, endpoint.port, lambda: _PushShell(self, transport, gate)
            )
            self._close_ports.append(listener.close)
            port = listener.port
        self._gates.append(gate)
        self.places.append(Endpoint(endpoint.scheme, endpoint.host, port))

    def note(self, event: PushConnectionEvent, peer: str) -> None:
        """Note the end of a push, for the log and for who looks after the program.

        Args:
            event: how it ended.
            peer: ``host:port`` of its sender.

        """
        if isinstance(event, PushFailed):
            what = f"a push from {peer} could not be stored, and is not confirmed"
            self.troubles.note("pushes", what, event.failure)
        else:
            self.troubles.end("pushes")

    def note_unstored(self, error: BaseException, peer: str) -> None:
        """Note that the rows of a push are not durable.

        Args:
            error: why.
            peer: ``host:port`` of its sender.

        """
        if isinstance(error, StorageError):
            failure = Failure.of_storage(error)
        else:
            failure = Failure(FailureKind.INTERNAL, str(error))
        self.note(PushFailed(failure), peer)

    def close_silent(self) -> None:
        """Close the connections that have pushed nothing authentic for too long."""
        for gate in self._gates:
            for place in gate.silent(PUSH_SILENCE_S):
                place.close()

    def close(self) -> None:
        """Close all ports and connections."""
        for close in self._close_ports:
            close()
        for shell in tuple(self.shells):
            shell.close()
        self._close_ports.clear()
        self._gates.clear()
        self.places.clear()

    async def _listen_to_datagrams(self, endpoint: Endpoint, transport: Transport, gate: ConnectionGate) -> int:
        protocol = _PushDatagrams(self, transport, gate)
        line, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: protocol, local_addr=(endpoint.host, endpoint.port)
        )
        self._close_ports.append(line.close)
        bound: int = line.get_extra_info("sockname")[1]
        return bound


class _PushShell(StreamShell[PushConnectionEvent]):
    """One incoming connection; it is in ``shells`` while it is open."""

    def __init__(self, ports: PushPorts, transport: Transport, gate: ConnectionGate) -> None:
        self._over = transport
        self._connection = ports.intake.connection("", transport=transport)
        super().__init__(self._connection, ports.clock, lambda event: ports.note(event, self._peer), self._closed)
        self._ports = ports
        self._gate = gate
        self._place: ConnectionPlace | None = None
        self._peer = ""
        self._proved_at: float | None = None
        self._line: asyncio.Transport | None = None
        self._refused = self._frames = 0

    def may_feed(self, size: int) -> bool:
        """Return whether the sender may go on: it has not sent much since its last authentic push."""
        return self._place is None or self._gate.spend(self._place, size, UNPROVED_PUSH_OCTETS_MAX)

    def has_room(self) -> bool:
        """Return whether few pushes wait for the disk."""
        return self._connection.waiting < PUSHES_WAITING_MAX

    def opened(self, transport: asyncio.Transport) -> None:
        """Start, or close at once where too many are open."""
        host, port, *_ = transport.get_extra_info("peername") or ("?", 0)
        self._place = self._gate.admit(host, self.abort)
        if self._place is None:
            transport.close()
            return
        self._ports.shells.add(self)
        self._line = transport
        self._peer = f"{host}:{port}"
        self.machine = self._connection = self._ports.intake.connection(self._peer, self._keep, transport=self._over)
        self._connection.connect(self._ports.clock())
        super().opened(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Read no more."""
        self._line = None
        super().connection_lost(exc)

    def pump(self) -> None:
        """Pump, and close the connection of a peer that the link has given up."""
        super().pump()
        self._step(self._judge)

    def _judge(self) -> None:
        self._note_proof()
        self._note_cost()
        if not self._connection.is_up:
            self.close()

    def _note_proof(self) -> None:
        """Keep the place of a sender that has just pushed under its key."""
        if self._connection.proved_at != self._proved_at and self._place is not None:
            self._proved_at = self._connection.proved_at
            self._gate.prove(self._place)

    def _note_cost(self) -> None:
        """End the connection of a sender whose pushes are refused one after the other, or whose frames bring none."""
        refused, self._refused = self._connection.refused - self._refused, self._connection.refused
        frames, self._frames = self._connection.frames - self._frames, self._connection.frames
        octets = refused * REFUSED_PUSH_OCTETS + frames * FRAME_OCTETS
        if self._place is not None and not self._gate.spend(self._place, octets, UNPROVED_PUSH_OCTETS_MAX):
            self.abort()

    def _closed(self) -> None:
        self._ports.shells.discard(self)
        if self._place is not None:
            self._gate.leave(self._place)

    def _keep(self, blocks: Sequence[CaptureBlock], then: Callable[[float], None]) -> None:
        """Make pushed blocks durable, then confirm them; the peer is back-pressured meanwhile."""
        self._ports.commits.submit(blocks).add_done_callback(partial(self._kept, then))
        if not self.has_room() and self._line is not None:
            self._line.pause_reading()

    def _kept(self, then: Callable[[float], None], durable: asyncio.Future[None]) -> None:
        if durable.cancelled():
            return
        if (error := durable.exception()) is not None:
            self._ports.note_unstored(error, self._peer)
            self.close()  # unconfirmed: the sender still has its rows, and sends them again
            return
        self._step(lambda: then(self._ports.clock()))
        self.pump()
        self.feed_on()


class _PushDatagrams(asyncio.DatagramProtocol):
    """A UDP port: each datagram is whole, so that no peer is remembered beyond the confirmation of its push."""

    def __init__(self, ports: PushPorts, transport: Transport, gate: ConnectionGate) -> None:
        self._ports = ports
        self._over = transport
        self._gate = gate
        self._line: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start."""
        self._line = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: _Address) -> None:
        """Read one datagram; where too many wait for the disk it is lost, and its sender sends it again."""
        _PushedDatagram(self._ports, self._gate, addr, partial(self._send, addr)).take(data, self._over)

    def _send(self, address: _Address, octets: bytes) -> None:
        if self._line is not None and not self._line.is_closing():
            self._line.sendto(octets, address)


class _PushedDatagram:
    """One datagram until its pushes are durable and confirmed; whatever fails, it gives its place at the gate back.

    One that waits for the disk keeps its place if it was made under a key; else it makes room for another.

    Args:
        ports: whose intake reads it.
        gate: of the port.
        address: of its sender.
        send: sends one datagram back.

    """

    def __init__(
        self, ports: PushPorts, gate: ConnectionGate, address: _Address, send: Callable[[bytes], None]
    ) -> None:
        self._ports = ports
        self._gate = gate
        self._peer = f"{address[0]}:{address[1]}"
        self._send = send
        self._place = gate.admit(address[0], self._drop)
        self._waiting: set[asyncio.Future[None]] = set()

    def take(self, octets: bytes, transport: Transport) -> None:
        """Process it where it has a place; what is authentic is confirmed later."""
        if self._place is not None:
            self._step(partial(self._read, octets, transport, self._place))

    def _read(self, octets: bytes, transport: Transport, place: ConnectionPlace) -> None:
        now = self._ports.clock()
        connection = self._ports.intake.connection(
            self._peer, lambda blocks, then: self._keep(blocks, then, connection), transport=transport
        )
        connection.connect(now)
        connection.receive(octets, now)
        if connection.proved_at is not None:
            self._gate.prove(place)
        self._pump(connection)

    def _keep(self, blocks: Sequence[CaptureBlock], then: Callable[[float], None], connection: PushConnection) -> None:
        durable = self._ports.commits.submit(blocks)
        self._waiting.add(durable)
        durable.add_done_callback(lambda _: self._step(partial(self._kept, durable, then, connection)))

    def _kept(self, durable: asyncio.Future[None], then: Callable[[float], None], connection: PushConnection) -> None:
        self._waiting.discard(durable)
        error = None if durable.cancelled() else durable.exception()
        if error is not None:
            self._ports.note_unstored(error, self._peer)
        if error is not None or durable.cancelled():
            self._drop()  # unconfirmed: the sender still has its rows, and sends them again
            return
        then(self._ports.clock())
        self._pump(connection)

    def _pump(self, connection: PushConnection) -> None:
        while (event := connection.next_event()) is not None:
            self._ports.note(event, self._peer)
        while octets := connection.octets_to_send():
            self._send(octets)
        if not connection.waiting:
            self._leave()

    def _step(self, step: Callable[[], None]) -> None:
        """Run a step; where it fails, this datagram is lost, and nothing beside it."""
        try:
            step()
        except Exception as error:  # noqa: BLE001 - one datagram fails alone; it is logged with its trace
            note_defect("a pushed datagram met a defect", error, peer=self._peer)
            self._drop()

    def _drop(self) -> None:
        """Forget what waits for the disk, and give the place back."""
        for durable in tuple(self._waiting):
            self._ports.commits.withdraw(durable)
        self._waiting.clear()
        self._leave()

    def _leave(self) -> None:
        if self._place is not None:
            self._gate.leave(self._place)
