"""The application layer of wired M-Bus by its CI field (EN 13757-3:2018, clauses 5 to 12).

``read_application`` gives one message: transport header, the octets of application data, and what they say where
they are in the clear: data records, the fixed structure of CI 73, an error, a selection, a clock. The payload of
security modes 5 and 7 stays closed here; open it above and read its records with ``read_records``.
"""

from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from meterspan.quantities import UNITS, Unit
from meterspan.wire.cursor import Cursor
from meterspan.wire.errors import UnsupportedError, WireError
from meterspan.wire.mbus.address import DeviceAddress
from meterspan.wire.mbus.records import DataRecord, Function, RecordHeader, Records, read_records
from meterspan.wire.mbus.transport import CI_NAMES, Ci, HeaderKind, TransportHeader, read_transport
from meterspan.wire.mbus.values import Value, parse_value
from meterspan.wire.mbus.vif import Quantity, ValueKind

__all__ = ["ApplicationError", "ApplicationMessage", "Selection", "read_application", "write_clock", "write_selection"]

CI_FIXED = 0x73
CI_FIXED_REVERSED = 0x77
"""Mode 2 of EN 1434-3, most significant octet first, has the CI field four higher."""
RECORD_CODES = frozenset({0x51, 0x5A, 0x5B, 0x72, 0x76, 0x78, 0x7A})
VERIFICATION = b"\x2f\x2f"
"""An encrypted payload begins so once it is opened, perhaps already by its sender."""
BAUD_RATES = {0xB8: 300, 0xB9: 600, 0xBA: 1_200, 0xBB: 2_400, 0xBC: 4_800, 0xBD: 9_600, 0xBE: 19_200, 0xBF: 38_400}
"""CI fields that set the baud rate (EN 13757-3:2018, annex)."""
ERROR_TEXTS = {
    0: "unspecified error", 1: "unimplemented CI field", 2: "buffer too long", 3: "too many records",
    4: "premature end of record", 5: "more than ten DIFEs", 6: "more than ten VIFEs", 7: "reserved",
    8: "application too busy", 9: "too many readouts", 16: "access denied", 17: "application unknown",
    18: "command unknown", 19: "parameter missing or wrong", 20: "receiver unknown", 21: "decryption failed",
    22: "encryption method not supported", 23: "signature not supported", 240: "dynamic application error",
}  # fmt: skip
"""Application errors (EN 13757-3:2018, table 21)."""


NO_RECORDS = Records()


@dataclass(frozen=True, slots=True)
class ApplicationError:
    """What a slave reports by CI 70 (6E, 6F): its code, None where it gives none."""

    code: int | None

    def __str__(self) -> str:
        """Return it in words."""
        return ERROR_TEXTS.get(-1 if self.code is None else self.code, f"error {self.code}")


@dataclass(frozen=True, slots=True)
class Selection:
    """A secondary address as it is selected by CI 52: wildcards are hexadecimal F (EN 13757-3:2018, 12.3).

    Attributes:
        octets: id (4), manufacturer (2), version (1), medium (1) as transmitted.
        fabrication_number: 4 octets of enhanced selection, b"" else.

    """

    octets: bytes
    fabrication_number: bytes = b""

    def matches(self, address: DeviceAddress, fabrication_number: bytes = b"") -> bool:
        """Whether a device is meant: each digit of the id, each of the other fields is equal or a wildcard."""
        own = address.long_header
        digits = zip(self.octets[:4].hex(), own[:4].hex(), strict=True)
        fields = ((self.octets[4:6], own[4:6]), (self.octets[6:7], own[6:7]), (self.octets[7:8], own[7:8]))
        if not all(wanted in ("f", digit) for wanted, digit in digits):
            return False
        if not all(set(wanted) == {0xFF} or wanted == field for wanted, field in fields):
            return False
        numbers = zip(self.fabrication_number.hex(), fabrication_number.hex(), strict=False)
        return len(fabrication_number) >= len(self.fabrication_number) and all(w in ("f", d) for w, d in numbers)


