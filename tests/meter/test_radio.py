"""A radio meter's telegrams open with its key and tell the register now and at the last quarter hour."""

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from meterspan.engine.wmbus_receiver import InsecureWmbusReceiver, WmbusReceiver
from meterspan.meter.metrology import HeatFlow, VolumeFlow
from meterspan.meter.radio import COUNTERS_RESERVED, RadioMedium, RadioMeter, RadioMeterConfig
from meterspan.wire import KeyMissingError, KeyWrongError
from meterspan.wire.mbus.transport import SecurityMode

START = datetime(2026, 7, 1, 0, 0).timestamp() // 86_400 * 86_400  # noqa: DTZ001 (any UTC midnight will do)
KEY = bytes(range(16))
MODES = [SecurityMode.NONE, SecurityMode.AES_CBC_IV, SecurityMode.AES_CBC_DYNAMIC]
FLOWS = {
    RadioMedium.GAS: VolumeFlow(2_000_000),
    RadioMedium.WATER: VolumeFlow(60_000),
    RadioMedium.HEAT: HeatFlow(8_000_000, 300_000, 6_512, 4_087),
}


class Counters:
    def __init__(self) -> None:
        self.next = 1
        self.calls = 0

    def reserve(self, name: str, count: int) -> int:
        self.calls += 1
        self.next += count
        return self.next - count

    def accept(self, name: str, value: int) -> bool:
        return True

    def accepted(self, name: str) -> int:
        return 0


def radio_meter(medium: RadioMedium, mode: SecurityMode = SecurityMode.AES_CBC_IV) -> RadioMeter:
    return RadioMeter(RadioMeterConfig(medium, "MSP", "12345678", KEY, mode), START, Counters())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("medium", RadioMedium)
def test_telegrams_open_and_carry_now_and_due(medium: RadioMedium, mode: SecurityMode) -> None:
    meter = radio_meter(medium, mode)
    frames = meter.advance(FLOWS[medium], START + 1_200)
    assert 6 <= len(frames) <= 8
    receiver = InsecureWmbusReceiver({meter.config.address.id_octets: KEY})
    records = receiver.read(frames[-1]).records.records
    due = [record for record in records if record.storage == 1]
    now, mark = (record.decimal for record in (records[0], due[0]))
    assert isinstance(due[-1].value, datetime)
    assert now is not None
    assert mark is not None
    assert now >= mark > 0


def test_the_due_value_is_exactly_that_of_the_mark() -> None:
    meter = radio_meter(RadioMedium.WATER, SecurityMode.NONE)
    meter.advance(VolumeFlow(60_000), START + 900)
    frames = meter.advance(VolumeFlow(36_000_000), START + 1_200)
    records = InsecureWmbusReceiver({}).read(frames[-1]).records.records
    due = [record for record in records if record.storage == 1]
    assert due[0].decimal == Decimal("0.015")
    stamped = due[-1].value
    assert isinstance(stamped, datetime)
    epoch = datetime(1970, 1, 1)  # noqa: DTZ001 (the radio's time has no zone)
    assert (stamped - epoch) / timedelta(seconds=1) - 3_600 == START + 900


def test_a_wrong_and_a_missing_key_are_told_apart() -> None:
    meter = radio_meter(RadioMedium.GAS)
    frame = meter.telegram(START)
    with pytest.raises(KeyMissingError):
        WmbusReceiver({}).read(frame)
    with pytest.raises(KeyWrongError):
        WmbusReceiver({meter.config.address.id_octets: bytes(16)}).read(frame)


def test_mode_7_never_uses_a_counter_twice_and_reserves_before_use() -> None:
    counters = Counters()
    meter = RadioMeter(
        RadioMeterConfig(RadioMedium.GAS, "MSP", "12345678", KEY, SecurityMode.AES_CBC_DYNAMIC), START, counters
    )
    frames = [meter.telegram(START) for _ in range(COUNTERS_RESERVED + 1)]
    assert counters.calls == 2
    receiver = WmbusReceiver({meter.config.address.id_octets: KEY})
    seen = {receiver.read(frame).frame.afl.counter for frame in frames}
    assert len(seen) == len(frames)


def test_neighbours_do_not_send_in_step() -> None:
    meters = [
        RadioMeter(RadioMeterConfig(RadioMedium.WATER, "MSP", f"{n:08d}", KEY), START, Counters()) for n in range(20)
    ]
    firsts = {round(meter._next_send, 1) for meter in meters}
    assert len(firsts) > 12
