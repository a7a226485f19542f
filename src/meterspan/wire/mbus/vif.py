"""What a record measures: value information fields (EN 13757-3:2018, 6.4 and tables 10 to 16).

Three tables give the quantity (primary VIF, extension FB, extension FD with its own second level FD FD); one table of
combinable VIFEs changes it (limits, phases, corrections, dates). A VIF is the power of ten and the unit of the raw
value; combinable VIFEs are folded into them and are listed as words, so that nothing said on the wire is dropped.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from decimal import Decimal
from enum import IntEnum

from meterspan.quantities import UNITS, Unit

__all__ = ["Quantity", "ValueKind", "read_quantity", "vif_in_words"]

EXTENSION = 0x80
"""The extension bit of DIF, DIFE, VIF and VIFE."""
VIF_FB = 0x7B
VIF_PLAIN_TEXT = 0x7C
VIF_FD = 0x7D


class ValueKind(IntEnum):
    """How the data octets are read (EN 13757-3:2018, annex A)."""

    NUMBER = 0
    """Types A, B and H: BCD, signed integer or real."""
    UNSIGNED = 1
    """Types A and C: identifications and counters of which the top bit is no sign."""
    BITS = 2
    """Type D: an array of flags."""
    DATE = 3
    """Type G."""
    MOMENT = 4
    """Types F, I, J or G, by length."""
    BLOCK = 5
    """A container: the octets are kept as they are."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """The meaning of a VIF chain.

    Attributes:
        name: the quantity in plain words: ``energy``, ``flow temperature``.
        unit: of the scaled value; None for dates, texts and flags.
        exponent: the raw value times 10^exponent is in ``unit``.
        kind: how the data octets are read.
        modifiers: what combinable VIFEs say, in their order, in words.
        addend: constant to add to the scaled value (VIFE 78..7B).

    """

    name: str
    unit: Unit | None = None
    exponent: int = 0
    kind: ValueKind = ValueKind.NUMBER
    modifiers: tuple[str, ...] = ()
    addend: Decimal = Decimal(0)


def read_quantity(vif: bytes, text: str | None = None) -> Quantity:
    """Return the meaning of a whole VIF chain, extension bits included; unknown codes get a name with their octets.

    Args:
        vif: the VIF and its VIFEs as they stand on the wire, without a plain-text unit.
        text: the plain-text unit of VIF 7C/FC.

    """
    codes = [octet & 0x7F for octet in vif]
    quantity, used = _base(codes, text)
    if quantity.name == "manufacturer specific":
        return replace(quantity, modifiers=tuple(f"manufacturer specific {code:02X}" for code in codes[used:]))
    return _combine(quantity, iter(codes[used:]))


def vif_in_words(vif: bytes) -> list[str]:
    """Return what each octet of a VIF chain says, beyond the octets before it (no plain-text unit)."""
    words: list[str] = []
    before: Quantity | None = None
    for end in range(1, len(vif) + 1):
        if vif[0] & 0x7F in _TABLES and end < (3 if vif[:2] == b"\xfd\xfd" else 2) <= len(vif):
            words.append(f"table {vif[0] & 0x7F | 0x80:02X}")
            continue
        quantity = read_quantity(vif[:end])
        words.append(_difference(before, quantity))
        before = quantity
    return words


_TABLES = {VIF_FB, VIF_FD}


def _difference(before: Quantity | None, quantity: Quantity) -> str:
    """Return what a quantity says that the one before did not."""
    step = f"10^{quantity.exponent} {quantity.unit.symbol}" if quantity.unit is not None else ""
    if before is None:
        return f"{quantity.name}, {step}" if step else quantity.name
    said = list(quantity.modifiers[len(before.modifiers) :])
    if (quantity.unit, quantity.exponent) != (before.unit, before.exponent):
        said.append(step or "no unit")
    if quantity.addend != before.addend:
        said.append(f"plus {quantity.addend}")
    return ", ".join(said) or "says what follows"


def _base(codes: list[int], text: str | None) -> tuple[Quantity, int]:
    """Return the quantity before any combinable VIFE, and how many octets of the chain tell it."""
    first = codes[0]
    if first == VIF_PLAIN_TEXT:
        symbol = text or ""
        unit = UNITS.get(symbol) or UNITS.get(_TEXT_UNITS.get(symbol, "")) or Unit(symbol or "1", f"text {symbol}")
        return Quantity(_TEXT_QUANTITIES.get(unit.dimension, "plain text unit"), unit), 1
    if first == VIF_FB:
        return _extended(_FB, codes, 1, "FB")
    if first == VIF_FD:
        if codes[1:2] == [VIF_FD]:
            return _extended(_FD_FD, codes, 2, "FD FD")
        return _extended(_FD, codes, 1, "FD")
    return _PRIMARY.get(first) or _unknown(f"{first:02X}"), 1


def _extended(table: dict[int, Quantity], codes: list[int], at: int, name: str) -> tuple[Quantity, int]:
    if at >= len(codes):
        return _unknown(name), at
    return table.get(codes[at]) or _unknown(f"{name} {codes[at]:02X}"), at + 1


def _unknown(name: str) -> Quantity:
    return Quantity(f"reserved VIF {name}")


def _combine(quantity: Quantity, codes: Iterator[int]) -> Quantity:
    """Fold combinable VIFEs into a quantity, first to last (table 15)."""
    for code in codes:
        if code == 0x7F:  # all further VIFEs are the manufacturer's
            words = tuple(f"manufacturer specific {rest:02X}" for rest in codes)
            return replace(quantity, modifiers=(*quantity.modifiers, "manufacturer specific", *words))
        if code == 0x7C:  # table 16
            second = next(codes, None)
            word = "reserved VIFE FC" if second is None else _SECOND.get(second, f"reserved VIFE FC {second:02X}")
            quantity = replace(quantity, modifiers=(*quantity.modifiers, word))
            if word == "unsigned" and quantity.kind == ValueKind.NUMBER:
                quantity = replace(quantity, kind=ValueKind.UNSIGNED)
            elif word == "flags":
                quantity = replace(quantity, kind=ValueKind.BITS, unit=None, exponent=0)
        else:
            quantity = _modify(quantity, code)
    return quantity


def _modify(quantity: Quantity, code: int) -> Quantity:
    if 0x70 <= code <= 0x77:
        return replace(quantity, exponent=quantity.exponent + code - 0x76)
    if code == 0x7D:
        return replace(quantity, exponent=quantity.exponent + 3)
    if 0x78 <= code <= 0x7B:
        return replace(quantity, addend=quantity.addend + Decimal(1).scaleb(code - 0x7B))
    word = _COMBINABLE.get(code, f"reserved VIFE {code:02X}")
    modified = replace(quantity, modifiers=(*quantity.modifiers, word))
    if code in _PER and quantity.unit is not None:
        return replace(modified, unit=_composed(quantity.unit, _PER[code]))
    if code in _DATES:
        return replace(modified, unit=None, exponent=0, kind=ValueKind.MOMENT)
    if code in _COUNTS:
        return replace(modified, unit=UNITS["1"], exponent=0, kind=ValueKind.NUMBER)
    if 0x50 <= code <= 0x67:
        return replace(modified, unit=UNITS[DURATION_UNITS[code & 3]], exponent=0, kind=ValueKind.NUMBER)
    if code == 0x3D and quantity.unit is not None:  # another unit than the VIF says (annex C): not to be mixed up
        symbol = f"non-metric {quantity.unit.symbol}"
        return replace(modified, unit=Unit(symbol, symbol))
    if code in _BLOCKS:
        return replace(modified, kind=ValueKind.BLOCK)
    if code == 0x14:
        return replace(modified, unit=UNITS["%"], exponent=0)
    return modified


def _composed(unit: Unit, suffix: str) -> Unit:
    """Return the unit per (or times) another: m3 per hour is the table's m3/h, the rest are made for the occasion."""
    symbol = unit.symbol + suffix
    return UNITS.get(symbol) or Unit(symbol, symbol)


