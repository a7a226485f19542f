"""Scaled integers: what a register really holds, an integer, a power of ten and a unit (scaler_unit of COSEM)."""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

from meterspan.quantities.units import Unit

__all__ = ["Scaled", "sum_of"]


@dataclass(frozen=True, slots=True)
class Scaled:
    """An exact quantity: ``value`` x 10^``exponent`` ``unit``.

    Attributes:
        value: the integer of the register.
        exponent: the scaler, a power of ten (IEC 62056-6-2, 4.3.2: -128..127).
        unit: the unit of the scaled value.

    """

    value: int
    exponent: int
    unit: Unit

    def __str__(self) -> str:
        """Write the exact decimal with its unit: ``12.345 m3``."""
        return f"{self.decimal:f} {self.unit}"

    @property
    def decimal(self) -> Decimal:
        """The exact decimal number in ``unit``."""
        return Decimal(self.value).scaleb(self.exponent)

    def to(self, unit: Unit) -> Fraction:
        """Convert exactly into another unit of the same dimension.

        Raises:
            ValueError: the dimensions differ.

        """
        if unit.dimension != self.unit.dimension:
            raise ValueError(f"{self.unit} ({self.unit.dimension}) does not convert into {unit} ({unit.dimension})")
        power = 10 ** abs(self.exponent)
        value = Fraction(self.value * power) if self.exponent >= 0 else Fraction(self.value, power)
        return value if unit.factor is self.unit.factor else value * self.unit.factor / unit.factor


def sum_of(values: Iterable[Scaled]) -> Scaled:
    """Return the exact sum, at the finest of the exponents.

    Raises:
        ValueError: there is no value, or the units differ.

    """
    parts = tuple(values)
    units = {value.unit for value in parts}
    if len(units) != 1:
        raise ValueError(f"a sum needs values of one unit, here are {len(parts)} of {len(units)}")
    exponent = min(value.exponent for value in parts)
    return Scaled(sum(value.value * 10 ** (value.exponent - exponent) for value in parts), exponent, parts[0].unit)
