"""What makers mean by their own VIFs, and by sub-units, as data; and the compact formats that their meters send.

A rule renames a record, and gives unit and power of ten where the wire has none. It matches by maker and VIF octets.
The formats are header sequences of full frames; the signature in a compact frame proves that one is meant.
"""

from dataclasses import dataclass

from meterspan.wire.mbus.records import RecordHeader
from meterspan.wire.mbus.vif import Quantity, read_quantity

__all__ = ["SHIPPED_FORMATS", "RecordRule", "SubunitRule", "record_rule"]


@dataclass(frozen=True, slots=True)
class RecordRule:
    """The meaning of a maker's VIF.

    Attributes:
        quantity: in words.
        unit: symbol; "" keeps what the wire says.
        exponent: power of ten onto the unit; None keeps what the wire says.
        mask: bits of the raw integer that hold the value; 0 is all.

    """

    quantity: str
    unit: str = ""
    exponent: int | None = None
    mask: int = 0


@dataclass(frozen=True, slots=True)
class SubunitRule:
    """A sub-unit that means another kind of power and energy than the VIF."""

    kind: str
    units: tuple[tuple[str, str], ...]


_REACTIVE = SubunitRule("reactive", (("Wh", "varh"), ("W", "var")))
_APPARENT = SubunitRule("apparent", (("Wh", "VAh"), ("W", "VA")))

_E8 = RecordRule("volume times flow temperature (E8)", "1", 0)
_E9 = RecordRule("volume times return temperature (E9)", "1", 0)
_RULES: dict[tuple[str, bytes], RecordRule] = {
    # Kamstrup Multical: E8 and E9, volume times temperature; 22 and 23 information codes
    ("KAM", b"\xff\x07"): _E8,
    ("KAM", b"\xee\xff\x07"): _E8,
    ("KAM", b"\xff\x08"): _E9,
    ("KAM", b"\xee\xff\x08"): _E9,
    ("KAM", b"\xff\x22"): RecordRule("information code", "1"),
    ("KAM", b"\xff\x21"): RecordRule("information code", "1"),
    ("KAM", b"\xff\x20"): RecordRule("information code", "1"),
    ("KAW", b"\xff\x23"): RecordRule("information code", "1"),
    ("AXI", b"\xfd\x74"): RecordRule("remaining battery", "%"),
    # Schneider Electric iEM3000
    ("SEC", b"\xff\x0a"): RecordRule("power factor", "1"),
    ("SEC", b"\xff\x0b"): RecordRule("frequency", "Hz"),
    ("SEC", b"\xff\x24"): RecordRule("nominal frequency", "Hz"),
    ("SEC", b"\xff\x10"): RecordRule("active tariff", "1"),
    ("SEC", b"\xff\x21"): RecordRule("number of phases", "1"),
    ("SEC", b"\xff\x22"): RecordRule("number of wires", "1"),
    # Ei Electronics smoke detectors: dust level in the low bits, flags above
    ("EIE", b"\xff\x2c"): RecordRule("dust level", "1", 0, 0x1F),
}

_SUBUNITS = {("SEC", 1): _REACTIVE, ("SEC", 2): _APPARENT}

# IME meters: FF, a parameter number, then a VIF that scales it (of the primary table, or of FD where that fits better).
_IME_FD = {0x07: "voltage", 0x08: "voltage between phases", 0x09: "current", 0x0A: "frequency"}
_IME_PRIMARY = {
    0x00: "active energy",
    0x01: "reactive energy",
    0x0D: "power demand",
    0x0E: "maximum power demand",
    0x0F: "run time",
}
_IME_UNITS = {0x01: "varh", 0x0A: "Hz"}
_IME_POWER_FACTOR = 0x0B


