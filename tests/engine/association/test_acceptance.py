"""A client takes an AARE that accepts only where every field is the answer to its AARQ."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meterspan.crypto.mechanisms import MECHANISMS, mechanism_of
from meterspan.engine.association.acceptance import (
    CHALLENGE_MAX,
    CHALLENGE_MIN,
    check_aare,
    check_initiate,
    context_asked,
)
from meterspan.engine.association.records import ApduRefused, Associated, AssociationRefused
from meterspan.engine.association.states import AssociationState
from meterspan.model.failures import FailureKind
from meterspan.wire.acse import (
    Aare,
    ApplicationContext,
    AssociationResult,
    AuthenticationMechanism,
    AuthenticationValue,
    Diagnostic,
    DiagnosticSource,
    ProviderDiagnostic,
    UserDiagnostic,
    read_acse,
    write_acse,
)
from meterspan.wire.errors import SecurityError, WireError
from meterspan.wire.wrapper import WrapperPdu, read_datagram, write_wpdu
from meterspan.wire.xdlms import Conformance, InitiateResponse, read_apdu, write_apdu
from tests.helpers_cosem import (
    GMAC,
    GMAC_CLEAR,
    LLS,
    METER_TITLE,
    NO_SECURITY,
    SHA1,
    MemoryCounters,
    client_security,
    join,
)

LOWEST = mechanism_of(AuthenticationMechanism.LOWEST)
HLS = mechanism_of(AuthenticationMechanism.HLS_GMAC)
REQUIRED = Diagnostic(code=UserDiagnostic.AUTHENTICATION_REQUIRED)
ACCEPTED = Aare(ApplicationContext.LN, AssociationResult.ACCEPTED, Diagnostic())
ACCEPTED_HLS = Aare(
    ApplicationContext.LN_CIPHERED,
    AssociationResult.ACCEPTED,
    REQUIRED,
    responding_ap_title=METER_TITLE,
    mechanism=AuthenticationMechanism.HLS_GMAC,
    authentication_value=AuthenticationValue(b"s" * 16),
)
DEPARTURES = {
    "protocol-version": {"protocol_version": bytes.fromhex("0240")},
    "application-context-name": {"application_context": ApplicationContext.SN},
    "result-source-diagnostic": {"diagnostic": Diagnostic(code=UserDiagnostic.AUTHENTICATION_FAILURE)},
    "mechanism-name": {"mechanism": AuthenticationMechanism.HLS_MD5},
}
OF_HLS = {
    "result-source-diagnostic": {"diagnostic": Diagnostic()},
    "mechanism-name": {"mechanism": AuthenticationMechanism.LLS},
    "responding-authentication-value": {"authentication_value": None},
    "AP-title": {"responding_ap_title": METER_TITLE[1:]},
    "responding-AP-title": {"responding_ap_title": None},
    "application-context-name": {"application_context": ApplicationContext.LN},
}


def check(aare, mechanism=LOWEST, *, ciphered=False):
    check_aare(aare, mechanism, client_security() if mechanism.needs_keys else None, ciphered=ciphered)


def test_an_aare_that_answers_what_was_asked_is_taken():
    check(ACCEPTED)
    check(replace(ACCEPTED, protocol_version=bytes.fromhex("0780"), mechanism=AuthenticationMechanism.LOWEST))
    provider = Diagnostic(DiagnosticSource.ACSE_SERVICE_PROVIDER, ProviderDiagnostic.NULL)
    check(replace(ACCEPTED, diagnostic=provider))
    check(ACCEPTED_HLS, HLS, ciphered=True)
    check(replace(ACCEPTED_HLS, mechanism=None), HLS, ciphered=True)
    check_initiate(InitiateResponse(Conformance.GET, 100))
    assert context_asked(ciphered=True) is ACCEPTED_HLS.application_context


@pytest.mark.finding("dlms D14")
@pytest.mark.parametrize("field", DEPARTURES)
def test_each_field_that_departs_from_the_request_is_named(field):
    with pytest.raises(WireError) as caught:
        check(replace(ACCEPTED, **DEPARTURES[field]))
    assert caught.value.field == field


@pytest.mark.finding("dlms D14")
@pytest.mark.parametrize("field", OF_HLS)
def test_each_field_of_hls_that_departs_from_the_request_is_named(field):
    with pytest.raises(WireError) as caught:
        check(replace(ACCEPTED_HLS, **OF_HLS[field]), HLS, ciphered=True)
    assert caught.value.field == field


@pytest.mark.finding("dlms D14")
@given(st.integers(0, 200), st.sampled_from([row for row in MECHANISMS if row.is_hls]))
def test_a_challenge_has_8_to_64_octets(size, mechanism):
    aare = replace(ACCEPTED_HLS, mechanism=None, authentication_value=AuthenticationValue(b"s" * size))
    if CHALLENGE_MIN <= size <= CHALLENGE_MAX:
        check(aare, mechanism, ciphered=True)
    else:
        with pytest.raises(WireError, match=f"a challenge of {size} octet"):
            check(aare, mechanism, ciphered=True)


@pytest.mark.finding("dlms D14")
@pytest.mark.parametrize("code", [code for code in UserDiagnostic if code is not UserDiagnostic.NULL])
def test_no_diagnostic_but_null_goes_with_an_association_without_hls(code):
    with pytest.raises(WireError, match="accepted, with"):
        check(replace(ACCEPTED, diagnostic=Diagnostic(code=code)))


@pytest.mark.finding("dlms D14")
@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"dlms_version": 5}, "negotiated-dlms-version-number"),
        ({"dlms_version": 7}, "negotiated-dlms-version-number"),
        ({"vaa_name": 0xFA00}, "vaa-name"),
    ],
)
def test_the_initiate_response_is_of_our_version_and_for_logical_names(change, field):
    with pytest.raises(WireError) as caught:
        check_initiate(InitiateResponse(Conformance.GET, 100, **change))
    assert caught.value.field == field


def test_another_title_than_the_expected_one_is_a_security_error():
    with pytest.raises(SecurityError, match="calls itself"):
        check_aare(ACCEPTED_HLS, HLS, client_security(peer_title=b"OTHER\0\0\1"), ciphered=True)


def departing(field):
    """Return a way in which the AARE of a running server may be changed."""

    def change(aare):
        if field in ("vaa_name", "dlms_version"):
            initiate = replace(read_apdu(aare.user_information), **{field: 5})
            return replace(aare, user_information=write_apdu(initiate))
        changes = {
            "application_context": ApplicationContext.SN,
            "protocol_version": b"\x02\x00",
            "diagnostic": Diagnostic(code=UserDiagnostic.NO_REASON_GIVEN),
            "mechanism": AuthenticationMechanism.HLS_ECDSA,
            "authentication_value": AuthenticationValue(b"s"),
        }
        return replace(aare, **{field: changes[field]})

    return change


WAYS = {"none": NO_SECURITY, "lls": LLS, "sha1": SHA1, "gmac clear": GMAC_CLEAR, "gmac": GMAC}
PLAIN_FIELDS = ("application_context", "protocol_version", "diagnostic", "mechanism")
FIELDS = {
    "none": (*PLAIN_FIELDS, "vaa_name", "dlms_version"),
    "lls": (*PLAIN_FIELDS, "vaa_name", "dlms_version"),
    "sha1": (*PLAIN_FIELDS, "vaa_name", "dlms_version", "authentication_value"),
    "gmac clear": (*PLAIN_FIELDS, "vaa_name", "dlms_version", "authentication_value"),
    "gmac": (*PLAIN_FIELDS, "authentication_value"),  # a changed ciphered initiate response is a wrong tag
}


@pytest.mark.attack(1)
@pytest.mark.finding("dlms D14")
@pytest.mark.parametrize(("way", "field"), [(way, field) for way, fields in FIELDS.items() for field in fields])
def test_a_departing_aare_ends_as_a_failure_with_its_field_and_nothing_is_learnt(way, field):
    pair, client, _, _ = join("wrapper", WAYS[way])

    def change(number, octets):
        (pdu,) = read_datagram(octets)
        if number:
            return octets
        return write_wpdu(WrapperPdu(pdu.source, pdu.destination, write_acse(departing(field)(read_acse(pdu.apdu)))))

    pair.to_left = change
    client.associate(pair.now)
    pair.run()
    (refused,) = [event for event in pair.left_events if isinstance(event, AssociationRefused)]
    assert refused.failure.kind is FailureKind.PROTOCOL
    assert refused.failure.error.field
    assert any(isinstance(event, ApduRefused) for event in pair.left_events)
    assert client.state is AssociationState.IDLE
    assert client._security is None or client._security.proved_title == b""


HARMLESS = {
    "conformance": "only the services that both sides name are used",
    "max_pdu_size": "what is sent is divided further, or a request that has no room fails",
    "protocol_version": "may be left out, and any that has version 1 is ours",
    "responder_requirements": "may be left out, as some meters do: the proof shows what was authenticated",
}
"""Fields of an AARE that may differ in one bit, with the reason. A ciphered initiate response has none: its tag is
wrong."""


def differing(before, after):
    """Return the names of the fields in which two AAREs differ, those of the initiate response instead of it."""
    names = {name for name in before.__slots__ if getattr(before, name) != getattr(after, name)}
    if "user_information" not in names:
        return names
    first, second = read_apdu(before.user_information), read_apdu(after.user_information)
    inner = {name for name in first.__slots__ if getattr(first, name) != getattr(second, name)}
    return names - {"user_information"} | inner


def answered(way, counters, change):
    """Associate with one AARE that ``change`` changes; return it before and after, and whether it was accepted."""
    security = client_security(counters) if "gmac" in way else None
    pair, client, _, _ = join("wrapper", WAYS[way], security=security)
    seen = []

    def through(number, octets):
        if number:
            return octets
        (pdu,) = read_datagram(octets)
        seen.extend([pdu.apdu, change(pdu.apdu)])
        return write_wpdu(WrapperPdu(pdu.source, pdu.destination, seen[1]))

    pair.to_left = through
    client.associate(pair.now)
    pair.run()
    return seen[0], seen[1], any(isinstance(event, Associated) for event in pair.left_events)


def flipped(place, bit):
    return lambda apdu: apdu[:place] + bytes([apdu[place] ^ 1 << bit]) + apdu[place + 1 :]


@pytest.mark.attack(1)
@pytest.mark.parametrize("way", WAYS)
def test_an_aare_with_one_changed_bit_is_accepted_only_where_the_field_is_harmless(way):
    counters = MemoryCounters()  # of all associations: no counter is used twice
    original, _, is_accepted = answered(way, counters, lambda apdu: apdu)
    assert is_accepted
    found = set()
    for place in range(len(original)):
        for bit in range(8):
            before, after, is_accepted = answered(way, counters, flipped(place, bit))
            if is_accepted:
                found |= differing(read_acse(before), read_acse(after))
    assert found <= HARMLESS.keys()
    assert way != "gmac" or found <= {"protocol_version", "responder_requirements"}
