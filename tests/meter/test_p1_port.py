"""What the P1 port says is what the meter shows, and a reader we know accepts it."""

from datetime import datetime
from zoneinfo import ZoneInfo

from meterspan.meter.electricity import ElectricityMeter, ElectricityMeterConfig
from meterspan.meter.metrology import ElectricityFlow
from meterspan.meter.p1_port import p1_telegram
from meterspan.quantities import Obis, Scaled
from meterspan.wire.p1 import read_telegram

BERLIN = ZoneInfo("Europe/Berlin")
MIDNIGHT = datetime(2026, 7, 1, tzinfo=BERLIN).timestamp()


def test_the_telegram_tells_registers_power_and_time() -> None:
    meter = ElectricityMeter(ElectricityMeterConfig("MSP1000000001", b"MSP\0\0\0\0\1", BERLIN), MIDNIGHT)
    flow = ElectricityFlow((1_234_000, 0, 0), (230_100, 229_900, 231_000), (5_300, 0, 0))
    meter.advance(flow, MIDNIGHT + 7 * 3_600)
    telegram = read_telegram(p1_telegram(meter, MIDNIGHT + 7 * 3_600))
    assert telegram.profile.name == "dsmr5"
    assert telegram.crc_matches
    assert telegram.faults == ()
    assert telegram.time is not None
    assert telegram.time.to_utc() == datetime.fromtimestamp(MIDNIGHT + 7 * 3_600, BERLIN)
    for obis in (Obis(1, 0, 1, 8, 1), Obis(1, 0, 1, 8, 2), Obis(1, 0, 2, 8, 1)):
        found = telegram.find(obis)
        assert found is not None
        (value,) = found.values
        assert isinstance(value, Scaled)
        assert value.to(meter.indication[obis].unit) == meter.register(obis)
    power = telegram.find(Obis(1, 0, 1, 7, 0))
    assert power is not None
    assert str(power) == "1-0:1.7.0(01.234*kW)"


def test_a_meter_that_has_sensed_nothing_still_speaks() -> None:
    meter = ElectricityMeter(ElectricityMeterConfig("MSP1000000001", b"MSP\0\0\0\0\1", BERLIN), MIDNIGHT)
    telegram = read_telegram(p1_telegram(meter, MIDNIGHT))
    assert str(telegram.find(Obis(1, 0, 1, 7, 0))) == "1-0:1.7.0(00.000*kW)"
