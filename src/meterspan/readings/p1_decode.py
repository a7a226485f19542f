"""P1 telegrams as decoded readings: the rows of the telegram, and beside them its other lines, for a person to look at.

Strategy: ``readings.p1`` makes the rows; each is shown at the place of its line, what was calculated behind all lines.
Lines that make no row (texts, logs, maxima, counts) are shown as they are.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC
from decimal import Decimal

from meterspan.model.identity import p1_device
from meterspan.model.telegram import DecodedReading, DecodedTelegram, DeviceIdentity
from meterspan.quantities import ClockTime, Obis, utc, utc_text
from meterspan.quantities.codes import NET_POWER
from meterspan.readings.job import DecodeJob
from meterspan.readings.names import meaning_of
from meterspan.readings.p1 import LineNumber, P1Rows, SubMeter, is_number, is_unit, numbers_of, read_p1
from meterspan.readings.rows import Row
from meterspan.wire import ChecksumError, WireError
from meterspan.wire.mbus.address import MEDIA
from meterspan.wire.p1 import CrcPolicy, P1Object, P1Telegram, crc_of, read_telegram

__all__ = ["decode_p1", "decode_p1_line"]

_ENCODED = {(96, 1), (96, 13), (42, 0)}
"""Objects whose text is sent as hexadecimal ASCII."""
_OF_NO_MEDIUM = 0
"""Value group A of what is of no medium: there B numbers the M-Bus device, elsewhere a channel of the meter."""
_MBUS_VALUE = 24
_SUM, _DIFFERENCE = "sum of the tariffs", "import minus export"
"""How a row was calculated that no line has."""


def decode_p1(octets: bytes, job: DecodeJob) -> DecodedTelegram:
    """Decode one telegram; a wrong CRC is an error beside the readings, because a person is looking.

    Raises:
        WireError: the octets are no telegram.

    """
    telegram = read_telegram(octets, crc=CrcPolicy.NONE, trace=job.trace)
    told = read_p1(telegram, job.now)
    heard = told.heard
    return DecodedTelegram(
        "p1",
        _identity(telegram, told),
        utc(heard.time) if heard.time == heard.own_time else None,
        tuple(_readings(telegram, told)),
        (*_crc_errors(telegram, octets), *(failure.error for failure in heard.failures if failure.error is not None)),
    )


def decode_p1_line(octets: bytes, job: DecodeJob) -> DecodedTelegram:
    """Decode lines without a frame around them (a piece of a capture).

    Raises:
        WireError: there is no data line.

    """
    telegram = read_telegram(b"/\r\n" + octets.strip() + b"\r\n!", crc=CrcPolicy.NONE)
    if not telegram.objects:
        raise WireError("no data line", 0, "line")
    readings = tuple(_readings(telegram, read_p1(telegram, job.now)))
    return DecodedTelegram("p1", DeviceIdentity(), None, readings, (WireError("lines without a telegram around them"),))


def _crc_errors(telegram: P1Telegram, octets: bytes) -> Iterator[WireError]:
    if telegram.crc_matches is False and not _matches_with_line_ends(telegram, octets):
        yield ChecksumError("CRC differs", octets.find(b"!") + 1, "CRC", "DSMR P1, 6.2")


def _matches_with_line_ends(telegram: P1Telegram, octets: bytes) -> bool:
    """Check the CRC of a telegram whose carriage returns were lost when it was copied."""
    body = octets[: octets.find(b"\n!") + 2]
    return b"\r" not in body and crc_of(body.replace(b"\n", b"\r\n")) == telegram.crc


def _identity(telegram: P1Telegram, told: P1Rows) -> DeviceIdentity:
    name = telegram.identification
    version = name[4:] if name[3:4].isdigit() else name[3:]
    return DeviceIdentity(told.identification, name[:3].upper(), "electricity", version)


def _readings(telegram: P1Telegram, told: P1Rows) -> Iterator[DecodedReading]:
    lines = {(item.obis, item.text): item for item in telegram.objects}  # some meters send lines twice
    rows = {row.obis: row for row in told.main}
    sub_meters = {(sub.line.obis, sub.line.text): sub for sub in told.sub_meters}
    media = _media(telegram)
    for key, item in lines.items():
        row, medium = rows.get(item.obis), media.get(item.obis.b, "unknown")
        if row is not None and item.values[0] is row.value:
            yield _of_row(rows.pop(item.obis))
        elif key in sub_meters:
            yield from (_of_medium(reading, medium) for reading in _of_sub_meter(sub_meters[key]))
        elif item.obis.c == _MBUS_VALUE:
            yield from (_of_medium(reading, medium) for reading in _object(item))
        else:
            yield from _object(item)
    yield from map(_calculated, rows.values())


def _of_row(row: Row) -> DecodedReading:
    return _reading(row.obis, row.value.decimal, row.value.unit.symbol, None)


def _calculated(row: Row) -> DecodedReading:
    """Return the reading of a row that no line has, with the words that say so."""
    reading = _of_row(row)
    return replace(reading, quantity=f"{reading.quantity} ({_DIFFERENCE if row.obis == NET_POWER else _SUM})")


def _of_sub_meter(sub: SubMeter) -> Iterator[DecodedReading]:
    """Return the reading of a meter behind the port, and the other numbers of its line."""
    (row,), stamp = sub.device.rows, sub.number.time
    time = None if stamp is None else _iso(stamp) if stamp.deviation_min is None else utc_text(utc(row.time))
    yield replace(_of_row(row), time=time, subunit=sub.device.channel, device=sub.device.device)
    for number in numbers_of(sub.line):
        if number != sub.number:
            yield _of_number(number)


def _media(telegram: P1Telegram) -> dict[int, str]:
    """Return the medium of each M-Bus channel, by its device type."""
    return {
        item.obis.b: MEDIA.get(int(value), "unknown")
        for item in telegram.objects
        if (item.obis.c, item.obis.d) == (_MBUS_VALUE, _DEVICE_TYPE)
        and isinstance(value := item.values[0], str)
        and value.isdecimal()
        and value.isascii()
        and len(value) <= _DEVICE_TYPE_DIGITS
    }


def _of_medium(reading: DecodedReading, medium: str) -> DecodedReading:
    """Return the reading of an M-Bus device behind the meter: medium by its device type, quantity by the unit."""
    kind = _QUANTITY_OF_UNIT.get(reading.unit)
    return reading if kind is None else replace(reading, quantity=f"{medium} {kind}")


_QUANTITY_OF_UNIT = {"m3": "volume", "L": "volume", "J": "energy", "Wh": "energy", "hca": "allocation"}
_DEVICE_TYPE, _DEVICE_TYPE_DIGITS = 1, 3


def _object(item: P1Object) -> Iterator[DecodedReading]:
    found = False
    for number in numbers_of(item):
        found = True
        yield _of_number(number)
    if found or len(item.values) != 1:
        return
    value = item.values[0]
    if isinstance(value, ClockTime):
        yield DecodedReading(meaning_of(item.obis).quantity, _iso(value), "", item.obis)
    elif isinstance(value, str) and not is_unit(value):
        yield _text(item.obis, value)


def _of_number(number: LineNumber) -> DecodedReading:
    time = None if number.time is None else _iso(number.time)
    return _reading(number.obis, number.value.decimal, number.value.unit.symbol, time, number.place)


def _reading(obis: Obis, value: Decimal, unit: str, time: str | None, storage: int = 0) -> DecodedReading:
    meaning = meaning_of(obis)
    tariff = obis.e if meaning.unit.endswith("h") else 0
    subunit = obis.b if obis.c == _MBUS_VALUE else 0
    return DecodedReading(meaning.quantity, value, unit, obis, time, storage, tariff, subunit, meaning.function)


def _text(obis: Obis, text: str) -> DecodedReading:
    meaning = meaning_of(obis)
    subunit = obis.b if obis.a == _OF_NO_MEDIUM else 0
    if meaning.unit == "1" and is_number(text):
        number = int(text) if text.isdecimal() else Decimal(text)
        return DecodedReading(meaning.quantity, number, "1", obis, subunit=subunit)
    plain = p1_device(text) or text if (obis.c, obis.d) in _ENCODED else text
    return DecodedReading(meaning.quantity, plain, "", obis, subunit=subunit)


def _iso(moment: ClockTime) -> str:
    instant = moment.to_utc(UTC) if moment.deviation_min is None else moment.to_utc()
    if instant is None:
        return str(moment)
    if moment.deviation_min is None:
        return instant.replace(tzinfo=None).isoformat(timespec="seconds")
    return utc_text(instant)
