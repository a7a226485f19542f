"""Pushes from access points and meters: opened, attributed, made durable, and only then confirmed.

Built along the DataNotification service with confirmation (IEC 62056-5-3, 6.12): a notification whose invoke id asks
for it is answered by DataNotificationConfirm once its rows are durable, so that the sender may forget them. All forms
of body are read alike (``engine.push_body``); plain values are named by a list that the head end knows for the sender
(``PushLayouts``), and refused where it knows none. Rows of profile 0-n:24.3.0, and values of 0-n:24.2.e, belong to the
meter that the inventory has on channel n of the sender.
"""

import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import partial
from typing import Final

from meterspan.engine.link import Link, Role
from meterspan.engine.links import TRANSPORTS, Transport
from meterspan.engine.push import PushEvent, PushReceived, PushRefused, PushSink, PushUnstored
from meterspan.engine.push_body import PushValue, text_of
from meterspan.engine.push_rows import PushedContent, read_content
from meterspan.engine.security import CounterExhaustedError, SecurityContext
from meterspan.head_end.contexts import ContextCache
from meterspan.head_end.inventory import ChannelPlan, Device
from meterspan.head_end.system import HeadEnd
from meterspan.model.cosem.classes import DataObject, Register
from meterspan.model.cosem.event_codes import event_severity, event_words
from meterspan.model.cosem.profile import is_clock
from meterspan.model.cosem.scaler_unit import ScalerUnit
from meterspan.model.cosem.view import fields_of
from meterspan.model.failures import Failure, FailureKind
from meterspan.model.ports import StateStore
from meterspan.model.quarantine import FrameFault, QuarantinedFrame, fault_of
from meterspan.model.readings import CaptureBlock, EventSeverity, Source
from meterspan.model.storage.errors import StorageError
from meterspan.quantities import Obis, Scaled, utc
from meterspan.quantities.codes import EVENT_CODE, LOGICAL_DEVICE_NAME
from meterspan.wire.axdr import Data, structure, unsigned
from meterspan.wire.errors import KeyMissingError, ReplayError, SecurityError, UnknownLayoutError, WireError
from meterspan.wire.xdlms import (
    CaptureObjectDefinition,
    DataNotificationConfirm,
    ExceptionResponse,
    LongInvokeIdAndPriority,
    ServiceFault,
    StateFault,
    write_apdu,
)

_log = logging.getLogger("meterspan.head_end")

REPLAY_ANSWER_S: Final = 30.0
"""Between two answers to replays of one sender: an attacker that plays one again costs four counters in two minutes."""

__all__ = ["Keep", "PushConnection", "PushConnectionEvent", "PushFailed", "PushIntake", "PushRead", "PushTaken"]


EVENT_TEXT_MAX: Final = 80
"""Letters of an attribute that is shown as an event."""


@dataclass(frozen=True, slots=True)
class PushTaken:
    """A notification whose rows are durable."""

    sender: str
    rows: int


@dataclass(frozen=True, slots=True)
class PushFailed:
    """A notification that could not be stored; it is not confirmed, and the connection is to be closed."""

    failure: Failure


PushConnectionEvent = PushTaken | PushFailed


@dataclass(frozen=True, slots=True)
class PushRead:
    """A notification and its readings, of which nothing is durable yet.

    Attributes:
        sender: the device.
        blocks: its readings.
        invoke: its number; None of an event.
        context: under which it was authentic; None of one without protection, which the operator has allowed.

    """

    sender: str
    blocks: Sequence[CaptureBlock]
    invoke: LongInvokeIdAndPriority | None
    context: SecurityContext | None


Keep = Callable[[Sequence[CaptureBlock], Callable[[float], None]], None]
"""Makes blocks durable, and calls the given function, with the time, only after that."""


