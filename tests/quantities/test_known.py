"""Sums of what is known."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.quantities import known_sum

AMOUNTS = st.lists(st.none() | st.decimals("-999", "999", places=3))


@pytest.mark.attack(7)
@given(AMOUNTS)
def test_a_sum_is_that_of_what_is_known_and_none_where_nothing_is(amounts):
    known = [amount for amount in amounts if amount is not None]
    assert known_sum(amounts) == (sum(known) if known else None)


def test_a_known_0_is_no_unknown():
    assert known_sum([None, Decimal(0)]) == 0
    assert known_sum([]) is None
