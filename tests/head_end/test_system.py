"""The head end credits a meter only for what is durable, and tells what happened."""

from collections.abc import Sequence

import numpy as np
import pytest

from meterspan.engine.links import DeviceProtocol
from meterspan.head_end.inventory import ChannelPlan, Device, KeyCustody, KeyPurpose
from meterspan.head_end.planner import TaskKind
from meterspan.head_end.system import HeadEnd
from meterspan.model.failures import Failure, FailureKind
from meterspan.model.lookup_errors import UnknownMeterError
from meterspan.model.quarantine import FrameFault, QuarantinedFrame
from meterspan.model.readings import CaptureBlock, CaptureColumn, MeterEvent, Source
from meterspan.quantities import UNITS, Commodity, Obis
from meterspan.wire import KeyWrongError

IMPORT, EXPORT, PROFILE = Obis(1, 0, 1, 8, 0), Obis(1, 0, 2, 8, 0), Obis(1, 0, 99, 1, 0)
VOLUME = Obis(7, 0, 3, 0, 0)
MIDNIGHT = 20_000 * 86_400
MASTER_KEY = bytes(range(32))


class Sink:
    """Keeps what it is given; refuses while it is broken."""

    def __init__(self) -> None:
        self.blocks: list[CaptureBlock] = []
        self.is_broken = False

    def take(self, blocks: Sequence[CaptureBlock], events: Sequence[MeterEvent] = ()) -> None:
        if self.is_broken:
            raise OSError("disk full")
        self.blocks += blocks


def meter(name: str = "MSP1", endpoint: str = "127.0.0.1:4059") -> Device:
    plans = tuple(ChannelPlan(obis, 900, PROFILE) for obis in (IMPORT, EXPORT))
    return Device(
        name,
        Commodity.ELECTRICITY,
        DeviceProtocol.DLMS_WRAPPER,
        endpoint,
        "cell",
        channels=plans,
        installed_at=MIDNIGHT,
    )


def block(name: str, *slots: int, obis: Sequence[Obis] = (IMPORT, EXPORT)) -> CaptureBlock:
    times = np.array([MIDNIGHT + 900 * slot for slot in slots], np.int64)
    zeros = np.zeros(len(times), np.int32)
    columns = tuple(CaptureColumn(code, UNITS["Wh"], 0, times - MIDNIGHT) for code in obis)
    return CaptureBlock(name, Source.SCHEDULED_READ, int(times[-1]), times, columns, zeros, zeros)


@pytest.fixture
def sink() -> Sink:
    return Sink()


@pytest.fixture
def head_end(sink: Sink) -> HeadEnd:
    head_end = HeadEnd(sink, KeyCustody(MASTER_KEY))
    head_end.add_device(meter(), MIDNIGHT)
    return head_end


def test_a_reading_counts_only_once_it_is_durable(head_end: HeadEnd, sink: Sink) -> None:
    sink.is_broken = True
    with pytest.raises(OSError, match="disk full"):
        head_end.take([block("MSP1", 1, 2)], MIDNIGHT + 2_000)
    assert head_end.holes_of("MSP1", MIDNIGHT + 1_800)[0].start == MIDNIGHT
    sink.is_broken = False
    assert head_end.take([block("MSP1", 1, 2)], MIDNIGHT + 2_000) == 4
    assert head_end.holes_of("MSP1", MIDNIGHT + 1_800) == []


def test_channels_of_one_profile_are_asked_for_together(head_end: HeadEnd) -> None:
    head_end.take([block("MSP1", 1, obis=[IMPORT])], MIDNIGHT + 900)
    (hole,) = head_end.holes_of("MSP1", MIDNIGHT + 2_700)
    assert (hole.profile, hole.obis) == (PROFILE, (IMPORT, EXPORT))
    assert (hole.start, hole.end) == (MIDNIGHT, MIDNIGHT + 2_700)


def test_meters_behind_an_access_point_are_read_through_it(head_end: HeadEnd) -> None:
    head_end.add_device(
        Device("LNAP1", Commodity.ELECTRICITY, DeviceProtocol.DLMS_WRAPPER, "127.0.0.1:4060", "cell"), MIDNIGHT
    )
    gas = Device(
        "MSP-G1",
        Commodity.GAS,
        DeviceProtocol.WMBUS,
        "LNAP1",
        "cell",
        interface="M",
        installed_at=MIDNIGHT,
        channels=(ChannelPlan(VOLUME, 900, Obis(0, 1, 24, 3, 0)),),
    )
    head_end.add_device(gas, MIDNIGHT)
    assert head_end.target_of(gas) == "LNAP1"
    assert [(hole.device, hole.obis) for hole in head_end.holes_of("LNAP1", MIDNIGHT + 900)] == [("MSP-G1", (VOLUME,))]
    order = head_end.order("MSP-G1", [VOLUME], now=MIDNIGHT, deadline=MIDNIGHT + 30)
    job = head_end.planner.next_job(MIDNIGHT)
    while job is not None and job.target != "LNAP1":
        job = head_end.planner.next_job(MIDNIGHT)
    assert job is not None
    assert (job.tasks[0].kind, job.tasks[0].order) == (TaskKind.ON_DEMAND, order)


