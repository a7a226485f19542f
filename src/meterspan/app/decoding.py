"""What ``meterspan decode`` does: frames to telegrams, and the JSON lines of the decode contract.

One answer for each question, in order, never a traceback: the answer names the error.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from meterspan.model.telegram import DecodedReading, DecodedTelegram
from meterspan.readings import Decoder
from meterspan.readings.decoder import hex_digits
from meterspan.wire import Trace, WireError

__all__ = [
    "DecodeOptions",
    "answer_lines",
    "decoded",
    "is_hexadecimal",
    "number_text",
    "octets_of_hex",
    "telegram_json",
]

MAX_LINE = 16 << 20
"""Characters of one input line; above it, the line is answered with an error."""


@dataclass(frozen=True, slots=True)
class DecodeOptions:
    """How frames are decoded.

    Attributes:
        key: the encryption key, where one was given.
        auth_key: the authentication key of DLMS.
        meter_id: the expected meter.
        as_: a format by name, where frames are not to be recognised by themselves.
        fix_unsigned_power: SML: the power of listed DZG meters is read as unsigned.

    """

    key: bytes | None = field(default=None, repr=False)
    auth_key: bytes | None = field(default=None, repr=False)
    meter_id: str | None = None
    as_: str | None = None
    fix_unsigned_power: bool = False


def decoded(
    frames: Iterable[str | bytes], options: DecodeOptions, *, explain: bool
) -> Iterator[tuple[DecodedTelegram, Trace | None]]:
    """Decode frames of one meter, each with what the earlier ones taught; with ``explain``, with what each octet means.

    What protects nothing is opened too, and an error beside the values says so.
    """
    decoder = Decoder(fix_unsigned_power=options.fix_unsigned_power, insecure=True)
    for frame in frames:
        trace = Trace() if explain else None
        telegram = decoder.decode(
            frame,
            key=options.key,
            auth_key=options.auth_key,
            meter_id=options.meter_id,
            as_=options.as_,
            trace=trace,
        )
        yield telegram, trace


def answer_lines(lines: Iterable[str], *, fix_unsigned_power: bool = False) -> Iterator[str]:
    """Answer questions of the decode contract, one JSON line for each line."""
    decoder = Decoder(fix_unsigned_power=fix_unsigned_power, insecure=True)
    return (_answer(decoder, line) for line in lines)


def telegram_json(telegram: DecodedTelegram, question: Any = None) -> str:
    """Write a decoded telegram as one line of JSON; numbers keep all their digits."""
    device = telegram.device
    parts = [f'"id": {json.dumps(question)}'] if question is not None else []
    fields = {"id": device.id, "manufacturer": device.manufacturer, "medium": device.medium, "version": device.version}
    time = None if telegram.time is None else telegram.time.isoformat().replace("+00:00", "Z")
    parts += [
        f'"protocol": {_string(telegram.protocol)}',
        f'"device": {json.dumps(fields)}',
        f'"time": {json.dumps(time)}',
        f'"readings": [{", ".join(map(_reading_json, telegram.readings))}]',
        f'"error": {_string(telegram.error)}',
    ]
    return "{" + ", ".join(parts) + "}"


def _answer(decoder: Decoder, line: str) -> str:
    try:
        question = json.loads(line) if len(line) <= MAX_LINE else None
    except (ValueError, RecursionError):
        question = None
    if not isinstance(question, dict):
        return telegram_json(_refused("the line is no JSON object"), "")
    telegram = _refused('the question has neither "hex" nor "text"')
    try:
        secret, second = octets_of_hex(question.get("key"), "key"), octets_of_hex(question.get("auth_key"), "auth_key")
        for source in _sources(question):
            telegram = decoder.decode(
                source,
                key=secret,
                auth_key=second,
                meter_id=_text(question.get("meter_id")),
                as_=_text(question.get("as")),
            )
    except ValueError as error:
        telegram = _refused(str(error))
    return telegram_json(telegram, question.get("id", ""))


def _refused(reason: str) -> DecodedTelegram:
    return DecodedTelegram("unknown", errors=(WireError(reason),))


def _sources(question: dict[str, Any]) -> list[str]:
    given = question.get("hex") or question.get("text")
    frames = given if isinstance(given, list) else [given]
    return [frame for frame in frames if isinstance(frame, str) and frame]


def is_hexadecimal(text: str) -> bool:
    """Return whether a text is hexadecimal digits, as people write octets: with separators or ``0x``."""
    return bool(hex_digits(text))


def octets_of_hex(value: Any, name: str) -> bytes | None:
    """Return the octets of hexadecimal digits; None where there are none.

    Raises:
        ValueError: they are not hexadecimal; it names the field ``name``.

    """
    if value is None or value == "":
        return None
    try:
        return bytes.fromhex("".join(str(value).split()))
    except ValueError as error:
        raise ValueError(f'"{name}" is not hexadecimal: {error}') from error


def _text(value: Any) -> str | None:
    return str(value) if value else None


def _reading_json(reading: DecodedReading) -> str:
    obis = "null" if reading.obis is None else f'"{reading.obis}"'
    time = "null" if reading.time is None else f'"{reading.time}"'
    device = f', "device": {_string(reading.device)}' if reading.device else ""
    value = reading.value
    number = _string(value) if isinstance(value, str) else number_text(value)
    return (
        f'{{"quantity": {_string(reading.quantity)}, "obis": {obis}, "value": {number}, '
        f'"unit": {_string(reading.unit)}, '
        f'"time": {time}, "storage": {reading.storage}, "tariff": {reading.tariff}, "subunit": {reading.subunit}, '
        f'"function": "{reading.function}"{device}}}'
    )


def number_text(value: int | Decimal) -> str:
    """Write a number with all its digits, without exponent and trailing zeros."""
    if isinstance(value, int):
        return str(value)
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _string(text: str | None) -> str:
    return json.dumps(text)
