"""Push bodies as decoded readings: values with names are read by their names, other lists by their layout.

Strategy: walk the tree once. An OBIS code names what follows it; a pair (integer, enum) behind the value scales it; a
list of push objects at the start names the elements behind it; a list without any name is matched by its shape with
the layouts of ``model.push_layouts``. Where a list leaves the scaler out, its layout names it; where there is no
layout, physics does: a mains voltage is between 80 and 500 V, and no power is above the sum of U times I.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise

from meterspan.model.cosem.profile import read_push_objects
from meterspan.model.cosem.scaler_unit import is_scaler_unit, read_scaler_unit
from meterspan.model.push_layouts import POSITIONAL_LISTS, SCALED_LISTS, ScaledList
from meterspan.model.telegram import DecodedReading
from meterspan.quantities import ClockTime, Obis
from meterspan.readings.names import meaning_of
from meterspan.wire import WireError
from meterspan.wire.axdr import Data, DataType, IeeeFloat

__all__ = ["clock_text", "readings_of_body"]

_CLOCK_SIZE = 12
_NUMBERS = frozenset({"V", "A", "W", "var", "VA", "Wh", "varh", "VAh", "Hz", "1"})
_VOLTAGE_MIN, _VOLTAGE_MAX = 80, 500
_EXPONENTS = (0, -1, -2, -3)


@dataclass(frozen=True, slots=True)
class _NamedValue:
    """A value with its name; ``exponent`` is None where the frame has none."""

    obis: Obis
    value: Data
    exponent: int | None = None
    unit: str | None = None


def readings_of_body(body: Data) -> tuple[list[DecodedReading], str]:
    """Return the readings of a push body, and the name of the meter's list ("" where it names none)."""
    texts = [text for text in map(_text, _leaves(body)) if text]
    named = list(_walk(body))
    layout = next((item for item in SCALED_LISTS if any(text.startswith(item.mark) for text in texts)), None)
    version = next((text for text in texts if any(text.startswith(item.mark) for item in SCALED_LISTS)), "")
    return [_reading(item) for item in _scale(named, layout)], version


def clock_text(octets: bytes) -> str | None:
    """Write the twelve octets of a date-time as ISO 8601, or None where they are not one."""
    try:
        moment = Data(DataType.OCTET_STRING, octets).clock_time
    except WireError:
        return None
    if moment.year is None or moment.month is None or moment.day is None or not 2000 <= moment.year <= 2099:
        return None
    return _iso(moment)


def _walk(data: Data) -> Iterator[_NamedValue]:
    if not data.is_composite:
        return
    items = tuple(item for item in data.items if item.value is not None or not _padding(data.items))
    objects = _push_objects(items)
    if objects:
        yield from _by_objects(objects, items[1:])
        return
    if not any(_obis(item) or _descriptor(item) or item.is_composite for item in items):
        yield from _positional(items)
        return
    index = 0
    while index < len(items):
        obis = _obis(items[index]) or _descriptor(items[index])
        if obis is None:
            yield from _walk(items[index])
            index += 1
            continue
        named, used = _named(obis, items[index + 1 : index + 3])
        if named is not None:
            yield named
        index += 1 + used


def _padding(items: Sequence[Data]) -> bool:
    """Whether null-data fills the places of values that a one-phase meter does not have, names included (Kamstrup)."""
    return any(first.value is None and second.value is None for first, second in pairwise(items))


def _named(obis: Obis, behind: Sequence[Data]) -> tuple[_NamedValue | None, int]:
    """Return the value behind a name and how many elements it took."""
    if not behind or _obis(behind[0]):
        return None, 0
    value = behind[0]
    scaler = _scaler_unit(behind[1]) if len(behind) > 1 else None
    if scaler is not None:
        return _NamedValue(obis, value, *scaler), 2
    inner = _items(value)
    scaler = _scaler_unit(inner[1]) if len(inner) == 2 else None
    if scaler is not None:
        return _NamedValue(obis, inner[0], *scaler), 1
    return _NamedValue(obis, value), 1


def _items(value: Data) -> Sequence[Data]:
    """Return the elements of a composite value, none of a simple one."""
    return value.items if value.is_composite else ()


def _push_objects(items: Sequence[Data]) -> list[Obis]:
    """Return the names in a push object list at the start, none where there is no such list (IEC 62056-6-2, 4.4.8)."""
    try:
        return [item.instance for item in read_push_objects(items[0])] if len(items) > 1 else []
    except WireError:
        return []


def _by_objects(objects: list[Obis], values: Sequence[Data]) -> Iterator[_NamedValue]:
    """Pair names with values; a list that names itself first has one name more (quirk 5)."""
    names = objects[1:] if len(objects) == len(values) + 1 else objects
    for obis, value in zip(names, values, strict=False):
        inner = _items(value)
        scaler = _scaler_unit(inner[1]) if len(inner) == 2 else None
        if scaler is not None:
            yield _NamedValue(obis, inner[0], *scaler)
        elif value.is_composite:
            yield from _walk(value)
        else:
            yield _NamedValue(obis, value)


def _positional(items: Sequence[Data]) -> Iterator[_NamedValue]:
    shape = "".join(map(_letter, items)).replace("-", "")
    values = [item for item in items if _letter(item) != "-"]
    for layout in POSITIONAL_LISTS:
        if layout.shape == shape and (
            not layout.mark or any((_text(item) or "").startswith(layout.mark) for item in values)
        ):
            for place, value in zip(layout.fields, values, strict=True):
                if place is not None:
                    yield _NamedValue(place.obis, value, place.exponent)
            return


def _letter(data: Data) -> str:
    if data.value is None:
        return "-"
    if isinstance(data.value, bytes):
        return "c" if len(data.value) == _CLOCK_SIZE and clock_text(data.value) else "s"
    if isinstance(data.value, str):
        return "s"
    return "c" if isinstance(data.value, ClockTime) else "n"


def _obis(data: Data) -> Obis | None:
    value = data.value
    if data.type is DataType.OCTET_STRING and isinstance(value, bytes) and len(value) == 6 and value[5] == 0xFF:
        return Obis(*value)
    return None


def _descriptor(data: Data) -> Obis | None:
    """Read (class, logical name, attribute …) as what it names."""
    if not data.is_composite or not 3 <= len(data.items) <= 6:
        return None
    first, second, third = data.items[:3]
    if first.type is DataType.LONG_UNSIGNED and third.type is DataType.INTEGER:
        return _obis(second)
    return None


def _scaler_unit(data: Data) -> tuple[int, str] | None:
    if not is_scaler_unit(data):
        return None
    scale = read_scaler_unit(data)
    return scale.exponent, scale.unit.symbol


def _leaves(data: Data) -> Iterator[Data]:
    for item in data.items if data.is_composite else ():
        yield item
        yield from _leaves(item)


def _text(data: Data) -> str | None:
    if isinstance(data.value, str):
        return data.value
    if isinstance(data.value, bytes) and data.value and all(0x20 <= octet < 0x7F for octet in data.value):
        return data.value.decode("ascii")
    return None


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
        moment = clock_text(value) if len(value) == _CLOCK_SIZE else None
        return moment or _text(data) or value.hex().upper()
    if isinstance(value, ClockTime):
        return _iso(value)
    return "" if value is None else str(value)


def _iso(moment: ClockTime) -> str:
    utc = moment.to_utc()
    return utc.isoformat().replace("+00:00", "Z") if utc is not None else str(moment).replace(" ", "T")
