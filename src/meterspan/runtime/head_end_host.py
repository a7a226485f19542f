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
from typing import Final

from meterspan.engine.frame_trace import AssociationBlanker, FrameDirection, WrapperCutter
from meterspan.engine.links import transport_of
from meterspan.engine.session import SessionDone, SessionEvent, SessionFailed
from meterspan.head_end.device_log import Frame
from meterspan.head_end.inventory import Device
from meterspan.head_end.orders import OrderRecord
from meterspan.head_end.planner import SessionJob
from meterspan.head_end.push_intake import PushIntake
from meterspan.head_end.sessions import CollectedRows, SessionMaker
from meterspan.head_end.system import HeadEnd
from meterspan.model.failures import FailedError, Failure, FailureKind
from meterspan.model.lookup_errors import UnknownMeterError
from meterspan.model.readings import CaptureBlock
from meterspan.model.storage.errors import StorageError
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.defects import note_defect
from meterspan.runtime.endpoints import Endpoint, EndpointError
from meterspan.runtime.group_commit import GroupCommit
from meterspan.runtime.isolating_sink import IsolatingSink, RefusedRow
from meterspan.runtime.limits import ConnectionGate, connections_within
from meterspan.runtime.media import CannotConnectError, connect_stream
from meterspan.runtime.push_ports import PushPorts
from meterspan.runtime.shell import UNANSWERED_OCTETS_MAX, StreamShell
from meterspan.runtime.troubles import Troubles
from meterspan.wire.errors import WireError

__all__ = ["HeadEndHost", "HeadEndHostConfig"]

SLEEP_MAX_S: Final = 60.0
"""The planner is polled at least this often: a device may have been added without a wake."""
FRAMES_KEPT: Final = 12
"""Newest frames of each session that go into the meter's story."""
FRAME_OCTETS_MAX: Final = 1_024
"""A longer frame is cut to this length: it bounds memory use of traces."""
SESSIONS_SHARE: Final = 0.5
PUSHES_SHARE: Final = 0.25
"""Of the open files, what sessions and incoming connections may hold; the rest is the portal's."""

_log = logging.getLogger("meterspan.head_end")


@dataclass(frozen=True, slots=True)
class HeadEndHostConfig:
    """The limits of a head end.

    Attributes:
        sessions_max: sessions open at once, over all networks.
        connect_timeout_s: time allowed to open a connection.
        push_places: where pushes are taken; port 0 is any that is free.
        push_connections_max: incoming connections open at once; the oldest that has proved nothing goes for a new one.
        push_connections_per_peer_max: of them, those of one address: a concentrator, or a network behind one router.

    """

    sessions_max: int = 2_000
    connect_timeout_s: float = 10.0
    push_places: tuple[Endpoint, ...] = ()
    push_connections_max: int = 5_000
    push_connections_per_peer_max: int = 1_000


class HeadEndHost:
    """Runs a head end.

    Args:
        head_end: whose jobs are done.
        sessions: makes and settles its sessions.
        pushes: takes notifications; needed where ``config.push_places`` has any.
        config: limits and port.
        clock: UTC seconds.
        before_commit: runs in the writing thread ahead of each durable write.
        keep_orders: stores changed orders durably; runs in another thread.
        troubles: of the program: what could not be stored is one until it is.

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
        keep_orders: Callable[[Sequence[OrderRecord]], None] = lambda _records: None,
        troubles: Troubles | None = None,
    ) -> None:
        self._keep_orders = keep_orders
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
        self.troubles = Troubles(self._clock) if troubles is None else troubles
        """What does not work now."""
        self._ports = None if pushes is None else self._push_ports(pushes)
        self._sessions_max = connections_within(self._config.sessions_max, SESSIONS_SHARE)
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def open_count(self) -> int:
        """Sessions under way."""
        return len(self._open)

    @property
    def push_places(self) -> Sequence[Endpoint]:
        """Where pushes are taken, once ``run`` listens."""
        return () if self._ports is None else tuple(self._ports.places)

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
            self._store_orders(self._head_end.orders.take_changed())

    async def _round(self, tasks: asyncio.TaskGroup) -> None:
        """Start the due sessions, then sleep until there is something to do."""
        self._woken.clear()
        now = self._clock()
        self._head_end.time_out_orders(now)
        planner = self._head_end.planner
        if self._ports is not None:
            self._ports.close_silent()
        while len(self._open) < self._sessions_max and (job := planner.next_job(now)) is not None:
            self._open[job.job_id] = job
            tasks.create_task(self._hold(job))
        changed = self._head_end.orders.take_changed()
        if changed:
            await asyncio.to_thread(self._store_orders, changed)
        await self._sleep(planner.deadline() if len(self._open) < self._sessions_max else None)

    def _store_orders(self, changed: Sequence[OrderRecord]) -> None:
        """Store changed orders; where that fails, they are stored with the next ones."""
        try:
            if changed:
                self._keep_orders(changed)
                self.troubles.end("orders")
        except StorageError as error:
            self._head_end.orders.note_changed(changed)
            self.troubles.note("orders", "orders could not be stored; they are kept", error)

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
            self._note_unstored(failure)
        except FailedError as error:
            failure = error.failure
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
        if isinstance(ending, SessionFailed) and ending.failure.kind is FailureKind.STORAGE:
            self._note_unstored(ending.failure)
        elif blocks or isinstance(ending, SessionDone):
            self.troubles.end("sessions")
        if isinstance(ending, SessionFailed):
            fields = {"meter": job.target, "attempt": job.attempt, "rows": rows, "kind": ending.failure.kind}
            _log.warning("session failed", extra=fields | {"reason": str(ending.failure)})
        else:
            fields = {"meter": job.target, "rows": rows, "duration_s": round(ending.duration_s, 3)}
            _log.debug("session done", extra=fields)

    def _note_unstored(self, failure: Failure) -> None:
        self.troubles.note("sessions", "readings or counters of a session could not be stored", failure)

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
        if not self._config.push_places:
            return
        if self._ports is None:
            raise ValueError("a push port needs a push intake")
        for place in self._config.push_places:
            await self._ports.listen(place)

    def _push_ports(self, pushes: PushIntake) -> PushPorts:
        return PushPorts(pushes, self.commits, self._clock, self._push_gate, self.troubles)

    def _push_gate(self) -> ConnectionGate:
        total = connections_within(self._config.push_connections_max, PUSHES_SHARE)
        return ConnectionGate(total, self._config.push_connections_per_peer_max, self._clock)

    def _close_listener(self) -> None:
        self.listening.clear()
        if self._ports is not None:
            self._ports.close()


class _SessionShell(StreamShell[SessionEvent[CollectedRows]]):
    """The connection of one session; a meter that sends without end is asked nothing more."""

    unanswered_octets_max = UNANSWERED_OCTETS_MAX


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
