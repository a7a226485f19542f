"""A head end as a running part of a program: its sessions over TCP, and the port at which it takes pushes.

Strategy: one loop takes jobs from the planner while a session slot is free, and sleeps until the planner's deadline or
until a session ends. A session is one task and one ``StreamShell``; tasks belong to one group, so that cancelling
``run`` ends all of them. What a session means, and when it is due, is decided below.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from meterspan.engine.session import SessionDone, SessionEvent, SessionFailed
from meterspan.head_end.planner import Job
from meterspan.head_end.push_intake import PushConnection, PushIntake, PushTaken
from meterspan.head_end.sessions import Harvest, SessionMaker
from meterspan.head_end.system import HeadEnd
from meterspan.runtime.clock import SystemClock
from meterspan.runtime.endpoints import LOOPBACK, Endpoint
from meterspan.runtime.serial_line import CannotConnectError, connect_stream
from meterspan.runtime.shell import StreamShell
from meterspan.wire.errors import WireError

__all__ = ["HeadEndHost", "HeadEndHostConfig"]

SLEEP_MAX_S: Final = 60.0
"""The planner is looked at so often even if it says nothing: a device may have been added without a wake."""


@dataclass(frozen=True, slots=True)
class HeadEndHostConfig:
    """What a head end takes upon itself.

    Attributes:
        sessions_max: sessions open at once, over all networks.
        connect_timeout_s: how long a connection may take to come up.
        push_host: where pushes are taken.
        push_port: the TCP port for them; 0 is any that is free, None takes no pushes.
        push_connections_max: incoming connections open at once; more are closed at once.

    """

    sessions_max: int = 2_000
    connect_timeout_s: float = 10.0
    push_host: str = LOOPBACK
    push_port: int | None = None
    push_connections_max: int = 5_000


class HeadEndHost:
    """Runs a head end.

    Args:
        head_end: whose jobs are done.
        sessions: makes and settles its sessions.
        pushes: takes notifications; needed where ``config.push_port`` is set.
        config: limits and port.
        clock: UTC seconds.

    """

    def __init__(
        self,
        head_end: HeadEnd,
        sessions: SessionMaker,
        *,
        pushes: PushIntake | None = None,
        config: HeadEndHostConfig | None = None,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self._head_end = head_end
        self._sessions = sessions
        self._pushes = pushes
        self._config = config or HeadEndHostConfig()
        self._clock = clock or SystemClock()
        self._woken = asyncio.Event()
        self._open: dict[int, Job] = {}
        self._push_shells: set[_PushShell] = set()
        self._listener: asyncio.Server | None = None

    @property
    def open_count(self) -> int:
        """Sessions under way."""
        return len(self._open)

    @property
    def push_port(self) -> int | None:
        """The port at which pushes are taken, once ``run`` listens."""
        if self._listener is None or not self._listener.sockets:
            return None
        return int(self._listener.sockets[0].getsockname()[1])

    def wake(self) -> None:
        """Look at the planner again: a device or an order was added."""
        self._woken.set()

    async def run(self) -> None:
        """Hold sessions and take pushes until cancelled."""
        try:
            await self._listen()
            async with asyncio.TaskGroup() as tasks:
                while True:
                    await self._round(tasks)
        finally:
            self._close_listener()

    async def _round(self, tasks: asyncio.TaskGroup) -> None:
        """Start what may start, then sleep until there is something to do."""
        self._woken.clear()
        now = self._clock()
        self._head_end.time_out_orders(now)
        planner = self._head_end.planner
        while len(self._open) < self._config.sessions_max and (job := planner.next_job(now)) is not None:
            self._open[job.job_id] = job
            tasks.create_task(self._hold(job))
        await self._sleep(planner.deadline() if len(self._open) < self._config.sessions_max else None)

    async def _sleep(self, until: float | None) -> None:
        pause = SLEEP_MAX_S if until is None else min(SLEEP_MAX_S, max(0.0, until - self._clock()))
        try:
            async with asyncio.timeout(pause):
                await self._woken.wait()
        except TimeoutError:
            return

    async def _hold(self, job: Job) -> None:
        """Hold one session from connecting to settling; whatever becomes of it, the planner is told."""
        ending: SessionDone[Harvest] | SessionFailed | None = None
        reason = "the head end was stopped"
        try:
            ending = await self._session(job)
        except (CannotConnectError, WireError, ValueError) as error:
            reason = str(error)
        except KeyError:
            reason = f"{job.target} is not in the inventory"
        finally:
            self._open.pop(job.job_id, None)
            self._woken.set()
            if ending is None:
                self._sessions.fail(job, reason, self._clock())
            else:
                self._sessions.close(job, ending, self._clock())

    async def _session(self, job: Job) -> SessionDone[Harvest] | SessionFailed:
        session = self._sessions.open(job, self._clock())
        ended: asyncio.Future[SessionDone[Harvest] | SessionFailed] = asyncio.get_running_loop().create_future()

        def on_event(event: SessionEvent[Harvest]) -> None:
            if isinstance(event, SessionDone | SessionFailed) and not ended.done():
                ended.set_result(event)

        shell: StreamShell[SessionEvent[Harvest]] = StreamShell(session, self._clock, on_event)
        await connect_stream(self._endpoint(job), lambda: shell, timeout_s=self._config.connect_timeout_s)
        try:
            session.start(self._clock())
            shell.pump()
            return await ended
        finally:
            shell.close()

    def _endpoint(self, job: Job) -> Endpoint:
        device = self._head_end.inventory.get(job.target)
        host, _, port = ("" if device is None else device.endpoint).rpartition(":")
        if not host or not port.isdigit():
            raise ValueError(f"{job.target} has no endpoint of the form host:port")
        return Endpoint("tcp", host.strip("[]"), int(port))

    # Pushes.

    async def _listen(self) -> None:
        if self._config.push_port is None:
            return
        if self._pushes is None:
            raise ValueError("a push port needs a push intake")
        intake = self._pushes
        self._listener = await asyncio.get_running_loop().create_server(
            lambda: _PushShell(intake, self._clock, self._push_shells, self._config.push_connections_max),
            self._config.push_host,
            self._config.push_port,
        )

    def _close_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for shell in tuple(self._push_shells):
            shell.close()


class _PushShell(StreamShell[PushTaken]):
    """One incoming connection; it stands in ``shells`` while it is open."""

    def __init__(
        self, intake: PushIntake, clock: Callable[[], float], shells: "set[_PushShell]", connections_max: int
    ) -> None:
        super().__init__(intake.connection(""), clock, lambda _: None, lambda: shells.discard(self))
        self._intake = intake
        self._shells = shells
        self._connections_max = connections_max
        self._time = clock

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start, or close at once where too many are open."""
        if len(self._shells) >= self._connections_max:
            transport.close()
            return
        self._shells.add(self)
        host, port, *_ = transport.get_extra_info("peername") or ("?", 0)
        machine = self._intake.connection(f"{host}:{port}")
        machine.connect(self._time())
        self.machine = machine
        super().connection_made(transport)

    def pump(self) -> None:
        """Pump, and close the connection of a peer that the link has given up."""
        super().pump()
        machine = self.machine
        if isinstance(machine, PushConnection) and not machine.is_up:
            self.close()
