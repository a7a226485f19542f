"""Scaled integers are exact, whatever their exponent and unit."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.quantities import UNITS, Scaled
from meterspan.quantities.scaled import sum_of

INTEGERS, EXPONENTS = st.integers(-(2**63), 2**63), st.integers(-12, 12)
WH = UNITS["Wh"]


@given(INTEGERS, EXPONENTS)
def test_the_decimal_is_the_exact_product_of_integer_and_power_of_ten(value, exponent):
    scaled = Scaled(value, exponent, WH)
    assert Fraction(scaled.decimal) == Fraction(value) * Fraction(10) ** exponent == scaled.to(WH)
    assert str(scaled).endswith(" Wh")
    assert Decimal(str(scaled).removesuffix(" Wh")) == scaled.decimal


@given(INTEGERS, EXPONENTS)
def test_a_conversion_there_and_back_loses_nothing(value, exponent):
    energy = Scaled(value, exponent, WH)
    assert energy.to(UNITS["J"]) == 3600 * energy.to(WH)
    assert Scaled(value, exponent, UNITS["J"]).to(WH) * 3600 == energy.to(WH)


def test_units_of_different_dimensions_do_not_convert():
    with pytest.raises(ValueError, match="does not convert"):
        Scaled(1, 0, WH).to(UNITS["m3"])


@given(st.lists(st.tuples(INTEGERS, EXPONENTS), min_size=1))
def test_a_sum_is_exact_at_the_finest_exponent(parts):
    values = [Scaled(value, exponent, WH) for value, exponent in parts]
    total = sum_of(values)
    assert total.to(WH) == sum(value.to(WH) for value in values)
    assert total.exponent == min(value.exponent for value in values)


@pytest.mark.parametrize("values", [[], [Scaled(1, 0, WH), Scaled(1, 0, UNITS["m3"])]])
def test_a_sum_needs_values_of_one_unit(values):
    with pytest.raises(ValueError, match="one unit"):
        sum_of(values)
