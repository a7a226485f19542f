"""A head end as a running part of a program: its sessions over TCP, and the port at which it takes pushes.

Strategy: one loop takes jobs from the planner while a session slot is free, and sleeps until the planner's deadline or
until a session ends. A session is one task and one ``StreamShell``; tasks belong to one group, so that cancelling
``run`` ends all of them. Rows of sessions and pushes are made durable in groups, and only then counted and confirmed.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from meterspan.engine.frame_trace import AssociationBlanker, FrameDirection, WrapperCutter
from meterspan.engine.links import transport_of
from meterspan.engine.session import SessionDone, SessionEvent, SessionFailed
from meterspan.head_end.device_log import Frame
from meterspan.head_end.inventory import Device
from meterspan.head_end.planner import SessionJob
from meterspan.head_end.push_intake import PushConnectionEvent, PushIntake
from meterspan.head_end.sessions import CollectedRows, SessionMaker
from meterspan.head_end.system import HeadEnd
from meterspan.model.failures import Failure, FailureKind
from meterspan.model.lookup_errors import UnknownMeterError
from meterspan.model.readings import CaptureBlock
from meterspan.model.storage.errors import StorageError
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.defects import note_defect
from meterspan.runtime.endpoints import LOOPBACK, Endpoint, EndpointError
from meterspan.runtime.group_commit import GroupCommit
from meterspan.runtime.isolating_sink import IsolatingSink, RefusedRow
from meterspan.runtime.limits import ConnectionGate, ConnectionPlace, connections_within
from meterspan.runtime.media import CannotConnectError, OpenPort, connect_stream, listen_stream
from meterspan.runtime.shell import UNANSWERED_OCTETS_MAX, StreamShell
from meterspan.wire.errors import WireError

__all__ = ["HeadEndHost", "HeadEndHostConfig"]

SLEEP_MAX_S: Final = 60.0
"""The planner is polled at least this often: a device may have been added without a wake."""
FRAMES_KEPT: Final = 12
"""Newest frames of each session that go into the meter's story."""
FRAME_OCTETS_MAX: Final = 1_024
"""A longer frame is cut to this length: it bounds memory use of traces."""
PUSH_SILENCE_S: Final = 180.0
"""An incoming connection that sends no authentic push for so long is closed, whatever else it sends (class 41's
inactivity_time_out)."""
SESSIONS_SHARE: Final = 0.5
PUSHES_SHARE: Final = 0.25
"""Of the open files, what sessions and incoming connections may hold; the rest is the portal's."""
PUSHES_WAITING_MAX: Final = 16
"""Pushes of one connection that may wait for the disk before nothing more is read from it."""

UNPROVED_PUSH_OCTETS_MAX: Final = 1 << 17
"""Octets of a sender since its last authentic push: the longest push twice."""
REFUSED_PUSH_OCTETS: Final = 1_024
"""What a refused push counts for beside its octets: 128 in a row end the connection."""

_log = logging.getLogger("meterspan.head_end")


@dataclass(frozen=True, slots=True)
class HeadEndHostConfig:
    """The limits of a head end.

    Attributes:
        sessions_max: sessions open at once, over all networks.
        connect_timeout_s: time allowed to open a connection.
        push_host: where pushes are taken.
        push_port: the TCP port for them; 0 is any that is free, None takes no pushes.
        push_connections_max: incoming connections open at once; the oldest that has proved nothing goes for a new one.
        push_connections_per_peer_max: of them, those of one address: a concentrator, or a network behind one router.

    """

    sessions_max: int = 2_000
    connect_timeout_s: float = 10.0
    push_host: str = LOOPBACK
    push_port: int | None = None
    push_connections_max: int = 5_000
    push_connections_per_peer_max: int = 1_000


