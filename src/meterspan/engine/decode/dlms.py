"""DLMS pushes as decoded readings, through whatever carried them: HDLC, the wrapper, M-Bus segments, block transfer.

Strategy: every transport yields APDUs; an APDU is opened (deciphered, put together from blocks) until it is a
notification, a response with data, bare COSEM data, or a P1 telegram under DLMS protection; its data become readings.
"""

from collections.abc import Iterable, Iterator
from datetime import datetime

from meterspan.engine.decode.job import Job
from meterspan.engine.decode.lenient import read_push_data
from meterspan.engine.decode.merge import merge
from meterspan.engine.decode.p1 import decode_p1
from meterspan.engine.decode.protection import open_general
from meterspan.engine.decode.push import readings_of_body
from meterspan.model.telegram import DecodedReading, DecodedTelegram, DeviceIdentity
from meterspan.quantities import Obis
from meterspan.wire import Cursor, TruncatedError, UnsupportedError, WireError
from meterspan.wire.axdr import Data, read_clock_time, read_octets
from meterspan.wire.damaged import Damaged
from meterspan.wire.hdlc import HdlcReader, read_frame
from meterspan.wire.xdlms import GeneralBlockTransfer, GeneralCipheredApdu, read_apdu

__all__ = ["decode_apdus", "decode_cosem", "decode_hdlc", "decode_wrapper"]

MAX_APDU = 65_536
"""Octets of a reassembled APDU; the largest max-pdu-size is 65,535."""
MAX_WRAPPING = 4  # block transfer within protection within block transfer; deeper is an attack
_LLC = (b"\xe6\xe7\x00", b"\xe6\xe6\x00")
_NOTIFICATION, _GBT, _GENERAL_GLO, _GENERAL_DED = 0x0F, 0xE0, 0xDB, 0xDC
_IDENTIFICATIONS = ((96, 1), (0, 0), (42, 0))


def decode_hdlc(octets: bytes, job: Job) -> DecodedTelegram:
    """Decode HDLC frames: segments are joined, damage is named and read as far as it goes."""
    reader = HdlcReader()
    apdus: list[tuple[bytes, str | None]] = []
    pending, errors = b"", []
    items = reader.feed(octets) + reader.flush()
    if job.trace is not None and len(items) == 1 and not isinstance(items[0], Damaged):
        read_frame(octets.strip(b"\x7e").join((b"\x7e", b"\x7e")), trace=job.trace)
    for item in items:
        if isinstance(item, Damaged):
            salvaged = _salvage(item.octets)
            errors.append(str(item.error))
            if salvaged:
                apdus.append((salvaged, None))
            continue
        pending += item.information
        if len(pending) > MAX_APDU:
            raise WireError(f"APDU is longer than {MAX_APDU} octets", len(octets), "segments")
        if not item.segmented and pending:
            apdus.append((pending, None))
            pending = b""
    if pending:
        apdus.append((pending, "the last segments are missing"))
    telegram = _decode_all((apdu for apdu, _ in apdus), job)
    errors += [why for _, why in apdus if why]
    return _with_errors(telegram, errors)


def decode_wrapper(octets: bytes, job: Job) -> DecodedTelegram:
    """Decode wrapper PDUs (IEC 62056-47): version 1, source and destination port, length, APDU."""
    cursor, apdus = Cursor(octets, trace=job.trace), []
    while cursor.remaining:
        version = cursor.big(2, "wrapper version")
        if version != 1:
            raise UnsupportedError(f"wrapper version {version}", cursor.position - 2, "wrapper version", "IEC 62056-47")
        cursor.big(2, "source wrapper port")
        cursor.big(2, "destination wrapper port")
        apdus.append(cursor.take(cursor.big(2, "length"), "APDU"))
    return _decode_all(apdus, job)


def decode_apdus(octets: bytes, job: Job) -> DecodedTelegram:
    """Decode one APDU, or blocks of one in a row."""
    return _decode_all([octets], job)


def decode_cosem(octets: bytes, job: Job) -> DecodedTelegram:
    """Decode bare COSEM data, a push body that something has unwrapped already."""
    return _body(Cursor(octets, trace=job.trace), None, job)


def _decode_all(apdus: Iterable[bytes], job: Job) -> DecodedTelegram:
    telegrams: list[DecodedTelegram] = []
    for apdu in _join_blocks(apdus):
        try:
            telegrams.append(_apdu(apdu, job, 0))
        except WireError as error:
            telegrams.append(DecodedTelegram("dlms-push", error=str(error)))
    return merge(telegrams) if telegrams else DecodedTelegram("dlms-push", error="no APDU in these frames")


