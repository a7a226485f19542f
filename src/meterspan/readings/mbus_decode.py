"""Wired and wireless M-Bus frames as decoded readings, for a person to look at.

Strategy: one receiver opens wireless telegrams (its layout cache is the fast path) and keeps learnt compact formats;
what an open telegram holds is the rule of ``readings.mbus``. Damaged frames are read as far as they go.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from meterspan.engine.mbus_security import open_transport
from meterspan.engine.wmbus_receiver import Telegram
from meterspan.model.telegram import DecodedTelegram, DeviceIdentity
from meterspan.readings.dlms import decode_apdus
from meterspan.readings.job import Job
from meterspan.readings.mbus import contents_of
from meterspan.readings.merge import merge
from meterspan.wire import ChecksumError, Cursor, Trace, TruncatedError, WireError
from meterspan.wire.mbus import read_records
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.application import ApplicationMessage, read_application
from meterspan.wire.mbus.link import read_link_frame
from meterspan.wire.mbus.transport import Ci
from meterspan.wire.wmbus.compact import FULL_FRAME_CRC

__all__ = ["decode_mbus", "decode_wmbus", "read_wired"]

MAX_FRAMES = 64
"""Frames of one input; a long profile of a wired meter has fewer pages."""
MIN_FRAME = 11
CACHED_DEVICES = 16_384
"""Identities kept in words: the meters that one collector hears."""
_RECORDS_CI = frozenset({Ci.RESPONSE_LONG, Ci.RESPONSE_SHORT, Ci.RESPONSE_LONG_REVERSED})
_SEGMENTS = 0x1F
_SEGMENT_HEAD = 3
"""CI field, source and destination address of a DLMS segment (EN 13757-1)."""
_LONG_HEAD, _LONG_TAIL = 6, 2
_LONG_START = re.compile(rb"\x68([\x03-\xff])\1\x68", re.DOTALL)
_EIGHT_DIGITS = re.compile(r"[0-9A-Fa-f]{8}")


def decode_wmbus(octets: bytes, job: Job) -> DecodedTelegram:
    """Decode wireless telegrams, one or several in a row."""
    telegrams: list[DecodedTelegram] = []
    while octets and len(telegrams) < MAX_FRAMES:
        job.learnt.key.value = job.key
        try:
            telegram = job.learnt.receiver.read(octets, trace=job.trace)
        except WireError as error:
            telegrams.append(_salvage(octets, error, job))
            break
        telegrams.append(_answer("wmbus", telegram, job))
        trailing = telegram.frame.trailing if telegram.frame is not None else b""
        octets = trailing if len(trailing) > MIN_FRAME else b""
    return merge(telegrams)


def decode_mbus(octets: bytes, job: Job) -> DecodedTelegram:
    """Decode wired frames (EN 13757-2): one or several in a row, or the segments of a DLMS push.

    A frame with a wrong checksum is named, and read as far as it goes.
    """
    segments = bytearray()
    telegrams: list[DecodedTelegram] = []
    for payload, offset, damage in _payloads(Cursor(octets, trace=job.trace)):
        if damage is not None:
            telegrams.append(DecodedTelegram("mbus", errors=(damage,)))
        if payload and payload[0] <= _SEGMENTS:
            segments += payload[_SEGMENT_HEAD:]
        elif payload:
            telegrams.append(_wired(Cursor(payload, base=offset, trace=job.trace), job))
    if segments:
        telegrams.append(decode_apdus(bytes(segments), job))
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


def _wired(cursor: Cursor, job: Job) -> DecodedTelegram:
    try:
        return _application(read_application(cursor), job)
    except WireError as error:
        return DecodedTelegram("mbus", errors=(error,))


def _application(message: ApplicationMessage, job: Job) -> DecodedTelegram:
    if message.error is not None:
        reported = WireError(f"the device reports: {message.error}")
        return DecodedTelegram("mbus", _identity(message.transport.address), errors=(reported,))
    return _answer("mbus", _opened(message, job.key, job.trace), job)


def read_wired(octets: bytes, key: bytes | None = None) -> Telegram:
    """Read one wired frame and open it.

    Raises:
        WireError: the frame is damaged, holds no application data, or cannot be opened.

    """
    message = read_application(Cursor(read_link_frame(Cursor(octets)).payload or b"", base=_LONG_HEAD))
    if message.error is not None:
        raise WireError(f"the device reports: {message.error}")
    return _opened(message, key, None)


def _opened(message: ApplicationMessage, key: bytes | None, trace: Trace | None) -> Telegram:
    payload, records = message.payload, message.records
    if message.transport.announces_encryption and message.ci in _RECORDS_CI:
        payload = open_transport(message.transport, payload, key, offset=message.offset)
        records = read_records(Cursor(payload, base=message.offset, trace=trace))
    address = message.transport.address or DeviceAddress(bytes(8))
    return Telegram(address, message.transport, payload, records)


def _answer(protocol: str, telegram: Telegram, job: Job) -> DecodedTelegram:
    contents, device = contents_of(telegram, job.key), _identity(telegram.address)
    device = replace(device, id=contents.meter_id) if contents.meter_id else device
    error = contents.error
    if job.meter_id and _EIGHT_DIGITS.fullmatch(job.meter_id) and job.meter_id.upper() != device.id:
        error = WireError(f"meter {device.id} where {job.meter_id} was expected")
    return DecodedTelegram(protocol, device, None, contents.readings, () if error is None else (error,))


def _salvage(octets: bytes, error: WireError, job: Job) -> DecodedTelegram:
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