DURATION_UNITS = ("s", "min", "h", "d")
_LONG_DURATION_UNITS = ("h", "d", "mo", "a")


def _range(first: int, count: int, name: str, unit: str, exponent: int) -> dict[int, Quantity]:
    """Make ``count`` codes whose low bits n are the power of ten: 10^(n + exponent) unit."""
    return {first + n: Quantity(name, UNITS[unit], n + exponent) for n in range(count)}


def _timed(first: int, name: str, units: tuple[str, ...] = DURATION_UNITS) -> dict[int, Quantity]:
    """Make one code per unit of time."""
    return {first + n: Quantity(name, UNITS[unit]) for n, unit in enumerate(units)}


def _plain(names: dict[int, str], kind: ValueKind, unit: str | None = None) -> dict[int, Quantity]:
    return {code: Quantity(name, None if unit is None else UNITS[unit], 0, kind) for code, name in names.items()}


# Table 10: primary VIFs.
_PRIMARY: dict[int, Quantity] = {
    **_range(0x00, 8, "energy", "Wh", -3),
    **_range(0x08, 8, "energy", "J", 0),
    **_range(0x10, 8, "volume", "m3", -6),
    **_range(0x18, 8, "mass", "kg", -3),
    **_timed(0x20, "on time"),
    **_timed(0x24, "operating time"),
    **_range(0x28, 8, "power", "W", -3),
    **_range(0x30, 8, "power", "J/h", 0),
    **_range(0x38, 8, "volume flow", "m3/h", -6),
    **_range(0x40, 8, "volume flow", "L/min", -4),  # 10^(n-7) m3/min
    **_range(0x48, 8, "volume flow", "m3/s", -9),
    **_range(0x50, 8, "mass flow", "kg/h", -3),
    **_range(0x58, 4, "flow temperature", "°C", -3),
    **_range(0x5C, 4, "return temperature", "°C", -3),
    **_range(0x60, 4, "temperature difference", "K", -3),
    **_range(0x64, 4, "external temperature", "°C", -3),
    **_range(0x68, 4, "pressure", "bar", -3),
    0x6C: Quantity("date", kind=ValueKind.DATE),
    0x6D: Quantity("date and time", kind=ValueKind.MOMENT),
    0x6E: Quantity("heat cost allocation", UNITS["hca"]),
    **_timed(0x70, "averaging duration"),
    **_timed(0x74, "actuality duration"),
    **_plain({0x78: "fabrication number", 0x79: "identification", 0x7A: "bus address"}, ValueKind.UNSIGNED),
    0x7E: Quantity("any"),
    0x7F: Quantity("manufacturer specific"),
}

