from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from meterspan.engine.association.records import Encoded, GetDone, Notification
from meterspan.engine.scripts import (
    NO_INSTANT,
    ClockPolicy,
    read_clock,
    read_events,
    read_invocation_counter,
    read_last_rows,
    read_object_list,
    read_profile,
    read_profile_layout,
    read_registers,
    set_clock,
    shift_clock,
    to_capture_block,
    to_meter_events,
)
from meterspan.engine.session import (
    RefusedError,
    RequestFailedError,
    ScriptError,
    Session,
    SessionDone,
    SessionFailed,
    Sleep,
    Stage,
    fetch,
    fetch_each,
    fetch_encoded,
    perform,
    perform_each,
    put,
)
from meterspan.model.cosem.objects import AccessRefusedError, CosemObject
from meterspan.model.cosem.scaler_unit import ScalerUnit
from meterspan.model.failures import FailureKind
from meterspan.model.readings import EventSeverity, MeterEvent, Source
from meterspan.quantities import UNITS, ClockTime, Obis, Quality, Scaled
from meterspan.wire.axdr import clock, double_long_unsigned, integer, unsigned, visible_string
from meterspan.wire.errors import WireError
from meterspan.wire.xdlms import CaptureObjectDefinition, DataAccessResult
from tests.helpers_cosem import (
    CLOCK,
    ENERGY,
    EXPORT,
    GMAC,
    LLS,
    NO_SECURITY,
    NOTE,
    PROFILE,
    SERIAL,
    START,
    SWITCH,
    TestMeter,
    action_of,
    client_security,
    get_of,
    join,
    set_of,
)
from tests.helpers_push import PushSource

START_S = int(START.timestamp())
UNKNOWN = Obis(1, 0, 77, 7, 0)


def run(script, way=LLS, kind="wrapper", meter=None, *, timeout_s=120.0, wait_s=200.0, prepare=None, **options):
    """Run one script and give its last event and the pair."""
    pair, client, server, meter = join(kind, way, meter, **options)
    session = Session(client, script, timeout_s=timeout_s)
    pair.left = session
    if prepare is not None:
        prepare(pair, server, meter)
    session.start(pair.now)
    pair.run(pair.now + wait_s)
    assert session.deadline() is None
    assert sum(isinstance(event, SessionDone | SessionFailed) for event in pair.left_events) == 1
    return pair.left_events[-1], pair


def result_of(script, *arguments, **options):
    event, _ = run(script, *arguments, **options)
    assert isinstance(event, SessionDone), event
    return event.result


@pytest.mark.parametrize("kind", ["wrapper", "hdlc"])
@pytest.mark.parametrize("way", [LLS, GMAC], ids=["lls", "gmac"])
def test_a_reading_plan_runs_from_connecting_to_releasing(kind, way):
    def plan():
        view = yield from read_object_list()
        values = yield from read_registers([ENERGY, UNKNOWN])
        layout = yield from read_profile_layout(PROFILE)
        profile = yield from read_profile(PROFILE, START_S + 900, START_S + 86_400, layout=layout)
        return view, values, profile

    event, pair = run(plan(), way, kind)
    view, values, profile = event.result
    assert {element.logical_name for element in view} >= {ENERGY, PROFILE, CLOCK}
    assert values == {ENERGY: Scaled(123_456, 0, UNITS["Wh"]), UNKNOWN: DataAccessResult.OBJECT_UNDEFINED}
    assert profile.times.tolist() == [START_S + 900 * n for n in range(1, 97)]
    assert profile.layout.capture_period_s == 900
    assert pair.right.agreement is None
    assert 0 <= event.duration_s < 10


def test_a_profile_becomes_a_block_of_readings():
    read = result_of(read_profile(PROFILE, START_S, START_S + 7_200))
    block = to_capture_block("MSP1", read, received_at=START_S + 9_000, source=Source.SCHEDULED_READ)
    assert block.times.tolist() == [START_S + 900 * n for n in range(1, 9)]
    assert [(column.obis, column.unit.symbol, column.exponent) for column in block.columns] == [
        (ENERGY, "Wh", 0),
        (EXPORT, "Wh", 0),
    ]
    assert block.columns[0].values.tolist() == [100_000 + 25 * n for n in range(8)]
    assert block.status.tolist() == [0, 0, 0, 8, 0, 0, 0, 0]
    assert block.quality.tolist() == [0] * 8
    assert (block.device, block.source) == ("MSP1", Source.SCHEDULED_READ)


