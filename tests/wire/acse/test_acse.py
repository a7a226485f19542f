"""ACSE APDUs both ways. Vectors follow the encoding examples of IEC 62056-5-3, annexes; challenges are our own."""

import random
import tracemalloc

import pytest
from hypothesis import given

from meterspan.wire import Cursor, Trace, UnsupportedError, WireError
from meterspan.wire.acse import (
    AUTHENTICATION_REQUIREMENT,
    Aare,
    Aarq,
    ApplicationContext,
    AssociationResult,
    AuthenticationMechanism,
    AuthenticationValue,
    Diagnostic,
    DiagnosticSource,
    ProviderDiagnostic,
    ReleaseRequestReason,
    ReleaseResponseReason,
    Rlre,
    Rlrq,
    UserDiagnostic,
    read_acse,
    write_acse,
)
from meterspan.wire.ber import Tlv
from meterspan.wire.xdlms import Conformance, InitiateRequest, read_apdu
from tests.strategies import acse_apdus

INITIATE = bytes.fromhex("01000000065f1f0400007e1f04b0")
GRANTED = bytes.fromhex("0800065f1f0400007c1f04000007")
SEALED = bytes.fromhex("2112300000000100112233445566778899aabbcc")
CHALLENGE = AuthenticationValue(b"MS-chall")
CHALLENGE_HEX = "4d532d6368616c6c"
TITLE, TITLE_HEX = b"MSP\x00\x00\x00\x00\x01", "4d53500000000001"

VECTORS = {
    # no security, low level and high level security: the shapes of the standard's examples
    "601d" "a109060760857405080101" "be10040e" + INITIATE.hex(): Aarq(ApplicationContext.LN, INITIATE),
    "6036" "a109060760857405080101" "8a020780" "8b0760857405080201" "ac0a8008" + CHALLENGE_HEX + "be10040e"
    + INITIATE.hex(): Aarq(
        ApplicationContext.LN, INITIATE, None, AuthenticationMechanism.LLS, CHALLENGE, AUTHENTICATION_REQUIREMENT
    ),
    "604d" "a109060760857405080103" "a60a0408" + TITLE_HEX + "a903020105" "8a020780" "8b0760857405080205"
    "ac0a8008" + CHALLENGE_HEX + "be16" "0414" + SEALED.hex(): Aarq(
        ApplicationContext.LN_CIPHERED, SEALED, TITLE, AuthenticationMechanism.HLS_GMAC, CHALLENGE,
        AUTHENTICATION_REQUIREMENT, calling_ae_invocation_id=5,
    ),
    "6129" "a109060760857405080101" "a203020100" "a305a103020100" "be10040e" + GRANTED.hex(): Aare(
        ApplicationContext.LN, AssociationResult.ACCEPTED, Diagnostic(), GRANTED
    ),
    "614e" "a109060760857405080101" "a203020100" "a305a10302010e" "a40a0408" + TITLE_HEX + "88020780"
    "890760857405080205" "aa0a8008" + CHALLENGE_HEX + "be10040e" + GRANTED.hex(): Aare(
        ApplicationContext.LN, AssociationResult.ACCEPTED,
        Diagnostic(code=UserDiagnostic.AUTHENTICATION_REQUIRED), GRANTED, TITLE, AuthenticationMechanism.HLS_GMAC,
        CHALLENGE, AUTHENTICATION_REQUIREMENT,
    ),
    "6117" "a109060760857405080101" "a203020101" "a305a203020102": Aare(
        ApplicationContext.LN, AssociationResult.REJECTED_PERMANENT,
        Diagnostic(DiagnosticSource.ACSE_SERVICE_PROVIDER, ProviderDiagnostic.NO_COMMON_ACSE_VERSION),
    ),
    "6203" "800100": Rlrq(ReleaseRequestReason.NORMAL),
    "6200": Rlrq(),
    "6215" "800100" "be10040e" + INITIATE.hex(): Rlrq(ReleaseRequestReason.NORMAL, INITIATE),
    "6303" "80011e": Rlre(ReleaseResponseReason.USER_DEFINED),
}  # fmt: skip


@pytest.mark.parametrize("text", VECTORS)
def test_each_apdu_reads_and_writes_as_the_standard_lays_it_out(text):
    assert read_acse(bytes.fromhex(text)) == VECTORS[text]
    assert write_acse(VECTORS[text]).hex() == text


@pytest.mark.parametrize("text", VECTORS)
def test_an_apdu_cut_short_anywhere_is_refused(text):
    octets = bytes.fromhex(text)
    for size in range(len(octets)):
        with pytest.raises(WireError):
            read_acse(octets[:size])


@pytest.mark.parametrize("text", VECTORS)
def test_damaged_apdus_give_a_record_that_writes_or_a_wire_error(text):
    octets = bytes.fromhex(text)
    for bit in range(8 * len(octets)):
        damaged = bytearray(octets)
        damaged[bit >> 3] ^= 1 << (bit & 7)
        check_damaged(bytes(damaged))
    source = random.Random(text)  # noqa: S311 - damage, not a secret
    for _ in range(2000):
        damaged = bytearray(octets)
        for _ in range(source.randrange(1, 5)):
            damaged[source.randrange(len(damaged))] = source.choice((0, 1, 4, 0x1F, 0x80, 0x84, source.randrange(256)))
        check_damaged(bytes(damaged))


