"""Arrow columns hold exactly what the integers meant."""

from datetime import UTC, datetime
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.analytics.tables import exact_column, exact_field, quality_column, time_column
from meterspan.quantities import Quality


@given(st.lists(st.integers(-(2**63), 2**63 - 1)), st.integers(-18, 18))
def test_every_integer_and_power_of_ten_becomes_the_exact_decimal(values, exponent):
    column = exact_column(np.array(values, np.int64), exponent)
    assert column.to_pylist() == [Decimal(value).scaleb(exponent) for value in values]
    assert column.type == exact_field("x", exponent, "Wh").type


def test_a_power_of_ten_beyond_any_meter_is_refused():
    for exponent in (-19, 19):
        with pytest.raises(ValueError, match="outside"):
            exact_column(np.zeros(1, np.int64), exponent)


def test_a_missing_instant_is_null_and_never_1970():
    column = time_column(np.array([0, -1, 86_400], np.int64), missing=-1)
    assert column.to_pylist() == [datetime(1970, 1, 1, tzinfo=UTC), None, datetime(1970, 1, 2, tzinfo=UTC)]


def test_quality_bits_are_named():
    bits = [0, int(Quality.SPREAD | Quality.ESTIMATED), int(Quality.MISSING)]
    assert quality_column(bits).to_pylist() == [[], ["spread", "estimated"], ["missing"]]