class PushIntake:
    """Receives pushes for a head end.

    Args:
        head_end: where readings go.
        contexts: security contexts, shared with the sessions.
        transport: makes the listening end of a connection's link, where ``connection`` gets no other.
        zone: reads clock times without deviation.
        state: keeps the lists and scales that pushes brought; None forgets them at the end of the program.
        insecure_plain: devices whose pushes are also taken without protection, by the name in them; anybody can forge
            those, so nothing is learnt from them.

    """

    def __init__(
        self,
        head_end: HeadEnd,
        *,
        contexts: ContextCache,
        transport: Transport = TRANSPORTS["tcp"],
        zone: tzinfo = UTC,
        state: StateStore | None = None,
        insecure_plain: Collection[str] = (),
    ) -> None:
        self._head_end = head_end
        self._insecure_plain = frozenset(insecure_plain)
        self._contexts = contexts
        self._transport = transport
        self._zone = zone
        self._state = state
        self._kept: dict[str, bytes] = {}
        """What is kept of each sender that was heard in this run."""
        self._replays_answered: dict[str, float] = {}
        """When a sender was last told which counter is due."""
        self._bare = self.sink(None)

    def allow_insecure_plain(self, devices: Collection[str]) -> None:
        """Let these devices push without protection from now on, and no others."""
        self._insecure_plain = frozenset(devices)

    def connection(
        self, peer: str, keep: Keep | None = None, *, transport: Transport | None = None
    ) -> "PushConnection":
        """Make the machine of one incoming connection, or of one datagram.

        Args:
            peer: ``host:port``, for the quarantine.
            keep: makes blocks durable and calls back; by default the head end's sink does, at once.
            transport: makes the listening end of its link; by default the intake's.

        """
        return PushConnection(self, (transport or self._transport).push_listener(), peer, keep)

    def sink(self, link: Link | None) -> PushSink:
        """Make the sink that opens notifications of one link, or bare ones."""
        return PushSink(
            link,
            security_of=self._security_of,
            objects_of=self._objects_of,
            insecure_accept_plain=lambda: bool(self._insecure_plain),
        )

    def read(self, event: PushEvent, peer: str, now: float) -> PushRead | None:
        """Attribute an opened notification; what cannot be used goes into quarantine, and None is returned."""
        if isinstance(event, PushRefused):
            self._refuse(event.octets, event.error, peer, now, event.sender)
            return None
        if isinstance(event, PushUnstored):
            return None
        try:
            device, context = self._known(event.sender) if event.sender else (self._named(event), None)
            if device.removed_at is not None:
                raise _UnknownDeviceError(f"{device.device} was removed on {utc(device.removed_at):%Y-%m-%d}")
            blocks = self._fitting_blocks(device, event, now)
        except WireError as error:
            self._refuse(event.octets, error, peer, now, event.sender)
            return None
        if event.is_event:
            self._note_event(device, event, now)
        return PushRead(device.device, self._head_end.known(blocks), event.invoke, context)

    def answer_replay(self, event: PushEvent, now: float) -> bytes:
        """Return the answer to a push whose counter is behind: which one is expected, under the sender's key.

        A sender that was restored goes on from there. Only octets that the sender has made are answered, and not
        often: recorded ones must not use our counters up. b"" where there is no answer.

        Raises:
            StorageError: no counter can be stored now.
            CounterExhaustedError: no counter is left.

        """
        if not (isinstance(event, PushRefused) and isinstance(event.error, ReplayError)):
            return b""
        due = event.error.expected
        if due is None:
            return b""
        device, context = self._known(event.sender)
        is_early = now - self._replays_answered.get(device.device, -REPLAY_ANSWER_S) < REPLAY_ANSWER_S
        if is_early or not context.is_authentic(event.octets):
            return b""
        self._replays_answered[device.device] = now
        fault = ServiceFault.INVOCATION_COUNTER_ERROR
        answer = ExceptionResponse(StateFault.SERVICE_NOT_ALLOWED, fault, due)
        self._head_end.note(device.device, "counter", f"It was told that counter {due} is due", now)
        return context.protect(write_apdu(answer), general=True)

    def confirm(self, push: PushRead, now: float) -> tuple[PushTaken, bytes]:
        """Credit a push whose blocks are durable; return the stored blocks, and the confirmation to send.

        The confirmation is b"" where none is asked for.
        """
        self._head_end.credit(push.blocks, now)
        self._head_end.refusals.taken(push.sender)
        rows = sum(len(block.times) for block in push.blocks)
        self._head_end.counts.rows_pushed += rows
        return PushTaken(push.sender, rows), _confirmation(push.invoke, push.context)

    def store(self, push: PushRead) -> None:
        """Make a push durable through the head end's own sink."""
        self._head_end.sink.take(push.blocks)

    def take(self, octets: bytes, peer: str, now: float) -> tuple[PushTaken, bytes] | None:
        """Read one bare APDU, make it durable and confirm it, all at once; None where it was refused."""
        self._bare.receive(octets, now)
        event = self._bare.next_event()
        push = None if event is None else self.read(event, peer, now)
        if push is None:
            return None
        self.store(push)
        return self.confirm(push, now)

    def _note_event(self, device: Device, received: PushReceived, now: float) -> None:
        """Write an EventNotificationRequest into the meter's story."""
        detail = "" if received.time is None else f"at {received.time} by its clock"
        for value in received.values:
            title, severity = _event_text(value)
            self._head_end.note(device.device, "event", title, now, detail, severity=severity)

    def _security_of(self, title: bytes) -> SecurityContext | None:
        return self._known(title)[1] if title else None

    def _objects_of(self, title: bytes) -> Sequence[Sequence[CaptureObjectDefinition]]:
        layouts = self._head_end.layouts
        if not title:
            plain = sorted(self._insecure_plain)
            return list(dict.fromkeys(objects for device in plain for objects in layouts.lists_of(device)))
        device = self._head_end.inventory.of_title(title)
        if device is None:
            return ()
        self._recall(device.device)
        return layouts.lists_of(device.device)

    def _known(self, title: bytes) -> tuple[Device, SecurityContext]:
        try:
            known = self._contexts.of_title(title)
        except ValueError as error:
            raise KeyMissingError(str(error), None, "system-title") from error
        if known is None:
            raise _UnknownDeviceError(f"no device has system title {title.hex()}", None, "system-title")
        return known

    def _named(self, received: PushReceived) -> Device:
        """Return the device that a push without protection names, where the operator has allowed it."""
        names = (text_of(value.value) for value in received.values if value.obis == LOGICAL_DEVICE_NAME)
        name = next(filter(None, names), "")
        device = self._head_end.inventory.get(name) if name in self._insecure_plain else None
        if device is None:
            raise SecurityError(f"a push without protection of {name or 'a device that it does not name'}", 0, "apdu")
        return device

    def _refuse(self, octets: bytes, error: WireError, peer: str, now: float, title: bytes) -> None:
        device = self._head_end.inventory.of_title(title) if title else None
        fault = FrameFault.UNKNOWN_DEVICE if isinstance(error, _UnknownDeviceError) else fault_of(error)
        sender = "" if device is None or device.removed_at is not None else device.device
        self._head_end.quarantine_frame(QuarantinedFrame(now, peer, fault, str(error), octets, sender))

    def _fitting_blocks(self, sender: Device, received: PushReceived, now: float) -> list[CaptureBlock]:
        try:
            return self._blocks(sender, received, now)
        except OverflowError as error:
            raise WireError("a value or status does not fit its column", None, "pushed value") from error

    def _blocks(self, sender: Device, received: PushReceived, now: float) -> list[CaptureBlock]:
        content = read_content(received.values, received.time)
        if not content.is_named:
            self._head_end.layouts.ask_for(sender.device)
            raise UnknownLayoutError(
                "the device's push object list is not known", None, "push_object_list", _PUSH_CLAUSE
            )
        if received.sender:
            self._remember(sender.device, received, content)
        scalers = {**self._head_end.scalers_of(sender.device), **content.scalers}
        blocks: list[CaptureBlock] = []
        for profile, captured in content.rows.items():
            owner = self._owner(sender, profile)
            if owner is not None:
                shapes = [_shape(profile, index, plan, scalers) for index, plan in enumerate(owner[1])]
                columns = self._head_end.layouts.columns_of(sender.device, profile)
                registers = [_register(profile, index, plan) for index, plan in enumerate(owner[1])]
                is_described = profile in content.registers and not _fit(columns, captured)
                rows = _rows_by(columns, registers, captured) if columns and not is_described else captured
                blocks += _blocks_of_rows(owner[0], shapes, rows, zone=self._zone, received_at=int(now))
        return blocks + self._values(sender, content, scalers, now)

    def _remember(self, sender: str, received: PushReceived, content: PushedContent) -> None:
        """Keep the lists and scales of an authentic push, for later ones."""
        layouts = self._head_end.layouts
        if received.objects:
            layouts.learn_objects(sender, received.objects)
        for profile, columns in content.columns.items():
            layouts.learn_columns(sender, profile, columns)
        self._head_end.learn_scalers(sender, content.scalers)
        self._preserve(sender)

    def _preserve(self, sender: str) -> None:
        """Keep what is known of a sender where it is not what is kept."""
        known = self._head_end.layouts.write(sender, self._head_end.scalers_of(sender))
        if self._state is not None and self._kept.get(sender) != known:
            self._state.save(_kept_name(sender), known)
            self._kept[sender] = known

    def _recall(self, sender: str) -> None:
        """Recall what is kept of a sender, once in a run; what cannot be read is learnt again."""
        if self._state is None or sender in self._kept:
            return
        octets = self._state.load(_kept_name(sender)) or b""
        self._kept[sender] = octets
        if not octets:
            return
        try:
            scalers = self._head_end.layouts.restore(sender, octets)
        except ValueError as error:
            _log.warning("kept push layouts are left out", extra={"device": sender, "reason": str(error)})
            return
        self._head_end.learn_scalers(sender, scalers | dict(self._head_end.scalers_of(sender)))

    def _values(
        self, sender: Device, content: PushedContent, scalers: Mapping[Obis, ScalerUnit], now: float
    ) -> list[CaptureBlock]:
        """Make blocks of registers that are pushed by themselves, at the time of the push."""
        moment = None if content.time is None else content.time.to_utc(self._zone)
        time = int(now if moment is None else moment.timestamp())
        found: dict[str, dict[Obis, Scaled]] = {}
        for register, data in content.values.items():
            owner = self._owner_of_register(sender, register)
            if owner is not None:
                scaler = _scaler(register, scalers)
                found.setdefault(owner[0], {})[owner[1]] = Scaled(data.integer, scaler.exponent, scaler.unit)
        return [
            CaptureBlock.of_row(
                device, Source.PUSH, time=time, values=values, received_at=int(now), status=content.status
            )
            for device, values in found.items()
        ]

    def _owner_of_register(self, sender: Device, register: Obis) -> tuple[str, Obis] | None:
        """Find whose register it is, and its OBIS code there; None where the channel has no meter in the inventory."""
        if (register.a, register.c, register.d) != (0, _MBUS, _MBUS_VALUE):
            return sender.device, register
        owner = self._owner(sender, Obis(0, register.b, _MBUS, _MBUS_PROFILE, 0))
        if owner is None or not 1 <= register.e <= len(owner[1]):
            return None
        return owner[0], owner[1][register.e - 1].obis

    def _owner(self, sender: Device, profile: Obis) -> tuple[str, Sequence[ChannelPlan]] | None:
        for name in self._head_end.members_of(sender.device):
            device = self._head_end.inventory.get(name)
            if device is not None and device.removed_at is None:
                plans = [plan for plan in device.channels if plan.profile == profile]
                if plans:
                    return name, plans
        return None


