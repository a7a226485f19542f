"""Wired and wireless M-Bus frames as decoded readings, for a person to look at.

Strategy: one receiver opens wireless telegrams (its layout cache is the fast path) and keeps learnt compact formats;
what an open telegram holds is the rule of ``readings.mbus``. Damaged frames are read as far as they go. Where the
caller wants to see also what nothing protects (``DecodeJob.insecure``), it is opened, and an error beside the values
says so.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache

from meterspan.engine.mbus_security import open_transport, open_transport_insecurely
from meterspan.engine.wmbus_receiver import Telegram
from meterspan.model.mbus_devices.factory_keys import ZERO_KEY, factory_keys_of
from meterspan.model.telegram import DecodedTelegram, DeviceIdentity
from meterspan.readings.dlms import decode_apdus
from meterspan.readings.explained import Pieces
from meterspan.readings.job import DecodeJob
from meterspan.readings.mbus import contents_of
from meterspan.readings.merge import merge
from meterspan.wire import (
    ChecksumError,
    Cursor,
    KeyMissingError,
    KeyWrongError,
    SecurityError,
    Trace,
    TruncatedError,
    WireError,
)
from meterspan.wire.mbus import read_records
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.application import RECORD_CODES, ApplicationMessage, read_application
from meterspan.wire.mbus.link import read_link_frame
from meterspan.wire.mbus.records import Records, read_header
from meterspan.wire.mbus.transport import DES_MODES, Ci, SecurityMode, TransportHeader
from meterspan.wire.wmbus import FrameFormat, read_frame
from meterspan.wire.wmbus.compact import FULL_FRAME_CRC

__all__ = ["decode_mbus", "decode_wmbus", "read_wired", "wired_sender"]

MAX_FRAMES = 64
"""Frames of one input; a long profile of a wired meter has fewer pages."""
MIN_FRAME = 11
LENGTH_MAX = 0xFF
CACHED_DEVICES = 16_384
"""Identities kept in words: the meters that one collector hears."""
_RECORDS_CI = frozenset({Ci.RESPONSE_LONG, Ci.RESPONSE_SHORT, Ci.RESPONSE_LONG_REVERSED})
_SEGMENTS = 0x1F
_SEGMENT_HEAD = 3
"""CI field, source and destination address of a DLMS segment (EN 13757-1)."""
_LONG_HEAD, _LONG_TAIL = 6, 2
_LONG_START = re.compile(rb"\x68([\x03-\xff])\1\x68", re.DOTALL)
_EIGHT_DIGITS = re.compile(r"[0-9A-Fa-f]{8}")


def decode_wmbus(octets: bytes, job: DecodeJob) -> DecodedTelegram:
    """Decode wireless telegrams, one or several in a row."""
    telegrams: list[DecodedTelegram] = []
    while octets and len(telegrams) < MAX_FRAMES:
        job.learnt.key.value = job.key
        try:
            telegram, faults = _read_wireless(octets, job)
        except WireError as error:
            telegrams.append(_salvage(octets, error, job))
            break
        telegrams.append(_answer("wmbus", telegram, job, faults))
        trailing = telegram.frame.trailing if telegram.frame is not None else b""
        octets = trailing if len(trailing) > MIN_FRAME else b""
    return merge(telegrams)


def _read_wireless(octets: bytes, job: DecodeJob) -> tuple[Telegram, tuple[WireError, ...]]:
    """Read a telegram: as the standard says, by the factory key, or beyond a length field that is too small."""
    explained = 0 if job.trace is None else len(job.trace.spans)
    try:
        telegram = job.learnt.receiver.read(octets, trace=job.trace)
    except KeyMissingError:
        key = None if job.required is not None else _factory_key(octets, job)
        if key is None:
            raise
        job.learnt.key.value = key
        return _read_again(octets, job, explained), (_factory_key_error(key),)
    length = _length_of_records(octets, telegram, job)
    if length is None:
        return telegram, _weakness(telegram.header)
    fault = WireError(
        f"the length field says {octets[0]}, the records take {length}", 0, "L field", "EN 13757-4:2019, 12.3"
    )
    return _read_again(bytes((length,)) + octets[1:], job, explained), (*_weakness(telegram.header), fault)


def _read_again(octets: bytes, job: DecodeJob, explained: int) -> Telegram:
    """Read octets in place of those whose meaning was explained last."""
    if job.trace is not None:
        del job.trace.spans[explained:]
    return job.learnt.receiver.read(octets, trace=job.trace)


def _factory_key(octets: bytes, job: DecodeJob) -> bytes | None:
    """Return the factory key that opens a telegram in mode 5 for which no key was given; None where none does."""
    if not job.insecure or job.key is not None:
        return None
    frame = read_frame(octets)
    if frame.transport is None or frame.transport.mode != SecurityMode.AES_CBC_IV:
        return None
    for key in factory_keys_of(frame.address.manufacturer):
        job.learnt.key.value = key
        try:
            if _is_believed(job.learnt.receiver.read(octets)):
                return key
        except KeyWrongError:
            continue
    return None


def _is_believed(telegram: Telegram) -> bool:
    """Whether what was encrypted is data records from its 2F2F to its end; what follows in the clear proves nothing."""
    if telegram.records.error is None or telegram.header is None or telegram.header.ci not in RECORD_CODES:
        return _are_whole(telegram.records)
    return _are_whole(read_records(telegram.payload[: telegram.header.encrypted_size]))


def _are_whole(records: Records) -> bool:
    return records.error is None and bool(records.records)


def _factory_key_error(key: bytes) -> WireError:
    which = "the factory key of zeros" if key == ZERO_KEY else "the factory key of its maker"
    return SecurityError(f"opened with {which}, which protects nothing; give the meter a key of its own", None, "key")


def _weakness(header: TransportHeader | None) -> tuple[WireError, ...]:
    """Return the warning for a telegram that was opened in mode 2 or 3."""
    if header is None or header.mode not in DES_MODES or not header.encrypted_size:
        return ()
    reason = f"security mode {header.mode} is single DES, which protects nothing: its sender is not authenticated"
    return (SecurityError(reason, None, "configuration field"),)


def _length_of_records(octets: bytes, telegram: Telegram, job: DecodeJob) -> int | None:
    """Return the L field with which the last record is whole; None where that is not what is wrong.

    Some meters count too few octets, and their receivers remove CRCs by what was received. So where the data of the
    last record are cut at the end of the frame, and the octets behind the frame complete them, these belong to it.
    """
    frame, records = telegram.frame, telegram.records
    if frame is None or frame.format is not FrameFormat.STRIPPED or not isinstance(records.error, TruncatedError):
        return None
    try:
        header, at = read_header(records.rest, 0, len(records.rest), 0)
        length = octets[0] + at + header.size - len(records.rest)
        if header.size < 0 or not octets[0] < length <= min(len(octets) - 1, LENGTH_MAX):
            return None
        longer = job.learnt.receiver.read(bytes((length,)) + octets[1:])
    except WireError:
        return None
    return length if _are_whole(longer.records) else None


def decode_mbus(octets: bytes, job: DecodeJob) -> DecodedTelegram:
    """Decode wired frames (EN 13757-2): one or several in a row, or the segments of a DLMS push.

    A frame with a wrong checksum is named, and read as far as it goes.
    """
    segments, pieces = bytearray(), Pieces()
    telegrams: list[DecodedTelegram] = []
    for payload, offset, damage in _payloads(Cursor(octets, trace=job.trace)):
        if damage is not None:
            telegrams.append(DecodedTelegram("mbus", errors=(damage,)))
        if payload and payload[0] <= _SEGMENTS:
            segments += payload[_SEGMENT_HEAD:]
            pieces.add(offset + _SEGMENT_HEAD, len(payload) - _SEGMENT_HEAD)
            if job.trace is not None:
                job.trace.add(offset, payload[:1], "CI field", f"DLMS segment {payload[0] & 0x0F}")
                job.trace.add(offset + 1, payload[1:_SEGMENT_HEAD], "source and destination", "")
        elif payload:
            telegrams.append(_wired(Cursor(payload, base=offset, trace=job.trace), job))
    if segments:
        telegrams.append(decode_apdus(bytes(segments), job, pieces))
    return merge(telegrams or [DecodedTelegram("mbus", errors=(WireError("an acknowledgement carries no readings"),))])


def _payloads(cursor: Cursor) -> Iterator[tuple[bytes, int, WireError | None]]:
    """Iterate over the payload of every long frame with its offset, and what is wrong with the frame."""
    octets = cursor.octets
    for _ in range(MAX_FRAMES):
        if not cursor.remaining:
            return
        start = cursor.offset
        try:
            yield read_link_frame(cursor).payload or b"", start + _LONG_HEAD, None
        except WireError as error:
            begin = _LONG_START.search(octets, start)
            if begin is None:
                yield b"", start, error
                return
            start, end = begin.start(), begin.end() + begin[1][0]
            cursor.offset = min(end + _LONG_TAIL, cursor.end)
            yield octets[start + _LONG_HEAD : end], start + _LONG_HEAD, error


def _wired(cursor: Cursor, job: DecodeJob) -> DecodedTelegram:
    try:
        return _application(read_application(cursor), job)
    except WireError as error:
        return DecodedTelegram("mbus", errors=(error,))


def _application(message: ApplicationMessage, job: DecodeJob) -> DecodedTelegram:
    if message.error is not None:
        reported = WireError(f"the device reports: {message.error}")
        return DecodedTelegram("mbus", _identity(message.transport.address), errors=(reported,))
    if job.required is not None:
        return _answer("mbus", _opened_with(message, job.key), job)
    if not job.insecure:
        return _answer("mbus", _opened(message, job.key, job.trace), job)
    telegram, faults = _opened_insecurely(message, job)
    return _answer("mbus", telegram, job, faults)


def read_wired(octets: bytes, key: bytes | None = None) -> Telegram:
    """Read the wired frames of one readout and open them; several telegrams are one, with the records of all.

    Raises:
        SecurityError: a key is given and the frame is not encrypted.
        WireError: a frame is damaged, holds no application data, cannot be opened, or is of another device.

    """
    cursor, found = Cursor(octets), list[Telegram]()
    while not found or (cursor.remaining and len(found) < MAX_FRAMES):
        found.append(_opened_with(_read_message(cursor), key))
    if len({telegram.address for telegram in found}) > 1:
        raise WireError("one readout has telegrams of several devices", None, "address")
    return found[0] if len(found) == 1 else _joined(found)


def wired_sender(octets: bytes) -> DeviceAddress | None:
    """Return the sender of a wired frame, which no protection hides; None where it names none, or is damaged."""
    try:
        return _read_message(Cursor(octets)).transport.address
    except WireError:
        return None


def _read_message(cursor: Cursor) -> ApplicationMessage:
    offset = cursor.position + _LONG_HEAD
    message = read_application(Cursor(read_link_frame(cursor).payload or b"", base=offset))
    if message.error is not None:
        raise WireError(f"the device reports: {message.error}")
    return message


def _opened_with(message: ApplicationMessage, key: bytes | None) -> Telegram:
    """Open a message; with a key, one that is not encrypted is refused."""
    payload, records = message.payload, message.records
    if key is not None or (message.transport.announces_encryption and message.ci in _RECORDS_CI):
        payload = open_transport(message.transport, payload, key, offset=message.offset)
        records = read_records(payload)
    return _wired_telegram(message, payload, records)


def _joined(telegrams: Sequence[Telegram]) -> Telegram:
    """Return the telegrams of one readout as one."""
    first, parts = telegrams[0], [telegram.records for telegram in telegrams]
    data = [part.manufacturer_data for part in parts if part.manufacturer_data]
    records = Records(
        tuple(record for part in parts for record in part.records),
        b"".join(data) if data else None,
        parts[-1].more_follows,
        rest=b"".join(part.rest for part in parts),
        error=next((part.error for part in parts if part.error is not None), None),
    )
    return Telegram(first.address, first.header, b"".join(telegram.payload for telegram in telegrams), records)


def _opened(message: ApplicationMessage, key: bytes | None, trace: Trace | None) -> Telegram:
    """Open a wired message for a person to look at; one in the clear is read as it is, though a key was given."""
    payload, records = message.payload, message.records
    if message.transport.announces_encryption and message.ci in _RECORDS_CI:
        payload = open_transport_insecurely(message.transport, payload, key, offset=message.offset, has_des=False)
        records = read_records(Cursor(payload, base=message.offset, trace=trace))
    return _wired_telegram(message, payload, records)


def _wired_telegram(message: ApplicationMessage, payload: bytes, records: Records) -> Telegram:
    return Telegram(message.transport.address or DeviceAddress(bytes(8)), message.transport, payload, records)


def _opened_insecurely(message: ApplicationMessage, job: DecodeJob) -> tuple[Telegram, tuple[WireError, ...]]:
    """Open a wired message also where its protection protects nothing, and say so."""
    header = message.transport
    if header.mode in DES_MODES and message.ci in _RECORDS_CI:
        payload = open_transport_insecurely(header, message.payload, job.key, offset=message.offset)
        records = read_records(Cursor(payload, base=message.offset, trace=job.trace))
        return Telegram(header.address or DeviceAddress(bytes(8)), header, payload, records), _weakness(header)
    try:
        return _opened(message, job.key, job.trace), ()
    except KeyMissingError:
        key = _factory_key_of_wired(message)
        if key is None:
            raise
    return _opened(message, key, job.trace), (_factory_key_error(key),)


def _factory_key_of_wired(message: ApplicationMessage) -> bytes | None:
    address = message.transport.address
    if message.transport.mode != SecurityMode.AES_CBC_IV or address is None:
        return None
    for key in factory_keys_of(address.manufacturer):
        try:
            if _is_believed(_opened(message, key, None)):
                return key
        except KeyWrongError:
            continue
    return None


def _answer(protocol: str, telegram: Telegram, job: DecodeJob, faults: tuple[WireError, ...] = ()) -> DecodedTelegram:
    contents, device = contents_of(telegram, job.key), _identity(telegram.address)
    device = replace(device, id=contents.meter_id) if contents.meter_id else device
    error = contents.error
    if job.meter_id and _EIGHT_DIGITS.fullmatch(job.meter_id) and job.meter_id.upper() != device.id:
        error = WireError(f"meter {device.id} where {job.meter_id} was expected")
    errors = faults if error is None else (*faults, error)
    return DecodedTelegram(protocol, device, None, contents.readings, errors)


def _salvage(octets: bytes, error: WireError, job: DecodeJob) -> DecodedTelegram:
    """Answer for a telegram that cannot be read: what is in front of a cut or under a wrong check, and who sent it."""
    receiver = job.learnt.receiver
    try:
        if isinstance(error, TruncatedError) and error.field == "frame" and MIN_FRAME < len(octets) <= octets[0]:
            shortened = bytes((len(octets) - 1,)) + octets[1:]
            return replace(_answer("wmbus", receiver.read(shortened, trace=job.trace), job), errors=(error,))
        if isinstance(error, ChecksumError) and error.field == FULL_FRAME_CRC:
            return replace(_answer("wmbus", receiver.read(octets, is_checked=False), job), errors=(error,))
    except WireError:
        pass
    address = DeviceAddress(octets[2:10]) if len(octets) >= 10 else None
    return DecodedTelegram("wmbus", _identity(address), errors=(error,))


def _identity(address: DeviceAddress | None) -> DeviceIdentity:
    return DeviceIdentity() if address is None else _known_identity(address.octets)


@lru_cache(maxsize=CACHED_DEVICES)
def _known_identity(octets: bytes) -> DeviceIdentity:
    address = DeviceAddress(octets)
    return DeviceIdentity(address.id, address.manufacturer, address.medium_name, f"{address.version:02X}")
