"""SML files and their messages (SML 1.04, 5): the responses that meters push, typed; every other body survives raw.

Layout of a message: a list of transaction id, group number, abort-on-error, body (a list of tag and content), CRC-16
and 0x00. Meters push a file of OpenResponse, GetListResponse and CloseResponse. Erratum of the field (Holley DTZ541): a
time stands as a bare unsigned where the standard has a list of kind and value; it is read as a second index.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import TypeAlias

from meterspan.quantities import Obis, Scaled, unit_of_code
from meterspan.wire.cursor import Cursor
from meterspan.wire.errors import WireError
from meterspan.wire.sml.tlv import END_OF_MESSAGE, EndOfMessage, Integer, Tlv, read_tlv, write_tlv
from meterspan.wire.sml.transport import SmlChecksum, frame_crc

__all__ = [
    "SmlCloseResponse",
    "SmlEntry",
    "SmlGetListResponse",
    "SmlGetProfileListResponse",
    "SmlMessage",
    "SmlOpenResponse",
    "SmlTag",
    "SmlTime",
    "SmlTimeKind",
    "SmlUnknown",
    "read_file",
    "read_message",
    "write_file",
    "write_message",
]

MAX_MESSAGES = 256  # a gateway's file holds a message per meter; a meter's holds three


class SmlTag(IntEnum):
    """Message body tags that have a record here (SML 1.04, 5.1)."""

    OPEN_RESPONSE = 0x0101
    CLOSE_RESPONSE = 0x0201
    GET_PROFILE_LIST_RESPONSE = 0x0401
    GET_LIST_RESPONSE = 0x0701


class SmlTimeKind(IntEnum):
    """What an SML time counts."""

    SECOND_INDEX = 1
    """Seconds since the meter was started; not a date."""
    TIMESTAMP = 2
    """Seconds since 1970, UTC."""
    LOCAL_TIMESTAMP = 3


@dataclass(frozen=True, slots=True)
class SmlTime:
    """A time: what it counts, the seconds, and the offsets of a local time stamp in minutes."""

    kind: int
    seconds: int
    local_offset_min: int = 0
    season_offset_min: int = 0


@dataclass(frozen=True, slots=True)
class SmlOpenResponse:
    """Opens a file."""

    request_file_id: bytes
    server_id: bytes
    codepage: bytes = b""
    client_id: bytes = b""
    time: SmlTime | None = None
    version: int | None = None


@dataclass(frozen=True, slots=True)
class SmlCloseResponse:
    """Closes a file."""

    signature: bytes = b""


@dataclass(frozen=True, slots=True)
class SmlEntry:
    """One value of a list: six octets of OBIS, the value, its unit code and power of ten."""

    name: bytes
    value: bytes | bool | Integer | tuple[Tlv, ...] | None
    unit: int | None = None
    scaler: int = 0
    status: Integer | None = None
    time: SmlTime | None = None
    signature: bytes = b""

    @property
    def obis(self) -> Obis | None:
        """The OBIS code, None where the name is no six octets."""
        return Obis(*self.name) if len(self.name) == 6 else None

    @property
    def scaled(self) -> Scaled | None:
        """The number with its unit, None where the value is not a number or has no unit."""
        if isinstance(self.value, Integer) and self.unit is not None:
            return Scaled(self.value.value, self.scaler, unit_of_code(self.unit))
        return None


@dataclass(frozen=True, slots=True)
class SmlGetListResponse:
    """The values of a meter."""

    server_id: bytes
    entries: tuple[SmlEntry, ...]
    client_id: bytes = b""
    list_name: bytes = b""
    sensor_time: SmlTime | None = None
    signature: bytes = b""
    gateway_time: SmlTime | None = None


@dataclass(frozen=True, slots=True)
class SmlGetProfileListResponse:
    """One line of a load profile."""

    server_id: bytes
    entries: tuple[SmlEntry, ...]
    time: SmlTime | None = None
    period_s: int = 0
    path: tuple[bytes, ...] = ()
    value_time: SmlTime | None = None
    status: int = 0
    raw: bytes = b""
    signature: bytes = b""


@dataclass(frozen=True, slots=True)
class SmlUnknown:
    """A body that has no record here, as it stood."""

    content: Tlv


SmlBody: TypeAlias = SmlOpenResponse | SmlCloseResponse | SmlGetListResponse | SmlGetProfileListResponse | SmlUnknown


@dataclass(frozen=True, slots=True)
class SmlMessage:
    """A message; ``checksum`` is the CRC that fits, None where none does."""

    transaction: bytes
    tag: int
    body: SmlBody
    group: int = 0
    abort_on_error: int = 0
    checksum: SmlChecksum | None = SmlChecksum.X25


def read_file(octets: bytes) -> tuple[SmlMessage, ...]:
    """Read the messages of a file.

    Raises:
        WireError: a message cannot be read, or there are more than ``MAX_MESSAGES``.

    """
    cursor = Cursor(octets)
    messages: list[SmlMessage] = []
    while cursor.remaining:
        if cursor.peek() == b"\x00":  # fill octets that the transport left in
            rest = cursor.peek(cursor.remaining)
            cursor.take(len(rest) - len(rest.lstrip(b"\x00")), "fill")
            continue
        if len(messages) == MAX_MESSAGES:
            raise WireError(f"more than {MAX_MESSAGES} messages", cursor.position, "SML file")
        messages.append(read_message(cursor))
    return tuple(messages)


def read_message(cursor: Cursor) -> SmlMessage:
    """Read one message.

    Raises:
        WireError: the octets are no message.

    """
    start = cursor.offset
    if cursor.peek() != b"\x76":
        raise WireError("a message is a list of six", cursor.position, "SML message", "SML 1.04, 5.1")
    cursor.u8("message")
    transaction = _octets(read_tlv(cursor, "transaction id"))
    group = _number(read_tlv(cursor, "group number"), cursor)
    abort = _number(read_tlv(cursor, "abort on error"), cursor)
    body = read_tlv(cursor, "message body")
    end = cursor.offset
    stated = read_tlv(cursor, "message CRC")
    if read_tlv(cursor, "end of message") is not END_OF_MESSAGE:
        raise WireError("no end of message", cursor.position, "end of message", "SML 1.04, 5.1")
    if not isinstance(body, tuple) or len(body) != 2 or not isinstance(body[0], Integer):
        raise WireError("a body is a tag and its content", cursor.base + start, "message body", "SML 1.04, 5.1")
    tag = body[0].value & 0xFFFF  # makers send the 32-bit tag in as few octets as it needs
    checksum = _matching(cursor.octets[start:end], stated)
    return SmlMessage(transaction, tag, _read_body(tag, body[1]), group, abort, checksum)


def write_file(messages: "tuple[SmlMessage, ...] | list[SmlMessage]") -> bytes:
    """Write the messages of a file (without the transport's escapes)."""
    return b"".join(map(write_message, messages))


def write_message(message: SmlMessage) -> bytes:
    """Write one message; the CRC is computed, X.25 where the record has none that fits."""
    body = (Integer(message.tag, 2, signed=False), _write_body(message.body))
    head = (message.transaction or None, _u8(message.group), _u8(message.abort_on_error), body)
    octets = b"\x76" + b"".join(map(write_tlv, head))
    crc = frame_crc(octets, message.checksum or SmlChecksum.X25)
    return octets + b"\x63" + crc + b"\x00"


def _matching(octets: bytes, stated: Tlv) -> SmlChecksum | None:
    if not isinstance(stated, Integer):
        return None
    wire = (stated.value & 0xFFFF).to_bytes(2, "big")  # one octet where the CRC has a leading zero; signed if damaged
    return next((kind for kind in SmlChecksum if frame_crc(octets, kind) == wire), None)


def _read_body(tag: int, content: Tlv) -> SmlBody:
    reader = _READERS.get(tag)
    if reader is None or not isinstance(content, tuple) or len(content) != reader[0]:
        return SmlUnknown(content)
    return reader[1](content)


def _read_open(fields: tuple[Tlv, ...]) -> SmlBody:
    codepage, client, request, server, time, version = fields
    number = version.value if isinstance(version, Integer) else None
    return SmlOpenResponse(_octets(request), _octets(server), _octets(codepage), _octets(client), _time(time), number)


def _read_close(fields: tuple[Tlv, ...]) -> SmlBody:
    return SmlCloseResponse(_octets(fields[0]))


def _read_list(fields: tuple[Tlv, ...]) -> SmlBody:
    client, server, name, time, values, signature, gateway = fields
    return SmlGetListResponse(
        _octets(server),
        _entries(values, 7),
        _octets(client),
        _octets(name),
        _time(time),
        _octets(signature),
        _time(gateway),
    )


def _read_profile(fields: tuple[Tlv, ...]) -> SmlBody:
    server, time, period, path, value_time, status, periods, raw, signature = fields
    return SmlGetProfileListResponse(
        _octets(server),
        _entries(periods, 5),
        _time(time),
        _plain(period),
        tuple(_octets(step) for step in path) if isinstance(path, tuple) else (),
        _time(value_time),
        _plain(status),
        _octets(raw),
        _octets(signature),
    )


def _entries(values: Tlv, width: int) -> tuple[SmlEntry, ...]:
    rows = values if isinstance(values, tuple) else ()
    return tuple(_entry(row) for row in rows if isinstance(row, tuple) and len(row) == width)


def _entry(row: tuple[Tlv, ...]) -> SmlEntry:
    if len(row) == 5:
        name, unit, scaler, value, signature = row
        status: Tlv = None
        time: Tlv = None
    else:
        name, status, time, unit, scaler, value, signature = row
    return SmlEntry(
        _octets(name),
        None if isinstance(value, EndOfMessage) else value,
        unit.value if isinstance(unit, Integer) else None,
        _plain(scaler),
        status if isinstance(status, Integer) else None,
        _time(time),
        _octets(signature),
    )


def _time(value: Tlv) -> SmlTime | None:
    if isinstance(value, Integer):
        return SmlTime(SmlTimeKind.SECOND_INDEX, value.value)
    if not isinstance(value, tuple) or len(value) != 2 or not isinstance(value[0], Integer):
        return None
    kind, content = value[0].value, value[1]
    if isinstance(content, Integer):
        return SmlTime(kind, content.value)
    if isinstance(content, tuple) and len(content) == 3:
        return SmlTime(kind, *(_plain(field) for field in content))
    return None


def _octets(value: Tlv) -> bytes:
    return value if isinstance(value, bytes) else b""


def _plain(value: Tlv) -> int:
    return value.value if isinstance(value, Integer) else 0


def _number(value: Tlv, cursor: Cursor) -> int:
    if not isinstance(value, Integer):
        raise WireError("is no integer", cursor.position, "SML message", "SML 1.04, 5.1")
    return value.value


_READERS: dict[int, tuple[int, Callable[[tuple[Tlv, ...]], SmlBody]]] = {
    SmlTag.OPEN_RESPONSE: (6, _read_open),
    SmlTag.CLOSE_RESPONSE: (1, _read_close),
    SmlTag.GET_LIST_RESPONSE: (7, _read_list),
    SmlTag.GET_PROFILE_LIST_RESPONSE: (9, _read_profile),
}
"""Tag to how many fields the body has, and its reader (SML 1.04, 5.1)."""


def _write_body(body: SmlBody) -> Tlv:
    if isinstance(body, SmlUnknown):
        return body.content
    if isinstance(body, SmlOpenResponse):
        version = None if body.version is None else _u8(body.version)
        ids = (body.codepage or None, body.client_id or None, body.request_file_id or None, body.server_id or None)
        return (*ids, _write_time(body.time), version)
    if isinstance(body, SmlCloseResponse):
        return (body.signature or None,)
    if isinstance(body, SmlGetListResponse):
        values = tuple(_write_entry(entry) for entry in body.entries)
        head = (body.client_id or None, body.server_id or None, body.list_name or None, _write_time(body.sensor_time))
        return (*head, values, body.signature or None, _write_time(body.gateway_time))
    periods = tuple(_write_period(entry) for entry in body.entries)
    return (
        body.server_id or None,
        _write_time(body.time),
        Integer(body.period_s, 4, signed=False),
        tuple(body.path),
        _write_time(body.value_time),
        Integer(body.status, 8, signed=False),
        periods,
        body.raw or None,
        body.signature or None,
    )


def _write_entry(entry: SmlEntry) -> Tlv:
    name, unit, scaler, value, signature = _write_period(entry)
    return (name, entry.status, _write_time(entry.time), unit, scaler, value, signature)


def _write_period(entry: SmlEntry) -> tuple[Tlv, Tlv, Tlv, Tlv, Tlv]:
    bare = entry.unit is None and entry.scaler == 0
    unit = None if entry.unit is None else _u8(entry.unit)
    scaler = None if bare else Integer(entry.scaler, 1, signed=True)
    return entry.name, unit, scaler, entry.value, entry.signature or None


def _write_time(time: SmlTime | None) -> Tlv:
    if time is None:
        return None
    seconds = Integer(time.seconds, 4, signed=False)
    if time.kind != SmlTimeKind.LOCAL_TIMESTAMP:
        return (_u8(time.kind), seconds)
    offsets = (Integer(time.local_offset_min, 2, signed=True), Integer(time.season_offset_min, 2, signed=True))
    return (_u8(time.kind), (seconds, *offsets))


def _u8(value: int) -> Integer:
    return Integer(value, 1, signed=False)
