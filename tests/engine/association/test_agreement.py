"""The terms of an association: how long an APDU and a block may be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.engine.association.agreement import APDU_MAX, Agreement
from meterspan.engine.block_transfer import BLOCK_OVERHEAD_OCTETS
from meterspan.engine.security import SecurityContext
from meterspan.wire.acse import ApplicationContext, AuthenticationMechanism
from meterspan.wire.xdlms import Conformance
from tests.helpers_cosem import KEYS, METER_TITLE, MemoryCounters

SIZES = st.one_of(st.integers(40, 400), st.integers(40, APDU_MAX))


def agreement(max_pdu, context=ApplicationContext.LN, **changes):
    return Agreement(1, AuthenticationMechanism.LOWEST, context, Conformance.GET, max_pdu, **changes)


@given(SIZES)
def test_an_apdu_in_the_clear_may_be_as_long_as_the_peer_takes(size):
    clear = agreement(size)
    assert not clear.ciphered
    assert clear.apdu_max == size
    assert clear.block_max == size - BLOCK_OVERHEAD_OCTETS


@pytest.mark.finding("dlms D16")
@given(SIZES, st.booleans())
def test_the_longest_plain_apdu_fits_once_protected_and_one_octet_more_does_not(size, is_general):
    longest = agreement(size, ApplicationContext.LN_CIPHERED, is_general=is_general).apdu_max
    context = SecurityContext(METER_TITLE, KEYS, counters=MemoryCounters())
    sealed = [len(context.protect(b"\xc0" + bytes(longest - 1 + more), general=is_general)) for more in (0, 1)]
    assert sealed[0] <= size < sealed[1]


@pytest.mark.parametrize("size", [0, APDU_MAX + 1, 1 << 20])
def test_no_limit_of_the_peer_is_the_limit_of_the_link(size):
    assert agreement(size).apdu_max == APDU_MAX