class PushConnection:
    """One incoming connection; a ``Machine`` of ``PushConnectionEvent``.

    Args:
        intake: attributes and confirms.
        link: the listening end.
        peer: ``host:port``, for the quarantine.
        keep: makes blocks durable and calls back; None stores at once.

    """

    def __init__(self, intake: PushIntake, link: Link, peer: str, keep: Keep | None) -> None:
        self.waiting = 0
        """Notifications that are read and not yet durable."""
        self.refused = 0
        """Notifications that were refused; an authentic one that cannot be used is not."""
        self.proved_at: float | None = None
        """When the last authentic notification arrived, UTC seconds; None before the first."""
        self._intake = intake
        self._peer = peer
        self._keep = keep
        self._link = link
        self._sink = intake.sink(link)
        self._has_medium = False
        self._was_up = False
        self._events: deque[PushConnectionEvent] = deque()

    def connect(self, now: float) -> None:
        """Listen: the connection is there. The primary station of an HDLC line opens no link: pushes need none."""
        self._has_medium = True
        if self._link.role is Role.SERVER:
            self._link.connect(now)
        self._was_up = self._link.is_up

    def medium_lost(self, now: float) -> None:
        """Note that the connection is gone."""
        self._has_medium = False
        self._sink.medium_lost(now)

    def receive(self, octets: bytes, now: float) -> None:
        """Process octets in any cut."""
        try:
            self._sink.receive(octets, now)
            while (event := self._sink.next_event()) is not None:
                self._take(event, now)
        except StorageError as error:
            self._fail(Failure.of_storage(error))
        self._was_up = self._was_up or self._link.is_up

    def advance(self, now: float) -> None:
        """Let time pass: a half-open peer times out."""
        self._sink.advance(now)

    def deadline(self) -> float | None:
        """When ``advance`` must be called next, or None."""
        return self._link.deadline()

    def octets_to_send(self) -> bytes:
        """Return the confirmations that are ready."""
        return self._link.octets_to_send()

    def next_event(self) -> PushConnectionEvent | None:
        """Return the next event, or None."""
        return self._events.popleft() if self._events else None

    @property
    def frames(self) -> int:
        """Frames, and runs of octets that were none, since the connection was made."""
        return self._link.counts.frames_received + self._link.counts.frames_damaged

    @property
    def is_up(self) -> bool:
        """False once the link has ended or nothing can be stored: close the connection."""
        return self._has_medium and (self._link.is_up or not self._was_up)

    def _take(self, event: PushEvent, now: float) -> None:
        if isinstance(event, PushUnstored):
            self._fail(event.failure)
            return
        if isinstance(event, PushReceived) and event.sender:
            self.proved_at = now
        else:
            self.refused += 1
        push = self._intake.read(event, self._peer, now)
        if push is None:
            self._send(partial(self._intake.answer_replay, event, now), now)
            return
        if self._keep is None:
            self._intake.store(push)
            self._confirm(push, now)
            return
        self.waiting += 1
        self._keep(push.blocks, partial(self._is_durable, push))

    def _is_durable(self, push: PushRead, now: float) -> None:
        self.waiting -= 1
        self._confirm(push, now)

    def _confirm(self, push: PushRead, now: float) -> None:
        self._send(partial(self._confirmation, push, now), now)

    def _confirmation(self, push: PushRead, now: float) -> bytes:
        taken, confirmation = self._intake.confirm(push, now)
        self._events.append(taken)
        return confirmation

    def _send(self, answer: Callable[[], bytes], now: float) -> None:
        """Make an answer and send it; where it cannot be protected or sent, the connection ends."""
        try:
            octets = answer()
            if octets and self._has_medium:
                self._answer(octets, now)
        except StorageError as error:
            self._fail(Failure.of_storage(error))
        except CounterExhaustedError as error:
            self._fail(error.failure)
        except ValueError as error:
            self._fail(Failure(FailureKind.INTERNAL, str(error)))

    def _answer(self, octets: bytes, now: float) -> None:
        if self._link.is_up:
            self._link.send(octets, now)
        elif not self._was_up:
            self._link.send_unnumbered(octets, now)

    def _fail(self, failure: Failure) -> None:
        """Close the connection: the sender still has its rows, and sends them again."""
        self._has_medium = False
        self._events.append(PushFailed(failure))


