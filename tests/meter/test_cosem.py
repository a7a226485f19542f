"""The electricity meter's objects: rights shown are held, and no value that a client can write breaks the meter."""

from contextlib import suppress
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from meterspan.meter.cosem import READER_CLIENT, MeterAccess, logical_device
from meterspan.meter.electricity import CLOCK_MAX, CLOCK_MIN, ElectricityMeter, ElectricityMeterConfig
from meterspan.meter.metrology import ElectricityFlow
from meterspan.meter.p1_port import p1_telegram
from meterspan.meter.push import MeterPush
from meterspan.model.cosem.classes import Clock, DataObject, Limiter
from meterspan.model.cosem.device import MANAGEMENT_CLIENT, PUBLIC_CLIENT, LogicalDevice
from meterspan.model.cosem.objects import AccessRefusedError, ActionRefusedError
from meterspan.quantities import ClockTime, Obis
from meterspan.quantities.codes import CLOCK, LIMITER
from meterspan.quantities.instants import utc
from meterspan.wire import WireError
from meterspan.wire.axdr import (
    Data,
    boolean,
    clock,
    double_long,
    double_long_unsigned,
    long,
    long64,
    null,
    unsigned,
    write_data,
)
from meterspan.wire.p1 import read_telegram
from meterspan.wire.xdlms import ActionResult, DataAccessResult
from tests.helpers_cosem import differing_rights
from tests.strategies import clock_times, cosem_data

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 10, 25, tzinfo=BERLIN).timestamp()
CONFIG = ElectricityMeterConfig("MSP1000000001", b"MSP\0\0\0\0\1", BERLIN, limit_w=500)
ONE_KW = ElectricityFlow((1_000_000,), (230_000,), (4_348,))
EVENT_CODE = Obis(0, 0, 96, 11, 0)


class Kept(dict[str, bytes]):
    """State and outbox in memory."""

    def load(self, name: str) -> bytes | None:
        return self.get(name)

    def save(self, name: str, octets: bytes) -> None:
        self[name] = octets

    def append(self, octets: bytes) -> None:
        self[f"item {len(self)}"] = octets

    def peek(self, most: int) -> list[tuple[int, bytes]]:
        return list(enumerate(octets for name, octets in self.items() if name.startswith("item")))[:most]


def fresh() -> tuple[ElectricityMeter, LogicalDevice]:
    meter = ElectricityMeter(CONFIG, NOW)
    return meter, logical_device(meter, MeterAccess())


def refusal(device: LogicalDevice, name: tuple[int, Obis], number: int, value: Data) -> DataAccessResult | None:
    item = device.find(*name)
    assert item is not None
    try:
        item.write(number, value, NOW)
    except AccessRefusedError as error:
        return error.result
    return None


@pytest.mark.attack(6)
@pytest.mark.finding("dlms D9")
@pytest.mark.parametrize("client", [MANAGEMENT_CLIENT, READER_CLIENT, PUBLIC_CLIENT])
def test_every_right_that_a_fresh_meter_shows_is_held(client: int) -> None:
    assert differing_rights(fresh()[1], client, NOW) == []


@pytest.mark.finding("dlms D5")
def test_the_last_event_of_a_meter_that_has_logged_none_is_0() -> None:
    meter, device = fresh()
    item = device.find(DataObject.class_id, EVENT_CODE)
    assert item is not None
    assert item.read(2, NOW) == unsigned(0)
    meter.set_clock(NOW + 10, NOW)
    assert item.read(2, NOW) == unsigned(5)


@pytest.mark.finding("dlms D6")
@pytest.mark.parametrize("year", [1, 1000, 1969, 1970, 1999, 2100, 2106, 9999])
def test_the_clock_refuses_a_year_that_its_calendar_does_not_hold(year: int) -> None:
    meter, device = fresh()
    value = clock(ClockTime.of(datetime(year, 6, 1, tzinfo=UTC)))
    assert refusal(device, (Clock.class_id, CLOCK), 2, value) is DataAccessResult.OTHER_REASON
    assert meter.clock.time(NOW) == NOW
    assert len(meter.events) == 0


