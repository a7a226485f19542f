"""The operator's queries to the head end: ``NetworkViews`` over inventory, ledger, device log and quarantine."""

from collections import Counter
from collections.abc import Callable, Generator, Hashable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Protocol, cast

from meterspan.analytics.completeness import DayCount, share_received
from meterspan.head_end.device_log import Entry, Frame
from meterspan.head_end.inventory import Device
from meterspan.head_end.ledger import Channel
from meterspan.head_end.orders import OrderRecord, order_values
from meterspan.head_end.system import HeadEnd
from meterspan.model.damage import Damage
from meterspan.model.lookup_errors import UnknownMeterError
from meterspan.model.remedies import NO_REASON, Reason, Situation, reason_of
from meterspan.model.views import (
    CompletenessCell,
    CompletenessView,
    DamageView,
    FrameView,
    GroupCompleteness,
    MeterState,
    MeterStatus,
    MeterStory,
    NetworkSummary,
    OrderView,
    QuarantineView,
    SpanView,
    StoryEntry,
)
from meterspan.quantities import DAY_S, DAY_ZERO, Commodity, utc

__all__ = ["LEFT_OUT_NAMED", "DataNumbers", "Explain", "HeadEndViews", "StoryRecords", "Survey", "order_view"]

FAILING_AFTER_FAILURES = 3
"""Sessions failed in a row before a meter is called failing, not late."""

LEFT_OUT_NAMED = 5
"""Damaged items that the headline names; the page of damage lists all."""

SURVEY_STEP = 100
"""Meters that are looked at in one step: about two milliseconds."""

LATELY_DAYS = 28
"""Days of the completeness map."""

_SHOWN_FRAMES = 12

Explain = Callable[[bytes, str], tuple[str, tuple[SpanView, ...]]]
"""Explains a frame's octets, given its protocol: a summary in one line, and every octet range."""


class DataNumbers(Protocol):
    """The head end's queries to the data management for its headline."""

    def readings_stored(self) -> int:
        """How many readings are stored."""
        ...

    def unexplained_wh(self) -> int | None:
        """Energy that no interval explains, Wh; None while nothing is stored that could be compared."""
        ...

    def damage(self) -> Sequence[Damage]:
        """List damaged or impossible items that are left out of all numbers."""
        ...


@dataclass(frozen=True, slots=True)
class StoryRecords:
    """What a meter's story is told from.

    Attributes:
        status: how the meter is doing.
        entries: of the device log, in any order.
        frames: the newest.
        cells: its completeness by day.

    """

    status: MeterStatus
    entries: Sequence[Entry]
    frames: Sequence[Frame]
    cells: tuple[CompletenessCell, ...]


class Survey:
    """The meters of a network at one instant: what every list and sum of one page is made of.

    Args:
        at: when.
        lines: the meters in any order.
        days: of each network and commodity, the counts of yesterday and today.
        quarantined: how many frames were quarantined.
        sessions_open: how many sessions are held.

    """

    def __init__(
        self,
        at: datetime,
        lines: Sequence[MeterStatus],
        days: Sequence[tuple[tuple[str, Commodity], DayCount, DayCount]],
        *,
        quarantined: int,
        sessions_open: int,
    ) -> None:
        self.at = at
        self.days = days
        self.quarantined = quarantined
        self.sessions_open = sessions_open
        self._lines = lines

    @cached_property
    def meters(self) -> tuple[MeterStatus, ...]:
        """The meters, worst first; sorted when they are asked for, by who asks."""
        rank = {state: number for number, state in enumerate(_WORST_FIRST)}
        return tuple(sorted(self._lines, key=lambda line: (rank[line.state], -line.missing, line.device)))


