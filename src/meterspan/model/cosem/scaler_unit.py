"""scaler_unit, the scale of a register (IEC 62056-6-2, 4.3.2): read in this one place."""

from dataclasses import dataclass

from meterspan.model.cosem.view import fields_of
from meterspan.quantities import Unit, unit_of_code
from meterspan.wire.axdr import Data, DataType
from meterspan.wire.errors import WireError

__all__ = ["ScalerUnit", "is_scaler_unit", "read_scaler_unit"]

EXPONENT_MIN, EXPONENT_MAX = -128, 127


@dataclass(frozen=True, slots=True)
class ScalerUnit:
    """The scale of a register: values times 10^``exponent`` are in ``unit``."""

    exponent: int
    unit: Unit


def is_scaler_unit(data: Data) -> bool:
    """Whether a value has the shape of scal_unit_type: a structure of integer and enum."""
    if data.type is not DataType.STRUCTURE or len(data.items) != 2:
        return False
    scaler, unit = data.items
    return scaler.type is DataType.INTEGER and unit.type is DataType.ENUM


def read_scaler_unit(data: Data) -> ScalerUnit:
    """Read scal_unit_type; integers of another size than the standard's are taken too.

    Raises:
        WireError: it has another shape, or the scaler is no octet.

    """
    scaler, unit = fields_of(data, 2, "scaler_unit")
    if not EXPONENT_MIN <= scaler.integer <= EXPONENT_MAX:
        raise WireError(f"scaler {scaler.integer} is no octet", None, "scaler_unit", "IEC 62056-6-2, 4.3.2")
    return ScalerUnit(scaler.integer, unit_of_code(unit.integer))
