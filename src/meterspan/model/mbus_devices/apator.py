"""Apator's proprietary payloads: volumes in thirds of a litre, tagged registers, ciphered blocks, allocators.

A CI of B6 puts a block of its own (length, octets) in front of the payload proper; it is passed over.
"""

from datetime import datetime, timedelta
from decimal import Decimal

from meterspan.model.mbus_devices.payload import (
    ALLOCATION,
    WATER,
    Decoded,
    Field,
    Grammar,
    Payload,
    Reader,
    Seal,
    date_packed,
    fields_reader,
    reading,
)
from meterspan.model.telegram import DecodedReading
from meterspan.quantities import Commodity
from meterspan.wire import WireError

__all__ = ["GRAMMARS"]

_MAKERS = frozenset({"APA", "APT"})
_PREFIX_CI = 0xB6
_PLAIN_CIS = frozenset(range(0xA0, 0xA8))
_CIS = frozenset({*_PLAIN_CIS, _PREFIX_CI})
_WATER = frozenset({0x06, 0x07, 0x16})

# Apator 16-2: behind six octets of status, registers of a tag and a fixed number of octets.
_REGISTER_HEAD = 7
_VOLUME_TAG = 0x10
_TAG_SIZES = {
    0x00: 4, 0x01: 3, 0x10: 4, 0x11: 2, 0x40: 6, 0x41: 7, 0x42: 4, 0x43: 2, 0x44: 3, 0xA0: 4, 0xF0: 4,
    **dict.fromkeys(range(128, 136), 10), **{tag: 1 + 4 * (tag - 0x6F) for tag in range(0x70, 0x7C)},
}  # fmt: skip
_PADDING = 0xFF
_MAX_UNKNOWN = 12


def _registers(payload: Payload) -> Decoded | None:
    """Read the tagged registers behind DIF 0F; a tag that is not known is passed over so that the rest still fits."""
    octets = payload.tail
    if len(octets) < _REGISTER_HEAD + 5:
        return None
    place = _find_volume(octets, _REGISTER_HEAD, 0)
    if place is None:
        raise WireError("no volume register", _REGISTER_HEAD, "registers")
    volume = Decimal(int.from_bytes(octets[place : place + 4], "little")).scaleb(-3)
    readings = [reading("volume", volume, "m3", obis=WATER)]
    readings += _history(octets, place + 4)
    return Decoded(tuple(readings), replaces_records=False)


def _find_volume(octets: bytes, at: int, unknown: int) -> int | None:
    while at < len(octets) and octets[at] != _PADDING:
        tag = octets[at]
        if tag == _VOLUME_TAG:
            return at + 1 if at + 5 <= len(octets) else None
        size = _TAG_SIZES.get(tag)
        if size is None:
            steps = range(1, _MAX_UNKNOWN) if unknown < 2 else ()
            found = (
                _find_volume(octets, at + 1 + step, unknown + 1) for step in steps if _is_tag(octets, at + 1 + step)
            )
            return next((place for place in found if place is not None), None)
        at += 1 + size
    return None


def _is_tag(octets: bytes, at: int) -> bool:
    return at < len(octets) and octets[at] in _TAG_SIZES


def _history(octets: bytes, at: int) -> list[DecodedReading]:
    """Read the month-end registers (tags 71 to 7B), latest first."""
    if at + 2 > len(octets) or not 0x71 <= octets[at] <= 0x7B:
        return []
    count = octets[at] - 0x6F
    values = [octets[start : start + 4] for start in range(at + 2, at + 2 + 4 * count, 4)]
    return [
        reading("volume at month end", Decimal(int.from_bytes(value, "little")).scaleb(-3), "m3", storage=index + 1)
        for index, value in enumerate(values)
        if len(value) == 4 and value != b"\xff\xff\xff\xff"
    ]


def _ciphered(payload: Payload) -> Decoded:
    """Read the water module NA-1: two clear octets, then one sealed block.

    Plain: 2F, status and volume of 28 bits, seconds since 2000, age of the stored register in hours and the volume
    since then.
    """
    plain = payload.plain
    total = int.from_bytes(plain[2:5], "little") << 4 | plain[1] & 0x0F
    moment = datetime(2000, 1, 1) + timedelta(seconds=int.from_bytes(plain[5:9], "little"))  # noqa: DTZ001 - the meter's own clock
    age_h = plain[9] | plain[10] >> 2 << 8
    since = int.from_bytes(plain[11:14], "little") << 2 | plain[10] & 3
    stored = moment - timedelta(hours=age_h)
    volumes = (Decimal(total).scaleb(-3), Decimal(total - since).scaleb(-3))
    return Decoded(
        (
            reading("volume", volumes[0], "m3", time=moment.isoformat(), obis=WATER),
            reading("volume", volumes[1], "m3", storage=1, time=stored.isoformat(), obis=WATER),
            reading("age of the stored volume", age_h, "h"),
        )
    )


def _allocator(payload: Payload) -> Decoded | None:
    """Read the allocator E.ITN: consumption, its last period, dates, mean room temperatures in 256ths of a degree."""
    octets = payload.octets
    if payload.ci == _PREFIX_CI:
        skip = 1 + payload.at(0, 1)[0]
        if payload.at(skip, skip + 1)[0] & 0xF0 != 0xA0:
            return None
        octets = octets[skip + 1 :]
    if len(octets) < 15:
        raise WireError("is shorter than 15 octets", len(octets), "payload")
    previous, current = int.from_bytes(octets[3:5], "little"), int.from_bytes(octets[7:9], "little")
    last_mean, mean = (Decimal(int.from_bytes(octets[at : at + 2], "little", signed=True)) / 256 for at in (11, 13))
    today = date_packed(octets[9:11])
    return Decoded(
        (
            reading("heat cost allocation", current, "hca", time=today, obis=ALLOCATION),
            reading("heat cost allocation", previous, "hca", storage=1, obis=ALLOCATION),
            reading("mean room temperature", mean, "°C"),
            reading("mean room temperature", last_mean, "°C", storage=1),
        )
    )


def _thirds(exponent: int) -> Reader:
    return fields_reader(Field("volume", 0, 4, "m3", exponent, divisor=3, obis=WATER))


GRAMMARS = (
    Grammar("Apator 16-2", frozenset({"APA"}), _registers, frozenset({0x7A, 0x72, 0x78}), versions=frozenset({0x05})),
    Grammar("Apator E.ITN", _MAKERS, _allocator, _CIS, frozenset({0x08})),
    Grammar("Apator NA-1", _MAKERS, _ciphered, _PLAIN_CIS, _WATER, frozenset({0x14, 0x15}), Seal.MODE_5),
    Grammar(
        "Apator 17-2",
        _MAKERS,
        _thirds(0),
        frozenset({0xA0}),
        frozenset({0x11}),
        frozenset({0x04}),
        commodities={0x11: Commodity.WATER},
    ),
    Grammar(
        "Apator 08",
        _MAKERS,
        _thirds(-3),
        frozenset({0xA0}),
        frozenset({0x03, 0x0F}),
        commodities={0x0F: Commodity.WATER},
    ),
)
"""Apator's device types."""
