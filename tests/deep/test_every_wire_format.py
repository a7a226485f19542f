"""For every wire format, a hundred thousand damaged frames end in a record or a ``WireError``; memory stays flat.

Damage alone would stop at the first checksum, so half of the frames get theirs right again afterwards (``mend``).
Formats whose own tests hold such a test already are named in ``ELSEWHERE``; no subpackage of ``wire`` is in neither.
"""

import gc
import os
import pkgutil
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from fastcrc import crc16

from meterspan import wire
from meterspan.crypto.suites import SuiteKeys, protect
from meterspan.engine.mbus_security import Protection, build_telegram
from meterspan.engine.security import SecurityContext
from meterspan.readings.sml_explained import explain_file
from meterspan.wire import Cursor, Trace, WireError
from meterspan.wire.axdr import array, read_columns, structure
from meterspan.wire.ber import read_tlv, write_tlv
from meterspan.wire.hdlc import (
    HdlcAddress,
    HdlcFrame,
    HdlcParameters,
    HdlcReader,
    read_frame,
    read_parameters,
    write_frame,
    write_parameters,
)
from meterspan.wire.mbus import read_records
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.application import read_application
from meterspan.wire.mbus.link import LinkFrame, read_link_frame, write_link_frame
from meterspan.wire.mbus.transport import HeaderKind, SecurityMode, TransportHeader
from meterspan.wire.p1 import CrcPolicy, P1Reader, crc_of, read_telegram
from meterspan.wire.sml import (
    Integer,
    SmlChecksum,
    SmlEntry,
    SmlGetListResponse,
    SmlMessage,
    SmlTag,
    find_frames,
    frame_crc,
    read_file,
    write_file,
)
from meterspan.wire.sml import write_frame as write_sml
from meterspan.wire.wmbus import FrameFormat, LinkHeader
from meterspan.wire.wmbus import read_frame as read_wireless
from meterspan.wire.wmbus.frame import pack_blocks, strip_blocks
from meterspan.wire.wrapper import WrapperPdu, WrapperReader, read_datagram, read_wpdu, write_wpdu
from meterspan.wire.xdlms import (
    CipheredContent,
    GeneralCipheredApdu,
    GetResponseNormal,
    InvokeIdAndPriority,
    SecurityControl,
    data_octets_of_get,
    write_apdu,
)
from tests.helpers_cosem import KEYS, ProfileBuffer
from tests.memory import MemoryState

COUNT = 100_000
GROWTH_MAX = 16 << 20
"""Octets by which a process may grow in the second half: the allocator's slack, not a leak of frames."""
OBJECTS_MAX = 20_000
"""Objects that may stay from the second half: caches that are still filling up to their bound."""
TITLE = b"MSP\0\0\0\0\1"
KEY = bytes(range(16))
METER = DeviceAddress.of("MSP", "12345678", 0x01, 0x07)
SEALED = SecurityControl.AUTHENTICATION | SecurityControl.ENCRYPTION
RECORDS = bytes.fromhex(
    "0C1378563412 841093 3B01000000 0DFD110A372072656D6F74737563 052B00806643 8D04931E063252010002 00"
)

Mend = Callable[[bytes], bytes]


def as_is(octets: bytes) -> bytes:
    return octets


@dataclass(frozen=True)
class WireFormat:
    """One format: whose subpackage it is, frames that are right, how they are read, and how a checksum is mended."""

    package: str
    seeds: Sequence[bytes]
    read: Callable[[bytes], object]
    mend: Mend = as_is


# Frames that are right, and readers.


def p1() -> bytes:
    lines = b"1-3:0.2.8(50)\r\n1-0:1.8.1(000123.456*kWh)\r\n1-0:99.97.0(1)(0-0:96.7.19)(200102030405W)(000009*s)\r\n"
    body = b"/TST5\\2X\r\n\r\n" + lines + b"0-0:1.0.0(240331020500S)\r\n0-1:24.2.1(240331020500W)(00012.345*m3)\r\n!"
    return mend_p1(body + b"0000\r\n")


def mend_p1(octets: bytes) -> bytes:
    end = octets.rfind(b"!") + 1
    return octets[:end] + b"%04X\r\n" % crc_of(octets[:end]) if end else octets


def read_p1(octets: bytes) -> None:
    reader = P1Reader()
    reader.receive(octets)
    while (item := reader.next_telegram()) is not None:
        str(item)
    read_telegram(octets, crc=CrcPolicy.NONE, trace=Trace())


def sml() -> bytes:
    entry = SmlEntry(bytes.fromhex("0100010800FF"), Integer(98_765, 4, signed=False), 30, -1)
    body = SmlGetListResponse(bytes(10), (entry, entry))
    return write_sml(write_file([SmlMessage(b"2", SmlTag.GET_LIST_RESPONSE, body)]))


def mend_sml(octets: bytes) -> bytes:
    return octets[:-2] + frame_crc(octets[:-2], SmlChecksum.X25)