def _join_blocks(apdus: Iterable[bytes]) -> Iterator[bytes]:
    """Put the blocks of general block transfers together (IEC 62056-5-3, 6.13); pass everything else on."""
    pending = bytearray()
    for octets in apdus:
        apdu = octets[3:] if octets[:3] in _LLC else octets
        cursor = Cursor(apdu)
        while cursor.remaining and cursor.peek()[0] == _GBT:
            block = read_apdu(cursor)
            if isinstance(block, GeneralBlockTransfer):
                pending += block.block_data
                if block.last_block:
                    yield bytes(pending)
                    pending.clear()
            if len(pending) > MAX_APDU:
                raise WireError(f"APDU is longer than {MAX_APDU} octets", cursor.position, "blocks")
        if cursor.remaining:
            yield cursor.octets[cursor.offset :]
    if pending:
        yield bytes(pending)


def _apdu(octets: bytes, job: Job, depth: int) -> DecodedTelegram:
    octets = octets[3:] if octets[:3] in _LLC else octets
    if not octets:
        raise TruncatedError("is empty", 0, "APDU")
    if depth > MAX_WRAPPING:
        raise WireError(f"is wrapped more than {MAX_WRAPPING} times", 0, "APDU")
    tag = octets[0]
    if octets[:1] == b"/":
        return decode_p1(octets, job.trace)
    if tag == _NOTIFICATION:
        return _notification(octets, job)
    if tag in {_GENERAL_GLO, _GENERAL_DED}:
        return _protected(octets, job, depth)
    if tag in {0x01, 0x02}:
        return decode_cosem(octets, job)
    apdu = read_apdu(octets)
    data = next((value for value in _data_of(apdu)), None)
    if data is None:
        raise UnsupportedError(f"a {type(apdu).__name__} carries no readings", 0, "APDU")
    return _telegram(data, None)


def _data_of(apdu: object) -> Iterator[Data]:
    """Give COSEM data of any record, however it nests (a response with a result with data)."""
    for name in getattr(apdu, "__slots__", ()):
        value = getattr(apdu, name, None)
        if isinstance(value, Data):
            yield value
        elif hasattr(value, "__slots__") and not isinstance(value, Obis):
            yield from _data_of(value)


def _protected(octets: bytes, job: Job, depth: int) -> DecodedTelegram:
    cursor = Cursor(octets, trace=job.trace)
    apdu = read_apdu(cursor)
    if not isinstance(apdu, GeneralCipheredApdu):
        raise UnsupportedError("is no general-glo-ciphering APDU", 0, "APDU")
    telegram = _apdu(open_general(apdu, job), job, depth + 1)
    if telegram.device.id:
        return telegram
    title = apdu.system_title
    maker = title[:3].decode("ascii") if title[:3].isalpha() else ""
    device = DeviceIdentity(title.hex().upper(), maker, telegram.device.medium, telegram.device.version)
    return DecodedTelegram(telegram.protocol, device, telegram.time, telegram.readings, telegram.error)


def _notification(octets: bytes, job: Job) -> DecodedTelegram:
    """Read a data-notification: the date-time may carry a tag, be empty, or be left out (quirk 3)."""
    cursor = Cursor(octets, trace=job.trace)
    cursor.u8("data-notification")
    cursor.big(4, "long-invoke-id-and-priority")
    if cursor.peek(2) == b"\x09\x0c":
        cursor.u8("date-time tag")
    moment = None
    if cursor.peek() == b"\x00" or cursor.peek() == b"\x0c":
        time = read_octets(cursor, "date-time")
        moment = _moment(time)
    return _body(cursor, moment, job)


def _moment(octets: bytes) -> datetime | None:
    try:
        return read_clock_time(octets).to_utc() if octets else None
    except WireError:
        return None


def _body(cursor: Cursor, moment: datetime | None, _job: Job) -> DecodedTelegram:
    data = read_push_data(cursor)
    return _telegram(data, moment)


def _telegram(data: Data, moment: datetime | None) -> DecodedTelegram:
    readings, version = readings_of_body(data)
    error = None if readings else f"a list without names, of a layout that is not known: {str(data)[:120]}"
    return DecodedTelegram("dlms-push", _identity(readings, version), moment, tuple(readings), error)


def _identity(readings: list[DecodedReading], version: str) -> DeviceIdentity:
    texts = {(item.obis.c, item.obis.d): item.value for item in readings if item.obis and isinstance(item.value, str)}
    identification = next((str(texts[code]) for code in _IDENTIFICATIONS if texts.get(code)), "")
    name = version or str(texts.get((0, 2), ""))
    return DeviceIdentity(identification, name.partition("_")[0], "electricity", name)


def _salvage(octets: bytes) -> bytes:
    """Find the APDU in an HDLC frame with a wrong check."""
    for llc in _LLC:
        place = octets.find(llc)
        if place >= 0:
            return octets[place : -3 if octets.endswith(b"\x7e") else None]
    return b""


def _with_errors(telegram: DecodedTelegram, errors: list[str]) -> DecodedTelegram:
    if not errors:
        return telegram
    texts = [*dict.fromkeys(errors[:4])] + ([telegram.error] if telegram.error else [])
    return DecodedTelegram(telegram.protocol, telegram.device, telegram.time, telegram.readings, "; ".join(texts))