# Table 14: first extension FB.
_FB: dict[int, Quantity] = {
    **_range(0x00, 2, "energy", "Wh", 5),
    **_range(0x02, 2, "reactive energy", "varh", 3),
    **_range(0x04, 2, "apparent energy", "VAh", 3),
    **_range(0x08, 2, "energy", "J", 8),
    **_range(0x0C, 4, "energy", "cal", 5),
    **_range(0x10, 2, "volume", "m3", 2),
    **_range(0x14, 4, "reactive power", "var", 0),
    **_range(0x18, 2, "mass", "t", 2),
    **_range(0x1A, 2, "relative humidity", "%RH", -1),
    0x20: Quantity("volume", UNITS["ft3"]),
    0x21: Quantity("volume", UNITS["ft3"], -1),
    0x22: Quantity("volume", UNITS["gal"], -1),
    0x23: Quantity("volume", UNITS["gal"]),
    0x24: Quantity("volume flow", UNITS["gal/min"], -3),
    0x25: Quantity("volume flow", UNITS["gal/min"]),
    0x26: Quantity("volume flow", UNITS["gal/h"]),
    **_range(0x28, 2, "power", "W", 5),
    0x2A: Quantity("phase angle voltage to voltage", UNITS["°"], -1),
    0x2B: Quantity("phase angle voltage to current", UNITS["°"], -1),
    **_range(0x2C, 4, "frequency", "Hz", -3),
    **_range(0x30, 2, "power", "J/h", 8),
    **_range(0x34, 4, "apparent power", "VA", 0),
    **_range(0x58, 4, "flow temperature", "°F", -3),
    **_range(0x5C, 4, "return temperature", "°F", -3),
    **_range(0x60, 4, "temperature difference", "°F", -3),
    **_range(0x64, 4, "external temperature", "°F", -3),
    **_range(0x70, 4, "temperature limit", "°F", -3),
    **_range(0x74, 4, "temperature limit", "°C", -3),
    **_range(0x78, 8, "cumulative maximum of active power", "W", -3),
}

