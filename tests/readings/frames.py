"""Frames of every kind, made of own plaintext under test keys; used by all tests of readings."""

from decimal import Decimal

from meterspan.crypto.suites import SuiteKeys, protect
from meterspan.engine.mbus_security import Protection, build_telegram
from meterspan.model.telegram import DecodedTelegram
from meterspan.quantities import ClockTime, Obis
from meterspan.wire.axdr import (
    Data,
    array,
    double_long_unsigned,
    enum,
    integer,
    long,
    long_unsigned,
    null,
    octet_string,
    structure,
    visible_string,
)
from meterspan.wire.hdlc import HdlcAddress, HdlcFrame, write_frame
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.transport import HeaderKind, TransportHeader
from meterspan.wire.p1 import crc_of
from meterspan.wire.sml import (
    Integer,
    SmlCloseResponse,
    SmlEntry,
    SmlGetListResponse,
    SmlMessage,
    SmlOpenResponse,
    SmlTag,
    write_file,
)
from meterspan.wire.wmbus.frame import FrameFormat, LinkHeader
from meterspan.wire.xdlms import (
    CipheredContent,
    DataNotification,
    GeneralCipheredApdu,
    LongInvokeIdAndPriority,
    SecurityControl,
    write_apdu,
)
from meterspan.wire.xdlms.codes import ApduTag

KEY, AUTH_KEY = bytes(range(16)), bytes(range(0xD0, 0xE0))


TITLE = b"TST\x01\x02\x03\x04\x05"


IMPORT = Obis(1, 0, 1, 8, 0)


MOMENT = ClockTime(2024, 5, 6, 1, 7, 8, 9, None, -120)


def values(telegram: DecodedTelegram) -> list[tuple[str, object, str]]:
    return [(str(item.obis), item.value, item.unit) for item in telegram.readings]


def named(obis: str, value: Data, scaler: int, unit: int) -> Data:
    return structure(name(obis), value, structure(integer(scaler), enum(unit)))


def name(obis: str) -> Data:
    return octet_string(bytes(int(part) for part in obis.split(".")))


SELF_DESCRIBING = array(
    structure(name("1.1.0.2.129.255"), visible_string("TST_V1")),
    structure(name("0.0.96.1.0.255"), visible_string("7777")),
    named("1.0.1.7.0.255", double_long_unsigned(1_234), 0, 27),
    named("1.0.31.7.0.255", long(93), -1, 33),
    named("1.0.32.7.0.255", long_unsigned(2_310), -1, 35),
    named("1.0.1.8.0.255", double_long_unsigned(12_345), 1, 30),
)


EXPECTED = [
    ("1-1:0.2.129", "TST_V1", ""),
    ("0-0:96.1.0", "7777", ""),
    ("1-0:1.7.0", Decimal(1234), "W"),
    ("1-0:31.7.0", Decimal("9.3"), "A"),
    ("1-0:32.7.0", Decimal(231), "V"),
    ("1-0:1.8.0", Decimal(123450), "Wh"),
]


def notification(body: Data, *, tagged: bool = False) -> bytes:
    return write_apdu(DataNotification(LongInvokeIdAndPriority(5), body, MOMENT, tagged))


def sealed(plain: bytes, *, counter: int = 7, control: int = 0x30, keys: SuiteKeys | None = None) -> bytes:
    keys = keys or SuiteKeys(KEY, AUTH_KEY)
    payload = protect(plain, control, system_title=TITLE, invocation_counter=counter, keys=keys)
    content = CipheredContent(SecurityControl(control), counter, payload)
    return write_apdu(GeneralCipheredApdu(ApduTag.GENERAL_GLO_CIPHERING, TITLE, content))


def hdlc(*segments: bytes) -> bytes:
    frames = [
        HdlcFrame(HdlcAddress(0x10), HdlcAddress(1), 0x13, segment, index < len(segments) - 1)
        for index, segment in enumerate(segments)
    ]
    return b"".join(map(write_frame, frames))


LLC = b"\xe6\xe7\x00"


def p1_text() -> bytes:
    lines = b"1-3:0.2.8(50)\r\n0-0:96.1.1(54455354)\r\n1-0:1.8.1(000001.500*kWh)\r\n1-0:1.7.0(00.250*kW)\r\n"
    body = b"/TST5\\2X\r\n\r\n" + lines + b"!"
    return body + b"%04X\r\n" % crc_of(body)


def sml_capture(power: Integer, maker: bytes = b"TST") -> bytes:
    server = bytes.fromhex("0A01545354000000002A")
    entries = (
        SmlEntry(bytes.fromhex("0100603201FF"), maker),
        SmlEntry(bytes.fromhex("0100010800FF"), Integer(98_765, 4, signed=False), 30, -1),
        SmlEntry(bytes.fromhex("0100100700FF"), power, 27, -2),
    )
    messages = (
        SmlMessage(b"1", SmlTag.OPEN_RESPONSE, SmlOpenResponse(b"", server)),
        SmlMessage(b"2", SmlTag.GET_LIST_RESPONSE, SmlGetListResponse(server, entries)),
        SmlMessage(b"3", SmlTag.CLOSE_RESPONSE, SmlCloseResponse()),
    )
    return write_file(messages)


ADDRESS = DeviceAddress.of("TST", "12345678", 0x01, 0x07)


RECORDS = bytes.fromhex("0413C8E100004413A0860100426C5F2C")


HEADER = TransportHeader(0x7A, HeaderKind.SHORT, access_number=5)


def wireless(protection: Protection, payload: bytes = RECORDS, form: FrameFormat = FrameFormat.A) -> bytes:
    return build_telegram(LinkHeader(0x44, ADDRESS), HEADER, payload, protection, form=form)


KAMSTRUP = structure(
    visible_string("Kamstrup_V0001"),
    name("1.1.0.0.5.255"),
    visible_string("1234567"),
    name("1.1.1.7.0.255"),
    double_long_unsigned(450),
    name("1.1.31.7.0.255"),
    double_long_unsigned(195),
    null(),
    null(),
    name("1.1.32.7.0.255"),
    long_unsigned(230),
    name("1.1.1.8.0.255"),
    double_long_unsigned(1_234),
)