def test_status_and_clock_flags_become_quality():
    meter = TestMeter(rows=4)
    bad = clock(ClockTime(2026, 3, 1, 7, 0, 15, 0, 0, 0, 1))
    meter.buffer.rows[0] = (bad, unsigned(0x80), *meter.buffer.rows[0][2:])
    meter.buffer.rows[1] = (meter.buffer.rows[1][0], unsigned(0x21), *meter.buffer.rows[1][2:])
    read = result_of(read_profile(PROFILE, START_S, START_S + 7_200), meter=meter)
    block = to_capture_block("MSP1", read, received_at=0, source=Source.PUSH)
    assert Quality(int(block.quality[0])) == Quality.CLOCK_INVALID | Quality.POWER_DOWN
    assert Quality(int(block.quality[1])) == Quality.CRITICAL_ERROR | Quality.CLOCK_ADJUSTED
    assert to_capture_block("x", read, received_at=0, source=Source.PUSH, status_quality={}).quality[1] == 0


def test_rows_without_an_instant_are_left_out_of_readings():
    meter = TestMeter(rows=3)
    meter.buffer.rows[1] = (clock(ClockTime()), *meter.buffer.rows[1][1:])
    read = result_of(read_profile(PROFILE, START_S, START_S + 7_200), meter=meter)
    assert read.times[1] == NO_INSTANT
    block = to_capture_block("x", read, received_at=0, source=Source.PUSH)
    assert block.columns[0].values.tolist() == [100_000, 100_050]


def test_an_empty_profile_is_an_empty_block():
    read = result_of(read_profile(PROFILE, START_S, START_S + 60))
    assert len(to_capture_block("x", read, received_at=0, source=Source.PUSH).times) == 0


class Unselective(CosemObject):
    def read(self, number, now, access=None):
        if access is not None:
            raise AccessRefusedError(DataAccessResult.OTHER_REASON)
        return CosemObject.read(self, number, now)


def test_an_event_log_becomes_events_in_words():
    meter = TestMeter(rows=5)
    meter.buffer.rows[4] = (clock(ClockTime()), *meter.buffer.rows[4][1:])
    texts = {8: ("daylight saving began", EventSeverity.WARNING)}
    script = read_events(PROFILE, START_S, START_S + 86_400, device="MSP1", texts=texts)
    events = result_of(script, meter=meter)
    assert len(events) == 4
    assert events[0] == MeterEvent("MSP1", START_S + 900, "0", "event 0")
    assert events[3] == MeterEvent("MSP1", START_S + 3_600, "8", "daylight saving began", EventSeverity.WARNING)
    empty = result_of(read_profile(PROFILE, START_S, START_S + 60))
    assert to_meter_events("x", empty) == ()


def test_a_meter_without_selection_is_read_whole_and_cut_here():
    meter = TestMeter(rows=30)
    plain = meter.device.find(7, PROFILE)
    simple = Unselective(plain.interface, plain.logical_name)
    simple._bound.update(plain._bound)
    meter.device._objects[simple.key] = simple
    result = result_of(read_profile(PROFILE, START_S + 1_800, START_S + 3_600), meter=meter)
    assert result.times.tolist() == [START_S + 1_800, START_S + 2_700, START_S + 3_600]
    assert [len(column.to_list()) for column in result.values.columns] == [3] * 4


def test_the_newest_rows_are_read_by_entry():
    read = result_of(read_last_rows(PROFILE, 3))
    assert read.times.tolist() == [START_S + 900 * n for n in (198, 199, 200)]
    layout = result_of(read_profile_layout(PROFILE))
    assert len(result_of(read_last_rows(PROFILE, 10_000, layout=layout)).times) == 200


def test_known_scalers_and_layouts_save_their_requests():
    scalers = {ENERGY: ScalerUnit(3, UNITS["Wh"])}
    event, pair = run(read_registers([ENERGY], scalers=scalers))
    assert event.result[ENERGY] == Scaled(123_456, 3, UNITS["Wh"])
    assert sum(mark == ">" for mark, _ in pair.log) == 3  # AARQ, one GET, RLRQ


def test_clock_is_read_set_and_shifted():
    meter, security = TestMeter(), client_security()
    now = 1_700_000_000
    assert result_of(read_clock(), meter=meter).to_utc() == datetime.fromtimestamp(now, UTC)
    result_of(set_clock(ClockTime.of(datetime.fromtimestamp(now + 60, UTC))), GMAC, meter=meter, security=security)
    assert meter.clock_shift_s == 60
    result_of(shift_clock(-15), GMAC, meter=meter, security=security)
    assert meter.clock_shift_s == 45
    with pytest.raises(ValueError, match="at most"):
        next(shift_clock(1_000))


