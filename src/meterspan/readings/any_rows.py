"""Octets of any protocol as rows, for a consumer that receives any of them.

Strategy: recognise the frame; P1 and M-Bus have rules of their own for their rows, and a DLMS push or an SML file names
each value with its OBIS code, so that its readings are rows as they are.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, tzinfo
from decimal import Decimal

from meterspan.engine.wmbus_receiver import WmbusReceiver
from meterspan.model.radio_protection import RadioProtection
from meterspan.model.telegram import DecodedReading, DecodedTelegram
from meterspan.quantities import UNITS, Commodity, Obis, Scaled, commodity_of_obis, standard_offset_s
from meterspan.quantities.codes import CURRENT_VALUE
from meterspan.readings.decoder import Decoder
from meterspan.readings.job import ForAnyAddress
from meterspan.readings.mbus import rows_of_mbus
from meterspan.readings.mbus_decode import read_wired
from meterspan.readings.p1 import rows_of_p1
from meterspan.readings.recognise import Format, recognise
from meterspan.readings.rows import DeviceRows, HeardTelegram, Row, is_storable
from meterspan.wire.p1 import read_telegram

__all__ = ["rows_of", "rows_of_decoded"]


def rows_of(
    octets: bytes, now: float, *, zone: tzinfo = UTC, key: bytes | None = None, auth_key: bytes | None = None
) -> HeardTelegram:
    """Return the rows of one telegram of any protocol.

    A ciphered DLMS push is opened only with both keys, so that its tag is checked. An M-Bus telegram for which a key is
    given must be encrypted; without one, nothing shows who sent it. Replays are the caller's to
    refuse.

    Args:
        octets: as they were received.
        now: UTC seconds of reception.
        zone: of the meter, for times that name no zone.
        key: the encryption key.
        auth_key: the authentication key of DLMS.

    Raises:
        WireError: the octets cannot be read or opened.

    """
    kind = recognise(octets)
    if kind is Format.P1:
        return rows_of_p1(read_telegram(octets), now, zone)
    if kind is Format.WMBUS:
        required = ForAnyAddress(RadioProtection.INSECURE_PLAIN if key is None else RadioProtection.ENCRYPTED)
        receiver = WmbusReceiver(ForAnyAddress(key), required=required)
        return rows_of_mbus(receiver.read(octets), octets, now, offset_s=standard_offset_s(zone, now), key=key)
    if kind is Format.MBUS:
        telegram, offset_s = read_wired(octets, key), standard_offset_s(zone, now)
        return rows_of_mbus(telegram, octets, now, offset_s=offset_s, key=key, protocol="mbus")
    trusted = key if auth_key is not None else None
    return rows_of_decoded(Decoder().decode(octets, key=trusted, auth_key=auth_key), octets, now)


def rows_of_decoded(telegram: DecodedTelegram, octets: bytes, now: float) -> HeardTelegram:
    """Return the rows of a telegram whose values have OBIS codes of their own: a DLMS push, an SML file.

    Args:
        telegram: as it was decoded.
        octets: as they were received.
        now: UTC seconds of reception; taken where the telegram has no time.

    Raises:
        WireError: something is wrong with the telegram; a person may look at its readings, but they make no rows.

    """
    if telegram.errors:
        raise telegram.errors[0]
    own = None if telegram.time is None else int(telegram.time.timestamp())
    time = round(now) if own is None else own
    found: dict[Commodity, dict[tuple[Obis, int], Row]] = {}
    for commodity, row in _rows(telegram.readings, time):
        found.setdefault(commodity, {}).setdefault((row.obis, row.time), row)
    name = telegram.device.id
    devices = tuple(
        DeviceRows(name or f"{telegram.protocol} {commodity}", commodity, tuple(rows.values()))
        for commodity, rows in found.items()
    )
    return HeardTelegram(telegram.protocol, octets, time, devices, own_time=own)


def _rows(readings: tuple[DecodedReading, ...], time: int) -> Iterator[tuple[Commodity, Row]]:
    for reading in readings:
        obis, unit = reading.obis, UNITS.get(reading.unit)
        commodity = None if obis is None else commodity_of_obis(obis)
        if (
            obis is None
            or commodity is None
            or unit is None
            or obis.f != CURRENT_VALUE
            or isinstance(reading.value, str)
        ):
            continue
        sign, digits, exponent = Decimal(reading.value).as_tuple()
        if isinstance(exponent, int):
            magnitude = int("".join(map(str, digits)))
            value = Scaled(-magnitude if sign else magnitude, exponent, unit)
            if is_storable(value):
                yield commodity, Row(obis, value, _time_of(reading, time))


def _time_of(reading: DecodedReading, time: int) -> int:
    """Return the reading's own instant; the telegram's where it has none, or one without a zone."""
    moment = datetime.fromisoformat(reading.time) if reading.time else None
    return time if moment is None or moment.tzinfo is None else int(moment.timestamp())
