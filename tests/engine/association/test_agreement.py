"""The terms of an association: how long an APDU and a block may be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.engine.association.agreement import APDU_MAX, Agreement
from meterspan.engine.block_transfer import BLOCK_OVERHEAD_OCTETS
from meterspan.engine.security import PROTECTION_OCTETS
from meterspan.wire.acse import ApplicationContext, AuthenticationMechanism
from meterspan.wire.xdlms import Conformance


def agreement(max_pdu, context=ApplicationContext.LN):
    return Agreement(1, AuthenticationMechanism.LOWEST, context, Conformance.GET, max_pdu)


@given(st.integers(1, APDU_MAX))
def test_ciphering_leaves_room_for_its_own_octets(size):
    clear, sealed = agreement(size), agreement(size, ApplicationContext.LN_CIPHERED)
    assert (clear.ciphered, sealed.ciphered) == (False, True)
    assert clear.apdu_max == size
    assert sealed.apdu_max == size - PROTECTION_OCTETS
    assert sealed.block_max == sealed.apdu_max - BLOCK_OVERHEAD_OCTETS


@pytest.mark.parametrize("size", [0, APDU_MAX + 1, 1 << 20])
def test_no_limit_of_the_peer_is_the_limit_of_the_link(size):
    assert agreement(size).apdu_max == APDU_MAX
