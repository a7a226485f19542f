"""Every xDLMS APDU both ways. Vectors are laid out by hand from IEC 62056-5-3, annex A; values are our own."""

import random
import tracemalloc

import pytest
from hypothesis import given

from meterspan.quantities import ClockStatus, ClockTime, Obis
from meterspan.wire import Cursor, Trace, TruncatedError, UnsupportedError, WireError, axdr, xdlms
from meterspan.wire.xdlms import (
    ActionOutcome,
    ActionRequestNextPblock,
    ActionRequestNormal,
    ActionRequestWithFirstPblock,
    ActionRequestWithList,
    ActionRequestWithListAndFirstPblock,
    ActionRequestWithPblock,
    ActionResponseNextPblock,
    ActionResponseNormal,
    ActionResponseWithList,
    ActionResponseWithPblock,
    ActionResult,
    ApduTag,
    AttributeSelection,
    CaptureObjectDefinition,
    CipheredApdu,
    CipheredContent,
    ConfirmedService,
    ConfirmedServiceError,
    Conformance,
    CosemAttributeDescriptor,
    CosemMethodDescriptor,
    DataAccessResult,
    DataBlock,
    DataNotification,
    DataNotificationConfirm,
    EntryAccess,
    EventNotificationRequest,
    ExceptionResponse,
    GeneralBlockTransfer,
    GeneralCipheredApdu,
    GeneralCiphering,
    GetRequestNext,
    GetRequestNormal,
    GetRequestWithList,
    GetResponseNormal,
    GetResponseWithDatablock,
    GetResponseWithList,
    InitiateRequest,
    InitiateResponse,
    InvokeIdAndPriority,
    KeyInfo,
    KeyInfoKind,
    LongInvokeIdAndPriority,
    OtherAccess,
    RangeAccess,
    SecurityControl,
    ServiceErrorCategory,
    ServiceFault,
    SetRequestNormal,
    SetRequestWithDatablock,
    SetRequestWithFirstDatablock,
    SetRequestWithList,
    SetRequestWithListAndFirstDatablock,
    SetResponseDatablock,
    SetResponseLastDatablock,
    SetResponseLastDatablockWithList,
    SetResponseNormal,
    SetResponseWithList,
    StateFault,
    ciphered_tag,
    data_octets_of_get,
    plain_tag,
    read_apdu,
    write_apdu,
)
from tests.strategies import dlms_apdus

INVOKE = InvokeIdAndPriority(1)
ENERGY = CosemAttributeDescriptor(3, Obis(1, 0, 1, 8, 0), 2)
PROFILE = CosemAttributeDescriptor(7, Obis(1, 0, 99, 1, 0), 2)
SWITCH = CosemMethodDescriptor(70, Obis(0, 0, 96, 3, 10), 1)
CLOCK_COLUMN = CaptureObjectDefinition(8, Obis(0, 0, 1, 0, 0), 2)
NOON = ClockTime(2025, 11, 21, 5, 12, 0, 0, 0, -60, ClockStatus(0))
LATER = ClockTime(2025, 11, 22, 6, 12, 0, 0, 0, -60, ClockStatus(0))
NOON_HEX, LATER_HEX = "07e90b15050c000000ffc400", "07e90b16060c000000ffc400"
ENERGY_HEX, PROFILE_HEX, SWITCH_HEX = "00030100010800ff02", "00070100630100ff02", "0046000060030aff01"
BLOCK = DataBlock(1, False, b"\xaa\xbb")
BLOCK_HEX = "000000000102aabb"
CONTENT = CipheredContent(SecurityControl.AUTHENTICATION | SecurityControl.ENCRYPTION, 0x0102, bytes(range(14)))
CONTENT_HEX = "133000000102000102030405060708090a0b0c0d"
RANGE_HEX = "01010204020412000809060000010000ff0f02120000090c" + NOON_HEX + "090c" + LATER_HEX + "0100"

