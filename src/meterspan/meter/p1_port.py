"""The meter's P1 port: a DSMR 5 telegram of its present registers (interface H1, one way).

The telegram's registers are those of metrology at its time stamp, and the port reads nothing.
"""

from typing import Final

from meterspan.meter.electricity import ElectricityMeter
from meterspan.quantities import UNITS, Obis, Scaled
from meterspan.quantities.codes import CLOCK, EQUIPMENT_IDENTIFIER, EXPORT_POWER, IMPORT_POWER, MESSAGE, TARIFF_IN_FORCE
from meterspan.wire.p1 import PROFILES, P1Object, fixed, p1_time, write_telegram

__all__ = ["p1_telegram"]

_DSMR5: Final = next(profile for profile in PROFILES if profile.name == "dsmr5")
_VERSION: Final = Obis(1, 3, 0, 2, 8)
_POWERS: Final = (IMPORT_POWER, EXPORT_POWER)
_PHASE_LINES: Final = tuple(
    (Obis(1, 0, first + 20 * phase, 7, 0), unit, digits, decimals)
    for first, unit, digits, decimals in ((32, "V", 4, 1), (31, "A", 3, 0))
    for phase in range(3)
)
"""Voltage and current per phase: code, unit and width of the number."""
_NO_POWER: Final = Scaled(0, 0, UNITS["W"])


def p1_telegram(meter: ElectricityMeter, now: float) -> bytes:
    """Write the telegram of this instant (UTC seconds); the meter must have measured up to it."""
    identification = f"{meter.config.name[:3]}5meterspan {meter.software.version}"
    return write_telegram(identification, _lines(meter, now), profile=_DSMR5)


def _lines(meter: ElectricityMeter, now: float) -> list[P1Object]:
    clock = meter.clock
    shown = meter.indication
    instants = dict(shown.instants)
    tariff = meter.config.tariffs.tariff(clock.time(now), meter.config.zone)
    lines = [
        _line(_VERSION, "50"),
        _line(CLOCK, p1_time(clock.indicate(now))),
        _line(EQUIPMENT_IDENTIFIER, meter.config.name.encode().hex().upper()),
    ]
    lines += [
        _line(register.obis, fixed(register.value, "kWh", digits=9, decimals=3))
        for register in shown.registers
        if register.obis.e
    ]
    lines.append(_line(TARIFF_IN_FORCE, f"{tariff:04d}"))
    lines += [_line(obis, fixed(instants.get(obis, _NO_POWER), "kW", digits=5, decimals=3)) for obis in _POWERS]
    lines.append(_line(MESSAGE, ""))
    lines += [
        _line(obis, fixed(instants[obis], unit, digits=digits, decimals=decimals))
        for obis, unit, digits, decimals in _PHASE_LINES
        if obis in instants
    ]
    return lines


def _line(obis: Obis, text: str) -> P1Object:
    """Make a line that is only written: it needs no typed values."""
    return P1Object(obis, (), f"({text})")
