"""The planner: which device is read next, for what, and when again after a failure.

Strategy: a *target* is a device that holds sessions (a meter, or an access point with the meters behind it). Every
target has one wake time; then the holes of the ledger become the session's tasks, so scheduled reading and
gap recovery are the same. Orders (on-demand reads) join a session or start one at once. Each network segment
bounds its open sessions and their starts per second; a target has a courtesy gap and backs off after failures.
"""

import heapq
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from meterspan.model.order_errors import TooManyOrdersError
from meterspan.quantities import Obis

__all__ = ["Hole", "NetworkPolicy", "Order", "Planner", "ReadPolicy", "SessionJob", "Task", "TaskKind"]

ORDERS_PER_TARGET_MAX: Final = 256
"""Unanswered orders of one target: one for each meter behind the largest access point."""
ORDERS_MAX: Final = 10_000
"""Orders whose deadline is to come, over all targets: one campaign over a town."""


class TaskKind(IntEnum):
    """Why something is asked; lower is more urgent."""

    ON_DEMAND = 0
    SCHEDULED = 1
    RECOVERY = 2
    CLOCK = 3


@dataclass(frozen=True, slots=True)
class Hole:
    """Values missing from one device: profile (or register) ``profile`` for ``start < t <= end`` (UTC seconds)."""

    device: str
    profile: Obis | None
    obis: tuple[Obis, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Order:
    """An on-demand read: answered or timed out, never silent."""

    order_id: int
    device: str
    obis: tuple[Obis, ...]
    deadline: float
    author: str = ""
    """Who ordered it; shown in the meter's story."""


@dataclass(frozen=True, slots=True)
class Task:
    """One thing to do in a session: fill a hole, answer an order, or check the clock."""

    kind: TaskKind
    hole: Hole | None = None
    order: Order | None = None


@dataclass(frozen=True, slots=True)
class SessionJob:
    """One session to hold with a target now."""

    job_id: int
    target: str
    network: str
    tasks: tuple[Task, ...]
    attempt: int
    """1 for the first try since the last success."""


@dataclass(frozen=True, slots=True)
class ReadPolicy:
    """When targets are read.

    Attributes:
        read_every_s: time between scheduled sessions of one target.
        spread_s: targets are spread over this many seconds after the mark, by their names.
        settle_s: values younger than this are not asked for (the meter may still be capturing).
        retry_first_s: wait after the first failure.
        retry_factor: each further failure multiplies the wait.
        retry_max_s: the longest wait.
        courtesy_gap_s: least time between two sessions with one target.
        order_gap_s: the same where an order waits, which somebody waits for.
        clock_check_every_s: time between clock checks of one target.
        hole_span_max_s: longest span asked for in one task; longer holes become several.
        tasks_per_session_max: tasks in one session; the rest waits for the next.
        empty_reads_max: a hole that stays empty after this many successful reads is not requested again.

    """

    read_every_s: int = 3_600
    spread_s: int = 600
    settle_s: int = 60
    retry_first_s: float = 30.0
    retry_factor: float = 2.0
    retry_max_s: float = 3_600.0
    courtesy_gap_s: float = 5.0
    order_gap_s: float = 1.0
    clock_check_every_s: int = 86_400
    hole_span_max_s: int = 7 * 86_400
    tasks_per_session_max: int = 64
    empty_reads_max: int = 3


@dataclass(frozen=True, slots=True)
class NetworkPolicy:
    """The limits of one network segment.

    Attributes:
        sessions_max: sessions open at the same time.
        starts_per_s_max: new sessions per second.

    """

    sessions_max: int = 1_000
    starts_per_s_max: float = 500.0


@dataclass(slots=True)
class _Target:
    network: str
    due: float
    failures: int = 0
    ended_at: float | None = None
    """When its last session ended."""
    is_open: bool = False
    is_waiting: bool = False
    clock_due: float = 0.0
    orders: dict[int, Order] = field(default_factory=dict)
    """Unanswered orders by number, oldest first."""
    empty_reads: dict[Hole, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Network:
    policy: NetworkPolicy
    open_count: int = 0
    starts: deque[float] = field(default_factory=deque)
    waiting: deque[str] = field(default_factory=deque)
    """Targets that are due while the segment is full; orders are first."""

    def admits(self, now: float) -> bool:
        """Whether one more session may start."""
        while self.starts and self.starts[0] <= now - 1.0:
            self.starts.popleft()
        return self.open_count < self.policy.sessions_max and len(self.starts) < self.policy.starts_per_s_max


class Planner:
    """Returns jobs in order of urgency, within the limits of networks and devices.

    Args:
        policy: when targets are read.
        holes_of: returns the holes of a target up to an instant; called when its session starts.
        networks: limits by segment; segments not named here have the default limits.

    """

    def __init__(
        self,
        policy: ReadPolicy,
        holes_of: Callable[[str, int], Sequence[Hole]],
        networks: dict[str, NetworkPolicy] | None = None,
    ) -> None:
        self._policy = policy
        self._holes_of = holes_of
        self._networks = {name: _Network(limits) for name, limits in (networks or {}).items()}
        self._targets: dict[str, _Target] = {}
        self._wakes: list[tuple[float, str]] = []
        self._order_ends: list[tuple[float, int, str]] = []
        self._open: dict[int, SessionJob] = {}
        self._job_count = 0
        self._order_count = 0

    def add(self, target: str, network: str, now: float) -> None:
        """Add a target to the plan; adding a known one changes its segment only."""
        known = self._targets.get(target)
        if known is not None:
            known.network = network
            return
        self._targets[target] = _Target(network, now + self._offset(target), clock_due=now)
        self._wake(target)

    def drop(self, target: str) -> None:
        """Plan nothing more for a target; an open session ends by itself."""
        self._targets.pop(target, None)

    def order(
        self, target: str, device: str, obis: Sequence[Obis], *, now: float, deadline: float, author: str = ""
    ) -> Order:
        """Ask for registers of ``device`` now, through ``target``.

        Args:
            target: the device that the session is held with.
            device: the device whose registers are read.
            obis: the registers.
            now: UTC seconds.
            deadline: UTC seconds at which the order times out.
            author: who orders it.

        Raises:
            KeyError: the target is not planned.
            TooManyOrdersError: too many orders wait for the target, or in all.

        """
        plan = self._targets[target]
        if len(plan.orders) >= ORDERS_PER_TARGET_MAX:
            raise TooManyOrdersError(len(plan.orders), target)
        if len(self._order_ends) >= ORDERS_MAX:
            raise TooManyOrdersError(len(self._order_ends))
        self._order_count += 1
        order = Order(self._order_count, device, tuple(obis), deadline, author)
        self._place(target, order, now)
        return order

    def resume_order(self, target: str, order: Order, now: float) -> bool:
        """Ask again for an order of an earlier start; return False where the target is not planned any more."""
        self.count_orders_from(order.order_id)
        if target not in self._targets:
            return False
        self._place(target, order, now)
        return True

    def count_orders_from(self, last: int) -> None:
        """Continue the numbers of orders after ``last``, the highest one of an earlier start."""
        self._order_count = max(self._order_count, last)

    def _place(self, target: str, order: Order, now: float) -> None:
        plan = self._targets[target]
        plan.orders[order.order_id] = order
        heapq.heappush(self._order_ends, (order.deadline, order.order_id, target))
        plan.due = min(plan.due, now)
        self._wake(target)

    def overdue_orders(self, now: float) -> list[Order]:
        """Remove and return all orders whose deadline has passed unanswered."""
        overdue: list[Order] = []
        while self._order_ends and self._order_ends[0][0] <= now:
            _, order_id, target = heapq.heappop(self._order_ends)
            plan = self._targets.get(target)
            order = None if plan is None else plan.orders.pop(order_id, None)
            if order is not None:
                overdue.append(order)
        return overdue

    def withdraw_orders(self, job: SessionJob, numbers: Iterable[int]) -> None:
        """Ask no more for orders of a job."""
        plan = self._targets.get(job.target)
        if plan is not None:
            for number in numbers:
                plan.orders.pop(number, None)

    def next_job(self, now: float) -> SessionJob | None:
        """Return the most urgent session that may start now, or None."""
        for network in self._networks.values():
            while network.waiting and network.admits(now):
                job = self._start(network.waiting.popleft(), now)
                if job is not None:
                    return job
        while self._wakes and self._wakes[0][0] <= now:
            _, target = heapq.heappop(self._wakes)
            plan = self._targets.get(target)
            if plan is None or plan.is_open or plan.is_waiting or self._wake_time(plan) > now:
                continue
            network = self._network(plan.network)
            if not network.admits(now):
                plan.is_waiting = True
                (network.waiting.appendleft if plan.orders else network.waiting.append)(target)
                continue
            job = self._start(target, now)
            if job is not None:
                return job
        return None

    def finished(self, job: SessionJob, *, ok: bool, now: float) -> None:
        """Note the end of a session; answered orders leave, a failure backs off unless an order waits."""
        self._open.pop(job.job_id, None)
        network = self._network(job.network)
        network.open_count -= 1
        plan = self._targets.get(job.target)
        if plan is None:
            return
        plan.is_open = False
        plan.ended_at = now
        if ok:
            self._succeeded(plan, job, now)
        else:
            plan.failures += 1
            wait = self._policy.retry_first_s * self._policy.retry_factor ** (plan.failures - 1)
            pause = min(wait, self._policy.retry_max_s) * _jitter(job.target, plan.failures)
            plan.due = now if plan.orders else now + pause
        self._wake(job.target)

    def deadline(self) -> float | None:
        """When the next session may start or the next order times out, or None."""
        times = [heap[0][0] for heap in (self._order_ends, self._wakes) if heap]
        times += [
            network.starts[0] + 1.0
            for network in self._networks.values()
            if network.waiting and network.open_count < network.policy.sessions_max and network.starts
        ]
        return min(times, default=None)

    def failures(self, target: str) -> int:
        """Sessions failed in a row."""
        plan = self._targets.get(target)
        return 0 if plan is None else plan.failures

    def next_attempt(self, target: str) -> float | None:
        """When the next session with a target may start, UTC seconds; None while one is open, or it is not planned."""
        plan = self._targets.get(target)
        return None if plan is None or plan.is_open else self._wake_time(plan)

    def is_planned(self, target: str) -> bool:
        """Whether sessions are held with a target."""
        return target in self._targets

    def due_by(self, now: float) -> float:
        """Return the instant whose values every healthy target has delivered by ``now``.

        A value waits at most for the next scheduled session: settling, the read period and the spread.
        """
        return now - self._policy.settle_s - self._policy.read_every_s - self._policy.spread_s

    @property
    def open_count(self) -> int:
        """Sessions open now."""
        return len(self._open)

    def _start(self, target: str, now: float) -> SessionJob | None:
        plan = self._targets.get(target)
        if plan is None:
            return None
        plan.is_waiting = False
        tasks = self._tasks(target, plan, now)
        if not tasks:
            plan.due = self._next_mark(target, now)
            self._wake(target)
            return None
        self._job_count += 1
        job = SessionJob(self._job_count, target, plan.network, tasks, plan.failures + 1)
        self._open[job.job_id] = job
        plan.is_open = True
        network = self._network(plan.network)
        network.open_count += 1
        network.starts.append(now)
        return job

    def _tasks(self, target: str, plan: _Target, now: float) -> tuple[Task, ...]:
        tasks = [Task(TaskKind.ON_DEMAND, order=order) for order in plan.orders.values()]
        fresh = now - self._policy.read_every_s - self._policy.spread_s
        for hole in self._holes_of(target, int(now - self._policy.settle_s)):
            if plan.empty_reads.get(hole, 0) >= self._policy.empty_reads_max:
                continue
            for part in _parts(hole, self._policy.hole_span_max_s):
                kind = TaskKind.SCHEDULED if part.start >= fresh else TaskKind.RECOVERY
                tasks.append(Task(kind, hole=part))
        if now >= plan.clock_due:
            tasks.append(Task(TaskKind.CLOCK))
        tasks.sort(key=lambda task: task.kind)
        return tuple(tasks[: self._policy.tasks_per_session_max])

    def _succeeded(self, plan: _Target, job: SessionJob, now: float) -> None:
        plan.failures = 0
        _remove_orders(plan, job)
        if any(task.kind is TaskKind.CLOCK for task in job.tasks):
            plan.clock_due = now + self._policy.clock_check_every_s
        parts = {task.hole for task in job.tasks if task.hole is not None}
        left = set(self._holes_of(job.target, int(now - self._policy.settle_s)))
        asked = {hole for hole in left if parts.issuperset(_parts(hole, self._policy.hole_span_max_s))}
        plan.empty_reads = {
            hole: plan.empty_reads.get(hole, 0) + (hole in asked)
            for hole in left
            if hole in asked or hole in plan.empty_reads
        }
        more = plan.orders or (left - asked and len(job.tasks) >= self._policy.tasks_per_session_max)
        plan.due = now if more else self._next_mark(job.target, now)

    def _network(self, name: str) -> _Network:
        return self._networks.setdefault(name, _Network(NetworkPolicy()))

    def _wake(self, target: str) -> None:
        heapq.heappush(self._wakes, (self._wake_time(self._targets[target]), target))

    def _wake_time(self, plan: _Target) -> float:
        if plan.ended_at is None:
            return plan.due
        gap = self._policy.order_gap_s if plan.orders else self._policy.courtesy_gap_s
        return max(plan.due, plan.ended_at + min(gap, self._policy.courtesy_gap_s))

    def _next_mark(self, target: str, now: float) -> float:
        every = self._policy.read_every_s
        offset = self._offset(target)
        return (int((now - offset) // every) + 1) * every + offset

    def _offset(self, target: str) -> float:
        """Spread targets evenly and the same way every day."""
        return self._policy.settle_s + zlib.crc32(target.encode()) % max(1, self._policy.spread_s)


def _remove_orders(plan: _Target, job: SessionJob) -> None:
    for task in job.tasks:
        if task.order is not None:
            plan.orders.pop(task.order.order_id, None)


def _parts(hole: Hole, span_max_s: int) -> list[Hole]:
    starts = range(hole.start, hole.end, span_max_s)
    return [Hole(hole.device, hole.profile, hole.obis, start, min(start + span_max_s, hole.end)) for start in starts]


def _jitter(target: str, failures: int) -> float:
    """Return 0.8..1.2, the same for the same failure, so that meters are not all tried at once after an outage."""
    return 0.8 + 0.4 * (zlib.crc32(f"{target}/{failures}".encode()) % 1_000) / 1_000