@pytest.mark.parametrize(("bound", "step"), [(CLOCK_MIN, -1), (CLOCK_MAX, 1)])
def test_the_clock_is_not_shifted_out_of_its_calendar(bound: int, step: int) -> None:
    meter, device = fresh()
    item = device.find(Clock.class_id, CLOCK)
    assert item is not None
    assert refusal(device, (Clock.class_id, CLOCK), 2, clock(ClockTime.of(datetime.fromtimestamp(bound, UTC)))) is None
    with pytest.raises(ActionRefusedError) as caught:
        item.invoke(Clock.shift_time.number, long(step * 10), NOW)
    assert caught.value.result is ActionResult.OTHER_REASON
    assert meter.clock.time(NOW) == bound


@pytest.mark.finding("dlms D6")
@pytest.mark.parametrize("value", [long64(2**40), boolean(True), double_long(-1), unsigned(1), null()])
@pytest.mark.parametrize("number", [Limiter.threshold_normal.number, Limiter.min_over_threshold_duration.number])
def test_the_limiter_refuses_a_value_of_another_type(value: Data, number: int) -> None:
    meter, device = fresh()
    assert refusal(device, (Limiter.class_id, LIMITER), number, value) is DataAccessResult.TYPE_UNMATCHED
    assert (meter.limiter.threshold_w, meter.limiter.over_duration_s) == (500, 60)


moments = st.integers(-62_100_000_000, 253_400_000_000).map(utc)  # years 2 to 9999
values = st.one_of(
    cosem_data(),
    clock_times().map(clock),
    moments.map(ClockTime.of).map(clock),
    st.sampled_from([CLOCK_MIN, CLOCK_MAX]).map(lambda at: clock(ClockTime.of(datetime.fromtimestamp(at, UTC)))),
    st.integers(0, 2**32 - 1).map(double_long_unsigned),
    st.integers(-900, 900).map(long),
)
steps = st.lists(st.tuples(st.integers(0, 99), values, st.integers(0, 3_000)), min_size=1, max_size=5)
EPOCH = clock(ClockTime.of(datetime(1970, 1, 1, tzinfo=ZoneInfo("Europe/Berlin"))))


@pytest.mark.attack(3)
@pytest.mark.finding("dlms D6")
@settings(deadline=None, max_examples=60)
@example([(0, EPOCH, 10), (0, clock(ClockTime.of(datetime(1, 1, 2, tzinfo=UTC))), 1_000)])
@example([(1, long64(2**40), 1), (2, boolean(True), 1)])
@given(steps)
def test_no_value_that_was_accepted_breaks_the_meter(changes: list[tuple[int, Data, int]]) -> None:
    """After any SET or ACTION: each GET, capture, telegram, push and restart works as before."""
    kept, now = Kept(), NOW
    meter = ElectricityMeter(CONFIG, now, state=kept)
    device = logical_device(meter, MeterAccess())
    push = MeterPush(meter, Kept(), state=kept)
    doors = [(item, number, item.write) for item in device.objects for number in item.writable]
    doors += [(item, number, item.invoke) for item in device.objects for number in item.methods]
    assert len(doors) >= 6
    for choice, value, elapsed in changes:
        _, number, door = doors[choice % len(doors)]
        with suppress(AccessRefusedError, ActionRefusedError):
            door(number, value, now)
        now += elapsed
        meter.advance(ONE_KW, now)
        for item in device.objects:
            for shown in item.readable:
                write_data(item.read(shown, now))
        assert read_telegram(p1_telegram(meter, now)).objects
        meter.preserve()
        push.collect()
    meter.power_down(now)
    again = ElectricityMeter(CONFIG, now, state=kept)
    assert list(again.profile.numbers()) == list(meter.profile.numbers())


def test_octets_that_are_no_date_time_are_a_wrong_type() -> None:
    _, device = fresh()
    with pytest.raises(WireError):
        Data(EPOCH.type, b"\0" * 7).clock_time  # noqa: B018 - what the setter asks for
    assert refusal(device, (Clock.class_id, CLOCK), 2, Data(EPOCH.type, b"\0" * 7)) is DataAccessResult.TYPE_UNMATCHED