@dataclass(frozen=True, slots=True)
class ApplicationMessage:
    """One application message.

    Attributes:
        transport: CI field and header.
        payload: the octets behind the header.
        offset: of the payload in what was read.
        records: data records where the payload is in the clear and consists of them.
        error: what the slave reports.
        selection: which slave is selected.
        baud_rate: which baud rate is to be set.
        clock: the time of a clock synchronisation, where it is given absolutely.

    """

    transport: TransportHeader
    payload: bytes = b""
    offset: int = 0
    records: Records = NO_RECORDS
    error: ApplicationError | None = None
    selection: Selection | None = None
    baud_rate: int | None = None
    clock: Value = None

    @property
    def ci(self) -> int:
        """The CI field."""
        return self.transport.ci

    @property
    def name(self) -> str:
        """The CI field in words."""
        if self.ci == CI_FIXED:
            return "response, fixed structure"
        return CI_NAMES.get(self.ci, "manufacturer specific" if 0xA0 <= self.ci <= 0xB7 else f"CI {self.ci:02X}")


def read_application(source: bytes | Cursor) -> ApplicationMessage:
    """Read CI field, header and application data of a wired frame's payload.

    A CI field that is not known gives its payload as octets. Damaged records are in ``records.error``.

    Raises:
        WireError: the header is cut, or a message of fixed length has another length.

    """
    cursor = source if isinstance(source, Cursor) else Cursor(source)
    if cursor.peek()[:1] in (bytes((CI_FIXED,)), bytes((CI_FIXED_REVERSED,))):
        return _read_fixed(cursor)
    transport = read_transport(cursor)
    offset, payload = cursor.position, cursor.octets[cursor.offset : cursor.end]
    ci = transport.ci
    message = ApplicationMessage(transport, payload, offset)
    if transport.announces_encryption and payload[:2] != VERIFICATION:
        cursor.rest("protected payload")
        return message
    if ci in RECORD_CODES:
        records = read_records(cursor, most_significant_first=ci == Ci.RESPONSE_LONG_REVERSED)
        return ApplicationMessage(transport, payload, offset, records)
    if ci in (Ci.ERROR, Ci.ERROR_SHORT, Ci.ERROR_LONG):
        error = ApplicationError(cursor.u8("error code") if cursor.remaining else None)
        return ApplicationMessage(transport, payload, offset, error=error)
    if ci == Ci.SELECTION:
        return ApplicationMessage(transport, payload, offset, selection=_read_selection(cursor))
    if ci == Ci.CLOCK_ABSOLUTE:
        return ApplicationMessage(transport, payload, offset, clock=_read_clock(cursor))
    if cursor.remaining:
        cursor.rest("application data")
    return ApplicationMessage(transport, payload, offset, baud_rate=BAUD_RATES.get(ci))


def write_selection(selection: Selection) -> bytes:
    """Write the payload (CI 52) that selects a slave by its secondary address."""
    octets = bytes((Ci.SELECTION,)) + selection.octets
    if selection.fabrication_number:
        octets += b"\x0c\x78" + selection.fabrication_number
    return octets


def write_clock(header: TransportHeader, moment: datetime) -> bytes:
    """Write the application data of a clock synchronisation (CI 6C): time command and type I; local time.

    Raises:
        UnsupportedError: the header is of another CI field.

    """
    if header.ci != Ci.CLOCK_ABSOLUTE:
        raise UnsupportedError("clock synchronisation has CI field 6C", None, "CI field", "EN 13757-3:2018, 8.4")
    year = moment.year % 100
    octets = bytes((moment.second, moment.minute, moment.hour | moment.isoweekday() << 5))
    return b"\x00" + octets + bytes((moment.day | (year & 7) << 5, moment.month | (year & 0x78) << 1, 0)) + bytes(3)


def _read_selection(cursor: Cursor) -> Selection:
    octets = cursor.take(8, "secondary address")
    if not cursor.remaining:
        return Selection(octets)
    if cursor.take(2, "fabrication number DIF, VIF") != b"\x0c\x78":
        raise WireError("enhanced selection holds a fabrication number only", cursor.position - 2, "DIF, VIF")
    number = cursor.take(4, "fabrication number")
    cursor.finish("selection")
    return Selection(octets, number)


