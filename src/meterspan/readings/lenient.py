"""COSEM data of push bodies that break the rules of A-XDR in ways seen in the field.

Two errata are read beside the standard's types: tag and length swapped before an OBIS code (``06 09`` for ``09 06``,
Landis+Gyr ZMF100), and attribute descriptors without any tags as elements of a structure (Sagemcom XT211).
"""

from meterspan.wire import Cursor, WireError
from meterspan.wire.axdr import Data, DataType, integer, long_unsigned, octet_string, read_data, structure

__all__ = ["read_push_data"]

MAX_DEPTH = 16
_SWAPPED_OBIS = b"\x06\x09"
_DESCRIPTOR_SIZE = 9
_MAX_CLASS = 0xFF  # interface classes of push objects have one-octet numbers


def read_push_data(cursor: Cursor) -> Data:
    """Read one value: by the standard, or where that fails, with the errata.

    Raises:
        WireError: it can't be read either way; the error is that of the standard's reader.

    """
    start = cursor.offset
    spans = len(cursor.trace.spans) if cursor.trace is not None else 0
    strict_error = None
    try:
        data = read_data(cursor)
    except WireError as error:
        strict_error = error
    else:
        if not cursor.remaining:
            return data
    stop, cursor.offset = cursor.offset, start
    if cursor.trace is not None:
        del cursor.trace.spans[spans:]
    try:
        return _read(cursor, 0)
    except WireError:
        if strict_error is not None:
            raise strict_error from None
    cursor.offset = start
    data = read_data(cursor)
    cursor.offset = stop
    return data


def _read(cursor: Cursor, depth: int) -> Data:
    head = cursor.peek(8)
    if head[:2] == _SWAPPED_OBIS and head[7:8] == b"\xff":
        cursor.take(2, "swapped tag and length")
        return octet_string(cursor.take(6, "logical name"))
    if head[:1] not in {b"\x01", b"\x02"}:
        return read_data(cursor)
    if depth == MAX_DEPTH:
        raise WireError(f"nests deeper than {MAX_DEPTH}", cursor.position, "data")
    kind = DataType(cursor.u8("tag"))
    count = cursor.u8("count")
    if count > cursor.remaining:
        raise WireError(f"{count} elements in {cursor.remaining} octets", cursor.position, "count")
    readers = ((_descriptor(cursor) if _is_descriptor(cursor) else _read(cursor, depth + 1)) for _ in range(count))
    return Data(kind, tuple(readers))


def _is_descriptor(cursor: Cursor) -> bool:
    """Whether a class, a logical name with F = 255 and an attribute number are here without tags."""
    octets = cursor.peek(_DESCRIPTOR_SIZE)
    if len(octets) < _DESCRIPTOR_SIZE or octets[0] or not 1 <= octets[1] <= _MAX_CLASS:
        return False
    return octets[2] in {0, 1} and octets[7] == 0xFF and 1 <= octets[8] <= 0x20


def _descriptor(cursor: Cursor) -> Data:
    class_id = cursor.big(2, "class-id")
    name = cursor.take(6, "logical name")
    return structure(long_unsigned(class_id), octet_string(name), integer(cursor.u8("attribute-id")))