class HeadEndViews:
    """Answers the operator's questions and takes the operator's orders (``NetworkViews``, ``OrderDesk``).

    Args:
        head_end: the head end.
        numbers: the data management's part of the headline.
        explain: explains a frame for a meter's story.
        clock: returns the time now; values of the running day are due only up to it.
        on_order: called after an order is placed, so that a waiting head end starts it at once.

    """

    def __init__(
        self,
        head_end: HeadEnd,
        numbers: DataNumbers,
        explain: Explain,
        clock: Callable[[], datetime],
        *,
        on_order: Callable[[], None] = lambda: None,
    ) -> None:
        self._head_end = head_end
        self._clock = clock
        self._numbers = numbers
        self._explain = explain
        self._on_order = on_order

    def summary(self, now: datetime, network: str = "") -> NetworkSummary:
        """Return the headline numbers; completeness counts UTC days, today up to the values due by now."""
        return self.summary_of(_finished(self.survey(now)), network)

    def meters(self, now: datetime) -> Sequence[MeterStatus]:
        """List all meters, worst first."""
        return _finished(self.survey(now)).meters

    def survey(self, now: datetime) -> Generator[None, None, Survey]:
        """Look at all meters, and yield after each few of them; returns what it found."""
        until = int(now.timestamp())
        lines: list[MeterStatus] = []
        for number, device in enumerate(self._metering(), start=1):
            lines.append(self._status(device, until))
            if number % SURVEY_STEP == 0:
                yield
        today = until // DAY_S
        days = self._head_end.ledger.days_of_groups(today - 1, today, int(self._head_end.planner.due_by(until)))
        return Survey(
            now,
            lines,
            tuple((_group_of(group), *_pair(counts)) for group, counts in days.items()),
            quarantined=self._head_end.quarantine.total,
            sessions_open=self._head_end.planner.open_count,
        )

    def summary_of(self, survey: Survey, network: str = "") -> NetworkSummary:
        """Return the headline numbers of a survey; may be called from any thread."""
        damaged = self._numbers.damage()
        lines = [line for line in survey.meters if network in {"", line.network}]
        states = Counter(line.state for line in lines)
        commodities = Counter(line.commodity for line in lines if line.state is not MeterState.REMOVED)
        counts = [(before, today) for group, before, today in survey.days if network in {"", group[0]}]
        before, today = ([pair[at] for pair in counts] for at in (0, 1))
        expected, received = _added_up(today)
        expected_before, received_before = _added_up(before)
        return NetworkSummary(
            at=survey.at,
            meters=states.total() - states[MeterState.REMOVED],
            by_state=tuple((state, states[state]) for state in MeterState if states[state]),
            by_commodity=tuple(sorted(commodities.items())),
            expected_today=expected,
            received_today=received,
            completeness_today=share_received(received, expected),
            completeness_yesterday=share_received(received_before, expected_before),
            unexplained_wh=self._numbers.unexplained_wh(),
            quarantined=survey.quarantined,
            readings_stored=self._numbers.readings_stored(),
            sessions_open=survey.sessions_open,
            damaged=len(damaged),
            left_out=tuple(item.item for item in damaged[:LEFT_OUT_NAMED]),
        )

    def completeness(self, first: date, last: date, devices: Sequence[str] | None = None) -> Sequence[CompletenessView]:
        """Return the completeness of these UTC days, a row per meter; the last day counts the values due by now."""
        known: dict[tuple[object, ...], tuple[CompletenessCell, ...]] = {}
        named = self._metering() if devices is None else map(self._head_end.inventory.get, devices)
        return [
            CompletenessView(device.device, device.commodity, device.network, self._cells(device, first, last, known))
            for device in named
            if device is not None
        ]

    def groups(self, first: date, last: date) -> Sequence[GroupCompleteness]:
        """Return the completeness of these UTC days by network and commodity; it costs the days, not the meters."""
        low, high = (first - DAY_ZERO).days, (last - DAY_ZERO).days
        due_by = int(self._head_end.planner.due_by(self._clock().timestamp()))
        found = self._head_end.ledger.days_of_groups(low, high, due_by)
        nothing = [DayCount(day, 0, 0) for day in range(low, high + 1)]
        return [
            GroupCompleteness(
                *group,
                size,
                tuple(
                    CompletenessCell(DAY_ZERO + timedelta(count.day), count.expected, count.received)
                    for count in found.get(group, nothing)
                ),
            )
            for group, size in self._head_end.group_sizes.items()
            if size
        ]

    def story(self, device: str, now: datetime) -> MeterStory:
        """Return one meter's story.

        Raises:
            UnknownMeterError: no such meter.

        """
        return self.story_of(self.story_records(device, now))

    def story_records(self, device: str, now: datetime) -> StoryRecords:
        """Return what a meter's story is told from; raises ``UnknownMeterError``."""
        known = self._head_end.inventory.get(device)
        if known is None:
            raise UnknownMeterError(device)
        target = self._head_end.target_of(known)
        entries = list(self._head_end.device_log.entries(device))
        if target != device:
            entries += self._head_end.device_log.entries(target)
        frames = self._head_end.device_log.frames(device) or self._head_end.device_log.frames(target)
        last = now.date()
        return StoryRecords(
            self._status(known, int(now.timestamp())),
            entries,
            frames[:_SHOWN_FRAMES],
            self._cells(known, last - timedelta(days=LATELY_DAYS - 1), last, {}),
        )

    def story_of(self, records: StoryRecords) -> MeterStory:
        """Return the story; may be called from any thread, as explaining frames takes its time."""
        newest_first = sorted(records.entries, key=lambda entry: entry.time, reverse=True)
        return MeterStory(
            status=records.status,
            entries=tuple(_story_entry(entry) for entry in newest_first),
            frames=tuple(self._frame(frame) for frame in records.frames),
            cells=records.cells,
        )

    def quarantine(self, limit: int = 100) -> Sequence[QuarantineView]:
        """List quarantined frames, newest first."""
        return [
            QuarantineView(
                utc(frame.time), frame.source, frame.fault, frame.reason, frame.octets.hex().upper(), frame.device
            )
            for frame in self._head_end.quarantine.newest(limit)
        ]

    def damage(self) -> Sequence[DamageView]:
        """List damaged or impossible items at rest, stored items first."""
        return [DamageView.of(item) for item in self._numbers.damage()]

    def order(self, device: str, now: datetime, deadline_s: float, author: str = "") -> OrderView:
        """Order a read of all registers of a meter, to be answered within ``deadline_s``.

        Args:
            device: the meter.
            now: the time, aware.
            deadline_s: seconds until it has timed out.
            author: who orders it.

        Raises:
            UnknownMeterError: no such meter.
            NotAskedError: no session is held with it.
            TooManyOrdersError: too many orders wait already.

        """
        known = self._head_end.inventory.get(device)
        if known is None:
            raise UnknownMeterError(device)
        asked_at = now.timestamp()
        wanted = [plan.obis for plan in known.channels]
        order = self._head_end.order(device, wanted, now=asked_at, deadline=asked_at + deadline_s, author=author)
        self._on_order()
        return self.order_view(order.order_id)

    def orders(self, limit: int = 100, device: str = "") -> Sequence[OrderView]:
        """List the newest orders, newest first; only those of one meter where it is named."""
        return [order_view(record) for record in self._head_end.orders.newest(limit, device)]

    def order_view(self, order_id: int) -> OrderView:
        """Return the state of an order.

        Raises:
            UnknownOrderError: no such order, or it was dropped because of its age.

        """
        return order_view(self._head_end.orders.get(order_id))

    def _metering(self) -> list[Device]:
        return [device for device in self._head_end.inventory if device.channels]

    def _status(self, device: Device, until: int) -> MeterStatus:
        ledger, expected, received, missing_lately = self._head_end.ledger, 0, 0, 0
        due_by = int(self._head_end.planner.due_by(until))
        lately = (until // DAY_S - LATELY_DAYS + 1) * DAY_S
        for channel in ledger.of_device(device.device):
            count = ledger.count(channel, due_by)
            expected, received = expected + count[0], received + count[1]
            if count[0] > count[1]:
                of_late = ledger.count(channel, due_by, since=lately)
                missing_lately += of_late[0] - of_late[1]
        heard = self._head_end.last_heard(device.device)
        state, reason = self._state(device, until, heard, missing=expected - received)
        return MeterStatus(
            device=device.device,
            commodity=device.commodity,
            protocol=device.protocol,
            interface=device.interface,
            network=device.network,
            usage_point=device.usage_point,
            state=state,
            reason=reason,
            last_heard=None if heard is None else utc(heard),
            expected=expected,
            received=received,
            missing=expected - received,
            missing_lately=missing_lately,
            next_attempt=self._next_attempt(device, until),
        )

    def _next_attempt(self, device: Device, until: int) -> datetime | None:
        if device.removed_at is not None and device.removed_at <= until:
            return None
        time = self._head_end.planner.next_attempt(self._head_end.target_of(device))
        return None if time is None else utc(time)

    def _state(self, device: Device, until: int, heard: float | None, *, missing: int) -> tuple[MeterState, Reason]:
        if device.removed_at is not None and device.removed_at <= until:
            return MeterState.REMOVED, Reason(Situation.REMOVED)
        target = self._head_end.target_of(device)
        failure = self._head_end.last_failure(device.device)
        through = "" if target == device.device else target
        refused = max(self._head_end.refusals.alarming(name) for name in (device.device, target))
        if refused and failure is None:
            return MeterState.FAILING, Reason(Situation.ALL_REFUSED, through=through, count=refused)
        if heard is None and failure is not None:
            if failure.is_answer:
                return MeterState.FAILING, reason_of(failure, Situation.NOT_READ, through=through)
            return MeterState.UNKNOWN, reason_of(failure, Situation.NEVER_REACHED, through=through)
        if heard is None:
            return self._unheard(device, target, through, missing=missing)
        failures = self._head_end.planner.failures(target)
        if failure and missing and failures >= FAILING_AFTER_FAILURES:
            return MeterState.FAILING, reason_of(failure, Situation.NOT_REACHED, through=through)
        if failure and (missing or target == device.device):
            return MeterState.LATE, reason_of(failure, Situation.SESSION_FAILED, through=through)
        if missing:
            is_asked = self._head_end.planner.is_planned(target)
            situation = Situation.VALUES_DUE if is_asked else Situation.PUSHES_DUE
            return MeterState.LATE, Reason(situation, count=missing)
        return MeterState.OK, NO_REASON

    def _unheard(self, device: Device, target: str, through: str, *, missing: int) -> tuple[MeterState, Reason]:
        """Return the state of a meter that was never heard and with which no session failed."""
        planner = self._head_end.planner
        if missing and (self._head_end.was_tried(device.device) or not planner.is_planned(target)):
            return MeterState.UNKNOWN, Reason(Situation.NEVER_HEARD)
        if not planner.is_planned(target):
            return MeterState.UNTRIED, Reason(Situation.NOT_DUE)
        time = planner.next_attempt(target)
        if time is None or time <= self._clock().timestamp():
            return MeterState.UNTRIED, Reason(Situation.BEING_TRIED, through=through)
        return MeterState.UNTRIED, Reason(Situation.NOT_TRIED, through=through, at=utc(time))

    def _cells(
        self, device: Device, first: date, last: date, known: dict[tuple[object, ...], tuple[CompletenessCell, ...]]
    ) -> tuple[CompletenessCell, ...]:
        """Return a row of the map; equal rows, as most are, are made once and remembered in ``known``."""
        low, high = (first - DAY_ZERO).days, (last - DAY_ZERO).days
        until = min((high + 1) * DAY_S, int(self._head_end.planner.due_by(self._clock().timestamp())))
        counts: dict[int, tuple[int, int]] = {}
        for plan in device.channels if not self._head_end.is_unasked(device.device) else ():
            for count in self._head_end.ledger.days(Channel(device.device, plan.obis), until, first=low):
                expected, received = counts.get(count.day, (0, 0))
                counts[count.day] = (expected + count.expected, received + count.received)
        key = tuple(counts.items())
        cells = known.get(key)
        if cells is None:
            days = [first + timedelta(days=number) for number in range(high - low + 1)]
            cells = known[key] = tuple(
                CompletenessCell(day, *counts.get((day - DAY_ZERO).days, (0, 0))) for day in days
            )
        return cells

    def _frame(self, frame: Frame) -> FrameView:
        summary, spans = self._explain(frame.octets, frame.protocol)
        direction = "sent" if frame.sent else "received"
        return FrameView(utc(frame.time), direction, frame.protocol, frame.octets.hex().upper(), summary, spans)


def _finished(steps: Generator[None, None, Survey]) -> Survey:
    """Return the result of a survey, all of its steps taken at once."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Survey = end.value
            return found


def _group_of(group: Hashable) -> tuple[str, Commodity]:
    """Return network and commodity of a group of the ledger, as ``HeadEnd.add_device`` made it."""
    return cast("tuple[str, Commodity]", group)


def _pair(counts: Sequence[DayCount]) -> tuple[DayCount, DayCount]:
    before, today = counts
    return before, today


def _added_up(counts: Sequence[DayCount]) -> tuple[int, int]:
    return sum(count.expected for count in counts), sum(count.received for count in counts)


_WORST_FIRST = (
    MeterState.FAILING,
    MeterState.LATE,
    MeterState.UNKNOWN,
    MeterState.UNTRIED,
    MeterState.OK,
    MeterState.REMOVED,
)


def _story_entry(entry: Entry) -> StoryEntry:
    title = entry.title if entry.count == 1 else f"{entry.title} ({entry.count} times)"
    return StoryEntry(utc(entry.time), entry.kind, title, entry.detail, entry.severity)


def order_view(record: OrderRecord) -> OrderView:
    """Return an order as it is shown."""
    return OrderView(
        record.order.order_id,
        record.order.device,
        record.state,
        utc(record.asked_at),
        utc(record.order.deadline),
        order_values(record),
        reason_of(record.failure),
        None if record.ended_at is None else utc(record.ended_at),
        record.order.author,
    )
