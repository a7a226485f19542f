"""OBIS codes that more than one module names: objects, power and heat registers (IEC 62056-6-1, tables 7 to 12).

A code that one module names stays there; the registers and profiles of a supply are those of ``CATALOGUE``.
"""

from typing import Final

from meterspan.quantities.commodities import CATALOGUE, Commodity
from meterspan.quantities.obis import Obis

__all__ = [
    "CLOCK",
    "CURRENT_VALUE",
    "EQUIPMENT_IDENTIFIER",
    "EVENT_CODE",
    "EVENT_LOG",
    "EXPORT_INTERVAL",
    "EXPORT_POWER",
    "FIRMWARE",
    "FIRMWARE_CHECKSUM",
    "HEATING_WATER",
    "HEAT_FLOW",
    "HEAT_FLOW_TEMPERATURE",
    "HEAT_POWER",
    "HEAT_RETURN_TEMPERATURE",
    "IMPORT_INTERVAL",
    "IMPORT_POWER",
    "INVOCATION_COUNTER",
    "LIMITER",
    "LOAD_PROFILE",
    "LOGICAL_DEVICE_NAME",
    "MESSAGE",
    "NET_POWER",
    "PROFILE_STATUS",
    "SERIAL_NUMBER",
    "TARIFF_IN_FORCE",
]

CURRENT_VALUE: Final = 0xFF
"""Value group F of a value that belongs to no past billing period."""

CLOCK: Final = Obis(0, 0, 1, 0, 0)
LIMITER: Final = Obis(0, 0, 17, 0, 0)
LOGICAL_DEVICE_NAME: Final = Obis(0, 0, 42, 0, 0)
INVOCATION_COUNTER: Final = Obis(0, 0, 43, 1, 0)
"""Of messages to one meter, under the global unicast key."""
SERIAL_NUMBER: Final = Obis(0, 0, 96, 1, 0)
EQUIPMENT_IDENTIFIER: Final = Obis(0, 0, 96, 1, 1)
PROFILE_STATUS: Final = Obis(0, 0, 96, 10, 1)
"""AMR profile status, captured with each row of a load profile."""
EVENT_CODE: Final = Obis(0, 0, 96, 11, 0)
"""Of the newest entry of the standard event log."""
MESSAGE: Final = Obis(0, 0, 96, 13, 0)
"""Text to the consumer."""
TARIFF_IN_FORCE: Final = Obis(0, 0, 96, 14, 0)
EVENT_LOG: Final = Obis(0, 0, 99, 98, 0)

FIRMWARE: Final = Obis(1, 0, 0, 2, 0)
FIRMWARE_CHECKSUM: Final = Obis(1, 0, 0, 2, 8)
LOAD_PROFILE: Final = CATALOGUE[Commodity.ELECTRICITY].profile
IMPORT_INTERVAL: Final = Obis(1, 0, 1, 29, 0)
"""Active energy from the network in one interval (time integral 5), stamped at its end."""
EXPORT_INTERVAL: Final = Obis(1, 0, 2, 29, 0)
"""Active energy into the network in one interval."""
IMPORT_POWER: Final = Obis(1, 0, 1, 7, 0)
"""Active power from the network, over all phases; never negative."""
EXPORT_POWER: Final = Obis(1, 0, 2, 7, 0)
"""Active power into the network, over all phases; never negative."""
NET_POWER: Final = Obis(1, 0, 16, 7, 0)
"""Import less export."""

HEATING_WATER: Final = Obis(6, 0, 2, 0, 0)
"""Volume of the water that carries the heat."""
HEAT_POWER: Final = Obis(6, 0, 8, 0, 0)
HEAT_FLOW: Final = Obis(6, 0, 9, 0, 0)
"""Volume of heating water per time."""
HEAT_FLOW_TEMPERATURE: Final = Obis(6, 0, 10, 0, 0)
HEAT_RETURN_TEMPERATURE: Final = Obis(6, 0, 11, 0, 0)
