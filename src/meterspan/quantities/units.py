"""The one table of units: DLMS unit codes (IEC 62056-6-2, 4.3.2) and what M-Bus needs beside them.

A unit is exact: ``factor`` is the rational number of coherent units of its dimension, so that conversion never
rounds. Values carry a power of ten beside the unit (see ``Scaled``), so the table has no kWh or MJ.
"""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

__all__ = ["UNITS", "Unit", "in_thousands", "parse_unit", "unit_of_code"]


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit of measurement.

    Attributes:
        symbol: as written in readings: ``Wh``, ``m3``, ``°C``, ``1`` for a bare number.
        dimension: the physical dimension; only units of one dimension convert into each other.
        factor: how many coherent units of the dimension one of this unit is (1 h = 3600 s).
        dlms_code: the DLMS unit code (IEC 62056-6-2, 4.3.2), or None where the table has none.

    """

    symbol: str
    dimension: str
    factor: Fraction = Fraction(1)
    dlms_code: int | None = None

    def __str__(self) -> str:
        """Write the symbol."""
        return self.symbol


def unit_of_code(code: int) -> Unit:
    """Look a DLMS unit code up; an unlisted code survives as a unit of its own, ``dlms:CODE``."""
    return _BY_CODE.get(code) or Unit(f"dlms:{code}", f"dlms:{code}", Fraction(1), code)


def parse_unit(symbol: str) -> tuple[Unit, int]:
    """Parse a symbol with an optional SI prefix into (unit, power of ten): ``kWh`` is (Wh, 3), ``GJ`` (J, 9).

    Raises:
        ValueError: no such unit in the table.

    """
    found = UNITS.get(symbol) or UNITS.get(_SPELLINGS.get(symbol, ""))
    if found is not None:
        return found, 0
    exponent = _PREFIXES.get(symbol[:1])
    rest = UNITS.get(symbol[1:]) if exponent is not None else None
    if rest is None or exponent is None:
        raise ValueError(f"{symbol!r} is not a unit of the table")
    return rest, exponent


def in_thousands(value: Decimal, symbol: str) -> tuple[Decimal, str]:
    """Return a value and its unit as people read them: energies in thousands (kWh, kvarh, kVAh), others as they are."""
    return (value.scaleb(-3), f"k{symbol}") if symbol in _IN_THOUSANDS else (value, symbol)


def in_few_digits(value: Decimal) -> Decimal:
    """Return a number with at most six decimals as it is, a longer one as people read it.

    A register steps by a power of ten and has few decimals; more of them are the remainder of a conversion between
    units. They are rounded to three decimals, or to three digits where the number is below 1.
    """
    exponent = value.as_tuple().exponent
    if not isinstance(exponent, int) or -exponent <= _DECIMALS_MAX:
        return value
    places = _DECIMALS_SHOWN if abs(value) >= 1 else _DECIMALS_SHOWN - 1 - value.adjusted()
    return value.quantize(Decimal(1).scaleb(-places)) if places < -exponent else value


_DECIMALS_MAX = 6
_DECIMALS_SHOWN = 3
_IN_THOUSANDS = frozenset({"Wh", "varh", "VAh"})
_PREFIXES = {"n": -9, "µ": -6, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12}
_SPELLINGS = {
    "m³": "m3", "m^3": "m3", "m³/h": "m3/h", "m^3/h": "m3/h", "l": "L", "l/h": "L/h", "C": "°C", "degC": "°C",
    "": "1", "counter": "1", "deg": "°",
}  # fmt: skip

_TABLE = (
    # time: coherent unit s (IEC 62056-6-2, 4.3.2, codes 1..7)
    Unit("a", "duration", Fraction(31_556_952), 1),
    Unit("mo", "duration", Fraction(2_629_746), 2),
    Unit("wk", "duration", Fraction(604_800), 3),
    Unit("d", "duration", Fraction(86_400), 4),
    Unit("h", "duration", Fraction(3_600), 5),
    Unit("min", "duration", Fraction(60), 6),
    Unit("s", "duration", Fraction(1), 7),
    Unit("°", "angle", Fraction(1), 8),
    Unit("°C", "temperature", Fraction(1), 9),
    Unit("currency", "currency", Fraction(1), 10),
    Unit("m", "length", Fraction(1), 11),
    Unit("m/s", "speed", Fraction(1), 12),
    # 14, 16 and 18 are volumes corrected to base conditions: another quantity than 13, 15 and 17.
    Unit("m3", "volume", Fraction(1), 13),
    Unit("Nm3", "volume at base conditions", Fraction(1), 14),
    Unit("m3/h", "volume flow", Fraction(1), 15),
    Unit("Nm3/h", "volume flow at base conditions", Fraction(1), 16),
    Unit("m3/d", "volume flow", Fraction(1, 24), 17),
    Unit("Nm3/d", "volume flow at base conditions", Fraction(1, 24), 18),
    Unit("L", "volume", Fraction(1, 1_000), 19),
    Unit("kg", "mass", Fraction(1), 20),
    Unit("N", "force", Fraction(1), 21),
    Unit("Nm", "torque", Fraction(1), 22),
    Unit("Pa", "pressure", Fraction(1), 23),
    Unit("bar", "pressure", Fraction(100_000), 24),
    Unit("J", "energy", Fraction(1), 25),
    Unit("J/h", "power", Fraction(1, 3_600), 26),
    Unit("W", "power", Fraction(1), 27),
    Unit("VA", "apparent power", Fraction(1), 28),
    Unit("var", "reactive power", Fraction(1), 29),
    Unit("Wh", "energy", Fraction(3_600), 30),
    Unit("VAh", "apparent energy", Fraction(1), 31),
    Unit("varh", "reactive energy", Fraction(1), 32),
    Unit("A", "current", Fraction(1), 33),
    Unit("C", "charge", Fraction(1), 34),
    Unit("V", "voltage", Fraction(1), 35),
    Unit("V/m", "electric field", Fraction(1), 36),
    Unit("F", "capacitance", Fraction(1), 37),
    Unit("Ω", "resistance", Fraction(1), 38),
    Unit("Ωm2/m", "resistivity", Fraction(1), 39),
    Unit("Wb", "magnetic flux", Fraction(1), 40),
    Unit("T", "magnetic flux density", Fraction(1), 41),
    Unit("A/m", "magnetic field", Fraction(1), 42),
    Unit("H", "inductance", Fraction(1), 43),
    Unit("Hz", "frequency", Fraction(1), 44),
    Unit("1/Wh", "active energy constant", Fraction(1), 45),
    Unit("1/varh", "reactive energy constant", Fraction(1), 46),
    Unit("1/VAh", "apparent energy constant", Fraction(1), 47),
    Unit("V2h", "volt-squared hours", Fraction(1), 48),
    Unit("A2h", "ampere-squared hours", Fraction(1), 49),
    Unit("kg/s", "mass flow", Fraction(3_600), 50),
    Unit("S", "conductance", Fraction(1), 51),
    Unit("K", "temperature difference", Fraction(1), 52),
    Unit("1/V2h", "volt-squared hour constant", Fraction(1), 53),
    Unit("1/A2h", "ampere-squared hour constant", Fraction(1), 54),
    Unit("1/m3", "volume constant", Fraction(1), 55),
    Unit("%", "ratio", Fraction(1, 100), 56),
    Unit("Ah", "charge", Fraction(3_600), 57),
    Unit("Wh/m3", "energy per volume", Fraction(3_600), 60),
    Unit("J/m3", "energy per volume", Fraction(1), 61),
    Unit("Mol%", "molar fraction", Fraction(1), 62),
    Unit("g/m3", "mass density", Fraction(1), 63),
    Unit("Pas", "dynamic viscosity", Fraction(1), 64),
    Unit("J/kg", "specific energy", Fraction(1), 65),
    Unit("dBm", "signal strength", Fraction(1), 70),
    Unit("dBµV", "signal strength above 1 µV", Fraction(1), 71),
    Unit("dB", "logarithmic ratio", Fraction(1), 72),
    Unit("1", "number", Fraction(1), 255),
    # not in the DLMS table: EN 13757-3 has them
    Unit("L/h", "volume flow", Fraction(1, 1_000)),
    Unit("L/min", "volume flow", Fraction(60, 1_000)),
    Unit("m3/s", "volume flow", Fraction(3_600)),
    Unit("kg/h", "mass flow", Fraction(1)),
    Unit("t", "mass", Fraction(1_000)),
    Unit("g", "mass", Fraction(1, 1_000)),
    Unit("pulses", "pulses", Fraction(1)),
    Unit("hca", "heat cost allocation", Fraction(1)),
    Unit("%RH", "relative humidity", Fraction(1, 100)),
    Unit("°F", "temperature in Fahrenheit", Fraction(1)),
    Unit("cal", "energy", Fraction(41_868, 10_000)),  # international table calorie
    Unit("ft3", "volume", Fraction(28_316_846_592, 10**12)),
    Unit("gal", "volume", Fraction(3_785_411_784, 10**12)),
    Unit("gal/min", "volume flow", Fraction(60 * 3_785_411_784, 10**12)),
    Unit("gal/h", "volume flow", Fraction(3_785_411_784, 10**12)),
    Unit("bit", "data", Fraction(1)),
    Unit("B", "data", Fraction(8)),
    Unit("Bd", "symbol rate", Fraction(1)),
    Unit("bittimes", "bit times", Fraction(1)),
    Unit("rad", "angle in radians", Fraction(1)),
)
UNITS: dict[str, Unit] = {unit.symbol: unit for unit in _TABLE}
"""Every unit by its symbol."""

_BY_CODE = {unit.dlms_code: unit for unit in _TABLE if unit.dlms_code is not None}
