"""Damage in quantity: P1, SML and the decoder over every kind of frame; memory stays flat."""

import random
from collections.abc import Iterator

import pytest

from meterspan.engine.mbus_security import Protection, build_telegram
from meterspan.model.telegram import DecodedTelegram
from meterspan.readings import Decoder
from meterspan.wire import WireError
from meterspan.wire.axdr import array, double_long_unsigned, enum, integer, octet_string, structure
from meterspan.wire.hdlc import HdlcAddress, HdlcFrame, write_frame
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.transport import HeaderKind, SecurityMode, TransportHeader
from meterspan.wire.p1 import CrcPolicy, P1Reader, crc_of, read_telegram
from meterspan.wire.sml import (
    Integer,
    SmlEntry,
    SmlGetListResponse,
    SmlMessage,
    SmlTag,
    find_frames,
    read_file,
    write_file,
)
from meterspan.wire.sml import write_frame as write_sml
from meterspan.wire.wmbus.frame import FrameFormat, LinkHeader
from meterspan.wire.xdlms import DataNotification, LongInvokeIdAndPriority, write_apdu
from tests.helpers_damage import growth

KEY = bytes(range(16))
COUNT = 100_000


def p1() -> bytes:
    lines = b"1-3:0.2.8(50)\r\n1-0:1.8.1(000123.456*kWh)\r\n1-0:99.97.0(1)(0-0:96.7.19)(200102030405W)(000009*s)\r\n"
    body = b"/TST5\\2X\r\n\r\n" + lines + b"0-1:24.2.1(240331020500W)(00012.345*m3)\r\n!"
    return body + b"%04X\r\n" % crc_of(body)


def sml() -> bytes:
    entry = SmlEntry(bytes.fromhex("0100010800FF"), Integer(98_765, 4, signed=False), 30, -1)
    body = SmlGetListResponse(bytes(10), (entry, entry))
    return write_sml(write_file([SmlMessage(b"2", SmlTag.GET_LIST_RESPONSE, body)]))


def push() -> bytes:
    row = structure(
        octet_string(bytes.fromhex("0100010700FF")), double_long_unsigned(7), structure(integer(0), enum(27))
    )
    apdu = write_apdu(DataNotification(LongInvokeIdAndPriority(1), array(row, row)))
    return write_frame(HdlcFrame(HdlcAddress(0x10), HdlcAddress(1), 0x13, b"\xe6\xe7\x00" + apdu))


def wireless(maker: str, mode: SecurityMode, ci: int = 0x7A) -> bytes:
    address = DeviceAddress.of(maker, "12345678", 0x05, 0x07)
    header = TransportHeader(ci, HeaderKind.SHORT if ci == 0x7A else HeaderKind.NONE, access_number=5)
    records = bytes.fromhex("0413C8E10000 4413A0860100 0F 00112233445566 10E8030000 7101E8030000")
    return build_telegram(LinkHeader(0x44, address), header, records, Protection(mode, KEY), form=FrameFormat.STRIPPED)


SEEDS = (
    p1(),
    sml(),
    push(),
    wireless("TST", SecurityMode.AES_CBC_IV),
    wireless("APA", SecurityMode.NONE),
    wireless("TCH", SecurityMode.NONE, 0xA2),
    wireless("SAP", SecurityMode.NONE, 0xA0),
    wireless("QDS", SecurityMode.NONE, 0x78),
)


def damage(octets: bytes, source: random.Random) -> bytes:
    damaged = bytearray(octets)
    for _ in range(source.randrange(1, 6)):
        damaged[source.randrange(len(damaged))] = source.randrange(256)
    return bytes(damaged[: source.randrange(1, len(damaged) + 1)]) if source.random() < 0.25 else bytes(damaged)


def check(octets: bytes, decoder: Decoder, reader: P1Reader) -> None:
    assert isinstance(decoder.decode(octets, key=KEY), DecodedTelegram)
    reader.receive(octets)
    while reader.next_telegram() is not None:
        pass
    for read in (lambda: read_telegram(octets, crc=CrcPolicy.NONE), lambda: read_file(octets)):
        try:
            read()
        except WireError as error:
            assert error.reason  # noqa: PT017 - either way out is right
    for _ in find_frames(octets):
        pass


def run(count: int) -> Iterator[int]:
    source = random.Random(23)  # noqa: S311 - damage, not a secret
    decoder, reader = Decoder(), P1Reader()
    for number in range(count):
        check(damage(source.choice(SEEDS), source), decoder, reader)
        yield number


def test_two_thousand_damaged_frames_get_an_answer() -> None:
    assert sum(1 for _ in run(2_000)) == 2_000


@pytest.mark.deep
def test_a_hundred_thousand_damaged_frames_leave_memory_flat() -> None:
    added, peak = growth(run(COUNT), COUNT)
    assert added < 10_000_000
    assert peak < 80_000_000
