"""The capture of a telegram's rows by the access point: the registers of one meter, instant by instant."""

from meterspan.lnap.channel import LocalMeter, Observation
from meterspan.quantities import Obis, Scaled
from meterspan.readings.rows import DeviceRows, HeardTelegram
from meterspan.wire.errors import WireError

__all__ = ["instants_of", "observations_of"]

_INSTANTANEOUS = 7  # value group D


def observations_of(meter: LocalMeter, telegram: HeardTelegram) -> list[Observation]:
    """Return the values of a meter's registers in a telegram, oldest first.

    A meter that tells its register at the mark of each capture period is captured at those marks alone; of any other
    meter, the value at the time of reception is captured as well. A register that the telegram does not have is None.

    Raises:
        WireError: the telegram has no register of this meter, for the reason in it.

    """
    device = telegram.device(meter.device)
    main = meter.registers[0]
    times = sorted(row.time for row in device.rows if row.obis == main) if device is not None else []
    if device is None or not times:
        raise _reason(meter, telegram)
    marks = [time for time in times if time != telegram.time]
    if marks and telegram.time - marks[-1] <= meter.period_s:
        times = marks
    return [Observation(time, _values(meter, device, time)) for time in times]


def instants_of(device: DeviceRows) -> dict[str, Scaled]:
    """Return power, voltage and current of an electricity meter, by OBIS text."""
    return {str(row.obis): row.value for row in device.rows if row.obis.d == _INSTANTANEOUS}


def _values(meter: LocalMeter, device: DeviceRows, time: int) -> tuple[Scaled | None, ...]:
    found: dict[Obis, Scaled] = {row.obis: row.value for row in reversed(device.rows) if row.time == time}
    return tuple(found.get(obis) for obis in meter.registers)


def _reason(meter: LocalMeter, telegram: HeardTelegram) -> WireError:
    if telegram.failures:
        failure = telegram.failures[0]
        return failure.error or WireError(str(failure))
    return WireError(f"a telegram of a {meter.commodity} meter without {meter.registers[0]}")