def test_the_frame_counter_is_read_as_the_public_client():
    meter = TestMeter()
    meter.last_counter = lambda: 4_711
    assert result_of(read_invocation_counter(), NO_SECURITY, meter=meter) == 4_711


@pytest.mark.parametrize("rows", [30])
@pytest.mark.parametrize(
    ("policy", "stored"),
    [
        (ClockPolicy(), timezone(timedelta(hours=1))),
        (ClockPolicy(ZoneInfo("Europe/Berlin")), None),
        (ClockPolicy(reverses_deviation=True), "reversed"),
        (ClockPolicy(ZoneInfo("Europe/Berlin"), ignores_deviation=True), "untrue"),
    ],
    ids=["standard", "no deviation", "reversed deviation", "untrue deviation"],
)
def test_a_meters_clock_habits_are_data(policy, stored, rows):
    berlin = ZoneInfo("Europe/Berlin")
    meter = TestMeter(rows=rows)
    for index, seconds in enumerate(meter.buffer.times):
        zone = stored if isinstance(stored, timezone) else berlin
        moment = ClockTime.of(datetime.fromtimestamp(seconds, zone))
        deviation = {"reversed": 60, "untrue": 0, None: None}.get(stored, -60)
        fields = (moment.year, moment.month, moment.day, None, moment.hour, moment.minute, 0, 0, deviation, 0)
        meter.buffer.rows[index] = (clock(ClockTime(*fields)), *meter.buffer.rows[index][1:])
    meter.buffer.between = lambda start, end: meter.buffer.rows
    read = result_of(read_profile(PROFILE, START_S, START_S + 86_400, policy=policy), meter=meter)
    assert read.times.tolist() == [START_S + 900 * (n + 1) for n in range(rows)]
    assert policy.to_utc(policy.of(START_S)) == START


def test_scripts_may_sleep():
    def plan():
        yield Sleep(30.0)
        return "rested"

    event, _ = run(plan())
    assert event.result == "rested"
    assert event.duration_s >= 30.0


def test_a_refused_reading_ends_a_script_that_does_not_mind_it_in_words():
    event, pair = run(fetch(get_of(3, UNKNOWN)))
    assert isinstance(event, SessionFailed)
    assert (event.stage, str(event.failure)) == (Stage.REQUEST, f"read {UNKNOWN} attribute 2: object-undefined")
    assert pair.right.agreement is None  # released in order


def test_a_script_may_mind_refusals_itself():
    def plan():
        try:
            yield from fetch(get_of(3, UNKNOWN))
        except RefusedError as error:
            return error.result
        return None

    assert result_of(plan()) == DataAccessResult.OBJECT_UNDEFINED


@pytest.mark.finding("dlms D16")
def test_methods_run_together_and_an_absent_object_differs_from_one_of_another_class():
    def plan():
        outcomes = yield from perform_each(
            action_of(70, SWITCH, 2, integer(3)),
            action_of(70, UNKNOWN, 1, integer(0)),
            action_of(1, SWITCH, 1, integer(0)),
        )
        nothing = yield from perform_each()
        return outcomes, nothing

    outcomes, nothing = result_of(plan(), GMAC)
    assert (outcomes[0].returned, nothing) == (integer(3), ())
    assert [outcome.result.text for outcome in outcomes] == [
        "success",
        "object-undefined",
        "object-class-inconsistent",
    ]


@pytest.mark.nonces_repeat("a new bench each time, with the same keys")
def test_each_helper_gives_its_result_or_says_what_was_refused():
    def plan():
        yield from put(set_of(1, NOTE, 2, visible_string("put")))
        note = yield from fetch(get_of(1, NOTE))
        octets = yield from fetch_encoded(get_of(1, NOTE, encoded=True))
        both = yield from fetch_each(get_of(1, NOTE), get_of(3, UNKNOWN))
        none = yield from fetch_each()
        echo = yield from perform(action_of(70, SWITCH, 2, integer(3)))
        nothing = yield from perform(action_of(70, SWITCH, 1, integer(0)))
        return note.text, octets, both, none, echo, nothing

    note, octets, both, none, echo, nothing = result_of(plan(), GMAC)
    assert (note, octets) == ("put", b"\x0a\x03put")
    assert both == (visible_string("put"), DataAccessResult.OBJECT_UNDEFINED)
    assert (none, echo, nothing) == ((), integer(3), None)
    for script, words in (
        (put(set_of(3, ENERGY, 2, integer(0))), "write 1-0:1.8.0 attribute 2: read-write-denied"),
        (perform(action_of(70, SWITCH, 1, integer(9))), "run 0-0:96.3.10 method 1: type-unmatched"),
    ):
        event, _ = run(script, GMAC)
        assert event.failure.detail == words


