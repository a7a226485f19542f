from hypothesis import given
from hypothesis import strategies as st

from meterspan.wire.acse import (
    Aarq,
    ApplicationContext,
    AuthenticationMechanism,
    AuthenticationValue,
    blanked,
    blanked_aarq,
    read_acse,
    write_acse,
)
from meterspan.wire.xdlms import Conformance, InitiateRequest, write_apdu

KEY = bytes(range(0x51, 0x61))


def initiate(key=None):
    return InitiateRequest(Conformance.GET, 512, key)


def aarq(password, *, inner=None):
    return Aarq(
        ApplicationContext.LN,
        user_information=inner,
        mechanism=AuthenticationMechanism.LLS,
        authentication_value=AuthenticationValue(password),
    )


@given(st.binary(max_size=300))
def test_the_password_alone_is_blanked_and_the_length_stays(password):
    request = aarq(password, inner=write_apdu(initiate()))
    octets = write_acse(request)
    shown = read_acse(blanked_aarq(octets))
    assert shown == aarq(b"*" * len(password), inner=request.user_information)
    assert blanked_aarq(blanked_aarq(octets)) == blanked_aarq(octets)


def test_a_dedicated_key_in_the_clear_is_blanked():
    octets = write_acse(aarq(b"x", inner=write_apdu(initiate(KEY))))
    assert KEY in octets
    assert read_acse(blanked_aarq(octets)).user_information == write_apdu(initiate(b"*" * 16))


@given(st.binary(max_size=40), st.integers(0, 60))
def test_of_a_cut_or_damaged_request_the_password_is_not_shown(noise, size):
    octets = write_acse(aarq(b"correct horse"))
    assert b"correct" not in blanked_aarq(octets[:size])
    assert len(blanked_aarq(b"\x60" + noise)) == 1 + len(noise)


@given(st.binary(max_size=60), st.binary(min_size=6, max_size=300), st.binary(max_size=60))
def test_a_password_is_found_between_other_octets(before, password, after):
    octets = before + write_acse(aarq(password)) + after
    shown = blanked(octets)
    assert (len(shown), b"*" * len(password) in shown) == (len(octets), True)


@given(st.binary(max_size=200))
def test_other_octets_stay_as_they_are(octets):
    assert blanked(octets) == octets
    assert blanked_aarq(b"\xc0" + octets) == b"\xc0" + octets