VECTORS = {
    "01000000065f1f040000101dffff": InitiateRequest(
        Conformance.GET
        | Conformance.SET
        | Conformance.ACTION
        | Conformance.SELECTIVE_ACCESS
        | Conformance.BLOCK_TRANSFER_WITH_GET,
        0xFFFF,
    ),
    "0101041122334401000105065f1f04004000000400": InitiateRequest(
        Conformance.GENERAL_PROTECTION, 1024, b"\x11\x22\x33\x44", response_allowed=False, quality_of_service=5
    ),
    "0800065f1f040000001004b00007": InitiateResponse(Conformance.GET, 1200),
    "080105065f1f04001800000080fa00": InitiateResponse(Conformance.READ | Conformance.WRITE, 128, 0xFA00, 5),
    "0e010601": ConfirmedServiceError(ConfirmedService.INITIATE, ServiceErrorCategory.INITIATE, 1),
    "0f400000010c" + NOON_HEX + "1105": DataNotification(
        LongInvokeIdAndPriority(1, confirmed=True), axdr.unsigned(5), NOON
    ),
    "0f000000020000": DataNotification(LongInvokeIdAndPriority(2), axdr.null()),
    "0f00000003090c" + NOON_HEX + "1105": DataNotification(
        LongInvokeIdAndPriority(3), axdr.unsigned(5), NOON, time_tagged=True
    ),
    "10b500000400": DataNotificationConfirm(LongInvokeIdAndPriority(4, True, True, False, True, 5)),
    "c001c1" + ENERGY_HEX + "00": GetRequestNormal(INVOKE, ENERGY),
    "c001c1" + PROFILE_HEX + RANGE_HEX: GetRequestNormal(
        INVOKE, PROFILE, RangeAccess(CLOCK_COLUMN, axdr.clock(NOON), axdr.clock(LATER))
    ),
    "c001c1" + PROFILE_HEX + "0102020406000000010600000060120001120000": GetRequestNormal(
        INVOKE, PROFILE, EntryAccess(1, 96, 1, 0)
    ),
    "c001c1" + PROFILE_HEX + "01021105": GetRequestNormal(INVOKE, PROFILE, OtherAccess(2, axdr.unsigned(5))),
    "c002c100000007": GetRequestNext(INVOKE, 7),
    "c0034102" + ENERGY_HEX + "00" + PROFILE_HEX + "01031107": GetRequestWithList(
        InvokeIdAndPriority(1, high_priority=False),
        (AttributeSelection(ENERGY), AttributeSelection(PROFILE, OtherAccess(3, axdr.unsigned(7)))),
    ),
    "c401c1000600000005": GetResponseNormal(INVOKE, axdr.double_long_unsigned(5)),
    "c401c10103": GetResponseNormal(INVOKE, DataAccessResult.READ_WRITE_DENIED),
    "c402c100000000010003010203": GetResponseWithDatablock(INVOKE, 1, False, b"\x01\x02\x03"),
    "c402c10100000002010f": GetResponseWithDatablock(INVOKE, 2, True, DataAccessResult.LONG_GET_ABORTED),
    "c403c1020011050104": GetResponseWithList(INVOKE, (axdr.unsigned(5), DataAccessResult.OBJECT_UNDEFINED)),
    "c101c1" + ENERGY_HEX + "001105": SetRequestNormal(INVOKE, ENERGY, axdr.unsigned(5)),
    "c102c1" + ENERGY_HEX + "00" + BLOCK_HEX: SetRequestWithFirstDatablock(INVOKE, ENERGY, BLOCK),
    "c103c1010000000201cc": SetRequestWithDatablock(INVOKE, DataBlock(2, True, b"\xcc")),
    "c104c101" + ENERGY_HEX + "00011105": SetRequestWithList(
        INVOKE, (AttributeSelection(ENERGY),), (axdr.unsigned(5),)
    ),
    "c105c101" + ENERGY_HEX + "00" + BLOCK_HEX: SetRequestWithListAndFirstDatablock(
        INVOKE, (AttributeSelection(ENERGY),), BLOCK
    ),
    "c501c100": SetResponseNormal(INVOKE, DataAccessResult.SUCCESS),
    "c502c100000001": SetResponseDatablock(INVOKE, 1),
    "c503c10c00000002": SetResponseLastDatablock(INVOKE, DataAccessResult.TYPE_UNMATCHED, 2),
    "c504c10200fa00000002": SetResponseLastDatablockWithList(
        INVOKE, (DataAccessResult.SUCCESS, DataAccessResult.OTHER_REASON), 2
    ),
    "c505c10163": SetResponseWithList(INVOKE, (DataAccessResult(0x63),)),
    "c2010c" + NOON_HEX + ENERGY_HEX + "1105": EventNotificationRequest(ENERGY, axdr.unsigned(5), NOON),
    "c200" + ENERGY_HEX + "1105": EventNotificationRequest(ENERGY, axdr.unsigned(5)),
    "c301c1" + SWITCH_HEX + "010f00": ActionRequestNormal(INVOKE, SWITCH, axdr.integer(0)),
    "c301c1" + SWITCH_HEX + "00": ActionRequestNormal(INVOKE, SWITCH),
    "c302c100000001": ActionRequestNextPblock(INVOKE, 1),
    "c303c101" + SWITCH_HEX + "010f00": ActionRequestWithList(INVOKE, (SWITCH,), (axdr.integer(0),)),
    "c304c1" + SWITCH_HEX + BLOCK_HEX: ActionRequestWithFirstPblock(INVOKE, SWITCH, BLOCK),
    "c305c101" + SWITCH_HEX + BLOCK_HEX: ActionRequestWithListAndFirstPblock(INVOKE, (SWITCH,), BLOCK),
    "c306c1" + BLOCK_HEX: ActionRequestWithPblock(INVOKE, BLOCK),
    "c701c10000": ActionResponseNormal(INVOKE, ActionOutcome(ActionResult.SUCCESS)),
    "c701c10001001105": ActionResponseNormal(INVOKE, ActionOutcome(ActionResult.SUCCESS, axdr.unsigned(5))),
    "c702c1" + BLOCK_HEX: ActionResponseWithPblock(INVOKE, BLOCK),
    "c703c1020300000101fa": ActionResponseWithList(
        INVOKE,
        (
            ActionOutcome(ActionResult.READ_WRITE_DENIED),
            ActionOutcome(ActionResult.SUCCESS, DataAccessResult.OTHER_REASON),
        ),
    ),
    "c704c100000001": ActionResponseNextPblock(INVOKE, 1),
    "d80102": ExceptionResponse(StateFault.SERVICE_NOT_ALLOWED, ServiceFault.SERVICE_NOT_SUPPORTED),
    "d8020600000102": ExceptionResponse(StateFault.SERVICE_UNKNOWN, ServiceFault.INVOCATION_COUNTER_ERROR, 0x0102),
    "e0c50002000102aabb": GeneralBlockTransfer(2, 1, b"\xaa\xbb", True, True, 5),
    "c8" + CONTENT_HEX: CipheredApdu(ApduTag.GLO_GET_REQUEST, CONTENT),
    "d4" + CONTENT_HEX: CipheredApdu(ApduTag.DED_GET_RESPONSE, CONTENT),
    "21" + CONTENT_HEX: CipheredApdu(ApduTag.GLO_INITIATE_REQUEST, CONTENT),
    "db084d53500000000001" + CONTENT_HEX: GeneralCipheredApdu(
        ApduTag.GENERAL_GLO_CIPHERING, b"MSP\x00\x00\x00\x00\x01", CONTENT
    ),
    "dc00" + CONTENT_HEX: GeneralCipheredApdu(ApduTag.GENERAL_DED_CIPHERING, b"", CONTENT),
    "dd010101020103000000" + CONTENT_HEX: GeneralCiphering(b"\x01", b"\x02", b"\x03", b"", b"", None, CONTENT),
    "dd0101010201030000010002" + CONTENT_HEX: GeneralCiphering(
        b"\x01", b"\x02", b"\x03", b"", b"", KeyInfo(KeyInfoKind.IDENTIFIED, b"\x02"), CONTENT
    ),
    "dd010101020103000001010002aabb" + CONTENT_HEX: GeneralCiphering(
        b"\x01", b"\x02", b"\x03", b"", b"", KeyInfo(KeyInfoKind.WRAPPED, b"\x00", b"\xaa\xbb"), CONTENT
    ),
    "dd01010102010300000102010202aabb" + CONTENT_HEX: GeneralCiphering(
        b"\x01", b"\x02", b"\x03", b"", b"", KeyInfo(KeyInfoKind.AGREED, b"\x02", b"\xaa\xbb"), CONTENT
    ),
}


