"""Pushes from access points and meters: opened, attributed, made durable, and only then confirmed.

Built along the DataNotification service with confirmation (IEC 62056-5-3, 6.12): a notification whose invoke id asks
for it is answered by DataNotificationConfirm once its rows are durable, so that the sender may forget them. The body is
a list of (class id, logical name, attribute, value) with the scaler_unit of every register beside the rows; rows of
profile 0-n:24.3.0 belong to the meter that the inventory has on channel n of the sender.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import partial

import numpy as np

from meterspan.engine.link import ApduReceived, FrameDamaged, Role
from meterspan.engine.scripts import ScalerUnit
from meterspan.engine.security import SecurityContext
from meterspan.engine.wrapper_link import WrapperConfig, WrapperLink
from meterspan.head_end.contexts import ContextCache
from meterspan.head_end.inventory import ChannelPlan, Device
from meterspan.head_end.system import HeadEnd
from meterspan.model.cosem.classes import ExtendedRegister, ProfileGeneric, Register
from meterspan.model.cosem.view import fields_of, read_logical_name
from meterspan.model.quarantine import Fault, QuarantinedFrame, fault_of
from meterspan.model.readings import CaptureBlock, CaptureColumn, Source
from meterspan.quantities import Obis, unit_of_code
from meterspan.wire.axdr import Data
from meterspan.wire.errors import SecurityError, WireError
from meterspan.wire.xdlms import (
    DataNotification,
    DataNotificationConfirm,
    GeneralCipheredApdu,
    LongInvokeIdAndPriority,
    read_apdu,
    write_apdu,
)

__all__ = ["PUSH_PORT", "Keep", "PushConnection", "PushIntake", "PushRead", "PushTaken"]

PUSH_PORT = 1
"""wPort at which the head end takes pushes."""


@dataclass(frozen=True, slots=True)
class PushTaken:
    """A notification whose rows are durable."""

    sender: str
    rows: int


@dataclass(frozen=True, slots=True)
class PushRead:
    """A notification that proved authentic, and what it brought; nothing of it is durable yet."""

    sender: str
    blocks: Sequence[CaptureBlock]
    invoke: LongInvokeIdAndPriority
    context: SecurityContext


Keep = Callable[[Sequence[CaptureBlock], Callable[[float], None]], None]
"""Makes blocks durable, and then, with the time, calls what is to happen only after that."""


class PushIntake:
    """Takes pushes for a head end.

    Args:
        head_end: where readings go.
        contexts: security contexts, shared with the sessions.
        zone: reads clock times without deviation.

    """

    def __init__(self, head_end: HeadEnd, *, contexts: ContextCache, zone: tzinfo = UTC) -> None:
        self._head_end = head_end
        self._contexts = contexts
        self._zone = zone

    def connection(self, peer: str, keep: "Keep | None" = None) -> "PushConnection":
        """Make the machine of one incoming connection from ``peer`` (``host:port``, for the quarantine).

        Args:
            peer: who it is.
            keep: makes blocks durable and calls back; by default the head end's sink does, at once.

        """
        return PushConnection(self, peer, keep)

    def read(self, octets: bytes, peer: str, now: float) -> "PushRead | None":
        """Open and attribute one APDU; what cannot be used goes into quarantine, and None is given."""
        sender = ""
        try:
            device, context = self._sender(octets)
            sender = device.device
            notification = _notification(context.unprotect(octets).octets)
            blocks = self._blocks(device, notification.body, now)
        except WireError as error:
            fault = Fault.UNKNOWN_DEVICE if isinstance(error, _StrangerError) else fault_of(error)
            self._head_end.keep_aside(QuarantinedFrame(now, peer, fault, str(error), octets, sender))
            return None
        return PushRead(sender, self._head_end.known(blocks), notification.invoke, context)

    def confirm(self, push: "PushRead", now: float) -> tuple[PushTaken, bytes]:
        """Credit a push whose blocks are durable: gives what was taken and the confirmation to send.

        The confirmation is b"" where none is asked for.
        """
        self._head_end.credit(push.blocks, now)
        rows = sum(len(block.times) for block in push.blocks)
        self._head_end.counts.rows_pushed += rows
        return PushTaken(push.sender, rows), _confirmation(push.invoke, push.context)

    def take(self, octets: bytes, peer: str, now: float) -> tuple[PushTaken, bytes] | None:
        """Read one APDU, make it durable and confirm it, all at once."""
        push = self.read(octets, peer, now)
        if push is None:
            return None
        self._head_end.sink.take(push.blocks)
        return self.confirm(push, now)

    def keep_damaged(self, octets: bytes, error: WireError, peer: str, now: float) -> None:
        """Keep aside octets that are no wrapper PDU."""
        self._head_end.keep_aside(QuarantinedFrame(now, peer, fault_of(error), str(error), octets))

    def _sender(self, octets: bytes) -> tuple[Device, SecurityContext]:
        apdu = read_apdu(octets)
        if not isinstance(apdu, GeneralCipheredApdu):
            raise SecurityError("a push came without protection", 0, "apdu", "IEC 62056-5-3, 5.7")
        known = self._contexts.of_title(apdu.system_title)
        if known is None:
            raise _StrangerError(f"no device has system title {apdu.system_title.hex()}", None, "system-title")
        return known

    def _blocks(self, sender: Device, body: Data, now: float) -> list[CaptureBlock]:
        rows: dict[Obis, list[Data]] = {}
        scalers: dict[Obis, ScalerUnit] = {}
        for item in body.items:
            class_id, name, attribute, value = fields_of(item, 4, "pushed value")
            obis, what = read_logical_name(name), (class_id.integer, attribute.integer)
            if what == _BUFFER:
                rows.setdefault(obis, []).extend(value.items)
            elif what in _SCALERS:
                exponent, unit = fields_of(value, 2, "scaler_unit")
                scalers[obis] = ScalerUnit(exponent.integer, unit_of_code(unit.integer))
        blocks = []
        for profile, captured in rows.items():
            owner = self._owner(sender, profile)
            if owner is not None:
                shapes = [_shape(profile, index, plan, scalers) for index, plan in enumerate(owner[1])]
                blocks.append(_block(owner[0], shapes, captured, zone=self._zone, received_at=int(now)))
        return blocks

    def _owner(self, sender: Device, profile: Obis) -> tuple[str, Sequence[ChannelPlan]] | None:
        for name in self._head_end.members_of(sender.device):
            device = self._head_end.inventory.get(name)
            if device is not None and device.removed_at is None:
                plans = [plan for plan in device.channels if plan.profile == profile]
                if plans:
                    return name, plans
        return None


class PushConnection:
    """One incoming connection; a ``Machine`` of ``PushTaken``."""

    def __init__(self, intake: PushIntake, peer: str, keep: Keep | None) -> None:
        self.waiting = 0
        """Notifications that are read and not yet durable."""
        self._intake = intake
        self._peer = peer
        self._keep = keep
        self._link = WrapperLink(Role.SERVER, WrapperConfig(PUSH_PORT, PUSH_PORT))
        self._events: deque[PushTaken] = deque()

    def connect(self, now: float) -> None:
        """Listen: the connection is there."""
        self._link.connect(now)

    def medium_lost(self, now: float) -> None:
        """Tell that the connection is gone."""
        self._link.medium_lost(now)

    def receive(self, octets: bytes, now: float) -> None:
        """Take octets in any cut."""
        self._link.receive(octets, now)
        while (event := self._link.next_event()) is not None:
            if isinstance(event, ApduReceived):
                self._take(event.octets, now)
            elif isinstance(event, FrameDamaged):
                self._intake.keep_damaged(event.octets, event.error, self._peer, now)

    def advance(self, now: float) -> None:
        """Let time pass: a half-open peer times out."""
        self._link.advance(now)

    def deadline(self) -> float | None:
        """When ``advance`` must be called next, or None."""
        return self._link.deadline()

    def octets_to_send(self) -> bytes:
        """Take the confirmations that are ready."""
        return self._link.octets_to_send()

    def next_event(self) -> PushTaken | None:
        """Take the next event, or None."""
        return self._events.popleft() if self._events else None

    @property
    def is_up(self) -> bool:
        """False once the link has given the peer up: close the connection."""
        return self._link.is_up

    def _take(self, octets: bytes, now: float) -> None:
        if self._keep is None:
            taken = self._intake.take(octets, self._peer, now)
            if taken is not None:
                self._confirm(*taken, now)
            return
        push = self._intake.read(octets, self._peer, now)
        if push is not None:
            self.waiting += 1
            self._keep(push.blocks, partial(self._is_durable, push))

    def _is_durable(self, push: PushRead, now: float) -> None:
        self.waiting -= 1
        self._confirm(*self._intake.confirm(push, now), now)

    def _confirm(self, taken: PushTaken, confirmation: bytes, now: float) -> None:
        self._events.append(taken)
        if confirmation and self._link.is_up:
            self._link.send(confirmation, now)


class _StrangerError(WireError):
    """The sender is not in the inventory."""


def _notification(octets: bytes) -> DataNotification:
    apdu = read_apdu(octets)
    if not isinstance(apdu, DataNotification):
        raise WireError(f"{type(apdu).__name__} is no notification", 0, "apdu", "IEC 62056-5-3, 6.12")
    return apdu


def _confirmation(invoke: LongInvokeIdAndPriority, context: SecurityContext) -> bytes:
    if not invoke.confirmed:
        return b""
    confirm = DataNotificationConfirm(LongInvokeIdAndPriority(invoke.invoke_id, confirmed=True))
    return context.protect(write_apdu(confirm), general=True)


def _shape(profile: Obis, index: int, plan: ChannelPlan, scalers: Mapping[Obis, ScalerUnit]) -> tuple[Obis, ScalerUnit]:
    """Give a column's OBIS code and scale; an M-Bus channel's registers are 0-n:24.2.e."""
    register = Obis(0, profile.b, 24, 2, index + 1) if profile.c == _MBUS else plan.obis
    scaler = scalers.get(register)
    if scaler is None:
        raise WireError(f"rows of {profile} came without the scaler of {register}", None, "scaler_unit")
    return plan.obis, scaler


def _block(
    device: str, shapes: Sequence[tuple[Obis, ScalerUnit]], rows: Sequence[Data], *, zone: tzinfo, received_at: int
) -> CaptureBlock:
    """Turn rows of (clock, status, values…) into a block; rows whose clock is no instant are left out."""
    times, statuses, values = [], [], []
    for row in rows:
        clock, status, *numbers = fields_of(row, 2 + len(shapes), "profile row")
        moment = clock.clock_time.to_utc(zone)
        if moment is not None:
            times.append(int(moment.timestamp()))
            statuses.append(status.integer)
            values.append([number.integer for number in numbers])
    columns = tuple(
        CaptureColumn(obis, scaler.unit, scaler.exponent, np.array([row[index] for row in values], np.int64))
        for index, (obis, scaler) in enumerate(shapes)
    )
    status_word = np.array(statuses, np.int32)
    quality = np.zeros(len(times), np.int32)
    return CaptureBlock(device, Source.PUSH, received_at, np.array(times, np.int64), columns, status_word, quality)


_MBUS = 24
_BUFFER = (ProfileGeneric.class_id, ProfileGeneric.buffer.number)
_SCALERS = frozenset(
    {
        (Register.class_id, Register.scaler_unit.number),
        (ExtendedRegister.class_id, ExtendedRegister.scaler_unit.number),
    }
)