def _event_text(value: PushValue) -> tuple[str, EventSeverity]:
    """Return the words and severity of a pushed event code, or of another attribute that is pushed as an event."""
    code = value.value.value
    if value.obis == EVENT_CODE and isinstance(code, int):
        words = event_words(code)
        return f"It reports event {code}" + (f": {words}" if words else ""), event_severity(code)
    return f"It reports {value.obis} = {str(value.value)[:EVENT_TEXT_MAX]}", EventSeverity.INFO


def _kept_name(sender: str) -> str:
    return f"push layouts/{sender}"


class _UnknownDeviceError(WireError):
    """The sender is not in the inventory."""


def _confirmation(invoke: LongInvokeIdAndPriority | None, context: SecurityContext | None) -> bytes:
    if invoke is None or not invoke.confirmed:
        return b""
    confirm = write_apdu(DataNotificationConfirm(LongInvokeIdAndPriority(invoke.invoke_id, confirmed=True)))
    return confirm if context is None else context.protect(confirm, general=True)


def _shape(profile: Obis, index: int, plan: ChannelPlan, scalers: Mapping[Obis, ScalerUnit]) -> tuple[Obis, ScalerUnit]:
    """Return a column's OBIS code and scale."""
    return plan.obis, _scaler(_register(profile, index, plan), scalers)