def test_an_unknown_device_is_refused_and_counted(head_end: HeadEnd, sink: Sink) -> None:
    assert head_end.take([block("NOBODY", 1), block("MSP1", 1)], MIDNIGHT + 900) == 2
    assert [kept.device for kept in sink.blocks] == ["MSP1"]
    assert head_end.counts.unknown_devices == 1


def test_failure_and_recovery_are_told_in_words(head_end: HeadEnd) -> None:
    now = MIDNIGHT + 5_000.0
    job = head_end.planner.next_job(now)
    assert job is not None
    failure = Failure(FailureKind.TIMEOUT, "no answer within 30 s")
    head_end.finished(job, now, failure)
    assert head_end.last_failure("MSP1") == failure
    again = head_end.planner.next_job(now + 60)
    assert again is not None
    head_end.finished(again, now + 60)
    assert head_end.last_failure("MSP1") is None
    assert [entry.kind for entry in head_end.device_log.entries("MSP1")] == ["recovered", "failed", "installed"]


def test_an_order_is_answered_or_times_out(head_end: HeadEnd) -> None:
    order = head_end.order("MSP1", [IMPORT], now=MIDNIGHT, deadline=MIDNIGHT + 30)
    assert head_end.time_out_orders(MIDNIGHT + 29) == []
    assert head_end.time_out_orders(MIDNIGHT + 30) == [order]
    assert head_end.counts.orders_timed_out == 1
    with pytest.raises(UnknownMeterError):
        head_end.order("NOBODY", [IMPORT], now=MIDNIGHT, deadline=MIDNIGHT + 30)


def test_a_removed_device_owes_nothing_more(head_end: HeadEnd) -> None:
    head_end.remove_device("MSP1", MIDNIGHT + 900, MIDNIGHT + 1_000)
    (hole,) = head_end.holes_of("MSP1", MIDNIGHT + 86_400)
    assert hole.end == MIDNIGHT + 900
    with pytest.raises(UnknownMeterError):
        head_end.remove_device("NOBODY", 0, 0)


def test_a_quarantined_frame_stands_in_its_meters_story(head_end: HeadEnd) -> None:
    head_end.quarantine_frame(QuarantinedFrame(MIDNIGHT, "push", FrameFault.WRONG_KEY, "tag differs", b"\xdb", "MSP1"))
    assert head_end.quarantine.counts[FrameFault.WRONG_KEY] == 1
    assert head_end.device_log.entries("MSP1")[0].kind == "quarantined"


def test_routine_does_not_push_events_out_of_the_story(head_end: HeadEnd) -> None:
    head_end.note("MSP1", "exchanged", "Exchanged", MIDNIGHT)
    for number in range(1_000):
        head_end.note("MSP1", "read", "Read on schedule", MIDNIGHT + number)
    newest, before, *_ = head_end.device_log.entries("MSP1")
    assert (newest.kind, newest.count) == ("read", 1_000)
    assert before.kind == "exchanged"


def test_keys_are_wrapped_at_rest_and_open_only_under_their_master_key() -> None:
    custody = KeyCustody(MASTER_KEY)
    key, password = bytes(16), b"12345678"
    wrapped = (
        (KeyPurpose.GLOBAL_UNICAST, custody.wrap(key, "A", KeyPurpose.GLOBAL_UNICAST)),
        (KeyPurpose.PASSWORD, custody.wrap(password, "A", KeyPurpose.PASSWORD)),
    )
    device = Device("A", Commodity.GAS, DeviceProtocol.WMBUS, "", "cell", wrapped_keys=wrapped)
    assert key not in wrapped[0][1]
    assert password not in wrapped[1][1]
    opened = custody.keys_of(device)
    assert (opened.global_unicast, opened.password, opened.radio) == (key, password, None)
    assert repr(opened).count("b'") == 0
    assert "wrapped" not in repr(device)
    with pytest.raises(KeyWrongError):
        KeyCustody(bytes(32)).keys_of(device)


def test_a_master_key_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="16, 24 or 32"):
        KeyCustody(b"short")
