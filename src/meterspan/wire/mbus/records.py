"""Data records of the M-Bus application layer (EN 13757-3:2018, 6.3 to 6.6).

A record is a header (DIF, DIFEs, VIF, VIFEs, plain-text unit) and data. What a header means is worked out once and
kept by its octets in a bounded cache, because meters repeat themselves; a record keeps its octets beside its value,
so that every record, known or not, is written again octet by octet.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Context, Decimal
from enum import IntEnum
from functools import lru_cache

from meterspan.quantities import Scaled, Unit
from meterspan.wire.cursor import Cursor
from meterspan.wire.errors import TruncatedError, UnsupportedError, WireError
from meterspan.wire.mbus.values import DATA_FIELDS, DATA_SIZES, REAL, Value, lvar_size, pack_value, parse_value
from meterspan.wire.mbus.vif import EXTENSION, VIF_PLAIN_TEXT, Quantity, ValueKind, read_quantity, vif_in_words

__all__ = [
    "DataRecord",
    "Function",
    "RecordHeader",
    "Records",
    "build_header",
    "build_record",
    "describe_header",
    "read_records",
    "write_records",
]

MAX_EXTENSIONS = 10
"""DIFEs, and likewise VIFEs, of one record (6.3.2, 6.4.2)."""
MAX_RECORDS = 1_024
"""Records of one telegram: the longest reassembled telegram we accept (16 KiB) has no use for more."""
CACHED_HEADERS = 4_096
"""Distinct record headers whose meaning is kept: some hundred device types with some ten records each."""

DIF_MANUFACTURER = 0x0F
DIF_MORE_FOLLOWS = 0x1F
DIF_IDLE = 0x2F
DIF_GLOBAL_READOUT = 0x7F
SPECIAL = 0x0F
_NUMBERS = (int, Decimal)
_EXACT = Context(prec=200)
"""More digits than the longest number (64 octets) has, so that scaling never rounds."""


class Function(IntEnum):
    """The function field of a DIF (6.3.2, table 6)."""

    INSTANTANEOUS = 0
    MAXIMUM = 1
    MINIMUM = 2
    ERROR = 3

    def __str__(self) -> str:
        """Write the word that readings use."""
        return self.name.lower()


@dataclass(frozen=True, slots=True)
class RecordHeader:
    """What the header octets of a record mean.

    Attributes:
        dif: DIF and DIFEs.
        vif: VIF and VIFEs, without a plain-text unit.
        data_field: the data field code 0..F of the DIF.
        function: instantaneous, maximum, minimum or error state.
        storage: storage number; 0 is the current value.
        tariff: tariff number; 0 is the total.
        subunit: the device's sub-unit.
        meaning: what is measured.
        size: octets of data; -1 where an LVAR octet tells.

    """

    dif: bytes
    vif: bytes
    data_field: int
    function: Function
    storage: int
    tariff: int
    subunit: int
    meaning: Quantity
    size: int


@dataclass(frozen=True, slots=True)
class DataRecord:
    """One data record.

    Attributes:
        octets: the header octets as they stand on the wire.
        data: the data octets, LVAR included.
        value: the raw value: not yet scaled.
        header: the meaning of the header octets.
        offset: where the record starts in what was read.

    """

    octets: bytes
    data: bytes
    value: Value
    header: RecordHeader
    offset: int = 0

    def __str__(self) -> str:
        """Write quantity, value and where it belongs: ``volume 12.345 m3 (storage 1, maximum)``."""
        numbers = ("storage", self.storage), ("tariff", self.tariff), ("subunit", self.subunit)
        where = [f"{name} {number}" for name, number in numbers if number]
        where += [str(self.function)] if self.function else []
        where += self.modifiers
        number = self.decimal
        value = self._text() if number is None else f"{number:f}"
        text = " ".join(part for part in (self.quantity, value, str(self.unit or "")) if part)
        return f"{text} ({', '.join(where)})" if where else text

    def _text(self) -> str:
        if self.value is None:
            return "-"
        return self.value.hex() if isinstance(self.value, bytes) else str(self.value)

    @property
    def dif(self) -> bytes:
        """DIF and DIFEs."""
        return self.header.dif

    @property
    def vif(self) -> bytes:
        """VIF and VIFEs, without a plain-text unit."""
        return self.header.vif

    @property
    def function(self) -> Function:
        """Instantaneous, maximum, minimum or error state."""
        return self.header.function

    @property
    def storage(self) -> int:
        """Storage number; 0 is the current value."""
        return self.header.storage

    @property
    def tariff(self) -> int:
        """Tariff number; 0 is the total."""
        return self.header.tariff

    @property
    def subunit(self) -> int:
        """The device's sub-unit."""
        return self.header.subunit

    @property
    def quantity(self) -> str:
        """What is measured, in plain words."""
        return self.header.meaning.name

    @property
    def unit(self) -> Unit | None:
        """The unit of the scaled value; None for dates, texts and flags."""
        return self.header.meaning.unit

    @property
    def exponent(self) -> int:
        """The raw value times 10^exponent is in ``unit``."""
        return self.header.meaning.exponent

    @property
    def modifiers(self) -> tuple[str, ...]:
        """What combinable VIFEs say, in words."""
        return self.header.meaning.modifiers

    @property
    def decimal(self) -> Decimal | None:
        """The exact scaled number in ``unit``; None where the value is no number."""
        value = self.value
        if not isinstance(value, _NUMBERS):
            return None
        meaning = self.header.meaning
        scaled = Decimal(value).scaleb(meaning.exponent, _EXACT)
        return _EXACT.add(scaled, meaning.addend) if meaning.addend else scaled

    @property
    def scaled(self) -> Scaled | None:
        """The exact integer with its power of ten and unit; None where there is no number or no unit."""
        number, unit = self.decimal, self.unit
        if number is None or unit is None:
            return None
        sign, digits, exponent = number.as_tuple()
        if not isinstance(exponent, int):  # reals that are no numbers were read as None
            return None
        magnitude = int("".join(map(str, digits)))
        return Scaled(-magnitude if sign else magnitude, exponent, unit)