def _register(profile: Obis, index: int, plan: ChannelPlan) -> Obis:
    """Return the logical name of a column's register; those of an M-Bus channel are 0-n:24.2.e."""
    return Obis(0, profile.b, _MBUS, _MBUS_VALUE, index + 1) if profile.c == _MBUS else plan.obis


def _fit(columns: Sequence[CaptureObjectDefinition], rows: Sequence[Data]) -> bool:
    """Whether rows have one value for each capture object."""
    return all(row.is_composite and len(row.items) == len(columns) for row in rows)


def _rows_by(columns: Sequence[CaptureObjectDefinition], registers: Sequence[Obis], rows: Iterable[Data]) -> list[Data]:
    """Return rows in the order of their capture objects as rows of (clock, status, values…).

    Raises:
        WireError: a row has another length, or a register that is due is not captured.

    """
    clock = next((index for index, column in enumerate(columns) if is_clock(column)), None)
    status = next((index for index, column in enumerate(columns) if _is_status(column)), None)
    places = {column.instance: index for index, column in enumerate(columns) if column.attribute == _VALUE}
    if clock is None or not all(register in places for register in registers):
        raise UnknownLayoutError("the profile captures no clock, or not what is due", None, "capture_objects", _CLAUSE)
    found = []
    for row in rows:
        cells = fields_of(row, len(columns), "profile row")
        word = unsigned(0) if status is None or cells[status].value is None else cells[status]
        found.append(structure(cells[clock], word, *(cells[places[register]] for register in registers)))
    return found


