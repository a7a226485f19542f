"""Telegrams of simulated radio meters, for tests of listeners."""

from meterspan.meter.metrology import VolumeFlow
from meterspan.meter.radio import RadioMedium, RadioMeter, RadioMeterConfig
from meterspan.wire.mbus.transport import SecurityMode
from tests.memory import MemoryState

KEY = bytes(range(16))
START = 1_790_000_000.0


def radio_telegram(
    number: str = "10000001",
    *,
    medium: RadioMedium = RadioMedium.WATER,
    key: bytes = KEY,
    mode: SecurityMode = SecurityMode.AES_CBC_IV,
) -> bytes:
    """Return the first telegram of a meter that opened at 123,456 register steps."""
    meter = RadioMeter(RadioMeterConfig(medium, "MSP", number, key, mode, opening=123_456), START, MemoryState())
    meter.advance(VolumeFlow(0) if medium is not RadioMedium.HEAT else None, START + 1)
    return meter.telegram(START + 1)