# Table 12: first extension FD.
_FD: dict[int, Quantity] = {
    **_range(0x00, 4, "credit", "currency", -3),
    **_range(0x04, 4, "debit", "currency", -3),
    **_plain(
        {
            0x08: "access number",
            0x09: "medium",
            0x0A: "manufacturer",
            0x0B: "parameter set identification",
            0x0C: "model/version",
            0x0D: "hardware version",
            0x0E: "firmware version",
            0x0F: "software version",
            0x10: "customer location",
            0x11: "customer",
            0x12: "access code user",
            0x13: "access code operator",
            0x14: "access code system operator",
            0x15: "access code developer",
            0x16: "password",
            0x19: "security key",
            0x1F: "remote control",
            0x23: "tariff and subunit descriptor",
            0x2A: "operator specific data",
            0x66: "state of parameter activation",
            0x67: "special supplier information",
        },
        ValueKind.UNSIGNED,
    ),
    **_plain(
        {
            0x17: "error flags",
            0x18: "error mask",
            0x1A: "digital output",
            0x1B: "digital input",
            0x62: "control signal",
        },
        ValueKind.BITS,
    ),
    0x1C: Quantity("baud rate", UNITS["Bd"], 0, ValueKind.UNSIGNED),
    0x1D: Quantity("response delay time", UNITS["bittimes"], 0, ValueKind.UNSIGNED),
    **_plain(
        {
            0x1E: "retry",
            0x20: "first storage number",
            0x21: "last storage number",
            0x22: "size of storage block",
            0x60: "reset counter",
            0x61: "cumulation counter",
            0x63: "day of week",
            0x64: "week number",
            0x75: "number of stops",
        },
        ValueKind.UNSIGNED,
        "1",
    ),
    **_timed(0x24, "storage interval", ("s", "min", "h", "d", "mo", "a")),
    0x2B: Quantity("second of minute", UNITS["s"]),
    **_timed(0x2C, "duration since last readout"),
    0x30: Quantity("start of tariff", kind=ValueKind.MOMENT),
    **_timed(0x31, "duration of tariff", ("min", "h", "d")),
    **_timed(0x34, "period of tariff", ("s", "min", "h", "d", "mo", "a")),
    0x3A: Quantity("dimensionless", UNITS["1"]),
    0x3B: Quantity("wireless data container", kind=ValueKind.BLOCK),
    **_timed(0x3C, "period of nominal transmission"),
    **_range(0x40, 16, "voltage", "V", -9),
    **_range(0x50, 16, "current", "A", -12),
    0x65: Quantity("time of day change", kind=ValueKind.MOMENT),
    **_timed(0x68, "duration since last cumulation", _LONG_DURATION_UNITS),
    **_timed(0x6C, "battery operating time", _LONG_DURATION_UNITS),
    0x70: Quantity("date and time of battery change", kind=ValueKind.MOMENT),
    0x71: Quantity("signal strength", UNITS["dBm"]),
    0x72: Quantity("daylight saving", kind=ValueKind.BITS),
    0x73: Quantity("listening window", kind=ValueKind.BLOCK),
    0x74: Quantity("remaining battery lifetime", UNITS["d"], 0, ValueKind.UNSIGNED),
    0x76: Quantity("manufacturer data container", kind=ValueKind.BLOCK),
}

# Table 13: second level of extension FD.
_FD_FD: dict[int, Quantity] = {
    0x00: Quantity("selected application", kind=ValueKind.UNSIGNED),
    0x02: Quantity("remaining battery lifetime", UNITS["mo"], 0, ValueKind.UNSIGNED),
    0x03: Quantity("remaining battery lifetime", UNITS["a"], 0, ValueKind.UNSIGNED),
}

_TEXT_UNITS = {"%RH": "%RH", "RH%": "%RH", "m^3": "m3", "l": "L", "l/h": "L/h", "m^3/h": "m3/h"}
_TEXT_QUANTITIES = {
    "relative humidity": "relative humidity",
    "volume": "volume",
    "energy": "energy",
    "volume flow": "volume flow",
    "power": "power",
    "temperature": "temperature",
    "pressure": "pressure",
    "voltage": "voltage",
    "current": "current",
}

_LIMITS = ("lower", "upper")
_ORDER = ("first", "last")
_EDGE = ("begin", "end")