def _is_status(column: CaptureObjectDefinition) -> bool:
    return column.class_id == DataObject.class_id and (column.instance.c, column.instance.d) == _STATUS


def _scaler(register: Obis, scalers: Mapping[Obis, ScalerUnit]) -> ScalerUnit:
    scaler = scalers.get(register)
    if scaler is None:
        raise WireError(f"the scaler of {register} is neither pushed nor known", None, "scaler_unit")
    return scaler


def _blocks_of_rows(
    device: str, shapes: Sequence[tuple[Obis, ScalerUnit]], rows: Sequence[Data], *, zone: tzinfo, received_at: int
) -> list[CaptureBlock]:
    """Build blocks from rows of (clock, status, values…), one for each set of columns that have a value.

    Rows without a valid clock are left out. Null-data in a pushed row means that the meter has no value.
    """
    groups: dict[tuple[bool, ...], list[tuple[int, int, Sequence[Data]]]] = {}
    for row in rows:
        clock, status, *numbers = fields_of(row, 2 + len(shapes), "profile row")
        moment = clock.clock_time.to_utc(zone)
        if moment is not None:
            known = tuple(number.value is not None for number in numbers)
            groups.setdefault(known, []).append((int(moment.timestamp()), status.integer, numbers))
    return [
        _block(
            device,
            [shape if is_known else None for shape, is_known in zip(shapes, known, strict=True)],
            found,
            received_at,
        )
        for known, found in groups.items()
    ]


def _block(
    device: str,
    shapes: Sequence[tuple[Obis, ScalerUnit] | None],
    rows: Sequence[tuple[int, int, Sequence[Data]]],
    received_at: int,
) -> CaptureBlock:
    known = [(index, obis, scale) for index, shape in enumerate(shapes) if shape is not None for obis, scale in [shape]]
    return CaptureBlock.of_rows(
        device,
        Source.PUSH,
        channels=[(obis, scale.unit, scale.exponent) for _, obis, scale in known],
        rows=[(time, word, [values[index].integer for index, _, _ in known]) for time, word, values in rows],
        received_at=received_at,
    )


_MBUS, _MBUS_VALUE, _MBUS_PROFILE = 24, 2, 3
_PUSH_CLAUSE, _CLAUSE = "IEC 62056-6-2, 4.4.8", "IEC 62056-6-2, 4.3.6"
_VALUE = Register.value.number
_STATUS = (96, 10)  # value groups C and D of a profile's status (IEC 62056-6-1, table 18)