@pytest.mark.parametrize("text", VECTORS)
def test_each_apdu_reads_and_writes_as_the_standard_lays_it_out(text):
    assert read_apdu(bytes.fromhex(text)) == VECTORS[text]
    assert write_apdu(VECTORS[text]).hex() == text


@pytest.mark.parametrize("text", VECTORS)
def test_an_apdu_cut_short_anywhere_is_refused(text):
    octets = bytes.fromhex(text)
    for size in range(len(octets)):
        with pytest.raises(WireError):
            read_apdu(octets[:size])


@pytest.mark.parametrize("text", VECTORS)
def test_an_octet_after_the_apdu_is_refused(text):
    with pytest.raises(WireError):
        read_apdu(bytes.fromhex(text) + b"\x00")


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
            damaged[source.randrange(1, len(damaged))] = source.choice(
                (0, 1, 2, 9, 0x7F, 0x82, 0xFF, source.randrange(256))
            )
        check_damaged(bytes(damaged[: source.randrange(1, len(damaged) + 1)] if source.randrange(4) == 0 else damaged))


def check_damaged(octets):
    try:
        apdu = read_apdu(octets)
    except WireError:
        return
    assert read_apdu(write_apdu(apdu)) == apdu
    str(apdu)


def test_random_octets_behind_each_tag_give_a_record_or_a_wire_error():
    source = random.Random(3)  # noqa: S311 - damage, not a secret
    for tag in range(256):
        for _ in range(40):
            check_damaged(bytes((tag, source.randrange(8))) + source.randbytes(source.randrange(40)))