# Table 15: combinable (orthogonal) VIFEs; 70..7D are corrections and stand in _modify.
_COMBINABLE: dict[int, str] = {
    # record errors, slave to master (table 17); the other codes below 20 are object actions or profiles
    0x00: "no error", 0x01: "too many DIFEs", 0x02: "storage number not implemented",
    0x03: "unit number not implemented", 0x04: "tariff number not implemented", 0x05: "function not implemented",
    0x06: "data class not implemented", 0x07: "data size not implemented", 0x0B: "too many VIFEs",
    0x0C: "illegal VIF group", 0x0D: "illegal VIF exponent", 0x0E: "VIF/DIF mismatch", 0x0F: "unimplemented action",
    0x12: "average", 0x13: "inverse compact profile", 0x14: "relative deviation", 0x15: "no data available",
    0x16: "data overflow", 0x17: "data underflow", 0x18: "data error", 0x1C: "premature end of record",
    0x1D: "standard conform data content", 0x1E: "compact profile with registers", 0x1F: "compact profile",
    0x20: "per second", 0x21: "per minute", 0x22: "per hour", 0x23: "per day", 0x24: "per week", 0x25: "per month",
    0x26: "per year", 0x27: "per revolution", 0x28: "increment per input pulse on channel 0",
    0x29: "increment per input pulse on channel 1", 0x2A: "increment per output pulse on channel 0",
    0x2B: "increment per output pulse on channel 1", 0x2C: "per litre", 0x2D: "per m3", 0x2E: "per kg",
    0x2F: "per K", 0x30: "per kWh", 0x31: "per GJ", 0x32: "per kW", 0x33: "per K L", 0x34: "per V", 0x35: "per A",
    0x36: "multiplied by s", 0x37: "multiplied by s/V", 0x38: "multiplied by s/A", 0x39: "start date",
    0x3A: "uncorrected", 0x3B: "forward flow", 0x3C: "backward flow", 0x3D: "non-metric units",
    0x3E: "at base conditions", 0x3F: "OBIS declaration",
    **{0x40 + 8 * u: f"{limit} limit" for u, limit in enumerate(_LIMITS)},
    **{0x41 + 8 * u: f"number of exceeds of {limit} limit" for u, limit in enumerate(_LIMITS)},
    **{
        0x42 + 8 * u + 4 * f + b: f"date of {edge} of {order} {limit} limit exceed"
        for u, limit in enumerate(_LIMITS) for f, order in enumerate(_ORDER) for b, edge in enumerate(_EDGE)
    },
    **{
        0x50 + 8 * u + 4 * f + n: f"duration of {order} {limit} limit exceed"
        for u, limit in enumerate(_LIMITS) for f, order in enumerate(_ORDER) for n in range(4)
    },
    **{0x60 + 4 * f + n: f"duration of {order}" for f, order in enumerate(_ORDER) for n in range(4)},
    **{0x68 + 4 * u: f"during {limit} limit exceed" for u, limit in enumerate(_LIMITS)},
    0x69: "leakage", 0x6D: "overflow",
    **{
        0x6A + 4 * f + b: f"date of {edge} of {order}"
        for f, order in enumerate(_ORDER) for b, edge in enumerate(_EDGE)
    },
    0x7E: "future",
}  # fmt: skip

_PER = {
    0x20: "/s", 0x21: "/min", 0x22: "/h", 0x23: "/d", 0x24: "/wk", 0x25: "/mo", 0x26: "/a", 0x27: "/revolution",
    0x2C: "/L", 0x2D: "/m3", 0x2E: "/kg", 0x2F: "/K", 0x30: "/kWh", 0x31: "/GJ", 0x32: "/kW", 0x33: "/(K·L)",
    0x34: "/V", 0x35: "/A", 0x36: "·s", 0x37: "·s/V", 0x38: "·s/A",
}  # fmt: skip
_DATES = frozenset({0x39, 0x42, 0x43, 0x46, 0x47, 0x4A, 0x4B, 0x4E, 0x4F, 0x6A, 0x6B, 0x6E, 0x6F})
_COUNTS = frozenset({0x41, 0x49})
_BLOCKS = frozenset({0x13, 0x1E, 0x1F, 0x3F})

# Table 16: second level of combinable VIFEs, after FC.
_SECOND = {
    0x01: "at phase L1", 0x02: "at phase L2", 0x03: "at phase L3", 0x04: "at neutral", 0x05: "between L1 and L2",
    0x06: "between L2 and L3", 0x07: "between L3 and L1", 0x08: "at quadrant Q1", 0x09: "at quadrant Q2",
    0x0A: "at quadrant Q3", 0x0B: "at quadrant Q4", 0x0C: "delta between import and export",
    0x10: "absolute of both directions", 0x11: "unsigned", 0x12: "flags",
    0x13: "direction to the meter", 0x14: "direction from the meter",
}  # fmt: skip
