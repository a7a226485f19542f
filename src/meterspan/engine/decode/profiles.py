"""Compact profiles: many values of one quantity in one data record (EN 13757-3:2018, annex F).

Layout: a spacing control octet (bits 7..6 how values follow each other, 5..4 unit of the spacing, 3..0 data field of an
element), a spacing value, then the elements. A normal profile runs forward from the base record of the same storage
number, an inverse one backward; the base itself is a record of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from meterspan.model.telegram import DecodedReading
from meterspan.wire.mbus import DataRecord
from meterspan.wire.mbus.values import DATA_SIZES, parse_value
from meterspan.wire.mbus.vif import ValueKind

__all__ = ["is_profile", "profile_readings"]

_LVAR = 0x0D
_INVERSE, _WITH_REGISTERS, _FORWARD = "inverse compact profile", "compact profile with registers", "compact profile"
_NAMES = frozenset({_INVERSE, _WITH_REGISTERS, _FORWARD})
_HALF_MONTHS, _MONTHS = 253, 254
_INVALID = 0xFF


def is_profile(record: DataRecord) -> bool:
    """Whether a record packs many values."""
    modifiers = record.header.meaning.modifiers
    return bool(modifiers) and record.header.data_field == _LVAR and not _NAMES.isdisjoint(modifiers)


def profile_readings(
    record: DataRecord, records: Sequence[DataRecord], whole: DecodedReading
) -> Iterator[DecodedReading]:
    """Give one reading for each element; the record itself where its layout is not readable.

    Args:
        record: the profile.
        records: all records, among which are the base value and its time.
        whole: the reading of the record as it stands.

    """
    octets = record.data[1:]
    size = DATA_SIZES[octets[0] & 0x0F] if len(octets) > 2 else 0
    if size <= 0:
        yield whole
        return
    control, spacing = octets[0], octets[1]
    meaning = record.header.meaning
    sign = -1 if _INVERSE in meaning.modifiers else 1
    base, moment = _base(record, records)
    running = base
    for index in range((len(octets) - 2) // size):
        data = octets[2 + size * index : 2 + size * (index + 1)]
        raw = None if data == bytes((_INVALID,)) * size else parse_value(control & 0x0F, ValueKind.NUMBER, data)
        running = _next(running, raw, control >> 6, sign)
        if running is None:
            continue
        time = _time(moment, sign * (index + 1), control >> 4 & 3, spacing)
        yield replace(
            whole, quantity=meaning.name, value=running.scaleb(meaning.exponent), time=time,
            unit=meaning.unit.symbol if meaning.unit is not None else "1", storage=whole.storage + index + 1,
        )  # fmt: skip


def _base(record: DataRecord, records: Sequence[DataRecord]) -> tuple[Decimal | None, date | None]:
    """Find the raw base value (same quantity and storage) and the date of that storage number."""
    header = record.header
    same = [other for other in records if other is not record and other.header.storage == header.storage]
    value = next((other.value for other in same if other.vif[:1] == bytes((header.vif[0] & 0x7F,))), None)
    moment = next((other.value for other in same if isinstance(other.value, date)), None)
    return (Decimal(value) if isinstance(value, int | Decimal) else None), moment


def _next(running: Decimal | None, raw: object, mode: int, sign: int) -> Decimal | None:
    """Give the next value: absolute, or by positive, negative or signed increment (annex F, table F.2)."""
    if not isinstance(raw, int | Decimal):
        return None
    if mode == 0:
        return Decimal(raw)
    if running is None:
        return None
    return running - sign * raw if mode == 2 else running + sign * raw


def _time(moment: date | None, steps: int, unit: int, spacing: int) -> str | None:
    """Give the time of an element: ``spacing`` seconds, minutes, hours, or days, half months or months, per step."""
    if moment is None or spacing == 0:
        return None
    if unit == 3:
        return _calendar(moment, steps, spacing)
    if not isinstance(moment, datetime):
        return None
    return (moment + timedelta(seconds=steps * spacing * (1, 60, 3_600)[unit])).isoformat()


def _calendar(moment: date, steps: int, spacing: int) -> str | None:
    if spacing < _HALF_MONTHS:
        return (moment + timedelta(days=steps * spacing)).isoformat()
    if spacing != _MONTHS:
        return None
    month = moment.year * 12 + moment.month - 1 + steps
    is_last = (moment + timedelta(days=1)).day == 1
    first_of_next = date(month // 12 + (month % 12 == 11), (month + 1) % 12 + 1, 1)
    last = first_of_next - timedelta(days=1)
    day = last.day if is_last else min(moment.day, last.day)
    return date(last.year, last.month, day).isoformat()