def test_a_result_is_never_dropped_from_a_list():
    raw, decoded = get_of(1, NOTE, encoded=True), get_of(1, NOTE)
    for results, words in (
        ((Encoded(b"\x00"), visible_string("x")), "raw octets"),
        ((visible_string("x"),), "another"),
    ):
        running = fetch_each(raw, decoded)
        next(running)
        with pytest.raises(ScriptError, match=words) as caught:
            running.send(GetDone(1, results))
        assert caught.value.failure.kind is FailureKind.INTERNAL


@pytest.mark.parametrize("script", [fetch, fetch_encoded, put, perform, fetch_each])
def test_a_helper_that_is_answered_by_something_else_says_so(script):
    running = script(get_of(1, NOTE))
    next(running)
    with pytest.raises(ScriptError):
        running.send(None)


def test_an_encoded_value_does_not_pass_for_a_read_one():
    running = fetch(get_of(1, NOTE))
    next(running)
    with pytest.raises(ScriptError, match="raw octets"):
        running.send(GetDone(1, (Encoded(b"\x00"),)))
    running = fetch_encoded(get_of(1, NOTE))
    next(running)
    with pytest.raises(ScriptError, match="decoded"):
        running.send(GetDone(1, (double_long_unsigned(1),)))


def test_a_script_that_cannot_read_an_answer_fails_with_the_octets_fault():
    def plan():
        yield from fetch(get_of(1, SERIAL))
        raise WireError("is odd", 3, "serial")

    event, _ = run(plan())
    assert event.failure.detail == "serial: is odd, at octet 3"


def test_a_refused_association_fails_the_session_with_its_reason():
    way = (LLS[0], NO_SECURITY[1])
    event, _ = run(read_clock(), way)
    assert (event.stage, event.failure.permanent) == (Stage.ASSOCIATION, True)
    assert event.failure.kind is FailureKind.AUTHENTICATION_REQUIRED


def test_a_silent_meter_fails_the_session_at_its_deadline():
    def mute(pair, _server, _meter):
        pair.to_left = lambda number, octets: octets if number < 1 else None

    event, _ = run(fetch_each(*[get_of(1, SERIAL)] * 3), timeout_s=20.0, prepare=mute)
    assert event.stage is Stage.DEADLINE
    assert "not finished within 20 s" in event.failure.detail
    assert event.duration_s == pytest.approx(20.0)


def test_a_request_without_answer_reaches_the_script():
    def plan():
        yield from fetch(get_of(1, SERIAL))
        try:
            yield from fetch(get_of(3, ENERGY))
        except RequestFailedError as error:
            return error.failure.kind.value
        return None

    def mute(pair, _server, _meter):
        pair.to_left = lambda number, octets: octets if number != 2 else None

    assert result_of(plan(), prepare=mute) == "timeout"


def test_a_lost_medium_fails_the_session():
    pair, client, _, _ = join("wrapper", LLS)
    session = Session(client, read_clock())
    session.start(pair.now)
    session.medium_lost(pair.now)
    event = session.next_event()
    assert isinstance(event, SessionFailed)
    assert event.failure.kind is FailureKind.LINK_LOST
    assert session.deadline() is None


def test_a_cancelled_session_releases_and_says_why():
    pair, client, _, _ = join("wrapper", LLS)
    session = pair.left = Session(client, iter_forever())
    session.start(pair.now)
    pair.run(pair.now + 5)
    session.cancel(pair.now, "the operator said so")
    pair.run(pair.now + 10)
    assert pair.left_events[-1].failure.detail == "the operator said so"
    assert pair.right.agreement is None


def iter_forever():
    while True:
        yield Sleep(1.0)


def test_a_push_within_a_session_is_passed_on():
    def pushing(pair, server, meter):
        octets = PushSource(meter.device).notification([CaptureObjectDefinition(3, ENERGY, 2)], pair.now)
        once = []

        def inject(number, sent):
            if number == 1 and not once:
                once.append(1)
                server.link.send_unnumbered(octets, pair.now)
                return sent + server.octets_to_send()
            return sent

        pair.to_left = inject

    event, pair = run(fetch(get_of(1, SERIAL)), prepare=pushing)
    assert isinstance(event, SessionDone)
    assert sum(isinstance(seen, Notification) for seen in pair.left_events) == 1


def test_reversed_deviation_moves_every_row_by_twice_itself():
    policy = ClockPolicy(reverses_deviation=True)
    assert policy.to_utc(ClockTime(2026, 3, 1, 7, 1, 0, 0, 0, 60)) == START
    assert policy.of(START_S).deviation_min == 0
    assert np.iinfo(np.int64).min == NO_INSTANT
