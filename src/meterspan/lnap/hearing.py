"""What the access point makes of what it hears: registers of known meters from radio telegrams and P1 telegrams.

Pure functions: a telegram and the channel's registers in, an ``Observation`` out. Which record of an M-Bus telegram
is which register is a table by commodity.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Final

from meterspan.lnap.channel import LocalMeter, Observation
from meterspan.quantities import UNITS, Commodity, Obis, Scaled
from meterspan.wire.errors import WireError
from meterspan.wire.mbus.records import DataRecord, Function
from meterspan.wire.p1 import P1Telegram

__all__ = [
    "P1_REGISTERS",
    "RADIO_REGISTERS",
    "p1_instants",
    "p1_meter",
    "p1_observation",
    "radio_observations",
    "radio_time",
]

P1_REGISTERS: Final = (Obis(1, 0, 1, 8, 0), Obis(1, 0, 2, 8, 0))
"""What is captured of an electricity meter heard on P1."""

RADIO_REGISTERS: Final = {
    Commodity.ELECTRICITY: (Obis(1, 0, 1, 8, 0), "energy"),
    Commodity.GAS: (Obis(7, 0, 3, 0, 0), "volume"),
    Commodity.WATER: (Obis(8, 0, 1, 0, 0), "volume"),
    Commodity.HEAT: (Obis(6, 0, 1, 0, 0), "energy"),
}
"""By commodity: the billing register, and the quantity of the M-Bus record that holds it."""

_DUE_STORAGE = 1
_TARIFFS_MAX: Final = 8
_SUPPLIED = {Obis(0, 0, 96, 1, 1), Obis(0, 0, 96, 1, 0), Obis(0, 0, 42, 0, 0)}


def radio_time(records: Sequence[DataRecord], offset_s: int, storage: int = 0) -> float | None:
    """Give the meter's own date and time as UTC seconds, where the telegram tells it.

    Args:
        records: of one telegram.
        offset_s: local standard time of the meter minus UTC; radio meters know no daylight saving.
        storage: 0 for the time of sending, 1 for the last due mark.

    """
    for record in records:
        if record.storage == storage and isinstance(record.value, datetime):
            return (record.value.replace(tzinfo=UTC) - timedelta(seconds=offset_s)).timestamp()
    return None


def radio_observations(
    meter: LocalMeter, records: Sequence[DataRecord], heard_at: float, offset_s: int
) -> list[Observation]:
    """Take the register of a meter out of a telegram, oldest first: at the last due mark, and now.

    Raises:
        WireError: the telegram has no register of this commodity.

    """
    _, quantity = RADIO_REGISTERS[meter.commodity]
    found: list[Observation] = []
    due, due_time = _register(records, quantity, _DUE_STORAGE), radio_time(records, offset_s, _DUE_STORAGE)
    if due is not None and due_time is not None:
        found.append(Observation(int(due_time), (due,)))
    now = _register(records, quantity, 0)
    if now is not None and not found:
        found.append(Observation(int(heard_at), (now,)))
    if not found:
        raise WireError(f"a telegram of a {meter.commodity} meter without {quantity}", None, quantity)
    return found


def p1_meter(telegram: P1Telegram) -> str:
    """Give the identification of the electricity meter in a P1 telegram.

    Raises:
        WireError: there is none.

    """
    for item in telegram.objects:
        if item.obis in _SUPPLIED and item.values and isinstance(item.values[0], str):
            text = item.values[0]
            try:
                return bytes.fromhex(text).decode("ascii")
            except ValueError:
                return text
    raise WireError("a P1 telegram without the meter's identification", None, "0-0:96.1.1", "DSMR P1, 6.12")


def p1_observation(telegram: P1Telegram, heard_at: float) -> Observation:
    """Take total import and export out of a P1 telegram, at its own time stamp where it has one.

    Raises:
        WireError: it has no import register.

    """
    moment = None if telegram.time is None else telegram.time.to_utc()
    energies = {
        item.obis: item.values[0]
        for item in reversed(telegram.objects)
        if item.obis.d == 8 and item.values and isinstance(item.values[0], Scaled)
    }
    values = tuple(_total(energies, quantity) for quantity in (1, 2))
    if values[0] is None:
        raise WireError("a P1 telegram without an import register", None, "1-0:1.8.x")
    nothing = Scaled(0, 0, UNITS["Wh"])
    return Observation(
        int(heard_at if moment is None else moment.timestamp()), tuple(value or nothing for value in values)
    )


def p1_instants(telegram: P1Telegram) -> dict[str, Scaled]:
    """Take power, voltage and current out of a P1 telegram, by OBIS text."""
    return {
        str(item.obis): item.values[0]
        for item in telegram.objects
        if item.obis.a == 1 and item.obis.d == 7 and item.values and isinstance(item.values[0], Scaled)
    }


def _register(records: Sequence[DataRecord], quantity: str, storage: int) -> Scaled | None:
    for record in records:
        if (
            record.quantity == quantity
            and record.storage == storage
            and record.function == Function.INSTANTANEOUS
            and not (record.tariff or record.subunit or record.modifiers)
        ):
            return _at_scale(record)
    return None


def _at_scale(record: DataRecord) -> Scaled | None:
    """Give the record's number at the scale of its VIF, so that a channel's scale does not change with the digits."""
    if record.unit is None or not isinstance(record.value, int):
        return record.scaled
    return Scaled(record.value, record.exponent, record.unit)


def _total(energies: Mapping[Obis, Scaled], quantity: int) -> Scaled | None:
    total = energies.get(Obis(1, 0, quantity, 8, 0))
    if total is not None:
        return _in_wh(total.to(UNITS["Wh"]))
    parts = [energies.get(Obis(1, 0, quantity, 8, tariff)) for tariff in range(1, _TARIFFS_MAX + 1)]
    numbers = [value.to(UNITS["Wh"]) for value in parts if value is not None]
    return _in_wh(sum(numbers, Fraction(0))) if numbers else None


def _in_wh(energy: Fraction) -> Scaled:
    return Scaled(int(energy), 0, UNITS["Wh"])
