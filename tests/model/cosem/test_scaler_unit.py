"""The scale of a register, read in one place."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.model.cosem.objects import scaler_unit
from meterspan.model.cosem.scaler_unit import ScalerUnit, is_scaler_unit, read_scaler_unit
from meterspan.quantities import UNITS, Scaled
from meterspan.wire.axdr import Data, array, enum, integer, long_unsigned, null, octet_string, structure
from meterspan.wire.errors import WireError

coded = st.sampled_from([unit for unit in UNITS.values() if unit.dlms_code is not None])


@given(st.integers(-128, 127), coded)
def test_what_is_written_is_read(exponent: int, unit: object) -> None:
    data = scaler_unit(Scaled(7, exponent, unit))
    assert is_scaler_unit(data)
    assert read_scaler_unit(data) == ScalerUnit(exponent, unit)


def test_an_unknown_unit_survives() -> None:
    assert read_scaler_unit(structure(integer(-1), enum(200))).unit.symbol == "dlms:200"


@pytest.mark.parametrize(
    "data",
    [null(), structure(integer(1)), structure(long_unsigned(500), enum(30)), structure(octet_string(b""), enum(1))],
)
def test_another_shape_is_a_wire_error(data: Data) -> None:
    assert not is_scaler_unit(data)
    with pytest.raises(WireError):
        read_scaler_unit(data)


def test_an_array_of_the_same_two_is_not_taken_for_a_scale() -> None:
    assert not is_scaler_unit(array(integer(1), enum(30)))
