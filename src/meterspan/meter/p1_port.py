"""The meter's P1 port: a DSMR 5 telegram of what it shows now (interface H1, one way).

The telegram's registers are those of metrology at its time stamp, and nothing comes back through this port.
"""

from typing import Final

from meterspan.meter.electricity import ElectricityMeter
from meterspan.quantities import UNITS, Obis, Scaled
from meterspan.wire.p1 import PROFILES, P1Object, fixed, p1_object, p1_time, write_telegram

__all__ = ["p1_telegram"]

_DSMR5: Final = next(profile for profile in PROFILES if profile.name == "dsmr5")
_PHASES: Final = 3
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
        p1_object(Obis(1, 3, 0, 2, 8), "50"),
        p1_object(Obis(0, 0, 1, 0, 0), p1_time(clock.indicate(now))),
        p1_object(Obis(0, 0, 96, 1, 1), meter.config.name.encode().hex().upper()),
    ]
    lines += [
        p1_object(register.obis, fixed(register.value, "kWh", digits=9, decimals=3))
        for register in shown.registers
        if register.obis.e
    ]
    lines.append(p1_object(Obis(0, 0, 96, 14, 0), f"{tariff:04d}"))
    lines += [
        p1_object(obis, fixed(instants.get(obis, _NO_POWER), "kW", digits=5, decimals=3))
        for obis in (Obis(1, 0, 1, 7, 0), Obis(1, 0, 2, 7, 0))
    ]
    lines.append(p1_object(Obis(0, 0, 96, 13, 0), ""))
    for first, unit, digits, decimals in ((32, "V", 4, 1), (31, "A", 3, 0)):
        for phase in range(_PHASES):
            obis = Obis(1, 0, first + 20 * phase, 7, 0)
            if obis in instants:
                lines.append(p1_object(obis, fixed(instants[obis], unit, digits=digits, decimals=decimals)))
    return lines
