"""Compact frames: records without their headers (EN 13757-3:2018, 8.5 and annex G).

A format is the header octets (DIF and VIF) of a device's records; a compact frame names it by its CRC and carries
only the data. Formats are learnt from full frames or from format frames into a ``FormatStore``, an explicit, bounded
value that survives a restart as octets.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Self

from meterspan.wire.checksum import crc_16_en_13757
from meterspan.wire.cursor import Cursor
from meterspan.wire.errors import ChecksumError, TruncatedError, UnsupportedError, WireError
from meterspan.wire.mbus.records import DIF_MANUFACTURER, DIF_MORE_FOLLOWS, Records, read_header, write_records
from meterspan.wire.mbus.values import lvar_size

__all__ = [
    "FULL_FRAME_CRC",
    "FormatStore",
    "expand_compact",
    "format_of",
    "format_signature",
    "read_format_frame",
    "write_compact",
]

MAX_FORMATS = 1_024
"""Formats kept; a device type has a handful."""
MAX_FORMAT_SIZE = 255
"""Octets of one format: the headers of what fits one frame."""
FULL_FRAME_CRC = "full-frame CRC"
"""Name of the field, by which a reader tells this damage from any other."""
_CLAUSE = "EN 13757-3:2018, 8.5"


class FormatStore:
    """Formats by signature; the one not used for longest goes when the store is full."""

    def __init__(self, formats: Iterable[bytes] = ()) -> None:
        self._formats: OrderedDict[int, bytes] = OrderedDict()
        for octets in formats:
            self.learn(octets)

    def __len__(self) -> int:
        """Count the formats."""
        return len(self._formats)

    def learn(self, octets: bytes) -> int:
        """Keep a format (header octets of all records) and give its signature."""
        signature = format_signature(octets)
        if 0 < len(octets) <= MAX_FORMAT_SIZE:
            self._formats[signature] = octets
            self._formats.move_to_end(signature)
            if len(self._formats) > MAX_FORMATS:
                self._formats.popitem(last=False)
        return signature

    def find(self, signature: int) -> bytes | None:
        """Return the format of a signature, or None."""
        octets = self._formats.get(signature)
        if octets is not None:
            self._formats.move_to_end(signature)
        return octets

    def to_bytes(self) -> bytes:
        """Write all formats, oldest first, each behind its length."""
        return b"".join(bytes((len(octets),)) + octets for octets in self._formats.values())

    @classmethod
    def from_bytes(cls, octets: bytes) -> Self:
        """Read what ``to_bytes`` wrote.

        Raises:
            TruncatedError: the octets are cut.

        """
        cursor, formats = Cursor(octets), []
        while cursor.remaining:
            formats.append(cursor.take(cursor.u8("format length"), "format"))
        return cls(formats)


def format_signature(octets: bytes) -> int:
    """Return the signature of a format: the CRC of EN 13757 over its octets."""
    return crc_16_en_13757(octets)


def format_of(records: Records) -> bytes:
    """Return the format of a full frame: the header octets of its records."""
    tail = b"" if records.manufacturer_data is None else bytes((_tail(records),))
    return b"".join(record.octets for record in records.records) + tail


def write_compact(records: Records) -> bytes:
    """Write the application data of a compact frame: format signature, full-frame CRC, data."""
    full = _without_fillers(records)
    data = b"".join(record.data for record in records.records) + (records.manufacturer_data or b"")
    signature = format_signature(format_of(records)).to_bytes(2, "little")
    return signature + crc_16_en_13757(full).to_bytes(2, "little") + data


def expand_compact(payload: bytes, store: FormatStore, *, offset: int = 0, is_checked: bool = True) -> bytes:
    """Put the record headers back: give the application data of the full frame.

    Args:
        payload: application data of CI 73, 79 or 7B, decrypted; fillers may stand in front.
        store: the formats known so far.
        offset: of the payload in the frame, for errors.
        is_checked: False leaves the CRC of the full frame alone, for a reader who names the damage beside the values.

    Raises:
        UnsupportedError: the format is not known (yet): a full frame will teach it.
        ChecksumError: the full frame's CRC differs.
        WireError: the data do not fit the format.

    """
    cursor = Cursor(payload, base=offset)
    signature = cursor.little(2, "format signature")
    check = cursor.little(2, FULL_FRAME_CRC)
    headers = store.find(signature)
    if headers is None and payload[:2] == b"\x2f\x2f":  # the verification octets of an encrypted payload
        fillers = len(payload) - len(payload.lstrip(b"\x2f"))
        return expand_compact(payload[fillers:], store, offset=offset + fillers, is_checked=is_checked)
    if headers is None:
        reason = f"compact frame of format {signature:04X}, which no full frame has taught yet"
        raise UnsupportedError(reason, offset, "format signature", _CLAUSE)
    full = _merge(headers, cursor)
    if is_checked and crc_16_en_13757(full) != check:
        raise ChecksumError("CRC of the full frame differs", offset + 2, FULL_FRAME_CRC, _CLAUSE)
    return full


def read_format_frame(payload: bytes, *, offset: int = 0) -> bytes:
    """Read the application data of a format frame (CI 69, 6A, 6B): length, signature, header octets.

    Raises:
        WireError: the octets are cut or the signature is of another format.

    """
    cursor = Cursor(payload, base=offset)
    inner = cursor.sub(cursor.u8("format length"), "format frame")
    signature = inner.little(2, "format signature")
    headers = inner.rest("format")
    if format_signature(headers) != signature:
        raise ChecksumError("signature is not of this format", offset + 1, "format signature", _CLAUSE)
    return headers


def _merge(headers: bytes, cursor: Cursor) -> bytes:
    full, at = bytearray(), 0
    while at < len(headers):
        if headers[at] in (DIF_MANUFACTURER, DIF_MORE_FOLLOWS):
            return bytes(full) + headers[at : at + 1] + cursor.rest("manufacturer data")
        header, stop = read_header(headers, at, len(headers), 0)
        full += headers[at:stop]
        size = header.size
        if size < 0:
            if not cursor.remaining:
                raise TruncatedError("needs 1 octet, has 0", cursor.position, "LVAR", _CLAUSE)
            size = 1 + lvar_size(cursor.peek()[0])
        full += cursor.take(size, f"data of {header.meaning.name}")
        at = stop
    if cursor.peek(cursor.remaining).strip(b"\x2f"):
        raise WireError(f"{cursor.remaining} octets left over", cursor.position, "compact frame data", _CLAUSE)
    return bytes(full)


def _tail(records: Records) -> int:
    return DIF_MORE_FOLLOWS if records.more_follows else DIF_MANUFACTURER


def _without_fillers(records: Records) -> bytes:
    full = write_records(records.records)
    if records.manufacturer_data is not None:
        full += bytes((_tail(records),)) + records.manufacturer_data
    return full
