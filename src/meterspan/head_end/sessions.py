"""From jobs to sessions and back: the requests to a target in one association, and the use of its answers.

Strategy: the script of a job reads the holes profile by profile, answers orders, and checks the clock; each answer
goes into the job's ``CollectedRows`` at once, so that a broken session keeps what it has read. ``close`` stores the
rows durably and only then reports to the planner. Behind an access point, the M-BusClient object must name the meter
before a value of its channel is credited to that meter.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, tzinfo
from typing import Final, TypeAlias

from meterspan.engine.association.client import ClientAssociation
from meterspan.engine.association.records import AssociationSettings, Get
from meterspan.engine.links import LinkAddresses, Transport, transport_of
from meterspan.engine.scripts import (
    ClockPolicy,
    ProfileLayout,
    read_clock,
    read_profile,
    read_profile_layout,
    read_push_objects,
    read_registers,
    set_clock,
    shift_clock,
    to_capture_block,
)
from meterspan.engine.session import RefusedError, Script, Session, SessionDone, SessionFailed, ask_time, fetch_each
from meterspan.head_end.clock_setting import ClockSetting
from meterspan.head_end.contexts import ContextCache
from meterspan.head_end.counter_recovery import CounterRecovery
from meterspan.head_end.inventory import Device
from meterspan.head_end.planner import Hole, Order, SessionJob, Task, TaskKind
from meterspan.head_end.system import HeadEnd
from meterspan.model.cosem.classes import ExtendedRegister, MBusClient, Register
from meterspan.model.failures import Failure
from meterspan.model.identity import mbus_client_identity
from meterspan.model.lookup_errors import UnknownMeterError
from meterspan.model.ports import Entropy, StateStore
from meterspan.model.readings import CaptureBlock, EventSeverity, Source
from meterspan.quantities import SHIFT_MAX_S, ClockTime, Obis, Scaled
from meterspan.wire.axdr import Data
from meterspan.wire.errors import WireError

__all__ = ["CollectedRows", "SessionMaker"]

SESSION_TIMEOUT_S: Final = 120.0
"""A session's timeout: enough for a week of quarter hours over a slow cell."""
CLOCK_TOLERANCE_S: Final = 5
"""A clock within this is left alone (UC-I2); a round trip over a slow network is not a deviation."""
CLOCK_SET_MAX_S: Final = 3_600.0
"""Seconds by which one clock is moved within 24 hours by default; what is further off is for a person to look at."""
LAYOUTS_KEPT: Final = 100_000
"""Profile layouts remembered, one or two per meter."""

JobSession: TypeAlias = "Session[CollectedRows]"


@dataclass(slots=True)
class CollectedRows:
    """The rows, answers and notes of a job's session so far."""

    blocks: list[CaptureBlock] = field(default_factory=list)
    answers: dict[int, dict[Obis, Scaled]] = field(default_factory=dict)
    """On-demand answers, by order."""
    notes: list[tuple[str, str, str, EventSeverity]] = field(default_factory=list)
    """(device, kind, title, severity) for the meters' stories."""


