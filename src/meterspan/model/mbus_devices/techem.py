"""Techem's compact payloads (CI A0 to A2): heat and warm water meters, heat cost allocators, smoke detectors.

One layout serves all: a status octet, the last due date, consumption of the past period, the current date (day and
month only), consumption of the running period; allocators add two temperatures. Totals are the sum of both periods.
"""

from collections.abc import Mapping
from decimal import Decimal

from meterspan.model.mbus_devices.payload import (
    ALLOCATION,
    HEAT,
    WATER,
    Decoded,
    Grammar,
    Payload,
    Reader,
    date_packed,
    reading,
)
from meterspan.model.telegram import DecodedReading
from meterspan.quantities import Commodity, Obis

__all__ = ["GRAMMARS"]

_MAKER = frozenset({"TCH"})
_CIS = frozenset({0xA0, 0xA1, 0xA2})


def _periods(payload: Payload, total: Obis, unit: str, exponent: int, size: int) -> Decoded:
    """Read past and running period of ``size`` octets each; ``total`` is the code of their sum."""
    quantity = "volume" if total == WATER else "energy"
    due = date_packed(payload.at(1, 3))
    previous = int.from_bytes(payload.at(3, 3 + size), "little")
    current = int.from_bytes(payload.at(7, 7 + size), "little")
    return Decoded(
        (
            _reading(f"{quantity} total", previous + current, unit, exponent, total),
            reading(f"{quantity} of the past period", Decimal(previous).scaleb(exponent), unit, storage=1, time=due),
            _reading(f"{quantity} of this period", current, unit, exponent),
        )
    )


def _reading(quantity: str, raw: int, unit: str, exponent: int = 0, obis: Obis | None = None) -> DecodedReading:
    return reading(quantity, Decimal(raw).scaleb(exponent), unit, obis=obis)


def _heat_kwh(payload: Payload) -> Decoded:
    return _periods(payload, HEAT, "Wh", 3, 3)


def _heat_mj(payload: Payload) -> Decoded:
    return _periods(payload, HEAT, "J", 6, 3)


def _water(payload: Payload) -> Decoded:
    return _periods(payload, WATER, "m3", -1, 2)


def _allocator(temperatures: int) -> Reader:
    """Build the reader of an allocator whose room and radiator temperatures (0.01 °C) stand at that offset."""

    def read(payload: Payload) -> Decoded:
        due = date_packed(payload.at(1, 3))
        previous, current = (int.from_bytes(payload.at(start, start + 2), "little") for start in (3, 7))
        room, radiator = (
            int.from_bytes(payload.at(start, start + 2), "little", signed=True)
            for start in (temperatures, temperatures + 2)
        )
        return Decoded(
            (
                reading("heat cost allocation of this period", current, "hca", obis=ALLOCATION),
                reading(
                    "heat cost allocation of the past period", previous, "hca", storage=1, time=due, obis=ALLOCATION
                ),
                _reading("room temperature", room, "°C", -2),
                _reading("radiator temperature", radiator, "°C", -2),
            )
        )

    return read


def _half_months(payload: Payload) -> Decoded:
    """Read the water meter that sends a total and the consumption of 24 half months (0.1 m3 each), latest first."""
    due = date_packed(payload.at(2, 4))
    readings = [_reading("volume total", int.from_bytes(payload.at(4, 7), "little"), "m3", -1, WATER)]
    halves = [payload.at(8 + 3 * index, 10 + 3 * index) for index in range(12)]
    if due is not None:
        readings.append(
            reading("volume of the past month", Decimal(sum(halves[0])).scaleb(-1), "m3", storage=1, time=due)
        )
    for index, pair in enumerate(halves):
        month = None if due is None else f"{due.year - (index > due.month - 1)}-{(due.month - 1 - index) % 12 + 1:02d}"
        readings.append(
            reading("volume of a month", Decimal(sum(pair)).scaleb(-1), "m3", storage=index + 1, time=month)
        )
    return Decoded(tuple(readings))


def _smoke_detector(payload: Payload) -> Decoded:
    return Decoded((reading("status", payload.at(0, 1).hex().upper(), time=date_packed(payload.at(1, 3))),))


def _grammar(
    name: str, read: Reader, commodities: Mapping[int, Commodity | None], versions: set[int] | None = None
) -> Grammar:
    measured = {medium: commodity for medium, commodity in commodities.items() if commodity is not None}
    return Grammar(
        name,
        _MAKER,
        read,
        _CIS,
        frozenset(commodities),
        None if versions is None else frozenset(versions),
        commodities=measured,
    )


_VOLUMES = {0x62: Commodity.WATER, 0x72: Commodity.WATER}  # warm and cold

GRAMMARS = (
    _grammar("Techem compact V", _heat_kwh, {0x43: Commodity.HEAT}),
    _grammar("Techem vario 4", _heat_mj, {0xC3: Commodity.HEAT}),
    _grammar("Techem MK radio 3a", _half_months, _VOLUMES, {0x50}),
    _grammar("Techem MK radio", _water, _VOLUMES),
    _grammar("Techem FHKV data III", _allocator(10), {0x80: None}, {0x94}),
    _grammar("Techem FHKV data", _allocator(9), {0x80: None}),
    _grammar("Techem smoke detector", _smoke_detector, {0xF0: None}),
)
"""Techem's device types, the narrower first."""