@dataclass(frozen=True, slots=True)
class Records:
    """All records of one telegram, and what stood around them.

    Attributes:
        records: in the order of the telegram.
        manufacturer_data: what follows DIF 0F or 1F; None where there is neither.
        more_follows: DIF 1F stood there: the device has another telegram.
        fillers: idle fillers 2F in front of record i, at index i, and before the end, at the last index.
        rest: what could not be read; empty where ``error`` is None.
        error: what ended the reading.

    """

    records: tuple[DataRecord, ...] = ()
    manufacturer_data: bytes | None = None
    more_follows: bool = False
    fillers: tuple[int, ...] = ()
    rest: bytes = b""
    error: WireError | None = None


@lru_cache(maxsize=CACHED_HEADERS)
def describe_header(dif: bytes, vif: bytes, text: str | None = None) -> RecordHeader:
    """Return the meaning of DIF, DIFEs, VIF and VIFEs (with the plain-text unit, where the VIF is 7C/FC)."""
    first = dif[0]
    storage, tariff, subunit = first >> 6 & 1, 0, 0
    for index, dife in enumerate(dif[1:]):
        storage |= (dife & 0x0F) << (1 + 4 * index)
        tariff |= (dife >> 4 & 3) << (2 * index)
        subunit |= (dife >> 6 & 1) << index
    code = first & 0x0F
    meaning = read_quantity(vif, text) if vif else Quantity("global readout request", kind=ValueKind.BLOCK)
    size = 0 if code == SPECIAL else DATA_SIZES[code]
    return RecordHeader(dif, vif, code, Function(first >> 4 & 3), storage, tariff, subunit, meaning, size)


def read_records(source: bytes | Cursor, *, most_significant_first: bool = False) -> Records:
    """Read all records of an application layer's variable data, up to the end or to DIF 0F/1F.

    A record that cannot be read ends the reading: the records before it are given together with the error, which
    says where. Nothing is raised. ``most_significant_first`` is the octet order of CI 76 (mode 2 of EN 1434-3).
    """
    cursor = source if isinstance(source, Cursor) else Cursor(source)
    records: list[DataRecord] = []
    fillers: list[int] = []
    idle = 0
    while cursor.remaining:
        start = cursor.offset
        dif = cursor.octets[start]
        if dif == DIF_IDLE:
            idle += 1
            cursor.offset += 1
            if cursor.trace is not None:
                cursor.trace.add(cursor.base + start, b"\x2f", "DIF", "idle filler")
            continue
        fillers.append(idle)
        idle = 0
        if dif in (DIF_MANUFACTURER, DIF_MORE_FOLLOWS):
            cursor.u8("DIF")
            more = dif == DIF_MORE_FOLLOWS
            cursor.explain("more records follow in the next telegram" if more else "manufacturer data follow")
            data = cursor.rest("manufacturer data")
            return Records(tuple(records), data, more, tuple(fillers))
        try:
            records.append(_read_record(cursor, len(records), reverse=most_significant_first))
        except WireError as error:
            cursor.offset = start
            return Records(tuple(records), None, False, tuple(fillers), cursor.octets[start : cursor.end], error)
    fillers.append(idle)
    return Records(tuple(records), None, False, tuple(fillers))