def _read_clock(cursor: Cursor) -> Value:
    """Read time command and type I of a clock synchronisation (EN 13757-3:2018, 8.4)."""
    cursor.u8("time command")
    octets = cursor.take(6, "time")
    if cursor.remaining:
        cursor.rest("reserved")
    return parse_value(0x6, ValueKind.MOMENT, octets)


def _read_fixed(cursor: Cursor) -> ApplicationMessage:
    """Read the fixed data structure (EN 13757-3:2004, 6.3): two counters of four octets."""
    ci = cursor.u8("CI field")
    reverse = ci == CI_FIXED_REVERSED
    number = cursor.take(4, "identification number")
    access_number = cursor.u8("access number")
    status = cursor.u8("status")
    first, second = cursor.take(2, "medium and units")
    offset = cursor.position
    counters = [cursor.take(4, "counter 1"), cursor.take(4, "counter 2")]
    medium = _FIXED_MEDIA.get((second >> 4 & 0x0C) | first >> 6, 0x0F)
    address = DeviceAddress((number[::-1] if reverse else number).join((b"\0\0", b"\0")) + bytes((medium,)))
    data_field = 0x4 if status & 0x01 else 0xC
    storage = 1 if status & 0x02 else 0
    units = [first & 0x3F, second & 0x3F]
    if units[1] == HISTORIC:
        units[1] = units[0]
    records = []
    for index, (unit, data) in enumerate(zip(units, counters, strict=True)):
        header = _fixed_header(unit, data_field, 1 if index and second & 0x3F == HISTORIC else storage)
        value = parse_value(data_field, header.meaning.kind, data[::-1] if reverse else data)
        records.append(DataRecord(b"", data, value, header, offset + 4 * index))
        if cursor.trace is not None:
            cursor.trace.add(offset + 4 * index, data, f"counter {index + 1}", str(records[-1]))
    transport = TransportHeader(ci, HeaderKind.LONG, address, access_number, status)
    payload = b"".join(counters)
    return ApplicationMessage(transport, payload, offset, Records(tuple(records)))


HISTORIC = 0x3E
"""Unit code of counter 2: the unit of counter 1, at the due date."""
_FIXED_MEDIA = {
    0x0: 0x00, 0x1: 0x01, 0x2: 0x02, 0x3: 0x03, 0x4: 0x04, 0x5: 0x05, 0x6: 0x06, 0x7: 0x07, 0x8: 0x08,
    0xA: 0x03, 0xB: 0x04, 0xC: 0x06, 0xD: 0x07, 0xE: 0x08,
}  # fmt: skip
"""Medium codes of the fixed structure as device types; A to E are the same with mode 2."""
_FIXED_UNITS: tuple[tuple[int, int, str, str], ...] = (
    (0x02, 9, "energy", "Wh"),
    (0x0B, 9, "energy", "kJ"),
    (0x14, 9, "power", "W"),
    (0x1D, 9, "power", "kJ/h"),
    (0x26, 9, "volume", "mL"),
    (0x2F, 9, "volume flow", "mL/h"),
)
"""First code, how many (each ten times the one before), quantity, unit of the first."""
_FIXED_BASE = {
    "Wh": ("Wh", 0),
    "kJ": ("J", 3),
    "W": ("W", 0),
    "kJ/h": ("J/h", 3),
    "mL": ("m3", -6),
    "mL/h": ("m3/h", -6),
}


@lru_cache(maxsize=256)
def _fixed_header(unit: int, data_field: int, storage: int) -> RecordHeader:
    meaning = _fixed_quantity(unit)
    return RecordHeader(b"", b"", data_field, Function.INSTANTANEOUS, storage, 0, 0, meaning, 4)


def _fixed_quantity(unit: int) -> Quantity:
    for first, count, name, symbol in _FIXED_UNITS:
        if first <= unit < first + count:
            base, exponent = _FIXED_BASE[symbol]
            return Quantity(name, UNITS[base], exponent + unit - first)
    if unit == 0x38:
        return Quantity("temperature", UNITS["°C"], -3)
    if unit == 0x39:
        return Quantity("heat cost allocation", UNITS["hca"])
    unitless: Unit | None = UNITS["1"]
    return Quantity("dimensionless" if unit == 0x3F else f"fixed unit {unit:02X}", unitless)
