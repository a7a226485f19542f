"""P1 telegrams as decoded readings: every object of every companion standard, for a person to look at.

The rules of the port (numbers of a line, identification, unreadable lines) are those of ``readings.p1``.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC
from decimal import Decimal

from meterspan.model.identity import p1_device
from meterspan.model.telegram import DecodedReading, DecodedTelegram, DeviceIdentity
from meterspan.quantities import ClockTime, Obis, Scaled, utc_text
from meterspan.readings.names import meaning_of
from meterspan.readings.p1 import identification_of, is_number, is_unit, numbers_of, p1_faults
from meterspan.wire import ChecksumError, Trace, WireError
from meterspan.wire.mbus.address import MEDIA
from meterspan.wire.p1 import CrcPolicy, P1Object, P1Telegram, crc_of, read_telegram

__all__ = ["decode_p1", "decode_p1_line"]

_ENCODED = {(96, 1), (96, 13), (42, 0)}
"""Objects whose text is sent as hexadecimal ASCII."""
_MBUS_VALUE = 24


def decode_p1(octets: bytes, trace: Trace | None = None) -> DecodedTelegram:
    """Decode one telegram; a wrong CRC is an error beside the readings, because a person is looking.

    Raises:
        WireError: the octets are no telegram.

    """
    telegram = read_telegram(octets, crc=CrcPolicy.NONE, trace=trace)
    moment = telegram.time
    return DecodedTelegram(
        "p1",
        _identity(telegram),
        moment.to_utc() if moment else None,
        tuple(_readings(telegram)),
        _errors(telegram, octets),
    )


def decode_p1_line(octets: bytes) -> DecodedTelegram:
    """Decode lines without a frame around them (a piece of a capture).

    Raises:
        WireError: there is no data line.

    """
    telegram = read_telegram(b"/\r\n" + octets.strip() + b"\r\n!", crc=CrcPolicy.NONE)
    if not telegram.objects:
        raise WireError("no data line", 0, "line")
    return DecodedTelegram(
        "p1", DeviceIdentity(), None, tuple(_readings(telegram)), (WireError("lines without a telegram around them"),)
    )


def _errors(telegram: P1Telegram, octets: bytes) -> tuple[WireError, ...]:
    errors = tuple(p1_faults(telegram))
    if telegram.crc_matches is not False or _matches_with_line_ends(telegram, octets):
        return errors
    return (ChecksumError("CRC differs", octets.find(b"!") + 1, "CRC", "DSMR P1, 6.2"), *errors)


def _matches_with_line_ends(telegram: P1Telegram, octets: bytes) -> bool:
    """Check the CRC of a telegram whose carriage returns were lost when it was copied."""
    body = octets[: octets.find(b"\n!") + 2]
    return b"\r" not in body and crc_of(body.replace(b"\n", b"\r\n")) == telegram.crc


def _identity(telegram: P1Telegram) -> DeviceIdentity:
    name = telegram.identification
    version = name[4:] if name[3:4].isdigit() else name[3:]
    return DeviceIdentity(identification_of(telegram), name[:3].upper(), "electricity", version)


def _readings(telegram: P1Telegram) -> Iterator[DecodedReading]:
    devices = {
        item.obis.b: int(value)
        for item in telegram.objects
        if (item.obis.c, item.obis.d) == (_MBUS_VALUE, _DEVICE_TYPE)
        and isinstance(value := item.values[0], str)
        and value.isdecimal()
        and value.isascii()
        and len(value) <= _DEVICE_TYPE_DIGITS
    }
    lines = {(item.obis, item.text): item for item in telegram.objects}  # some meters send lines twice
    for item in lines.values():
        if len(item.values) == 1 and isinstance(value := item.values[0], Scaled):
            yield _reading(item.obis, value.decimal, value.unit.symbol, None)
        elif item.obis.c == _MBUS_VALUE:
            medium = MEDIA.get(devices.get(item.obis.b, 0x0F), "unknown")
            yield from (_of_medium(reading, medium) for reading in _object(item))
        else:
            yield from _object(item)


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
        time = None if number.time is None else _iso(number.time)
        yield _reading(number.obis, number.value.decimal, number.value.unit.symbol, time, number.place)
    if found or len(item.values) != 1:
        return
    value = item.values[0]
    if isinstance(value, ClockTime):
        yield DecodedReading(meaning_of(item.obis).quantity, _iso(value), "", item.obis)
    elif isinstance(value, str) and not is_unit(value):
        yield _text(item.obis, value)


def _reading(obis: Obis, value: Decimal, unit: str, time: str | None, storage: int = 0) -> DecodedReading:
    meaning = meaning_of(obis)
    tariff = obis.e if meaning.unit.endswith("h") else 0
    subunit = obis.b if obis.c == _MBUS_VALUE else 0
    return DecodedReading(meaning.quantity, value, unit, obis, time, storage, tariff, subunit, meaning.function)


def _text(obis: Obis, text: str) -> DecodedReading:
    meaning = meaning_of(obis)
    if meaning.unit == "1" and is_number(text):
        number = int(text) if text.isdecimal() else Decimal(text)
        return DecodedReading(meaning.quantity, number, "1", obis, subunit=obis.b)
    plain = p1_device(text) or text if (obis.c, obis.d) in _ENCODED else text
    return DecodedReading(meaning.quantity, plain, "", obis, subunit=obis.b)


def _iso(moment: ClockTime) -> str:
    utc = moment.to_utc(UTC) if moment.deviation_min is None else moment.to_utc()
    if utc is None:
        return str(moment)
    return utc_text(utc) if moment.deviation_min is not None else utc.replace(tzinfo=None).isoformat(timespec="seconds")
