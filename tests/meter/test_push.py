"""The rows that a meter pushes: each once, none of its history, none lost with its power."""

from datetime import UTC

from meterspan.meter.electricity import ElectricityMeter, ElectricityMeterConfig
from meterspan.meter.metrology import ElectricityFlow
from meterspan.meter.push import MeterPush
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
    assert len(outbox.items) == 1
