"""M-Bus telegrams, wired and wireless, as readings and as rows: the rule of the records, once.

Strategy: each data record is one reading; where a payload is no data records, a maker's grammar reads it. A reading
that is the register which bills the device's commodity has its OBIS code, and becomes a row: at the time of reception
where it is current, at the date and time of its storage number where it is stored (EN 13757-3:2018, 6.3.2). A stored
register with a date alone becomes no row, because a date leaves a day open.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Final

from meterspan.engine.wmbus_receiver import Telegram
from meterspan.model.failures import Failure, FailureKind
from meterspan.model.identity import mbus_device
from meterspan.model.mbus_devices import Decoded, Payload, commodity_of_device, has_grammars
from meterspan.model.telegram import DecodedReading
from meterspan.quantities import UNITS, Obis, Scaled
from meterspan.readings.profiles import profile_times
from meterspan.readings.proprietary import read_proprietary
from meterspan.readings.record_names import NAMES, Maker, Named
from meterspan.readings.rows import DeviceRows, HeardTelegram, Row, is_storable
from meterspan.wire import UnsupportedError, WireError
from meterspan.wire.mbus import DataRecord, Records, expand_profile
from meterspan.wire.mbus.transport import CI_NAMES, TransportHeader

__all__ = ["Contents", "contents_of", "rows_of_mbus"]

FUTURE_S_MAX: Final = 86_400
"""A register stamped more than a day after its reception is of a clock that is not believed."""
_INVALID = b"\xff"


@dataclass(frozen=True, slots=True)
class Contents:
    """The content of a telegram.

    Attributes:
        readings: all values, in the order of the telegram.
        error: what could not be read, or None.
        meter_id: the identification, where a maker has put it elsewhere than the standard.

    """

    readings: tuple[DecodedReading, ...]
    error: WireError | None = None
    meter_id: str = ""


def contents_of(telegram: Telegram, key: bytes | None = None) -> Contents:
    """Return the readings of a telegram that is open.

    Args:
        telegram: as it was read.
        key: for makers' payloads with a protection of their own.

    """
    records, maker = telegram.records, _maker(telegram)
    payload = _proprietary(telegram, maker.manufacturer, key)
    if payload is None:
        readings = tuple(_readings(records, maker))
        error = records.error
        if not readings and error is None:
            error = _why_empty(telegram.header, records)
        if records.manufacturer_data:
            data = DecodedReading("manufacturer data", records.manufacturer_data.hex().upper())
            readings = (*readings, data)
        return Contents(readings, error)
    own = () if payload.replaces_records else _readings(records, maker)
    error = payload.error if payload.replaces_records or payload.error is not None else records.error
    return Contents((*own, *payload.readings), error, payload.meter_id)


def rows_of_mbus(
    telegram: Telegram,
    octets: bytes,
    now: float,
    *,
    offset_s: int = 0,
    key: bytes | None = None,
    protocol: str = "wmbus",
) -> HeardTelegram:
    """Return the rows of a telegram that is open; one without a register has a failure that names it.

    Args:
        telegram: as it was read.
        octets: as they were received.
        now: UTC seconds of reception.
        offset_s: local standard time of the meter minus UTC; M-Bus clocks know no daylight saving.
        key: for makers' payloads with a protection of their own.
        protocol: ``wmbus`` or ``mbus``.

    """
    address, contents = telegram.address, contents_of(telegram, key)
    failures = [] if contents.error is None else [Failure.of_error(contents.error)]
    own = _stamp(_dates(telegram.records).get(0), offset_s)
    commodity = commodity_of_device(address.manufacturer, address.medium)
    if commodity is None:
        reason = f"a telegram of a device of medium {address.medium_name}, which bills nothing"
        return HeardTelegram(protocol, octets, round(now), (), (*failures, Failure(FailureKind.UNSUPPORTED, reason)))
    rows = tuple(_rows(contents.readings, round(now), offset_s))
    if not rows:
        failures.append(Failure(FailureKind.UNREADABLE, f"a telegram of a {commodity} meter without its register"))
    name = mbus_device(address)
    devices = (DeviceRows(name, commodity, rows),) if rows else ()
    return HeardTelegram(protocol, octets, round(now), devices, tuple(failures), own_time=own)


def _rows(readings: Iterable[DecodedReading], now: int, offset_s: int) -> Iterator[Row]:
    """Iterate over the rows of the readings with an OBIS code, one for each code and instant."""
    known: set[tuple[Obis, int]] = set()
    for reading in readings:
        if reading.obis is None:
            continue
        value, time_s = _exact(reading), _time_of(reading, now, offset_s)
        if value is None or time_s is None or time_s > now + FUTURE_S_MAX or (reading.obis, time_s) in known:
            continue
        known.add((reading.obis, time_s))
        yield Row(reading.obis, value, time_s)


def _exact(reading: DecodedReading) -> Scaled | None:
    """Return the value at the scale of its record, so that a scale never changes with the digits."""
    unit = UNITS.get(reading.unit)
    if unit is None or isinstance(reading.value, str):
        return None
    sign, digits, exponent = Decimal(reading.value).as_tuple()
    if not isinstance(exponent, int):
        return None
    magnitude = int("".join(map(str, digits)))
    value = Scaled(-magnitude if sign else magnitude, exponent, unit)
    return value if is_storable(value) else None


def _time_of(reading: DecodedReading, now: int, offset_s: int) -> int | None:
    """Return UTC seconds of a reading: of reception where it is current, of its own date and time where stored."""
    if not reading.storage:
        return now
    try:
        moment = datetime.fromisoformat(reading.time) if reading.time and "T" in reading.time else None
    except ValueError:
        return None
    return _stamp(moment, offset_s)


def _stamp(moment: date | None, offset_s: int) -> int | None:
    if not isinstance(moment, datetime):
        return None
    return int(moment.replace(tzinfo=UTC).timestamp()) - offset_s


def _maker(telegram: Telegram) -> Maker:
    address = telegram.address
    return Maker(address.manufacturer, commodity_of_device(address.manufacturer, address.medium))


def _proprietary(telegram: Telegram, manufacturer: str, key: bytes | None) -> Decoded | None:
    """Ask the grammars of the maker, where there are some."""
    if not has_grammars(manufacturer):
        return None
    address, header = telegram.address, telegram.header
    ci = header.ci if header is not None else None
    payload = Payload(
        manufacturer, address.version, address.medium, address.octets, ci, telegram.payload, telegram.records
    )
    return read_proprietary(payload, key)


def _why_empty(header: TransportHeader | None, records: Records) -> WireError:
    if header is None:
        return UnsupportedError("the telegram is a fragment, or has no application layer")
    if records.manufacturer_data is not None:
        return UnsupportedError("manufacturer data of a layout that is not known")
    if 0xA0 <= header.ci <= 0xB7:
        return UnsupportedError(
            f"manufacturer specific application data (CI {header.ci:02X}) of a layout that is not known"
        )
    return UnsupportedError(f"no data records (CI {header.ci:02X}, {CI_NAMES.get(header.ci, 'unknown')})")


def _readings(records: Records, maker: Maker) -> Iterator[DecodedReading]:
    dates = _dates(records)
    for record in records.records:
        named = NAMES.find(maker, record.header)
        if named.is_profile:
            yield from _profile(record, records, maker)
            continue
        reading = _reading(record, named)
        moment = dates.get(reading.storage) if reading.storage and named.register is not None else None
        yield reading if moment is None else replace(reading, time=_text_of(moment))


def _dates(records: Records) -> dict[int, date]:
    """Return the first date, or date and time, of each storage number."""
    found: dict[int, date] = {}
    for record in records.records:
        if isinstance(record.value, date):
            found.setdefault(record.storage, record.value)
    return found


def _profile(record: DataRecord, records: Records, maker: Maker) -> Iterator[DecodedReading]:
    """Iterate over the valid values of a compact profile; the record as it is where it can't be read."""
    same = [other for other in records.records if other is not record and other.storage == record.storage]
    base = next((other for other in same if other.vif[0] & 0x7F == record.vif[0] & 0x7F), None)
    moment = next((other.value for other in same if isinstance(other.value, date)), None)
    try:
        profile = expand_profile(record, base)
    except WireError:
        yield _reading(record, NAMES.find(maker, record.header))
        return
    for item, time_text in zip(profile.records, profile_times(profile, moment), strict=True):
        if item.value is not None and item.data != _INVALID * len(item.data):
            yield replace(_reading(item, NAMES.find(maker, item.header)), time=time_text)


def _reading(record: DataRecord, named: Named) -> DecodedReading:
    header, raw, rule = record.header, record.value, named.rule
    if not isinstance(raw, int | Decimal):
        return DecodedReading(
            named.quantity,
            _words(record),
            "",
            None,
            None,
            header.storage,
            header.tariff,
            header.subunit,
            named.function,
        )
    if rule is not None and rule.mask and isinstance(raw, int):
        raw &= rule.mask
    number = Decimal(raw).scaleb(named.exponent)
    if named.addend:
        number += named.addend
    return DecodedReading(
        named.name,
        number,
        named.unit,
        named.register,
        None,
        header.storage,
        header.tariff,
        header.subunit,
        named.function,
    )


def _words(record: DataRecord) -> str:
    value = record.value
    if isinstance(value, date):
        return _text_of(value)
    if isinstance(value, time):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex().upper()
    return "" if value is None else str(value)


def _text_of(moment: date) -> str:
    if isinstance(moment, datetime):
        return moment.isoformat(timespec="minutes" if not moment.second else "seconds")
    return moment.isoformat()