@given(dlms_apdus())
def test_what_is_written_reads_back_equal(apdu):
    assert read_apdu(write_apdu(apdu)) == apdu


@given(dlms_apdus())
def test_a_trace_explains_every_octet_once(apdu):
    octets = write_apdu(apdu)
    cursor = Cursor(octets, trace=Trace())
    assert read_apdu(cursor) == apdu
    offset = 0
    for span in cursor.trace.spans:
        assert span.offset == offset
        assert span.field
        offset += len(span.octets)
    assert offset == len(octets)


def test_the_trace_says_what_a_request_asks_for():
    cursor = Cursor(bytes.fromhex("c001c1" + ENERGY_HEX + "00"), trace=Trace())
    read_apdu(cursor)
    assert [(span.field, span.meaning) for span in cursor.trace.spans] == [
        ("apdu", "get-request"),
        ("get-request", "get-request-normal"),
        ("invoke-id-and-priority", "#1 high priority"),
        ("class-id", "3"),
        ("instance-id", "1-0:1.8.0"),
        ("attribute-id", "2"),
        ("access-selection present", "no"),
    ]


def test_neither_trace_nor_text_shows_a_dedicated_key():
    apdu = InitiateRequest(Conformance.GET, 1024, bytes.fromhex("a1b2c3d4"))
    cursor = Cursor(write_apdu(apdu), trace=Trace())
    read_apdu(cursor)
    shown = repr(cursor.trace) + repr(apdu) + str(apdu)
    assert "a1b2c3d4" not in shown
    assert repr(apdu.dedicated_key) not in shown


def test_unlisted_codes_survive_with_a_name_of_their_own():
    response = read_apdu(bytes.fromhex("c401c10163"))
    assert response.result == 0x63
    assert response.result.text == "unknown-99"
    assert not response.result.is_known
    assert DataAccessResult.SUCCESS.is_known
    assert write_apdu(response).hex() == "c401c10163"
    with pytest.raises(ValueError, match="-1"):
        DataAccessResult(-1)


def test_reserved_bits_of_the_invoke_id_survive():
    request = read_apdu(bytes.fromhex("c002f100000001"))
    assert request.invoke == InvokeIdAndPriority(1, reserved=3)
    assert write_apdu(request).hex() == "c002f100000001"


def test_conformance_without_its_second_tag_octet_is_read():
    assert read_apdu(bytes.fromhex("0800065f040000001004b00007")) == InitiateResponse(Conformance.GET, 1200)


def test_conformance_bits_are_numbered_from_the_most_significant():
    bits = {flag.name: 23 - (flag.bit_length() - 1) for flag in Conformance}
    assert bits["GENERAL_PROTECTION"] == 1
    assert bits["BLOCK_TRANSFER_WITH_GET"] == 11
    assert bits["SELECTIVE_ACCESS"] == 21
    assert bits["ACTION"] == 23
    assert len(bits) == 24
    assert (Conformance.GET | Conformance.SET).text == "get, set"
    assert Conformance(0).text == "none"


