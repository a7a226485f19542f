"""The electricity meter captures at every mark, keeps what it measured, and obeys its switch."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from meterspan.meter.cosem import READER_CLIENT, MeterAccess, logical_device
from meterspan.meter.electricity import (
    EXPORT,
    IMPORT,
    ElectricityMeter,
    ElectricityMeterConfig,
    StatusWord,
)
from meterspan.meter.metrology import ElectricityFlow
from meterspan.meter.supply import ControlState, SwitchTrigger
from meterspan.model.cosem.classes import Clock, DisconnectControl, ProfileGeneric, Register
from meterspan.model.cosem.device import MANAGEMENT_CLIENT, PUBLIC_CLIENT, LogicalDevice, grant_for
from meterspan.model.cosem.event_codes import EventCode
from meterspan.model.cosem.objects import ActionRefusedError
from meterspan.model.cosem.profile import range_of_times
from meterspan.quantities import ClockTime, Obis
from meterspan.quantities.codes import EVENT_LOG, LOAD_PROFILE
from meterspan.wire.axdr import double_long_unsigned, long, null, octet_string
from meterspan.wire.axdr.clock import write_clock_time

BERLIN = ZoneInfo("Europe/Berlin")
MIDNIGHT = datetime(2026, 10, 25, tzinfo=BERLIN).timestamp()
ONE_KW = ElectricityFlow((1_000_000,), (230_000,), (4_348,))


class Memory:
    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}

    def load(self, name: str) -> bytes | None:
        return self.kept.get(name)

    def save(self, name: str, octets: bytes) -> None:
        self.kept[name] = octets


def meter_config(**changes: object) -> ElectricityMeterConfig:
    return ElectricityMeterConfig("MSP1000000001", b"MSP\0\0\0\0\1", BERLIN, **changes)


@pytest.fixture
def meter() -> ElectricityMeter:
    return ElectricityMeter(meter_config(), MIDNIGHT)


def rows(device: LogicalDevice, start: float, end: float) -> list[tuple[datetime | None, int, int, int]]:
    item = device.find(ProfileGeneric.class_id, LOAD_PROFILE)
    assert item is not None
    bounds = [ClockTime.of(datetime.fromtimestamp(at, UTC)) for at in (start, end)]
    data = item.read(2, end, range_of_times(*bounds))
    return [(row.items[0].clock_time.to_utc(), *(cell.integer for cell in row.items[1:])) for row in data.items]


def test_a_day_with_the_autumn_change_has_a_hundred_rows_and_no_lost_watt_hour(meter: ElectricityMeter) -> None:
    end = datetime(2026, 10, 26, tzinfo=BERLIN).timestamp()
    assert meter.advance(ONE_KW, end) == 100
    shown = rows(logical_device(meter, MeterAccess()), MIDNIGHT, end)
    assert [energy for _, _, energy, _ in shown] == list(range(250, 25_001, 250))
    assert [time.timestamp() for time, *_ in shown if time] == [MIDNIGHT + 900 * n for n in range(1, 101)]
    summer = [bool(status & StatusWord.DAYLIGHT_SAVING) for _, status, *_ in shown]
    assert summer == [True] * 12 + [False] * 88
    assert meter.events.pack().count(bytes([EventCode.DAYLIGHT_SAVING_CHANGED])) >= 1


def test_tariff_registers_add_up_to_the_total(meter: ElectricityMeter) -> None:
    for hour in range(25):
        meter.advance(ONE_KW, MIDNIGHT + 3_600 * (hour + 1))
    first, second = (meter.register(Obis(1, 0, 1, 8, tariff)) for tariff in (1, 2))
    assert (first, second) == (16_000, 9_000)
    assert meter.register(IMPORT) == first + second
    assert meter.register(EXPORT) == 0


def test_setting_the_clock_changes_no_register_and_flags_the_period(meter: ElectricityMeter) -> None:
    meter.advance(ONE_KW, MIDNIGHT + 300)
    before = meter.indication.registers
    meter.set_clock(MIDNIGHT + 310, MIDNIGHT + 300)
    assert meter.indication.registers == before
    meter.advance(ONE_KW, MIDNIGHT + 900)
    ((time, status, energy, _),) = rows(logical_device(meter, MeterAccess()), MIDNIGHT, MIDNIGHT + 1_000)
    assert time is not None
    assert time.timestamp() == MIDNIGHT + 900
    assert status & StatusWord.CLOCK_ADJUSTED
    assert energy == 1_000 * 890 // 3_600


def test_a_drifting_clock_is_seen_and_captures_at_its_own_marks() -> None:
    meter = ElectricityMeter(meter_config(clock_drift_ppm=100.0), MIDNIGHT)
    meter.advance(ONE_KW, MIDNIGHT + 86_400)
    assert meter.clock.time(MIDNIGHT + 86_400) - (MIDNIGHT + 86_400) == pytest.approx(8.64)
    assert len(meter.profile) == 96


def test_power_loss_keeps_registers_rows_and_the_switch() -> None:
    memory = Memory()
    meter = ElectricityMeter(meter_config(), MIDNIGHT, state=memory)
    meter.advance(ONE_KW, MIDNIGHT + 2_000)
    meter.operate(SwitchTrigger.REMOTE_DISCONNECT, MIDNIGHT + 2_000)
    meter.power_down(MIDNIGHT + 2_000)
    again = ElectricityMeter(meter_config(), MIDNIGHT + 2_500, state=memory)
    assert again.register(IMPORT) == meter.register(IMPORT)
    assert len(again.profile) == 2
    assert again.switch.state is ControlState.DISCONNECTED
    again.advance(None, MIDNIGHT + 2_700)
    assert rows(logical_device(again, MeterAccess()), MIDNIGHT, MIDNIGHT + 3_000)[-1][1] & StatusWord.POWER_DOWN


def test_an_open_switch_supplies_nothing(meter: ElectricityMeter) -> None:
    device = logical_device(meter, MeterAccess())
    switch = device.find(DisconnectControl.class_id, Obis(0, 0, 96, 3, 10))
    assert switch is not None
    switch.invoke(1, null(), MIDNIGHT)
    meter.advance(ONE_KW, MIDNIGHT + 3_600)
    assert meter.register(IMPORT) == 0
    assert switch.read(2, MIDNIGHT).value is False
    with pytest.raises(ActionRefusedError):
        switch.invoke(1, null(), MIDNIGHT)
    switch.invoke(2, null(), MIDNIGHT + 3_600)
    meter.advance(ONE_KW, MIDNIGHT + 7_200)
    assert meter.register(IMPORT) == 1_000


def test_the_limiter_disconnects_only_after_its_time() -> None:
    meter = ElectricityMeter(meter_config(limit_w=500), MIDNIGHT)
    meter.advance(ONE_KW, MIDNIGHT + 10)
    meter.advance(ONE_KW, MIDNIGHT + 60)
    assert meter.switch.is_connected
    meter.advance(ONE_KW, MIDNIGHT + 71)
    assert meter.switch.state is ControlState.READY_FOR_RECONNECTION


def test_the_clock_object_is_set_and_shifted(meter: ElectricityMeter) -> None:
    item = logical_device(meter, MeterAccess()).find(Clock.class_id, Obis(0, 0, 1, 0, 0))
    assert item is not None
    noon = datetime(2026, 10, 25, 12, tzinfo=BERLIN)
    item.write(2, octet_string(write_clock_time(ClockTime.of(noon))), MIDNIGHT)
    assert item.read(2, MIDNIGHT).clock_time.to_utc() == noon
    item.invoke(6, long(-30), MIDNIGHT)
    assert meter.clock.time(MIDNIGHT) == noon.timestamp() - 30
    with pytest.raises(ActionRefusedError):
        item.invoke(6, long(5_000), MIDNIGHT)


def test_only_the_management_client_may_change_anything(meter: ElectricityMeter) -> None:
    device = logical_device(meter, MeterAccess(b"12345678"))
    shown = {
        client: device.view(device.association(client)) for client in (PUBLIC_CLIENT, READER_CLIENT, MANAGEMENT_CLIENT)
    }
    assert len(shown[PUBLIC_CLIENT]) < 8
    assert len(shown[READER_CLIENT]) == len(shown[MANAGEMENT_CLIENT]) > 25
    for client in (PUBLIC_CLIENT, READER_CLIENT):
        rights = [right.access.writable for element in shown[client] for right in element.attributes]
        assert not any(rights)
    assert any(right.access.writable for element in shown[MANAGEMENT_CLIENT] for right in element.attributes)


def test_no_client_can_write_a_register(meter: ElectricityMeter) -> None:
    device = logical_device(meter, MeterAccess())
    definition = device.association(MANAGEMENT_CLIENT)
    assert definition is not None
    for item in device.objects:
        if item.interface in (Register, ProfileGeneric):
            assert not item.writable
            assert not item.methods
            assert grant_for(definition, item) is not None


def test_the_event_log_is_a_profile(meter: ElectricityMeter) -> None:
    meter.set_clock(MIDNIGHT + 100, MIDNIGHT)
    item = logical_device(meter, MeterAccess()).find(ProfileGeneric.class_id, EVENT_LOG)
    assert item is not None
    codes = [row.items[1].integer for row in item.read(2, MIDNIGHT).items]
    assert codes == [EventCode.CLOCK_ADJUSTED_OLD, EventCode.CLOCK_ADJUSTED_NEW]


def test_an_invocation_counter_is_shown_to_the_public_client(meter: ElectricityMeter) -> None:
    access = MeterAccess(invocation_counter=lambda _now: double_long_unsigned(77))
    item = logical_device(meter, access).find(1, Obis(0, 0, 43, 1, 0))
    assert item is not None
    assert item.read(2, MIDNIGHT).integer == 77


@pytest.mark.parametrize("changes", [{"capture_period_s": 7_000}])
def test_a_meter_that_cannot_be_built_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="divide"):
        meter_config(**changes)
