"""A megabyte of the worst that its grammar allows, sent to any port at once, costs little: what is read is bounded.

A peer that proves nothing is cut off after some octets and frames, or a line is read at the rate that a line has.
"""

import asyncio

import pytest

from tests.flooded import FLOODED, worst_of
from tests.worst import CALLS_MAX, MEMORY_MAX, MIB, WORST, counted

SECONDS = [0.3, pytest.param(2.0, marks=pytest.mark.deep)]
"""How long the peer sends; by then those that are cut off are."""


@pytest.mark.attack(2)
@pytest.mark.finding("security C3", "security H7", "dlms D10")
@pytest.mark.parametrize("seconds", SECONDS)
@pytest.mark.parametrize("port", FLOODED)
def test_a_megabyte_of_the_worst_at_any_port_costs_a_bounded_number_of_calls_and_little_memory(
    port: str, seconds: float
) -> None:
    is_deep = seconds > 1
    for name in worst_of(FLOODED[port].grammar, WORST):
        octets = WORST[name](MIB)
        flood = FLOODED[port].run(octets, seconds, lambda: counted(counts_memory=is_deep))
        cost = asyncio.run(flood)
        assert 0 < cost.calls <= CALLS_MAX, name
        assert cost.octets <= MEMORY_MAX, name