@pytest.mark.parametrize("text", ["0501020001", "6000", "aa", "d90000"])
def test_an_apdu_of_another_kind_is_unsupported(text):
    with pytest.raises(UnsupportedError):
        read_apdu(bytes.fromhex(text))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("c000c1", "no alternative 0"),
        ("c004c1", "no alternative 4"),
        ("c401c102", "no alternative 2"),
        ("c003c184ffffffff", "announces 4294967295 items, has 0 octets"),
        ("0f000000000301020300", "a date-time has 12 octets, not 3"),
        ("0800065f1f050000001004b00007", "5F 1F 04 00"),
    ],
)
def test_contradictions_are_told_in_words(text, reason):
    with pytest.raises(WireError, match=reason) as caught:
        read_apdu(bytes.fromhex(text))
    assert caught.value.offset is not None
    assert caught.value.field


def test_a_ciphered_apdu_shorter_than_its_header_is_truncated():
    with pytest.raises(TruncatedError):
        read_apdu(bytes.fromhex("c803300000"))


def test_a_field_that_does_not_fit_is_our_own_error():
    with pytest.raises(ValueError, match="GetRequestNext"):
        write_apdu(GetRequestNext(INVOKE, 2**32))
    with pytest.raises(ValueError, match="window of 64"):
        write_apdu(GeneralBlockTransfer(1, 0, b"", window=64))
    with pytest.raises(ValueError, match="carries a counter"):
        write_apdu(ExceptionResponse(StateFault.SERVICE_NOT_ALLOWED, ServiceFault.INVOCATION_COUNTER_ERROR))
    with pytest.raises(ValueError, match="carries a counter"):
        write_apdu(ExceptionResponse(StateFault.SERVICE_NOT_ALLOWED, ServiceFault.OTHER_REASON, 5))


def test_each_service_knows_its_ciphered_tags():
    assert ciphered_tag(ApduTag.GET_REQUEST) is ApduTag.GLO_GET_REQUEST
    assert ciphered_tag(ApduTag.INITIATE_RESPONSE) is ApduTag.GLO_INITIATE_RESPONSE
    assert ciphered_tag(ApduTag.ACTION_RESPONSE, dedicated=True) is ApduTag.DED_ACTION_RESPONSE
    assert plain_tag(ApduTag.DED_SET_REQUEST) is ApduTag.SET_REQUEST
    assert plain_tag(ApduTag.GENERAL_GLO_CIPHERING) is None
    with pytest.raises(ValueError, match="general-glo-ciphering"):
        ciphered_tag(ApduTag.DATA_NOTIFICATION)


def test_security_control_says_suite_and_protection():
    assert SecurityControl(0x31).suite == 1
    assert SecurityControl(0x30).text == "suite 0, authentication, encryption"


def test_faults_are_said_in_the_words_of_the_standard():
    assert str(read_apdu(bytes.fromhex("0e010601"))) == "initiate: initiate: dlms-version-too-low"
    assert str(read_apdu(bytes.fromhex("0e0600ff"))) == "write: application-reference: 255"
    assert str(read_apdu(bytes.fromhex("d80106000000ff"))) == (
        "service-not-allowed: invocation-counter-error (expects 255)"
    )


def test_the_value_of_a_normal_response_is_cut_out_unread():
    assert data_octets_of_get(bytes.fromhex("c401c1001105")) == bytes.fromhex("1105")
    for text in ("c401c10103", "c402c1001105", "c401c1", "", "c501c1001105"):
        with pytest.raises(UnsupportedError):
            data_octets_of_get(bytes.fromhex(text))


def test_range_access_with_selected_columns_survives_both_ways():
    access = RangeAccess(CLOCK_COLUMN, axdr.clock(NOON), axdr.clock(LATER), (CLOCK_COLUMN,))
    request = GetRequestNormal(INVOKE, PROFILE, access)
    assert read_apdu(write_apdu(request)).access == access


def test_a_selector_1_of_another_class_keeps_its_parameters():
    for parameters in (
        axdr.null(),
        axdr.structure(axdr.null(), axdr.null(), axdr.null(), axdr.array()),
        axdr.structure(CLOCK_COLUMN.to_data(), axdr.null(), axdr.null(), axdr.array(axdr.null())),
    ):
        request = GetRequestNormal(INVOKE, PROFILE, OtherAccess(1, parameters))
        assert read_apdu(write_apdu(request)) == request


def test_every_exported_name_exists_once():
    assert len(set(xdlms.__all__)) == len(xdlms.__all__)
    assert all(hasattr(xdlms, name) for name in xdlms.__all__)


@pytest.mark.deep
def test_a_hundred_thousand_damaged_apdus_leave_memory_flat():
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
