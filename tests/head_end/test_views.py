"""What the operator sees: late is told from failing, and what is not due yet is not missing."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal

import numpy as np
import pytest

from meterspan.engine.links import DeviceProtocol
from meterspan.head_end.inventory import ChannelPlan, Device, KeyCustody
from meterspan.head_end.planner import ReadPolicy, SessionJob
from meterspan.head_end.system import HeadEnd
from meterspan.head_end.views import HeadEndViews
from meterspan.model.damage import Damage
from meterspan.model.failures import Failure, FailureKind
from meterspan.model.lookup_errors import UnknownMeterError, UnknownOrderError
from meterspan.model.order_errors import NotAskedError
from meterspan.model.quarantine import REFUSED_ALARM_AFTER_S, REFUSED_ALARM_AT, FrameFault, QuarantinedFrame
from meterspan.model.readings import CaptureBlock, CaptureColumn, EventSeverity, MeterEvent, Source
from meterspan.model.remedies import Situation
from meterspan.model.storage.readings import DamageKind
from meterspan.model.views import GroupCompleteness, MeterState, OrderState, SpanView
from meterspan.quantities import UNITS, Commodity, Obis, Scaled
from meterspan.wire.errors import ReplayError

IMPORT = Obis(1, 0, 1, 8, 0)
MIDNIGHT = 20_000 * 86_400
NOON = MIDNIGHT + 12 * 3_600
DAY = date(2024, 10, 4)
POLICY = ReadPolicy(read_every_s=3_600, spread_s=600, settle_s=60)


class Sink:
    def take(self, blocks: Sequence[CaptureBlock], events: Sequence[MeterEvent] = ()) -> None:
        pass


class Numbers:
    def readings_stored(self) -> int:
        return 42

    def unexplained_wh(self) -> int:
        return 0

    def damage(self) -> Sequence[Damage]:
        return [Damage("batch 7", "cut", DamageKind.BATCH, 1_000, "journal", 96)]


def explain(octets: bytes, protocol: str) -> tuple[str, tuple[SpanView, ...]]:
    return f"{len(octets)} octets of {protocol}", ()


def at(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def block(device: str, until: int, start: int = MIDNIGHT) -> CaptureBlock:
    times = np.arange(start + 900, until + 1, 900, dtype=np.int64)
    zeros = np.zeros(len(times), np.int32)
    return CaptureBlock(
        device, Source.SCHEDULED_READ, until, times, (CaptureColumn(IMPORT, UNITS["Wh"], 0, times),), zeros, zeros
    )


@pytest.fixture
def head_end() -> HeadEnd:
    head_end = HeadEnd(Sink(), KeyCustody(bytes(32)), POLICY)
    for name in ("GOOD", "SILENT"):
        head_end.add_device(device(name), MIDNIGHT)
    return head_end


def device(name: str, installed_at: int = MIDNIGHT) -> Device:
    return Device(
        name,
        Commodity.ELECTRICITY,
        DeviceProtocol.DLMS_WRAPPER,
        f"{name}:4059",
        "cell",
        channels=(ChannelPlan(IMPORT),),
        installed_at=installed_at,
    )


@pytest.fixture
def views(head_end: HeadEnd) -> HeadEndViews:
    return HeadEndViews(head_end, Numbers(), explain, lambda: at(NOON))


def test_what_the_next_session_will_bring_is_not_missing(head_end: HeadEnd, views: HeadEndViews) -> None:
    head_end.take([block("GOOD", NOON - 3_600)], NOON - 3_600)
    good = next(line for line in views.meters(at(NOON)) if line.device == "GOOD")
    assert (good.state, good.missing, str(good.reason)) == (MeterState.OK, 0, "")


def test_a_meter_that_only_sends_is_not_said_to_be_asked_for_what_is_missing(head_end, views) -> None:
    head_end.add_device(replace(device("SENDS"), endpoint=""), MIDNIGHT)
    for name in ("GOOD", "SENDS"):
        head_end.take([block(name, NOON - 4 * 3_600)], NOON - 4 * 3_600)
    reasons = {line.device: line.reason.situation for line in views.meters(at(NOON))}
    assert reasons["GOOD"] == Situation.VALUES_DUE
    assert reasons["SENDS"] == Situation.PUSHES_DUE


def test_never_heard_late_and_failing_are_told_apart(head_end: HeadEnd, views: HeadEndViews) -> None:
    head_end.take([block("GOOD", NOON - 4 * 3_600)], NOON - 4 * 3_600)
    assert next(line for line in views.meters(at(NOON)) if line.device == "GOOD").state is MeterState.LATE
    now = float(NOON)
    head_end.finished(_session_for(head_end, "SILENT", now), now, Failure(FailureKind.UNREACHABLE, "no route"))
    silent = next(line for line in views.meters(at(NOON)) if line.device == "SILENT")
    assert silent.state is MeterState.UNKNOWN
    for _ in range(3):
        job = head_end.planner.next_job(now)
        while job is not None and job.target != "GOOD":
            head_end.finished(job, now)
            job = head_end.planner.next_job(now)
        assert job is not None
        head_end.finished(job, now, Failure(FailureKind.UNREACHABLE, "no connection within 10 s"))
        now += 600
    failing = next(line for line in views.meters(at(NOON)) if line.device == "GOOD")
    assert failing.state is MeterState.FAILING
    assert str(failing.reason).startswith("Not reached: its address does not answer; check the address")
    assert str(failing.reason).endswith("(no connection within 10 s)")
    assert views.meters(at(NOON))[0].device == "GOOD"


def test_the_summary_counts_what_was_due(head_end: HeadEnd, views: HeadEndViews) -> None:
    _fail(head_end, "SILENT")
    head_end.take([block("GOOD", NOON)], NOON)
    summary = views.summary(at(NOON))
    due = (12 * 3_600 - 4_260) // 900
    assert (summary.expected_today, summary.received_today) == (2 * due, due)
    assert summary.completeness_today == Decimal("0.5")
    assert summary.completeness_yesterday is None, "the meters were mounted today: nothing was due"
    assert (summary.meters, summary.readings_stored, summary.unexplained_wh) == (2, 42, 0)
    assert (summary.damaged, summary.left_out) == (1, ("batch 7",))
    (damage,) = views.damage()
    assert (damage.kind, damage.readings, damage.found_at) == (DamageKind.BATCH, 96, at(1_000))


def test_the_map_has_a_cell_for_every_day_asked_for(head_end: HeadEnd, views: HeadEndViews) -> None:
    _fail(head_end, "SILENT")
    head_end.take([block("GOOD", NOON)], NOON)
    rows = {row.device: row.cells for row in views.completeness(date(2024, 10, 3), DAY)}
    assert [cell.day for cell in rows["GOOD"]] == [date(2024, 10, 3), DAY]
    assert [cell.missing for cell in rows["GOOD"]] == [0, 0]
    assert rows["SILENT"][1].missing == rows["SILENT"][1].expected > 40


@pytest.mark.finding("security M10")
def test_a_meter_whose_every_push_is_refused_is_failing_with_an_alarm_until_one_is_taken(
    head_end: HeadEnd, views: HeadEndViews
) -> None:
    head_end.take([block("GOOD", NOON)], NOON)
    for number in range(REFUSED_ALARM_AT + 4):
        time = NOON + number * REFUSED_ALARM_AFTER_S // (REFUSED_ALARM_AT + 3)
        head_end.quarantine_frame(
            QuarantinedFrame(time, "push", FrameFault.WRONG_KEY, "tag differs", b"\xdb\x08", "GOOD")
        )
    story = views.story("GOOD", at(NOON))
    assert story.status.state is MeterState.FAILING
    assert f"The last {REFUSED_ALARM_AT + 4} messages" in str(story.status.reason)
    (alarm,) = [entry for entry in story.entries if entry.severity is EventSeverity.ALARM]
    assert "none was taken" in alarm.title
    head_end.take([block("GOOD", NOON)], NOON)
    assert views.story("GOOD", at(NOON)).status.state is not MeterState.FAILING


@pytest.mark.finding("security M10")
def test_a_meter_whose_every_session_is_refused_raises_an_alarm(head_end: HeadEnd) -> None:
    job = SessionJob(1, "GOOD", "cell", (), 1)
    for _ in range(REFUSED_ALARM_AT + 4):
        head_end.finished(job, NOON, Failure(FailureKind.KEY_WRONG))
    entries = head_end.device_log.entries("GOOD")
    assert len([entry for entry in entries if entry.severity is EventSeverity.ALARM]) == 1
    head_end.finished(job, NOON)
    assert head_end.refusals.alarming("GOOD") == 0


def test_a_story_tells_entries_frames_and_days(head_end: HeadEnd, views: HeadEndViews) -> None:
    head_end.quarantine_frame(QuarantinedFrame(NOON, "push", FrameFault.WRONG_KEY, "tag differs", b"\xdb\x08", "GOOD"))
    story = views.story("GOOD", at(NOON))
    assert [entry.kind for entry in story.entries] == ["quarantined", "installed"]
    assert len(story.cells) == 28
    (kept,) = views.quarantine()
    assert (kept.kind, kept.octets, kept.device) == ("wrong key", "DB08", "GOOD")
    with pytest.raises(UnknownMeterError):
        views.story("NOBODY", at(NOON))


def test_a_removed_meter_owes_nothing_and_stands_last(head_end: HeadEnd, views: HeadEndViews) -> None:
    head_end.take([block("GOOD", NOON)], NOON)
    head_end.remove_device("GOOD", NOON, NOON)
    lines = views.meters(at(NOON))
    assert [line.state for line in lines][-1] is MeterState.REMOVED
    assert views.summary(at(NOON)).meters == 1


def test_an_order_waits_and_times_out_in_view(head_end: HeadEnd, views: HeadEndViews) -> None:
    placed = views.order("GOOD", at(NOON), 30)
    assert (placed.state, placed.device, placed.deadline) == (OrderState.WAITING, "GOOD", at(NOON + 30))
    head_end.time_out_orders(NOON + 30)
    assert views.order_view(placed.order_id).state is OrderState.TIMED_OUT
    head_end.answer(placed.order_id, {IMPORT: Scaled(1, 0, UNITS["Wh"])}, NOON + 5)
    assert views.order_view(placed.order_id).state is OrderState.TIMED_OUT
    with pytest.raises(UnknownMeterError) as meter:
        views.order("NOBODY", at(NOON), 30)
    assert meter.value.device == "NOBODY"
    with pytest.raises(UnknownOrderError) as order:
        views.order_view(99)
    assert order.value.order_id == 99


def test_an_answered_order_shows_its_registers(head_end: HeadEnd, views: HeadEndViews) -> None:
    placed = views.order("GOOD", at(NOON), 30)
    head_end.answer(placed.order_id, {IMPORT: Scaled(12_345, -3, UNITS["m3"])}, NOON + 5)
    answered = views.order_view(placed.order_id)
    assert answered.state is OrderState.ANSWERED
    assert [(value.obis, value.value, value.unit) for value in answered.values] == [
        ("1-0:1.8.0", Decimal("12.345"), "m3")
    ]


def test_orders_are_listed_newest_first_within_a_limit(head_end: HeadEnd, views: HeadEndViews) -> None:
    placed = [views.order("GOOD", at(NOON + second), 30).order_id for second in range(3)]
    assert [order.order_id for order in views.orders(2)] == placed[:0:-1]
    assert views.orders()[-1] == views.order_view(placed[0])


def _fail(head_end: HeadEnd, device: str) -> None:
    """Try a device in vain."""
    head_end.finished(_session_for(head_end, device, NOON), NOON, Failure(FailureKind.UNREACHABLE))


def _session_for(head_end: HeadEnd, device: str, now: float):
    while (job := head_end.planner.next_job(now)) is not None:
        if job.target == device:
            return job
    raise AssertionError(f"no session with {device}")


def test_an_order_whose_counters_were_behind_goes_again_at_once_and_keeps_the_reason(
    head_end: HeadEnd, views: HeadEndViews
) -> None:
    placed = views.order("GOOD", at(NOON), 30)
    assert (str(placed.reason), placed.ended_at) == ("", None)
    behind = Failure(FailureKind.COUNTER_BEHIND, "expects 17", counter=17)
    head_end.finished(_session_for(head_end, "GOOD", NOON + 1), NOON + 2, behind)
    waiting = views.order_view(placed.order_id)
    assert (waiting.state, waiting.ended_at) == (OrderState.WAITING, None)
    assert "they are recovered at the next session" in str(waiting.reason)
    again = _session_for(head_end, "GOOD", NOON + 2 + POLICY.order_gap_s)
    assert [task.order.order_id for task in again.tasks if task.order] == [placed.order_id]
    head_end.time_out_orders(NOON + 30)
    ended = views.order_view(placed.order_id)
    assert (ended.state, ended.reason, ended.ended_at) == (OrderState.TIMED_OUT, waiting.reason, at(NOON + 30))


ENDS = {
    FailureKind.UNREACHABLE: "its address does not answer",
    FailureKind.AUTHENTICATION_FAILED: "wrong key or password",
    FailureKind.DECIPHERING_ERROR: "wrong key: the meter could not open our message",
    FailureKind.TIMEOUT: "the meter stopped answering",
}


@pytest.mark.finding("users A4")
@pytest.mark.attack(9)
@pytest.mark.parametrize("kind", ENDS)
def test_an_order_ends_with_its_sessions_reason_and_is_not_asked_again(
    head_end: HeadEnd, views: HeadEndViews, kind: FailureKind
) -> None:
    placed = views.order("GOOD", at(NOON), 600, "anna")
    head_end.finished(_session_for(head_end, "GOOD", NOON + 1), NOON + 9, Failure(kind, "as the session says"))
    ended = views.order_view(placed.order_id)
    assert (ended.state, ended.ended_at, ended.author) == (OrderState.FAILED, at(NOON + 9), "anna")
    assert ENDS[kind] in str(ended.reason)
    assert head_end.time_out_orders(NOON + 600) == []
    again = _session_for(head_end, "GOOD", NOON + 7_200)
    assert all(task.order is None for task in again.tasks)
    (told,) = [entry for entry in views.story("GOOD", at(NOON + 10)).entries if entry.kind == "ordered"]
    assert told.title == "Read now, ordered by anna: it failed"
    assert ENDS[kind] in told.detail


@pytest.mark.finding("users A4")
def test_an_order_goes_at_once_and_not_after_the_pause_of_a_failed_session(
    head_end: HeadEnd, views: HeadEndViews
) -> None:
    for minutes in range(5):
        failed = _session_for(head_end, "GOOD", NOON + 600 * minutes)
        head_end.finished(failed, NOON + 600 * minutes, Failure(FailureKind.UNREACHABLE))
    now = NOON + 600 * 4 + POLICY.order_gap_s
    placed = views.order("GOOD", at(now), 60)
    job = _session_for(head_end, "GOOD", now)
    assert [task.order.order_id for task in job.tasks if task.order] == [placed.order_id]
    while_it_lasts = views.order("GOOD", at(now + 1), 60)
    head_end.finished(job, now + 2, Failure(FailureKind.UNREACHABLE))
    again = _session_for(head_end, "GOOD", now + 2 + POLICY.order_gap_s)
    assert [task.order.order_id for task in again.tasks if task.order] == [while_it_lasts.order_id]


@pytest.mark.finding("users A5")
def test_a_read_on_demand_is_in_the_story_as_what_it_was(head_end: HeadEnd, views: HeadEndViews) -> None:
    head_end.take([block("GOOD", NOON)], NOON)
    head_end.finished(_session_for(head_end, "GOOD", NOON), NOON)
    placed = views.order("GOOD", at(NOON + 10), 60, "anna")
    job = _session_for(head_end, "GOOD", NOON + 10)
    head_end.answer(placed.order_id, {IMPORT: Scaled(6_504_555, 0, UNITS["Wh"])}, NOON + 11)
    head_end.finished(job, NOON + 11)
    newest = views.story("GOOD", at(NOON + 12)).entries[0]
    assert (newest.kind, newest.title) == ("ordered", "Read now, ordered by anna")
    assert newest.detail == "active energy import 6504.555 kWh"
    assert sum(entry.title == "Read on schedule" for entry in views.story("GOOD", at(NOON + 12)).entries) == 1


def test_orders_are_the_same_after_a_restart_and_those_that_wait_are_asked_again(
    head_end: HeadEnd, views: HeadEndViews
) -> None:
    head_end.add_device(device("GONE"), NOON)
    before = views.order("GOOD", at(NOON), 600), views.order("SILENT", at(NOON), 30), views.order("GONE", at(NOON), 600)
    records = head_end.orders.take_changed()
    again = HeadEnd(Sink(), KeyCustody(bytes(32)), POLICY)
    for name in ("GOOD", "SILENT"):
        again.add_device(device(name), NOON)
    later = HeadEndViews(again, Numbers(), explain, lambda: at(NOON + 60))
    again.restore_orders(records, NOON + 60)
    states = {order.order_id: order.state for order in later.orders()}
    assert states == {
        before[0].order_id: OrderState.WAITING,
        before[1].order_id: OrderState.TIMED_OUT,
        before[2].order_id: OrderState.TIMED_OUT,
    }
    job = _session_for(again, "GOOD", NOON + 60)
    assert [task.order.order_id for task in job.tasks if task.order] == [before[0].order_id]
    assert later.order("GOOD", at(NOON + 61), 60).order_id == before[2].order_id + 1


@pytest.mark.finding("users A5")
@pytest.mark.attack(9)
def test_the_story_of_a_meter_tells_its_ended_orders_again_after_a_restart(
    head_end: HeadEnd, views: HeadEndViews
) -> None:
    answered = views.order("GOOD", at(NOON), 60, "anna")
    head_end.answer(answered.order_id, {IMPORT: Scaled(5, 0, UNITS["Wh"])}, NOON + 3)
    head_end.finished(_session_for(head_end, "GOOD", NOON + 1), NOON + 3)
    views.order("GOOD", at(NOON + 9), 60, "ben")
    head_end.finished(_session_for(head_end, "GOOD", NOON + 10), NOON + 11, Failure(FailureKind.UNREACHABLE))
    views.order("SILENT", at(NOON), 5)
    head_end.time_out_orders(NOON + 60)
    head_end.remove_device("SILENT", NOON + 70, NOON + 90)
    again = HeadEnd(Sink(), KeyCustody(bytes(32)))
    for one in head_end.inventory:
        again.add_device(one, NOON + 5_000)
    again.remove_device("SILENT", NOON + 70, NOON + 5_000)
    again.restore_orders(head_end.orders.newest(100)[::-1], NOON + 5_000)
    for name in ("GOOD", "SILENT"):
        kinds = {"ordered", "timed out", "installed", "removed"}
        before, after = (
            sorted(
                (entry.time, entry.kind, entry.title) for entry in one.device_log.entries(name) if entry.kind in kinds
            )
            for one in (head_end, again)
        )
        assert after == before, "with the times at which it happened"
        assert len(after) == 3


def test_a_meter_that_only_pushes_cannot_be_ordered(head_end: HeadEnd, views: HeadEndViews) -> None:
    head_end.add_device(replace(device("PUSHER"), endpoint=""), NOON)
    with pytest.raises(NotAskedError):
        views.order("PUSHER", at(NOON), 60)


@pytest.mark.finding("users A6")
@pytest.mark.attack(7)
def test_a_meter_that_nobody_has_tried_says_when_it_will_be(head_end: HeadEnd, views: HeadEndViews) -> None:
    head_end.add_device(device("NEW", installed_at=NOON - 86_400), NOON)
    known = {line.device: line for line in views.meters(at(NOON))}
    due = known["NEW"].next_attempt
    assert due is not None
    assert due > at(NOON)
    assert known["NEW"].state is MeterState.UNTRIED
    assert str(known["NEW"].reason) == f"Not tried yet; the next attempt is at {due:%Y-%m-%d %H:%M:%S} UTC."
    assert known["NEW"].missing > 40, "so many are due"
    (row,) = views.completeness(date(2024, 10, 1), DAY, ["NEW"])
    assert [cell.expected for cell in row.cells] == [0] * len(row.cells), "the map has no gap of a meter not asked yet"
    summary, groups = views.summary(at(NOON)), views.groups(DAY, DAY)
    assert (summary.completeness_today, summary.completeness_yesterday) == (None, None)
    assert [(group.meters, group.cells[0].expected) for group in groups] == [(3, 0)]
    job = _session_for(head_end, "NEW", due.timestamp())
    assert {line.device: str(line.reason) for line in views.meters(due)}["NEW"].startswith("Being tried for the first")
    head_end.finished(job, due.timestamp() + 1, Failure(FailureKind.UNREACHABLE, "refused"))
    tried = {line.device: line for line in views.meters(at(NOON + 999))}["NEW"]
    assert (tried.state, tried.next_attempt is not None) == (MeterState.UNKNOWN, True)
    assert str(tried.reason).startswith("Never heard: its address does not answer")
    assert views.summary(at(NOON + 999)).completeness_yesterday == 0
    (row,) = views.completeness(DAY, DAY, ["NEW"])
    assert row.cells[0].missing > 40


def test_a_meter_that_only_pushes_is_not_called_silent_before_something_is_due(
    head_end: HeadEnd, views: HeadEndViews
) -> None:
    head_end.add_device(replace(device("EARLY", installed_at=NOON), endpoint=""), NOON)
    head_end.add_device(replace(device("OVERDUE"), endpoint=""), NOON)
    lines = {line.device: line for line in views.meters(at(NOON))}
    assert (lines["EARLY"].state, lines["EARLY"].reason.situation) == (MeterState.UNTRIED, Situation.NOT_DUE)
    assert (lines["OVERDUE"].state, lines["OVERDUE"].reason.situation) == (MeterState.UNKNOWN, Situation.NEVER_HEARD)


@pytest.mark.finding("users A8")
@pytest.mark.parametrize("kind", [kind for kind in FailureKind if Failure(kind).is_answer])
def test_a_meter_that_answered_is_not_called_never_heard(
    head_end: HeadEnd, views: HeadEndViews, kind: FailureKind
) -> None:
    job = _session_for(head_end, "SILENT", NOON)
    head_end.finished(job, NOON, Failure(kind, "service-not-allowed"))
    line = {line.device: line for line in views.meters(at(NOON + 1))}["SILENT"]
    assert (line.state, line.last_heard) == (MeterState.FAILING, None)
    assert str(line.reason).startswith("It answers, and was not read yet: ")
    assert "ever heard" not in str(line.reason)


def test_a_replay_is_not_called_a_counter_that_is_behind(head_end: HeadEnd, views: HeadEndViews) -> None:
    head_end.take([block("GOOD", NOON - 4 * 3_600)], NOON - 4 * 3_600)
    replay = Failure.of_error(ReplayError("invocation counter 5 is not above 7", None, "invocation-counter"))
    told = {}
    for failure in (replay, Failure(FailureKind.COUNTER_BEHIND, counter=9)):
        job = None
        while job is None or job.target != "GOOD":
            job = head_end.planner.next_job(NOON + 3_600.0 * len(told))
            assert job is not None
        head_end.finished(job, NOON, failure)
        told[failure.kind] = str(next(line for line in views.meters(at(NOON)) if line.device == "GOOD").reason)
    assert "replays" in told[FailureKind.REPLAY]
    assert "recovered at the next session" not in told[FailureKind.REPLAY]
    assert "recovered at the next session" in told[FailureKind.COUNTER_BEHIND]


def _steps(act: Callable[[], object]) -> int:
    """Count the calls that an answer takes, of Python and of C: its cost, whatever the machine."""
    count = 0

    def note(*_event: object) -> None:
        nonlocal count
        count += 1

    sys.setprofile(note)
    try:
        act()
    finally:
        sys.setprofile(None)
    return count


def _read_for(days: int, meters: int) -> tuple[HeadEnd, HeadEndViews]:
    """Meters that were read for so many days but for an hour in the first night."""
    head_end = HeadEnd(Sink(), KeyCustody(bytes(32)), POLICY)
    start = MIDNIGHT - days * 86_400
    for number in range(meters):
        name = f"M{number}"
        endpoint = f"{name}:4059"
        device = Device(
            name,
            Commodity.ELECTRICITY,
            DeviceProtocol.DLMS_WRAPPER,
            endpoint,
            "cell",
            channels=(ChannelPlan(IMPORT),),
            installed_at=start,
        )
        head_end.add_device(device, MIDNIGHT)
        for part in (block(name, start + 7_200, start), block(name, NOON, start + 10_800)):
            head_end.credit([part], NOON)
    return head_end, HeadEndViews(head_end, Numbers(), explain, lambda: at(NOON))


QUESTIONS: dict[str, Callable[[HeadEnd, HeadEndViews], object]] = {
    "summary": lambda _, views: views.summary(at(NOON)),
    "meters": lambda _, views: views.meters(at(NOON)),
    "story": lambda _, views: views.story("M1", at(NOON)),
    "map": lambda _, views: views.groups(date(2024, 9, 20), DAY),
    "rows of the map": lambda _, views: views.completeness(date(2024, 9, 20), DAY, ["M1", "M2"]),
    "holes of a meter": lambda head_end, _: head_end.holes_of("M1", NOON),
}


@pytest.mark.finding("security H5")
@pytest.mark.attack(10)
@pytest.mark.parametrize("question", QUESTIONS)
def test_an_answer_takes_as_many_steps_after_four_hundred_days_as_after_forty(question: str) -> None:
    ask = QUESTIONS[question]
    short, long = (_read_for(days, 5) for days in (40, 400))
    ask(*short)  # what is made once is made now
    assert _steps(lambda: ask(*long)) <= 1.05 * _steps(lambda: ask(*short))


@pytest.mark.attack(10)
def test_the_map_of_a_network_takes_as_many_steps_for_many_meters_as_for_few() -> None:
    few, many = (_read_for(3, meters)[1] for meters in (2, 60))
    days = date(2024, 9, 20), DAY
    assert _steps(lambda: many.groups(*days)) == _steps(lambda: few.groups(*days))


def test_the_headline_of_one_network_counts_its_meters_and_values_only(head_end: HeadEnd, views: HeadEndViews) -> None:
    head_end.add_device(
        Device(
            "FAR",
            Commodity.GAS,
            DeviceProtocol.DLMS_WRAPPER,
            "",  # it pushes: nobody is to ask it
            "other",
            channels=(ChannelPlan(IMPORT),),
            installed_at=MIDNIGHT,
        ),
        MIDNIGHT,
    )
    _fail(head_end, "SILENT")
    head_end.take([block("GOOD", NOON)], NOON)
    due = (12 * 3_600 - 4_260) // 900
    other, cell, whole = (views.summary(at(NOON), name) for name in ("other", "cell", ""))
    assert (other.meters, other.expected_today, other.received_today) == (1, due, 0)
    assert other.by_commodity == ((Commodity.GAS, 1),)
    assert (cell.meters, cell.expected_today, cell.received_today) == (2, 2 * due, due)
    assert (whole.meters, whole.expected_today, whole.received_today) == (3, 3 * due, due)


def test_groups_are_the_rows_added_up_and_a_removed_meter_is_not_counted(
    head_end: HeadEnd, views: HeadEndViews
) -> None:
    head_end.take([block("GOOD", NOON)], NOON)
    days = date(2024, 10, 1), DAY
    assert views.groups(*days) == GroupCompleteness.of(views.completeness(*days))
    head_end.remove_device("SILENT", NOON, NOON)
    assert [group.meters for group in views.groups(*days)] == [1]


def test_values_missing_lately_are_those_of_the_days_of_the_map() -> None:
    _, views = _read_for(40, 1)
    (line,) = views.meters(at(NOON))
    assert (line.missing, line.missing_lately) == (4, 0)
    _, views = _read_for(20, 1)
    (line,) = views.meters(at(NOON))
    assert (line.missing, line.missing_lately) == (4, 4)
