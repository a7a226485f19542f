"""SML captures as decoded readings: every readable file of a capture, and the error that ended each other one."""

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal

from meterspan.model.sml_devices import UNSIGNED_POWER
from meterspan.model.telegram import DecodedReading, DecodedTelegram, DeviceIdentity
from meterspan.quantities import Obis
from meterspan.readings.names import meaning_of
from meterspan.readings.sml_explained import explain_file, explain_frame
from meterspan.wire import ChecksumError, Trace, WireError
from meterspan.wire.sml import (
    Integer,
    SmlEntry,
    SmlGetListResponse,
    SmlGetProfileListResponse,
    SmlMessage,
    SmlTime,
    SmlTimeKind,
    find_frames,
    read_file,
)

__all__ = ["decode_sml", "decode_sml_file"]

_MANUFACTURERS = {Obis(129, 129, 199, 130, 3), Obis(1, 0, 96, 50, 1, 1), Obis(1, 0, 96, 50, 1)}
_MAX_ERRORS = 8  # a capture of noise names its first errors, not thousands


def decode_sml(octets: bytes, *, fix_unsigned_power: bool = False, trace: Trace | None = None) -> DecodedTelegram:
    """Decode a capture of transport frames.

    Args:
        octets: the capture; it may begin and end within a frame.
        fix_unsigned_power: reads the negative power of the meters in ``model.sml_devices`` as unsigned, and says so in
            the quantity. Off, because it breaks honest feed-in.
        trace: collects the meaning of each octet.

    """
    readings: list[DecodedReading] = []
    errors: list[WireError] = []
    device, time = DeviceIdentity(), None
    for offset, frame in find_frames(octets):
        try:
            if isinstance(frame, WireError):
                raise frame
            messages = read_file(frame.file)
        except WireError as error:
            errors.append(_in_file(offset, error))
            continue
        if trace is not None:
            explain_frame(octets, offset, frame.size, frame.file, trace)
        device, time = _collect(messages, readings, device, time, fix_unsigned_power=fix_unsigned_power)
        errors += _message_errors(messages, offset)
    return DecodedTelegram("sml", device, time, tuple(readings), tuple(errors[:_MAX_ERRORS]))


def decode_sml_file(octets: bytes, *, trace: Trace | None = None) -> DecodedTelegram:
    """Decode a file without its transport frame.

    Raises:
        WireError: the octets are no file.

    """
    messages = read_file(octets)
    if trace is not None:
        explain_file(octets, 0, trace)
    readings: list[DecodedReading] = []
    device, time = _collect(messages, readings, DeviceIdentity(), None, fix_unsigned_power=False)
    return DecodedTelegram("sml", device, time, tuple(readings), tuple(_message_errors(messages, 0)))


def _in_file(offset: int, error: WireError) -> WireError:
    return type(error)(error.reason, error.offset, f"file at octet {offset}, {error.field}", error.clause)


def _message_errors(messages: tuple[SmlMessage, ...], offset: int) -> list[WireError]:
    bad = [str(index) for index, message in enumerate(messages) if message.checksum is None]
    return [ChecksumError("CRC differs", None, f"file at octet {offset}, message {', '.join(bad)}")] if bad else []


def _collect(
    messages: tuple[SmlMessage, ...],
    readings: list[DecodedReading],
    device: DeviceIdentity,
    time: datetime | None,
    *,
    fix_unsigned_power: bool,
) -> tuple[DeviceIdentity, datetime | None]:
    for message in messages:
        body = message.body
        if isinstance(body, SmlGetListResponse):
            maker = next((_words(entry.value) for entry in body.entries if entry.obis in _MANUFACTURERS), "")
            device = DeviceIdentity(_server(body.server_id), maker, "electricity", "")
            time = _moment(body.sensor_time) or time
            own = maker if fix_unsigned_power else ""
            readings += [item for entry in body.entries for item in _entry(entry, own)]
        elif isinstance(body, SmlGetProfileListResponse):
            device = DeviceIdentity(_server(body.server_id), "", "electricity", "")
            readings += [item for entry in body.entries for item in _entry(entry, "")]
    return device, time


def _entry(entry: SmlEntry, maker: str) -> Iterator[DecodedReading]:
    obis = entry.obis
    meaning = meaning_of(obis) if obis else None
    name = meaning.quantity if meaning else entry.name.hex()
    at = _moment(entry.time)
    time = at.isoformat().replace("+00:00", "Z") if at else None
    scaled = entry.scaled
    if scaled is not None:
        value, quantity = _power(entry, scaled.value, maker, name)
        tariff = obis.e if obis and meaning and meaning.unit.endswith("h") else 0
        number = Decimal(value).scaleb(scaled.exponent)
        yield DecodedReading(quantity, number, scaled.unit.symbol, obis, time, 0, tariff)
    elif isinstance(entry.value, Integer):
        yield DecodedReading(name, Decimal(entry.value.value).scaleb(entry.scaler), "1", obis, time)
    elif isinstance(entry.value, bytes | bool):
        yield DecodedReading(name, _words(entry.value), "", obis, time)


def _power(entry: SmlEntry, value: int, maker: str, name: str) -> tuple[int, str]:
    """Read the power of listed meters as unsigned, where asked to (DZG: a signed type around an unsigned number)."""
    if isinstance(entry.value, Integer) and value < 0:
        for rule in UNSIGNED_POWER:
            if (rule.manufacturer, rule.obis, rule.scaler) == (maker, entry.obis, entry.scaler):
                return value + (1 << 8 * entry.value.size), f"{name} (read as unsigned)"
    return value, name


def _moment(time: SmlTime | None) -> datetime | None:
    """Return the UTC instant; a second index is no date (quirk: Holley's time stamps aren't either)."""
    if time is None or time.kind == SmlTimeKind.SECOND_INDEX:
        return None
    offset_s = 60 * (time.local_offset_min + time.season_offset_min)
    try:
        return datetime.fromtimestamp(time.seconds - offset_s, UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _server(octets: bytes) -> str:
    """Write a server id; ``0A 01 45 4D 48 00 00 …`` is the identification of DIN 43863-5: 1EMH0000000000."""
    if len(octets) == 10 and octets[0] in {0x09, 0x0A} and octets[2:5].isalpha():
        return f"{octets[1]}{octets[2:5].decode('ascii')}{octets[5]:02d}{int.from_bytes(octets[6:], 'big'):08d}"
    return _words(octets)


def _words(value: object) -> str:
    if not isinstance(value, bytes):
        return str(value).lower()
    text = value.decode("latin-1")
    return text if text.isascii() and text.isprintable() else value.hex()