def read_sml(octets: bytes) -> None:
    for _, frame in find_frames(octets):
        if not isinstance(frame, WireError):
            read_file(frame.file)
    read_file(octets[8:-8])
    explain_file(octets[8:-8], 0, Trace())


def hdlc() -> list[bytes]:
    client, server = HdlcAddress(16), HdlcAddress(1, 17, 2)
    parameters = write_parameters(HdlcParameters())
    payloads = (b"", parameters, b"\xe6\xe7\x00\xc4\x01\xc1\x00\x06\x00\x01\xe2\x40")
    controls = (0x93, 0x73, 0x30)
    return [write_frame(HdlcFrame(client, server, c, p)) for c, p in zip(controls, payloads, strict=True)]


def mend_hdlc(octets: bytes) -> bytes:
    """Set length, HCS (where a header of the usual size ends) and FCS right."""
    body = bytearray(octets[1:-1])
    if len(body) < 9:
        return octets
    body[0], body[1] = 0xA0 | len(body) >> 8 & 7, len(body) & 0xFF
    if len(body) > 10:
        body[6:8] = crc16.ibm_sdlc(bytes(body[:6])).to_bytes(2, "little")
    body[-2:] = crc16.ibm_sdlc(bytes(body[:-2])).to_bytes(2, "little")
    return b"\x7e" + bytes(body) + b"\x7e"


def read_hdlc(octets: bytes) -> None:
    reader = HdlcReader()
    for item in (*reader.feed(octets), *reader.feed(octets[::-1]), *reader.flush()):
        str(item)
    frame = read_frame(octets, trace=Trace())
    if frame.control in (0x93, 0x73):
        read_parameters(frame.information)


def read_wrapped(octets: bytes) -> None:
    reader = WrapperReader()
    try:
        reader.feed(octets)
        reader.feed(octets)
    finally:
        read_datagram(octets)
    str(read_wpdu(octets, trace=Trace()))


def profile() -> bytes:
    rows = ProfileBuffer.of(6).rows
    octets = write_apdu(GetResponseNormal(InvokeIdAndPriority(1), _array(rows)))
    return data_octets_of_get(octets)


def _array(rows: list[object]) -> object:
    return array(*(structure(*row) for row in rows))


def read_profile(octets: bytes) -> None:
    read_columns(octets, capture_period_s=900).rows()


def read_ber(octets: bytes) -> None:
    def walk(cursor: Cursor, depth: int) -> None:
        while cursor.remaining:
            tag, value = read_tlv(cursor, "value")
            if depth and tag & 0x20:
                walk(value, depth - 1)

    walk(Cursor(octets), 4)


class Everything(MemoryState):
    """A counter store that finds every counter new, so that all damage gets past the check for replay."""

    def reserve(self, name: str, count: int) -> int:
        return 1

    def accept(self, name: str, value: int) -> bool:
        return True


CONTEXT = SecurityContext(b"HES\0\0\0\0\1", KEYS, counters=Everything(), peer_title=TITLE)
SUITE = SuiteKeys(KEYS.unicast, KEYS.authentication)


def seal(plain: bytes) -> bytes:
    sealed = protect(plain, SEALED, system_title=TITLE, invocation_counter=7, keys=SUITE)
    return write_apdu(GeneralCipheredApdu(0xDB, TITLE, CipheredContent(SEALED, 7, sealed)))


def mend_ciphered(octets: bytes) -> bytes:
    """Seal the damaged octets anew: what an attacker with the key, or a broken meter, sends."""
    return seal(octets) if octets else octets


def read_ciphered(octets: bytes) -> None:
    opened = CONTEXT.unprotect(octets)
    str(wire.xdlms.read_apdu(opened.octets))


def mend_mbus(octets: bytes) -> bytes:
    """Set length and checksum of a long frame right."""
    if len(octets) < 9:
        return octets
    body = octets[4:-2]
    head = bytes((0x68, len(body) & 0xFF, len(body) & 0xFF, 0x68))
    return head + body + bytes((sum(body) & 0xFF, 0x16))


def read_mbus(octets: bytes) -> None:
    frame = read_link_frame(Cursor(octets, trace=Trace()))
    for record in read_application(frame.payload or b"").records.records:
        str(record)


def read_mbus_records(octets: bytes) -> None:
    found = read_records(octets)
    for record in found.records:
        str(record)
        str(record.decimal)
    if found.error is not None:
        raise found.error


def wireless(form: FrameFormat) -> list[bytes]:
    header = TransportHeader(0x7A, HeaderKind.SHORT, None, 0x2A)
    modes = (SecurityMode.NONE, SecurityMode.AES_CBC_IV, SecurityMode.AES_CBC_DYNAMIC)
    return [build_telegram(LinkHeader(0x44, METER), header, RECORDS, Protection(m, KEY, 5), form=form) for m in modes]