def write_records(records: Records | Iterable[DataRecord]) -> bytes:
    """Write records octet by octet as they were read or built."""
    if not isinstance(records, Records):
        return b"".join(record.octets + record.data for record in records)
    fillers = records.fillers or (0,) * (len(records.records) + 1)
    octets = bytearray()
    for filler, record in zip(fillers, records.records, strict=False):
        octets += bytes([DIF_IDLE]) * filler + record.octets + record.data
    octets += bytes([DIF_IDLE]) * fillers[len(records.records)]
    if records.manufacturer_data is not None:
        octets.append(DIF_MORE_FOLLOWS if records.more_follows else DIF_MANUFACTURER)
        octets += records.manufacturer_data
    return bytes(octets + records.rest)


def build_header(
    data_field: int,
    vif: bytes,
    *,
    function: Function = Function.INSTANTANEOUS,
    storage: int = 0,
    tariff: int = 0,
    subunit: int = 0,
) -> bytes:
    """Build the header octets of a record: DIF, as few DIFEs as the numbers need, and the VIF chain as given.

    Args:
        data_field: the data field code of the DIF, 0 to 15.
        vif: the VIF with its extensions, as transmitted.
        function: instantaneous, minimum, maximum or error.
        storage: storage number.
        tariff: tariff number.
        subunit: subunit number.

    Raises:
        ValueError: a number needs more than ten DIFEs.

    """
    dif = [data_field | function << 4 | (storage & 1) << 6]
    storage >>= 1
    while storage or tariff or subunit:
        dif.append((storage & 0x0F) | (tariff & 3) << 4 | (subunit & 1) << 6)
        storage, tariff, subunit = storage >> 4, tariff >> 2, subunit >> 1
    if len(dif) > 1 + MAX_EXTENSIONS:
        raise ValueError("the numbers need more than ten DIFEs")
    return bytes(octet | EXTENSION for octet in dif[:-1]) + bytes(dif[-1:]) + vif


def build_record(octets: bytes, value: Value) -> DataRecord:
    """Build a record from header octets and its value; numbers are given in the unit of the VIF and are scaled.

    Raises:
        ValueError: the octets are no record header, or the value does not fit it exactly.

    """
    try:
        header, used = read_header(octets, 0, len(octets), 0)
    except WireError as error:
        raise ValueError(f"no record header: {error}") from error
    if used != len(octets):
        raise ValueError(f"{len(octets) - used} octets follow the record header")
    raw = value
    if isinstance(value, int | Decimal):
        raw = _EXACT.subtract(Decimal(value), header.meaning.addend).scaleb(-header.meaning.exponent, _EXACT)
    data = pack_value(header.data_field, raw)
    read = parse_value(header.data_field, header.meaning.kind, data)
    if isinstance(raw, _NUMBERS) and header.data_field != REAL and read != raw:
        raise ValueError(f"{raw} does not fit {header.meaning.name} in data field {header.data_field:X}")
    return DataRecord(octets, data, read, header)


def _read_record(cursor: Cursor, index: int, *, reverse: bool) -> DataRecord:
    if index == MAX_RECORDS:
        raise WireError(f"more than {MAX_RECORDS} records", cursor.position, "data records")
    octets, start, base = cursor.octets, cursor.offset, cursor.base
    header, at = read_header(octets, start, cursor.end, base)
    size = header.size
    if size < 0:
        if at >= cursor.end:
            raise TruncatedError("needs 1 octet, has 0", base + at, "LVAR")
        try:
            size = 1 + lvar_size(octets[at])
        except WireError as error:
            raise WireError(error.reason, base + at, error.field, error.clause) from error
    stop = at + size
    if stop > cursor.end:
        raise TruncatedError(f"needs {size} octets, has {cursor.end - at}", base + at, f"data of {header.meaning.name}")
    data = octets[at:stop]
    value = parse_value(header.data_field, header.meaning.kind, data[::-1] if reverse and header.size > 0 else data)
    record = DataRecord(octets[start:at], data, value, header, base + start)
    cursor.offset = stop
    if cursor.trace is not None:
        _explain(cursor, record)
    return record


