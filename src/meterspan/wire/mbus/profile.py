"""Compact profiles: a series of values in one record (EN 13757-3:2018, annex F).

A record of variable length with VIFE 1E (or 1F: no register numbers; 13: backwards in time) holds a control octet
(how values are given, unit of spacing, data field), a spacing octet, and values one behind the other. They continue
the base record of the same VIF and storage number: the first stands at the next storage number.
"""

from dataclasses import dataclass
from enum import IntEnum

from meterspan.wire.errors import TruncatedError, UnsupportedError
from meterspan.wire.mbus.records import DataRecord, build_header, describe_header
from meterspan.wire.mbus.values import BCD_CODES, DATA_SIZES, LVAR, Value, pack_value, parse_value
from meterspan.wire.mbus.vif import DURATION_UNITS, ValueKind

__all__ = ["Increment", "Profile", "expand_profile", "is_profile"]

VIFE_INVERSE = 0x13
VIFES = frozenset({VIFE_INVERSE, 0x1E, 0x1F})
INT64 = 0x7
MAX_VALUE = 1 << 63
CONTROL_SIZE = 2
HALF_MONTH = 253
MONTH = 254
_CLAUSE = "EN 13757-3:2018, annex F"


class Increment(IntEnum):
    """How the values of a profile are given (bits 7 and 6 of the control octet)."""

    ABSOLUTE = 0
    POSITIVE = 1
    NEGATIVE = 2
    SIGNED = 3


@dataclass(frozen=True, slots=True)
class Profile:
    """A profile taken apart.

    Attributes:
        records: one per value, at the storage numbers that follow the base record's.
        spacing: octet of the time between two values.
        unit: s, min, h, d, or "month" and "half month".
        is_inverse: each value is older than the one before it.

    """

    records: tuple[DataRecord, ...]
    spacing: int
    unit: str
    is_inverse: bool


def is_profile(record: DataRecord) -> bool:
    """Whether a record holds a compact profile."""
    return record.header.data_field == LVAR and any(octet & 0x7F in VIFES for octet in record.vif[1:])


def expand_profile(record: DataRecord, base: DataRecord | None = None) -> Profile:
    """Split a profile into records of its own; invalid values are records without a value.

    Args:
        record: of which ``is_profile`` holds.
        base: the record with the same VIF and storage number, which increments start from.

    Raises:
        TruncatedError: control and spacing octet are missing.
        UnsupportedError: the data field has no fixed size, or increments have no base value to start from.

    """
    body = record.data[1:]
    if len(body) < CONTROL_SIZE:
        raise TruncatedError("a profile has a control and a spacing octet", record.offset, "profile", _CLAUSE)
    increment, code = Increment(body[0] >> 6), body[0] & 0x0F
    size = DATA_SIZES[code]
    if size <= 0:
        raise UnsupportedError(f"profile values of data field {code:X}", record.offset, "profile control", _CLAUSE)
    inverse = any(octet & 0x7F == VIFE_INVERSE for octet in record.vif[1:])
    values = [body[at : at + size] for at in range(CONTROL_SIZE, len(body) - size + 1, size)]
    if increment == Increment.ABSOLUTE:
        records = [_value_record(record, index, code, data) for index, data in enumerate(values)]
    else:
        records = _accumulate(record, base, increment, code, values, inverse=inverse)
    unit = DURATION_UNITS[body[0] >> 4 & 3]
    if unit == "d" and body[1] in (HALF_MONTH, MONTH):
        unit = "month" if body[1] == MONTH else "half month"
    return Profile(tuple(records), body[1], unit, inverse)


def _accumulate(
    record: DataRecord, base: DataRecord | None, increment: Increment, code: int, values: list[bytes], *, inverse: bool
) -> list[DataRecord]:
    """Add increments up from the base value; behind an invalid one nothing is known."""
    total: Value = None if base is None else base.value
    if not isinstance(total, int):
        raise UnsupportedError("increments have no base value to start from", record.offset, "profile", _CLAUSE)
    kind = ValueKind.NUMBER if increment == Increment.SIGNED or code in BCD_CODES else ValueKind.UNSIGNED
    sign = (-1 if increment == Increment.NEGATIVE else 1) * (-1 if inverse else 1)
    records = []
    for index, data in enumerate(values):
        step = parse_value(code, kind, data)
        if not isinstance(step, int) or _is_invalid(data, kind):
            break
        total += sign * step
        if not -MAX_VALUE <= total < MAX_VALUE:
            break
        records.append(_value_record(record, index, INT64, pack_value(INT64, total)))
    return records


def _is_invalid(data: bytes, kind: ValueKind) -> bool:
    """Whether an increment is the code for "not valid": all ones, or the lowest signed number."""
    if kind == ValueKind.UNSIGNED:
        return set(data) == {0xFF}
    return data[:-1] == bytes(len(data) - 1) and data[-1] == 0x80


def _value_record(record: DataRecord, index: int, code: int, data: bytes) -> DataRecord:
    header = record.header
    vif = _without_profile(header.vif)
    octets = build_header(
        code,
        vif,
        function=header.function,
        storage=header.storage + 1 + index,
        tariff=header.tariff,
        subunit=header.subunit,
    )
    own = describe_header(octets[: len(octets) - len(vif)], vif)
    return DataRecord(octets, data, parse_value(code, own.meaning.kind, data), own, record.offset)


def _without_profile(vif: bytes) -> bytes:
    """Return the VIF chain without the profile's VIFE, extension bits set anew."""
    codes = [octet & 0x7F for octet in vif[:1]] + [octet & 0x7F for octet in vif[1:] if octet & 0x7F not in VIFES]
    return bytes(code | 0x80 for code in codes[:-1]) + bytes(codes[-1:])
