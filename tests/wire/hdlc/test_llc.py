"""The LLC header: both directions, and octets without one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.wire.hdlc import LLC_COMMAND, LLC_RESPONSE, LLC_SIZE, has_llc, without_llc


@pytest.mark.parametrize("header", [LLC_COMMAND, LLC_RESPONSE])
@given(apdu=st.binary(max_size=20))
def test_the_apdu_is_what_follows_the_header_of_either_direction(header, apdu):
    assert has_llc(header + apdu)
    assert without_llc(header + apdu) == apdu


@given(st.binary(max_size=20))
def test_octets_without_a_header_stay_as_they_are(octets):
    if octets[:LLC_SIZE] not in {bytes.fromhex("E6E600"), bytes.fromhex("E6E700")}:
        assert not has_llc(octets)
        assert without_llc(octets) == octets
