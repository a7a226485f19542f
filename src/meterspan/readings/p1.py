"""P1 telegrams as decoded readings: every object of every companion standard by one rule.

A group that is a number with a unit is a reading; a time stamp before it is its time; an OBIS reference before it says
what a log's numbers are. What DSMR 2 and 3 split over groups (unit apart from number) is put together.
"""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal

from meterspan.model.telegram import DecodedReading, DecodedTelegram, DeviceIdentity
from meterspan.quantities import ClockTime, Obis, Scaled, parse_unit
from meterspan.readings.names import meaning_of
from meterspan.wire import Trace, WireError
from meterspan.wire.mbus.address import MEDIA
from meterspan.wire.p1 import CrcPolicy, P1Object, P1Telegram, P1Value, crc_of, read_telegram

__all__ = ["decode_p1", "decode_p1_line"]

_IDENTIFICATIONS = (Obis(0, 0, 96, 1, 1), Obis(0, 0, 96, 1, 0), Obis(1, 0, 0, 0, 0), Obis(0, 0, 42, 0, 0))
_ENCODED = {(96, 1), (96, 13), (42, 0)}
"""Objects whose text is sent as hexadecimal ASCII."""
_MBUS_VALUE = 24
_MAX_DIGITS = 18


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
        "p1", DeviceIdentity(), None, tuple(_readings(telegram)), "lines without a telegram around them"
    )


def _errors(telegram: P1Telegram, octets: bytes) -> str | None:
    errors = [f"{fault.reason} at octet {fault.offset} in line {fault.text[:40]!r}" for fault in telegram.faults]
    if telegram.crc_matches is False and not _matches_with_line_ends(telegram, octets):
        errors.insert(0, f"CRC differs at octet {octets.find(b'!') + 1} in CRC (DSMR P1, 6.2)")
    return "; ".join(errors) or None


def _matches_with_line_ends(telegram: P1Telegram, octets: bytes) -> bool:
    """Check the CRC of a telegram whose carriage returns were lost when it was copied."""
    body = octets[: octets.find(b"\n!") + 2]
    return b"\r" not in body and crc_of(body.replace(b"\n", b"\r\n")) == telegram.crc


def _identity(telegram: P1Telegram) -> DeviceIdentity:
    found = next((item for item in map(telegram.find, _IDENTIFICATIONS) if item and item.text != "()"), None)
    name = telegram.identification
    text = _plain(found.values[0]) if found else ""
    return DeviceIdentity(text, name[:3].upper(), "electricity", name[4:] if name[3:4].isdigit() else name[3:])


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
    """Say what an M-Bus device behind the meter measured: its medium by its device type, its quantity by the unit."""
    kind = _QUANTITY_OF_UNIT.get(reading.unit)
    return reading if kind is None else replace(reading, quantity=f"{medium} {kind}")


_QUANTITY_OF_UNIT = {"m3": "volume", "L": "volume", "J": "energy", "Wh": "energy", "hca": "allocation"}
_DEVICE_TYPE, _DEVICE_TYPE_DIGITS = 1, 3


def _object(item: P1Object) -> Iterator[DecodedReading]:
    obis, time, order = item.obis, None, 0
    unit: str | None = None
    several = sum(isinstance(value, Scaled) for value in item.values) > 1
    for value in item.values:
        if isinstance(value, ClockTime):
            time = _iso(value)
        elif isinstance(value, Obis):
            obis = value if several else obis
        elif isinstance(value, Scaled):
            yield _reading(obis, value.decimal, value.unit.symbol, time, order if several else 0)
            order += 1
        elif unit is not None and _is_number(value):
            number = Scaled(0, 0, parse_unit(unit)[0])
            yield _reading(obis, Decimal(value).scaleb(parse_unit(unit)[1]), number.unit.symbol, time)
            unit = None
        elif _is_unit(value):
            unit = value
        elif len(item.values) == 1:
            yield _text(obis, value)
    if len(item.values) == 1 and isinstance(item.values[0], ClockTime):
        yield DecodedReading(meaning_of(obis).quantity, str(time), "", obis)


def _reading(obis: Obis, value: Decimal, unit: str, time: str | None, storage: int = 0) -> DecodedReading:
    meaning = meaning_of(obis)
    tariff = obis.e if meaning.unit.endswith("h") else 0
    subunit = obis.b if obis.c == _MBUS_VALUE else 0
    return DecodedReading(meaning.quantity, value, unit, obis, time, storage, tariff, subunit, meaning.function)


def _text(obis: Obis, text: str) -> DecodedReading:
    meaning = meaning_of(obis)
    if meaning.unit == "1" and _is_number(text):
        return DecodedReading(meaning.quantity, int(text), "1", obis, subunit=obis.b)
    plain = _plain(text) if (obis.c, obis.d) in _ENCODED else text
    return DecodedReading(meaning.quantity, plain, "", obis, subunit=obis.b)


def _plain(value: P1Value) -> str:
    """Read hexadecimal ASCII (quirk: some meters send the text itself)."""
    text = str(value)
    try:
        plain = bytes.fromhex(text).decode("ascii")
    except ValueError:
        return text
    return plain if plain.isprintable() and len(text) >= 8 else text


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).isdecimal() and text.isascii() and len(text) <= _MAX_DIGITS


def _is_unit(text: str) -> bool:
    try:
        return bool(text) and not text[0].isdigit() and bool(parse_unit(text))
    except ValueError:
        return False


def _iso(moment: ClockTime) -> str:
    utc = moment.to_utc(UTC) if moment.deviation_min is None else moment.to_utc()
    if utc is None:
        return str(moment)
    local = utc.replace(tzinfo=None) if moment.deviation_min is None else utc
    return _format(local)


def _format(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
