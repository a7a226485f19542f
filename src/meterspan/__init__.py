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
    from meterspan.model.failures import Failure, FailureKind
    from meterspan.model.telegram import DecodedReading, DecodedTelegram, DeviceIdentity
    from meterspan.quantities import Obis, Scaled, parse_obis
    from meterspan.readings import Decoder
    from meterspan.wire.errors import WireError

__all__ = [
    "DecodedReading",
    "DecodedTelegram",
    "Decoder",
    "DeviceIdentity",
    "Failure",
    "FailureKind",
    "Intervals",
    "Obis",
    "Scaled",
    "WireError",
    "__version__",
    "decode",
    "intervals",
    "parse_obis",
]

__version__ = "0.1.0"

_PLACES = {
    "DecodedReading": "meterspan.model.telegram",
    "DecodedTelegram": "meterspan.model.telegram",
    "Decoder": "meterspan.readings",
    "DeviceIdentity": "meterspan.model.telegram",
    "Failure": "meterspan.model.failures",
    "FailureKind": "meterspan.model.failures",
    "Intervals": "meterspan.api.intervals",
    "Obis": "meterspan.quantities",
    "Scaled": "meterspan.quantities",
    "WireError": "meterspan.wire.errors",
    "decode": "meterspan.api.decoding",
    "intervals": "meterspan.api.intervals",
    "parse_obis": "meterspan.quantities",
}
"""Where each name is made; its module is imported at the first use of the name: ``import meterspan`` costs nothing."""


def __getattr__(name: str) -> Any:
    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module 'meterspan' has no attribute {name!r}")
    value = getattr(import_module(place), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
