r"""meterspan: an open smart metering system, from a meter's sealed register to the consumer's display.

These names are the public API: they stay, and are documented with examples in the API reference. Everything else is
private and may change with any release.

>>> import meterspan
>>> telegram = meterspan.decode("/ABC5\r\n\r\n1-0:1.8.0(000123.456*kWh)\r\n!\r\n")
>>> reading = telegram.readings[0]
>>> str(reading.obis), reading.value, reading.unit
('1-0:1.8.0', Decimal('123456'), 'Wh')
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from meterspan.api.decoding import decode
    from meterspan.api.intervals import Intervals, intervals
    from meterspan.api.meter import Meter, open_meter
    from meterspan.api.simulated import RunningMeter, SimulatedMeter
    from meterspan.model.failures import Failure, FailureKind
    from meterspan.model.readings import MeterEvent
    from meterspan.model.telegram import DecodedReading, DecodedTelegram, DeviceIdentity
    from meterspan.quantities import Obis, Scaled, parse_obis
    from meterspan.readings import Decoder
    from meterspan.runtime.dlms_client import DlmsError as MeterError
    from meterspan.runtime.endpoints import EndpointError
    from meterspan.wire.errors import WireError

__all__ = [
    "DecodedReading",
    "DecodedTelegram",
    "Decoder",
    "DeviceIdentity",
    "EndpointError",
    "Failure",
    "FailureKind",
    "Intervals",
    "Meter",
    "MeterError",
    "MeterEvent",
    "Obis",
    "RunningMeter",
    "Scaled",
    "SimulatedMeter",
    "WireError",
    "__version__",
    "decode",
    "intervals",
    "open_meter",
    "parse_obis",
]

__version__ = "0.1.0"

_PLACES = {
    "DecodedReading": "meterspan.model.telegram",
    "DecodedTelegram": "meterspan.model.telegram",
    "Decoder": "meterspan.readings",
    "DeviceIdentity": "meterspan.model.telegram",
    "EndpointError": "meterspan.runtime.endpoints",
    "Failure": "meterspan.model.failures",
    "FailureKind": "meterspan.model.failures",
    "Intervals": "meterspan.api.intervals",
    "Meter": "meterspan.api.meter",
    "MeterError": "meterspan.runtime.dlms_client",
    "MeterEvent": "meterspan.model.readings",
    "Obis": "meterspan.quantities",
    "RunningMeter": "meterspan.api.simulated",
    "Scaled": "meterspan.quantities",
    "SimulatedMeter": "meterspan.api.simulated",
    "WireError": "meterspan.wire.errors",
    "decode": "meterspan.api.decoding",
    "intervals": "meterspan.api.intervals",
    "open_meter": "meterspan.api.meter",
    "parse_obis": "meterspan.quantities",
}
"""Where each name is made; its module is imported at the first use of the name: ``import meterspan`` costs nothing."""
_OWN_NAMES = {"MeterError": "DlmsError"}
"""Names that are called otherwise where they are made."""


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'meterspan' has no attribute {name!r}")
    value = getattr(import_module(place), _OWN_NAMES.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