def check_damaged(octets):
    try:
        apdu = read_acse(octets)
    except WireError:
        return
    assert read_acse(write_acse(apdu)) == apdu
    str(apdu)


@given(acse_apdus())
def test_what_is_written_reads_back_equal(apdu):
    assert read_acse(write_acse(apdu)) == apdu


@given(acse_apdus())
def test_a_trace_explains_every_octet_once(apdu):
    octets = write_acse(apdu)
    cursor = Cursor(octets, trace=Trace())
    assert read_acse(cursor) == apdu
    offset = 0
    for span in cursor.trace.spans:
        assert span.offset == offset
        offset += len(span.octets)
    assert offset == len(octets)


def test_the_user_information_holds_an_xdlms_apdu():
    aarq = read_acse(bytes.fromhex("601da109060760857405080101be10040e") + INITIATE)
    initiate = read_apdu(aarq.user_information)
    assert isinstance(initiate, InitiateRequest)
    assert initiate.max_pdu_size == 1200
    assert Conformance.SELECTIVE_ACCESS in initiate.conformance


def test_unknown_fields_survive():
    octets = bytes.fromhex("6114a109060760857405080101a203020100b1009200".replace("9200", ""))
    with pytest.raises(WireError, match="diagnostic: is missing, at octet 0"):
        read_acse(octets[:1] + b"\x12" + octets[2:])
    rlrq = read_acse(bytes.fromhex("6206b10155800100"))
    assert rlrq == Rlrq(ReleaseRequestReason.NORMAL, None, (Tlv(0xB1, b"\x55"),))
    assert read_acse(write_acse(rlrq)) == rlrq


def test_a_response_without_a_diagnostic_is_refused():
    with pytest.raises(WireError, match="diagnostic: is missing, at octet 0"):
        read_acse(bytes.fromhex("6110 a109060760857405080101 a203020100"))


@pytest.mark.attack(2)
def test_more_unknown_fields_than_any_maker_adds_are_refused():
    fields = bytes.fromhex("a109060760857405080101") + b"\x9a\x00" * 65
    with pytest.raises(WireError, match="more than 64 unknown fields"):
        read_acse(b"\x60\x81" + bytes((len(fields),)) + fields)


def test_a_title_in_another_form_survives_as_unknown():
    aarq = read_acse(bytes.fromhex("6010a109060760857405080101a603020107"))
    assert aarq.calling_ap_title is None
    assert aarq.unknown == (Tlv(0xA6, bytes.fromhex("020107")),)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("6000", "application-context: is missing, at octet 0"),
        ("6016a109060760857405080101a109060760857405080101", "application-context: stands twice, at octet 13"),
        ("600ba109040760857405080101", "no OBJECT IDENTIFIER"),
        ("6206800100800100", "stands twice"),
        ("6219be020500be10040e01000000065f1f0400007e1f04b0800100", "stands twice"),
        ("620480020000", "1 octet left over"),
        ("6203000000", "1 octets left over|announces|needs"),
        ("61800000", "indefinite length"),
        ("6109a20702050000000000", "is missing"),
        ("6105a2030201ff", "-1 is no code"),
        ("6107a305a303020100", "has no alternative 0xa3"),
        ("6104a2020200", "no INTEGER"),
    ],
)
def test_contradictions_are_told_in_words(text, reason):
    with pytest.raises(WireError, match=reason):
        read_acse(bytes.fromhex(text))


@pytest.mark.parametrize("text", ["6400", "c001", "600ba109060760857405080901", "600ba1090607608574050801ff"])
def test_what_is_not_of_the_dlms_ua_is_unsupported(text):
    with pytest.raises(UnsupportedError):
        read_acse(bytes.fromhex(text))


def test_a_password_is_not_shown():
    aarq = Aarq(ApplicationContext.LN, authentication_value=AuthenticationValue(b"12345678"))
    assert "12345678" not in repr(aarq)


def test_a_diagnostic_is_said_in_the_words_of_the_standard():
    assert str(Diagnostic(code=UserDiagnostic.AUTHENTICATION_FAILURE)) == "authentication-failure"


@pytest.mark.deep
def test_a_hundred_thousand_damaged_acse_apdus_leave_memory_flat():
    seeds = [bytes.fromhex(text) for text in VECTORS]
    source = random.Random(11)  # noqa: S311 - damage, not a secret
    tracemalloc.start()
    try:
        for count in range(100_000):
            if count == 50_000:
                half, _ = tracemalloc.get_traced_memory()
            damaged = bytearray(source.choice(seeds))
            for _ in range(source.randrange(1, 6)):
                damaged[source.randrange(len(damaged))] = source.randrange(256)
            check_damaged(bytes(damaged[: source.randrange(1, len(damaged) + 1)] if count % 4 == 0 else damaged))
        end, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert end - half < 1_000_000
    assert peak < 50_000_000