class SessionMaker:
    """Makes and settles the sessions of a head end.

    Args:
        head_end: whose jobs these are.
        contexts: security contexts, shared with the push intake.
        entropy: source of random octets for challenges.
        zone: reads clock times without deviation.
        state: keeps when counters were tried; None forgets it at the end of the program.
        clock_set_max_s: seconds by which one meter's clock may be moved within 24 hours.
        own_step_s: returns the seconds by which the machine's clock was stepped since the start.

    """

    def __init__(
        self,
        head_end: HeadEnd,
        *,
        contexts: ContextCache,
        entropy: Entropy,
        zone: tzinfo = UTC,
        state: StateStore | None = None,
        clock_set_max_s: float = CLOCK_SET_MAX_S,
        own_step_s: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._head_end = head_end
        self._clocks = ClockSetting(clock_set_max_s, own_step_s)
        self._contexts = contexts
        self._recovery = CounterRecovery(head_end, contexts, state)
        self._entropy = entropy
        self._policy = ClockPolicy(zone)
        self._layouts: dict[tuple[str, Obis], ProfileLayout] = {}
        self._verified: set[str] = set()
        self._collected: dict[int, CollectedRows] = {}

    def open(self, job: SessionJob, now: float) -> JobSession:  # noqa: ARG002 (one signature with close and fail)
        """Make the session of a job; start it when the medium is there.

        Raises:
            UnknownMeterError: the target is not in the inventory.
            KeyWrongError: the device's keys were wrapped under another master key.

        """
        device = self._head_end.inventory.get(job.target)
        if device is None:
            raise UnknownMeterError(job.target)
        collected = self._collected[job.job_id] = CollectedRows()
        association = self._association(device)
        return Session(association, self._script(device, job.tasks, collected), timeout_s=SESSION_TIMEOUT_S)

    def close(self, job: SessionJob, ending: SessionDone[CollectedRows] | SessionFailed, now: float) -> CollectedRows:
        """Settle an ended session: store its rows, then report to the planner; returns the rows."""
        self._head_end.take(self.collected(job, now), now)
        return self.settle(job, ending, now)

    def collected(self, job: SessionJob, now: float) -> list[CaptureBlock]:
        """Return the rows that a session has collected.

        A caller that stores them before ``close`` calls ``credit``, then ``settle``.
        """
        collected = self._collected.get(job.job_id, CollectedRows())
        return [replace(block, received_at=int(now)) for block in collected.blocks]

    def settle(self, job: SessionJob, ending: SessionDone[CollectedRows] | SessionFailed, now: float) -> CollectedRows:
        """Report an ended session to the planner, once its rows are durable and credited."""
        collected = self._collected.pop(job.job_id, CollectedRows())
        for device, kind, title, severity in collected.notes:
            self._head_end.note(device, kind, title, now, severity=severity)
        for order_id, values in collected.answers.items():
            self._head_end.answer(order_id, values, now)
        target = self._head_end.inventory.get(job.target)
        if target is not None:
            self._contexts.pin(target)
        failure = ending.failure if isinstance(ending, SessionFailed) else None
        self._head_end.finished(job, now, self._recovery.settled(job.target, failure, now))
        return collected

    def fail(self, job: SessionJob, failure: Failure, now: float) -> None:
        """Settle a job whose session was never opened (no connection)."""
        self._collected.pop(job.job_id, None)
        self._head_end.finished(job, now, self._recovery.settled(job.target, failure, now))

    def _association(self, device: Device) -> ClientAssociation:
        mechanism = device.security.mechanism
        secret = self._head_end.custody.keys_of(device).password if mechanism.needs_secret else None
        transport = _transport(device)
        settings = AssociationSettings(
            mechanism.code, secret or b"", ciphered=mechanism.ciphered, max_pdu=transport.apdu_max
        )
        security = self._contexts.of(device) if mechanism.needs_keys else None
        link = transport.client(LinkAddresses(device.client_sap, device.server_sap))
        return ClientAssociation(link, settings, security=security, entropy=self._entropy)

    def _script(self, device: Device, tasks: Sequence[Task], collected: CollectedRows) -> Script[CollectedRows]:
        if self._head_end.layouts.is_asked_for(device.device):
            yield from self._learn_push_objects(device.device, collected)
        for task in tasks:
            if task.order is not None:
                yield from self._answer(task.order, collected)
            elif task.hole is not None:
                yield from self._fill(device, task.hole, task.kind, collected)
            elif task.kind is TaskKind.CLOCK:
                yield from self._check_clock(device, collected)
        return collected

    def _fill(self, target: Device, hole: Hole, kind: TaskKind, collected: CollectedRows) -> Script[None]:
        source = Source.GAP_RECOVERY if kind is TaskKind.RECOVERY else Source.SCHEDULED_READ
        if hole.profile is None:
            yield from self._read_now(hole.device, hole.obis, source, collected)
            return
        if hole.device != target.device and not (yield from self._is_behind(hole, collected)):
            return
        key = (target.device, hole.profile)
        layout = self._layouts.get(key)
        if layout is None:
            layout = yield from read_profile_layout(hole.profile)
            scalers = {column.capture.instance: column.scaler for column in layout.columns if column.scaler is not None}
            self._head_end.learn_scalers(target.device, scalers)
            captured = tuple(column.capture for column in layout.columns)
            self._head_end.layouts.learn_columns(target.device, hole.profile, captured)
            if hole.device == target.device and len(self._layouts) < LAYOUTS_KEPT:
                self._layouts[key] = layout
        start = hole.start if self._is_first(hole) else hole.start + 1
        read = yield from read_profile(hole.profile, start, hole.end, layout=layout, policy=self._policy)
        block = to_capture_block(hole.device, read, received_at=0, source=source)
        collected.blocks.append(block if hole.device == target.device else _renamed(block, self._owed(hole)))

    def _is_first(self, hole: Hole) -> bool:
        """Whether a hole begins where its device was installed: the row of that instant opens its first interval."""
        device = self._head_end.inventory.get(hole.device)
        return device is not None and device.installed_at == hole.start

    def _learn_push_objects(self, device: str, collected: CollectedRows) -> Script[None]:
        """Read the push object list and the scales of its registers, so that later pushes of plain values are read."""
        layouts = self._head_end.layouts
        try:
            objects, scalers = yield from read_push_objects()
        except (RefusedError, WireError) as error:
            layouts.note_refusal(device)
            told = (device, "push", f"Its push object list cannot be read ({error})", EventSeverity.INFO)
            collected.notes.append(told)
            return
        self._head_end.learn_scalers(device, scalers)
        layouts.learn_objects(device, objects)

    def _read_now(self, device: str, names: Sequence[Obis], source: Source, collected: CollectedRows) -> Script[None]:
        values = yield from read_registers(names)
        moment = yield from read_clock()
        at = self._policy.to_utc(moment)
        if at is None:
            title = "Its clock gives no date; registers read now were not stored"
            collected.notes.append((device, "clock", title, EventSeverity.INFO))
            return
        known = {name: value for name, value in values.items() if isinstance(value, Scaled)}
        collected.blocks.append(CaptureBlock.of_row(device, source, time=int(at.timestamp()), values=known))

    def _answer(self, order: Order, collected: CollectedRows) -> Script[None]:
        device = self._head_end.inventory.get(order.device)
        profile = next((plan.profile for plan in device.channels if plan.obis in order.obis), None) if device else None
        if profile is None or profile.a != 0:
            names, class_id = order.obis, Register.class_id
        else:
            owed = self._owed(Hole(order.device, profile, order.obis, 0, 0))
            names = tuple(Obis(0, profile.b, 24, 2, owed.index(obis) + 1) for obis in order.obis if obis in owed)
            class_id = ExtendedRegister.class_id
        values = yield from read_registers(names, class_id=class_id)
        numbers = [values[name] for name in names]
        collected.answers[order.order_id] = {
            obis: value for obis, value in zip(order.obis, numbers, strict=False) if isinstance(value, Scaled)
        }

    def _check_clock(self, device: Device, collected: CollectedRows) -> Script[None]:
        """Compare the clock with the middle of the round trip, and correct it where it may be."""
        asked = yield from ask_time()
        moment = yield from read_clock()
        answered = yield from ask_time()
        shown = self._policy.to_utc(moment)
        error_s = None if shown is None else round(shown.timestamp() - (asked + answered) / 2)
        if error_s is not None and abs(error_s) <= CLOCK_TOLERANCE_S:
            return
        refusal = self._clocks.refusal(device.device, error_s, answered)
        severity = EventSeverity.INFO
        if not device.security.mechanism.ciphered:
            done = "it cannot be set"
        elif refusal:
            done, severity = f"it is not set: {refusal}", EventSeverity.ALARM
        else:
            done = yield from self._correct_clock(device.device, error_s, answered)
        collected.notes.append((device.device, "clock", f"Its clock was {_deviation(error_s)}; {done}", severity))

    def _correct_clock(self, device: str, error_s: int | None, now: float) -> Script[str]:
        """Correct a clock; return what was done, as words."""
        try:
            if error_s is not None and abs(error_s) <= SHIFT_MAX_S:
                yield from shift_clock(-error_s)
                done = "it was shifted"
            else:
                yield from set_clock(ClockTime.of(datetime.fromtimestamp(now, self._policy.zone)))
                done = "it was set"
        except RefusedError as error:
            return f"it refuses ({error.result.text})"
        self._clocks.note(device, error_s, now)
        return done

    def _is_behind(self, hole: Hole, collected: CollectedRows) -> Script[bool]:
        """Check once per device that the access point's channel is really that meter's."""
        if hole.device in self._verified or hole.profile is None:
            return True
        name = Obis(0, hole.profile.b, 24, 1, 0)
        number, maker = yield from fetch_each(
            Get(MBusClient.identification_number.at(name)),
            Get(MBusClient.manufacturer_id.at(name)),
        )
        if isinstance(number, Data) and isinstance(maker, Data):
            expected = mbus_client_identity(hole.device)
            if (number.integer, maker.integer) == (expected.number, expected.manufacturer):
                self._verified.add(hole.device)
                return True
            seen = f"{number.integer:08X}"
            title = f"Channel {hole.profile.b} holds meter {seen}: nothing taken"
            collected.notes.append((hole.device, "mismatch", title, EventSeverity.INFO))
        return False

    def _owed(self, hole: Hole) -> tuple[Obis, ...]:
        device = self._head_end.inventory.get(hole.device)
        return () if device is None else tuple(plan.obis for plan in device.channels if plan.profile == hole.profile)


def _transport(device: Device) -> Transport:
    transport = transport_of(device.protocol)
    if transport is None:
        raise ValueError(f"{device.device} is read by {device.protocol}: no session can be held with it")
    return transport


def _renamed(block: CaptureBlock, owed: Sequence[Obis]) -> CaptureBlock:
    """Return the columns of an M-Bus channel's profile under the meter's own OBIS codes."""
    columns = tuple(replace(column, obis=obis) for column, obis in zip(block.columns, owed, strict=False))
    return replace(block, columns=columns)


def _deviation(error_s: int | None) -> str:
    if error_s is None:
        return "without a date"
    return f"{abs(error_s)} s {'ahead' if error_s > 0 else 'behind'}"
