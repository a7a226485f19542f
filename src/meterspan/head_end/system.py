"""The head end without its sockets: inventory, ledger, planner, quarantine and device log joined.

The shell (or the simulator) takes jobs, holds the sessions that ``sessions`` describes, and hands back the results. A
block counts as received only after the sink has made it durable, so a crash can lose no acknowledged reading; what
the meter was not credited for is simply asked again.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from meterspan.head_end.device_log import DeviceLog, Entry
from meterspan.head_end.inventory import Device, Inventory, KeyCustody
from meterspan.head_end.ledger import Channel, Ledger
from meterspan.head_end.orders import ORDERS_KEPT, OrderBook, OrderRecord, order_values
from meterspan.head_end.planner import Hole, NetworkPolicy, Order, Planner, ReadPolicy, SessionJob
from meterspan.head_end.push_layouts import PushLayouts
from meterspan.model.cosem.scaler_unit import ScalerUnit
from meterspan.model.failures import Failure, FailureKind
from meterspan.model.lookup_errors import UnknownMeterError
from meterspan.model.order_errors import NotAskedError
from meterspan.model.ports import ReadingSink
from meterspan.model.quarantine import FrameQuarantine, QuarantinedFrame, RefusalTally
from meterspan.model.readings import CaptureBlock, EventSeverity, MeterEvent
from meterspan.model.remedies import reason_of
from meterspan.model.storage.stretches import Stretch
from meterspan.model.views import OrderState
from meterspan.quantities import Commodity, Obis, Scaled

__all__ = ["HeadEnd", "HeadEndCounts"]

MERGE_SLOTS = 4
"""Holes closer than this many capture periods are asked for at once: a few rows twice cost less than a request."""


@dataclass(slots=True)
class HeadEndCounts:
    """Counts of the head end since it started."""

    sessions_ok: int = 0
    sessions_failed: int = 0
    rows_pushed: int = 0
    unknown_devices: int = 0
    """Blocks of devices that are not in the inventory: refused."""
    orders_answered: int = 0
    orders_failed: int = 0
    orders_timed_out: int = 0


class HeadEnd:
    """The AMI head end system.

    Args:
        sink: where readings go; durable on return.
        custody: opens device keys.
        policy: when devices are read.
        networks: limits by network segment.

    """

    def __init__(
        self,
        sink: ReadingSink,
        custody: KeyCustody,
        policy: ReadPolicy | None = None,
        networks: dict[str, NetworkPolicy] | None = None,
    ) -> None:
        self.inventory = Inventory()
        self.ledger = Ledger()
        self.planner = Planner(policy or ReadPolicy(), self.holes_of, networks)
        self.quarantine = FrameQuarantine()
        self.refusals = RefusalTally()
        self.device_log = DeviceLog()
        self.orders = OrderBook()
        self.counts = HeadEndCounts()
        self.custody = custody
        self.sink = sink
        self.group_sizes: Counter[tuple[str, Commodity]] = Counter()
        """How many meters each network has of each commodity; removed ones are not counted."""
        self._members: dict[str, list[str]] = {}
        self._targets: dict[str, str] = {}
        """The target of each member."""
        self.layouts = PushLayouts()
        self._scalers: dict[str, dict[Obis, ScalerUnit]] = {}
        self._last_heard: dict[str, float] = {}
        self._last_failure: dict[str, Failure] = {}
        self._tried: set[str] = set()
        self._unasked: set[str] = set()

    def add_device(self, device: Device, now: float) -> None:
        """Add a device to inventory, ledger and plan; a changed record of a known device replaces the old one."""
        before = self.inventory.get(device.device)
        is_new = before is None
        self._count(before, -1)
        self._count(device, 1)
        self.inventory.put(device)
        target = self.target_of(device)
        self._join(device.device, target)
        holder = self.inventory.get(target)
        if holder is not None and holder.endpoint:  # what only pushes is never called
            self.planner.add(target, device.network, now)
        self._expect(device, target)
        if is_new:
            title = f"Taken into the inventory at {device.usage_point or 'no usage point'}"
            self.note(device.device, "installed", title, min(device.installed_at or now, now))

    def _expect(self, device: Device, target: str) -> None:
        """Expect the values of a device; one that nobody has asked yet counts in no sum, as it can have missed none."""
        is_asked = not self.planner.is_planned(target) or self.was_tried(device.device)
        if is_asked or device.device in self._last_heard:
            self._unasked.discard(device.device)
        else:
            self._unasked.add(device.device)
        group = None if device.device in self._unasked else _group_of(device)
        for channel in device.channels:
            self.ledger.expect(
                Channel(device.device, channel.obis),
                period_s=channel.period_s,
                start=device.installed_at,
                group=group,
            )

    def _note_asked(self, names: Iterable[str]) -> None:
        """Count devices in the sums of their groups from now on: they were asked, or heard."""
        for name in names if self._unasked else ():
            device = self.inventory.get(name)
            if name in self._unasked and device is not None:
                self._unasked.remove(name)
                for channel in device.channels:
                    self.ledger.join(Channel(name, channel.obis), _group_of(device))

    def is_unasked(self, device: str) -> bool:
        """Whether a device is to be read, was never heard, and no session with it has ended since the start."""
        return device in self._unasked

    def _join(self, device: str, target: str) -> None:
        """Have a device read through a target, and through no other any more."""
        before = self._targets.get(device)
        if before == target:
            return
        if before is not None:
            self._members[before].remove(device)
        self._targets[device] = target
        self._members.setdefault(target, []).append(device)

    def delete_device(self, device: str) -> None:
        """Forget a device that never gave a reading, and all that was expected of it."""
        known = self.inventory.get(device)
        if known is not None:
            self.planner.drop(device)
            self._count(known, -1)
            for channel in known.channels:
                self.ledger.forget(Channel(device, channel.obis))
            self._members[self._targets.pop(device)].remove(device)
            self.inventory.drop(device)
            self._unasked.discard(device)

    def _count(self, device: Device | None, change: int) -> None:
        if device is not None and device.channels and device.removed_at is None:
            self.group_sizes[device.network, device.commodity] += change

    def learn_scalers(self, device: str, scalers: Mapping[Obis, ScalerUnit]) -> None:
        """Remember the scales of a device's registers, read or pushed: a standard push may leave them out."""
        if self.inventory.get(device) is not None:
            self._scalers.setdefault(device, {}).update(scalers)

    def scalers_of(self, device: str) -> Mapping[Obis, ScalerUnit]:
        """Return the scales of a device's registers known so far."""
        return self._scalers.get(device, {})

    def remove_device(self, device: str, at: int, now: float) -> None:
        """Expect nothing of a device after ``at`` (UTC seconds); its history stays.

        Raises:
            UnknownMeterError: no such device.

        """
        known = self.inventory.get(device)
        if known is None:
            raise UnknownMeterError(device)
        gone = replace(known, removed_at=at)
        self._count(known, -1)
        self._count(gone, 1)
        self.inventory.put(gone)
        for channel in known.channels:
            self.ledger.retire(Channel(device, channel.obis), at)
        if self.target_of(known) == device and self._members.get(device) == [device]:
            self.planner.drop(device)
        failure = Failure(FailureKind.CANCELLED, "the meter was removed")
        for record in self.orders.newest(ORDERS_KEPT, device):
            if record.is_waiting and not self.planner.is_planned(device):
                self.orders.ended(record.order.order_id, failure, now)
                self._tell_of(record.order)
        self.note(device, "removed", "Removed: nothing is expected of it any more", min(at, now))

    def target_of(self, device: Device) -> str:
        """Return the device that sessions are held with: itself, or the access point it hangs on."""
        return device.endpoint if self.inventory.get(device.endpoint) is not None else device.device

    def members_of(self, target: str) -> Sequence[str]:
        """Return the devices that a session with ``target`` can read."""
        return self._members.get(target, ())

    def holes_of(self, target: str, until: int) -> list[Hole]:
        """List the missing values of a target's members up to ``until`` (UTC seconds), oldest first."""
        holes: list[Hole] = []
        for name in self.members_of(target):
            device = self.inventory.get(name)
            if device is None:
                continue
            profiles: dict[Obis | None, list[tuple[Obis, int]]] = {}
            for plan in device.channels:
                profiles.setdefault(plan.profile, []).append((plan.obis, plan.period_s))
            for profile, channels in profiles.items():
                spans = [span for obis, _ in channels for span in self.ledger.missing(Channel(name, obis), until)]
                slack = MERGE_SLOTS * channels[0][1]
                columns = tuple(obis for obis, _ in channels)
                holes += [Hole(name, profile, columns, start, end) for start, end in _merged(spans, slack)]
        holes.sort(key=lambda hole: hole.start)
        return holes

    def order(self, device: str, obis: Sequence[Obis], *, now: float, deadline: float, author: str = "") -> Order:
        """Ask for registers of a device now; answered, failed or timed out by ``deadline``, never silent.

        Args:
            device: the device whose registers are read.
            obis: the registers.
            now: UTC seconds.
            deadline: UTC seconds at which the order times out.
            author: who orders it.

        Raises:
            UnknownMeterError: no such device.
            NotAskedError: no session is held with it: it sends by itself, or was removed.
            TooManyOrdersError: too many orders wait already.

        """
        known = self.inventory.get(device)
        if known is None:
            raise UnknownMeterError(device)
        target = self.target_of(known)
        if not self.planner.is_planned(target):
            raise NotAskedError(device)
        order = self.planner.order(target, device, obis, now=now, deadline=deadline, author=author)
        self.orders.placed(order, now)
        return order

    def restore_orders(self, records: Sequence[OrderRecord], now: float) -> None:
        """Remember the orders of an earlier start, oldest first; those that still wait are asked again."""
        self.orders.restore(records)
        for record in records:
            order, known = record.order, self.inventory.get(record.order.device)
            self.planner.count_orders_from(order.order_id)
            if not record.is_waiting:
                if known is not None:
                    self._tell_of(order)
                continue
            is_asked = known is not None and order.deadline > now
            if not (is_asked and known and self.planner.resume_order(self.target_of(known), order, now)):
                self._time_out(order, now)

    def answer(self, order_id: int, values: Mapping[Obis, Scaled], now: float) -> None:
        """Note the result of an on-demand read."""
        self.orders.answered(order_id, values, now)

    def take(self, blocks: Sequence[CaptureBlock], now: float, events: Sequence[MeterEvent] = ()) -> int:
        """Store blocks from meters, then count them; return the number of slots newly filled.

        Blocks of devices that are not in the inventory are refused and counted.
        """
        known = self.known(blocks)
        if known or events:
            self.sink.take(known, events)
        return self.credit(known, now)

    def known(self, blocks: Sequence[CaptureBlock]) -> list[CaptureBlock]:
        """Leave out blocks of devices that are not in the inventory; they are counted."""
        known = [block for block in blocks if self.inventory.get(block.device) is not None]
        self.counts.unknown_devices += len(blocks) - len(known)
        return known

    def credit(self, blocks: Sequence[CaptureBlock], now: float) -> int:
        """Count blocks that are durable already; returns the number of slots newly filled."""
        filled = 0
        for block in blocks:
            self._last_heard[block.device] = max(now, self._last_heard.get(block.device, 0.0))
            self._note_asked((block.device,))
            self.refusals.taken(block.device)
            for column in block.columns:
                filled += self.ledger.record(Channel(block.device, column.obis), block.times)
        return filled

    def recall(self, channel: Channel, stretches: Iterable[Stretch], heard_at: float) -> None:
        """Count the values that are stored already, and the last arrival from the meter (UTC seconds; 0: none)."""
        self._note_asked((channel.device,))
        for stretch in stretches:
            self.ledger.record_stretch(channel, stretch)
        if heard_at:
            self._last_heard[channel.device] = max(heard_at, self._last_heard.get(channel.device, 0.0))

    def finished(self, job: SessionJob, now: float, failure: Failure | None = None) -> None:
        """Note the end of a session; ``failure`` is why it failed, None where it succeeded."""
        self._tried.add(job.target)
        self._note_asked(self._members.get(job.target, ()))
        orders = [task.order for task in job.tasks if task.order is not None]
        if failure is not None:
            self._failed(job, orders, failure, now)
            return
        self.planner.finished(job, ok=True, now=now)
        self.counts.sessions_ok += 1
        self.counts.orders_answered += len(orders)
        self._last_heard[job.target] = now
        self.refusals.taken(job.target)
        for order in orders:
            self._tell_of(order)
        if self._last_failure.pop(job.target, None) is not None:
            self.note(job.target, "recovered", f"Reached again at attempt {job.attempt}", now)
        elif len(orders) < len(job.tasks):
            self.note(job.target, "read", "Read on schedule", now)

    def _failed(self, job: SessionJob, orders: Sequence[Order], failure: Failure, now: float) -> None:
        ended = [order for order in orders if self.orders.failed(order.order_id, failure, now)]
        self.planner.withdraw_orders(job, {order.order_id for order in ended})
        self.planner.finished(job, ok=False, now=now)
        self.counts.sessions_failed += 1
        self.counts.orders_failed += len(ended)
        self._last_failure[job.target] = failure
        severity = EventSeverity.WARNING
        entry = Entry(now, "failed", str(failure), severity=severity, failure=failure, is_proved=False)
        self.device_log.note(job.target, entry)
        if failure.is_answer:
            self._refused(job.target, now)
        for order in ended:
            self._tell_of(order)

    def _tell_of(self, order: Order) -> None:
        """Write an order that has ended into its meter's story."""
        self.device_log.note(order.device, _order_entry(self.orders.get(order.order_id)))

    def time_out_orders(self, now: float) -> list[Order]:
        """Remove and return the orders whose deadline has passed; each is noted in the device log."""
        overdue = self.planner.overdue_orders(now)
        for order in overdue:
            self._time_out(order, now)
        return overdue

    def _time_out(self, order: Order, now: float) -> None:
        self.counts.orders_timed_out += 1
        self.orders.timed_out(order.order_id, now)
        self._tell_of(order)

    def quarantine_frame(self, frame: QuarantinedFrame) -> None:
        """Put a frame that could not be used into quarantine and into its meter's story."""
        self.quarantine.keep(frame)
        if frame.device:
            title, severity = f"A frame was quarantined: {frame.fault}", EventSeverity.WARNING
            entry = Entry(frame.time, "quarantined", title, frame.reason, severity, is_proved=False)
            self.device_log.note(frame.device, entry)
            self._refused(frame.device, frame.time)

    def _refused(self, device: str, now: float) -> None:
        """Count a refusal, and raise the alarm where there were too many in a row."""
        self.refusals.refused(device, now)
        for alarm in self.refusals.take_alarms():
            entry = Entry(alarm.time, "quarantined", str(alarm), severity=EventSeverity.ALARM, is_proved=False)
            self.device_log.note(alarm.device, entry)

    def note(
        self,
        device: str,
        kind: str,
        title: str,
        now: float,
        detail: str = "",
        *,
        severity: EventSeverity = EventSeverity.INFO,
    ) -> None:
        """Write a line into a meter's story.

        Args:
            device: the meter.
            kind: one lower-case word such as ``read`` or ``failed``.
            title: one sentence.
            now: UTC seconds.
            detail: more about it.
            severity: of the event.

        """
        self.device_log.note(device, Entry(now, kind, title, detail, severity))

    def last_heard(self, device: str) -> float | None:
        """Return the time of a device's last reading or session, UTC seconds."""
        return self._last_heard.get(device)

    def was_tried(self, device: str) -> bool:
        """Whether a session with a device's target has ended since the start, or it was heard before."""
        known = self.inventory.get(device)
        target = device if known is None else self.target_of(known)
        return target in self._tried or target in self._last_heard

    def last_failure(self, device: str) -> Failure | None:
        """Return why the last session with a device's target failed, None if it did not."""
        known = self.inventory.get(device)
        return None if known is None else self._last_failure.get(self.target_of(known))


def _ordered(order: Order) -> str:
    return f"Read now, ordered by {order.author}" if order.author else "Read now, as ordered"


def _order_entry(record: OrderRecord) -> Entry:
    """Return how the story tells of an order that has ended."""
    title, at, warning = _ordered(record.order), record.ended_at or record.asked_at, EventSeverity.WARNING
    if record.state is OrderState.TIMED_OUT:
        return Entry(at, "timed out", f"{title}: not answered by its deadline", severity=warning)
    if record.state is OrderState.FAILED:
        words, why = str(reason_of(record.failure)), record.failure
        return Entry(at, "ordered", f"{title}: it failed", words, warning, failure=why, is_proved=False)
    words = ", ".join(f"{item.name} {item.value} {item.unit}" for item in order_values(record))
    return Entry(at, "ordered", title, words or "The meter refused every register")


def _merged(spans: Sequence[tuple[int, int]], slack: int) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start - merged[-1][1] <= slack:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _group_of(device: Device) -> tuple[str, Commodity]:
    """Return the group that a device is added up with: its network and commodity."""
    return device.network, device.commodity
