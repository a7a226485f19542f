"""Push bodies as decoded readings, for a person to look at.

Strategy: ``engine.push_body`` names the values, ``engine.push_rows`` sorts them: both as the head end does. A person
also sees texts and values without a scale: a maker's layout has the power of ten, and where there is no layout,
physics does: a mains voltage is between 80 and 500 V, and no power is above the sum of U times I.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal

from meterspan.engine.push_body import CLOCK_SIZE, PushValue, read_body, read_values, scaled_pair, text_of
from meterspan.engine.push_rows import PushedContent, read_content
from meterspan.model.cosem.classes import ProfileGeneric
from meterspan.model.cosem.scaler_unit import ScalerUnit, is_scaler_unit
from meterspan.model.push_layouts import SCALED_LISTS, ScaledList
from meterspan.model.telegram import DecodedReading
from meterspan.quantities import ClockTime, Obis
from meterspan.readings.names import meaning_of
from meterspan.wire import WireError
from meterspan.wire.axdr import Data, IeeeFloat, octet_string

__all__ = ["BodyReadings", "readings_of_body"]

_VOLTAGE_MIN, _VOLTAGE_MAX = 80, 500
_EXPONENTS = (0, -1, -2, -3)


@dataclass(frozen=True, slots=True)
class _NamedValue:
    """A value with its name; ``exponent`` is None where the frame has none."""

    obis: Obis
    value: Data
    exponent: int | None = None
    unit: str | None = None


@dataclass(frozen=True, slots=True)
class BodyReadings:
    """The readings of a push body.

    Attributes:
        readings: in the order of the body, rows of profiles behind them.
        version: the name of the meter's list, "" where it names none.
        clock: the meter's clock among the values, None where there is none.

    """

    readings: tuple[DecodedReading, ...]
    version: str = ""
    clock: ClockTime | None = None


def readings_of_body(body: Data) -> BodyReadings:
    """Return the readings of a push body."""
    values = read_body(body, by_shape=True).values
    content = _content(values)
    texts = [text for text in map(text_of, _leaves(body)) if text]
    layout = next((item for item in SCALED_LISTS if any(text.startswith(item.mark) for text in texts)), None)
    version = next((text for text in texts if any(text.startswith(item.mark) for item in SCALED_LISTS)), "")
    named = [item for value in values for item in _named(value, content)]
    readings = [_reading(item) for item in _scale(named, layout)]
    return BodyReadings((*readings, *_rows(content)), version, content.time)


def _content(values: Sequence[PushValue]) -> PushedContent:
    """Sort the values; where one of them has a wrong shape, a person sees them unsorted."""
    try:
        return read_content(values)
    except WireError:
        return PushedContent()


def _named(value: PushValue, content: PushedContent) -> Iterator[_NamedValue]:
    of = value.definition
    if of is None:
        if value.name is not None:
            yield _scaled(value.name, value.value, value.scaler, value.exponent)
        return
    if (of.class_id, of.attribute) in _NO_VALUES or is_scaler_unit(value.value):
        return
    number, scaler = scaled_pair(value.value)
    if number.is_composite:
        yield from (item for inner in read_values(number) for item in _named(inner, content))
    else:
        yield _scaled(of.instance, number, scaler or content.scalers.get(of.instance))


def _scaled(obis: Obis, value: Data, scaler: ScalerUnit | None, exponent: int | None = None) -> _NamedValue:
    return (
        _NamedValue(obis, value, exponent)
        if scaler is None
        else _NamedValue(obis, value, scaler.exponent, scaler.unit.symbol)
    )


def _rows(content: PushedContent) -> Iterator[DecodedReading]:
    """Iterate over the values of profile rows whose registers were pushed behind them: clock, status, values."""
    for profile, rows in content.rows.items():
        names = content.registers.get(profile, ())
        for row in rows:
            cells = list(row.items) if row.is_composite else []
            if names and len(cells) == len(names) + 2:
                moment = _moment(cells[0])
                for name, cell in zip(names, cells[2:], strict=True):
                    if cell.value is not None:
                        yield replace(_reading(_scaled(name, cell, content.scalers.get(name))), time=moment)


def _moment(data: Data) -> str | None:
    try:
        return _iso(data.clock_time)
    except WireError:
        return None


_NO_VALUES = {
    (ProfileGeneric.class_id, ProfileGeneric.buffer.number),
    (ProfileGeneric.class_id, ProfileGeneric.capture_objects.number),
}
"""Attributes that name or hold other values."""


def _clock_text(octets: bytes) -> str | None:
    """Write the twelve octets of a date-time as ISO 8601, or None where they are not one."""
    try:
        moment = octet_string(octets).clock_time
    except WireError:
        return None
    if moment.year is None or moment.month is None or moment.day is None or not 2000 <= moment.year <= 2099:
        return None
    return _iso(moment)


def _leaves(data: Data) -> Iterator[Data]:
    for item in data.items if data.is_composite else ():
        yield item
        yield from _leaves(item)


def _scale(named: list[_NamedValue], layout: ScaledList | None) -> list[_NamedValue]:
    """Return every number its power of ten."""
    if layout is not None:
        powers = dict(layout.exponents)
        named = [_with_power(item, powers) for item in named]
    named = [_plausible_voltage(item) for item in named]
    if any(item.exponent is None and _unit(item) == "A" for item in named):
        power = _current_power(named)
        named = [
            replace(item, exponent=power) if item.exponent is None and _unit(item) == "A" else item for item in named
        ]
    return named


def _with_power(item: _NamedValue, powers: dict[tuple[int, int], int]) -> _NamedValue:
    if item.exponent is not None:
        return item
    power = powers.get((item.obis.c, item.obis.d), powers.get((-1, item.obis.d), 0))
    return replace(item, exponent=power)


def _plausible_voltage(item: _NamedValue) -> _NamedValue:
    number = _number(item.value)
    if item.exponent is not None or _unit(item) != "V" or number is None:
        return item
    fits = [power for power in _EXPONENTS if _VOLTAGE_MIN <= number.scaleb(power) <= _VOLTAGE_MAX]
    return replace(item, exponent=fits[0] if fits else 0)


def _current_power(named: list[_NamedValue]) -> int:
    """Choose the power of ten of currents by the ratio of apparent to active power: 10 mA, unless that can't be.

    The ratio is 1 or a little above where one kind of load runs, and higher where phases feed in against each other;
    so 10 mA, by far the most frequent, is left only for another resolution that fits well.
    """
    by_code = {(item.obis.c, item.obis.d): item for item in named}
    apparent, active = _apparent(by_code), _active(by_code)
    if active <= _LEAST_POWER_W:
        return _USUAL_CURRENT
    usual = apparent.scaleb(_USUAL_CURRENT) / active
    if _LEAST_RATIO <= usual <= _MOST_RATIO:
        return _USUAL_CURRENT
    fits = (power for power in _EXPONENTS if _LEAST_RATIO <= apparent.scaleb(power) / active <= _CLOSE_RATIO)
    return next(fits, _USUAL_CURRENT)


_USUAL_CURRENT = -2
_LEAST_POWER_W = 50  # below, the resolution of the currents hides the ratio
_LEAST_RATIO, _CLOSE_RATIO, _MOST_RATIO = Decimal("0.8"), Decimal(2), Decimal(5)
_MAINS_V = Decimal(230)


def _apparent(by_code: dict[tuple[int, int], _NamedValue]) -> Decimal:
    """Sum raw currents times voltages, 230 V where there is none."""
    total = Decimal(0)
    for c in (31, 51, 71):
        current, voltage = by_code.get((c, 7)), by_code.get((c + 1, 7))
        amperes = _number(current.value) if current is not None else None
        volts = _number(voltage.value) if voltage is not None else None
        scaled = volts.scaleb(voltage.exponent or 0) if volts is not None and voltage is not None else _MAINS_V
        total += abs(amperes or Decimal(0)) * (scaled or _MAINS_V)
    return total


def _active(by_code: dict[tuple[int, int], _NamedValue]) -> Decimal:
    """Sum the phases' powers in either direction, so that they can't cancel; else take the total."""
    for codes in ((21, 22, 41, 42, 61, 62), (1, 2)):
        found = [_number(by_code[c, 7].value) for c in codes if (c, 7) in by_code]
        total = sum((abs(power) for power in found if power is not None), Decimal(0))
        if total:
            return total
    return Decimal(0)


def _unit(item: _NamedValue) -> str:
    return item.unit if item.unit is not None else meaning_of(item.obis).unit


def _number(data: Data) -> Decimal | None:
    value = data.value
    if isinstance(value, IeeeFloat):
        return value.decimal if value.decimal.is_finite() else None
    return Decimal(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _reading(item: _NamedValue) -> DecodedReading:
    meaning, value = meaning_of(item.obis), item.value
    number = _number(value)
    tariff = item.obis.e if meaning.unit.endswith("h") else 0
    if number is not None:
        unit = _unit(item) or "1"
        return DecodedReading(
            meaning.quantity, number.scaleb(item.exponent or 0), unit, item.obis, None, 0, tariff, 0, meaning.function
        )
    return DecodedReading(meaning.quantity, _words(value), "", item.obis, None, 0, tariff)


def _words(data: Data) -> str:
    value = data.value
    if isinstance(value, bytes):
        moment = _clock_text(value) if len(value) == CLOCK_SIZE else None
        return moment or text_of(data) or value.hex().upper()
    if isinstance(value, ClockTime):
        return _iso(value)
    return "" if value is None else str(value)


def _iso(moment: ClockTime) -> str:
    utc = moment.to_utc()
    return utc.isoformat().replace("+00:00", "Z") if utc is not None else str(moment).replace(" ", "T")
