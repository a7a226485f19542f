"""The rows that a meter pushes: each once, none of its history, none lost with its power."""

from datetime import UTC

from meterspan.engine.push_body import read_body
from meterspan.meter.cosem import MeterAccess, logical_device
from meterspan.meter.electricity import ElectricityMeter, ElectricityMeterConfig
from meterspan.meter.metrology import ElectricityFlow
from meterspan.meter.push import PUSH_OBJECTS, MeterPush
from meterspan.model.cosem.event_codes import EventCode
from meterspan.model.cosem.standard_objects import LIST_ELEMENT
from meterspan.quantities import Obis
from meterspan.quantities.codes import EVENT_CODE, LIMITER
from meterspan.wire.axdr import double_long_unsigned, read_data
from meterspan.wire.xdlms import EventNotificationRequest
from tests.memory import MemoryOutbox, MemoryState

START = 1_792_886_400.0
CONFIG = ElectricityMeterConfig("MSP10000000001", b"MSP\0\0\0\0\1", UTC)
FLOW = ElectricityFlow((1_000_000,))


def test_history_is_left_to_reads_and_each_later_row_is_queued_once():
    state, outbox = MemoryState(), MemoryOutbox()
    meter = ElectricityMeter(CONFIG, START, state=state)
    meter.advance(FLOW, START + 7_200)
    push = MeterPush(meter, outbox, state=state)
    push.collect()
    assert push.next_push() is None
    meter.advance(FLOW, START + 7_200 + 1_800)
    push.collect()
    push.collect()
    assert len(outbox.items) == 2


def test_a_row_that_was_kept_and_not_queued_before_power_was_lost_is_queued_at_the_next_start():
    state, outbox = MemoryState(), MemoryOutbox()
    meter = ElectricityMeter(CONFIG, START, state=state)
    MeterPush(meter, outbox, state=state)
    meter.advance(FLOW, START + 900)
    meter.preserve()
    again = ElectricityMeter(CONFIG, START + 1_000, state=state)
    MeterPush(again, outbox, state=state).collect()
    row, event = (read_data(octets).items for _, octets in outbox.items)
    assert [value.integer for value in row[2:]] == [250, 0]
    assert event[1].integer == EventCode.POWER_UP


def test_a_row_is_pushed_as_the_values_of_the_push_object_list_in_its_order():
    state, outbox = MemoryState(), MemoryOutbox()
    meter = ElectricityMeter(CONFIG, START, state=state)
    push = MeterPush(meter, outbox, state=state)
    meter.advance(FLOW, START + 900)
    push.collect()
    body = push.next_push().body
    shown = logical_device(meter, MeterAccess())
    values = [shown.find(of.class_id, of.instance).read(of.attribute, START + 900) for of in PUSH_OBJECTS]
    assert len(body.items) == len(values)
    assert body.items[:2] == tuple(values[:2])
    assert body.items[2].clock_time.to_utc().timestamp() == START + 900
    assert body.items[3:] == tuple(values[3:])
    assert read_body(body).objects == PUSH_OBJECTS
    assert PUSH_OBJECTS[0] == LIST_ELEMENT


def test_an_event_of_the_standard_log_is_pushed_as_an_event_notification_and_once():
    state, outbox = MemoryState(), MemoryOutbox()
    meter = ElectricityMeter(CONFIG, START, state=state)
    push = MeterPush(meter, outbox, state=state)
    limiter = logical_device(meter, MeterAccess()).find(71, LIMITER)
    limiter.write(4, double_long_unsigned(500), START)
    meter.advance(FLOW, START + 10)
    meter.advance(FLOW, START + 300)
    push.collect()
    push.collect()
    sent = push.next_push()
    assert isinstance(sent.body, EventNotificationRequest)
    assert (sent.body.attribute.instance, sent.body.value.integer) == (EVENT_CODE, EventCode.LIMITER_EXCEEDED)
    assert sent.body.time.to_utc().timestamp() <= START + 300
    push.pushed(sent.through)
    assert push.next_push() is None


def test_a_push_that_a_client_asks_for_has_the_present_values():
    meter = ElectricityMeter(CONFIG, START, state=MemoryState())
    outbox = MemoryOutbox()
    push = MeterPush(meter, outbox, state=MemoryState())
    meter.advance(FLOW, START + 450)
    push.push_now(START + 450)
    values = {value.obis: value.value for value in read_body(push.next_push().body).values[::-1]}
    assert values[Obis(1, 0, 1, 8, 0)].integer == 125
    assert values[Obis(0, 0, 1, 0, 0)].clock_time.to_utc().timestamp() == START + 450