def mend_wireless(form: FrameFormat) -> Mend:
    def mend(octets: bytes) -> bytes:
        try:
            _, stripped, _ = strip_blocks(octets)
            return pack_blocks(bytes((len(stripped) - 1,)) + stripped[1:], form)
        except (WireError, ValueError):
            return octets

    return mend


BER = write_tlv(0x60, write_tlv(0xA1, write_tlv(0x06, b"\x60\x85\x74")) + write_tlv(0xBE, write_tlv(0x04, bytes(130))))
WRAPPED = [write_wpdu(WrapperPdu(16, 1, bytes(size))) for size in (1, 40, 200)]
FORMATS = {
    "P1": WireFormat("p1", [p1()], read_p1, mend_p1),
    "SML": WireFormat("sml", [sml()], read_sml, mend_sml),
    "HDLC": WireFormat("hdlc", hdlc(), read_hdlc, mend_hdlc),
    "wrapper": WireFormat("wrapper", WRAPPED, read_wrapped),
    "A-XDR columns": WireFormat("axdr", [profile()], read_profile),
    "BER": WireFormat("ber", [BER], read_ber),
    "ciphered APDUs": WireFormat("xdlms", [seal(b"\xc4\x01\x01\x00" + profile())], read_ciphered),
    "APDUs under the right key": WireFormat("xdlms", [b"\xc4\x01\x01\x00" + profile()], read_ciphered, mend_ciphered),
    "wired M-Bus": WireFormat("mbus", [write_link_frame(LinkFrame(8, 1, b"\x78" + RECORDS))], read_mbus, mend_mbus),
    "M-Bus records": WireFormat("mbus", [RECORDS], read_mbus_records),
    **{
        f"wireless M-Bus, {form.name}": WireFormat("wmbus", wireless(form), read_wireless, mend_wireless(form))
        for form in FrameFormat
    },
}
ELSEWHERE = {
    "axdr": "wire/axdr/test_data.py",
    "acse": "wire/acse/test_acse.py",
    "xdlms": "wire/xdlms/test_apdu.py",
    "mbus": "engine/test_mbus_damage.py",
    "wmbus": "engine/test_mbus_damage.py",
    "p1": "readings/test_damage.py",
    "sml": "readings/test_damage.py",
}
"""Tests of the same kind that stand beside their formats; the last three go through keys, receiver and decoder."""


def test_no_wire_format_is_forgotten() -> None:
    packages = {module.name for module in pkgutil.iter_modules(wire.__path__) if module.ispkg}
    here = {form.package for form in FORMATS.values()}
    assert here | set(ELSEWHERE) == packages
    for path in ELSEWHERE.values():
        assert "@pytest.mark.deep" in (Path(__file__).parents[1] / path).read_text()


@pytest.mark.parametrize("name", FORMATS)
def test_the_frames_that_are_damaged_are_right_before(name: str) -> None:
    form = FORMATS[name]
    for seed in form.seeds:
        form.read(form.mend(seed))


@pytest.mark.parametrize("name", FORMATS)
def test_a_thousand_damaged_frames_end_in_a_record_or_a_wire_error(name: str) -> None:
    outcomes = set(bombard(FORMATS[name], 1_000))
    assert outcomes == {True, False}, "some are read, some refused: the damage is neither too mild nor too hard"


@pytest.mark.deep
@pytest.mark.parametrize("name", FORMATS)
def test_a_hundred_thousand_damaged_frames_leave_memory_flat(name: str) -> None:
    form = FORMATS[name]
    for _ in bombard(form, COUNT // 2):
        pass
    gc.collect()
    memory, objects = resident(), len(gc.get_objects())
    for _ in bombard(form, COUNT // 2, seed=2):
        pass
    gc.collect()
    assert len(gc.get_objects()) - objects < OBJECTS_MAX
    assert resident() - memory < GROWTH_MAX


def bombard(form: WireFormat, count: int, seed: int = 1) -> Iterator[bool]:
    """Read damaged frames; gives for each whether it was read."""
    source = random.Random(seed)  # noqa: S311 - damage, not a secret
    for number in range(count):
        octets = damage(source.choice(form.seeds), source)
        if number % 2 or form.mend is mend_ciphered:
            octets = form.mend(octets)
        try:
            form.read(octets)
        except WireError as error:
            assert error.reason  # noqa: PT017 - either way out is right
            yield False
        else:
            yield True


def damage(octets: bytes, source: random.Random) -> bytes:
    """Change up to three octets, and now and then cut the end off or put something behind it."""
    damaged = bytearray(octets)
    for _ in range(source.randrange(1, 4)):
        damaged[source.randrange(len(damaged))] = source.randrange(256)
    chance = source.random()
    if chance < 0.1:
        del damaged[source.randrange(1, len(damaged)) :]
    elif chance < 0.15:
        damaged += source.randbytes(source.randrange(1, 9))
    return bytes(damaged)


def resident() -> int:
    """Return the resident memory of this process in octets."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