def read_header(octets: bytes, start: int, end: int, base: int) -> tuple[RecordHeader, int]:
    """Walk the header at ``start`` and give its meaning and the offset of the data.

    Args:
        octets: the records.
        start: index of the DIF.
        end: index after the last octet of the records.
        base: offset of ``octets`` in the frame, for errors.

    """
    dif = octets[start]
    if dif & SPECIAL == SPECIAL:
        if dif == DIF_GLOBAL_READOUT:
            return describe_header(octets[start : start + 1], b""), start + 1
        raise UnsupportedError(f"DIF {dif:02X} is reserved", base + start, "DIF", "EN 13757-3:2018, table 7")
    at = _chain_end(octets, start, end, base, "DIFE")
    if at >= end:
        raise TruncatedError("needs 1 octet, has 0", base + at, "VIF")
    difs = octets[start:at]
    first = octets[at]
    if first & 0x7F != VIF_PLAIN_TEXT:
        stop = _chain_end(octets, at, end, base, "VIFE")
        return describe_header(difs, octets[at:stop]), stop
    return _read_text_header(octets, difs, at, end, base)


def _read_text_header(octets: bytes, difs: bytes, at: int, end: int, base: int) -> tuple[RecordHeader, int]:
    """Read VIF 7C/FC: the text stands after the VIF (6.4.5); some devices put it after the last VIFE."""
    text_at = at + 1
    vifs_end = text_at
    if octets[at] & EXTENSION:
        if _is_text(octets, text_at, end):
            stop = text_at + 1 + octets[text_at]
            vifs_end = _chain_end(octets, stop, end, base, "VIFE") if stop < end else stop
            vif = octets[at : at + 1] + octets[stop:vifs_end]
            return describe_header(difs, vif, _text(octets[text_at + 1 : stop])), vifs_end
        vifs_end = text_at = _chain_end(octets, at, end, base, "VIFE")
    if text_at >= end:
        raise TruncatedError("needs 1 octet, has 0", base + text_at, "length of the plain-text unit")
    stop = text_at + 1 + octets[text_at]
    if stop > end:
        raise TruncatedError(f"needs {octets[text_at]} octets, has {end - text_at - 1}", base + text_at, "plain text")
    return describe_header(difs, octets[at:vifs_end], _text(octets[text_at + 1 : stop])), stop


def _is_text(octets: bytes, at: int, end: int) -> bool:
    """Whether a length and as many printable characters stand here."""
    if at >= end or at + 1 + octets[at] > end:
        return False
    return octets[at] > 0 and all(0x20 <= octet <= 0x7E for octet in octets[at + 1 : at + 1 + octets[at]])


def _text(octets: bytes) -> str:
    return octets[::-1].decode("latin-1")


def _chain_end(octets: bytes, at: int, end: int, base: int, name: str) -> int:
    """Return the offset after the octet at ``at`` and the extensions that its top bit announces."""
    start = at
    while octets[at] & EXTENSION:
        at += 1
        if at >= end:
            raise TruncatedError("needs 1 octet, has 0", base + at, name)
        if at - start > MAX_EXTENSIONS:
            raise WireError(f"more than {MAX_EXTENSIONS} {name}s", base + at, name, "EN 13757-3:2018, 6.3")
    return at + 1


def _extension_in_words(index: int, octet: int) -> str:
    """Return the part of the numbers that a DIFE adds (EN 13757-3:2018, 6.3.5)."""
    parts = {"storage": (octet & 0x0F) << 1 + 4 * index, "tariff": (octet >> 4 & 3) << 2 * index}
    parts["subunit"] = (octet >> 6 & 1) << index
    return ", ".join(f"{name} +{number}" for name, number in parts.items() if number) or "adds nothing"


def _explain(cursor: Cursor, record: DataRecord) -> None:
    """Trace a record that was read: each octet of the header, then the data."""
    trace = cursor.trace
    if trace is None:
        return
    at, header = record.offset, record.header
    for index, octet in enumerate(header.dif):
        if index == 0:
            name, meaning = "DIF", f"{DATA_FIELDS[octet & 15]}, {record.function}"
            meaning += ", storage bit set" if octet & 0x40 else ""
        else:
            name, meaning = "DIFE", _extension_in_words(index - 1, octet)
        trace.add(at + index, bytes([octet]), name, meaning)
    if len(header.dif) > 1:
        numbers = f"storage {header.storage}, tariff {header.tariff}, subunit {header.subunit}"
        cursor.explain(f"{trace.spans[-1].meaning}: {numbers}")
    at += len(header.dif)
    tail = record.octets[len(header.dif) :]
    plain = bool(header.vif) and header.vif[0] & 0x7F == VIF_PLAIN_TEXT
    if plain:
        trace.add(at, tail, "VIF with plain-text unit", f"{record.quantity} in {record.unit}")
    else:
        for index, (octet, meaning) in enumerate(zip(tail, vif_in_words(tail), strict=True)):
            trace.add(at + index, bytes([octet]), "VIFE" if index else "VIF", meaning)
    if record.data:
        trace.add(at + len(tail), record.data, "data", str(record))