class HeadEndHost:
    """Runs a head end.

    Args:
        head_end: whose jobs are done.
        sessions: makes and settles its sessions.
        pushes: takes notifications; needed where ``config.push_port`` is set.
        config: limits and port.
        clock: UTC seconds.
        before_commit: runs in the writing thread ahead of each durable write.

    """

    def __init__(
        self,
        head_end: HeadEnd,
        sessions: SessionMaker,
        *,
        pushes: PushIntake | None = None,
        config: HeadEndHostConfig | None = None,
        clock: Callable[[], float] | None = None,
        before_commit: Callable[[], None] = lambda: None,
    ) -> None:
        self.commits = GroupCommit(IsolatingSink(head_end.sink, self._refused), before=before_commit)
        self.listening = asyncio.Event()
        """Set once pushes are taken (where they are)."""
        self._head_end = head_end
        self._sessions = sessions
        self._pushes = pushes
        self._config = config or HeadEndHostConfig()
        self._clock = clock or SystemClock()
        self._woken = asyncio.Event()
        self._open: dict[int, SessionJob] = {}
        total = connections_within(self._config.push_connections_max, PUSHES_SHARE)
        self._gate = ConnectionGate(total, self._config.push_connections_per_peer_max, self._clock)
        self._sessions_max = connections_within(self._config.sessions_max, SESSIONS_SHARE)
        self._push_shells: set[_PushShell] = set()
        self._listener: OpenPort | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def open_count(self) -> int:
        """Sessions under way."""
        return len(self._open)

    @property
    def push_port(self) -> int | None:
        """The port at which pushes are taken, once ``run`` listens."""
        return None if self._listener is None else self._listener.port

    def wake(self) -> None:
        """Look at the planner again: a device or an order was added."""
        self._woken.set()

    async def run(self) -> None:
        """Hold sessions and take pushes until cancelled."""
        self._loop = asyncio.get_running_loop()
        try:
            await self._listen()
            self.listening.set()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self.commits.run())
                while True:
                    await self._round(tasks)
        finally:
            self._close_listener()

    async def _round(self, tasks: asyncio.TaskGroup) -> None:
        """Start the due sessions, then sleep until there is something to do."""
        self._woken.clear()
        now = self._clock()
        self._head_end.time_out_orders(now)
        planner = self._head_end.planner
        for place in self._gate.silent(PUSH_SILENCE_S):
            place.close()
        while len(self._open) < self._sessions_max and (job := planner.next_job(now)) is not None:
            self._open[job.job_id] = job
            tasks.create_task(self._hold(job))
        await self._sleep(planner.deadline() if len(self._open) < self._sessions_max else None)

    async def _sleep(self, until: float | None) -> None:
        pause = SLEEP_MAX_S if until is None else min(SLEEP_MAX_S, max(0.0, until - self._clock()))
        try:
            async with asyncio.timeout(pause):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _hold(self, job: SessionJob) -> None:
        """Hold one session from connecting to settling; the planner gets every outcome."""
        failure = Failure(FailureKind.CANCELLED, "the head end was stopped")
        is_settled = False
        try:
            ending = await self._session(job)
            await self._settle(job, ending)
            is_settled = True
        except WireError as error:
            failure = Failure.of_error(error)
        except (CannotConnectError, EndpointError) as error:
            failure = Failure(FailureKind.UNREACHABLE, str(error))
        except UnknownMeterError as error:
            failure = Failure(FailureKind.UNKNOWN_DEVICE, str(error))
        except StorageError as error:
            failure = Failure.of_storage(error)
        except Exception as error:  # noqa: BLE001 - no session may end the others; it is logged with its trace
            failure = Failure(FailureKind.INTERNAL, f"{type(error).__name__}: {error}")
            note_defect("a defect ended a session", error, meter=job.target, attempt=job.attempt)
        finally:
            self._open.pop(job.job_id, None)
            self._woken.set()
            if not is_settled:
                self._sessions.fail(job, failure, self._clock())
                fields = {"meter": job.target, "attempt": job.attempt, "kind": failure.kind, "reason": str(failure)}
                _log.warning("session failed", extra=fields)

    async def _settle(self, job: SessionJob, ending: SessionDone[CollectedRows] | SessionFailed) -> None:
        """Make the rows of a session durable; only then count them and report to the planner."""
        blocks = self._head_end.known(self._sessions.collected(job, self._clock()))
        if blocks:
            await self._stored(blocks)
        now = self._clock()
        self._head_end.credit(blocks, now)
        self._sessions.settle(job, ending, now)
        rows = sum(len(block.times) for block in blocks)
        if isinstance(ending, SessionFailed):
            fields = {"meter": job.target, "attempt": job.attempt, "rows": rows, "kind": ending.failure.kind}
            _log.warning("session failed", extra=fields | {"reason": str(ending.failure)})
        else:
            fields = {"meter": job.target, "rows": rows, "duration_s": round(ending.duration_s, 3)}
            _log.debug("session done", extra=fields)

    async def _stored(self, blocks: Sequence[CaptureBlock]) -> None:
        """Wait until blocks are durable.

        Raises:
            StorageError: they cannot be stored now.

        """
        try:
            await self.commits.submit(blocks)
        except ValueError as error:
            raise StorageError(f"the store refuses these values ({error})") from error

    def _refused(self, row: RefusedRow) -> None:
        """Quarantine a row that cannot be stored; called in the writing thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._head_end.quarantine_frame, row.quarantined())

    async def _session(self, job: SessionJob) -> SessionDone[CollectedRows] | SessionFailed:
        device = self._head_end.inventory.get(job.target)
        endpoint = _endpoint(job.target, device)
        session = self._sessions.open(job, self._clock())
        frames: deque[Frame] = deque(maxlen=FRAMES_KEPT)
        protocol = "" if device is None else str(device.protocol)
        ended: asyncio.Future[SessionDone[CollectedRows] | SessionFailed] = asyncio.get_running_loop().create_future()

        def on_event(event: SessionEvent[CollectedRows]) -> None:
            if isinstance(event, SessionDone | SessionFailed) and not ended.done():
                ended.set_result(event)

        blankers = {way: _blanker(device) for way in FrameDirection}

        def on_octets(direction: FrameDirection, octets: bytes, now: float) -> None:
            frames.extend(
                Frame(now, direction is FrameDirection.SENT, protocol, shown[:FRAME_OCTETS_MAX])
                for shown in blankers[direction].feed(octets)
            )

        def on_failed(error: Exception) -> None:
            if not ended.done():
                ended.set_exception(error)

        shell = _SessionShell(session, self._clock, on_event, on_octets=on_octets, on_failed=on_failed)
        await connect_stream(endpoint, lambda: shell, timeout_s=self._config.connect_timeout_s)
        try:
            session.start(self._clock())
            shell.pump()
            return await ended
        finally:
            shell.close()
            for frame in frames:
                self._head_end.device_log.frame(job.target, frame)

    # Pushes.

    async def _listen(self) -> None:
        if self._config.push_port is None:
            return
        if self._pushes is None:
            raise ValueError("a push port needs a push intake")
        make = partial(_PushShell, self._pushes, self._clock, self._push_shells, self._gate, self.commits)
        self._listener = await listen_stream("tcp", self._config.push_host, self._config.push_port, make)

    def _close_listener(self) -> None:
        self.listening.clear()
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for shell in tuple(self._push_shells):
            shell.close()


class _SessionShell(StreamShell[SessionEvent[CollectedRows]]):
    """The connection of one session; a meter that sends without end is asked nothing more."""

    unanswered_octets_max = UNANSWERED_OCTETS_MAX


class _PushShell(StreamShell[PushConnectionEvent]):
    """One incoming connection; it is in ``shells`` while it is open."""

    def __init__(
        self,
        intake: PushIntake,
        clock: Callable[[], float],
        shells: "set[_PushShell]",
        gate: ConnectionGate,
        commits: GroupCommit,
    ) -> None:
        self._connection = intake.connection("")
        super().__init__(self._connection, clock, lambda _: None, self._closed)
        self._intake = intake
        self._shells = shells
        self._gate = gate
        self._place: ConnectionPlace | None = None
        self._commits = commits
        self._time = clock
        self._peer = ""
        self._proved_at: float | None = None
        self._line: asyncio.Transport | None = None
        self._refused = 0

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
        self._shells.add(self)
        self._line = transport
        self._peer = f"{host}:{port}"
        self.machine = self._connection = self._intake.connection(self._peer, self._keep)
        self._connection.connect(self._time())
        super().opened(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        """Read no more."""
        self._line = None
        super().connection_lost(exc)

    def pump(self) -> None:
        """Pump, and close the connection of a peer that the link has given up."""
        super().pump()
        self._note_proof()
        self._note_refusals()
        if not self._connection.is_up:
            self.close()

    def _note_proof(self) -> None:
        """Keep the place of a sender that has just pushed under its key."""
        if self._connection.proved_at != self._proved_at and self._place is not None:
            self._proved_at = self._connection.proved_at
            self._gate.prove(self._place)

    def _note_refusals(self) -> None:
        """End the connection of a sender whose pushes are refused one after the other."""
        refused, self._refused = self._connection.refused - self._refused, self._connection.refused
        octets = refused * REFUSED_PUSH_OCTETS
        if self._place is not None and not self._gate.spend(self._place, octets, UNPROVED_PUSH_OCTETS_MAX):
            self.abort()

    def _closed(self) -> None:
        self._shells.discard(self)
        if self._place is not None:
            self._gate.leave(self._place)

    def _keep(self, blocks: Sequence[CaptureBlock], then: Callable[[float], None]) -> None:
        """Make pushed blocks durable, then confirm them; the peer is back-pressured meanwhile."""
        self._commits.submit(blocks).add_done_callback(partial(self._kept, then))
        if not self.has_room() and self._line is not None:
            self._line.pause_reading()

    def _kept(self, then: Callable[[float], None], durable: asyncio.Future[None]) -> None:
        if durable.cancelled():
            return
        error = durable.exception()
        if error is not None:
            _log.error("a push could not be stored", extra={"peer": self._peer, "reason": str(error)})
            self.close()  # unconfirmed: the sender still has its rows, and sends them again
            return
        then(self._time())
        self.pump()
        self.feed_on()


def _blanker(device: Device | None) -> AssociationBlanker:
    """Return what removes passwords from one direction of a session."""
    transport = None if device is None else transport_of(device.protocol)
    return AssociationBlanker(WrapperCutter if transport is None else transport.cutter)


def _endpoint(target: str, device: Device | None) -> Endpoint:
    """Return where a device is reached.

    Raises:
        ValueError: it is unknown, is read by no session, or has no host and port.

    """
    transport = None if device is None else transport_of(device.protocol)
    host, _, port = ("" if device is None else device.endpoint).rpartition(":")
    if transport is None or not host or not port.isdigit():
        raise ValueError(f"{target} has no endpoint of the form host:port")
    return Endpoint(transport.scheme, host.strip("[]"), int(port))