def record_rule(manufacturer: str, header: RecordHeader) -> RecordRule | None:
    """Return what a record of that maker means, where it is not what the standard says; None where it is."""
    rule = _RULES.get((manufacturer, header.vif))
    if rule is not None:
        return rule
    if manufacturer == "IME" and header.vif[:1] == b"\xff" and len(header.vif) >= 3:
        return _ime(header.vif)
    subunit = _SUBUNITS.get((manufacturer, header.subunit))
    if subunit is None or header.meaning.unit is None:
        return None
    unit = dict(subunit.units).get(header.meaning.unit.symbol)
    return None if unit is None else RecordRule(f"{subunit.kind} {header.meaning.name}", unit)


def _ime(vif: bytes) -> RecordRule:
    number, rest = vif[1] & 0x7F, bytes((vif[2] & 0x7F,))
    direction = ", backward" if vif[-1] & 0x7F == 0x3C else ""
    if number == _IME_POWER_FACTOR:
        return RecordRule("power factor", "1", -3)
    if number in _IME_FD:
        meaning: Quantity = read_quantity(b"\xfd" + rest)
        name = _IME_FD[number]
    else:
        meaning = read_quantity(rest)
        name = _IME_PRIMARY.get(number, meaning.name) + direction
    unit = _IME_UNITS.get(number) or (meaning.unit.symbol if meaning.unit is not None else "1")
    return RecordRule(name, unit, meaning.exponent)


_INPUTS, _STORED_INPUTS = "844014 84804014", "C44014 C4804014"
_KAMSTRUP_FORMATS = (
    # water: Multical 21, flowIQ
    "02FF20 0413 4413 615B 6167",
    "02FF20 0413 92013B A1015B 8101E7FF0F",
    "04FF23 0413 4413 426C 023B 92013B A2013B 06FF1B A1015B 91015B A10167",
    "04FF23 4413 523B 06FF1B 426C 6167 5167 023B 0413 8101E7FF0F",
    # heat and cooling: Multical 302, 303, 402, 403, 602, 603
    "0306 4306 0314 426C 022D 01FF21",
    "030F 430F 0314 426C 022D 01FF21",
    "030E 430E 0313 426C 022D 01FF21",
    f"040E 04FF07 04FF08 0413 {_INPUTS} 043B 0259 025D 142D 84100E 84200E 04FF22 026C 440E 4413 {_STORED_INPUTS} 426C",
    f"040F 04FF07 04FF08 0414 {_INPUTS} 043B 0259 025D 142D 84100F 84200F 04FF22 026C 440F 4414 {_STORED_INPUTS} 426C",
    "0406 04FF07 04FF08 0414 043B 0259 025D 04FF22 026C 4406 4414 426C",
    "040F 04FF07 04FF08 0414 02FD17 043B 0259 025D",
    "0406 04863C 0414 04FF07 04FF08 0259 025D 023B 02FF22 026C 4406 44863C 4414 426C",
    "02F9FF15 0406 04EEFF07 04EEFF08 0414 844014 84804014 02FD17 026C 426C 4406 4414 C44014 C4804014 043B 0259 025D",
    "04FB09 0416 04FF22 043C 0259 025D 844014 84804014 042E 026C 426C 44FB09 543C",
    # electricity: OmniPower
    "0404 04843C 042B 04AB3C",
    # pressure sensor
    "2269 1269 0269 05FF09 05FF0A 02FD17",
)

_ENGELMANN_MONTHS = " ".join(f"{0xC4 if number & 1 else 0x84:02X}{number >> 1:02X}13" for number in range(2, 17))
_ENGELMANN_FORMATS = (f"426C 4413 01FD17 {_ENGELMANN_MONTHS} 046D 0413",)
"""Water meter: due date and volume, fifteen months, clock, volume."""

SHIPPED_FORMATS: tuple[bytes, ...] = tuple(bytes.fromhex(text) for text in (*_KAMSTRUP_FORMATS, *_ENGELMANN_FORMATS))
"""Compact formats known before any full frame was heard; the signature identifies each."""
